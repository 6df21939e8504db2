"""numpy's arrays and numbers on their way out: as `Array` and as Python's own numbers.

numpy is optional and is not imported here: a value can only be numpy's where the program has imported it.
"""

from __future__ import annotations

import sys
from typing import Any

from rtcrpc import limits
from rtcrpc.core.arrays import DTYPES, Array, array_over

__all__ = ["from_numpy", "is_numpy", "refusal"]


def is_numpy(value: Any) -> bool:
    """Whether `value` is an array or a number of numpy's."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic))


def refusal(value: Any) -> str | None:
    """Why an array or a number of numpy's can't travel; None where it can."""
    numpy = sys.modules["numpy"]
    name = _name(value.dtype)
    if name not in DTYPES:
        return f"expected numbers of one of the dtypes {' '.join(DTYPES)}, got {value.dtype.name}; convert them: array.astype(...)"
    masks = sys.modules.get("numpy.ma")
    if isinstance(value, numpy.generic):
        return None
    if masks is not None and isinstance(value, masks.MaskedArray):
        return "expected an array without a mask, which would be lost; say what stands for the masked items: array.filled(...)"
    if value.ndim > limits.MAX_DIMENSIONS:
        return f"expected an array of at most {limits.MAX_DIMENSIONS} dimensions, got {value.ndim}"
    if name == "b1" and (value.view(numpy.uint8) > 1).any():
        return "expected the booleans of an array to be bytes 0 and 1, got others"
    return None


def from_numpy(value: Any) -> Array | bool | int | float:
    """The `Array` over the memory of an array (a copy only of one that has gaps or another order); a number as it is in Python."""
    numpy = sys.modules["numpy"]
    if isinstance(value, numpy.generic):
        number: bool | int | float = value.item()
        return number
    # Its own type aside (a matrix, a memmap), and with at least one dimension, as `view` wants it.
    items = numpy.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
    return array_over(_name(value.dtype), value.shape, items.ravel().view(numpy.uint8).data.toreadonly())


def _name(dtype: Any) -> str:
    return f"{dtype.kind}{dtype.itemsize}"

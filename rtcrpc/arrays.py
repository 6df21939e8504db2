"""Arrays that arrive as `numpy.ndarray`, where numpy is installed."""

from __future__ import annotations

import importlib
from typing import Any

from rtcrpc.core.arrays import Array, set_arrival

__all__ = ["use_numpy"]


def use_numpy() -> None:
    """Let arrays arrive as `numpy.ndarray` in this process, and as `rtcrpc.Array` where numpy is not installed.

    numpy is imported when the first array arrives. What a program gets is a view on the bytes of the message, which can't be
    written to; `array.copy()` can.
    """
    set_arrival(_to_numpy)


def _to_numpy(array: Array) -> Any:
    try:
        numpy = importlib.import_module("numpy")
    except ImportError:
        set_arrival(None)
        return array
    return numpy.frombuffer(array.data, dtype=f"<{array.dtype}").reshape(array.shape)

"""Arrays of numbers: `Array`, and how it looks in MessagePack and in JSON (protocol section 10).

The core knows no numpy. An array arrives as what `set_arrival` was given makes of it, and as an `Array` where it was given nothing;
`rtcrpc.core.ndarray` turns numpy's arrays into `Array` on the way out.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable
from typing import Any

from rtcrpc import limits
from rtcrpc.core.identity import b64url_decode, b64url_encode
from rtcrpc.core.varint import decode_varint, encode_varint
from rtcrpc.errors import DecodeError

__all__ = [
    "DTYPES",
    "EXT_ARRAY",
    "Array",
    "array_over",
    "arrive",
    "ext_head",
    "from_ext",
    "from_form",
    "set_arrival",
    "to_form",
]

EXT_ARRAY = 2
DTYPES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
"""The kinds of items, in the order of their numbers on the wire."""

_SAFE = 2**53 - 1
_SIZES = {dtype: int(dtype[1]) for dtype in DTYPES}
_STRUCT = dict(zip(DTYPES, "?bhiqBHIQefd", strict=True))


class Array:
    """An array of numbers, for programs without numpy.

    `dtype`: one of `DTYPES`, kind and bytes an item: `b1` for booleans, `i1` to `i8` and `u1` to `u8` for integers, `f2` to
    `f8` for floats. `shape`: the length of each dimension, none for a single number. `data`: the items as bytes, little-endian,
    the last index fastest; it is given as anything that holds bytes, is not copied, and is read as a memoryview that can't be
    written to.

    `numpy.asarray(array)` takes it as it is, without a copy. Raises `ValueError` where the three don't fit each other.
    """

    __slots__ = ("data", "dtype", "shape")
    # Not a dataclass: pydantic, which writes the results of functions, would take it for a map of three.

    dtype: str
    shape: tuple[int, ...]
    data: memoryview

    def __init__(self, dtype: str, shape: Iterable[int], data: bytes | bytearray | memoryview) -> None:
        shape, view = tuple(shape), memoryview(data)
        if not view.c_contiguous:
            raise ValueError("expected the items of an array in one piece of memory, got a view with gaps")
        view = view.toreadonly() if view.format == "B" and view.ndim == 1 else view.cast("B").toreadonly()
        if dtype not in _SIZES:
            raise ValueError(f"expected the dtype of an array to be one of {' '.join(DTYPES)}, got {dtype!r:.40}")
        expected = _count_bytes(dtype, shape)
        if len(view) != expected:
            raise ValueError(f"expected {expected} bytes for an array of {dtype} {list(shape)}, got {len(view)}")
        if dtype == "b1" and not _is_boolean(bytes(view)):
            raise ValueError("expected the booleans of an array to be bytes 0 and 1, got others")
        self.dtype, self.shape, self.data = dtype, shape, view

    def __eq__(self, other: object) -> bool:
        if type(other) is not Array:
            return NotImplemented
        return self.dtype == other.dtype and self.shape == other.shape and self.data == other.data

    def __hash__(self) -> int:
        return hash((self.dtype, self.shape, self.data))

    def __repr__(self) -> str:
        return f"Array({self.dtype!r}, {self.shape!r}, <{len(self.data)} bytes>)"

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """What numpy asks of objects that hold arrays (its array interface protocol, version 3)."""
        order = "|" if _SIZES[self.dtype] == 1 else "<"
        return {"version": 3, "shape": self.shape, "typestr": order + self.dtype, "data": self.data}

    def tolist(self) -> Any:
        """The items as numbers, in lists as deep as there are dimensions; a number where there is none."""
        items = list(struct.unpack(f"<{len(self.data) // _SIZES[self.dtype]}{_STRUCT[self.dtype]}", self.data))
        for length, behind in zip(self.shape[:0:-1], range(len(self.shape) - 1, 0, -1), strict=True):
            count = math.prod(self.shape[:behind])
            items = [items[index * length : (index + 1) * length] for index in range(count)]
        return items if self.shape else items[0]


def array_over(dtype: str, shape: tuple[int, ...], data: memoryview) -> Array:
    """An `Array` of what has been checked already."""
    array = Array.__new__(Array)
    array.dtype, array.shape, array.data = dtype, shape, data
    return array


def _count_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """How much memory the items take. `ValueError` for a shape that no array has."""
    if len(shape) > limits.MAX_DIMENSIONS:
        raise ValueError(f"expected at most {limits.MAX_DIMENSIONS} dimensions, got {len(shape)}")
    for length in shape:
        if type(length) is not int or not 0 <= length <= _SAFE:
            raise ValueError(f"expected each dimension of an array to be 0 to 2^53-1, got {length!r:.40}")
    # Of an empty array too: numpy can't hold one of 0 times 2^52 times 2^52 items.
    if math.prod(length or 1 for length in shape) * _SIZES[dtype] > _SAFE:
        raise ValueError("expected an array of at most 2^53-1 bytes, dimensions of 0 left aside")
    return math.prod(shape) * _SIZES[dtype]


def _is_boolean(data: bytes, start: int = 0) -> bool:
    return data.count(b"\0", start) + data.count(b"\1", start) == len(data) - start


# -- what arrays arrive as -----------------------------------------------------------------------------------


def _as_it_is(array: Array) -> Any:
    return array


_arrival: Callable[[Array], Any] = _as_it_is


def set_arrival(make: Callable[[Array], Any] | None) -> None:
    """What arrays that arrive become, in this process; None for `Array`."""
    global _arrival
    _arrival = make or _as_it_is


def arrive(array: Array) -> Any:
    """What the program gets for `array`."""
    return _arrival(array)


# -- MessagePack ---------------------------------------------------------------------------------------------


def ext_head(array: Array) -> bytes:
    """What stands in extension 2 before the items; its length is a multiple of 8."""
    head = bytes((DTYPES.index(array.dtype), len(array.shape))) + b"".join(map(encode_varint, array.shape))
    return head + bytes(-len(head) % 8)


def from_ext(data: bytes) -> Array:
    """The array of an extension 2, over the memory of `data`. `DecodeError` where it is none."""
    if len(data) < 2:
        raise DecodeError(f"array: expected at least 2 bytes, got {len(data)}")
    code, dimensions, at = data[0], data[1], 2
    if code >= len(DTYPES):
        raise DecodeError(f"array: expected a dtype from 0 to {len(DTYPES) - 1}, got {code}")
    if dimensions > limits.MAX_DIMENSIONS:
        raise DecodeError(f"array: expected at most {limits.MAX_DIMENSIONS} dimensions, got {dimensions}")
    shape = []
    for _ in range(dimensions):
        length, at = decode_varint(data, at, _SAFE)
        shape.append(length)
    start = at + -at % 8
    if any(data[at:start]):
        raise DecodeError("array: expected zeros before the items")
    return _read(DTYPES[code], tuple(shape), len(data) - start, lambda: (data, start))


def _read(dtype: str, shape: tuple[int, ...], size: int, take: Callable[[], tuple[bytes, int]]) -> Array:
    """The array whose items are in `take()[0]` from `take()[1]` on; nothing is taken before its `size` is known to fit."""
    try:
        expected = _count_bytes(dtype, shape)
    except ValueError as error:
        raise DecodeError(f"array: {error}") from None
    if size != expected:
        raise DecodeError(f"array: expected {expected} bytes of items for {dtype} {list(shape)}, got {size}")
    data, start = take()
    if dtype == "b1" and not _is_boolean(data, start):
        raise DecodeError("array: expected booleans to be bytes 0 and 1, got others")
    return array_over(dtype, shape, memoryview(data)[start:])


# -- JSON ----------------------------------------------------------------------------------------------------


def to_form(array: Array) -> list[Any]:
    """What stands in `{"$array": …}`."""
    return [array.dtype, list(array.shape), b64url_encode(bytes(array.data))]


def from_form(form: Any) -> Array:
    """Reads `to_form`; `DecodeError` for what is none."""
    match form:
        case [str(dtype), list(shape), str(text)] if dtype in _SIZES:
            if len(shape) > limits.MAX_DIMENSIONS:
                raise DecodeError(f"$array: expected at most {limits.MAX_DIMENSIONS} dimensions, got {len(shape)}")
            # Unpadded base64url: 4 characters hold 3 bytes, 2 and 3 characters the last one or two.
            return _read(dtype, tuple(shape), len(text) * 3 // 4, lambda: (_decode(text), 0))
    raise DecodeError("$array: expected [dtype, [dimensions…], base64url of the items]")


def _decode(text: str) -> bytes:
    try:
        return b64url_decode(text)
    except ValueError as error:
        raise DecodeError(f"$array: {error}") from None

"""Unsigned LEB128 in its shortest form: transfer ids, stream ids, dimensions of arrays (protocol sections 4 and 10)."""

from __future__ import annotations

from rtcrpc.errors import DecodeError

__all__ = ["decode_varint", "encode_varint"]


def encode_varint(value: int) -> bytes:
    """The bytes of `value`, which is not negative."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes | memoryview, start: int, highest: int) -> tuple[int, int]:
    """The value that begins at `start`, and where the rest begins.

    `DecodeError` for a long form, an unfinished one, and a value above `highest`.
    """
    value = 0
    most = (highest.bit_length() + 6) // 7
    for index in range(most):
        if start + index >= len(data):
            break
        byte = data[start + index]
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            if (byte == 0 and index > 0) or value > highest:
                raise DecodeError(f"expected a varint in its shortest form, at most {highest}")
            return value, start + index + 1
    raise DecodeError(f"expected a varint of at most {most} bytes, got one that does not end")

"""Items of a stream and the `rpc.next` around them, encoded apart: so that the cost of a message is known before it is made, and an item
that can't travel spoils no other (protocol section 7.2).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import msgpack

from rtcrpc.core.values import check_encodable, msgpack_default, to_json
from rtcrpc.errors import EncodeError

__all__ = ["ItemCodec", "JsonItems", "MessagePackItems", "Part", "envelope_sizes", "room_for_items"]

Part = tuple[int, bytes]
"""How many items, and their encodings one after the other."""

_OVERHEAD: Final = 96  # bytes of a rpc.next around its items, at most, in either encoding


class ItemCodec(Protocol):
    """One encoding."""

    def parts(self, items: list[Any], most: int) -> Iterator[Part]:
        """`items` in parts of about `most` bytes, each at least one item.

        Raises `EncodeError` at the first item that can't travel, after the parts with those before it.
        """

    def next_message(self, stream: int, parts: Sequence[Part]) -> bytes | str:
        """The `rpc.next` of these parts."""


def room_for_items(max_frame: int) -> int:
    """Bytes of items that a `rpc.next` has room for which fits a frame of `max_frame`."""
    return max(max_frame - _OVERHEAD, 1)


class MessagePackItems:
    """As MessagePack."""

    def __init__(self) -> None:
        self._packer = self._new_packer()

    @staticmethod
    def _new_packer() -> Any:
        return msgpack.Packer(default=msgpack_default, datetime=True)

    def parts(self, items: list[Any], most: int) -> Iterator[Part]:
        """See `ItemCodec`."""
        count = len(items)
        if not count:
            return
        try:
            check_encodable({"items": items})  # as deep as it will stand in the params
            packed = self._packer.pack(items)
        except Exception as error:  # the packer's own errors, and those of a value's methods
            self._packer = self._new_packer()
            if count > 1:
                for item in items:
                    yield from self.parts([item], most)
                return
            raise (
                error if isinstance(error, EncodeError) else EncodeError(f"the item can't be packed: {error}")
            ) from error
        body = packed[_array_header_size(count) :]
        if len(body) > most and count > 1:
            yield from self.parts(items[: count // 2], most)
            yield from self.parts(items[count // 2 :], most)
        else:
            yield count, body

    def next_message(self, stream: int, parts: Sequence[Part]) -> bytes:
        """See `ItemCodec`."""
        packer = self._packer
        count = sum(part[0] for part in parts)
        head = (
            b"\x93\x03\xa8rpc.next\x82\xa6stream" + packer.pack(stream) + b"\xa5items" + packer.pack_array_header(count)
        )
        return b"".join((head, *(part[1] for part in parts)))


def _array_header_size(count: int) -> int:
    return 1 if count < 16 else 3 if count < 65_536 else 5


class JsonItems:
    """As JSON."""

    def parts(self, items: list[Any], most: int) -> Iterator[Part]:
        """See `ItemCodec`."""
        count, size = 0, 0
        texts: list[bytes] = []
        try:
            for item in items:
                text = _json(item)
                if count and size + len(text) > most:
                    yield count, b",".join(texts)
                    count, size = 0, 0
                    texts = []
                texts.append(text)
                count += 1
                size += len(text) + 1
        except EncodeError:
            if count:
                yield count, b",".join(texts)
            raise
        if count:
            yield count, b",".join(texts)

    def next_message(self, stream: int, parts: Sequence[Part]) -> str:
        """See `ItemCodec`."""
        items = b",".join(part[1] for part in parts).decode()
        return f'{{"jsonrpc":"2.0","method":"rpc.next","params":{{"stream":{stream},"items":[{items}]}}}}'


def _json(item: Any) -> bytes:
    check_encodable({"items": [item]})  # as deep as it will stand in the params
    try:
        return json.dumps(to_json(item), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError) as error:
        raise EncodeError(f"the item can't be written as JSON: {error}") from error


def envelope_sizes(data: bytes | bytearray) -> list[int]:
    """The length of each MessagePack envelope in `data`, which has been decoded before, so that it is known to hold whole ones."""
    size = max(len(data), 1)
    scout = msgpack.Unpacker(max_buffer_size=size, max_array_len=size, max_map_len=size)
    scout.feed(data)
    sizes: list[int] = []
    start = 0
    while start < len(data):
        scout.skip()
        end = scout.tell()
        sizes.append(end - start)
        start = end
    return sizes

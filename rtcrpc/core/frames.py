"""DataChannel messages to whole messages and back: frame types, parts, bounded reassembly (protocol section 4)."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field

from rtcrpc import codes, limits
from rtcrpc.errors import DecodeError, ProtocolError

__all__ = ["FrameReader", "FrameType", "WholeMessage", "decode_varint", "encode_parts", "encode_varint"]

_MAX_VARINT_BYTES = 5
_MAX_TRANSFER_ID = 2**32 - 1


class FrameType(enum.IntEnum):
    """The first byte of a binary frame."""

    ENVELOPES = 0
    PART = 1
    LAST_PART = 2
    TEXT_PART = 3
    LAST_TEXT_PART = 4


@dataclass(frozen=True, slots=True)
class WholeMessage:
    """What a frame, or the parts of a transfer, held: `str` of a text frame, or the bytes of MessagePack envelopes."""

    data: bytes | str


def encode_varint(value: int) -> bytes:
    """Unsigned LEB128, shortest form."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes, start: int) -> tuple[int, int]:
    """The value that begins at `start`, and where the rest begins. `DecodeError` for a long or unfinished form."""
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if start + index >= len(data):
            break
        byte = data[start + index]
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            if (byte == 0 and index > 0) or value > _MAX_TRANSFER_ID:
                raise DecodeError("expected a transfer id in its shortest form, below 2^32")
            return value, start + index + 1
    raise DecodeError(
        f"expected a transfer id of at most {_MAX_VARINT_BYTES} bytes, got one that does not end"
    )


def encode_parts(transfer_id: int, data: bytes, *, text: bool, max_frame: int) -> Iterator[bytes]:
    """The frames, each at most `max_frame` bytes, that carry `data` as transfer `transfer_id`."""
    part, last = (
        (FrameType.TEXT_PART, FrameType.LAST_TEXT_PART) if text else (FrameType.PART, FrameType.LAST_PART)
    )
    tail = encode_varint(transfer_id)
    room = max_frame - 1 - len(tail)
    view = memoryview(data)
    for start in range(0, len(data), room):
        kind = part if start + room < len(data) else last
        yield bytes((kind,)) + tail + view[start : start + room]


@dataclass(slots=True)
class _Transfer:
    text: bool
    deadline: float
    size: int = 0
    parts: list[bytes] = field(default_factory=list)


class FrameReader:
    """Joins what comes. Raises `ProtocolError` (or `DecodeError`) once the sender has broken a rule; then it is of no more use."""

    def __init__(
        self,
        *,
        max_frame: int = limits.MAX_FRAME,
        max_message: int = limits.MAX_MESSAGE,
        max_transfers: int = limits.MAX_TRANSFERS,
        transfer_seconds: float = limits.TRANSFER_SECONDS,
    ) -> None:
        self.max_message = max_message
        self._max_frame = max_frame
        self._max_transfers = max_transfers
        self._transfer_seconds = transfer_seconds
        self._transfers: dict[int, _Transfer] = {}
        self._highest_id = 0
        self.held = 0
        """Bytes of unfinished transfers."""

    def feed(self, frame: bytes | str, now: float = 0.0) -> WholeMessage | None:
        """Take a frame; what is whole now, or None."""
        if isinstance(frame, str):
            size = len(frame) if frame.isascii() else len(frame.encode(errors="surrogatepass"))
            self._check_size(size)
            return WholeMessage(frame)
        self._check_size(len(frame))
        if not frame:
            raise DecodeError("expected a frame to have a type, got an empty one")
        kind = frame[0]
        if kind == FrameType.ENVELOPES:
            return WholeMessage(frame[1:])
        if kind > FrameType.LAST_TEXT_PART:
            raise DecodeError(f"expected a frame of type 0 to {FrameType.LAST_TEXT_PART:d}, got {kind}")
        transfer_id, start = decode_varint(frame, 1)
        return self._take_part(
            transfer_id,
            frame[start:],
            text=kind >= FrameType.TEXT_PART,
            last=kind in (FrameType.LAST_PART, FrameType.LAST_TEXT_PART),
            now=now,
        )

    def next_expiry(self) -> float | None:
        """When the oldest unfinished transfer has had its time; None where there is none."""
        return min((t.deadline for t in self._transfers.values()), default=None)

    def expire(self, now: float) -> None:
        """Raise a `ProtocolError` when a transfer got no part for too long (T8: a slow sender may not hold memory)."""
        if any(t.deadline <= now for t in self._transfers.values()):
            raise ProtocolError(
                f"expected a part of each open transfer within {self._transfer_seconds:g} s",
                code=codes.RESOURCE_EXHAUSTED,
            )

    def _take_part(
        self, transfer_id: int, body: bytes, *, text: bool, last: bool, now: float
    ) -> WholeMessage | None:
        transfer = self._transfers.get(transfer_id)
        if transfer is None:
            if transfer_id <= self._highest_id:
                raise ProtocolError(f"expected a transfer id above {self._highest_id}, got {transfer_id}")
            if len(self._transfers) >= self._max_transfers:
                raise ProtocolError(
                    f"expected at most {self._max_transfers} transfers at a time",
                    code=codes.RESOURCE_EXHAUSTED,
                )
            self._highest_id = transfer_id
            transfer = self._transfers[transfer_id] = _Transfer(text, 0.0)
        elif transfer.text is not text:
            raise ProtocolError(f"expected the parts of transfer {transfer_id} to be of one kind")
        transfer.size += len(body)
        transfer.deadline = now + self._transfer_seconds
        if transfer.size > self.max_message:
            raise ProtocolError(
                f"expected a message of at most {self.max_message} bytes", code=codes.TOO_LARGE
            )
        if not last:
            transfer.parts.append(body)
            self.held += len(body)
            return None
        del self._transfers[transfer_id]
        self.held -= transfer.size - len(body)
        whole = b"".join((*transfer.parts, body))
        if not text:
            return WholeMessage(whole)
        try:
            return WholeMessage(whole.decode())
        except UnicodeDecodeError:
            raise DecodeError("expected the parts of a text to be UTF-8") from None

    def _check_size(self, size: int) -> None:
        if size > self._max_frame:
            raise ProtocolError(
                f"expected a frame of at most {self._max_frame} bytes, got {size}", code=codes.TOO_LARGE
            )

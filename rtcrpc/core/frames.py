"""DataChannel messages to whole messages and back: frame types, parts, bounded reassembly (protocol section 4)."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field

from rtcrpc import codes, limits
from rtcrpc.core.varint import decode_varint, encode_varint
from rtcrpc.errors import DecodeError, ProtocolError

__all__ = ["FrameReader", "FrameType", "WholeMessage", "encode_parts", "frame_size"]

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

    data: bytes | bytearray | str


def frame_size(frame: bytes | str) -> int:
    """The bytes that a frame has on the channel."""
    if isinstance(frame, bytes) or frame.isascii():
        return len(frame)
    return len(frame.encode(errors="surrogatepass"))


def encode_parts(transfer_id: int, data: bytes, *, text: bool, max_frame: int) -> Iterator[bytes]:
    """The frames, each at most `max_frame` bytes, that carry `data` as transfer `transfer_id`."""
    part, last = (FrameType.TEXT_PART, FrameType.LAST_TEXT_PART) if text else (FrameType.PART, FrameType.LAST_PART)
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
    # One buffer, not a list of parts: a million parts of one byte would cost sixty times what they hold.
    joined: bytearray = field(default_factory=bytearray)


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
        self.max_frame = max_frame
        self._max_transfers = max_transfers
        self._transfer_seconds = transfer_seconds
        self._transfers: dict[int, _Transfer] = {}
        self._highest_id = 0

    @property
    def held(self) -> int:
        """Bytes of unfinished transfers."""
        return sum(len(transfer.joined) for transfer in self._transfers.values())

    def feed(self, frame: bytes | str, now: float = 0.0) -> WholeMessage | None:
        """Take a frame; what is whole now, or None."""
        if isinstance(frame, str):
            self._check_size(frame_size(frame))
            return WholeMessage(frame)
        self._check_size(len(frame))
        if not frame:
            raise DecodeError("expected a frame to have a type, got an empty one")
        kind = frame[0]
        if kind == FrameType.ENVELOPES:
            return WholeMessage(frame[1:])
        if kind > FrameType.LAST_TEXT_PART:
            raise DecodeError(f"expected a frame of type 0 to {FrameType.LAST_TEXT_PART:d}, got {kind}")
        transfer_id, start = decode_varint(frame, 1, _MAX_TRANSFER_ID)
        return self._take_part(
            transfer_id,
            memoryview(frame)[start:],
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
                code=codes.DEADLINE_EXCEEDED,
            )

    def _take_part(
        self, transfer_id: int, body: memoryview, *, text: bool, last: bool, now: float
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
            transfer = self._transfers[transfer_id] = _Transfer(text, now + self._transfer_seconds)
        elif transfer.text is not text:
            raise ProtocolError(f"expected the parts of transfer {transfer_id} to be of one kind")
        if len(transfer.joined) + len(body) > self.max_message:
            raise ProtocolError(f"expected a message of at most {self.max_message} bytes", code=codes.TOO_LARGE)
        if body:  # a part without bytes brings the message no nearer to its end: it buys no time
            transfer.joined += body
            transfer.deadline = now + self._transfer_seconds
        if not last:
            return None
        del self._transfers[transfer_id]
        if not text:
            return WholeMessage(transfer.joined)
        try:
            return WholeMessage(transfer.joined.decode())
        except UnicodeDecodeError:
            raise DecodeError("expected the parts of a text to be UTF-8") from None

    def _check_size(self, size: int) -> None:
        if size > self.max_frame:
            raise ProtocolError(f"expected a frame of at most {self.max_frame} bytes, got {size}", code=codes.TOO_LARGE)

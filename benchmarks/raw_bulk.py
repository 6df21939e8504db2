"""Many bytes, or many messages, through a plain aiortc channel, as its users write it: held by `bufferedAmount`."""

from __future__ import annotations

from collections.abc import Iterator

from aiortc import RTCDataChannel

__all__ = ["BulkSender"]

PART = 16 * 1024
AHEAD = 256 * 1024
"""Bytes in the channel's buffer at which the sender stops; it goes on at a half of it."""


class BulkSender:
    """Sends while there is room, and goes on at `bufferedamountlow`."""

    def __init__(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        self._parts: Iterator[bytes] = iter(())
        channel.bufferedAmountLowThreshold = AHEAD // 2
        channel.on("bufferedamountlow", self._go_on)

    def send(self, data: bytes) -> None:
        """All of it, in messages of 16 KiB."""
        self._parts = (data[at : at + PART] for at in range(0, len(data), PART))
        self._go_on()

    def send_messages(self, message: bytes, count: int) -> None:
        """The same message many times."""
        self._parts = (message for _ in range(count))
        self._go_on()

    def _go_on(self) -> None:
        while self._channel.bufferedAmount < AHEAD and (part := next(self._parts, None)) is not None:
            self._channel.send(part)

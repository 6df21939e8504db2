"""The credit books of streams: how much an owner may send, and when a reader gives credit back (protocol section 7.2).

```
owner: credit = window + all that was granted - the cost of all that was sent; it sends while that is above zero
reader: the same sum of its own; what comes while it is not above zero breaks the protocol
```
"""

from __future__ import annotations

from collections import deque
from typing import Final

from rtcrpc import codes
from rtcrpc.errors import ProtocolError

__all__ = ["HIGH_MARK", "LOW_MARK", "MAX_CREDIT", "IncomingStream", "OutgoingStream"]

HIGH_MARK: Final = 65_536
"""Encoded bytes of a stream that wait to be sent, from which on its writer should stop."""
LOW_MARK: Final = HIGH_MARK // 2
"""Where it should go on."""
MAX_CREDIT: Final = 2**53 - 1

WireError = tuple[int, str, dict[str, object] | None]
"""Code, message, data, as `rpc.end` carries them."""


class OutgoingStream:
    """A stream of ours: encoded items that wait, and the credit that the reader gave.

    `window`: bytes that may be sent before any credit comes. A part is one or more items, encoded: `(count, bytes)`.
    """

    __slots__ = ("_full", "_parts", "added", "credit", "ended", "error", "id", "queued", "taken")

    def __init__(self, stream_id: int, window: int) -> None:
        self.id = stream_id
        self.credit = window
        self.queued = 0
        """Bytes that wait here."""
        self.added = 0
        """Parts that came so far."""
        self.taken = 0
        """Parts that were taken so far."""
        self.ended = False
        self.error: WireError | None = None
        self._parts: deque[tuple[int, bytes]] = deque()
        self._full = False

    @property
    def can_send(self) -> bool:
        """Whether items wait and there is credit for them."""
        return bool(self._parts) and self.credit > 0

    @property
    def is_over(self) -> bool:
        """Whether nothing is left but to say the end."""
        return self.ended and not self._parts

    def put(self, count: int, data: bytes) -> None:
        """Queue a part."""
        self._parts.append((count, data))
        self.added += 1
        self.queued += len(data)
        if self.queued >= HIGH_MARK:
            self._full = True

    def end(self, error: WireError | None = None) -> None:
        """No more items will come."""
        self.ended = True
        self.error = error

    def take(self, most: int) -> list[tuple[int, bytes]]:
        """The parts of the next message: one, and as many more as `most` bytes and the credit have room for."""
        parts = self._parts
        most = min(most, self.credit)
        first = parts.popleft()
        taken = [first]
        size = len(first[1])
        while parts and size + len(parts[0][1]) <= most:
            part = parts.popleft()
            taken.append(part)
            size += len(part[1])
        self.queued -= size
        self.taken += len(taken)
        return taken

    def pay(self, cost: int) -> None:
        """A message of `cost` bytes is sent."""
        self.credit -= cost

    def grant(self, size: int) -> None:
        """The reader gives `size` bytes of credit. Raises `ProtocolError` where the sum would be more than all languages can count."""
        if self.credit + size > MAX_CREDIT:
            raise ProtocolError("expected the credit of a stream to stay below 2^53")
        self.credit += size

    def became_writable(self) -> bool:
        """Whether it was full and is not any more; true once for each time."""
        if not self._full or self.queued >= LOW_MARK:
            return False
        self._full = False
        return True


class IncomingStream:
    """A stream of the other side, as its reader counts: `window` as for its owner."""

    __slots__ = ("_taken", "_window", "credit", "id")

    def __init__(self, stream_id: int, window: int) -> None:
        self.id = stream_id
        self.credit = window
        self._window = window
        self._taken = 0

    def charge(self, cost: int) -> None:
        """A message of `cost` bytes came. Raises `ProtocolError` where there was no credit for it."""
        if self.credit <= 0:
            raise ProtocolError(
                f"expected stream {self.id} to wait for credit, got {cost} bytes more", code=codes.RESOURCE_EXHAUSTED
            )
        self.credit -= cost

    def take(self, size: int) -> int:
        """The program took `size` bytes; the credit to give now, or 0 while it is less than half a window."""
        self._taken += size
        if 2 * self._taken < self._window:
            return 0
        grant, self._taken = self._taken, 0
        self.credit += grant
        return grant

"""What goes out next: control before calls before parts of long messages (protocol sections 4 and 8).

The channel below is first in, first out, so what is put into it can't be overtaken. The owner therefore asks for a little at a time, and
this decides, each time anew, what that little is.
"""

from __future__ import annotations

from collections import deque

from rtcrpc import limits
from rtcrpc.core.frames import FrameType, frame_size
from rtcrpc.core.varint import encode_varint

__all__ = ["Lanes"]

_ENVELOPES = bytes((FrameType.ENVELOPES,))


class _Transfer:
    """A long message on its way out in parts. `number` is 0 until its first part leaves."""

    __slots__ = ("at", "behind", "data", "number", "text")

    def __init__(self, data: bytes, text: bool) -> None:
        self.data = memoryview(data)
        self.text = text
        self.number = 0
        self.at = 0
        self.behind: list[bytes | str] = []


class Lanes:
    """The outgoing scheduler. `bytes` pushed are MessagePack envelopes, `str` are text frames.

    `max_frame` bounds a frame, its type counted; small envelopes share frames of about `coalesce` bytes; at most `max_transfers` long
    messages are under way at once, a part of each in turn, so that none starves.

    What `push_call` returns is a ticket: it tells later whether the message has left, and takes it back as long as it hasn't.
    """

    def __init__(
        self,
        *,
        max_frame: int = limits.MAX_FRAME,
        coalesce: int = limits.COALESCE_BYTES,
        max_transfers: int = limits.MAX_TRANSFERS,
    ) -> None:
        self.max_frame = max_frame
        self.max_transfers = max_transfers
        self.queued_bytes = 0
        """Bytes that wait, without the headers of their frames."""
        self._coalesce = coalesce
        self._control: deque[bytes | str] = deque()
        self._calls: deque[bytes | str | None] = deque()
        # Calls leave in the order in which they came, so two counters say which of them have left.
        self._pushed = 0
        self._left = 0
        # Transfers that are not finished, by ticket; those under way, and those that wait for one of them to end.
        self._transfers: dict[int, _Transfer] = {}
        self._active: deque[int] = deque()
        self._bulk: deque[int] = deque()
        self._forgotten: dict[int, bool] = {}  # transfers that `clear` dropped: whether they had begun
        self._next_ticket = -1
        self._next_number = 1

    def __bool__(self) -> bool:
        return bool(self._control or self._transfers or any(message is not None for message in self._calls))

    @property
    def has_calls(self) -> bool:
        """Whether small messages wait behind those of control."""
        return bool(self._calls)

    @property
    def waiting_control(self) -> int:
        """Messages of control that wait. More than a few mean that the channel takes nothing."""
        return len(self._control)

    # -- in ----------------------------------------------------------------------------------------------

    def push_control(self, message: bytes | str) -> None:
        """Something that may not wait: handshake, ping, pong, cancel, bye."""
        if _frame_bytes(message) > self.max_frame:
            ticket = self.push_bulk(message)
            self._bulk.remove(ticket)
            self._bulk.appendleft(ticket)
            return
        self._control.append(message)
        self.queued_bytes += frame_size(message)

    def push_call(self, message: bytes | str) -> int:
        """A request, an answer or a notification; a long one goes the way of bulk. Returns its ticket."""
        if _frame_bytes(message) > self.max_frame:
            return self.push_bulk(message)
        self._calls.append(message)
        self.queued_bytes += frame_size(message)
        self._pushed += 1
        return self._pushed

    def push_bulk(self, message: bytes | str) -> int:
        """A message that goes out in parts, behind everything that is small. Returns its ticket."""
        data = message.encode() if isinstance(message, str) else message
        ticket = self._next_ticket
        self._next_ticket -= 1
        self._transfers[ticket] = _Transfer(data, isinstance(message, str))
        self._bulk.append(ticket)
        self.queued_bytes += len(data)
        return ticket

    def push_behind(self, ticket: int, message: bytes | str) -> None:
        """Control that must not overtake the message of `ticket`: a cancel that came before its request would cancel nothing."""
        transfer = self._transfers.get(ticket)
        if transfer is not None:
            transfer.behind.append(message)
        elif self.has_left(ticket):
            self.push_control(message)
        else:
            self.push_call(message)

    # -- afterwards --------------------------------------------------------------------------------------

    def has_left(self, ticket: int) -> bool:
        """Whether anything of the message of `ticket` has been handed out."""
        if ticket > 0:
            return ticket <= self._left
        transfer = self._transfers.get(ticket)
        return self._forgotten.get(ticket, True) if transfer is None else transfer.number > 0

    def is_over(self, ticket: int) -> bool:
        """Whether all of the message of `ticket` has been handed out."""
        return ticket <= self._left if ticket > 0 else ticket not in self._transfers

    def withdraw(self, ticket: int) -> bool:
        """Take a message back; False where it has begun to leave.

        (A transfer that has begun must be finished: the other side waits for it.)
        """
        if self.has_left(ticket):
            return False
        if ticket < 0:
            self.queued_bytes -= len(self._transfers.pop(ticket).data)
            self._bulk.remove(ticket)
            return True
        at = ticket - self._left - 1
        message = self._calls[at]
        if message is not None:
            self._calls[at] = None  # its place stays, so that the counters still hold
            self.queued_bytes -= frame_size(message)
        return True

    def clear(self, *, keep_control: bool = False, keep_calls: bool = False) -> None:
        """Forget what waits, except what is to be kept; what travels in parts is never kept. `has_left` tells the same as before."""
        if not keep_control:
            self._control.clear()
        if not keep_calls:
            # None keeps the place of each, so that the counters still hold.
            self._calls = deque([None] * len(self._calls))
        for ticket in (*self._bulk, *self._active):
            self._forgotten.setdefault(ticket, self._transfers[ticket].number > 0)
        self._transfers.clear()
        self._active.clear()
        self._bulk.clear()
        self.queued_bytes = sum(
            frame_size(message) for message in (*self._control, *self._calls) if message is not None
        )

    # -- out ---------------------------------------------------------------------------------------------

    def data_to_send(self, budget: int) -> list[bytes | str]:
        """Frames of about `budget` bytes together: at least one where there is one, and the last may pass the budget."""
        frames: list[bytes | str] = []
        while budget > 0:
            frame = self._next_frame()
            if frame is None:
                break
            frames.append(frame)
            budget -= frame_size(frame)
        return frames

    def _next_frame(self) -> bytes | str | None:
        if self._control:
            first = self._control.popleft()
        elif (call := self._next_call()) is not None:
            first = call
        else:
            return self._next_part()
        if isinstance(first, str):
            self.queued_bytes -= frame_size(first)
            return first
        return self._fill(first)

    def _next_call(self) -> bytes | str | None:
        while self._calls:
            self._left += 1
            if (message := self._calls.popleft()) is not None:
                return message
        return None

    def _fill(self, first: bytes) -> bytes:
        taken = [_ENVELOPES, first]
        size = 1 + len(first)
        most = min(self._coalesce, self.max_frame)
        while self._control:
            message = self._control[0]
            if isinstance(message, str) or size + len(message) > most:
                break
            taken.append(message)
            size += len(message)
            self._control.popleft()
        calls = self._calls
        if not self._control:  # what is urgent is never overtaken by what fits better
            before = len(calls)
            while calls:
                call = calls[0]
                if call is not None:
                    if isinstance(call, str) or size + len(call) > most:
                        break
                    taken.append(call)
                    size += len(call)
                calls.popleft()
            self._left += before - len(calls)
        self.queued_bytes -= size - 1
        return b"".join(taken)

    def _next_part(self) -> bytes | None:
        while self._bulk and len(self._active) < self.max_transfers:
            ticket = self._bulk.popleft()
            # Numbered here, not at the first part: numbers leave in order, because each waits its turn in the same round.
            self._transfers[ticket].number = self._next_number
            self._next_number += 1
            self._active.append(ticket)
        if not self._active:
            return None
        ticket = self._active.popleft()
        transfer = self._transfers[ticket]
        number = encode_varint(transfer.number)
        chunk = transfer.data[transfer.at : transfer.at + self.max_frame - 1 - len(number)]
        transfer.at += len(chunk)
        self.queued_bytes -= len(chunk)
        kind = FrameType.TEXT_PART if transfer.text else FrameType.PART
        if transfer.at < len(transfer.data):
            self._active.append(ticket)
            return bytes((kind,)) + number + chunk
        del self._transfers[ticket]
        for message in transfer.behind:
            self.push_control(message)
        return bytes((kind + 1,)) + number + chunk


def _frame_bytes(message: bytes | str) -> int:
    return frame_size(message) + isinstance(message, bytes)

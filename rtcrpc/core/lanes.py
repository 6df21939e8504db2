"""What goes out next: control before calls before parts of long messages (protocol sections 4 and 8).

The channel below is first in, first out, so what is put into it can't be overtaken. The owner therefore asks for a little at a time, and
this decides, each time anew, what that little is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from rtcrpc import limits
from rtcrpc.core.frames import FrameType, encode_parts

__all__ = ["Lanes", "Transfer"]

_ENVELOPES = bytes((FrameType.ENVELOPES,))


class Transfer:
    """A long message on its way out in parts."""

    __slots__ = ("_frames", "on_sent", "size", "started", "unfinished")

    def __init__(self, frames: Callable[[], Iterator[bytes]], size: int) -> None:
        self._frames: Callable[[], Iterator[bytes]] | Iterator[bytes] = frames
        self.size = size
        self.started = False
        self.unfinished = True
        self.on_sent: list[bytes | str] = []
        """Control messages that must not overtake the transfer: they go out behind its last part."""

    def next_part(self) -> bytes | None:
        """The next frame, None behind the last."""
        if not self.started:
            self.started = True
            assert callable(self._frames), "frames are made at the first part"
            self._frames = self._frames()
        assert not callable(self._frames), "started above"
        return next(self._frames, None)


class Lanes:
    """The outgoing scheduler. `bytes` pushed are MessagePack envelopes, `str` are text frames.

    `max_frame` bounds a frame; small envelopes share frames of about `coalesce` bytes; at most `max_transfers` long messages are under way
    at once, a part of each in turn, so that none starves.
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
        self._coalesce = coalesce
        self._control: deque[bytes | str] = deque()
        self._calls: deque[bytes | str] = deque()
        self._bulk: deque[Transfer] = deque()
        self._active: deque[Transfer] = deque()
        self._next_transfer_id = 1

    def __bool__(self) -> bool:
        return bool(self._control or self._calls or self._bulk or self._active)

    def push_control(self, message: bytes | str) -> None:
        """Something that may not wait: handshake, ping, pong, cancel, bye."""
        self._control.append(message)

    def push_call(self, message: bytes | str) -> Transfer | None:
        """A request, an answer or a notification; a long one goes the way of bulk, and is returned as a transfer."""
        size = len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())
        if size + 1 > self.max_frame:
            return self.push_bulk(message)
        self._calls.append(message)
        return None

    def push_bulk(self, message: bytes | str) -> Transfer:
        """A message that goes out in parts, behind everything that is small."""
        text = isinstance(message, str)
        data = message.encode() if isinstance(message, str) else message

        def frames() -> Iterator[bytes]:
            transfer_id = self._next_transfer_id
            self._next_transfer_id += 1
            return encode_parts(transfer_id, data, text=text, max_frame=self.max_frame)

        transfer = Transfer(frames, len(data))
        self._bulk.append(transfer)
        return transfer

    def withdraw(self, message: bytes | str) -> bool:
        """Take back a call that has not begun to go out; False where it has."""
        for index, waiting in enumerate(self._calls):
            if waiting is message:
                del self._calls[index]
                return True
        return False

    def withdraw_transfer(self, transfer: Transfer) -> bool:
        """The same for a transfer."""
        if transfer.started:
            return False
        self._bulk.remove(transfer)
        return True

    def clear_calls(self) -> None:
        """Forget everything but control: the session is ending."""
        self._calls.clear()
        self._bulk.clear()
        self._active.clear()

    def data_to_send(self, budget: int) -> list[bytes | str]:
        """Frames of about `budget` bytes together: at least one where there is one, and the last may pass the budget."""
        frames: list[bytes | str] = []
        while budget > 0:
            frame = self._next_frame()
            if frame is None:
                break
            frames.append(frame)
            budget -= len(frame)
        return frames

    def _next_frame(self) -> bytes | str | None:
        for lane in (self._control, self._calls):
            if lane:
                first = lane.popleft()
                return first if isinstance(first, str) else self._fill(first)
        return self._next_part()

    def _fill(self, first: bytes) -> bytes:
        taken = [_ENVELOPES, first]
        size = 1 + len(first)
        most = min(self._coalesce, self.max_frame)
        for lane in (self._control, self._calls):
            while lane and isinstance(lane[0], bytes) and size + len(lane[0]) <= most:
                envelope = lane.popleft()
                assert isinstance(envelope, bytes), "checked in the condition"
                taken.append(envelope)
                size += len(envelope)
            if lane:
                break  # what is urgent is never overtaken by what fits better
        return b"".join(taken)

    def _next_part(self) -> bytes | None:
        while self._bulk and len(self._active) < self.max_transfers:
            self._active.append(self._bulk.popleft())
        while self._active:
            transfer = self._active[0]
            part = transfer.next_part()
            if part is not None:
                self._active.rotate(-1)
                if part[0] in (FrameType.LAST_PART, FrameType.LAST_TEXT_PART):
                    self._active.remove(transfer)
                    transfer.unfinished = False
                    self._control.extend(transfer.on_sent)
                return part
            self._active.popleft()
        return None

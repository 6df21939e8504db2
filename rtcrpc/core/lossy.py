"""Notifications that may be lost: the latest wins (protocol section 7.3).

Each is numbered by its method. What waits for room in the channel is replaced by what is newer; what comes after something newer is
dropped. Nothing that arrives here can end a session: it is taken, or it is dropped and counted.
"""

from __future__ import annotations

from typing import Final

from rtcrpc import limits
from rtcrpc.core.codec import MessagePackCodec
from rtcrpc.core.envelope import Notification, Params
from rtcrpc.core.frames import FrameType
from rtcrpc.core.streams import streams_in
from rtcrpc.errors import EncodeError, ProtocolError, ResourceExhausted, TooLarge

__all__ = ["FEATURE", "LossyLane"]

FEATURE: Final = "lossy"
"""What a peer with a lossy channel announces."""

_ENVELOPES: Final = bytes((FrameType.ENVELOPES,))


class LossyLane:
    """Both directions of the lossy channel of one session. `max_frame`: bytes, what the other side takes."""

    def __init__(self, max_frame: int = limits.LOSSY_FRAME) -> None:
        self.dropped = 0
        """Frames that came and were not taken: late, repeated, or not what belongs there."""
        self._max_frame = min(max_frame, limits.LOSSY_FRAME)
        self._codec = MessagePackCodec()
        self._sent: dict[str, int] = {}
        self._waiting: dict[str, bytes] = {}
        self._seen: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def send(self, method: str, params: Params) -> None:
        """Have a notification go out next, in the place of one of the same method that waits.

        Raises `EncodeError`, also for a stream; `TooLarge` for more than fits a frame; `ResourceExhausted` for one method too many.
        """
        if streams_in(params):
            raise EncodeError("a stream can't be sent where messages may be lost; send it without reliable=False")
        number = self._sent.get(method, 0) + 1
        if number == 1 and len(self._sent) >= limits.MAX_LOSSY_METHODS:
            raise ResourceExhausted(
                f"{method}: expected at most {limits.MAX_LOSSY_METHODS} methods that are told with reliable=False",
                ran=False,
            )
        frame = _ENVELOPES + self._codec.encode(Notification(method, params, {"seq": number}))
        if len(frame) > self._max_frame:
            raise TooLarge(
                f"{method}: the notification has {len(frame)} bytes, one that may be lost has at most {self._max_frame}; "
                "send less, or without reliable=False",
                ran=False,
            )
        self._sent[method] = number
        self._waiting.pop(method, None)
        self._waiting[method] = frame

    def next_frame(self) -> bytes | None:
        """The frame to put on the channel now: that of the method which has waited longest. None where nothing waits."""
        for method in self._waiting:
            return self._waiting.pop(method)
        return None

    def receive(self, frame: bytes | str) -> Notification | None:
        """What a frame holds, where that is news; else None."""
        notification = self._read(frame)
        if notification is not None:
            number, newest = notification.meta.get("seq"), self._seen.get(notification.method)
            if type(number) is int and 0 < number < 2**53:
                if newest is None and len(self._seen) < limits.MAX_LOSSY_METHODS:
                    newest = 0
                if newest is not None and number > newest:
                    self._seen[notification.method] = number
                    return notification
        self.dropped += 1
        return None

    def _read(self, frame: bytes | str) -> Notification | None:
        if isinstance(frame, str) or len(frame) > limits.LOSSY_FRAME or frame[:1] != _ENVELOPES:
            return None
        try:
            envelopes = self._codec.decode(frame[1:])
        except ProtocolError:
            return None
        if len(envelopes) != 1:
            return None
        notification = envelopes[0]
        # (A request there could come twice; and what is reserved belongs to the channel that keeps its order.)
        if not isinstance(notification, Notification) or notification.method.startswith("rpc."):
            return None
        return None if streams_in(notification.params) else notification

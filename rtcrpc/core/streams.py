"""The streams of one session, both ways, without I/O (protocol section 7.2).

Items wait here, not in the lanes: the lane of calls is given a message of a stream at a time, in turn, while little of streams waits in it.
So a call waits for a few messages of streams at most, however much of them there is, and streams don't wait for one another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from rtcrpc import codes
from rtcrpc.core import events
from rtcrpc.core.envelope import Notification
from rtcrpc.core.flow import MAX_CREDIT, IncomingStream, OutgoingStream, WireError
from rtcrpc.core.frames import frame_size
from rtcrpc.core.items import ItemCodec, Part, room_for_items
from rtcrpc.core.lanes import Lanes
from rtcrpc.core.values import StreamRef
from rtcrpc.errors import EncodeError, ProtocolError, ResourceExhausted, RtcRpcError, TooLarge, error_from_wire

__all__ = ["StreamTable", "streams_in"]

_AHEAD: Final = 16_384
"""Bytes of streams that are put into the lane of calls ahead of need."""
_PART: Final = 8_192
"""Bytes of items that are encoded together, and paid for together."""
_MAX_WAITING_CONTROL: Final = 1024
_PLAIN: Final = frozenset({int, str, float, bool, type(None), bytes})

Encode = Callable[[Notification], bytes | str]


def streams_in(value: Any) -> tuple[int, ...]:
    """The ids of the streams in a value, each as often as it is there."""
    kind = type(value)
    if kind in _PLAIN:
        return ()
    found: list[int] = []
    level = [value]
    while level:
        value = level.pop()
        if isinstance(value, (list, tuple)):
            if not _PLAIN.issuperset(map(type, value)):
                level.extend(item for item in value if type(item) not in _PLAIN)
        elif isinstance(value, dict):
            level.extend(item for item in value.values() if type(item) not in _PLAIN)
        elif type(value) is StreamRef:
            found.append(value.id)
    return tuple(found)


class _Outgoing(OutgoingStream):
    """A stream of ours and what it waits for."""

    __slots__ = ("announced", "behind", "nested", "scheduled")

    def __init__(self, stream_id: int, window: int) -> None:
        super().__init__(stream_id, window)
        self.announced = False  # whether the message that holds it has been queued
        self.behind: int | None = None  # the long message that must have left before anything of the stream may
        self.scheduled = False
        self.nested: deque[tuple[int, tuple[int, ...]]] = deque()  # streams in its items: after how many parts, which


class StreamTable:
    """Which streams there are, and what is to be sent of them. `window`: bytes that a stream of the other side may send ahead."""

    def __init__(self, lanes: Lanes, happened: deque[events.Event], *, window: int, max_streams: int) -> None:
        self._lanes = lanes
        self._happened = happened
        self._window = window
        self._max = max_streams
        self._agreed = False
        self._items: ItemCodec | None = None
        self._encode: Encode | None = None
        self._their_window = 0
        self._max_message = 0
        self._outgoing: dict[int, _Outgoing] = {}
        self._unsent: set[int] = set()  # opened, and in no message yet
        self._incoming: dict[int, IncomingStream] = {}
        self._next_id = 1
        self._ready: deque[_Outgoing] = deque()
        self._behind: dict[int, _Outgoing] = {}
        self._ahead: deque[tuple[int, int]] = deque()
        self._ahead_bytes = 0

    def begin(self, items: ItemCodec, encode: Encode, their_window: int, max_message: int) -> None:
        """The other side knows streams too. `max_message`: the bytes of a message that it takes."""
        self._agreed = True
        self._items = items
        self._encode = encode
        self._their_window = their_window
        self._max_message = max_message

    def close(self, error: RtcRpcError) -> None:
        """The session ended, and all its streams with it."""
        for stream in self._incoming:
            self._happened.append(events.StreamEnded(stream, error))
        for stream in self._outgoing:
            self._happened.append(events.StreamStopped(stream))
        self._incoming.clear()
        self._outgoing.clear()
        self._unsent.clear()
        self._ready.clear()
        self._behind.clear()

    # -- ours: what the owner of the session does --------------------------------------------------------

    def open(self) -> int:
        """A new stream; its id goes into a value as a `StreamRef`."""
        if not self._agreed:
            raise EncodeError("a stream can't travel: the other side did not announce the feature `streams`")
        if len(self._outgoing) >= self._max:
            raise ResourceExhausted(
                f"expected at most {self._max} streams of this side to be open at a time; end one first", ran=False
            )
        stream = _Outgoing(self._next_id, self._their_window)
        self._next_id += 1
        self._outgoing[stream.id] = stream
        self._unsent.add(stream.id)
        return stream.id

    def put(self, stream_id: int, items: list[Any]) -> None:
        """Queue items. See `Session.send_items`."""
        stream = self._outgoing.get(stream_id)
        if stream is None or stream.ended:
            return
        try:
            if not self._unsent:
                self._put(stream, items)
                return
            for item in items:
                nested = self.claim(item)
                self._put(stream, [item])
                if nested:
                    self._unsent.difference_update(nested)
                    stream.nested.append((stream.added, nested))
        finally:
            self._schedule(stream)

    def _put(self, stream: _Outgoing, items: list[Any]) -> None:
        assert self._items is not None, "there are streams"
        for part in self._items.parts(items, self._part):
            if len(part[1]) > room_for_items(self._max_message):
                raise TooLarge(
                    f"an item has {len(part[1])} bytes, the other side takes at most {self._max_message}; send it in pieces"
                )
            stream.put(*part)

    def end(self, stream_id: int, error: WireError | None) -> None:
        """No more items. See `Session.end_stream`."""
        stream = self._outgoing.get(stream_id)
        if stream is None or stream.ended:
            return
        if stream_id in self._unsent:
            self._forget(stream)
            return
        stream.end(error)
        self._schedule(stream)

    def queued(self, stream_id: int) -> int:
        """Bytes of a stream that wait here."""
        stream = self._outgoing.get(stream_id)
        return 0 if stream is None else stream.queued

    # -- ours: the messages that hold them ---------------------------------------------------------------

    def claim(self, value: Any) -> tuple[int, ...]:
        """The streams in a value that is about to be sent. Raises `EncodeError` where one was sent before."""
        if not self._unsent:
            return ()
        found = streams_in(value)
        if len(set(found)) != len(found) or not self._unsent.issuperset(found):
            raise EncodeError("expected each stream to be sent once")
        return found

    def hold(self, streams: Iterable[int]) -> None:
        """The message that holds these waits outside of the lanes."""
        self._unsent.difference_update(streams)

    def announce(self, streams: Iterable[int], ticket: int) -> None:
        """The message that holds these is in the lanes, under `ticket`."""
        for stream_id in streams:
            self._unsent.discard(stream_id)
            stream = self._outgoing.get(stream_id)
            if stream is not None:
                stream.announced = True
                if ticket < 0:  # in parts, which what is small passes: nothing of the stream may
                    self._wait_behind(stream, ticket)
                self._schedule(stream)

    def drop(self, streams: Iterable[int]) -> None:
        """The message that was to hold these will not leave."""
        for stream_id in streams:
            stream = self._outgoing.get(stream_id)
            if stream is not None:
                self._forget(stream)
                self._happened.append(events.StreamStopped(stream_id))

    # -- ours: out ---------------------------------------------------------------------------------------

    @property
    def has_data_to_send(self) -> bool:
        """Whether a stream has something that may go now."""
        return bool(self._ready)

    @property
    def waits(self) -> bool:
        """Whether `feed` has anything to look at."""
        return bool(self._ready or self._behind)

    def feed(self) -> None:
        """Put into the lanes what streams have to say, as long as little of it waits there."""
        if self._behind:
            for stream in [stream for stream in self._behind.values() if self._lanes.is_over(stream.behind or 0)]:
                stream.behind = None
                del self._behind[stream.id]
                self._schedule(stream)
        ahead, lanes = self._ahead, self._lanes
        while self._ready:
            while ahead and lanes.has_left(ahead[0][0]):
                self._ahead_bytes -= ahead.popleft()[1]
            if self._ahead_bytes >= _AHEAD:
                return
            stream = self._ready.popleft()
            stream.scheduled = False
            if stream.id in self._outgoing:
                self._send_of(stream)

    def _send_of(self, stream: _Outgoing) -> None:
        if stream.can_send:
            assert self._items is not None, "there are streams"
            parts: list[Part] = stream.take(self._most)
            message = self._items.next_message(stream.id, parts)
            size = frame_size(message)
            stream.pay(size)
            ticket = self._push(stream, message, size)
            while stream.nested and stream.nested[0][0] <= stream.taken:
                self.announce(stream.nested.popleft()[1], ticket)
            if stream.became_writable():
                self._happened.append(events.StreamWritable(stream.id))
        if stream.is_over and stream.behind is None:
            self._say_end(stream)
        else:
            self._schedule(stream)

    def _say_end(self, stream: _Outgoing) -> None:
        assert self._encode is not None, "there are streams"
        params: dict[str, Any] = {"stream": stream.id}
        if stream.error is not None:
            code, text, data = stream.error
            params["error"] = {"code": code, "message": text} | ({} if data is None else {"data": data})
        try:
            message = self._encode(Notification("rpc.end", params))
        except RtcRpcError:
            # What the error tells can't travel; that the stream ended must.
            params["error"] = {
                "code": stream.error[0] if stream.error else codes.INTERNAL_ERROR,
                "message": "stream broken",
            }
            message = self._encode(Notification("rpc.end", params))
        self._push(stream, message, frame_size(message))
        self._forget(stream)

    def _push(self, stream: _Outgoing, message: bytes | str, size: int) -> int:
        ticket = self._lanes.push_call(message)
        if ticket < 0:
            self._wait_behind(stream, ticket)
        else:
            self._ahead.append((ticket, size))
            self._ahead_bytes += size
        return ticket

    def _wait_behind(self, stream: _Outgoing, ticket: int) -> None:
        stream.behind = ticket
        self._behind[stream.id] = stream

    def _schedule(self, stream: _Outgoing) -> None:
        if stream.scheduled or not stream.announced or stream.behind is not None:
            return
        if stream.can_send or stream.is_over:
            stream.scheduled = True
            self._ready.append(stream)

    def _forget(self, stream: _Outgoing) -> None:
        self._outgoing.pop(stream.id, None)
        self._unsent.discard(stream.id)
        self._behind.pop(stream.id, None)
        for _, nested in stream.nested:
            self.drop(nested)

    @property
    def _part(self) -> int:
        # Much less than a window, so that little more than a window is under way.
        return min(_PART, self._most, max(self._their_window // 4, 1))

    @property
    def _most(self) -> int:
        return room_for_items(min(_AHEAD, self._lanes.max_frame))

    # -- theirs: what the owner of the session does ------------------------------------------------------

    def stop(self, stream_id: int) -> None:
        """We want no more of a stream."""
        if self._incoming.pop(stream_id, None) is not None:
            self._say_stop(stream_id)

    def take(self, stream_id: int, size: int) -> None:
        """The program took `size` bytes of a stream."""
        stream = self._incoming.get(stream_id)
        if stream is not None and (grant := stream.take(size)):
            self._push_control("rpc.credit", {"stream": stream_id, "bytes": grant})

    @property
    def is_reading(self) -> bool:
        """Whether a stream of the other side is open."""
        return bool(self._incoming)

    # -- theirs: in --------------------------------------------------------------------------------------

    def arrive(self, streams: tuple[int, ...]) -> None:
        """These came in a message. Raises `ResourceExhausted` where they are too many: then they are stopped, and the message is not
        to be taken.
        """
        self._check(streams)
        if len(self._incoming) + len(streams) > self._max:
            self.turn_away(streams)
            raise ResourceExhausted(f"expected at most {self._max} streams of one side to be open at a time", ran=False)
        for stream_id in streams:
            self._incoming[stream_id] = IncomingStream(stream_id, self._window)
        self._happened.append(events.StreamsOpened(streams))

    def turn_away(self, streams: tuple[int, ...]) -> None:
        """These came in a message that is not taken."""
        self._check(streams)
        if self._lanes.waiting_control > _MAX_WAITING_CONTROL:
            raise ProtocolError(
                "expected stops of streams to be read, got only more of them", code=codes.RESOURCE_EXHAUSTED
            )
        for stream_id in streams:
            self._say_stop(stream_id)

    def _check(self, streams: tuple[int, ...]) -> None:
        if not self._agreed:
            raise ProtocolError("expected no streams: they were not agreed")
        if len(streams) > self._max:
            raise ProtocolError(
                f"expected at most {self._max} streams, got {len(streams)} in one message",
                code=codes.RESOURCE_EXHAUSTED,
            )
        if len(set(streams)) != len(streams) or not self._incoming.keys().isdisjoint(streams):
            raise ProtocolError("expected each stream to be sent once, got one again")

    def receive(self, method: str, params: Any, size: int) -> None:
        """A `rpc.next`, `rpc.end`, `rpc.credit` or `rpc.stop` came; `size`: the length of its envelope. Raises `ProtocolError`."""
        if not self._agreed:
            return
        stream_id = params.get("stream") if isinstance(params, dict) else None
        if type(stream_id) is not int or not 1 <= stream_id <= MAX_CREDIT:
            raise ProtocolError(f"{method}: expected the id of a stream, 1 to 2^53-1")
        if method == "rpc.next":
            self._receive_next(stream_id, params.get("items"), size)
        elif method == "rpc.end":
            self._receive_end(stream_id, params.get("error"))
        elif method == "rpc.credit":
            size = params.get("bytes")
            if type(size) is not int or not 1 <= size <= MAX_CREDIT:
                raise ProtocolError("rpc.credit: expected bytes, 1 to 2^53-1")
            if (stream := self._outgoing.get(stream_id)) is not None:
                stream.grant(size)
                self._schedule(stream)
        elif (stopped := self._outgoing.get(stream_id)) is not None and stopped.announced:
            self._forget(stopped)
            self._happened.append(events.StreamStopped(stream_id))

    def _receive_next(self, stream_id: int, items: Any, size: int) -> None:
        if type(items) is not list or not items:
            raise ProtocolError("rpc.next: expected items, a list of at least one")
        nested = streams_in(items)
        stream = self._incoming.get(stream_id)
        if stream is None:
            if nested:
                self.turn_away(nested)
            return
        stream.charge(size)
        if nested:
            try:
                self.arrive(nested)
            except ResourceExhausted as error:
                self.stop(stream_id)
                self._happened.append(events.StreamEnded(stream_id, error))
                return
        self._happened.append(events.StreamItems(stream_id, items, size))

    def _receive_end(self, stream_id: int, error: Any) -> None:
        if error is not None and (
            type(error) is not dict or type(error.get("code")) is not int or type(error.get("message")) is not str
        ):
            raise ProtocolError("rpc.end: expected the error to have a code, an integer, and a message, a text")
        if self._incoming.pop(stream_id, None) is not None:
            broke = None if error is None else error_from_wire(error["code"], error["message"], error.get("data"))
            self._happened.append(events.StreamEnded(stream_id, broke))

    def _say_stop(self, stream_id: int) -> None:
        self._push_control("rpc.stop", {"stream": stream_id})

    def _push_control(self, method: str, params: dict[str, Any]) -> None:
        assert self._encode is not None, "there are streams"
        self._lanes.push_control(self._encode(Notification(method, params)))

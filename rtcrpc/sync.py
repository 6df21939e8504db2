"""The same API without async, for scripts and notebooks: each call waits for its answer.

```
with rtcrpc.sync.join(link) as room:
    robot = room.peer("robot")
    robot.call.add(1, 2)
```

The rooms of a process share one background thread with an event loop: `async def` functions run there, `def` functions in a
pool, as ever. Everything here may be used from several threads at once, also from one whose own event loop runs: that loop then
stands still, as with any function that waits. Ctrl-C ends a wait, and cancels what was waited for on the other side too.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import functools
import inspect
import logging
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeAlias, TypeVar

from rtcrpc import limits
from rtcrpc import peer as asynchronous
from rtcrpc.core.invite import Invite
from rtcrpc.files import file as files
from rtcrpc.files.file import SyncFile as File
from rtcrpc.mesh import remote_peer as remotes
from rtcrpc.mesh import room as rooms
from rtcrpc.mesh.membership import LinkState
from rtcrpc.mesh.room import EventKind
from rtcrpc.proxy import CallNamespace, CallOptions, NotifyNamespace, Params
from rtcrpc.runtime import Errands, Runtime
from rtcrpc.service.pool import Pool
from rtcrpc.signaling.base import Member
from rtcrpc.stream import reader as streams
from rtcrpc.stream.values import put_in_place
from rtcrpc.stream.writer import Sendable, is_source
from rtcrpc.transport.base import Path
from rtcrpc.wire import PLAIN, params_to_wire

__all__ = ["File", "Peer", "RemotePeer", "Room", "RoomEvent", "Stream", "join"]

logger = logging.getLogger("rtcrpc.sync")

P = ParamSpec("P")
T = TypeVar("T")

_NO_OPTIONS = CallOptions()


class _Background:
    """The thread on whose loop the rooms of this module live. It starts with the first of them and ends with the process."""

    _shared: _Background | None = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        # The network thread first: at exit the last that was started is ended first, and leaving a room needs the network.
        Runtime.default()
        self._runtime = Runtime("rtcrpc-sync")
        self._loop = self._runtime.loop
        self._pid = os.getpid()
        self.rooms: set[rooms.Room] = set()
        """The rooms that nobody has closed; touched on the loop only."""
        atexit.register(self._end)

    @classmethod
    def shared(cls) -> _Background:
        """The one of this process. In a forked child it is a new one."""
        with cls._lock:
            if cls._shared is None or cls._shared._pid != os.getpid():
                cls._shared = cls()
            return cls._shared

    def run(self, work: Callable[[], Awaitable[T]], errands: Errands | None = None) -> T:
        """Wait for what `work` returns on the loop; what is put into `errands` runs here meanwhile."""
        self._check()
        if self._runtime.in_thread:
            raise RuntimeError(
                "rtcrpc.sync was to wait on its own thread, where async functions and async callbacks run, and would wait for "
                "itself: write them with def, or await asyncio.wrap_future(peer.submit.name(...))"
            )
        return self._runtime.run_sync(work, errands)

    def start(self, work: Callable[[], Awaitable[T]]) -> concurrent.futures.Future[T]:
        """As `run`, without the wait; cancelling the future cancels the work."""
        self._check()

        async def run() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop)

    def ask(self, fn: Callable[[], T]) -> T:
        """What `fn` returns on the loop, where whatever it looks at does not change meanwhile."""
        if self._runtime.in_thread:
            return fn()

        async def call() -> T:
            return fn()

        return self.run(call)

    def _check(self) -> None:
        reason = ""
        if self._pid != os.getpid():
            reason = (
                "this process was forked from the one that joined the room, and connections do not cross a fork: join again in "
                "the child, or start the child with the 'spawn' method of multiprocessing"
            )
        elif self._loop.is_closed():
            reason = "the program is ending, and rtcrpc.sync has ended with it: make no calls in what runs at exit"
        if reason:
            raise RuntimeError(reason)

    def _end(self) -> None:
        if self._pid != os.getpid():
            return  # The thread stayed in the parent.

        async def leave() -> None:
            await asyncio.gather(*(room.close() for room in tuple(self.rooms)), return_exceptions=True)

        try:
            self._runtime.run_sync(leave)
        finally:
            self._runtime.close()


class RemotePeer:
    """A peer of the room. It is equal to itself while links come and go; a call dials where there is no link.

    `call`: its functions, `remote.call.add(1, 2)` is the result; a stream in it is a `Stream`, and an iterator among the arguments becomes
    a stream over there. `submit`: the same without the wait,
    `remote.submit.add(1, 2)` is a `concurrent.futures.Future`, whose `cancel` cancels the call on the other side too. `notify`: the
    same without answers. `call.with_(timeout=0.5, progress=callback)` and `submit.with_(…)` set options; a `submit` calls the
    callback on the background thread.
    """

    def __init__(self, remote: remotes.RemotePeer, background: _Background) -> None:
        self._remote = remote
        self._background = background
        self.call: CallNamespace[Any] = CallNamespace(self)
        self.submit: CallNamespace[concurrent.futures.Future[Any]] = CallNamespace(_Submitter(remote, background))
        self.notify: NotifyNamespace[None] = NotifyNamespace(self)

    def __repr__(self) -> str:
        return repr(self._remote)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePeer) and other._remote is self._remote

    def __hash__(self) -> int:
        return hash(self._remote)

    @property
    def peer_id(self) -> str:
        """Its id: 43 characters, its public key (protocol section 1)."""
        return self._remote.peer_id

    @property
    def name(self) -> str:
        """What it calls itself; proves nothing."""
        return self._remote.name

    @property
    def state(self) -> LinkState:
        """How our link to it stands."""
        return self._remote.state

    @property
    def reason(self) -> str:
        """Why the link stands so, where something went wrong."""
        return self._remote.reason

    @property
    def trust(self) -> str:
        """`pinned`: its key was known beforehand; `anonymous`: only its key is known, not whose it is."""
        return self._remote.trust

    @property
    def rtt(self) -> float | None:
        """The last measured round trip of a heartbeat, in seconds; None before the first."""
        return self._remote.rtt

    def path(self) -> Path | None:
        """The way the packets take now (direct or relayed, candidate types); None without a link."""
        return self._background.run(self._remote.path)

    def discover(self, *, timeout: float | None = 10.0) -> dict[str, Any]:
        """What we may call there: an OpenRPC 1.3 document (protocol section 7). `timeout` is in seconds. Raises as `invoke` does."""
        return self._background.run(lambda: self._remote.discover(timeout=timeout))

    def invoke(self, method: str, params: Params, options: CallOptions = _NO_OPTIONS) -> Any:
        """Call `method` with params as a list (by position) or a dict (by name), and wait for the result.

        Raises what `rtcrpc.RemotePeer.invoke` does. Ctrl-C cancels the call on the other side, too, and so does an exception out of
        `options.progress`, which is called on the thread that waits.
        """
        errands: Errands | None = None
        progress = options.progress
        if progress is not None:
            errands = SimpleQueue()
            put = errands.put
            options = replace(options, progress=lambda *told: put(functools.partial(progress, *told)))
        return self._background.run(lambda: _invoke(self._remote, self._background, method, params, options), errands)

    def send_notification(self, method: str, params: Params, *, reliable: bool = True) -> None:
        """Send a notification; returns when it is in the link's queue. Raises as `invoke` does where it can't be sent."""
        self._background.run(
            lambda: self._remote.send_notification(method, params_to_wire(params, _to_async), reliable=reliable)
        )


class _Submitter:
    """The invoker behind `RemotePeer.submit`."""

    def __init__(self, remote: remotes.RemotePeer, background: _Background) -> None:
        self._remote = remote
        self._background = background

    def __repr__(self) -> str:
        return repr(self._remote)

    def invoke(self, method: str, params: Params, options: CallOptions = _NO_OPTIONS) -> concurrent.futures.Future[Any]:
        return self._background.start(lambda: _invoke(self._remote, self._background, method, params, options))


async def _invoke(
    remote: remotes.RemotePeer, background: _Background, method: str, params: Params, options: CallOptions
) -> Any:
    return _from_async(await remote.invoke(method, params_to_wire(params, _to_async), options), background)


class Stream(Iterator[T]):
    """Items as they come: `for item in stream:`. One thread at a time may take them.

    It is what a stream of the other side becomes here, wherever it stands in a result.
    It ends with the last item, with `close`, at the end of a `with` block, when nobody holds it any more, and when an error or Ctrl-C comes
    out of it. What made the items is told when they are no longer wanted.
    """

    _source: streams.Stream[T] | AsyncGenerator[T, None] | None = None

    def __init__(self, source: streams.Stream[T] | AsyncGenerator[T, None], background: _Background) -> None:
        self._background = background
        self._source = source

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __next__(self) -> T:
        source = self._source
        if source is None:
            raise StopIteration
        try:
            if not isinstance(source, streams.Stream):
                return self._background.run(source.__anext__)
            if not source.ready:
                self._background.run(source.wait)
            item: T = _from_async(next(source), self._background)
            return item
        except (StopIteration, StopAsyncIteration):
            self._source = None
        except BaseException:
            # Nobody takes up a loop that an error ended, though tracebacks may hold the stream for long.
            self._drop()
            raise
        raise StopIteration

    def close(self) -> None:
        """Want no more items; returns when what made them was told. Items that have come are dropped."""
        source, self._source = self._source, None
        if isinstance(source, streams.Stream):
            source.close()
        elif source is not None:
            self._background.run(source.aclose)

    def __del__(self) -> None:
        self._drop()

    def _drop(self) -> None:
        # Without a wait: it may be the collector that calls, on any thread.
        source, self._source = self._source, None
        if isinstance(source, streams.Stream):
            source.close()
        elif source is not None:
            with contextlib.suppress(RuntimeError):  # at the end of the program there is nobody to tell
                self._background.start(source.aclose)


def _from_async(value: Any, background: _Background) -> Any:
    """A result of the async API as it is here: its streams are iterated, its files wait."""
    if type(value) in PLAIN:
        return value

    def stream(source: streams.Stream[Any]) -> Stream[Any]:
        return Stream(source, background)

    value = put_in_place(value, streams.Stream, stream)
    return put_in_place(value, files.File, lambda file: file.sync.waits_with(stream))


def _to_async(value: Any) -> Any:
    """What of an argument the async API takes for a stream (a `rtcrpc.wire.Special`): here it is any iterator, not generators alone."""
    if is_source(value) or isinstance(value, Sendable):
        return value
    return _items_of(value) if isinstance(value, Iterator) else NotImplemented


def _items_of(source: Iterator[T]) -> Iterator[T]:
    with contextlib.ExitStack() as stack:
        if (close := getattr(source, "close", None)) is not None:
            stack.callback(close)
        yield from source


@dataclass(frozen=True, slots=True)
class RoomEvent:
    """Something happened. `peer` is None for `signaling`, whose `state` is the state of the way to the bootstrap."""

    kind: EventKind
    peer: RemotePeer | None
    reason: str = ""
    state: str = ""


Callback: TypeAlias = Callable[[RoomEvent], Awaitable[None] | None]


class Room:
    """A joined room; `with` leaves it at the end of the block. A room that nobody closed is left when the process ends."""

    def __init__(self, room: rooms.Room, background: _Background) -> None:
        self._room = room
        self._background = background
        # One thread, so that callbacks run one after the other, as events came.
        self._callbacks = Pool(1, "rtcrpc-sync-callbacks")
        self._closed = False

    def __repr__(self) -> str:
        return repr(self._room)

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The name of the room."""
        return self._room.name

    @property
    def peer_id(self) -> str:
        """Our own id."""
        return self._room.peer_id

    @property
    def own_name(self) -> str:
        """Our own name."""
        return self._room.own_name

    @property
    def signaling_state(self) -> str:
        """How the way to the bootstrap stands: `connecting`, `joined`, `reconnecting` or `closed`."""
        return self._room.signaling_state

    @property
    def peers(self) -> tuple[RemotePeer, ...]:
        """The peers we are connected to."""
        return tuple(map(self._wrap, self._background.ask(lambda: self._room.peers)))

    @property
    def members(self) -> tuple[Member, ...]:
        """Those whom the bootstrap says are in the room; their names prove nothing."""
        return self._background.ask(lambda: self._room.members)

    def peer(self, name_or_id: str | None = None, *, timeout: float = limits.DIAL_SECONDS) -> RemotePeer:
        """The peer of that name or id, connected; waits up to `timeout` seconds for it to come and to answer.

        Without an argument: the pinned peer, or the only other one in the room. Raises what `rtcrpc.Room.peer` does.
        """
        return self._wrap(self._background.run(lambda: self._room.peer(name_or_id, timeout=timeout)))

    def on(self, kind: EventKind, callback: Callback) -> Callable[[], None]:
        """Call `callback(event)` at each event of `kind`; the value returned takes it off again.

        Callbacks of a room run one after the other on a thread of their own, where they may make calls and wait; an `async def` one
        runs on the background loop.
        """

        async def tell_async(event: rooms.RoomEvent) -> None:
            outcome = callback(self._event(event))
            if inspect.isawaitable(outcome):
                await outcome

        def tell(event: rooms.RoomEvent) -> None:
            if not self._closed:
                self._callbacks.submit(self._call_back, callback, self._event(event))

        told = tell_async if inspect.iscoroutinefunction(callback) else tell
        off = self._background.ask(lambda: self._room.on(kind, told))
        return lambda: self._background.ask(off)

    def events(self) -> Stream[RoomEvent]:
        """Every event from this call on, until the room is closed: `for event in room.events():`."""
        source = self._background.ask(self._room.events)

        async def events() -> AsyncGenerator[RoomEvent, None]:
            async for event in source:
                yield self._event(event)

        return Stream(events(), self._background)

    def close(self, reason: str = "closed") -> None:
        """Leave the room. Answers under way still go out, for `DRAIN_SECONDS` at most, every peer is told, and calls of ours that
        are open end with `ConnectionLost`. Called again it waits for the same end.
        """
        self._background.run(lambda: self._close(reason))

    async def _close(self, reason: str) -> None:
        try:
            await self._room.close(reason)
        finally:
            self._background.rooms.discard(self._room)
            if not self._closed:
                self._closed = True
                # After the last event, so that all that happened is told.
                self._callbacks.submit(self._callbacks.close)

    def _call_back(self, callback: Callback, event: RoomEvent) -> None:
        try:
            outcome = callback(event)
            if inspect.isawaitable(outcome):
                self._background.run(lambda: outcome)
        except Exception:
            logger.exception("a %r callback of the room failed", event.kind)

    def _wrap(self, remote: remotes.RemotePeer) -> RemotePeer:
        return RemotePeer(remote, self._background)

    def _event(self, event: rooms.RoomEvent) -> RoomEvent:
        peer = None if event.peer is None else self._wrap(event.peer)
        return RoomEvent(event.kind, peer, event.reason, event.state)


class Peer(asynchronous.BasePeer):
    """A peer for programs without an event loop. The arguments are those of `rtcrpc.Peer`."""

    def join(
        self,
        where: str | Invite,
        *,
        pin: str | Iterable[str] | None = None,
        token: str | None = None,
        bootstrap_token: str | None = None,
    ) -> Room:
        """Join a room: `with peer.join(link) as room:`, or `room = peer.join(link)`.

        Arguments and errors are those of `rtcrpc.Peer.join`.
        """
        return _enter(asynchronous.Joining(self, where, pin, token, bootstrap_token))


def _enter(joining: asynchronous.Joining) -> Room:
    background = _Background.shared()
    joined: list[rooms.Room] = []

    async def enter() -> rooms.Room:
        room = await joining
        joined.append(room)
        background.rooms.add(room)
        return room

    try:
        return Room(background.run(enter), background)
    except BaseException:
        # Ctrl-C may come just when the room was joined: then there is something to leave.
        for room in joined:
            background.start(functools.partial(Room(room, background)._close, "the room was not joined"))
        raise


def _waiting(join: Callable[P, asynchronous.Joining]) -> Callable[P, Room]:
    """The function with the same arguments that waits until the room is joined."""

    @functools.wraps(join)
    def waiting(*args: P.args, **kwargs: P.kwargs) -> Room:
        return _enter(join(*args, **kwargs))

    waiting.__doc__ = "Join a room as a new `Peer` made of the arguments: `with rtcrpc.sync.join(link) as room:`."
    waiting.__module__ = __name__
    waiting.__dict__["__signature__"] = inspect.signature(join).replace(return_annotation="Room")
    return waiting


join = _waiting(asynchronous.join)
"""Join a room as a new `Peer` made of the arguments: `with rtcrpc.sync.join(link) as room:`."""

"""A room, as a user holds it: who is there, who is connected, what happens."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from rtcrpc import limits
from rtcrpc.errors import ConnectionLost
from rtcrpc.link import Link
from rtcrpc.mesh.driver import RoomDriver
from rtcrpc.mesh.membership import Entry, LinkState
from rtcrpc.mesh.remote_peer import RemotePeer
from rtcrpc.runtime import Mailbox, Runtime
from rtcrpc.signaling.base import Member
from rtcrpc.stream.writer import Submits

__all__ = ["EventKind", "Room", "RoomEvent"]

logger = logging.getLogger("rtcrpc.room")

EventKind: TypeAlias = Literal[
    "joined", "left", "connecting", "connected", "disconnected", "failed", "closed", "signaling"
]
_KINDS: frozenset[str] = frozenset(get_args(EventKind))
_LINKED = (LinkState.CONNECTING, LinkState.CONNECTED)


@dataclass(frozen=True, slots=True)
class RoomEvent:
    """Something happened. `peer` is None for `signaling`, whose `state` is the state of the way to the bootstrap."""

    kind: EventKind
    peer: RemotePeer | None
    reason: str = ""
    state: str = ""


Callback: TypeAlias = Callable[[RoomEvent], Awaitable[None] | None]


class _EventStream:
    """The events of a room from the moment it was made, for `async for`."""

    def __init__(self) -> None:
        self._events: deque[RoomEvent] = deque()
        self._wake = asyncio.Event()
        self._ended = False

    def put(self, event: RoomEvent) -> None:
        self._events.append(event)
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    def __aiter__(self) -> _EventStream:
        return self

    async def __anext__(self) -> RoomEvent:
        while not self._events:
            if self._ended:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()


class Room:
    """A joined room. Its methods, callbacks and iterators belong to the loop it was joined on.

    `joined` and `left` say who is in the room; `connecting`, `connected`, `disconnected`, `failed` and `closed` say how our link to a
    peer stands; `signaling` how the way to the bootstrap stands.
    """

    def __init__(self, name: str, own_id: str, own_name: str, runtime: Runtime, pool: Submits | None = None) -> None:
        self.name = name
        self.peer_id = own_id
        self.own_name = own_name
        self.signaling_state = "connecting"
        self._runtime = runtime
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._mailboxes: dict[asyncio.AbstractEventLoop, Mailbox] = {}
        self._mailboxes_lock = threading.Lock()
        self._mailbox = self._mailbox_of(self._loop)
        self._driver: RoomDriver | None = None
        # Those in the room or linked; and all that somebody still holds, so that a peer that comes back is the same object.
        self._remotes: dict[str, RemotePeer] = {}
        self._known: weakref.WeakValueDictionary[str, RemotePeer] = weakref.WeakValueDictionary()
        self._members: dict[str, Member] = {}
        self._callbacks: dict[str, list[Callback]] = {kind: [] for kind in _KINDS}
        self._streams: weakref.WeakSet[_EventStream] = weakref.WeakSet()
        self._callback_tasks: set[asyncio.Task[None]] = set()
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._closing: asyncio.Task[None] | None = None
        self._awaiting_close: set[asyncio.Task[Any] | None] = set()

    def __repr__(self) -> str:
        return f"<Room {self.name!r} as {self.own_name!r}, {len(self.peers)} connected>"

    async def __aenter__(self) -> Room:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    # -- who is there ------------------------------------------------------------------------------------

    @property
    def peers(self) -> tuple[RemotePeer, ...]:
        """The peers we are connected to."""
        return tuple(p for p in self._remotes.values() if p.state is LinkState.CONNECTED)

    @property
    def members(self) -> tuple[Member, ...]:
        """Those whom the bootstrap says are in the room; their names prove nothing."""
        return tuple(self._members.values())

    async def peer(self, name_or_id: str | None = None, *, timeout: float = limits.DIAL_SECONDS) -> RemotePeer:
        """The peer of that name or id, connected; waits up to `timeout` seconds for it to come and to answer.

        Without an argument: the pinned peer, or the only other one in the room. Raises `Unavailable` when nobody came or
        nothing answered, `IdentityMismatch` when the name is there with a key other than the pinned one, `HandshakeError`
        when the other can't prove its key or the bootstrap changed what the two said, `ConnectionLost` when the room is closed.
        """
        driver = self._driver
        if driver is None or self._closing is not None:
            raise ConnectionLost("the room is closed: join it again", ran=False)
        peer_id, name = await self._runtime.run(self._find_and_connect(driver, name_or_id, timeout))
        return self._remote(peer_id, name)

    async def close(self, reason: str = "closed") -> None:
        """Leave the room. Answers under way still go out, for `DRAIN_SECONDS` at most, every peer is told, and calls of ours that
        are open end with `ConnectionLost`. Called again it waits for the same end.
        """
        if self._closing is None:
            self._closing = self._loop.create_task(self._close(reason), name="rtcrpc room closing")
        current = asyncio.current_task()
        self._awaiting_close.add(current)
        try:
            # Shielded: a function that closes the room it is called through is cancelled by that very close.
            await asyncio.shield(self._closing)
        finally:
            self._awaiting_close.discard(current)

    async def _close(self, reason: str) -> None:
        try:
            if self._driver is not None:
                await self._runtime.run(self._driver.close(reason))
        finally:
            for closer in self._closers:
                await closer()
            for stream in tuple(self._streams):
                stream.end()
            # Callbacks that wait for this end can't be waited for.
            if tasks := {task for task in self._callback_tasks if task not in self._awaiting_close}:
                _, late = await asyncio.wait(tasks, timeout=limits.DRAIN_SECONDS)
                for task in late - self._awaiting_close:
                    logger.warning(
                        "a callback of the room was still running %g s after it was closed", limits.DRAIN_SECONDS
                    )
                    task.cancel()

    # -- what happens ------------------------------------------------------------------------------------

    def on(self, kind: EventKind, callback: Callback) -> Callable[[], None]:
        """Call `callback(event)`, which may be async, at each event of `kind`; the value returned takes it off again."""
        if kind not in _KINDS:
            raise ValueError(f"kind: expected one of {', '.join(sorted(_KINDS))}; got {kind!r}")
        callbacks = self._callbacks[kind]
        callbacks.append(callback)

        def off() -> None:
            if callback in callbacks:
                callbacks.remove(callback)

        return off

    def events(self) -> AsyncIterator[RoomEvent]:
        """Every event from this call on, until the room is closed: `async for event in room.events():`."""
        stream = _EventStream()
        if self._closing is not None and self._closing.done():
            stream.end()
        self._streams.add(stream)
        return stream

    def _emit(self, event: RoomEvent) -> None:
        for stream in tuple(self._streams):
            stream.put(event)
        for callback in tuple(self._callbacks[event.kind]):
            try:
                outcome = callback(event)
            except Exception:
                logger.exception("a %r callback of the room failed", event.kind)
                continue
            if inspect.isawaitable(outcome):
                task = self._loop.create_task(self._await(event.kind, outcome))
                self._callback_tasks.add(task)
                task.add_done_callback(self._callback_tasks.discard)

    @staticmethod
    async def _await(kind: str, outcome: Awaitable[None]) -> None:
        try:
            await outcome
        except Exception:
            logger.exception("a %r callback of the room failed", kind)

    # -- on the network loop (mesh.driver.RoomObserver) --------------------------------------------------

    async def open(
        self, make_driver: Callable[[Room], RoomDriver], closers: list[Callable[[], Awaitable[None]]]
    ) -> None:
        """Make the network half and join; `closers` run after the room is closed. Used by `rtcrpc.peer.Peer`."""
        self._closers = closers

        async def begin() -> None:
            self._driver = make_driver(self)
            await self._driver.open()

        try:
            await self._runtime.run(begin())
        except BaseException:
            # A cancellation may come just when the room was joined: then there is something to leave.
            await self.close("the room was not joined")
            raise

    @staticmethod
    async def _find_and_connect(driver: RoomDriver, wanted: str | None, timeout: float) -> tuple[str, str]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        entry = await driver.find(wanted, timeout)
        link = await driver.connect(entry.peer_id, max(deadline - loop.time(), 0.001))
        return entry.peer_id, link.remote.name if link.remote is not None else entry.name

    def member_changed(self, entry: Entry, kind: str) -> None:
        """A peer came in or went (called by the driver)."""
        self._mailbox.post(self._take_member, kind, entry.member)

    def link_changed(self, entry: Entry, link: Link | None) -> None:
        """The link to a peer changed (called by the driver)."""
        self._mailbox.post(self._take_link, entry.member, entry.state, entry.reason, link)

    def signaling_changed(self, state: str, reason: str) -> None:
        """The way to the bootstrap changed (called by the driver)."""
        self._mailbox.post(self._take_signaling, state, reason)

    # -- and what comes of it here -----------------------------------------------------------------------

    def _take_member(self, kind: EventKind, member: Member) -> None:
        remote = self._remote(member.peer_id, member.name)
        if kind == "joined":
            self._members[member.peer_id] = member
            remote.name = member.name
        else:
            self._members.pop(member.peer_id, None)
        self._keep_or_let_go(remote)
        self._emit(RoomEvent(kind, remote))

    def _take_link(self, member: Member, state: LinkState, reason: str, link: Link | None) -> None:
        remote = self._remote(member.peer_id, member.name)
        remote.update(member.name, state, reason, link)
        self._keep_or_let_go(remote)
        kind: EventKind = state.value  # type: ignore[assignment]  # all states but NEW, which is never told, are kinds
        self._emit(RoomEvent(kind, remote, reason))

    def _take_signaling(self, state: str, reason: str) -> None:
        self.signaling_state = state
        self._emit(RoomEvent("signaling", None, reason, state))

    def _keep_or_let_go(self, remote: RemotePeer) -> None:
        if remote.peer_id in self._members or remote.state in _LINKED:
            self._remotes[remote.peer_id] = remote
        else:
            self._remotes.pop(remote.peer_id, None)

    def _remote(self, peer_id: str, name: str) -> RemotePeer:
        remote = self._known.get(peer_id)
        if remote is None:
            assert self._driver is not None, "there are no peers before there is a driver"
            remote = self._known[peer_id] = RemotePeer(
                peer_id,
                name,
                driver=self._driver,
                runtime=self._runtime,
                mailbox_of=self._mailbox_of,
                pool=self._pool,
            )
        return remote

    def _mailbox_of(self, loop: asyncio.AbstractEventLoop) -> Mailbox:
        """The mailbox of any loop on which a call was made; called on that loop."""
        mailbox = self._mailboxes.get(loop)
        if mailbox is None:
            with self._mailboxes_lock:
                # Who runs a loop for each call must not make us collect them.
                self._mailboxes = {known: box for known, box in self._mailboxes.items() if not known.is_closed()}
                mailbox = self._mailboxes[loop] = self._runtime.mailbox(loop)
        return mailbox

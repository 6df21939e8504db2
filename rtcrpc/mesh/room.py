"""A room, as a user holds it: who is there, who is connected, what happens."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rtcrpc import limits
from rtcrpc.link import Link
from rtcrpc.mesh.driver import RoomDriver
from rtcrpc.mesh.membership import Entry, LinkState
from rtcrpc.mesh.remote_peer import RemotePeer
from rtcrpc.runtime import Mailbox, Runtime
from rtcrpc.signaling.base import Member

__all__ = ["EventKind", "Room", "RoomEvent"]

logger = logging.getLogger("rtcrpc.room")

EventKind: TypeAlias = Literal["joined", "left", "connecting", "connected", "disconnected", "failed", "closed", "signaling"]
_KINDS: frozenset[str] = frozenset(EventKind.__args__)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class RoomEvent:
    """Something happened. `peer` is None for `signaling`, whose `state` is the state of the way to the bootstrap."""

    kind: EventKind
    peer: RemotePeer | None
    reason: str = ""
    state: str = ""


Callback: TypeAlias = Callable[[RoomEvent], Awaitable[None] | None]


class Room:
    """A joined room. Its methods, callbacks and iterators belong to the loop it was joined on.

    `joined` and `left` say who is in the room; `connected`, `disconnected` and `failed` say how our link to a peer stands.
    """

    def __init__(self, name: str, own_id: str, own_name: str, runtime: Runtime) -> None:
        self.name = name
        self.peer_id = own_id
        self.own_name = own_name
        self.signaling_state = "connecting"
        self._runtime = runtime
        self._loop = asyncio.get_running_loop()
        self._mailboxes: dict[asyncio.AbstractEventLoop, Mailbox] = {}
        self._mailbox = self._mailbox_of(self._loop)
        self._driver: RoomDriver | None = None
        self._remotes: dict[str, RemotePeer] = {}
        self._members: dict[str, Member] = {}
        self._callbacks: dict[str, list[Callback]] = {kind: [] for kind in _KINDS}
        self._queues: set[asyncio.Queue[RoomEvent | None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closers: list[Callable[[], Awaitable[None]]] = []

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
        nothing answered, `IdentityMismatch` when the name is there with a key other than the pinned one.
        """
        remote = await self._runtime.run(self._find_and_connect(name_or_id, timeout))
        return remote

    async def close(self, reason: str = "closed") -> None:
        """Leave the room: calls under way are drained, every peer is told. May be called twice."""
        driver, self._driver = self._driver, None
        if driver is not None:
            await self._runtime.run(driver.close(reason))
            for closer in self._closers:
                await closer()
            for queue in self._queues:
                queue.put_nowait(None)
            for task in tuple(self._tasks):
                await asyncio.gather(task, return_exceptions=True)

    # -- what happens ------------------------------------------------------------------------------------

    def on(self, kind: EventKind, callback: Callback) -> Callable[[], None]:
        """Call `callback(event)`, which may be async, at each event of `kind`; the value returned takes it off again."""
        if kind not in _KINDS:
            raise ValueError(f"kind: expected one of {', '.join(sorted(_KINDS))}; got {kind!r}")
        self._callbacks[kind].append(callback)
        return lambda: self._callbacks[kind].remove(callback)

    async def events(self) -> AsyncIterator[RoomEvent]:
        """Every event from now on, until the room is closed."""
        queue: asyncio.Queue[RoomEvent | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._queues.discard(queue)

    def _emit(self, event: RoomEvent) -> None:
        for queue in self._queues:
            queue.put_nowait(event)
        for callback in tuple(self._callbacks[event.kind]):
            try:
                outcome = callback(event)
            except Exception:
                logger.exception("a %r callback of the room failed", event.kind)
                continue
            if inspect.isawaitable(outcome):
                task = self._loop.create_task(self._await(event.kind, outcome))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _await(kind: str, outcome: Awaitable[None]) -> None:
        try:
            await outcome
        except Exception:
            logger.exception("a %r callback of the room failed", kind)

    # -- on the network loop -----------------------------------------------------------------------------

    async def open(self, make_driver: Callable[[Room], RoomDriver], closers: list[Callable[[], Awaitable[None]]]) -> None:
        """Make the network half and join; `closers` run after the room is closed. Used by `rtcrpc.peer.Peer`."""
        self._closers = closers

        async def begin() -> None:
            self._driver = make_driver(self)
            await self._driver.open()

        try:
            await self._runtime.run(begin())
        except BaseException:
            self._driver = None
            for closer in closers:
                await closer()
            raise

    async def _find_and_connect(self, wanted: str | None, timeout: float) -> RemotePeer:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        driver = self._driver
        if driver is None:
            raise RuntimeError("the room is closed: join again")
        entry = await driver.find(wanted, timeout)
        await driver.connect(entry.peer_id, max(deadline - loop.time(), 0.001))
        return self._remote(entry)

    def member_changed(self, entry: Entry, kind: str) -> None:
        """A peer came in or went (called by the driver)."""
        self._mailbox.post(self._take_member, kind, entry.member, self._remote(entry))

    def link_changed(self, entry: Entry, link: Link | None) -> None:
        """The link to a peer changed (called by the driver)."""
        remote = self._remote(entry)
        remote.name = entry.name or remote.name
        remote.state, remote.reason = entry.state, entry.reason
        remote.set_link(link)
        self._mailbox.post(self._emit, RoomEvent(entry.state.value, remote, entry.reason))  # type: ignore[arg-type]

    def signaling_changed(self, state: str, reason: str) -> None:
        """The way to the bootstrap changed (called by the driver)."""
        self.signaling_state = state
        self._mailbox.post(self._emit, RoomEvent("signaling", None, reason, state))

    def _take_member(self, kind: EventKind, member: Member, remote: RemotePeer) -> None:
        if kind == "joined":
            self._members[member.peer_id] = member
        else:
            self._members.pop(member.peer_id, None)
        self._emit(RoomEvent(kind, remote))

    def _remote(self, entry: Entry) -> RemotePeer:
        remote = self._remotes.get(entry.peer_id)
        if remote is None:
            assert self._driver is not None, "remotes are made by the driver's own events"
            remote = self._remotes[entry.peer_id] = RemotePeer(
                entry.peer_id, entry.name, driver=self._driver, runtime=self._runtime, mailbox_of=self._mailbox_of
            )
        return remote

    def _mailbox_of(self, loop: asyncio.AbstractEventLoop) -> Mailbox:
        mailbox = self._mailboxes.get(loop)
        if mailbox is None:
            mailbox = self._mailboxes[loop] = Mailbox(loop)
        return mailbox

"""A bootstrap and the ways to it, in memory: the real state machines of both ends, on whatever clock the loop has.

What is a double here is only the WebSocket: texts take time, signals may be lost on the way, the bootstrap may go away and come
back. All chance comes from one seed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

from rtcrpc.bootstrap.config import BootstrapConfig
from rtcrpc.bootstrap.rooms import Action, Close, Deliver, Rooms, RoomSocket
from rtcrpc.core.identity import Identity
from rtcrpc.errors import SignalingError
from rtcrpc.runtime import Mailbox
from rtcrpc.signaling.base import Joined, Signal, SignalingEvents
from rtcrpc.signaling.session import (
    BootstrapBroke,
    JoinRefused,
    MemberJoined,
    MemberLeft,
    SignalForged,
    SignalingSession,
)

AUTHORITY = "hub.example"


class LoopRuntime:
    """A `rtcrpc.runtime.Runtime` whose network loop is the loop of the test: no thread, so that its clock may be virtual."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._mailbox = Mailbox(self.loop)

    def mailbox(self, loop: asyncio.AbstractEventLoop | None = None) -> Mailbox:
        return self._mailbox if loop is None else Mailbox(loop)

    async def run(self, coro: Any) -> Any:
        return await coro


class Hub:
    """The bootstrap. `delay` and `jitter` are seconds one way; `loss` is the chance that an `rpc.signal` is lost at the server."""

    def __init__(self, seed: int = 0, *, delay: float = 0.01, jitter: float = 0.02, loss: float = 0.0) -> None:
        self.delay = delay
        self.jitter = jitter
        self.loss = loss
        self.random = random.Random(seed)
        self.running = True
        self.signals: list[tuple[str, str]] = []
        """What was passed on: the raw texts that went to a peer, with its id."""
        self.tamper: Callable[[str], str] = lambda text: text
        self._rooms = self._make_rooms()
        self._sockets: dict[RoomSocket, HubSignaling] = {}

    def _make_rooms(self) -> Rooms:
        # A burst of signals is what these tests are about: no rate limit gets in their way.
        config = BootstrapConfig(message_rate=1e6, message_burst=1e6)
        return Rooms(config, self.random.randbytes)

    def signaling(self, identity: Identity, name: str, room: str) -> Callable[[SignalingEvents], HubSignaling]:
        """What a room driver is made with."""
        return lambda events: HubSignaling(self, identity, name, room, events)

    def stop(self) -> None:
        """Go away: every connection is lost, nobody can join."""
        self.running = False
        for signaling in tuple(self._sockets.values()):
            signaling.lost()
        self._sockets.clear()
        self._rooms = self._make_rooms()

    def start(self) -> None:
        """Come back, with nobody in any room."""
        self.running = True

    # -- for HubSignaling --------------------------------------------------------------------------------

    def connect(self, signaling: HubSignaling, room: str) -> RoomSocket:
        loop = asyncio.get_running_loop()
        socket, actions = self._rooms.connect(room, AUTHORITY, loop.time())
        self._sockets[socket] = signaling
        asyncio.get_running_loop().call_soon(self._perform, actions)
        return socket

    def receive(self, socket: RoomSocket, text: str) -> None:
        if socket in self._sockets:
            self._perform(self._rooms.receive_text(socket, text, asyncio.get_running_loop().time()))

    def disconnect(self, socket: RoomSocket) -> None:
        if self._sockets.pop(socket, None) is not None:
            self._perform(self._rooms.disconnected(socket))

    def wait(self) -> float:
        return self.delay + self.jitter * self.random.random()

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            signaling = self._sockets.get(action.socket)
            if signaling is None:
                continue
            match action:
                case Deliver(text=text):
                    if '"rpc.signal"' in text:
                        if self.random.random() < self.loss:
                            continue
                        self.signals.append((signaling.peer_id, text))
                        text = self.tamper(text)
                    signaling.carry(text)
                case Close():
                    del self._sockets[action.socket]
                    signaling.lost()


class HubSignaling:
    """A `Signaling` over a hub: it rejoins until it is closed, like the one over WebSockets."""

    def __init__(self, hub: Hub, identity: Identity, name: str, room: str, events: SignalingEvents) -> None:
        self.peer_id = identity.peer_id
        self.session = SignalingSession(identity, name, room, AUTHORITY)
        self._hub = hub
        self._room = room
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._socket: RoomSocket | None = None
        self._first: asyncio.Future[Joined] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._last_arrival = {"up": 0.0, "down": 0.0}
        self._closed = False

    async def join(self) -> Joined:
        self._events.signaling_state("connecting", "")
        if not self._hub.running:
            self._closed = True
            self._events.signaling_state("closed", "the hub is away")
            raise SignalingError("can't reach the hub")
        self._connect()
        return await self._first

    def send_signal(self, to: str, attempt: str, payload: Mapping[str, Any]) -> None:
        if self._closed:
            raise SignalingError("the signal was not sent: this room's signaling is closed")
        self.session.send_signal(to, attempt, payload, self._loop.time())
        self._flush()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.session.leave()
        self._flush()
        if self._socket is not None:
            self._later("up", self._hub.disconnect, self._socket)
        for timer in (self._timer, self._retry):
            if timer is not None:
                timer.cancel()
        self._events.signaling_state("closed", "closed on this side")
        if not self._first.done():
            self._first.cancel()

    # -- the way to the hub: in order, with a delay ------------------------------------------------------

    def _connect(self) -> None:
        self.session.connection_made()
        self._socket = self._hub.connect(self, self._room)

    def _later(self, way: str, fn: Callable[..., None], *args: Any) -> None:
        at = max(self._loop.time() + self._hub.wait(), self._last_arrival[way] + 1e-6)
        self._last_arrival[way] = at
        self._loop.call_at(at, fn, *args)

    def _flush(self) -> None:
        for text in self.session.data_to_send():
            if self._socket is not None:
                self._later("up", self._hub.receive, self._socket, text)

    def carry(self, text: str) -> None:
        """The hub sends us a text."""
        self._later("down", self._arrive, self._socket, text)

    def _arrive(self, socket: RoomSocket | None, text: str) -> None:
        if self._closed or socket is not self._socket:
            return
        self.session.receive_text(text, self._loop.time())
        self._deliver()
        self._flush()
        self._set_timer()

    def lost(self) -> None:
        """The connection to the hub is gone."""
        self._socket = None
        self.session.connection_lost()
        self._set_timer()
        if not self._closed:
            self._events.signaling_state("reconnecting", "the hub went away")
            self._retry = self._loop.call_later(0.5 + self._hub.random.random(), self._try_again)

    def _try_again(self) -> None:
        if self._closed:
            return
        if self._hub.running:
            self._connect()
        else:
            self._retry = self._loop.call_later(0.5 + self._hub.random.random(), self._try_again)

    # -- what the session says ---------------------------------------------------------------------------

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        at = self.session.next_tick()
        self._timer = None if at is None or self._closed else self._loop.call_at(at, self._tick, at)

    def _tick(self, at: float) -> None:
        self.session.tick(at)
        self._deliver()
        self._set_timer()

    def _deliver(self) -> None:
        for event in self.session.events_received():
            match event:
                case Joined():
                    self._events.signaling_state("joined", "")
                    self._events.joined(event)
                    if not self._first.done():
                        self._first.set_result(event)
                case MemberJoined(member):
                    self._events.peer_joined(member)
                case MemberLeft(peer_id):
                    self._events.peer_left(peer_id)
                case Signal():
                    self._events.signal_received(event)
                case SignalForged(sender, attempt, kind):
                    self._events.signal_forged(sender, attempt, kind)
                case JoinRefused(message=reason) | BootstrapBroke(reason):
                    raise AssertionError(f"the hub and its client disagree: {reason}")

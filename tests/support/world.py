"""Whole rooms in memory: peers on a network that may lose and delay, a hub that introduces them, one virtual clock, one seed."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any

from rtcrpc import OpenPolicy, Peer, Registry, Room
from rtcrpc.core.identity import Identity
from rtcrpc.service.policy import Policy
from rtcrpc.transport.memory import MemoryNetwork
from support.hub import Hub, HubSignaling, LoopRuntime
from support.sessions import identity

__all__ = ["Member", "World"]


class Member:
    """One peer in the room, with a function that counts how often each argument was seen."""

    def __init__(self, name: str, key: Identity) -> None:
        self.name = name
        self.identity = key
        self.room: Room
        self.signaling: HubSignaling
        self.seen: list[Any] = []
        self.cancelled: list[Any] = []
        self.gate = asyncio.Event()
        self.registry = Registry()

        @self.registry.expose
        async def note(value: Any) -> Any:
            """Remember the value, and give it back."""
            self.seen.append(value)
            return value

        @self.registry.expose
        async def wait(value: Any) -> Any:
            """The same once the gate opens."""
            self.seen.append(value)
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled.append(value)
                raise
            return value

    @property
    def peer_id(self) -> str:
        return self.identity.peer_id

    @property
    def driver(self) -> Any:
        return self.room._driver


class World:
    """Use it with `async with`: at the end it closes every room, and nothing may be left of any."""

    def __init__(self, seed: int = 0, *, network: dict[str, Any] | None = None, **hub: Any) -> None:
        self.random = random.Random(seed)
        self._keys = itertools.count(1_000_000 + 1000 * seed)
        self.hub = Hub(seed, **hub)
        self.network = MemoryNetwork(seed, **(network or {"delay": 0.01, "jitter": 0.01}))
        self.members: list[Member] = []
        self._loop_errors: list[dict[str, Any]] = []

    async def join(
        self,
        name: str,
        key: Identity | None = None,
        *,
        pins: Iterable[str] = (),
        token: str | None = None,
        policy: Policy | None = None,
        prepare: Callable[[Member], None] | None = None,
    ) -> Member:
        member = Member(name, key or identity(next(self._keys)))
        if prepare is not None:
            prepare(member)
        peer = Peer(
            identity=member.identity,
            name=name,
            registry=member.registry,
            policy=policy or OpenPolicy(),
            transport=self.network.transport(name),
            runtime=LoopRuntime(),  # type: ignore[arg-type]
        )

        def make_signaling(events: Any) -> HubSignaling:
            member.signaling = self.hub.signaling(member.identity, name, "lab")(events)
            return member.signaling

        member.room = await peer._enter("lab", frozenset(pins), token, make_signaling)
        self.members.append(member)
        return member

    def crash(self, member: Member) -> None:
        """The machine of a member loses power: nobody is told, and what ran there is no more."""
        self.network.crash(member.name)
        self.members.remove(member)
        signaling = member.signaling
        signaling._closed = True
        for timer in (signaling._timer, signaling._retry):
            if timer is not None:
                timer.cancel()
        # Its end of the WebSocket is gone as well; the hub notices, as a server does by its pings, later.
        if signaling._socket is not None:
            asyncio.get_running_loop().call_later(5.0, self.hub.disconnect, signaling._socket)
        # What is left in this process of the program that died.
        driver = member.driver
        driver._observer = _Deaf()
        self._dead.append(member)

    async def __aenter__(self) -> World:
        self._dead: list[Member] = []
        self._before = asyncio.all_tasks()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self._loop_errors.append(context))
        return self

    async def __aexit__(self, kind: object, *exc: object) -> None:
        await asyncio.gather(*(member.room.close() for member in (*self.members, *self._dead)))
        if kind is not None:
            return
        await asyncio.sleep(60.0)  # of virtual time: whatever timer there is has come up
        assert self._loop_errors == []
        assert {task.get_coro() for task in asyncio.all_tasks() - self._before} == set()
        assert self.network._endpoints == {}
        for member in self.members:
            driver = member.driver
            assert (driver._links, driver._tasks, driver._arrivals) == (set(), set(), set())
            assert all(dialer.idle for dialer in driver._dialers.values())
            assert member.room.peers == ()


class _Deaf:
    """Hears nothing."""

    def member_changed(self, *_: object) -> None: ...

    def link_changed(self, *_: object) -> None: ...

    def signaling_changed(self, *_: object) -> None: ...

"""What the dispatcher makes of notifications that came over the lossy channel."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import rtcrpc
from rtcrpc.core.events import NotificationReceived
from rtcrpc.errors import ExposeError
from rtcrpc.runtime import Runtime
from rtcrpc.service.context import Caller
from rtcrpc.service.dispatch import Dispatcher
from rtcrpc.service.policy import Decision, OpenPolicy
from rtcrpc.service.registry import Registry

BOUND = 10.0


class Link:
    """A caller to whom nothing is answered."""

    def __init__(self, name: str = "p") -> None:
        self.caller: Caller | None = Caller(name * 43, "page", "pinned", "lab")

    def respond(self, *answer: Any) -> None:
        raise AssertionError(f"a notification was answered: {answer}")

    respond_error = report_progress = respond


class Moody(OpenPolicy):
    """Allows until it is told not to."""

    allows = True

    def decide(self, caller: Caller, method: str) -> Decision:
        return super().decide(caller, method) if self.allows else Decision(False, -32002, "not now")


class Service:
    """A dispatcher on a real network thread, used as a link uses it."""

    def __init__(self, runtime: Runtime, registry: Registry, policy: OpenPolicy) -> None:
        self.runtime = runtime
        self.dispatcher = Dispatcher(registry, policy, runtime=runtime, user_loop=asyncio.get_running_loop())

    def tell(self, link: Link, method: str, *params: Any) -> None:
        note = NotificationReceived(method, list(params), {"seq": 1})
        self.runtime.call_soon(self.dispatcher.dispatch_lossy, link, note)

    async def settle(self) -> None:
        """Until what was handed to the network thread so far has been done."""

        async def nothing() -> None:
            await asyncio.sleep(0)

        await self.runtime.run(nothing())

    async def empty(self) -> bool:
        """Whether no record of anything is left; waits for what is on its way."""
        d = self.dispatcher
        async with asyncio.timeout(BOUND):
            while d._live or d._open or d._load or d._lossy or d._lossy_calls:
                await self.settle()
        return True


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with Runtime("test-network") as made:
        yield made


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def policy() -> Moody:
    return Moody()


@pytest.fixture
async def service(runtime: Runtime, registry: Registry, policy: Moody) -> AsyncIterator[Service]:
    made = Service(runtime, registry, policy)
    yield made
    await made.dispatcher.close()


class Steps:
    """A function of either kind that waits for its gate, and what it was told."""

    def __init__(self, kind: str, registry: Registry) -> None:
        self.kind = kind
        self.told: list[Any] = []
        self.running = 0
        self.most = 0
        self.begun: asyncio.Queue[Any] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._gate, self._thread_gate = asyncio.Semaphore(0), threading.Semaphore(0)
        function = self.on_loop if kind == "async" else self.in_pool
        registry.expose(function, name="pose", reliable=False)

    def _begin(self, value: Any) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        self.told.append(value)
        self._loop.call_soon_threadsafe(self.begun.put_nowait, value)

    async def on_loop(self, value: int) -> None:
        self._begin(value)
        await self._gate.acquire()
        self.running -= 1

    def in_pool(self, value: int) -> None:
        self._begin(value)
        self._thread_gate.acquire(timeout=BOUND)
        self.running -= 1

    def let_go(self, times: int = 1) -> None:
        for _ in range(times):
            self._gate.release()
            self._thread_gate.release()

    async def next(self) -> Any:
        return await asyncio.wait_for(self.begun.get(), BOUND)


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_while_one_runs_the_newest_waits(service: Service, registry: Registry, kind: str) -> None:
    steps, link = Steps(kind, registry), Link()
    service.tell(link, "pose", 0)
    assert await steps.next() == 0
    for number in range(1, 1000):
        service.tell(link, "pose", number)
    await service.settle()
    assert len(service.dispatcher._live) == 1
    steps.let_go()
    assert await steps.next() == 999
    service.tell(link, "pose", 1000)
    steps.let_go(2)
    assert await steps.next() == 1000
    assert await service.empty()
    assert (steps.told, steps.most) == ([0, 999, 1000], 1)


async def test_each_caller_and_each_function_by_itself(service: Service, registry: Registry) -> None:
    steps, a, b = Steps("async", registry), Link("a"), Link("b")
    other: asyncio.Queue[int] = asyncio.Queue()
    registry.expose(other.put_nowait, name="other", reliable=False)
    for link in (a, b):
        service.tell(link, "pose", 1)
        service.tell(link, "pose", 2)
        service.tell(link, "other", 3)
    assert [await steps.next(), await steps.next()] == [1, 1]
    assert [await asyncio.wait_for(other.get(), BOUND) for _ in range(2)] == [3, 3]
    steps.let_go(4)
    assert [await steps.next(), await steps.next()] == [2, 2]
    assert await service.empty()


async def test_what_is_not_meant_for_it_is_dropped_and_the_log_keeps_short(
    service: Service, registry: Registry, policy: Moody, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rtcrpc.service")
    ran: list[int] = []
    registry.expose(ran.append, name="reliable")
    registry.expose(ran.append, name="lossy", reliable=False)
    link, stranger = Link(), Link()
    stranger.caller = None
    for number in range(1000):
        service.tell(link, "reliable", number)
        service.tell(link, "unknown", number)
        service.tell(link, "rpc.discover")
        service.tell(stranger, "lossy", number)
    await service.settle()
    policy.allows = False
    service.tell(link, "lossy", 1)
    await service.settle()
    assert ran == []
    assert await service.empty()
    assert service.dispatcher.dropped_notifications == 4001
    assert "not exposed with reliable=False" in caplog.text
    assert len(caplog.records) <= 13


async def test_the_policy_is_asked_each_time(service: Service, registry: Registry, policy: Moody) -> None:
    steps, link = Steps("async", registry), Link()
    service.tell(link, "pose", 1)
    assert await steps.next() == 1
    service.tell(link, "pose", 2)
    await service.settle()
    policy.allows = False
    steps.let_go(2)
    assert await service.empty()
    assert steps.told == [1]


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_the_end_of_a_link_ends_what_waits(service: Service, registry: Registry, kind: str) -> None:
    steps, link = Steps(kind, registry), Link()
    service.tell(link, "pose", 1)
    await steps.next()
    service.tell(link, "pose", 2)
    service.runtime.call_soon(service.dispatcher.link_closed, link)
    await service.settle()
    assert service.dispatcher._lossy == {}
    steps.let_go()
    assert await service.empty()
    assert steps.told == [1]


async def test_one_that_fails_lets_the_next_run(service: Service, registry: Registry) -> None:
    seen: asyncio.Queue[int] = asyncio.Queue()

    @registry.expose(reliable=False)
    async def pose(x: int) -> None:
        if x < 0:
            raise ValueError("below zero")
        seen.put_nowait(x)

    link = Link()
    for bad in (-1, "x", None):
        service.tell(link, "pose", bad)
        assert await service.empty()
    service.tell(link, "pose", 7)
    assert await asyncio.wait_for(seen.get(), BOUND) == 7


def test_what_is_said_of_it(registry: Registry) -> None:
    class Arm:
        @rtcrpc.expose(reliable=False)
        def pose(self, x: float) -> None:
            """Where it should be."""

    registry.expose(Arm(), prefix="arm")
    registry.expose(lambda: 1, name="plain")
    told = {method["name"]: method.get("x-reliable") for method in registry.openrpc()["methods"]}
    assert told == {"arm.pose": False, "plain": None}

    async def ticks() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(ExposeError, match="reliable=False"):
        registry.expose(ticks, reliable=False)

"""A function that blocks the user's loop, or the pool, is named; everything on the network thread goes on meanwhile."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from rtcrpc.core.events import RequestReceived
from rtcrpc.runtime import Runtime
from rtcrpc.service.context import Caller
from rtcrpc.service.dispatch import Dispatcher
from rtcrpc.service.policy import OpenPolicy
from rtcrpc.service.pool import Pool
from rtcrpc.service.registry import Registry

BOUND = 10.0
THRESHOLD = 0.1


class Link:
    """Counts the answers."""

    caller = Caller("p" * 43, "page", "pinned", "lab")

    def __init__(self) -> None:
        self.answers = threading.Semaphore(0)

    def respond(self, request_id: Any, result: Any) -> None:
        self.answers.release()

    def respond_error(self, request_id: Any, code: int, message: str, data: dict[str, Any] | None) -> None:
        self.answers.release()


class Warnings(logging.Handler):
    """Sets an event at each warning, on whichever thread it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.came = threading.Semaphore(0)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.came.release()


@pytest.fixture
def warnings() -> Iterator[Warnings]:
    handler = Warnings()
    logger = logging.getLogger("rtcrpc.watchdog")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with Runtime("test-network") as made:
        yield made


def blocks_below(release: threading.Event) -> None:
    assert release.wait(BOUND)


@pytest.mark.parametrize("first_awaits", [False, True])
async def test_a_blocked_loop(runtime: Runtime, warnings: Warnings, first_awaits: bool) -> None:
    registry = Registry()
    release = threading.Event()

    @registry.expose(name="arm.move")
    async def move() -> None:
        if first_awaits:
            await asyncio.sleep(0)
        blocks_below(release)

    @registry.expose
    def still_served() -> int:
        return 1

    # What the blocked loop can't do, another thread does: it waits for the warning and lets the function go.
    def watch() -> None:
        assert warnings.came.acquire(timeout=BOUND)
        runtime.call_soon(dispatcher.dispatch, other, RequestReceived(2, "still_served", [], {}))
        served.append(other.answers.acquire(timeout=BOUND / 2))
        release.set()

    served: list[bool] = []
    loop = asyncio.get_running_loop()
    dispatcher = Dispatcher(registry, OpenPolicy(), runtime=runtime, user_loop=loop, blocked_after=THRESHOLD)
    link, other = Link(), Link()
    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    runtime.call_soon(dispatcher.dispatch, link, RequestReceived(1, "arm.move", [], {}))
    assert await asyncio.to_thread(link.answers.acquire, timeout=BOUND)
    took = time.monotonic() - began
    await asyncio.to_thread(watcher.join)
    assert served == [True], "a call was served while the loop was blocked"
    assert await asyncio.to_thread(warnings.came.acquire, timeout=BOUND)
    blocked, released = warnings.lines
    assert blocked.startswith("arm.move has blocked the loop it runs on for ")
    # The innermost line, in threading's own wait: where it hangs, not only which function it hangs in.
    assert "threading.py:" in blocked
    assert "asyncio.to_thread" in blocked
    assert released.startswith("the loop runs again: arm.move had blocked it for ")
    assert THRESHOLD <= took < BOUND / 2
    await dispatcher.close()


async def test_a_loop_blocked_by_something_else(runtime: Runtime, warnings: Warnings) -> None:
    registry = Registry()
    started = asyncio.Event()

    @registry.expose
    async def innocent() -> None:
        started.set()
        await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    dispatcher = Dispatcher(registry, OpenPolicy(), runtime=runtime, user_loop=loop, blocked_after=THRESHOLD)
    link = Link()
    runtime.call_soon(dispatcher.dispatch, link, RequestReceived(1, "innocent", [], {}))
    await asyncio.wait_for(started.wait(), BOUND)

    def the_program_s_own_code() -> None:
        assert warnings.came.acquire(timeout=BOUND)

    the_program_s_own_code()
    assert "(no exposed function) has blocked the loop" in warnings.lines[0]
    assert not warnings.lines[0].startswith("innocent")
    runtime.call_soon(dispatcher.cancel, link, 1)
    assert await asyncio.to_thread(link.answers.acquire, timeout=BOUND)
    await dispatcher.close()


async def test_a_pool_that_is_held(runtime: Runtime, warnings: Warnings) -> None:
    registry = Registry()
    release = threading.Event()

    @registry.expose
    def hold() -> None:
        assert release.wait(BOUND)

    @registry.expose
    def quick() -> None: ...

    loop = asyncio.get_running_loop()
    pool = Pool(2)
    dispatcher = Dispatcher(
        registry, OpenPolicy(), runtime=runtime, user_loop=loop, executor=pool, blocked_after=THRESHOLD
    )
    link = Link()
    for number, method in enumerate(["hold", "hold", "quick"]):
        runtime.call_soon(dispatcher.dispatch, link, RequestReceived(number, method, [], {}))
    assert await asyncio.to_thread(warnings.came.acquire, timeout=BOUND)
    assert warnings.lines[0].startswith("1 calls have waited for a thread of the pool, the first for ")
    assert "held by hold (2)" in warnings.lines[0]
    release.set()
    for _ in range(3):
        assert await asyncio.to_thread(link.answers.acquire, timeout=BOUND)
    assert await asyncio.to_thread(warnings.came.acquire, timeout=BOUND)
    assert warnings.lines[1].startswith("the pool has threads again")
    await dispatcher.close()
    pool.close()


async def test_nothing_runs_when_nothing_is_served(runtime: Runtime, warnings: Warnings) -> None:
    registry = Registry()
    registry.expose(lambda: None, name="f")
    loop = asyncio.get_running_loop()
    dispatcher = Dispatcher(registry, OpenPolicy(), runtime=runtime, user_loop=loop, blocked_after=0.02)
    link = Link()
    runtime.call_soon(dispatcher.dispatch, link, RequestReceived(1, "f", [], {}))
    assert await asyncio.to_thread(link.answers.acquire, timeout=BOUND)
    async with asyncio.timeout(BOUND):
        while dispatcher._watchdog.armed:
            await runtime.run(asyncio.sleep(0))
    assert dispatcher._watchdog._timer is None
    assert warnings.lines == []
    await dispatcher.close()

"""What a caller gets: calls one at a time, calls together, and the time to the first answer."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import rtcrpc
from benchmarks.children import child, run
from benchmarks.raw import measure_raw, raw_set_up
from benchmarks.report import Row
from benchmarks.subject import LOOP_KINDS, Figures, Subject

__all__ = ["Calls", "call_rate", "call_times", "remote_peer"]

IN_FLIGHT = 100
PINGS = 1000
ECHOES = 8000
CALLS = 30_000
SET_UPS = 5


@asynccontextmanager
async def remote_peer() -> AsyncIterator[rtcrpc.RemotePeer]:
    """A peer in a process of its own (`benchmarks.call_server`)."""
    async with child("-m", "benchmarks.call_server") as ready, rtcrpc.join(ready["link"], name="caller") as room:
        yield await room.peer("bench")


async def call_times(add: Callable[[int, int], Awaitable[int]], count: int) -> list[float]:
    """Seconds of each of `count` calls, one at a time."""
    for _ in range(50):
        await add(1, 2)
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        await add(1, 2)
        taken.append(time.perf_counter() - started)
    return taken


async def call_rate(add: Callable[[int, int], Awaitable[int]], count: int, in_flight: int) -> float:
    """Calls a second with `in_flight` under way at any time."""
    left = count

    async def caller() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            if await add(1, 2) != 3:
                raise AssertionError("add(1, 2) must be 3")

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(caller())
    return count / (time.perf_counter() - started)


async def _set_up(link: str) -> float:
    started = time.perf_counter()
    async with rtcrpc.join(link, name="caller") as room:
        remote = await room.peer("bench")
        await remote.call.add(1, 2)
        return time.perf_counter() - started


async def _ours() -> Figures:
    async with child("-m", "benchmarks.call_server") as ready:
        async with rtcrpc.join(ready["link"], name="caller") as room:
            add = (await room.peer("bench")).call.add
            ping = statistics.median(await call_times(add, PINGS))
            rate = await call_rate(add, CALLS, IN_FLIGHT)
        set_up = statistics.median([await _set_up(ready["link"]) for _ in range(SET_UPS)])
    return {"ping": ping, "rate": rate, "set_up": set_up}


async def _raw(loop_kind: str) -> Figures:
    async with child("-m", "benchmarks.raw_server", "--loop", loop_kind) as ready:
        figures = await measure_raw(ready["port"], pings=PINGS, echoes=ECHOES, in_flight=IN_FLIGHT)
        figures["set_up"] = statistics.median(await raw_set_up(ready["port"], SET_UPS))
    return figures


class Calls(Subject):
    """`call.*` and `setup.*`: small calls beside small messages."""

    names = ("call.sequential.p50", "call.inflight100.rate", "setup.p50")

    def sides(self) -> dict[str, Callable[[], Figures]]:
        """Raw on each kind of loop, then ours."""
        raw = {kind: partial(lambda kind: run(_raw(kind), kind), kind) for kind in LOOP_KINDS}
        return {**raw, "ours": lambda: run(_ours())}

    def rows(self) -> list[Row]:
        """Milliseconds, calls a second, milliseconds."""
        return [
            *self.rows_to_raw("call.sequential.p50", "ms", "ping", "64-byte ping-pong", 1e3),
            *self.rows_to_raw("call.inflight100.rate", "1/s", "rate", "64-byte echoes, 100 in flight"),
            *self.rows_to_raw("setup.p50", "ms", "set_up", "WebSocket signaling to first echo", 1e3),
        ]

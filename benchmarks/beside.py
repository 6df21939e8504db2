"""Small calls while much travels the same way, and what that costs the bulk."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable

import rtcrpc
from benchmarks.calls import call_times, remote_peer
from benchmarks.children import run
from benchmarks.report import Row, make_row
from benchmarks.subject import Figures, Subject

__all__ = ["Beside"]

MIB = 1024 * 1024
VALUES = 4
SIZE = 16 * MIB
PAUSE = 0.005
"""Seconds between one small call and the next."""


async def _swallow_all(remote: rtcrpc.RemotePeer) -> float:
    """Bytes a second of 64 MiB, two values at a time so that there is always one on its way."""
    data = bytes(SIZE)
    swallow = remote.call.with_(timeout=120).swallow
    left = VALUES

    async def sender() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            if await swallow(data) != SIZE:
                raise AssertionError("all of it must have come")

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        group.create_task(sender())
        group.create_task(sender())
    return VALUES * SIZE / (time.perf_counter() - started)


def _p99(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=100)[98]


async def _measure() -> Figures:
    async with remote_peer() as remote:
        idle = _p99(await call_times(remote.call.add, 300))
        alone = await _swallow_all(remote)
        bulk = asyncio.get_running_loop().create_task(_swallow_all(remote))
        taken = []
        while not bulk.done():
            started = time.perf_counter()
            await remote.call.add(1, 2)
            taken.append(time.perf_counter() - started)
            await asyncio.sleep(PAUSE)
        return {"idle": idle, "behind": _p99(taken), "alone": alone, "beside": await bulk}


class Beside(Subject):
    """`call.behind_bulk.p99` and `bulk.beside_calls.rate`."""

    names = ("call.behind_bulk.p99", "bulk.beside_calls.rate")
    most_rounds = 3

    def sides(self) -> dict[str, Callable[[], Figures]]:
        """One link, first without and then with the other traffic."""
        return {"ours": lambda: run(_measure())}

    def rows(self) -> list[Row]:
        """Milliseconds, MB/s."""
        column = self.column
        return [
            make_row(
                "call.behind_bulk.p99",
                "ms",
                column("ours", "behind", 1e3),
                "the same calls on an idle link, p99",
                column("ours", "idle", 1e3),
            ),
            make_row(
                "bulk.beside_calls.rate",
                "MB/s",
                column("ours", "beside", 1e-6),
                "the same bulk alone, 64 MiB one way",
                column("ours", "alone", 1e-6),
            ),
        ]

"""What a caller gets: calls one at a time, calls together, and the time to the first answer."""

from __future__ import annotations

import asyncio
import statistics
import time

import rtcrpc

__all__ = ["call_set_up", "measure_calls"]


async def measure_calls(link: str, *, pings: int, calls: int, in_flight: int) -> dict[str, float]:
    """`ping`: median seconds of `add(1, 2)`, one at a time. `rate`: calls a second with `in_flight` under way."""
    async with rtcrpc.join(link, name="caller") as room:
        remote = await room.peer("bench")
        add = remote.call.add
        for _ in range(50):
            await add(1, 2)
        taken = []
        for _ in range(pings):
            started = time.perf_counter()
            await add(1, 2)
            taken.append(time.perf_counter() - started)

        left = calls

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
        rate = calls / (time.perf_counter() - started)
    return {"ping": statistics.median(taken), "rate": rate}


async def call_set_up(link: str, times: int) -> list[float]:
    """Seconds from nothing to the first answer: bootstrap, signaling, ICE, DTLS, SCTP, handshake, call."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        async with rtcrpc.join(link, name="caller") as room:
            remote = await room.peer("bench")
            await remote.call.add(1, 2)
            taken.append(time.perf_counter() - started)
    return taken

"""The peer whose streams and long work the page shows in tests."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

from rtcrpc import Error, Registry
from rtcrpc.service.context import Context

registry = Registry()
ended: list[str] = []


@registry.expose
async def ticks(n: int = 5, every: float = 0.05) -> AsyncIterator[int]:
    """Count up."""
    try:
        for i in range(n):
            yield i
            await asyncio.sleep(every)
    finally:
        ended.append("ticks")


@registry.expose
async def wave(every: float = 0.02) -> AsyncIterator[dict[str, float]]:
    """Where something that turns is, for ever."""
    angle = 0.0
    try:
        while True:
            yield {"x": round(math.cos(angle), 4), "y": round(math.sin(angle * 0.7), 4)}
            angle += 0.1
            await asyncio.sleep(every)
    finally:
        ended.append("wave")


@registry.expose
async def flood(n: int = 100_000) -> AsyncIterator[str]:
    """As fast as it goes."""
    for i in range(n):
        yield f"line {i}"


@registry.expose
async def breaks(after: int = 2) -> AsyncIterator[str]:
    """Break in the middle."""
    for i in range(after):
        yield f"page {i + 1}"
    raise Error("out of paper", detail={"tray": 2})


@registry.expose
async def camera(every: float = 0.02) -> dict[str, str | AsyncIterator[int]]:
    """A stream beside other things."""
    return {"model": "left", "frames": ticks(3, every)}


@registry.expose
async def total(numbers: AsyncIterator[int]) -> int:
    """The sum of a stream."""
    return sum([number async for number in numbers])


@registry.expose
async def double(numbers: AsyncIterator[int]) -> AsyncIterator[int]:
    """Each number twice as large, as it comes."""
    try:
        async for number in numbers:
            yield 2 * number
    finally:
        ended.append("double")


@registry.expose
async def work(context: Context, steps: int = 10, seconds: float = 0.05) -> str:
    """Take a while, and say how far it is."""
    for step in range(steps):
        context.progress(step, steps, f"step {step + 1}")
        await asyncio.sleep(seconds)
    return "worked"


@registry.expose
def what_ended() -> list[str]:
    """Which generators came to their `finally`."""
    return ended

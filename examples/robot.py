"""A pretend robot. Run it with:  rtcrpc serve examples/robot.py  and open the link that it prints."""

import asyncio
import enum
from collections.abc import AsyncIterator

from rtcrpc import Context, Error, expose


class Direction(enum.Enum):
    """Where the robot can go."""

    FORWARD = "forward"
    BACK = "back"


position = 0.0


@expose
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@expose
def move(direction: Direction, metres: float = 1.0) -> float:
    """Move, and say how far from the start the robot is now."""
    global position
    if not 0 < metres <= 5:
        raise Error("the robot moves at most 5 metres at a time", detail={"metres": metres})
    position += metres if direction is Direction.FORWARD else -metres
    return position


@expose
async def look_around(seconds: float = 1.0) -> list[str]:
    """Turn once around; takes a while, and can be stopped."""
    await asyncio.sleep(seconds)
    return ["a wall", "a door", "a cat"]


@expose
async def ticks(n: int, every: float = 1.0) -> AsyncIterator[int]:
    """Count up, one item a second."""
    for number in range(n):
        yield number
        await asyncio.sleep(every)


@expose
async def charge(context: Context, percent: int = 100) -> str:
    """Charge the battery, and say how far it is."""
    for done in range(0, percent + 1, 5):
        context.progress(done, percent, "charging")
        await asyncio.sleep(0.05)
    return "charged"


@expose
def who_am_i(context: Context) -> str:
    """Say who is calling, as the robot sees it."""
    return f"{context.caller.name}, key {context.caller.trust}"

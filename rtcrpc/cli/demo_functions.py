"""What the demo's peer offers: one function for each kind of thing a page can show."""

from __future__ import annotations

import asyncio
import enum
import math
import platform
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from rtcrpc.errors import Error
from rtcrpc.service.context import Context
from rtcrpc.service.registry import Registry

__all__ = ["registry"]

registry = Registry()


class Direction(enum.Enum):
    """Where to go."""

    NORTH = "north"
    EAST = "east"
    SOUTH = "south"
    WEST = "west"


@dataclass
class Position:
    """A place on the floor, in metres."""

    x: float = 0.0
    y: float = 0.0


_position = Position()
_STEPS = {Direction.NORTH: (0, 1), Direction.EAST: (1, 0), Direction.SOUTH: (0, -1), Direction.WEST: (-1, 0)}


@registry.expose
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@registry.expose
def move(direction: Direction, metres: Annotated[float, Field(gt=0, le=10)] = 1.0) -> Position:
    """Move the pretend robot, and say where it stands now."""
    dx, dy = _STEPS[direction]
    _position.x += dx * metres
    _position.y += dy * metres
    return _position


@registry.expose
async def wait(seconds: Annotated[float, Field(ge=0, le=60)] = 2.0) -> str:
    """Take a while, so that you can try the stop button."""
    await asyncio.sleep(seconds)
    return f"waited {seconds:g} s"


@registry.expose
async def ticks(
    n: Annotated[int, Field(ge=0, le=10_000)] = 20, every: Annotated[float, Field(ge=0, le=10)] = 0.5
) -> AsyncIterator[float]:
    """Measure something, again and again: a stream, whose items come as they are made."""
    for number in range(n):
        yield round(math.sin(number / 3), 3)
        await asyncio.sleep(every)


@registry.expose
async def cook(context: Context, minutes: Annotated[int, Field(ge=1, le=10)] = 3) -> str:
    """Cook for some very short minutes, and say how far it is."""
    for second in range(10 * minutes):
        context.progress(second, 10 * minutes, "stirring" if second % 2 else "tasting")
        await asyncio.sleep(0.1)
    return "soup"


@registry.expose
async def average(numbers: AsyncIterator[float]) -> float:
    """Read a stream of yours to its end."""
    total, count = 0.0, 0
    async for number in numbers:
        total += number
        count += 1
    return total / count if count else 0.0


@registry.expose
def divide(a: float, b: float) -> float:
    """Divide; by zero it shows what an error looks like."""
    if b == 0:
        raise Error("division by zero: b must not be 0", detail={"a": a, "b": b})
    return a / b


@registry.expose
def whoami(context: Context) -> dict[str, str]:
    """Tell you what this peer knows about you."""
    caller = context.caller
    return {"name": caller.name, "peer": caller.peer_id or "none", "trust": caller.trust, "room": caller.room}


@registry.expose
def machine() -> dict[str, str]:
    """Tell what machine this runs on."""
    return {"system": platform.system(), "python": platform.python_version(), "processor": platform.machine()}

"""The peer that the page drives in tests."""

from __future__ import annotations

import asyncio
import base64
import datetime
import enum
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from rtcrpc import Error, Registry
from rtcrpc.service.context import Context

registry = Registry()
runs = 0


class Direction(enum.Enum):
    """Where to go."""

    NORTH = "north"
    SOUTH = "south"


@dataclass
class Position:
    """A place on the floor, in metres."""

    x: float = 0.0
    y: float = 0.0


Code = Annotated[str, Field(pattern="^[A-Z]+$")]


@registry.expose
def add(a: int, b: int) -> int:
    """Add two numbers."""
    global runs
    runs += 1
    return a + b


@registry.expose
def add_runs() -> int:
    """How often `add` ran."""
    return runs


@registry.expose
def move(direction: Direction, metres: float = 1.0) -> Position:
    """Move, and say where it stands now.

    A wall stands five metres to the north.
    """
    if metres > 5:
        raise Error("there is a wall 5 m to the north", detail={"distance": 5.0})
    return Position(0.0, metres if direction is Direction.NORTH else -metres)


@registry.expose
def break_down() -> None:
    """Fail in a way that nobody planned."""
    raise RuntimeError("a secret of the log")


@registry.expose
def label(code: Code, others: list[Code] | None = None, place: Position | None = None) -> str:
    """Take capital letters only: the page shows the pattern and leaves the checking to the peer."""
    return "".join([code, *(others or [])])


@registry.expose
async def wait(seconds: float = 30.0) -> str:
    """Take a while."""
    await asyncio.sleep(seconds)
    return "waited"


@registry.expose
def picture() -> bytes:
    """A green pixel."""
    return base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )


@registry.expose
def readings(limit: int = 3) -> list[dict[str, str | float]]:
    """The last readings."""
    return [{"sensor": f"lidar {i}", "metres": i + 0.25} for i in range(limit)]


@registry.expose
def size(data: bytes, when: datetime.datetime | None = None) -> dict[str, int | str]:
    """How many bytes came, and what the instant is in UTC."""
    return {"bytes": len(data), "when": "none" if when is None else when.astimezone(datetime.UTC).isoformat()}


@registry.expose
def whoami(context: Context) -> dict[str, str]:
    """What the peer knows about its caller."""
    return {"name": context.caller.name, "trust": context.caller.trust, "room": context.caller.room}

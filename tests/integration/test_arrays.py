"""Arrays, and arguments of the types that Python programs have, over real DataChannels."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import enum
import uuid
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

import rtcrpc
from rtcrpc.bootstrap import Bootstrap, BootstrapConfig

BOUND = 20


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Shape:
    name: str
    colour: Colour
    sides: frozenset[int]


def mean(a: np.ndarray) -> float:
    return float(a.mean())


async def double(a: np.ndarray) -> np.ndarray:
    return a * 2


def describe(a: np.ndarray) -> list[Any]:
    return [type(a).__name__, a.dtype.name, list(a.shape), a.flags.writeable]


def echo(value: Any) -> Any:
    return value


def typed(
    key: uuid.UUID,
    price: decimal.Decimal,
    shape: Shape,
    pair: tuple[int, str],
    day: datetime.date,
    wait: datetime.timedelta,
) -> list[str]:
    return [type(one).__name__ for one in (key, price, shape, shape.colour, shape.sides, pair, day, wait)]


@pytest.fixture
async def robot() -> AsyncIterator[rtcrpc.RemotePeer]:
    registry = rtcrpc.Registry()
    for function in (mean, double, describe, echo, typed):
        registry.expose(function)
    async with asyncio.timeout(BOUND), Bootstrap(BootstrapConfig()).serve() as server:
        url = server.room_url("lab")
        async with (
            rtcrpc.Peer(name="robot", registry=registry, policy=rtcrpc.OpenPolicy()).join(url),
            rtcrpc.join(url) as room,
        ):
            yield await room.peer("robot")


async def test_arrays_there_and_back(robot: rtcrpc.RemotePeer) -> None:
    array = np.arange(6, dtype=">f4").reshape(2, 3)
    assert await robot.call.mean(array) == 2.5
    doubled = await robot.call.double(a=array.T)
    assert (doubled.dtype, doubled.shape) == (np.dtype("<f4"), (3, 2))
    np.testing.assert_array_equal(doubled, array.T * 2)
    assert await robot.call.describe(np.zeros((2, 0), np.int64)) == ["ndarray", "int64", [2, 0], False]
    assert await robot.call.mean([1, 2, 6]) == 3
    with pytest.raises(rtcrpc.errors.RemoteInvalidParams, match="expected an array of numbers"):
        await robot.call.mean("a")
    with pytest.raises(rtcrpc.errors.EncodeError, match=r"params\[0\].*complex128") as refused:
        await robot.call.mean(np.array([1j]))
    assert refused.value.path == "params[0]"


async def test_a_large_array_there_and_back(robot: rtcrpc.RemotePeer) -> None:
    array = np.random.default_rng(1).integers(0, 255, (1000, 1000, 3), np.uint8)
    nested = await robot.call.echo({"frames": [array, {"at": np.float32(0.5)}]})
    np.testing.assert_array_equal(nested["frames"][0], array)
    assert nested["frames"][1] == {"at": 0.5}


async def test_arguments_of_types_that_the_wire_does_not_have(robot: rtcrpc.RemotePeer) -> None:
    answer = await robot.call.typed(
        uuid.UUID(int=1),
        decimal.Decimal("1.10"),
        Shape("square", Colour.RED, frozenset({4})),
        (1, "a"),
        datetime.date(2026, 11, 22),
        datetime.timedelta(seconds=3),
    )
    assert answer == ["UUID", "Decimal", "Shape", "Colour", "frozenset", "tuple", "date", "timedelta"]
    with pytest.raises(rtcrpc.errors.EncodeError, match=r"params\[0\]\.a: a value of type object can't travel"):
        await robot.call.echo({"a": object()})

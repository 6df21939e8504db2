"""What a caller gives as arguments, as it travels; results go the same way and are tested with the service."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import pathlib
import uuid
from collections import deque
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, Field, RootModel

from rtcrpc.core.arrays import Array
from rtcrpc.core.values import StreamRef
from rtcrpc.errors import EncodeError
from rtcrpc.wire import params_to_wire, to_wire

AN_ID = uuid.UUID("12345678-1234-5678-1234-567812345678")


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: float
    colour: Colour = Colour.RED


class Named(BaseModel):
    x_axis: int = Field(alias="xAxis")
    points: list[Any] = []


class Numbers(RootModel[list[int]]):
    pass


@pytest.mark.parametrize(
    ("argument", "sent"),
    [
        (AN_ID, str(AN_ID)),
        (decimal.Decimal("1.10"), "1.10"),
        (Colour.RED, "red"),
        ((1, (2, 3)), [1, [2, 3]]),
        (frozenset({1}), [1]),
        ({1}, [1]),
        (deque([1]), [1]),
        (Point(1.5), {"x": 1.5, "colour": "red"}),
        (Named(xAxis=1, points=[Point(2)]), {"xAxis": 1, "points": [{"x": 2, "colour": "red"}]}),
        (Numbers([1, 2]), [1, 2]),
        (datetime.date(2026, 11, 22), "2026-11-22"),
        (datetime.time(12, 30), "12:30:00"),
        (datetime.timedelta(days=1, seconds=2), "P1DT2S"),
        (datetime.datetime(2026, 11, 22), "2026-11-22T00:00:00"),
        (datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC), datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)),
        (pathlib.PurePosixPath("/a"), "/a"),
        (bytearray(b"a"), b"a"),
        ({1: Colour.RED, Colour.RED: 2}, {"1": "red", "red": 2}),
        (StreamRef(1), StreamRef(1)),
        (Array("u1", (1,), b"a"), Array("u1", (1,), b"a")),
        (np.float32(0.5), 0.5),
    ],
)
def test_an_argument(argument: Any, sent: Any) -> None:
    assert params_to_wire([argument]) == [sent]
    assert params_to_wire({"a": argument, "b": [argument]}) == {"a": sent, "b": [sent]}


def test_plain_arguments_are_left_alone() -> None:
    for params in ([], [1, "a", None, 2.5, True, b"b"], [[1] * 1000]):
        assert params_to_wire(params) is params or params_to_wire(params)[0] is params[0]
    named = {"a": 1, "b": "c"}
    assert params_to_wire(named) is named


def test_an_array_is_not_copied() -> None:
    array = np.arange(3)
    assert params_to_wire([{"a": array}])[0]["a"] is array


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ([1, {"a": [object()]}], "params[1].a[0]: a value of type object can't travel"),
        ({"a": lambda: 1}, "params.a: a value of type function"),
        ([np.array([1j])], "params[0]: expected numbers of one of the dtypes"),
        ([{(1, 2): 3}], "params[0]: expected text as the key of a map"),
    ],
)
def test_an_argument_that_can_not_travel(params: Any, place: str) -> None:
    with pytest.raises(EncodeError) as refused:
        params_to_wire(params)
    assert str(refused.value).startswith(place)
    assert refused.value.path == place.partition(":")[0]


def test_what_has_no_form_may_get_one() -> None:
    def special(value: Any) -> Any:
        return StreamRef(7) if hasattr(value, "__next__") else NotImplemented

    assert to_wire({"a": [iter(())]}, "result", special) == {"a": [StreamRef(7)]}
    with pytest.raises(EncodeError, match="object can't travel"):
        to_wire([object()], "result", special)


def test_a_value_that_holds_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(EncodeError, match="holds itself"):
        params_to_wire([loop])

"""Results: what a function may return, and what goes out."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import inspect
import pathlib
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel, Field, RootModel, computed_field

from rtcrpc.errors import EncodeError, ExposeError
from rtcrpc.service.result import Result, ResultMismatch
from rtcrpc.wire import to_wire

NOW = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)
AN_ID = uuid.UUID("12345678-1234-5678-1234-567812345678")
EMPTY = inspect.Signature.empty


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Box(BaseModel):
    width: int
    inner: list[Box] = []


class Named(BaseModel):
    x_axis: int = Field(alias="xAxis")
    when: datetime.date = datetime.date(2026, 1, 1)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return 2 * self.x_axis


class Numbers(RootModel[list[int]]):
    pass


@dataclasses.dataclass
class Point:
    x: float
    colour: Colour = Colour.RED


class Pair(NamedTuple):
    left: int
    right: Any


VALUES: list[tuple[Any, Any, Any]] = [
    (int, 1, 1),
    (float, 1, 1),
    (list[float], [1, 2.5], [1, 2.5]),
    (str, "x", "x"),
    (bytes, bytearray(b"x"), b"x"),
    (bytes, memoryview(b"x"), b"x"),
    (None, None, None),
    (Any, {"a": (1, {2})}, {"a": [1, [2]]}),
    (int | None, None, None),
    (list[int], [1, 2], [1, 2]),
    (tuple[int, str], (1, "a"), [1, "a"]),
    (set[int], {1}, [1]),
    (frozenset[int], frozenset({1}), [1]),
    (dict[int, str], {1: "a"}, {"1": "a"}),
    (Colour, Colour.RED, "red"),
    (Level, Level.LOW, 1),
    (str, Colour.RED.value, "red"),
    (Box, Box(width=1, inner=[Box(width=2)]), {"width": 1, "inner": [{"width": 2, "inner": []}]}),
    (Box, {"width": 1}, {"width": 1, "inner": []}),
    (list[Box], [Box(width=1)], [{"width": 1, "inner": []}]),
    (Named, Named(xAxis=2), {"xAxis": 2, "when": "2026-01-01", "double": 4}),
    (Numbers, Numbers([1]), [1]),
    (Point, Point(1.5), {"x": 1.5, "colour": "red"}),
    (Pair, Pair(1, {2}), [1, [2]]),
    (uuid.UUID, AN_ID, str(AN_ID)),
    (decimal.Decimal, decimal.Decimal("1.10"), "1.10"),
    (datetime.datetime, NOW, NOW),
    (datetime.datetime, NOW.replace(tzinfo=None), "2026-11-22T12:00:00"),
    (datetime.date, NOW.date(), "2026-11-22"),
    (datetime.time, datetime.time(1, 2), "01:02:00"),
    (datetime.timedelta, datetime.timedelta(seconds=90), "PT1M30S"),
    (pathlib.Path, pathlib.Path("a/b"), "a/b"),
]


@pytest.mark.parametrize(("annotation", "value", "sent"), VALUES)
def test_sent_as_annotated(annotation: Any, value: Any, sent: Any) -> None:
    result = Result("f", annotation).to_wire(value)
    assert result == sent
    assert type(result) is type(sent)


@pytest.mark.parametrize(("annotation", "value", "sent"), [v for v in VALUES if not isinstance(v[1], dict)])
def test_sent_without_an_annotation(annotation: Any, value: Any, sent: Any) -> None:
    if value == {"width": 1}:
        return
    assert Result("f", EMPTY).to_wire(value) == sent


def test_other_containers_and_subclasses() -> None:
    class Text(str):
        __slots__ = ()

    class Number(int):
        pass

    ordered = collections.OrderedDict(a=collections.deque([Text("x"), Number(3)]))
    sent = to_wire(ordered, "result")
    assert sent == {"a": ["x", 3]}
    assert [type(item) for item in sent["a"]] == [str, int]
    assert to_wire({Colour.RED: 1, 2: 2, AN_ID: 3}, "result") == {"red": 1, "2": 2, str(AN_ID): 3}


def test_plain_values_are_not_copied() -> None:
    value = list(range(1000))
    assert Result("f", EMPTY).to_wire(value) is value
    blob = bytes(10)
    assert Result("f", bytes).to_wire(blob) is blob


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (int, "x", 'the result of f: expected an integer, got "x"'),
        (int, True, "the result of f: expected an integer, got true"),
        (None, 1, "the result of f: expected null, got 1"),
        (str, None, "the result of f: expected text, got null"),
        (list[int], [1, "2"], 'the result of f: [1]: expected an integer, got "2"'),
        (Box, {"width": None}, "the result of f: width: expected an integer, got null"),
        (Colour, "green", 'the result of f: expected "red", got "green"'),
    ],
)
def test_a_broken_promise(annotation: Any, value: Any, words: str) -> None:
    with pytest.raises(ResultMismatch) as caught:
        Result("f", annotation).to_wire(value)
    assert str(caught.value) == words


def test_a_model_with_a_wrong_field_inside_is_not_sent() -> None:
    box = Box(width=1)
    box.width = "wide"  # type: ignore[assignment]
    with pytest.raises(ResultMismatch):
        Result("f", Box).to_wire(box)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (object(), "result: "),
        ([1, object()], "result[1]: "),
        ({"a": [{"b": lambda: None}]}, "result.a[0].b: "),
        (Point(object()), "result.x: "),  # type: ignore[arg-type]
        ({(1, 2): 3}, "result: expected text as the key of a map, got tuple"),
        ({None: 3}, "result: expected text as the key of a map, got NoneType"),
        ({"a": {True: 3}}, "result.a: expected text"),
        (iter([1]), "result: a value of type list_iterator can't travel"),
        (ValueError("x"), "result: a value of type ValueError can't travel"),
        (int, "result: a value of type type can't travel"),
        (1j, "result: a value of type complex can't travel"),
    ],
)
def test_what_cannot_travel(value: Any, place: str) -> None:
    with pytest.raises(EncodeError) as caught:
        Result("f", EMPTY).to_wire(value)
    assert str(caught.value).startswith(place)


def test_a_value_that_holds_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(EncodeError, match="holds itself"):
        to_wire(loop, "result")


@pytest.mark.parametrize(
    "annotation", [Iterator[int], AsyncIterator[int], Callable[[], int], object().__class__.__mro__]
)
def test_annotations_that_cannot_be_promised(annotation: Any) -> None:
    with pytest.raises(ExposeError):
        Result("f", annotation)

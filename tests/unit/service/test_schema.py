"""Parameters: what is accepted, what is refused, and how the refusal reads."""

from __future__ import annotations

import datetime
import decimal
import enum
import inspect
import ipaddress
import pathlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, Unpack, get_type_hints

import pytest
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from typing_extensions import TypedDict  # The one of typing is not enough for pydantic before Python 3.12.

from rtcrpc.errors import ExposeError
from rtcrpc.service.context import Caller, Context
from rtcrpc.service.schema import InvalidParams, Parameters

NOW = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)
AN_ID = uuid.UUID("12345678-1234-5678-1234-567812345678")
CONTEXT = Context(Caller(None, "n", "anonymous", "room"), "f")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(enum.Enum):
    ONE = 1
    TEXT = "text"


class Box(BaseModel):
    width: int
    label: str = ""
    inner: list[Box] = []


class StrictBox(BaseModel):
    model_config = ConfigDict(strict=True)
    when: datetime.datetime
    colour: Colour


class Aliased(BaseModel):
    x_axis: int = Field(alias="xAxis")


@dataclass
class Point:
    x: float
    y: float = 0.0
    tags: list[str] = field(default_factory=list)


class Pair(NamedTuple):
    left: int
    right: int


class Options(TypedDict, total=False):
    speed: int


def parameters(function: Callable[..., Any]) -> Parameters:
    return Parameters("f", inspect.signature(function), get_type_hints(function, include_extras=True))


def one(annotation: Any) -> Parameters:
    signature = inspect.Signature([inspect.Parameter("v", inspect.Parameter.POSITIONAL_OR_KEYWORD)])
    return Parameters("f", signature, {"v": annotation})


def refusal(made: Parameters, params: list[Any] | dict[str, Any]) -> InvalidParams:
    with pytest.raises(InvalidParams) as caught:
        made.bind(params)
    return caught.value


@pytest.mark.parametrize(
    ("annotation", "given", "taken"),
    [
        (int, 1, 1),
        (int, 2**200, 2**200),
        (float, 1.5, 1.5),
        (float, 1, 1.0),
        (float, float("inf"), float("inf")),
        (str, "1", "1"),
        (bool, True, True),
        (bytes, b"\xff", b"\xff"),
        (None, None, None),
        (Any, [1, {"a": b""}], [1, {"a": b""}]),
        (object, "x", "x"),
        (int | None, None, None),
        (int | str, "1", "1"),
        (int | str, 1, 1),
        (float | int, 1, 1),
        (list[int], [1, 2], [1, 2]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (set[int], [1, 1, 2], {1, 2}),
        (frozenset[str], ["a"], frozenset({"a"})),
        (Sequence[int], [1], [1]),
        (Iterable[int], [1, 2], [1, 2]),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (dict[int, str], {"1": "a"}, {1: "a"}),
        (Mapping[str, float], {"a": 1}, {"a": 1.0}),
        (Colour, "red", Colour.RED),
        (Level, 2, Level.HIGH),
        (Mixed, 1, Mixed.ONE),
        (Mixed, "text", Mixed.TEXT),
        (Literal["a", 1], "a", "a"),
        (Literal[True], True, True),
        (Literal[Colour.RED], "red", Colour.RED),
        (uuid.UUID, str(AN_ID), AN_ID),
        (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
        (decimal.Decimal, 3, decimal.Decimal(3)),
        (datetime.datetime, NOW, NOW),
        (datetime.datetime, "2026-11-22T12:00:00Z", NOW),
        (datetime.date, "2026-11-22", datetime.date(2026, 11, 22)),
        (datetime.time, "12:30", datetime.time(12, 30)),
        (datetime.timedelta, "PT90S", datetime.timedelta(seconds=90)),
        (pathlib.Path, "a/b", pathlib.Path("a/b")),
        (ipaddress.IPv4Address, "127.0.0.1", ipaddress.IPv4Address("127.0.0.1")),
        (Box, {"width": 1, "inner": [{"width": 2}]}, Box(width=1, inner=[Box(width=2)])),
        (StrictBox, {"when": "2026-11-22T12:00:00Z", "colour": "red"}, StrictBox(when=NOW, colour=Colour.RED)),
        (Aliased, {"xAxis": 1}, Aliased(xAxis=1)),
        (Point, {"x": 1, "tags": ["a"]}, Point(1.0, 0.0, ["a"])),
        (list[Point], [{"x": 1}], [Point(1.0)]),
        (Pair, [1, 2], Pair(1, 2)),
        (Pair, {"left": 1, "right": 2}, Pair(1, 2)),
        (Options, {"speed": 3}, {"speed": 3}),
        (Annotated[int, Field(gt=0)], 1, 1),
        (Annotated[int, BeforeValidator(int)], "7", 7),
    ],
)
def test_accepted(annotation: Any, given: Any, taken: Any) -> None:
    (args, kwargs) = one(annotation).bind([given])
    assert args == (taken,)
    assert type(args[0]) is type(taken)
    assert kwargs == {}
    assert one(annotation).bind({"v": given}) == ((), {"v": taken})


@pytest.mark.parametrize(
    ("annotation", "given", "expected", "got"),
    [
        (int, "1", "an integer", '"1"'),
        (int, True, "an integer", "true"),
        (int, 1.0, "an integer", "1.0"),
        (int, None, "an integer", "null"),
        (int, b"1", "an integer", "1 bytes"),
        (int, [1], "an integer", "a list of 1"),
        (int, {"a": 1}, "an integer", "a map of 1"),
        (int, NOW, "an integer", "the time 2026-11-22T12:00:00+00:00"),
        (float, "1.5", "a number", '"1.5"'),
        (float, False, "a number", "false"),
        (str, 1, "text", "1"),
        (str, b"x", "text", "1 bytes"),
        (bool, 1, "true or false", "1"),
        (bool, "true", "true or false", '"true"'),
        (bytes, "x", "bytes", '"x"'),
        (None, 0, "null", "0"),
        (list[int], "12", "a list", '"12"'),
        (list[int], {"a": 1}, "a list", "a map of 1"),
        (tuple[int, ...], "12", "a list", '"12"'),
        (set[str], "ab", "a list", '"ab"'),
        (Sequence[int], b"12", "a list", "2 bytes"),
        (Sequence[str], "ab", "a list", '"ab"'),
        (Iterable[str], "ab", "a list", '"ab"'),
        (dict[str, int], [["a", 1]], "a map", "a list of 1"),
        (Colour, "green", '"red" or "blue"', '"green"'),
        (Colour, b"red", '"red" or "blue"', "3 bytes"),
        (Level, "1", "1 or 2", '"1"'),
        (Level, True, "1 or 2", "true"),
        (Level, 1.0, "1 or 2", "1.0"),
        (Literal["a", 1], True, '"a" or 1', "true"),
        (Literal[True], 1, "true", "1"),
        (uuid.UUID, 3, "a UUID, as text", "3"),
        (uuid.UUID, b"1" * 16, "a UUID, as text", "16 bytes"),
        (decimal.Decimal, True, "a decimal number, as text or a number", "true"),
        (datetime.datetime, 3, "a date and time", "3"),
        (datetime.datetime, "3", "a date and time", '"3"'),
        (datetime.datetime, "-3", "a date and time", '"-3"'),
        (datetime.date, "3", "a date, as text YYYY-MM-DD", '"3"'),
        (datetime.timedelta, "3", "a duration, as text in ISO 8601 form", '"3"'),
        (datetime.date, 3, "a date, as text YYYY-MM-DD", "3"),
        (datetime.time, 3, "a time of day, as text HH:MM:SS", "3"),
        (datetime.timedelta, 3, "a duration, as text in ISO 8601 form", "3"),
        (Box, "x", "a map", '"x"'),
        (Box, [1], "a map", "a list of 1"),
        (Point, "x", "a map", '"x"'),
        (Annotated[int, Field(gt=0)], 0, "greater than 0", "0"),
        (int | str, 1.5, "an integer or text", "1.5"),
    ],
)
def test_refused(annotation: Any, given: Any, expected: str, got: str) -> None:
    error = refusal(one(annotation), [given])
    assert error.issues == [{"path": ["v"], "expected": expected, "got": got}]
    assert error.message == f"f: v: expected {expected}, got {got}"
    assert refusal(one(annotation), {"v": given}).issues == error.issues


@pytest.mark.parametrize("given", [4, True, 1.5])
def test_an_address_is_no_number(given: Any) -> None:
    assert refusal(one(ipaddress.IPv4Address), [given]).issues[0]["path"] == ["v"]
    assert refusal(one(pathlib.Path), [given]).issues[0]["path"] == ["v"]


def test_issues_name_the_place_inside() -> None:
    def f(boxes: list[Box], at: Point, table: dict[str, list[int]], either: int | Box) -> None: ...

    made = parameters(f)
    error = refusal(
        made,
        [
            [{"width": 1}, {"width": 1, "inner": [{"width": "2"}]}],
            {"x": 1, "y": "0"},
            {"a": [1], "b": [1, None]},
            {"width": None},
        ],
    )
    places = [(issue["path"], issue["got"]) for issue in error.issues]
    assert (["boxes", 1, "inner", 0, "width"], '"2"') in places
    assert (["at", "y"], '"0"') in places
    assert (["table", "b", 1], "null") in places
    assert (["either", "width"], "null") in places
    assert error.message.startswith('f: boxes[1].inner[0].width: expected an integer, got "2" (and ')


def test_missing_and_unknown_arguments() -> None:
    def f(a: int, b: int = 2, *, c: int = 3) -> None: ...

    made = parameters(f)
    assert refusal(made, []).issues == [{"path": ["a"], "expected": "a value", "got": "nothing"}]
    assert refusal(made, {"b": 1}).issues == [{"path": ["a"], "expected": "a value", "got": "nothing"}]
    assert refusal(made, [1, 2, 3]).message == (
        "f: expected at most 2 by position (the others by name: params as a map), got 3"
    )
    assert refusal(made, {"a": 1, "z": 0}).issues == [{"path": ["z"], "expected": "no such parameter", "got": "0"}]
    many = refusal(made, {"a": 1, "b": 1, "c": 1, "z": 0})
    assert many.message == "f: z: expected no parameter of this name (there is a, b, c), got 0"
    assert refusal(parameters(lambda: None), [1]).message == "f: expected at most 0 arguments, got 1"
    assert refusal(parameters(lambda: None), {"a": 1}).message == "f: a: expected no parameters, got 1"


def test_a_missing_member_of_a_model() -> None:
    assert refusal(one(Box), [{"label": "x"}]).issues == [
        {"path": ["v", "width"], "expected": "a value", "got": "nothing"}
    ]


def test_defaults_are_python_s_own() -> None:
    shared: list[int] = []

    def f(a: int, b: list[int] = shared, c: str = "c", *, d: float = 1) -> Any:
        return a, b, c, d

    args, kwargs = parameters(f).bind([1])
    assert f(*args, **kwargs) == (1, shared, "c", 1)
    assert f(*args, **kwargs)[1] is shared


def test_defaults_of_pydantic_fields() -> None:
    def f(a: int = Field(gt=0), b: int = Field(5, lt=9), c: list[int] = Field(default_factory=list)) -> Any:  # noqa: B008
        return a, b, c

    made = parameters(f)
    args, kwargs = made.bind([1])
    assert f(*args, **kwargs) == (1, 5, [])
    assert refusal(made, []).issues[0]["path"] == ["a"]
    assert refusal(made, [0]).issues[0]["expected"] == "greater than 0"
    assert refusal(made, [1, 9]).issues[0]["expected"] == "less than 9"


def test_keyword_only_parameters_come_by_name() -> None:
    def f(a: int, *, b: int) -> Any:
        return a, b

    made = parameters(f)
    assert made.structure == "by-name"
    assert made.bind({"a": 1, "b": 2}) == ((), {"a": 1, "b": 2})
    assert refusal(made, [1]).issues == [{"path": ["b"], "expected": "a value, by name", "got": "nothing"}]
    assert refusal(made, [1, 2]).issues[0]["expected"].startswith("at most 1 by position")


def test_positional_only_parameters_come_either_way() -> None:
    def f(a: int, b: int = 2, /, c: int = 3, *, d: int = 4) -> Any:
        return a, b, c, d

    made = parameters(f)
    for params in ([1], [1, 5], [1, 5, 6], {"a": 1}, {"a": 1, "b": 5, "c": 6, "d": 7}, {"d": 7, "a": 1}):
        args, kwargs = made.bind(params)
        a, b, c, d = f(*args, **kwargs)
        named = params if isinstance(params, dict) else dict(zip("abc", params, strict=False))
        assert (a, b, c, d) == tuple({"b": 2, "c": 3, "d": 4, **named}[k] for k in "abcd")


def test_variadic_parameters() -> None:
    def f(a: int, *rest: int, **more: str) -> Any:
        return a, rest, more

    made = parameters(f)
    args, kwargs = made.bind([1, 2, 3])
    assert f(*args, **kwargs) == (1, (2, 3), {})
    args, kwargs = made.bind({"a": 1, "x": "y"})
    assert f(*args, **kwargs) == (1, (), {"x": "y"})
    assert refusal(made, [1, 2, "3"]).issues == [{"path": ["rest", 1], "expected": "an integer", "got": '"3"'}]
    assert refusal(made, {"a": 1, "x": 2}).issues == [{"path": ["x"], "expected": "text", "got": "2"}]


def test_variadic_parameters_without_hints_take_anything() -> None:
    def f(*args, **kwargs):  # type: ignore[no-untyped-def]
        return args, kwargs

    made = parameters(f)
    assert made.bind([1, "a", None]) == ((1, "a", None), {})
    assert made.bind({"x": b""}) == ((), {"x": b""})


def test_unannotated_parameters_take_anything() -> None:
    def f(a, b=1):  # type: ignore[no-untyped-def]
        return a, b

    args, kwargs = parameters(f).bind([{"x": [1]}])
    assert f(*args, **kwargs) == ({"x": [1]}, 1)  # type: ignore[no-untyped-call]


def first(context: Context, a: int, b: int = 2) -> Any:
    return context, a, b


def middle(a: int, context: Context, b: int = 2) -> Any:
    return context, a, b


def last(a: int, b: int = 2, *, context: Context) -> Any:
    return context, a, b


def only_positional(a: int, context: Context, b: int = 2, /) -> Any:
    return context, a, b


def optional(a: int, b: int = 2, context: Context | None = None) -> Any:
    return context, a, b


@pytest.mark.parametrize("function", [first, middle, last, only_positional, optional])
@pytest.mark.parametrize("params", [[1], [1, 3], {"a": 1}, {"a": 1, "b": 3}, {"b": 3, "a": 1}])
def test_the_context_goes_where_it_belongs(function: Callable[..., Any], params: Any) -> None:
    made = parameters(function)
    assert made.wants_context
    assert [item.name for item in made.items] == ["a", "b"]
    args, kwargs = made.bind(params, CONTEXT)
    assert function(*args, **kwargs) == (CONTEXT, 1, 3 if len(params) == 2 else 2)


@pytest.mark.parametrize("function", [first, middle, last, only_positional, optional])
def test_the_context_is_never_set_from_the_wire(function: Callable[..., Any]) -> None:
    made = parameters(function)
    assert refusal(made, {"a": 1, "context": {}}).issues[0]["path"] == ["context"]
    assert refusal(made, [1, 2, 3]).issues[0]["path"] == []


def test_the_context_is_never_set_through_open_names() -> None:
    def f(context: Context, *rest: Any, **more: Any) -> Any:
        return context, rest, more

    made = parameters(f)
    error = refusal(made, {"context": 1, "x": 2})
    assert error.issues[0]["path"] == ["context"]
    args, kwargs = made.bind([1, 2], CONTEXT)
    assert f(*args, **kwargs) == (CONTEXT, (1, 2), {})
    args, kwargs = made.bind({"x": 2}, CONTEXT)
    assert f(*args, **kwargs) == (CONTEXT, (), {"x": 2})


def test_two_contexts_are_refused() -> None:
    def f(a: Context, b: Context) -> None: ...

    with pytest.raises(ExposeError, match="second one"):
        parameters(f)

    def g(*a: Context) -> None: ...

    with pytest.raises(ExposeError, match="variadic"):
        parameters(g)


def test_types_that_cannot_travel_are_refused_when_exposed() -> None:
    class Plain: ...

    class Odd(enum.Enum):
        A = (1, 2)

    with pytest.raises(ExposeError, match=r"f: v: expected a type whose values can travel, got .*Plain"):
        one(Plain)
    with pytest.raises(ExposeError, match=r"f: v: functions can't travel"):
        one(Callable[[int], int])
    with pytest.raises(ExposeError, match=r"f: v: the values of Odd can't travel"):
        one(Odd)

    def f(**more: Unpack[Options]) -> None: ...

    with pytest.raises(ExposeError, match="one by one"):
        parameters(f)


def test_a_model_shared_by_parameters() -> None:
    def f(a: Box, b: Box, c: list[Box], *rest: Box) -> Any:
        return a, b, c, rest

    made = parameters(f)
    args, kwargs = made.bind([{"width": 1}, {"width": 2}, [{"width": 3}], {"width": 4}])
    a, b, c, rest = f(*args, **kwargs)
    assert [a.width, b.width, c[0].width, rest[0].width] == [1, 2, 3, 4]
    assert refusal(made, [{"width": 1}, {"width": "2"}, []]).issues[0]["path"] == ["b", "width"]


def test_text_of_a_validator_is_told() -> None:
    def even(value: int) -> int:
        if value % 2:
            raise ValueError("an even number is needed")
        return value

    error = refusal(one(Annotated[int, AfterValidator(even)]), [3])
    assert error.issues == [{"path": ["v"], "expected": "an even number is needed", "got": "3"}]


def test_what_else_a_validator_raises_comes_out() -> None:
    def broken(value: int) -> int:
        raise KeyError("secret")

    with pytest.raises(KeyError):
        one(Annotated[int, AfterValidator(broken)]).bind([3])


def test_a_long_wrong_list_gives_a_short_answer() -> None:
    error = refusal(one(list[int]), [["x" * 1000] * 100_000])
    assert len(error.issues) == 1
    assert len(error.message) < 200
    error = refusal(one(dict[str, int]), [{str(n): "x" for n in range(100_000)}])
    assert len(error.issues) == 1

    def f(a: int) -> None: ...

    error = refusal(parameters(f), {f"{'x' * 500}{n}": 1 for n in range(100_000)})
    assert len(error.issues) == 1
    assert len(error.message) < 200


def test_many_wrong_members_are_counted_not_listed() -> None:
    def f(*rest: int) -> None: ...

    error = refusal(parameters(f), ["x"] * 1000)
    assert len(error.issues) == 16
    assert error.message.endswith("(and 15 more)")


def test_deep_values_do_not_end_the_process() -> None:
    value: Any = {"width": 1}
    for _ in range(60):
        value = {"width": 1, "inner": [value]}
    assert one(Box).bind([value])[0][0].width == 1

"""What may travel, beyond the vectors: Python's own types, and errors that say where."""

from __future__ import annotations

import enum
import json
from collections import OrderedDict, namedtuple
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from rtcrpc import limits
from rtcrpc.core.codec import JsonCodec, MessagePackCodec
from rtcrpc.core.envelope import Request, Response
from rtcrpc.core.values import from_json, to_json
from rtcrpc.errors import DecodeError, EncodeError

Point = namedtuple("Point", "x y")


class Color(enum.Enum):
    RED = 1


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def round_trip(value: Any) -> list[Any]:
    results = []
    for codec in (JsonCodec(), MessagePackCodec()):
        (envelope,) = codec.decode(codec.encode(Response(1, value)))
        assert isinstance(envelope, Response)
        results.append(envelope.result)
    return results


@pytest.mark.parametrize(
    ("value", "read"),
    [
        pytest.param((1, (2, 3)), [1, [2, 3]], id="tuples"),
        pytest.param(Point(1, 2), [1, 2], id="a named tuple"),
        pytest.param(OrderedDict(a=1), {"a": 1}, id="an ordered dict"),
        pytest.param(bytearray(b"ab"), b"ab", id="a bytearray"),
        pytest.param(memoryview(b"abc")[1:], b"bc", id="a memoryview"),
        pytest.param(
            datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=1, minutes=30))),
            datetime(2026, 1, 1, tzinfo=UTC),
            id="a time of another zone",
        ),
        pytest.param({"$": 1, "$int": "5"}, {"$": 1, "$int": "5"}, id="dollars that are no form"),
        pytest.param({"$$": {"$bytes": 1}}, {"$$": {"$bytes": 1}}, id="dollars in dollars"),
        pytest.param(2 ** (limits.MAX_INT_BITS - 1) - 1, 2 ** (limits.MAX_INT_BITS - 1) - 1, id="the largest integer"),
        pytest.param(-(2 ** (limits.MAX_INT_BITS - 1)), -(2 ** (limits.MAX_INT_BITS - 1)), id="the smallest integer"),
        pytest.param(nested(limits.MAX_DEPTH), nested(limits.MAX_DEPTH), id="the deepest list"),
    ],
)
def test_a_value_arrives(value: Any, read: Any) -> None:
    assert round_trip(value) == [read, read]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        pytest.param([{"speed": {1}}], r"\[0\]\.speed.*got set", id="a set"),
        pytest.param({"a": [0, object()]}, r"a\[1\].*object", id="an object"),
        pytest.param([Color.RED], r"\[0\].*Color", id="an enum's member"),
        pytest.param([datetime(2026, 1, 1)], r"\[0\].*time zone", id="a naive time"),
        pytest.param({"a": {1: 2}}, r"a.*keys.*int 1", id="a key that is a number"),
        pytest.param({"a": {b"k": 2}}, r"a.*keys.*bytes", id="a key of bytes"),
        pytest.param(["\ud800"], r"\[0\].*surrogate", id="a lone surrogate"),
        pytest.param({"\ud800": 1}, "surrogate", id="a lone surrogate in a key"),
        pytest.param(2 ** (limits.MAX_INT_BITS - 1), "4096 bits", id="an integer too large"),
        pytest.param(-(2 ** (limits.MAX_INT_BITS - 1)) - 1, "4096 bits", id="an integer too small"),
        pytest.param(nested(limits.MAX_DEPTH + 1), "64 levels", id="a list too deep"),
        pytest.param(1j, "complex", id="a complex number"),
    ],
)
def test_a_value_that_can_not_travel(value: Any, says: str) -> None:
    for codec in (JsonCodec(), MessagePackCodec()):
        with pytest.raises(EncodeError, match=says):
            codec.encode(Response(1, value))
        assert codec.decode(codec.encode(Response(1, [2]))) == [Response(1, [2])]


def test_a_list_that_holds_itself() -> None:
    value: list[Any] = []
    value.append(value)
    for codec in (JsonCodec(), MessagePackCodec()):
        with pytest.raises(EncodeError, match="does it hold itself"):
            codec.encode(Request(1, "a", value))


def test_depth_and_keys_of_params_and_meta_are_checked_too() -> None:
    for codec in (JsonCodec(), MessagePackCodec()):
        with pytest.raises(EncodeError, match="params"):
            codec.encode(Request(1, "a", [{1: 1}]))
        with pytest.raises(EncodeError, match="meta"):
            codec.encode(Request(1, "a", [], {"key": {1}}))


def test_the_json_form_by_itself() -> None:
    value = {"n": 2**60, "b": b"\x00", "f": [float("inf"), 1.5], "t": datetime(1, 1, 1, tzinfo=UTC), "$x": None}
    form = to_json(value)
    assert json.loads(json.dumps(form)) == form
    assert from_json(form) == value
    assert form["t"] == {"$time": "0001-01-01T00:00:00Z"}
    with pytest.raises(DecodeError):
        from_json({"$nothing": 1})


def test_nanoseconds_are_cut() -> None:
    (envelope,) = JsonCodec().decode_text(
        '{"jsonrpc":"2.0","id":1,"result":{"$time":"2026-01-01T00:00:00.123456789Z"}}'
    )
    assert envelope == Response(1, datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC))

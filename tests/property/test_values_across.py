"""Any value survives the way from Python to JavaScript and back, in both encodings, and then again."""

from __future__ import annotations

import json
import math
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rtcrpc import limits
from rtcrpc.arrays import use_numpy
from rtcrpc.core.arrays import DTYPES, Array, set_arrival
from rtcrpc.core.codec import JsonCodec, MessagePackCodec
from rtcrpc.core.envelope import Response
from rtcrpc.core.values import StreamRef

CLIENT = Path(__file__).resolve().parents[2] / "js-client"
BOUND = 30  # seconds for one answer
SAFE = 2**53 - 1
JSON_HEAD, MSGPACK_HEAD = '{"jsonrpc":"2.0","id":1,"result":', "930101"

json_codec, msgpack_codec = JsonCodec(), MessagePackCodec()


class Echo:
    """JavaScript, reading values and writing them again."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "--no-warnings", "--import", "tsx", "test/echo-codec.ts"],
            cwd=CLIENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def ask(self, **question: str) -> dict[str, str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        stop = threading.Timer(BOUND, self._process.kill)
        stop.start()
        try:
            print(json.dumps(question), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        finally:
            stop.cancel()
        assert line, f"JavaScript said nothing within {BOUND} s, or ended"
        answer: dict[str, str] = json.loads(line)
        assert "refused" not in answer, (question, answer)
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(BOUND)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture(params=["numpy", "plain"])
def arrival(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "numpy":
        use_numpy()
    else:
        set_arrival(None)
    yield request.param
    set_arrival(None)


# -- what may travel -----------------------------------------------------------------------------------------

texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(["__proto__", "constructor", "$", "$int", "$$bytes", "$array", "\ufeffbom", "x" * 300, "0", "10"]),
)
integers = st.one_of(
    st.integers(-(2**64), 2**64),
    st.integers(-(2 ** (limits.MAX_INT_BITS - 1)), 2 ** (limits.MAX_INT_BITS - 1) - 1),
    st.sampled_from([edge + step for edge in (0, 2**31, 2**32, 2**53, 2**63, 2**64) for step in (-1, 0, 1)]),
    st.sampled_from([-edge + step for edge in (2**31, 2**53, 2**63) for step in (-1, 0, 1)]),
)
instants = st.builds(
    lambda moment, fraction: moment.replace(microsecond=fraction, tzinfo=UTC),
    st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)),
    st.one_of(st.just(0), st.integers(0, 999).map(lambda millis: millis * 1000), st.integers(0, 999_999)),
)
numbers = st.sampled_from([dtype for name in DTYPES for dtype in (np.dtype("<" + name), np.dtype(">" + name))]).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    st.floats(),
    st.sampled_from([1.0, -0.0, 0.0, 2.0**53, -(2.0**53), 1e21, 1e22, 5e-324]),
    texts,
    st.binary(max_size=40),
    instants,
    st.integers(1, SAFE).map(StreamRef),
    numbers,
    numbers.map(lambda array: array[..., ::-1] if array.ndim else array),
    numbers.map(lambda array: array.T),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(texts, inner, max_size=5)),
    max_leaves=12,
)


def as_javascript_has_it(value: Any) -> Any:
    """What comes back: one type of numbers, clocks that tell milliseconds, and arrays of one order."""
    if type(value) is float and value.is_integer() and abs(value) <= SAFE and str(value) != "-0.0":
        return int(value)
    if isinstance(value, datetime):
        return value - timedelta(microseconds=value.microsecond % 1000)
    if isinstance(value, np.ndarray):
        return plain(value)
    if isinstance(value, list):
        return [as_javascript_has_it(item) for item in value]
    if isinstance(value, dict):
        return {key: as_javascript_has_it(item) for key, item in value.items()}
    return value


def plain(array: np.ndarray) -> Array:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return Array(f"{array.dtype.kind}{array.dtype.itemsize}", array.shape, little.tobytes())


def same(a: Any, b: Any) -> bool:
    """Equal and of one type all the way down; NaN is itself, and zero has a sign."""
    a, b = (plain(one) if isinstance(one, np.ndarray) else one for one in (a, b))
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


# -- there and back ------------------------------------------------------------------------------------------


def to_json(value: Any) -> str:
    return json_codec.encode(Response(1, value)).decode()[len(JSON_HEAD) : -1]


def to_msgpack(value: Any) -> str:
    return msgpack_codec.encode(Response(1, value)).hex()[len(MSGPACK_HEAD) :]


def from_json(text: str) -> Any:
    (envelope,) = json_codec.decode_text(f"{JSON_HEAD}{text}}}")
    assert isinstance(envelope, Response)
    return envelope.result


def from_msgpack(data: str) -> Any:
    (envelope,) = msgpack_codec.decode(bytes.fromhex(MSGPACK_HEAD + data))
    assert isinstance(envelope, Response)
    return envelope.result


@settings(max_examples=200)
@given(value=values)
def test_there_and_back_and_there_again(echo: Echo, value: Any) -> None:
    expected = as_javascript_has_it(value)
    for answer in (echo.ask(json=to_json(value)), echo.ask(msgpack=to_msgpack(value))):
        from_both = from_json(answer["json"]), from_msgpack(answer["msgpack"])
        for got in from_both:
            assert same(got, expected), (got, expected)
        # And what JavaScript wrote is what Python writes of it, to the last byte where there is one form.
        assert to_msgpack(from_both[1]) == answer["msgpack"]
        again = echo.ask(msgpack=to_msgpack(from_both[0]))
        assert again == echo.ask(json=to_json(from_both[1]))
        assert again["msgpack"] == answer["msgpack"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_dtype(echo: Echo, arrival: str, dtype: str) -> None:
    for array in (np.arange(-2, 4).astype(dtype), np.ones((2, 3), dtype), np.ones((), dtype), np.ones((0, 2), dtype)):
        for answer in (echo.ask(json=to_json(array)), echo.ask(msgpack=to_msgpack(array))):
            for got in (from_json(answer["json"]), from_msgpack(answer["msgpack"])):
                assert type(got) is (np.ndarray if arrival == "numpy" else Array)
                assert same(got, array)


def test_a_picture_of_a_megabyte(echo: Echo) -> None:
    picture = np.arange(3 << 20, dtype=np.uint32).astype(np.uint8).reshape(1024, 1024, 3)
    answer = echo.ask(msgpack=to_msgpack({"picture": picture, "more": [1]}))
    got = from_msgpack(answer["msgpack"])
    assert same(got["picture"], picture)
    assert got["more"] == [1]

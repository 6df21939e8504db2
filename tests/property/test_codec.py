"""Any value survives both encodings; any bytes are a message or a `DecodeError`."""

from __future__ import annotations

import contextlib
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rtcrpc import limits
from rtcrpc.core.codec import JsonCodec, MessagePackCodec
from rtcrpc.core.envelope import Batch, ErrorResponse, Malformed, Notification, Request, Response
from rtcrpc.core.values import from_json, to_json
from rtcrpc.errors import DecodeError, EncodeError

BITS = limits.MAX_INT_BITS
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
keys = texts | st.sampled_from(["$", "$$", "$int", "$bytes", "$time", "$float", "$x", "__proto__"])
integers = st.integers(-(2 ** (BITS - 1)), 2 ** (BITS - 1) - 1) | st.sampled_from(
    [sign * 2**power + step for power in (7, 8, 31, 32, 53, 63, 64) for sign in (1, -1) for step in (-1, 0, 1)]
)
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=11))])
times = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=zones)
scalars = st.none() | st.booleans() | integers | st.floats() | texts | st.binary(max_size=40) | times
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(keys, inner, max_size=5), max_leaves=25
)
params = st.lists(values, max_size=4) | st.dictionaries(keys, values, max_size=4)
methods = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=limits.MAX_METHOD_LENGTH)
ids = st.integers(0, 2**53 - 1)
metas = st.fixed_dictionaries({}, optional={"timeout": st.integers(0, 2**40), "trace": texts, "key": texts})
datas = st.none() | st.dictionaries(texts, values, max_size=3)
envelopes = (
    st.builds(Request, ids, methods, params, metas)
    | st.builds(Response, ids, values)
    | st.builds(ErrorResponse, ids, st.integers(-(2**53) + 1, 2**53 - 1), texts, datas)
    | st.builds(Notification, methods, params, metas)
)


def canon(value: Any) -> Any:
    """Something that is equal for what is the same: NaN is itself, 1 is not 1.0, zero has a sign, an instant has no zone."""
    match value:
        case float():
            return ("float", "nan" if math.isnan(value) else repr(value))
        case datetime():
            return ("time", value.astimezone(UTC))
        case list():
            return [canon(item) for item in value]
        case dict():
            return {key: canon(item) for key, item in value.items()}
        case Request() | Notification():
            named = (value.method, canon(value.params), canon(value.meta))
            return (type(value), getattr(value, "id", None), *named)
        case Response():
            return (Response, value.id, canon(value.result))
        case ErrorResponse():
            return (ErrorResponse, value.id, value.code, value.message, canon(value.data))
        case _:
            return (type(value), value)


@given(values)
def test_a_value_survives_both_encodings(value: Any) -> None:
    for codec in (JsonCodec(), MessagePackCodec()):
        (read,) = codec.decode(codec.encode(Response(1, value)))
        assert canon(read) == canon(Response(1, value))
    assert canon(from_json(to_json(value))) == canon(value)


@given(st.lists(envelopes, min_size=1, max_size=6))
def test_envelopes_survive_together(made: list[Any]) -> None:
    codec = MessagePackCodec()
    assert canon(codec.decode(b"".join(map(codec.encode, made)))) == canon(made)
    json_codec = JsonCodec()
    (batch,) = json_codec.decode(json_codec.encode(Batch(tuple(made))))
    assert isinstance(batch, Batch)
    assert canon(list(batch.items)) == canon(made)


anything: Any = st.deferred(
    lambda: (
        scalars
        | st.text(max_size=5)
        | st.complex_numbers()
        | st.sets(st.integers(), max_size=2)
        | st.datetimes()
        | st.integers(2**BITS, 2 ** (BITS + 9))
        | st.lists(anything, max_size=3)
        | st.tuples(anything)
        | st.dictionaries(st.integers() | st.binary(max_size=2) | texts | st.none(), anything, max_size=3)
        | st.builds(object)
    )
)


@given(anything)
def test_anything_is_encoded_or_refused_alike_in_both(value: Any) -> None:
    outcomes = []
    for codec in (JsonCodec(), MessagePackCodec()):
        try:
            (read,) = codec.decode(codec.encode(Response(1, value)))
            outcomes.append(canon(read))
        except EncodeError:
            outcomes.append("refused")
        assert codec.decode(codec.encode(Response(2, [1]))) == [Response(2, [1])]
    assert outcomes[0] == outcomes[1]


@given(st.binary(max_size=200))
@example(b"\x91" * 5000)
@example(b"\xdc\xff\xff" * 1000)
@example(b"\x93\x01\x01\xd6\xff\xff\xff\xff\xff")
@example(b"\x93\x01\x01\xc7\x0c\xff\x3b\x9a\xca\x00\x00\x00\x00\x00\x00\x00\x00\x00")
def test_any_bytes_are_messagepack_or_refused(data: bytes) -> None:
    codec = MessagePackCodec()
    for prefix in (b"", b"\x93\x01\x01", b"\x94\x00\x01\xa1m\x91", b"\x93\x03\xa1m"):
        with contextlib.suppress(DecodeError):
            assert codec.decode(prefix + data)
        assert codec.decode(b"\x93\x01\x01\x02") == [Response(1, 2)]


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode(errors="surrogatepass")))
@example(b"[" * 100_000)
@example(b"[" * 60 + b"]" * 60)
@example(b'{"a":' * 100_000)
@example(b'"' + b"[" * 100_000)
@example(b"1" * 100_000)
@example(b"\xef\xbb\xbf{}")
def test_any_bytes_are_json_or_refused(data: bytes) -> None:
    codec = JsonCodec()
    for before, after in (
        (b"", b""),
        (b'{"jsonrpc":"2.0","id":1,"result":', b"}"),
        (b'[{"jsonrpc":"2.0","method":"m","params":[', b"]}]"),
    ):
        with contextlib.suppress(DecodeError):
            codec.decode(before + data + after)
    assert codec.decode(b'{"jsonrpc":"2.0","id":1,"result":2}') == [Response(1, 2)]


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
members = st.sampled_from(["jsonrpc", "id", "method", "params", "meta", "result", "error", "$int", "x"])


@given(st.dictionaries(members, json_values | st.just("2.0"), max_size=7))
def test_any_object_is_an_envelope_or_malformed(value: dict[str, Any]) -> None:
    import json

    try:
        decoded = JsonCodec().decode_text(json.dumps(value))
    except DecodeError:
        return
    for envelope in decoded:
        assert isinstance(envelope, Request | Response | ErrorResponse | Notification | Malformed)
        if not isinstance(envelope, Malformed):
            # Whatever is taken can be said again: an answer to it can always be encoded.
            assert JsonCodec().encode(envelope)


@given(envelopes, st.data())
def test_a_flipped_byte_is_another_message_or_refused(envelope: Any, data: Any) -> None:
    codec = MessagePackCodec()
    packed = bytearray(codec.encode(envelope))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(DecodeError):
        codec.decode(packed)
    assert codec.decode(codec.encode(envelope))


@pytest.mark.parametrize("depth", [limits.MAX_DEPTH, limits.MAX_DEPTH + 1])
@given(st.lists(st.booleans(), min_size=limits.MAX_DEPTH + 1, max_size=limits.MAX_DEPTH + 1), st.booleans())
def test_depth_is_the_same_everywhere(depth: int, kinds: list[bool], is_empty: bool) -> None:
    value: Any = [] if is_empty else [1]
    for is_map in kinds[: depth - 1]:
        value = {"a": value} if is_map else [value]
    for codec in (JsonCodec(), MessagePackCodec()):
        if depth <= limits.MAX_DEPTH:
            assert codec.decode(codec.encode(Response(1, value))) == [Response(1, value)]
        else:
            with pytest.raises(EncodeError):
                codec.encode(Response(1, value))

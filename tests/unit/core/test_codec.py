"""The codecs beyond the vectors: what is hostile, what is large, and what is left afterwards."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import msgpack
import pytest

from rtcrpc import codes, limits
from rtcrpc.core.codec import JsonCodec, MessagePackCodec
from rtcrpc.core.envelope import Batch, ErrorResponse, Malformed, Notification, Request, Response
from rtcrpc.errors import DecodeError, EncodeError

ENVELOPES = [
    Request(1, "add", [1, 2]),
    Request(2, "add", {"a": b"x"}, {"timeout": 500}),
    Response(3, {"a": [None, True]}),
    ErrorResponse(4, -32000, "no", {"detail": 1}),
    Notification("log", ["x"]),
]


@pytest.mark.parametrize("codec", [JsonCodec(), MessagePackCodec()], ids=["json", "msgpack"])
@pytest.mark.parametrize("envelope", ENVELOPES, ids=lambda envelope: type(envelope).__name__)
def test_there_and_back(codec: Any, envelope: Any) -> None:
    assert codec.decode(codec.encode(envelope)) == [envelope]


def test_many_envelopes_in_one_payload() -> None:
    codec = MessagePackCodec()
    payload = b"".join(map(codec.encode, ENVELOPES))
    assert codec.decode(payload) == ENVELOPES
    assert codec.decode(payload) == ENVELOPES


def test_a_batch_has_no_form_in_messagepack() -> None:
    with pytest.raises(TypeError, match="batches"):
        MessagePackCodec().encode(Batch((Notification("a"),)))


def test_every_cut_of_a_payload_is_refused_or_whole() -> None:
    codec = MessagePackCodec()
    parts = list(map(codec.encode, ENVELOPES))
    payload = b"".join(parts)
    ends = {sum(map(len, parts[:count])): count for count in range(1, len(parts) + 1)}
    for cut in range(len(payload)):
        if cut in ends:
            assert codec.decode(payload[:cut]) == ENVELOPES[: ends[cut]]
        else:
            with pytest.raises(DecodeError):
                codec.decode(payload[:cut])


@pytest.mark.parametrize("count", [1000, 5000, 70_000])
def test_long_lists_and_maps(count: int) -> None:
    codec = MessagePackCodec()
    for value in (list(range(count)), {str(number): number for number in range(count)}, [[]] * count):
        assert codec.decode(codec.encode(Response(1, value)) * 2) == [Response(1, value)] * 2


def test_a_large_message_of_bytes() -> None:
    codec = MessagePackCodec()
    value = bytes(5_000_000)
    assert codec.decode(bytearray(codec.encode(Response(1, value)))) == [Response(1, value)]


def peak_megabytes() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1 << 20 if sys.platform == "darwin" else 1 << 10)


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(b"\xdc\x3f\xff" * 1000, id="lists of 16,383 in each other"),
        pytest.param(b"\xdc\xff\xff" * 21_000, id="lists of 65,535 in each other"),
        pytest.param(b"\xdd\x00\x0f\xff\xff" * 13_000, id="lists of a million in each other"),
        pytest.param(b"\xdd\x7f\xff\xff\xff" + b"\xc0" * 100_000, id="a long list that says it is longer"),
        pytest.param(b"\x93\x01\x01" + b"\xdc\x04\x00" * 900, id="lists of just what is believed"),
    ],
)
def test_what_a_header_claims_is_not_believed(bomb: bytes) -> None:
    before = peak_megabytes()
    with pytest.raises(DecodeError):
        MessagePackCodec().decode(bomb)
    assert peak_megabytes() - before < 24


def test_a_flood_of_envelopes_in_one_message_is_refused_early() -> None:
    started = time.perf_counter()
    with pytest.raises(DecodeError, match="envelopes") as refused:
        MessagePackCodec().decode(b"\x93\x03\xa1a\x90" * 2_000_000)
    assert refused.value.code == codes.INVALID_REQUEST
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("depth", [limits.MAX_DEPTH - 1, limits.MAX_DEPTH, limits.MAX_DEPTH + 1, 900, 5000, 500_000])
@pytest.mark.parametrize("pair", [("[", "]"), ('{"a":', "}")], ids=["lists", "maps"])
def test_depth_is_counted_before_decoding(depth: int, pair: tuple[str, str]) -> None:
    codec = JsonCodec()
    text = '{"jsonrpc":"2.0","id":1,"result":' + pair[0] * depth + "1" + pair[1] * depth + "}"
    if depth <= limits.MAX_DEPTH:
        assert isinstance(codec.decode_text(text)[0], Response)
    else:
        with pytest.raises(DecodeError):
            codec.decode_text(text)
    assert codec.decode_text('{"jsonrpc":"2.0","id":1,"result":1}') == [Response(1, 1)]


def test_brackets_in_texts_are_no_levels() -> None:
    text = '"' + '[{\\"' * 1000 + '"'
    (envelope,) = JsonCodec().decode_text(f'{{"jsonrpc":"2.0","id":1,"result":[{text}]}}')
    assert envelope == Response(1, ['[{"' * 1000])


def test_digits_cost_no_more_than_linear_time() -> None:
    started = time.perf_counter()
    for text in ("9" * 1_000_000, '{"$int":"' + "9" * 1_000_000 + '"}', "-" + "9" * 1_000_000, "1" * 999_999 + ".5"):
        with pytest.raises(DecodeError):
            JsonCodec().decode_text(f'{{"jsonrpc":"2.0","id":1,"result":{text}}}')
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    "text",
    [
        '{"jsonrpc":"2.0","id":1,"result":1e999}',
        '{"jsonrpc":"2.0","id":1e999,"method":"a"}',
        '{"jsonrpc":"2.0","id":1,"method":"a","params":[1],"params":[2]}',
        '{"jsonrpc":"2.0","id":"\\ud800","method":"a"}',
        '{"jsonrpc":"2.0","id":1,"result":"\ud800"}',
    ],
)
def test_json_that_python_would_take(text: str) -> None:
    with pytest.raises(DecodeError):
        JsonCodec().decode_text(text)


def test_batches() -> None:
    codec = JsonCodec()
    items = (Request(1, "a", [], {}), Notification("b", [], {}))
    assert codec.decode(codec.encode(Batch(items))) == [Batch(items)]
    one = '{"jsonrpc":"2.0","method":"a"}'
    (batch,) = codec.decode_text(f"[{','.join([one] * limits.MAX_BATCH)}]")
    assert isinstance(batch, Batch)
    assert len(batch.items) == limits.MAX_BATCH
    (refused,) = codec.decode_text(f"[{','.join([one] * (limits.MAX_BATCH + 1))}]")
    assert isinstance(refused, Malformed)
    assert refused.code == codes.INVALID_REQUEST


def test_what_was_meant_as_an_answer_is_told_apart() -> None:
    codec = JsonCodec()
    for text, is_answer in (
        ('{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":"m"}}', True),
        ('{"jsonrpc":"2.0","id":1,"error":1}', True),
        ('{"jsonrpc":"2.0","id":1}', False),
        ('{"jsonrpc":"2.0","id":1,"method":1}', False),
    ):
        (refused,) = codec.decode_text(text)
        assert isinstance(refused, Malformed)
        assert refused.is_answer is is_answer


class Odd(dict[str, Any]):
    """A dict whose methods raise."""

    def items(self) -> Any:
        raise RuntimeError("no")

    def __iter__(self) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize("codec", [JsonCodec(), MessagePackCodec()], ids=["json", "msgpack"])
def test_a_codec_still_works_after_a_value_that_fails_within(codec: Any) -> None:
    with pytest.raises((EncodeError, RuntimeError)):
        codec.encode(Response(1, ["x" * 100, Odd(a=1)]))
    assert codec.decode(codec.encode(Response(2, "ok"))) == [Response(2, "ok")]


def test_keys_of_a_map_appear_once() -> None:
    doubled = b"\x93\x01\x01\x82\xa1a\x01\xa1a\x02"
    assert msgpack.unpackb(doubled) == [1, 1, {"a": 2}]
    with pytest.raises(DecodeError, match="once"):
        MessagePackCodec().decode(doubled)

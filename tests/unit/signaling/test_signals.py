from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcrpc import limits
from rtcrpc.core.identity import Identity, b64url_decode, b64url_encode, lp
from rtcrpc.errors import ProtocolError, SignalingError
from rtcrpc.signaling.signals import SeenSignals, parse_payload, parse_signal, sign_signal, verify_signal

ATTEMPT = b64url_encode(bytes(range(16)))
OFFER = {"kind": "offer", "sdp": "v=0\r\n"}
GOOD = [
    OFFER,
    {"kind": "answer", "sdp": ""},
    {"kind": "candidate", "candidate": "candidate:1 1 udp 1 10.0.0.1 9 typ host", "mid": "0"},
    {"kind": "refuse", "code": -32005, "reason": "busy"},
    {"kind": "offer", "sdp": "s" * limits.MAX_SDP, "later": {"a": [1]}},
]


@pytest.mark.parametrize("payload", GOOD)
def test_a_signal_is_signed_sent_parsed_and_verified(payload: dict[str, Any], alice: Identity, bob: Identity):
    message = sign_signal(alice, "lab", bob.peer_id, ATTEMPT, payload)
    received = parse_signal(json.loads(json.dumps(message.to_params())))
    assert received == message
    assert verify_signal(received, "lab")
    assert parse_payload(received.payload) == payload


def test_the_signed_bytes_are_those_of_the_protocol_page(alice: Identity, bob: Identity):
    message = sign_signal(alice, "lab", bob.peer_id, ATTEMPT, OFFER)
    fields = [b"lab", alice.peer_id.encode(), bob.peer_id.encode(), ATTEMPT.encode(), message.payload.encode()]
    assert message.signature == alice.sign("rtcrpc-signal-v1", *fields)
    assert lp(b"ab") == b"\x00\x00\x00\x02ab"


def test_a_change_of_any_field_breaks_the_signature(alice: Identity, bob: Identity):
    message = sign_signal(alice, "lab", bob.peer_id, ATTEMPT, OFFER)
    carol = Identity.generate(bytes([9] * 32)).peer_id
    changed = [
        dataclasses.replace(message, to=carol),
        dataclasses.replace(message, sender=carol),
        dataclasses.replace(message, sender=bob.peer_id, to=alice.peer_id),
        dataclasses.replace(message, attempt=b64url_encode(bytes(16))),
        dataclasses.replace(message, payload=message.payload + " "),
        dataclasses.replace(message, signature=bytes(64)),
    ]
    assert [verify_signal(one, "lab") for one in changed] == [False] * len(changed)
    assert not verify_signal(message, "lab2")


@given(position=st.integers(0, 511))
def test_no_flipped_bit_of_a_signature_holds(position: int):
    alice, bob = Identity.generate(bytes([1] * 32)), Identity.generate(bytes([2] * 32))
    message = sign_signal(alice, "lab", bob.peer_id, ATTEMPT, OFFER)
    flipped = bytearray(message.signature)
    flipped[position // 8] ^= 1 << position % 8
    assert not verify_signal(dataclasses.replace(message, signature=bytes(flipped)), "lab")


BAD_PAYLOADS: list[Any] = [
    {},
    {"kind": "hello"},
    {"kind": ["offer"]},
    {"kind": "offer"},
    {"kind": "offer", "sdp": 1},
    {"kind": "offer", "sdp": "s" * (limits.MAX_SDP + 1)},
    {"kind": "offer", "sdp": "é" * (limits.MAX_SDP // 2 + 1)},
    {"kind": "answer", "sdp": "\ud800"},
    {"kind": "candidate", "candidate": "c" * 1025, "mid": "0"},
    {"kind": "candidate", "candidate": "candidate:1", "mid": "0" * 17},
    {"kind": "candidate", "candidate": "candidate:1\r\na=x", "mid": "0"},
    {"kind": "candidate", "candidate": "candidate:1"},
    {"kind": "refuse", "reason": "no code"},
    {"kind": "refuse", "code": True, "reason": ""},
    {"kind": "refuse", "code": 1, "reason": "r" * 257},
    ["offer"],
    "offer",
]


@pytest.mark.parametrize("payload", BAD_PAYLOADS)
def test_a_bad_payload_is_neither_sent_nor_taken(payload: Any, alice: Identity, bob: Identity):
    with pytest.raises(SignalingError):
        sign_signal(alice, "lab", bob.peer_id, ATTEMPT, payload)
    with pytest.raises(ProtocolError):
        parse_payload(json.dumps(payload))


@pytest.mark.parametrize(
    "payload",
    [{"kind": "offer", "sdp": "", "x": float("nan")}, {"kind": "offer", "sdp": "", "x": b""}, {1: {2: object()}}],
)
def test_a_payload_that_is_no_json_is_not_sent(payload: Any, alice: Identity, bob: Identity):
    with pytest.raises(SignalingError, match="can't be sent"):
        sign_signal(alice, "lab", bob.peer_id, ATTEMPT, payload)


@pytest.mark.parametrize(
    ("to", "attempt"), [("bob", ATTEMPT), (None, "A" * 21), (None, "A" * 23), (None, "A" * 21 + "B")]
)
def test_a_signal_needs_a_peer_id_and_an_attempt(to: str | None, attempt: str, alice: Identity, bob: Identity):
    with pytest.raises(SignalingError):
        sign_signal(alice, "lab", to or bob.peer_id, attempt, OFFER)


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 20000, "1", "null", '{"kind":"offer","sdp":"","x":Infinity}', "9" * 5000]
)
def test_a_payload_text_that_is_no_object_is_refused(text: str):
    with pytest.raises(ProtocolError):
        parse_payload(text)


@given(st.text())
def test_no_payload_text_makes_parsing_raise_anything_else(text: str):
    with contextlib.suppress(ProtocolError):
        parse_payload(text)


@pytest.mark.parametrize("field", ["to", "from", "attempt", "payload", "signature"])
@pytest.mark.parametrize("value", [None, 1, "", "x", "\ud800", ["a"], "A" * 100_000])
def test_a_bad_field_is_refused(field: str, value: Any, alice: Identity, bob: Identity):
    params = sign_signal(alice, "lab", bob.peer_id, ATTEMPT, OFFER).to_params()
    if field == "payload" and isinstance(value, str) and value in ("", "x"):
        return  # well-formed for whoever only carries it
    with pytest.raises(ProtocolError):
        parse_signal(params | {field: value})


def test_an_offer_is_known_by_its_attempt_and_other_signals_by_their_signature(alice: Identity, bob: Identity):
    seen = SeenSignals()
    offer = sign_signal(alice, "lab", bob.peer_id, ATTEMPT, OFFER)
    other_offer = sign_signal(alice, "lab", bob.peer_id, ATTEMPT, {"kind": "offer", "sdp": "v=1"})
    answer = sign_signal(alice, "lab", bob.peer_id, ATTEMPT, {"kind": "answer", "sdp": ""})
    assert not seen.is_known(offer, "offer")
    seen.record(offer, "offer")
    assert seen.is_known(offer, "offer")
    assert seen.is_known(other_offer, "offer")
    assert not seen.is_known(answer, "answer")
    seen.record(answer, "answer")
    assert seen.is_known(answer, "answer")


def test_the_memory_is_bounded_and_forgets_the_oldest(alice: Identity, bob: Identity):
    seen = SeenSignals(senders=2, per_sender=2, recent=2)
    base = sign_signal(alice, "lab", bob.peer_id, ATTEMPT, OFFER)

    def offer(sender: str, n: int) -> Any:
        return dataclasses.replace(base, sender=sender, attempt=b64url_encode(bytes([n] * 16)))

    for n in range(3):
        seen.record(offer("a", n), "offer")
    assert [seen.is_known(offer("a", n), "offer") for n in range(3)] == [False, True, True]
    seen.record(offer("b", 0), "offer")
    seen.record(offer("a", 3), "offer")
    seen.record(offer("c", 0), "offer")  # "b" was silent for longest
    assert [seen.is_known(offer(s, n), "offer") for s, n in [("a", 3), ("b", 0), ("c", 0)]] == [True, False, True]
    answers = [dataclasses.replace(base, signature=bytes([n] * 64)) for n in range(3)]
    for answer in answers:
        seen.record(answer, "answer")
    assert [seen.is_known(answer, "answer") for answer in answers] == [False, True, True]
    assert len(b64url_decode(base.attempt)) == 16

"""The vectors that implementations in every language read: proofs, signals and payloads to accept and to refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rtcrpc.core.identity import Identity, b64url_decode, b64url_encode, lp
from rtcrpc.errors import ProtocolError
from rtcrpc.signaling.messages import authority_of, parse_join, room_of, sign_join, verify_join
from rtcrpc.signaling.signals import parse_payload, parse_signal, sign_signal, verify_signal

VECTORS = json.loads((Path(__file__).parents[3] / "schemas" / "vectors" / "signaling.json").read_text())


def cases(kind: str) -> Any:
    return pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in VECTORS[kind]])


def join_holds(case: dict[str, Any]) -> bool:
    params = {key: case[key] for key in ("room", "peer", "proof")} | {"versions": [1]}
    try:
        _, join = parse_join(params)
    except ProtocolError:
        return False
    return verify_join(join, b64url_decode(case["nonce"]), case["authority"])


def signal_holds(case: dict[str, Any]) -> bool:
    try:
        return verify_signal(parse_signal(case["params"]), case["room"])
    except ProtocolError:
        return False


@cases("authorities")
def test_where_a_url_points(case: dict[str, Any]):
    assert (authority_of(case["url"]), room_of(case["url"])) == (case["authority"], case["room"])


@cases("joins")
def test_a_proof_is_made_and_holds(case: dict[str, Any]):
    identity = Identity.from_private_bytes(bytes.fromhex(case["seed"]))
    nonce = b64url_decode(case["nonce"])
    assert lp("rtcrpc-join-v1", nonce, case["room"], case["authority"]).hex() == case["payload"]
    assert b64url_encode(sign_join(identity, nonce, case["room"], case["authority"])) == case["proof"]
    assert join_holds(case)


@cases("refusedJoins")
def test_a_proof_for_something_else_does_not_hold(case: dict[str, Any]):
    assert not join_holds(case)


@cases("signals")
def test_a_signal_holds(case: dict[str, Any]):
    assert signal_holds(case)
    params = case["params"]
    assert (
        lp("rtcrpc-signal-v1", case["room"], *(params[k] for k in ("from", "to", "attempt", "payload"))).hex()
        == (case["signed"])
    )
    identity = Identity.from_private_bytes(bytes.fromhex(case["seed"]))
    payload = parse_payload(params["payload"])
    again = sign_signal(identity, case["room"], params["to"], params["attempt"], payload)
    assert verify_signal(again, case["room"])
    assert (again.to_params() == params) == (again.payload == params["payload"])


@cases("refusedSignals")
def test_a_changed_signal_does_not_hold(case: dict[str, Any]):
    assert not signal_holds(case)


@cases("payloads")
def test_a_payload_is_taken(case: dict[str, Any]):
    assert parse_payload(case["payload"]) == json.loads(case["payload"])


@cases("refusedPayloads")
def test_a_payload_is_dropped(case: dict[str, Any]):
    with pytest.raises(ProtocolError):
        parse_payload(case["payload"])

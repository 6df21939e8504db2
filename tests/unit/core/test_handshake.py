"""Hellos and proofs beyond the vectors."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from support.sessions import identity

from rtcrpc import limits
from rtcrpc.core.handshake import Hello, build_hello, check_hello, parse_hello, role_of, transcript
from rtcrpc.core.identity import Identity, verify_payload
from rtcrpc.errors import HandshakeError, IdentityMismatch, VersionMismatch

ALICE, BOB = sorted((identity(1), identity(2)), key=lambda one: one.peer_id)
HELLO = Hello(key=ALICE.peer_id, nonce=b"\x01" * 32, name="alice", features=frozenset({"cancel"}))
FIELDS: dict[str, Any] = {
    "key_a": ALICE.public_bytes,
    "key_b": BOB.public_bytes,
    "nonce_a": b"\x0a" * 32,
    "nonce_b": b"\x0b" * 32,
    "fingerprint_a": b"\xaa" * 32,
    "fingerprint_b": b"\xbb" * 32,
    "room": "lab",
    "hello_a": build_hello(HELLO).encode(),
    "hello_b": b"{}",
}


@pytest.mark.parametrize("field", [*FIELDS, "signer_role"])
def test_a_proof_holds_for_these_very_bytes(field: str) -> None:
    for role, signer in (("A", ALICE), ("B", BOB)):
        fields = FIELDS | {"signer_role": role}
        signature = signer.sign_payload(transcript(**fields))
        assert verify_payload(signer.public_bytes, transcript(**fields), signature)
        value = fields[field]
        changes: list[Any] = ["B" if role == "A" else "A"] if field == "signer_role" else []
        if field != "signer_role":
            data = value.encode() if isinstance(value, str) else value
            for index in range(len(data)):
                flipped = data[:index] + bytes((data[index] ^ 1,)) + data[index + 1 :]
                changes.append(flipped.decode() if isinstance(value, str) else flipped)
            changes += [value[:-1], value + value[:1], value[:0]]
        for change in changes:
            assert not verify_payload(signer.public_bytes, transcript(**(fields | {field: change})), signature)


def test_the_two_proofs_differ() -> None:
    assert transcript(signer_role="A", **FIELDS) != transcript(signer_role="B", **FIELDS)
    assert (role_of(ALICE.peer_id, BOB.peer_id), role_of(BOB.peer_id, ALICE.peer_id)) == ("A", "B")


def test_a_hello_says_what_it_was_made_of() -> None:
    message = json.loads(build_hello(HELLO))
    assert (message["jsonrpc"], message["method"]) == ("2.0", "rpc.hello")
    assert parse_hello(message["params"]) == HELLO
    assert parse_hello(message["params"] | {"later": 1}) == HELLO


@pytest.mark.parametrize(
    ("member", "value", "holds"),
    [
        ("name", "x" * limits.MAX_NAME_LENGTH, True),
        ("name", "x" * (limits.MAX_NAME_LENGTH + 1), False),
        ("name", "café 🤖", True),
        ("name", "a\x1b[2Jb", False),
        ("name", "a\nb", False),
        ("name", "a\u009bb", False),
        ("features", ["x"] * 64, True),
        ("features", ["x"] * 65, False),
        ("versions", [True], False),
        ("maxFrame", 16, True),
        ("maxFrame", 15, False),
    ],
)
def test_members_of_a_hello(member: str, value: Any, holds: bool) -> None:
    params = json.loads(build_hello(HELLO))["params"] | {member: value}
    if holds:
        parse_hello(params)
    else:
        with pytest.raises(HandshakeError, match=member):
            parse_hello(params)


def test_what_is_refused_before_anything_is_signed() -> None:
    other = dataclasses.replace(HELLO, key=BOB.peer_id, nonce=b"\x02" * 32)
    assert check_hello(HELLO, other, None) == 1
    assert check_hello(HELLO, other, frozenset({BOB.peer_id})) == 1
    for theirs, pin, error in (
        (dataclasses.replace(other, key=HELLO.key), None, HandshakeError),
        (dataclasses.replace(other, nonce=HELLO.nonce), None, HandshakeError),
        (other, frozenset({identity(3).peer_id}), IdentityMismatch),
        (other, frozenset(), IdentityMismatch),
        (dataclasses.replace(other, versions=(2, 3)), None, VersionMismatch),
    ):
        with pytest.raises(error):
            check_hello(HELLO, theirs, pin)


def test_identities_differ() -> None:
    assert Identity.generate(bytes(32)).peer_id != ALICE.peer_id

"""T1: whoever sits between two peers, with whatever certificates, gets no call through, and both sides say why."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest
from support.sessions import Party, identity, pair, pump

from rtcrpc import errors
from rtcrpc.core import events
from rtcrpc.core.handshake import build_hello, parse_hello
from rtcrpc.core.identity import b64url_encode, verify_payload

ATTEMPTS = 100
FLIPS = 10_000


def victims(seed: int, **fingerprints: bytes) -> tuple[Party, Party]:
    """Two honest peers that pinned each other, each looking at the certificate the attacker showed it."""
    one, other = identity(2 * seed + 1), identity(2 * seed + 2)
    a = Party(
        identity=one,
        pin=other.peer_id,
        name="a",
        fingerprint=b"\xaa" * 32,
        peer_fingerprint=fingerprints["a_sees"],
    )
    b = Party(
        identity=other,
        pin=one.peer_id,
        name="b",
        fingerprint=b"\xbb" * 32,
        peer_fingerprint=fingerprints["b_sees"],
    )
    return a, b


def relay_with_own_certificates(seed: int) -> tuple[Party, Party]:
    """Both legs end at the attacker, which passes every frame on as it is."""
    a, b = victims(seed, a_sees=b"\xc1" * 32, b_sees=b"\xc2" * 32)
    pump(a, b)
    return a, b


def one_fingerprint_rewritten(seed: int) -> tuple[Party, Party]:
    """Only one of the two descriptions was changed."""
    a, b = victims(seed, a_sees=b"\xbb" * 32, b_sees=b"\xc2" * 32)
    pump(a, b)
    return a, b


def own_key_in_the_hello(seed: int) -> tuple[Party, Party]:
    """The attacker speaks for itself on both legs, with a key of its own and proofs that hold."""
    a, b = victims(seed, a_sees=b"\xc1" * 32, b_sees=b"\xc2" * 32)
    attacker = identity(10_000 + seed)
    to_a = Party(identity=attacker, name="b", fingerprint=b"\xc1" * 32, peer_fingerprint=b"\xaa" * 32)
    to_b = Party(identity=attacker, name="a", fingerprint=b"\xc2" * 32, peer_fingerprint=b"\xbb" * 32)
    pump(a, to_a)
    pump(b, to_b)
    return a, b


def claimed_key_signed_with_another(seed: int) -> tuple[Party, Party]:
    """The attacker says the other's key in its hello, and signs with what it has."""
    a, b = victims(seed, a_sees=b"\xc1" * 32, b_sees=b"\xc2" * 32)
    attacker = identity(10_000 + seed)
    for victim, claimed in ((a, b), (b, a)):
        (hello,) = victim.take()
        theirs = parse_hello(json.loads(hello)["params"])
        forged = build_hello(
            type(theirs)(key=claimed.identity.peer_id, nonce=bytes([seed % 256]) * 32, name=claimed.name)
        )
        victim.receive(forged)
        payload = victim.take()  # its own proof, of use to nobody else
        assert payload
        signature = attacker.sign_payload(b"anything the attacker likes")
        victim.receive(
            json.dumps({"jsonrpc": "2.0", "method": "rpc.prove", "params": {"signature": b64url_encode(signature)}})
        )
    return a, b


def hellos_weakened(seed: int) -> tuple[Party, Party]:
    """The attacker holds the connection (a stolen certificate) and strikes MessagePack and a feature from the hellos."""
    a, b = victims(seed, a_sees=b"\xbb" * 32, b_sees=b"\xaa" * 32)

    def weaken(frame: bytes | str) -> bytes | str:
        if isinstance(frame, str) and "rpc.hello" in frame:
            message = json.loads(frame)
            message["params"]["encodings"] = ["json"]
            message["params"]["features"] = []
            return json.dumps(message)
        return frame

    for _ in range(10):
        to_b, to_a = a.take(), b.take()
        b.receive(*map(weaken, to_b))
        a.receive(*map(weaken, to_a))
    return a, b


WAYS: dict[str, Callable[[int], tuple[Party, Party]]] = {
    "relay with own certificates": relay_with_own_certificates,
    "one fingerprint rewritten": one_fingerprint_rewritten,
    "own key in the hello": own_key_in_the_hello,
    "claimed key, signed with another": claimed_key_signed_with_another,
    "hellos weakened": hellos_weakened,
}


@pytest.mark.parametrize("way", WAYS)
def test_no_call_gets_through(way: str, report: Callable[[str, str], None]) -> None:
    reached = 0
    for seed in range(ATTEMPTS):
        for party in WAYS[way](seed):
            reached += party.ready
            assert party.all(events.RequestReceived) == []
            with pytest.raises(errors.ConnectionLost):
                party.session.send_request("add", [1, 2], now=party.now)
            assert not any(isinstance(frame, bytes) for frame in party.sent), "nothing but the handshake was sent"
            assert party.closed is not None
            assert isinstance(party.closed.error, errors.HandshakeError), "it says why"
            assert party.closed.reason
    report("T1", f"{way}: {2 * ATTEMPTS} legs, {reached} sessions")
    assert reached == 0


def test_transcripts_with_one_bit_flipped(report: Callable[[str, str], None]) -> None:
    """Whatever bit of what was signed differs at the verifier, the proof does not hold."""
    rng = random.Random(1)
    a, b = pair()
    b.session.receive_data(a.take()[0], 0.0)
    (asked,) = b.session.events_received()
    assert isinstance(asked, events.SignRequired)
    payload = asked.payload
    signature = b.identity.sign_payload(payload)
    assert verify_payload(b.identity.public_bytes, payload, signature)
    accepted = 0
    for _ in range(FLIPS):
        flipped = bytearray(payload)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        accepted += verify_payload(b.identity.public_bytes, bytes(flipped), signature)
    report("T1", f"{FLIPS} transcripts with one bit flipped: {accepted} accepted")
    assert accepted == 0


def test_an_honest_pair_gets_through() -> None:
    """The same victims, with nobody in the middle: the tests above fail for the right reason."""
    a, b = victims(1, a_sees=b"\xbb" * 32, b_sees=b"\xaa" * 32)
    pump(a, b)
    assert a.ready
    assert b.ready


def test_a_wrong_pin_is_refused_before_anything_is_signed() -> None:
    a, b = pair()
    a.session._pin = frozenset({identity().peer_id})
    pump(a, b)
    assert a.closed is not None
    assert isinstance(a.closed.error, errors.IdentityMismatch)
    assert not any("rpc.prove" in frame for frame in a.sent if isinstance(frame, str))
    assert b.closed is not None
    assert isinstance(b.closed.error, errors.IdentityMismatch), "the refused side learns it too"

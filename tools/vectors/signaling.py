"""Signaling (protocol section 9): the proof of a join, the signature of a signal, and payloads."""

from __future__ import annotations

from typing import Any

from vectors.primitives import Key, compact, filler, lp, unpadded

__all__ = ["make"]

JOIN = b"rtcrpc-join-v1"
SIGNAL = b"rtcrpc-signal-v1"
MAX_SDP = 16384


def make() -> dict[str, Any]:
    """The content of `signaling.json`."""
    return {
        "authorities": authorities(),
        "joins": [
            join("an ordinary room"),
            join("a room beyond ASCII", room="caf\u00e9 \U0001f600"),
            join("a port", authority="example.org:8443"),
            join("an IPv6 address", authority="[::1]:8080"),
        ],
        "refusedJoins": refused_joins(),
        "signals": [
            signal("an offer"),
            signal("a candidate", payload=CANDIDATE),
            signal("a payload with spaces, an unknown member and text beyond ASCII", payload=SPACED),
            signal("a room beyond ASCII", room="caf\u00e9 \U0001f600"),
        ],
        "refusedSignals": refused_signals(),
        "payloads": payloads(),
        "refusedPayloads": refused_payloads(),
    }


OFFER = compact({"kind": "offer", "sdp": "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"})
CANDIDATE = compact(
    {"kind": "candidate", "candidate": "candidate:1 1 udp 2130706431 192.0.2.1 40000 typ host", "mid": "0"}
)
SPACED = '{ "kind" : "refuse", "code" : -32005, "reason" : "caf\u00e9", "later" : [ 1 ] }'


def authorities() -> list[dict[str, Any]]:
    """URLs of a room, and the authority and the room that a join signs."""
    samples = {
        "wss://example.org/room/lab": ("example.org", "lab"),
        "ws://127.0.0.1:8080/room/lab": ("127.0.0.1:8080", "lab"),
        "wss://EXAMPLE.org/room/Lab": ("example.org", "Lab"),
        "wss://example.org:443/room/lab": ("example.org", "lab"),
        "ws://example.org:80/room/lab": ("example.org", "lab"),
        "ws://example.org:443/room/lab": ("example.org:443", "lab"),
        "ws://[::1]:8080/room/lab": ("[::1]:8080", "lab"),
        "wss://example.org/some/path/room/lab": ("example.org", "lab"),
        "wss://example.org/room/my%20lab%2F7": ("example.org", "my lab/7"),
        "wss://example.org/room/caf%C3%A9": ("example.org", "caf\u00e9"),
    }
    return [
        {"name": url, "url": url, "authority": authority, "room": room} for url, (authority, room) in samples.items()
    ]


def join(
    name: str, owner: str = "a", nonce: str = "challenge", room: str = "lab", authority: str = "example.org"
) -> dict[str, Any]:
    """A proof and all it is made from."""
    key, challenge = Key(filler(owner)), filler(nonce)
    payload = lp(JOIN, challenge, room.encode(), authority.encode())
    return {
        "name": name,
        "seed": key.seed.hex(),
        "peer": key.peer_id,
        "nonce": unpadded(challenge),
        "room": room,
        "authority": authority,
        "payload": payload.hex(),
        "proof": unpadded(key.sign(payload)),
    }


def refused_joins() -> list[dict[str, Any]]:
    """Proofs that do not hold for `nonce`, `room` and `authority` under `peer`."""
    good, key = join(""), Key(filler("a"))
    challenge = filler("challenge")

    def signed(*fields: bytes) -> dict[str, Any]:
        return {"proof": unpadded(key.sign(lp(*fields)))}

    changes: dict[str, dict[str, Any]] = {
        "another challenge": {"nonce": unpadded(filler("another challenge"))},
        "another room": {"room": "lobby"},
        "another bootstrap": {"authority": "example.net"},
        "another port": {"authority": "example.org:8443"},
        "another peer": {"peer": Key(filler("b")).peer_id},
        "another domain": signed(SIGNAL, challenge, b"lab", b"example.org"),
        "the nonce signed as text": signed(JOIN, unpadded(challenge).encode(), b"lab", b"example.org"),
        "authority in capitals": signed(JOIN, challenge, b"lab", b"EXAMPLE.ORG"),
        "authority with the default port": signed(JOIN, challenge, b"lab", b"example.org:443"),
        "no authority": signed(JOIN, challenge, b"lab"),
        "empty": {"proof": ""},
    }
    kept = {name: good[name] for name in ("peer", "nonce", "room", "authority", "proof")}
    return [{"name": name, **kept, **change} for name, change in changes.items()]


def signal(
    name: str,
    sender: str = "a",
    to: str = "b",
    room: str = "lab",
    attempt: str = "attempt",
    payload: str = OFFER,
) -> dict[str, Any]:
    """The params of an `rpc.signal` and what its signature is over."""
    key, receiver, attempt_id = Key(filler(sender)), Key(filler(to)).peer_id, unpadded(filler(attempt, 16))
    parts = (room, key.peer_id, receiver, attempt_id, payload)
    signed = lp(SIGNAL, *(part.encode() for part in parts))
    return {
        "name": name,
        "seed": key.seed.hex(),
        "room": room,
        "signed": signed.hex(),
        "params": {
            "to": receiver,
            "from": key.peer_id,
            "attempt": attempt_id,
            "payload": payload,
            "signature": unpadded(key.sign(signed)),
        },
    }


def refused_signals() -> list[dict[str, Any]]:
    """Params of an `rpc.signal` that are dropped in `room`."""
    good = signal("")
    params = good["params"]
    own = signal("", sender="b", to="a")["params"]
    changes: dict[str, dict[str, Any]] = {
        "another receiver": {"to": Key(filler("c")).peer_id},
        "another sender": {"from": Key(filler("c")).peer_id},
        "another attempt": {"attempt": unpadded(filler("another attempt", 16))},
        "a space more in the payload": {"payload": params["payload"] + " "},
        "another payload": {"payload": CANDIDATE},
        "the receiver's own signature": {"signature": own["signature"]},
        "a signature for a join": {"signature": join("")["proof"]},
        "an empty signature": {"signature": ""},
        "a signature with padding": {"signature": params["signature"] + "=="},
    }
    cases = [{"name": name, "room": "lab", "params": {**params, **change}} for name, change in changes.items()]
    return [*cases, {"name": "another room", "room": "lobby", "params": params}]


def payloads() -> list[dict[str, Any]]:
    """Payloads that a receiver takes."""
    samples = {
        "offer": OFFER,
        "answer": OFFER.replace("offer", "answer"),
        "candidate": CANDIDATE,
        "refuse": compact({"kind": "refuse", "code": -32005, "reason": "busy"}),
        "an unknown member": SPACED,
        "the longest description": compact({"kind": "offer", "sdp": "v" * MAX_SDP}),
    }
    return [{"name": name, "payload": payload} for name, payload in samples.items()]


def refused_payloads() -> list[dict[str, Any]]:
    """Payloads that a receiver drops, however well they are signed."""
    samples = {
        "empty": "",
        "not JSON": "offer",
        "a list": "[]",
        "no kind": '{"sdp":"v=0"}',
        "an unknown kind": '{"kind":"run","sdp":"v=0"}',
        "an offer without a description": '{"kind":"offer"}',
        "a description that is a list": '{"kind":"offer","sdp":["v=0"]}',
        "a description too long": compact({"kind": "answer", "sdp": "v" * (MAX_SDP + 1)}),
        "a description too long in bytes only": compact({"kind": "offer", "sdp": "\u00e9" * (MAX_SDP // 2 + 1)}),
        "a candidate without its text": '{"kind":"candidate","mid":"0"}',
        "a candidate with a number for a mid": '{"kind":"candidate","candidate":"candidate:1","mid":0}',
        "a refusal without a code": '{"kind":"refuse","reason":"busy"}',
        "a refusal with text for a code": '{"kind":"refuse","code":"-32005","reason":"busy"}',
        "NaN": '{"kind":"refuse","code":NaN,"reason":"busy"}',
    }
    return [{"name": name, "payload": payload} for name, payload in samples.items()]

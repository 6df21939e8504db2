"""The handshake (protocol section 6): hellos, transcripts, proofs, and what a peer refuses."""

from __future__ import annotations

from typing import Any

from vectors.primitives import Key, compact, filler, lp, unpadded

__all__ = ["make"]

PARSE_ERROR = -32700
HANDSHAKE_FAILED = -32011
IDENTITY_MISMATCH = -32012
VERSION_MISMATCH = -32013

DOMAIN = b"rtcrpc-id-v1"
FIELDS = (
    "domain",
    "role",
    "ownKey",
    "peerKey",
    "nonceA",
    "nonceB",
    "fingerprintA",
    "fingerprintB",
    "room",
    "helloA",
    "helloB",
)


class Side:
    """One peer of a handshake."""

    def __init__(self, label: str, **hello: Any) -> None:
        self.key = Key(filler(label))
        self.nonce = filler(f"nonce of {label}")
        self.fingerprint = filler(f"fingerprint of {label}")
        self.hello = hello_text(self.key.peer_id, self.nonce, **hello)

    def describe(self) -> dict[str, str]:
        """What a test needs to play this side."""
        return {
            "seed": self.key.seed.hex(),
            "peerId": self.key.peer_id,
            "nonce": self.nonce.hex(),
            "fingerprint": self.fingerprint.hex(),
            "hello": self.hello,
        }


def hello_params(peer_id: str, nonce_bytes: bytes, /, **change: Any) -> dict[str, Any]:
    """The params of an ordinary hello, with changes; `None` takes a member out."""
    params = {
        "versions": [1],
        "key": peer_id,
        "nonce": unpadded(nonce_bytes),
        "level": 2,
        "features": ["cancel"],
        "encodings": ["msgpack", "json"],
        "maxFrame": 16384,
        "maxMessage": 67108864,
        "maxInFlight": 256,
        "name": "robot",
    }
    return {name: value for name, value in {**params, **change}.items() if value is not None}


def hello_text(peer_id: str, nonce_bytes: bytes, /, **change: Any) -> str:
    """A hello as it is sent."""
    return compact({"jsonrpc": "2.0", "method": "rpc.hello", "params": hello_params(peer_id, nonce_bytes, **change)})


def make() -> dict[str, Any]:
    """The content of `handshake.json`."""
    ordinary = ("lab", pair("a", "b"))
    return {
        "proofs": [
            proof("two ordinary peers", *ordinary),
            proof("a room beyond ASCII", "caf\u00e9 \U0001f600", pair("a", "c")),
            proof(
                "hellos that differ",
                "lab",
                pair("b", "d", second={"level": 1, "encodings": ["json"], "name": ""}),
            ),
            proof("a name beyond ASCII", "lab", pair("c", "d", first={"name": "robot \U0001f916"})),
            proof("the raw keys have the other order", "lab", crossed()),
            proof("a hello with spaces and unknown members", "lab", spaced()),
        ],
        "refusedProofs": refused_proofs(*ordinary),
        "negotiated": negotiated(),
        "refusedHellos": refused_hellos(),
    }


def pair(
    one: str, other: str, first: dict[str, Any] | None = None, second: dict[str, Any] | None = None
) -> tuple[Side, Side]:
    """Two sides, A first: its id is the smaller text."""
    sides = [Side(one, **(first or {})), Side(other, **(second or {}))]
    a, b = sorted(sides, key=lambda side: side.key.peer_id)
    return a, b


def crossed() -> tuple[Side, Side]:
    """Two sides whose raw keys have the other order."""
    for number in range(1000):
        a, b = pair("a", f"crossed {number}")
        if a.key.public > b.key.public:
            return a, b
    raise ValueError("no such pair: try more")


def spaced() -> tuple[Side, Side]:
    """Two sides, of which B does not write JSON as we do. What is signed is what was sent."""
    a, b = pair("a", "b")
    body = compact(hello_params(b.key.peer_id, b.nonce, later={"x": 1}))
    b.hello = '{ "method" : "rpc.hello",\n  "params" : ' + body + ' , "jsonrpc" : "2.0" }'
    return a, b


def fields(room: str, a: Side, b: Side, role: str) -> dict[str, bytes]:
    """The fields of T for the proof of `role`, in order."""
    own, other = (a, b) if role == "A" else (b, a)
    values = (
        DOMAIN,
        role.encode(),
        own.key.public,
        other.key.public,
        a.nonce,
        b.nonce,
        a.fingerprint,
        b.fingerprint,
        room.encode(),
        a.hello.encode(),
        b.hello.encode(),
    )
    return dict(zip(FIELDS, values, strict=True))


def proof(name: str, room: str, sides: tuple[Side, Side]) -> dict[str, Any]:
    """A whole handshake: both transcripts and both signatures."""
    a, b = sides
    case: dict[str, Any] = {"name": name, "room": room, "a": a.describe(), "b": b.describe()}
    for role, side in (("A", a), ("B", b)):
        transcript = lp(*fields(room, a, b, role).values())
        case[f"transcript{role}"] = transcript.hex()
        case[f"signature{role}"] = unpadded(side.key.sign(transcript))
    return case


def refused_proofs(room: str, sides: tuple[Side, Side]) -> list[dict[str, Any]]:
    """Signatures that A gets from B, in the handshake of the first proof, and refuses.

    Each but the last few is a true signature of B's key over a transcript with one field altered.
    """
    a, b = sides
    good = fields(room, a, b, "B")
    altered: dict[str, bytes] = {
        "domain": b"rtcrpc-join-v1",
        "role": b"A",
        "ownKey": Key(filler("c")).public,
        "peerKey": Key(filler("c")).public,
        "nonceA": filler("another nonce"),
        "nonceB": filler("another nonce"),
        "fingerprintA": filler("a fingerprint of somebody in the middle"),
        "fingerprintB": filler("a fingerprint of somebody in the middle"),
        "room": b"lobby",
        "helloA": a.hello.replace('"msgpack",', "").encode(),
        "helloB": b.hello.replace('"cancel"', "").encode(),
    }
    cases = [
        {"name": f"{field} altered", "signature": unpadded(b.key.sign(lp(*{**good, field: value}.values())))}
        for field, value in altered.items()
    ]
    swaps = {
        "nonces swapped": ("nonceA", "nonceB"),
        "fingerprints swapped": ("fingerprintA", "fingerprintB"),
        "keys swapped": ("ownKey", "peerKey"),
        "hellos swapped": ("helloA", "helloB"),
    }
    for name, (one, other) in swaps.items():
        swapped = {**good, one: good[other], other: good[one]}
        cases.append({"name": name, "signature": unpadded(b.key.sign(lp(*swapped.values())))})
    true = b.key.sign(lp(*good.values()))
    moved = lp(*good.values())[4:]
    cases += [
        {"name": "without the first length", "signature": unpadded(b.key.sign(moved))},
        {"name": "fields without lengths", "signature": unpadded(b.key.sign(b"".join(good.values())))},
        {
            "name": "nonce and key in base64url",
            "signature": unpadded(b.key.sign(lp(*{**good, "ownKey": b.key.peer_id.encode()}.values()))),
        },
        {
            "name": "A's own proof, reflected",
            "signature": unpadded(a.key.sign(lp(*fields(room, a, b, "A").values()))),
        },
        {"name": "signed with another key", "signature": unpadded(Key(filler("c")).sign(lp(*good.values())))},
        {"name": "one bit flipped", "signature": unpadded(true[:-1] + bytes([true[-1] ^ 1]))},
        {"name": "cut short", "signature": unpadded(true[:-1])},
        {"name": "padded", "signature": unpadded(true) + "=="},
        {"name": "empty", "signature": ""},
    ]
    return cases


def negotiated() -> list[dict[str, Any]]:
    """What two hellos agree on. `versions`, `encodings` and so on are the members of each side's hello."""
    both = ["msgpack", "json"]

    def case(name: str, ours: dict[str, Any], theirs: dict[str, Any], **result: Any) -> dict[str, Any]:
        return {"name": name, "ours": ours, "theirs": theirs, "version": 1, **result}

    return [
        case("msgpack where both list it", {"encodings": both}, {"encodings": both}, encoding="msgpack"),
        case(
            "the order of the lists is no wish",
            {"encodings": both},
            {"encodings": both[::-1]},
            encoding="msgpack",
        ),
        case("json where one lists only that", {"encodings": both}, {"encodings": ["json"]}, encoding="json"),
        case(
            "unknown encodings are ignored",
            {"encodings": both},
            {"encodings": ["cbor", "json"]},
            encoding="json",
        ),
        case("unknown versions are ignored", {"versions": [1]}, {"versions": [3, 1, 2]}, encoding="msgpack"),
        case(
            "unknown features are ignored",
            {"features": ["cancel"]},
            {"features": ["later", "cancel"]},
            encoding="msgpack",
        ),
        case(
            "the smaller maxFrame counts",
            {"maxFrame": 16384},
            {"maxFrame": 4096},
            encoding="msgpack",
            sendFrame=4096,
        ),
        case(
            "our own maxFrame where it is smaller",
            {"maxFrame": 4096},
            {"maxFrame": 65536},
            encoding="msgpack",
            sendFrame=4096,
        ),
    ]


def refused_hellos() -> list[dict[str, Any]]:
    """First frames that the peer `own`, which wants the peer `pin` if there is one, refuses with `code`."""
    a, b, other = Side("a"), Side("b"), Side("c")

    def refuse(label: str, code: int = HANDSHAKE_FAILED, /, **change: Any) -> dict[str, Any]:
        return whole(label, hello_text(b.key.peer_id, b.nonce, **change), code)

    def whole(name: str, hello: str, code: int, pin: bool = False) -> dict[str, Any]:
        return {
            "name": name,
            "own": a.describe(),
            "pin": b.key.peer_id if pin else None,
            "hello": hello,
            "code": code,
        }

    return [
        whole("our own key", hello_text(a.key.peer_id, b.nonce), HANDSHAKE_FAILED),
        whole("our own nonce", hello_text(b.key.peer_id, a.nonce), HANDSHAKE_FAILED),
        whole("our own hello, reflected", a.hello, HANDSHAKE_FAILED),
        whole("a key other than the one pinned", other.hello, IDENTITY_MISMATCH, pin=True),
        refuse("no common version", VERSION_MISMATCH, versions=[2, 3]),
        refuse("no version", VERSION_MISMATCH, versions=[]),
        refuse("versions missing", versions=None),
        refuse("versions as text", versions="1"),
        refuse("a version as text", versions=["1"]),
        refuse("a version true, which is 1 to some", versions=[True]),
        refuse("key missing", key=None),
        refuse("key too short", key=b.key.peer_id[:-1]),
        refuse("key padded", key=b.key.peer_id + "="),
        refuse("key with bits left over", key=b.key.peer_id[:-1] + "_"),
        refuse("key as a number", key=5),
        refuse("nonce missing", nonce=None),
        refuse("nonce of 31 bytes", nonce=unpadded(b.nonce[:31])),
        refuse("nonce of 33 bytes", nonce=unpadded(b.nonce + b"\0")),
        refuse("nonce with padding", nonce=unpadded(b.nonce) + "="),
        refuse("level missing", level=None),
        refuse("level 0, which sends no hello", level=0),
        refuse("level as text", level="2"),
        refuse("features missing", features=None),
        refuse("features as text", features="cancel"),
        refuse("features of numbers", features=[1]),
        refuse("encodings missing", encodings=None),
        refuse("maxFrame missing", maxFrame=None),
        refuse("maxFrame 0", maxFrame=0),
        refuse("maxFrame 15", maxFrame=15),
        refuse("maxFrame negative", maxFrame=-1),
        refuse("maxFrame with a fraction", maxFrame=16384.5),
        refuse("maxFrame true", maxFrame=True),
        refuse("maxMessage as text", maxMessage="67108864"),
        refuse("maxMessage 0", maxMessage=0),
        refuse("maxInFlight 0", maxInFlight=0),
        refuse("name missing", name=None),
        refuse("name too long", name="x" * 65),
        refuse("name as a number", name=5),
        whole(
            "params as a list",
            compact({"jsonrpc": "2.0", "method": "rpc.hello", "params": [1]}),
            HANDSHAKE_FAILED,
        ),
    ]

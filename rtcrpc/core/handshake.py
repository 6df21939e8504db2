"""The hello and the proof: who is there, bound to this connection and to nothing else (protocol section 6)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from rtcrpc import limits
from rtcrpc.core.identity import b64url_decode, b64url_encode, lp, parse_peer_id
from rtcrpc.errors import HandshakeError, IdentityMismatch, VersionMismatch

__all__ = [
    "DOMAIN",
    "NONCE_BYTES",
    "VERSIONS",
    "Hello",
    "build_hello",
    "check_hello",
    "parse_hello",
    "role_of",
    "transcript",
]

DOMAIN = "rtcrpc-id-v1"
NONCE_BYTES = 32
VERSIONS = (1,)
_MAX_WORDS = 64  # entries in a list of a hello


@dataclass(frozen=True, slots=True)
class Hello:
    """The params of `rpc.hello`; sizes in bytes, `key` a peer id, `nonce` raw."""

    key: str
    nonce: bytes
    name: str
    versions: tuple[int, ...] = VERSIONS
    level: int = 2
    features: frozenset[str] = frozenset()
    encodings: frozenset[str] = frozenset({"msgpack", "json"})
    max_frame: int = limits.MAX_FRAME
    max_message: int = limits.MAX_MESSAGE
    max_in_flight: int = limits.MAX_IN_FLIGHT
    stream_window: int | None = None
    """Given by peers with the feature `streams` (protocol section 7.2)."""


def build_hello(hello: Hello) -> str:
    """The text frame. Its exact bytes are what both sides sign."""
    params = {
        "versions": list(hello.versions),
        "key": hello.key,
        "nonce": b64url_encode(hello.nonce),
        "level": hello.level,
        "features": sorted(hello.features),
        "encodings": sorted(hello.encodings, reverse=True),
        "maxFrame": hello.max_frame,
        "maxMessage": hello.max_message,
        "maxInFlight": hello.max_in_flight,
        "name": hello.name,
    }
    if hello.stream_window is not None:
        params["streamWindow"] = hello.stream_window
    message = {"jsonrpc": "2.0", "method": "rpc.hello", "params": params}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def parse_hello(params: Any) -> Hello:
    """Read the params of a `rpc.hello`; `HandshakeError` says which member is wrong."""
    if type(params) is not dict:
        raise HandshakeError("hello: expected named params")
    try:
        parse_peer_id(params.get("key", ""))
        nonce = b64url_decode(_text(params, "nonce"), NONCE_BYTES)
    except (ValueError, TypeError) as error:
        raise HandshakeError(f"hello: {error}") from None
    features = frozenset(_words(params, "features"))
    has_streams = "streams" in features
    return Hello(
        key=params["key"],
        nonce=nonce,
        name=_name(params),
        versions=tuple(_integer("versions", version) for version in _list(params, "versions")),
        level=_integer("level", params.get("level"), least=1),
        features=features,
        encodings=frozenset(_words(params, "encodings")),
        max_frame=_integer("maxFrame", params.get("maxFrame"), least=_LEAST_FRAME),
        max_message=_integer("maxMessage", params.get("maxMessage"), least=1),
        max_in_flight=_integer("maxInFlight", params.get("maxInFlight"), least=1),
        stream_window=_integer("streamWindow", params.get("streamWindow"), least=1) if has_streams else None,
    )


_LEAST_FRAME = 16  # a part's header is up to 6 bytes; a smaller frame would carry next to nothing


def _text(params: dict[str, Any], member: str, most: int = 128) -> str:
    value = params.get(member)
    if type(value) is not str or len(value) > most:
        raise HandshakeError(f"hello: expected {member} to be text of at most {most} characters")
    return value


def _name(params: dict[str, Any]) -> str:
    name = _text(params, "name", limits.MAX_NAME_LENGTH)
    # It is shown in terminals and logs, where an escape sequence could rewrite the line.
    if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in name):
        raise HandshakeError("hello: expected name to be text without control characters")
    return name


def _list(params: dict[str, Any], member: str) -> list[Any]:
    value = params.get(member)
    if type(value) is not list or len(value) > _MAX_WORDS:
        raise HandshakeError(f"hello: expected {member} to be a list of at most {_MAX_WORDS}")
    return value


def _words(params: dict[str, Any], member: str) -> list[str]:
    words = _list(params, member)
    if not all(type(word) is str for word in words):
        raise HandshakeError(f"hello: expected {member} to be a list of texts")
    return words


def _integer(member: str, value: Any, least: int = 0) -> int:
    if type(value) is not int or value < least:
        raise HandshakeError(f"hello: expected {member} to be an integer of at least {least}")
    return value


def check_hello(ours: Hello, theirs: Hello, pin: frozenset[str] | None) -> int:
    """Whether to go on with this peer, before anything is signed; the version to speak.

    Raises `HandshakeError` for our own key or nonce, `IdentityMismatch` for a key that is not pinned where there are pins,
    `VersionMismatch` for no common version.
    """
    if theirs.key == ours.key or theirs.nonce == ours.nonce:
        raise HandshakeError(
            "hello: expected another peer's key and nonce, got our own back: somebody reflects our messages"
        )
    if pin is not None and theirs.key not in pin:
        raise IdentityMismatch(
            f"expected the key {' or '.join(sorted(pin)) or '(none)'}, got {theirs.key}; "
            "if the peer has a new key, get a new link from its owner; else somebody poses as it"
        )
    common = set(ours.versions) & set(theirs.versions)
    if not common:
        raise VersionMismatch(
            f"expected one of the protocol versions {list(ours.versions)}, got {list(theirs.versions)[:8]}; update the older side"
        )
    return max(common)


def role_of(own_key: str, peer_key: str) -> Literal["A", "B"]:
    """`A` for the smaller peer id, byte for byte."""
    return "A" if own_key.encode() < peer_key.encode() else "B"


def transcript(
    *,
    signer_role: Literal["A", "B"],
    key_a: bytes,
    key_b: bytes,
    nonce_a: bytes,
    nonce_b: bytes,
    fingerprint_a: bytes,
    fingerprint_b: bytes,
    room: str,
    hello_a: bytes,
    hello_b: bytes,
) -> bytes:
    """T, what the peer of role `signer_role` signs; keys, nonces and fingerprints are 32 raw bytes."""
    own, peer = (key_a, key_b) if signer_role == "A" else (key_b, key_a)
    return lp(DOMAIN, signer_role, own, peer, nonce_a, nonce_b, fingerprint_a, fingerprint_b, room, hello_a, hello_b)

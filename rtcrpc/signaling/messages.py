"""The messages of signaling (protocol section 9), signals apart: what they look like, what is signed, what is
refused. Sans-IO.

A message is one JSON-RPC 2.0 text. `decode_message` turns a text into an envelope; the `parse_*` functions
check its params strictly and raise `ProtocolError` and nothing else. Both ends use them: the client and the
bootstrap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from rtcrpc import limits
from rtcrpc.core.codec import JsonCodec
from rtcrpc.core.envelope import Batch, ErrorResponse, Malformed, Notification, Request, Response
from rtcrpc.core.identity import Identity, verify
from rtcrpc.errors import DecodeError, ProtocolError, SignalingError, TooLarge
from rtcrpc.signaling.base import IceServerInfo, Joined, Member
from rtcrpc.signaling.fields import binary_field, mapping_field, peer_id_field, refuse_field, text_field

__all__ = [
    "CLOSE_BUSY",
    "CLOSE_JOIN_DEADLINE",
    "CLOSE_REFUSED",
    "CLOSE_REPLACED",
    "CLOSE_UNAUTHENTICATED",
    "MAX_RESULT",
    "SUBPROTOCOL",
    "JoinRequest",
    "Message",
    "authority_of",
    "check_room",
    "decode_message",
    "encode_message",
    "ice_server_json",
    "member_json",
    "parse_challenge",
    "parse_count",
    "parse_join",
    "parse_joined",
    "parse_member",
    "parse_members",
    "parse_peer",
    "room_of",
    "room_path",
    "sign_join",
    "verify_join",
]

SUBPROTOCOL: Final = "rtcrpc.signal.1"
MAX_RESULT: Final = 4 * limits.SIGNALING_MESSAGE
"""Bytes of a message that a client takes. A full room of long names does not fit in one ordinary signaling
message.
"""

CLOSE_REPLACED: Final = 4001
CLOSE_REFUSED: Final = 4400
CLOSE_UNAUTHENTICATED: Final = 4401
CLOSE_JOIN_DEADLINE: Final = 4408
CLOSE_BUSY: Final = 4429

_JOIN_DOMAIN: Final = "rtcrpc-join-v1"
_NONCE_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_MAX_ICE_SERVERS: Final = 16
_MAX_ICE_FIELD: Final = 512
_MAX_TTL: Final = 30 * 86400
_MAX_VERSIONS: Final = 16
_MAX_COUNT: Final = 2**53

Message = Request | Response | ErrorResponse | Notification
"""A signaling message: one envelope, never a batch."""

_codec = JsonCodec()


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """The params of a well-formed `rpc.join`. `proof` is not verified yet."""

    room: str
    peer_id: str
    name: str
    proof: bytes
    token: str | None


# -- texts and envelopes ---------------------------------------------------------------------------


def encode_message(message: Message) -> str:
    """The text of an envelope."""
    return _codec.encode(message).decode("utf-8")


def decode_message(text: str, limit: int = limits.SIGNALING_MESSAGE) -> Message | Malformed:
    """The one envelope in a text of at most `limit` bytes.

    `Malformed` is an element that JSON-RPC wants answered with an error. Raises `TooLarge`, or `DecodeError`
    for anything else that is not one JSON-RPC 2.0 message. (Signaling has no batches: each message is one
    line in a flood count.)
    """
    if len(text) > limit:
        raise TooLarge(f"expected a signaling message of at most {limit} bytes, got {len(text)} characters")
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise DecodeError("expected well-formed text, got a lone surrogate") from None
    if len(data) > limit:
        raise TooLarge(f"expected a signaling message of at most {limit} bytes, got {len(data)}")
    envelopes = _codec.decode(data)
    if len(envelopes) != 1:
        raise DecodeError(f"expected one message, got a batch of {len(envelopes)}")
    envelope = envelopes[0]
    if isinstance(envelope, Batch):
        raise DecodeError("expected one message, got a batch")
    if isinstance(envelope, Request | Malformed) and isinstance(envelope.id, float) and not math.isfinite(envelope.id):
        raise DecodeError("expected an id that JSON can hold")  # 1e999 is read as infinity, and has no way back
    return envelope


# -- where -----------------------------------------------------------------------------------------


def authority_of(url: str) -> str:
    """Host and port of a WebSocket URL as its `Host` header has them, in lower case: no default port, IPv6 in
    brackets.

    Raises `SignalingError` for anything but a ws: or wss: URL with a host.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SignalingError(f"expected a ws:// or wss:// URL, got {url!r}: {error}") from None
    if parts.scheme not in ("ws", "wss") or not host or "@" in parts.netloc or parts.fragment:
        raise SignalingError(
            f"expected the URL of a room, such as wss://example.org/room/lab, without user or fragment; got {url!r}"
        )
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise SignalingError(f"expected a host name, got {host!r}") from None
    shown = f"[{host}]" if ":" in host else host.lower()
    default = 443 if parts.scheme == "wss" else 80
    return shown if port is None or port == default else f"{shown}:{port}"


def room_of(url: str) -> str:
    """The room that a URL ending in `/room/<room>` names. Raises `SignalingError` when there is none."""
    _, found, room = urlsplit(url).path.rpartition("/room/")
    if not found:
        raise SignalingError(f"expected a URL that ends in /room/<room>, got {url!r}")
    try:
        return check_room(unquote(room, errors="strict"))
    except (ProtocolError, UnicodeDecodeError) as error:
        raise SignalingError(f"expected a room at the end of {url!r}: {error}") from None


def room_path(room: str) -> str:
    """The end of a bootstrap's URL for a room: `/room/` and the room, percent-encoded."""
    return "/room/" + quote(check_room(room), safe="")


def check_room(room: object) -> str:
    """`room`, when it is one: 1 to `maxRoomLength` characters, none of them a control character, not `.` or
    `..`.
    """
    text = text_field(room, "room", limits.MAX_ROOM_LENGTH)
    # Browsers take "." and ".." out of a URL's path even where they are percent-encoded, so nobody could ask
    # for such a room.
    if text in ("", ".", ".."):
        raise ProtocolError(
            f"room: expected 1 to {limits.MAX_ROOM_LENGTH} characters other than '.' and '..', got {text!r}"
        )
    return text


# -- join ------------------------------------------------------------------------------------------


def sign_join(identity: Identity, nonce: bytes, room: str, authority: str) -> bytes:
    """The proof of an `rpc.join`: it answers this challenge, for this room, at this bootstrap, and nothing
    else.
    """
    return identity.sign(_JOIN_DOMAIN, nonce, room.encode(), authority.encode())


def verify_join(join: JoinRequest, nonce: bytes, authority: str) -> bool:
    """Whether the proof of `join` holds for a challenge given at `authority`."""
    return verify(join.peer_id, join.proof, _JOIN_DOMAIN, nonce, join.room.encode(), authority.encode())


def parse_challenge(params: object) -> bytes:
    """The nonce of an `rpc.challenge`."""
    return binary_field(mapping_field(params, "params").get("nonce"), "nonce", _NONCE_BYTES)


def parse_join(params: object) -> tuple[list[int], JoinRequest]:
    """The versions and the rest of an `rpc.join`."""
    members = mapping_field(params, "params")
    versions = members.get("versions")
    if not isinstance(versions, list) or not 0 < len(versions) <= _MAX_VERSIONS:
        refuse_field("versions", f"a list of 1 to {_MAX_VERSIONS} integers", versions)
    for version in versions:
        if type(version) is not int:
            refuse_field("versions", "integers", version)
    token = members.get("token")
    return versions, JoinRequest(
        room=check_room(members.get("room")),
        peer_id=peer_id_field(members.get("peer"), "peer"),
        name=text_field(members.get("name", ""), "name", limits.MAX_NAME_LENGTH),
        proof=binary_field(members.get("proof"), "proof", _SIGNATURE_BYTES),
        token=None if token is None else text_field(token, "token", limits.TOKEN_LENGTH),
    )


def parse_joined(result: object, own_id: str) -> Joined:
    """The result of an `rpc.join`. Oneself, should the bootstrap list it, is left out."""
    members = mapping_field(result, "result")
    ttl = members.get("ttl", 0)
    if type(ttl) not in (int, float) or not 0 <= ttl <= _MAX_TTL:
        refuse_field("ttl", f"0 to {_MAX_TTL} seconds", ttl)
    servers = members.get("iceServers", [])
    if not isinstance(servers, list) or len(servers) > _MAX_ICE_SERVERS:
        refuse_field("iceServers", f"a list of at most {_MAX_ICE_SERVERS}", servers)
    return Joined(parse_members(result, own_id), tuple(_ice_server(server) for server in servers), float(ttl))


def _ice_server(value: object) -> IceServerInfo:
    members = mapping_field(value, "iceServers")
    urls = members.get("urls")
    if not isinstance(urls, list) or not 0 < len(urls) <= _MAX_ICE_SERVERS:
        refuse_field("urls", f"a list of 1 to {_MAX_ICE_SERVERS} URLs", urls)
    checked = tuple(text_field(url, "urls", _MAX_ICE_FIELD) for url in urls)
    for url in checked:
        if url.partition(":")[0] not in ("stun", "stuns", "turn", "turns"):
            refuse_field("urls", "stun:, stuns:, turn: or turns:", url)
    username, credential = members.get("username"), members.get("credential")
    return IceServerInfo(
        checked,
        None if username is None else text_field(username, "username", _MAX_ICE_FIELD),
        None if credential is None else text_field(credential, "credential", _MAX_ICE_FIELD),
    )


def ice_server_json(server: IceServerInfo) -> dict[str, Any]:
    """An ICE server as it travels."""
    value: dict[str, Any] = {"urls": list(server.urls)}
    if server.username is not None:
        value["username"] = server.username
    if server.credential is not None:
        value["credential"] = server.credential
    return value


def parse_count(params: object) -> int:
    """The `n` of an `rpc.ping` or `rpc.pong`."""
    count = mapping_field(params, "params").get("n")
    if type(count) is not int or not 0 <= count < _MAX_COUNT:
        refuse_field("n", "an integer from 0 to 2^53-1", count)
    return count


# -- members ---------------------------------------------------------------------------------------


def member_json(member: Member) -> dict[str, Any]:
    """A member as it travels."""
    return {"peer": member.peer_id, "name": member.name}


def parse_members(result: object, own_id: str) -> tuple[Member, ...]:
    """The `peers` of a result, each id once, without oneself."""
    peers = mapping_field(result, "result").get("peers")
    if not isinstance(peers, list) or len(peers) > limits.MAX_PEERS_PER_ROOM:
        refuse_field("peers", f"a list of at most {limits.MAX_PEERS_PER_ROOM}", peers)
    members = {member.peer_id: member for member in map(parse_member, peers)}
    members.pop(own_id, None)
    return tuple(members.values())


def parse_member(params: object) -> Member:
    """The params of an `rpc.joined`, or one of `peers`."""
    members = mapping_field(params, "params")
    name = text_field(members.get("name", ""), "name", limits.MAX_NAME_LENGTH)
    return Member(peer_id_field(members.get("peer"), "peer"), name)


def parse_peer(params: object) -> str:
    """The peer id in the params of an `rpc.left`."""
    return peer_id_field(mapping_field(params, "params").get("peer"), "peer")

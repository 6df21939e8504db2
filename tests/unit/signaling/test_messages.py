from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcrpc import limits
from rtcrpc.core.envelope import Malformed, Notification, Request
from rtcrpc.core.identity import Identity, b64url_encode, verify
from rtcrpc.errors import ProtocolError, SignalingError, TooLarge
from rtcrpc.signaling import messages
from rtcrpc.signaling.messages import JoinRequest

PEER = Identity.generate(bytes([3] * 32)).peer_id
PROOF = b64url_encode(bytes(64))
JOIN = {"versions": [1], "room": "lab", "peer": PEER, "name": "robot", "proof": PROOF}


def test_a_message_survives_encoding_and_decoding():
    notification = Notification(method="rpc.left", params={"peer": PEER}, meta={})
    assert messages.decode_message(messages.encode_message(notification)) == notification
    request = Request(id=7, method="rpc.peers", params={}, meta={})
    assert messages.decode_message(messages.encode_message(request)) == request


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rpc.join",
        "[]",
        '[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","method":"b"}]',
        "\ud800",
        '{"jsonrpc":"2.0","method":"a","params":{"n":NaN}}',
        "[" * 5000,
        "9" * 5000,
    ],
)
def test_what_is_not_one_message_is_refused(text: str):
    try:
        message = messages.decode_message(text)
    except ProtocolError:
        return
    assert isinstance(message, Malformed)


def test_the_size_limit_holds_at_n_and_n_plus_1():
    frame = '{"jsonrpc":"2.0","method":"rpc.x","params":{"a":"%s"}}'
    room = limits.SIGNALING_MESSAGE - len(frame % "")
    assert isinstance(messages.decode_message(frame % ("a" * room)), Notification)
    with pytest.raises(TooLarge, match="65537"):
        messages.decode_message(frame % ("a" * (room + 1)))
    # The limit is in bytes: two for an é.
    with pytest.raises(TooLarge):
        messages.decode_message(frame % ("é" * (room // 2 + 1)))


@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_no_text_makes_decoding_raise_anything_else(text: str):
    with contextlib.suppress(ProtocolError, TooLarge):
        messages.decode_message(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
fields = st.sampled_from(
    [
        "versions",
        "room",
        "peer",
        "name",
        "proof",
        "token",
        "nonce",
        "peers",
        "iceServers",
        "ttl",
        "urls",
        "n",
        "to",
        "from",
    ]
)


@given(st.dictionaries(fields, json_values) | json_values)
def test_no_params_make_a_parser_raise_anything_else(params: Any):
    parsers = [
        messages.parse_challenge,
        messages.parse_count,
        messages.parse_join,
        messages.parse_member,
        messages.parse_peer,
        lambda value: messages.parse_joined(value, PEER),
        lambda value: messages.parse_members(value, PEER),
    ]
    for parse in parsers:
        with contextlib.suppress(ProtocolError):
            parse(params)


def test_a_join_is_parsed():
    versions, join = messages.parse_join(JOIN | {"token": "t", "later": 1})
    assert versions == [1]
    assert join == JoinRequest("lab", PEER, "robot", bytes(64), "t")


BAD_JOINS: list[tuple[str, Any]] = [
    ("versions", None),
    ("versions", []),
    ("versions", [True]),
    ("versions", ["1"]),
    ("versions", [1.0]),
    ("versions", list(range(17))),
    ("room", None),
    ("room", ""),
    ("room", "."),
    ("room", ".."),
    ("room", "a\nb"),
    ("room", "a\x1b[2J"),
    ("room", "\ud800"),
    ("room", "r" * (limits.MAX_ROOM_LENGTH + 1)),
    ("peer", None),
    ("peer", PEER[:-1]),
    ("peer", PEER + "A"),
    ("peer", PEER[:-1] + "="),
    ("peer", PEER[:-1] + "+"),
    ("name", 7),
    ("name", "n" * (limits.MAX_NAME_LENGTH + 1)),
    ("name", "a\x00"),
    ("name", "\udfff"),
    ("proof", ""),
    ("proof", PROOF + "="),
    ("proof", b64url_encode(bytes(63))),
    ("proof", b64url_encode(bytes(65))),
    ("proof", "*" * 86),
    ("token", 1),
    ("token", "t" * (limits.TOKEN_LENGTH + 1)),
]


@pytest.mark.parametrize(("field", "value"), BAD_JOINS)
def test_a_bad_join_is_refused_with_the_field_in_the_text(field: str, value: Any):
    with pytest.raises(ProtocolError, match=field):
        messages.parse_join(JOIN | {field: value})


@pytest.mark.parametrize(("field", "size"), [("room", limits.MAX_ROOM_LENGTH), ("name", limits.MAX_NAME_LENGTH)])
def test_the_longest_room_and_name_are_taken(field: str, size: int):
    messages.parse_join(JOIN | {field: "ü" * size})


def test_a_proof_is_bound_to_key_nonce_room_and_host(alice: Identity, bob: Identity):
    proof = messages.sign_join(alice, b"n" * 32, "lab", "example.org")
    good = JoinRequest("lab", alice.peer_id, "", proof, None)
    assert messages.verify_join(good, b"n" * 32, "example.org")
    assert verify(alice.peer_id, proof, "rtcrpc-join-v1", b"n" * 32, b"lab", b"example.org")
    assert not messages.verify_join(good, b"m" * 32, "example.org")
    assert not messages.verify_join(good, b"n" * 32, "example.org:8443")
    assert not messages.verify_join(JoinRequest("lab2", alice.peer_id, "", proof, None), b"n" * 32, "example.org")
    assert not messages.verify_join(JoinRequest("lab", bob.peer_id, "", proof, None), b"n" * 32, "example.org")


@pytest.mark.parametrize(
    ("url", "authority", "room"),
    [
        ("ws://127.0.0.1:8000/room/lab", "127.0.0.1:8000", "lab"),
        ("ws://example.org:80/room/lab", "example.org", "lab"),
        ("wss://Example.ORG:443/rtc/room/a%2Fb", "example.org", "a/b"),
        ("wss://example.org:80/room/%C3%BC%20x", "example.org:80", "ü x"),
        ("ws://[::1]:9/room/lab", "[::1]:9", "lab"),
        ("wss://bücher.example/room/lab", "xn--bcher-kva.example", "lab"),
    ],
)
def test_where_a_url_points(url: str, authority: str, room: str):
    assert messages.authority_of(url) == authority
    assert messages.room_of(url) == room


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/room/lab",
        "ws:///room/lab",
        "ws://user@example.org/room/lab",
        "ws://example.org/room/lab#pin=x",
        "ws://example.org:99999/room/lab",
        "ws://[::1/room/lab",
        "ws://example.org/rooms/lab",
        "ws://example.org/room/",
        "ws://example.org/room/%2e%2e",
        "ws://example.org/room/%ff",
        "ws://" + "ü" * 70 + ".example/room/lab",
    ],
)
def test_a_url_that_names_no_room_is_refused(url: str):
    with pytest.raises(SignalingError, match="expected"):
        messages.authority_of(url), messages.room_of(url)


def test_a_room_path_is_percent_encoded():
    assert messages.room_path("a/b ü?#%") == "/room/a%2Fb%20%C3%BC%3F%23%25"
    with pytest.raises(ProtocolError):
        messages.room_path("..")


def test_a_join_result_is_parsed_without_oneself(alice: Identity):
    server = {"urls": ["stun:a.example:3478", "turn:a.example?transport=tcp"], "username": "u", "credential": "c"}
    peers = [{"peer": alice.peer_id, "name": "me"}, {"peer": PEER, "name": "a"}, {"peer": PEER, "name": "b"}]
    joined = messages.parse_joined({"peers": peers, "iceServers": [server], "ttl": 60}, alice.peer_id)
    assert [(member.peer_id, member.name) for member in joined.members] == [(PEER, "b")]
    assert joined.ttl == 60
    assert [messages.ice_server_json(info) for info in joined.ice_servers] == [server]


@pytest.mark.parametrize(
    "change",
    [
        {"peers": None},
        {"peers": [{"peer": PEER}] * (limits.MAX_PEERS_PER_ROOM + 1)},
        {"peers": [{"peer": "x"}]},
        {"peers": [PEER]},
        {"ttl": -1},
        {"ttl": "60"},
        {"ttl": True},
        {"iceServers": {}},
        {"iceServers": [{"urls": "stun:a.example"}]},
        {"iceServers": [{"urls": []}]},
        {"iceServers": [{"urls": ["http://a.example"]}]},
        {"iceServers": [{"urls": ["stun:" + "a" * 600]}]},
        {"iceServers": [{"urls": ["turn:a"], "username": 1}]},
        {"iceServers": [{"urls": ["stun:a"]}] * 17},
    ],
)
def test_a_bad_join_result_is_refused(change: dict[str, Any], alice: Identity):
    with pytest.raises(ProtocolError):
        messages.parse_joined({"peers": [], "iceServers": [], "ttl": 60} | change, alice.peer_id)

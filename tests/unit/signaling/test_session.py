from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcrpc import limits
from rtcrpc.core.identity import Identity, b64url_decode, b64url_encode
from rtcrpc.errors import ProtocolError, SignalingError
from rtcrpc.signaling.base import Joined, Member, Signal
from rtcrpc.signaling.messages import JoinRequest, verify_join
from rtcrpc.signaling.session import (
    BootstrapBroke,
    JoinRefused,
    MemberJoined,
    MemberLeft,
    SessionState,
    SignalForged,
    SignalingSession,
)
from rtcrpc.signaling.signals import sign_signal

OFFER = {"kind": "offer", "sdp": "v=0\r\n"}
ATTEMPT = b64url_encode(bytes(range(16)))


def test_a_challenge_is_answered_with_a_join_that_verifies(script: Any, alice: Identity):
    join = script.challenge(b"c" * 32)
    assert join["jsonrpc"] == "2.0"
    assert join["method"] == "rpc.join"
    params = join["params"]
    assert {key: params[key] for key in ("versions", "room", "peer", "name")} == {
        "versions": [1],
        "room": "lab",
        "peer": alice.peer_id,
        "name": "alice",
    }
    assert "token" not in params
    request = JoinRequest("lab", alice.peer_id, "alice", b64url_decode(params["proof"]), None)
    assert verify_join(request, b"c" * 32, "example.org")
    assert script.session.state is SessionState.JOINING


def test_a_token_goes_into_the_join(alice: Identity):
    session = SignalingSession(alice, "alice", "lab", "example.org", token="sesame")
    session.connection_made()
    session.receive_text(
        json.dumps({"jsonrpc": "2.0", "method": "rpc.challenge", "params": {"nonce": b64url_encode(bytes(32))}}), 0.0
    )
    (text,) = session.data_to_send()
    assert json.loads(text)["params"]["token"] == "sesame"


def test_members_come_and_go(script: Any, bob: Identity):
    carol = Identity.generate(bytes([5] * 32)).peer_id
    assert script.let_in((bob, "bob")) == [Joined((Member(bob.peer_id, "bob"),), (), 60.0)]
    assert script.say(method="rpc.joined", params={"peer": carol, "name": "c"}) == [MemberJoined(Member(carol, "c"))]
    assert script.say(method="rpc.joined", params={"peer": carol, "name": "d"}) == [MemberJoined(Member(carol, "d"))]
    assert script.say(method="rpc.left", params={"peer": bob.peer_id}) == [MemberLeft(bob.peer_id)]
    assert script.say(method="rpc.left", params={"peer": bob.peer_id}) == []
    assert script.session.members == (Member(carol, "d"),)


def test_after_a_rejoin_only_the_difference_is_told(script: Any, bob: Identity):
    carol, dave = Identity.generate(bytes([5] * 32)), Identity.generate(bytes([6] * 32))
    script.let_in((bob, "bob"), (carol, "carol"))
    script.session.connection_lost()
    events = script.let_in((carol, "carol"), (dave, "dave"))
    assert isinstance(events[0], Joined)
    assert events[1:] == [MemberJoined(Member(dave.peer_id, "dave"))]
    assert script.session.next_tick() == 5.0
    script.session.tick(4.9)
    assert script.session.events_received() == []
    script.session.tick(5.0)
    assert script.session.events_received() == [MemberLeft(bob.peer_id)]
    assert script.session.next_tick() is None
    script.session.connection_lost()
    assert script.let_in((carol, "caz"), (dave, "dave"))[1:] == [MemberJoined(Member(carol.peer_id, "caz"))]


def test_whoever_comes_back_in_time_never_left(script: Any, bob: Identity):
    carol, dave = Identity.generate(bytes([5] * 32)), Identity.generate(bytes([6] * 32))
    script.let_in((bob, "bob"), (carol, "carol"), (dave, "dave"))
    script.session.connection_lost()
    assert len(script.let_in()) == 1
    assert len(script.session.members) == 3
    assert script.say(method="rpc.joined", params={"peer": bob.peer_id, "name": "bob"}) == []
    renamed = {"peer": carol.peer_id, "name": "caz"}
    assert script.say(method="rpc.joined", params=renamed) == [MemberJoined(Member(carol.peer_id, "caz"))]
    assert script.say(method="rpc.left", params={"peer": dave.peer_id}) == [MemberLeft(dave.peer_id)]
    script.session.tick(100.0)
    assert script.session.events_received() == []


def test_signals_wait_for_those_who_are_not_back_yet(script: Any, bob: Identity):
    carol = Identity.generate(bytes([5] * 32))
    script.let_in((bob, "bob"), (carol, "carol"))
    script.session.connection_lost()
    for target in (bob, carol):
        script.session.send_signal(target.peer_id, ATTEMPT, OFFER, 0.0)
    script.let_in((carol, "carol"))
    script.session.send_signal(bob.peer_id, "A" * 22, OFFER, 0.0)
    assert [message["params"]["to"] for message in script.said()] == [carol.peer_id]
    script.say(method="rpc.joined", params={"peer": bob.peer_id, "name": "bob"})
    assert [message["params"]["attempt"] for message in script.said()] == [ATTEMPT, "A" * 22]


def test_the_absent_are_bounded(script: Any):
    for round_number in range(6):
        peers = [Identity.generate(bytes([round_number + 1, n % 256] * 16)) for n in range(200)]
        script.let_in(*((peer, "") for peer in peers))
        script.session.connection_lost()
        assert len(script.session.members) <= 2 * limits.MAX_PEERS_PER_ROOM


def test_oneself_is_never_a_member(script: Any, alice: Identity):
    script.let_in((alice, "alice"))
    assert script.session.members == ()
    assert script.say(method="rpc.joined", params={"peer": alice.peer_id, "name": "x"}) == []


def test_a_refused_join_takes_the_session_offline(script: Any):
    join = script.challenge()
    error = {"code": -32003, "message": "token: \x1b[2Jexpected"}
    assert script.say(id=join["id"], error=error) == [JoinRefused(-32003, "token:  [2Jexpected")]
    assert script.session.state is SessionState.OFFLINE
    assert script.say(id=join["id"], result={"peers": []}) == []


def test_an_answer_to_something_else_is_ignored(script: Any):
    join = script.challenge()
    assert script.say(id=join["id"] + 1, result={"peers": []}) == []
    assert script.say(id=99, error={"code": 1, "message": "x"}) == []
    assert script.session.state is SessionState.JOINING


def test_pings_are_answered_and_unknown_messages_ignored(script: Any):
    script.let_in()
    assert script.say(method="rpc.ping", params={"n": 5}) == []
    assert script.say(method="rpc.later", params={"n": 5}) == []
    assert script.say(method="rpc.pong", params={"n": 5}) == []
    assert script.say(method="rpc.later", id="q", params={}) == []
    pong, refusal = script.said()
    assert (pong["method"], pong["params"]) == ("rpc.pong", {"n": 5})
    assert (refusal["id"], refusal["error"]["code"]) == ("q", -32601)


BREACHES = {
    "not JSON": "garbage",
    "a batch": '[{"jsonrpc":"2.0","method":"rpc.left","params":{}}, {"jsonrpc":"2.0","method":"x"}]',
    "no JSON-RPC": '{"jsonrpc":"1.0","method":"x"}',
    "a second challenge": json.dumps(
        {"jsonrpc": "2.0", "method": "rpc.challenge", "params": {"nonce": b64url_encode(bytes(32))}}
    ),
    "a bad member": '{"jsonrpc":"2.0","method":"rpc.joined","params":{"peer":"x"}}',
    "a bad leaver": '{"jsonrpc":"2.0","method":"rpc.left","params":{}}',
    "a bad ping": '{"jsonrpc":"2.0","method":"rpc.ping","params":{"n":-1}}',
    "a bool for a count": '{"jsonrpc":"2.0","method":"rpc.ping","params":{"n":true}}',
    "too long": '{"jsonrpc":"2.0","method":"x","params":{"a":"' + "a" * 4 * limits.SIGNALING_MESSAGE + '"}}',
}


@pytest.mark.parametrize("text", BREACHES.values(), ids=BREACHES.keys())
def test_a_bootstrap_that_breaks_the_protocol_is_left_and_the_session_works_again(
    script: Any, text: str, bob: Identity
):
    script.let_in((bob, "bob"))
    (broke,) = script.say_text(text)
    assert isinstance(broke, BootstrapBroke)
    assert broke.reason
    assert script.session.state is SessionState.OFFLINE
    assert script.say(method="rpc.left", params={"peer": bob.peer_id}) == []
    assert isinstance(script.let_in((bob, "bob"))[0], Joined)


def test_a_bad_challenge_gets_no_signature(script: Any):
    script.session.connection_made()
    (broke,) = script.say(method="rpc.challenge", params={"nonce": b64url_encode(bytes(31))})
    assert isinstance(broke, BootstrapBroke)
    assert script.said() == []


def test_a_verified_signal_is_told_once(script: Any, bob: Identity):
    script.let_in((bob, "bob"))
    assert script.signal(bob, OFFER) == [Signal(bob.peer_id, "A" * 22, OFFER)]
    assert script.signal(bob, OFFER) == []
    assert script.signal(bob, {"kind": "offer", "sdp": "v=1"}) == []  # the same attempt again
    assert script.session.dropped == {"replayed": 2}
    script.session.connection_lost()
    script.let_in((bob, "bob"))
    assert script.signal(bob, OFFER) == []  # a new connection does not make an old offer new
    assert script.signal(bob, OFFER, attempt=ATTEMPT) == [Signal(bob.peer_id, ATTEMPT, OFFER)]
    answer = {"kind": "answer", "sdp": ""}
    assert len(script.signal(bob, answer)) == 1
    assert script.signal(bob, answer) == []


def test_signals_that_do_not_hold_are_dropped(script: Any, alice: Identity, bob: Identity):
    script.let_in((bob, "bob"))
    message = sign_signal(bob, "lab", alice.peer_id, ATTEMPT, OFFER)
    carol = Identity.generate(bytes([5] * 32)).peer_id
    reflected = sign_signal(alice, "lab", bob.peer_id, ATTEMPT, OFFER)
    cases = [
        ("forged", message.to_params() | {"from": carol}),
        ("forged", message.to_params() | {"attempt": "B" * 21 + "A"}),
        ("forged", message.to_params() | {"payload": '{"kind":"offer","sdp":"v=9"}'}),
        ("forged", sign_signal(bob, "lab2", alice.peer_id, ATTEMPT, OFFER).to_params()),
        ("not for us", message.to_params() | {"to": carol}),
        ("not for us", reflected.to_params()),
        ("not for us", reflected.to_params() | {"to": alice.peer_id}),
        ("malformed", message.to_params() | {"payload": '{"kind":"nonsense"}'}),
        ("malformed", message.to_params() | {"signature": "x"}),
        ("malformed", []),
    ]
    for reason, params in cases:
        before = script.session.dropped[reason]
        told = script.say(method="rpc.signal", params=params)
        assert [type(event) for event in told] == ([SignalForged] if reason == "forged" else [])
        assert all((event.sender, event.attempt) == (params["from"], params["attempt"]) for event in told)
        assert script.session.dropped[reason] == before + 1
    assert len(script.say(method="rpc.signal", params=message.to_params())) == 1


def test_a_flood_of_forgeries_is_cut_and_later_signals_pass(script: Any, alice: Identity, bob: Identity):
    script.let_in((bob, "bob"))
    forged = sign_signal(bob, "other", alice.peer_id, ATTEMPT, OFFER).to_params()
    for _ in range(2100):
        script.say(method="rpc.signal", params=forged)
    assert script.session.dropped["flood"] == 52
    script.now += 1.0
    assert len(script.signal(bob, OFFER)) == 1


def test_signals_wait_for_the_room_and_go_out_in_order(script: Any, bob: Identity):
    script.session.send_signal(bob.peer_id, ATTEMPT, OFFER, 0.0)
    script.session.send_signal(bob.peer_id, ATTEMPT, {"kind": "refuse", "code": 1, "reason": "x"}, 1.0)
    assert script.said() == []
    script.let_in((bob, "bob"))
    kinds = [json.loads(message["params"]["payload"])["kind"] for message in script.said()]
    assert kinds == ["offer", "refuse"]
    assert script.said() == []


def test_a_signal_older_than_any_dial_is_not_sent(script: Any, bob: Identity):
    script.session.send_signal(bob.peer_id, ATTEMPT, OFFER, 0.0)
    script.now = limits.DIAL_SECONDS + 0.1
    script.session.send_signal(bob.peer_id, "A" * 22, OFFER, script.now)
    script.let_in((bob, "bob"))
    assert [message["params"]["attempt"] for message in script.said()] == ["A" * 22]
    assert script.session.dropped == {"stale": 1}


def test_waiting_signals_are_bounded_at_n_and_n_plus_1(script: Any, bob: Identity):
    for _ in range(256):
        script.session.send_signal(bob.peer_id, ATTEMPT, OFFER, 0.0)
    with pytest.raises(SignalingError, match="256 signals wait"):
        script.session.send_signal(bob.peer_id, ATTEMPT, OFFER, 0.0)
    # Room again once they are too old.
    script.session.send_signal(bob.peer_id, ATTEMPT, OFFER, limits.DIAL_SECONDS + 1.0)


def test_what_can_not_travel_is_refused_at_once(script: Any, bob: Identity):
    script.let_in((bob, "bob"))
    with pytest.raises(SignalingError, match="kind"):
        script.session.send_signal(bob.peer_id, ATTEMPT, {"kind": "x"}, 0.0)
    with pytest.raises(SignalingError, match="at most 65536"):
        script.session.send_signal(bob.peer_id, ATTEMPT, OFFER | {"pad": "a" * limits.SIGNALING_MESSAGE}, 0.0)
    assert script.said() == []


def test_a_bootstrap_that_asks_and_does_not_read_is_left(script: Any):
    script.let_in()
    events: list[Any] = []
    for n in range(600):
        events += script.say(method="rpc.ping", params={"n": n})
    assert [type(event) for event in events] == [BootstrapBroke]


def test_a_room_that_overflows_is_a_breach(script: Any):
    script.let_in()
    events: list[Any] = []
    for n in range(limits.MAX_PEERS_PER_ROOM + 1):
        peer = Identity.generate(n.to_bytes(32, "big")).peer_id
        events += script.say(method="rpc.joined", params={"peer": peer, "name": ""})
    assert len(events) == limits.MAX_PEERS_PER_ROOM + 1
    assert isinstance(events[-1], BootstrapBroke)


def test_leaving_says_so(script: Any):
    script.let_in()
    script.session.leave()
    (leave,) = script.said()
    assert leave["method"] == "rpc.leave"
    assert script.session.state is SessionState.OFFLINE


def test_a_room_that_is_none_is_refused_when_the_session_is_made(alice: Identity):
    with pytest.raises(ProtocolError, match="room"):
        SignalingSession(alice, "alice", "", "example.org")


methods = st.sampled_from(
    ["rpc.challenge", "rpc.joined", "rpc.left", "rpc.signal", "rpc.ping", "rpc.pong", "rpc.join", "x"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=50),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["nonce", "peer", "name", "n", "to", "from", "peers"]), inner, max_size=4)
    ),
    max_leaves=6,
)
texts = st.text(max_size=80) | st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0")},
    optional={"method": methods, "params": values, "id": values, "result": values, "error": values},
).map(json.dumps)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 3), texts), max_size=12))
def test_nothing_that_comes_makes_the_session_raise(steps: list[tuple[int, str]]):
    session = SignalingSession(Identity.generate(bytes([1] * 32)), "a", "lab", "example.org")
    for action, text in steps:
        if action == 0:
            session.connection_made()
        session.receive_text(text, 0.0)
        assert all(json.loads(said)["jsonrpc"] == "2.0" for said in session.data_to_send())
        session.events_received()

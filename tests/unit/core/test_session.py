"""The state machine: what it lets through, what it refuses, and that every call ends."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from support.sessions import Party, identity, pair, pump, ready_pair

from rtcrpc import codes, limits
from rtcrpc.core import events
from rtcrpc.core.codec import JsonCodec, MessagePackCodec
from rtcrpc.core.envelope import ErrorResponse, Notification, Request, Response
from rtcrpc.core.session import TRANSITIONS, SessionConfig, SessionInput, SessionState
from rtcrpc.errors import (
    ConnectionLost,
    DeadlineExceeded,
    EncodeError,
    HandshakeError,
    IdentityMismatch,
    ProtocolError,
    RemoteApplicationError,
    RemoteResourceExhausted,
    ResourceExhausted,
    TooLarge,
)

INTERVAL = limits.HEARTBEAT_MILLIS / 1000
JSON = SessionConfig(encodings=("json",))
ANONYMOUS = SessionConfig(allow_anonymous=True)


def packed(*envelopes: Any) -> bytes:
    codec = MessagePackCodec()
    return b"\x00" + b"".join(map(codec.encode, envelopes))


def said(party: Party) -> list[Any]:
    """The envelopes that a party wants to send, whatever they travel in."""
    found: list[Any] = []
    for frame in party.take():
        if isinstance(frame, str):
            found += JsonCodec().decode_text(frame)
        elif frame[0] == 0:
            found += MessagePackCodec().decode(frame[1:])
    return found


def text(method: str, params: Any = None, **members: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params or {}} | members)


def level_0(config: SessionConfig = ANONYMOUS, **changed: Any) -> Party:
    party = Party(config=config, **changed)
    party.take()
    return party


def bye_of(party: Party) -> dict[str, Any]:
    (bye,) = [e for e in said(party) if isinstance(e, Notification) and e.method == "rpc.bye"]
    assert isinstance(bye.params, dict)
    return bye.params


# -- the table ---------------------------------------------------------------------------------------


def test_every_state_can_end_and_the_end_is_final() -> None:
    for state in SessionState:
        assert ((state, SessionInput.END) in TRANSITIONS) is (state is not SessionState.CLOSED)
    assert set(TRANSITIONS.values()) | {SessionState.HELLO} == set(SessionState)


# -- the handshake -----------------------------------------------------------------------------------


def test_the_handshake() -> None:
    a, b = pair()
    assert a.session.state is SessionState.HELLO
    pump(a, b)
    for one, other in ((a, b), (b, a)):
        peer = one.one(events.SessionReady).peer
        assert (peer.peer_id, peer.name, peer.level, peer.version) == (other.identity.peer_id, other.name, 2, 1)
        assert one.session.state is SessionState.READY


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_answers_to_crypto_questions_come_in_any_order(order: tuple[int, ...]) -> None:
    """A browser signs and verifies in its own time: the other's proof may come before ours is signed."""
    a, b = pair()
    (hello,) = b.take()
    a.take()
    a.session.receive_data(hello, 0.0)
    (sign,) = a.session.events_received()
    assert isinstance(sign, events.SignRequired)
    b.receive(a.sent[0])
    (prove,) = b.take()
    held = text("later")
    steps = {
        0: lambda: a.session.signed(a.identity.sign_payload(sign.payload)),
        1: lambda: a.session.receive_data(prove, 0.0),
        2: lambda: a.session.verified(True, 0.0),
    }
    for step in order:
        steps[step]()
    if order.index(1) > order.index(2):
        assert a.session.state is SessionState.VERIFYING
        a.session.verified(True, 0.0)
    assert a.session.state is SessionState.READY
    a.session.receive_data(held, 0.0)
    kinds = [type(event) for event in a.session.events_received()]
    assert kinds[-2:] == [events.SessionReady, events.NotificationReceived]


def test_frames_that_come_while_a_proof_is_verified_are_held() -> None:
    a, b = pair()
    b.receive(*a.take())
    hello, prove = b.take()
    a.session.receive_data(hello, 0.0)
    (sign,) = a.session.events_received()
    assert isinstance(sign, events.SignRequired)
    a.session.signed(a.identity.sign_payload(sign.payload))
    b.receive(*a.session.data_to_send(1 << 20))
    a.session.receive_data(prove, 0.0)
    assert b.ready
    b.session.send_request("early", [], now=0.0)
    for frame in b.take():
        a.session.receive_data(frame, 0.0)
    (verify,) = a.session.events_received()
    assert isinstance(verify, events.VerifyRequired)
    a.session.verified(True, 0.0)
    ready, request = a.session.events_received()
    assert isinstance(ready, events.SessionReady)
    assert isinstance(request, events.RequestReceived)
    assert request.method == "early"


@pytest.mark.parametrize("over", [False, True])
def test_the_backlog_has_a_bound(over: bool) -> None:
    a, b = pair(config=SessionConfig(verify_backlog=1000))
    b.receive(*a.take())
    for frame in b.take():
        a.session.receive_data(frame, 0.0)
    a.session.events_received()
    a.session.receive_data("é" * 500, 0.0)
    if over:
        a.session.receive_data("x", 0.0)
    told = [event.code for event in a.session.events_received() if isinstance(event, events.SessionClosed)]
    assert told == ([codes.RESOURCE_EXHAUSTED] if over else [])


def test_nothing_is_signed_for_a_key_that_is_not_pinned() -> None:
    a, b = pair()
    a = Party(pin=identity(99).peer_id)
    a.take()
    a.session.receive_data(b.take()[0], 0.0)
    (closed,) = a.session.events_received()
    assert isinstance(closed, events.SessionClosed)
    assert isinstance(closed.error, IdentityMismatch)
    b.receive(*a.take())
    told = b.closed
    assert told is not None
    assert (told.code, told.by) == (codes.IDENTITY_MISMATCH, "remote")
    assert isinstance(told.error, IdentityMismatch)


def test_one_of_several_pins_will_do() -> None:
    b = Party(identity=identity(7), fingerprint=b"\x02" * 32, peer_fingerprint=b"\x01" * 32)
    a = Party(pin=frozenset({identity(8).peer_id, b.identity.peer_id}))
    pump(a, b)
    assert a.ready
    assert b.ready


def test_a_proof_that_does_not_hold_and_both_sides_say_why() -> None:
    a, b = pair()
    b.room = "another"
    b.__post_init__()
    pump(a, b)
    assert not a.ready
    assert not b.ready
    for party in (a, b):
        assert party.closed is not None
        assert isinstance(party.closed.error, HandshakeError)


def hello_of(party: Party) -> str:
    return next(frame for frame in party.take() if isinstance(frame, str))


@pytest.mark.parametrize(
    "frame",
    [
        b"\x00\x93\x03\xa1a\x90",
        text("add", [1], id=1),
        text("rpc.hello", {}),
        "not json",
        "[]",
        text("rpc.prove", {"signature": "AA"}),
        text("rpc.prove", [1]),
    ],
)
def test_only_a_proof_comes_after_the_hello(frame: bytes | str) -> None:
    a, b = pair()
    a.receive(hello_of(b))
    a.take()
    a.receive(frame)
    assert a.closed is not None
    assert a.closed.code == codes.HANDSHAKE_FAILED
    assert not a.all(events.RequestReceived)
    assert bye_of(a)["code"] == codes.HANDSHAKE_FAILED


def test_unknown_reserved_notifications_before_the_proof_are_ignored() -> None:
    a, b = pair()
    a.receive(hello_of(b), text("rpc.later", {"n": 1}))
    assert a.closed is None


def test_messages_before_the_proof_have_a_bound() -> None:
    for count, ends in ((limits.HANDSHAKE_MESSAGES, False), (limits.HANDSHAKE_MESSAGES + 1, True)):
        a, b = pair()
        a.receive(hello_of(b), *[text("rpc.later")] * (count - 1))
        assert (a.closed is not None) is ends


def test_bytes_before_the_proof_have_a_bound() -> None:
    for extra, ends in ((0, False), (1, True)):
        a, b = pair()
        hello = hello_of(b)
        a.receive(hello)
        room = limits.HANDSHAKE_BYTES - len(hello) - len(text("rpc.later", ["x"])) + 1
        a.receive(text("rpc.later", ["x" * (room + extra)]))
        assert (a.closed is not None) is ends


def test_the_handshake_has_a_deadline() -> None:
    a, b = pair()
    a.receive(hello_of(b))
    assert a.session.next_tick() == limits.HANDSHAKE_SECONDS
    a.tick(limits.HANDSHAKE_SECONDS - 0.01)
    assert a.closed is None
    a.tick(limits.HANDSHAKE_SECONDS)
    assert a.closed is not None
    assert a.closed.code == codes.DEADLINE_EXCEEDED
    assert a.session.next_tick() is None
    assert bye_of(a)["code"] == codes.DEADLINE_EXCEEDED


def test_nothing_can_be_sent_before_the_session_is_ready() -> None:
    session = Party().session
    for send in (
        lambda: session.send_request("a", [], now=0.0),
        lambda: session.send_notification("a", []),
        lambda: session.send_token("t"),
        lambda: session.send_batch([("a", [])], now=0.0),
    ):
        with pytest.raises(ConnectionLost) as refused:
            send()
        assert refused.value.ran is False


# -- calls -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [SessionConfig(), JSON], ids=["msgpack", "json"])
def test_a_call_and_its_answer(config: SessionConfig) -> None:
    a, b = ready_pair(config=config)
    first = a.session.send_request("add", [1, 2], timeout=1.5, now=0.0)
    second = a.session.send_request("fail", {"x": b"\x00"}, now=0.0, meta={"key": "k"})
    a.session.send_notification("log", ["hi"])
    pump(a, b)
    add, fail = b.all(events.RequestReceived)
    assert (add.method, add.params, add.meta) == ("add", [1, 2], {"timeout": 1500})
    assert (fail.params, fail.meta) == ({"x": b"\x00"}, {"key": "k"})
    assert b.one(events.NotificationReceived).params == ["hi"]
    b.session.send_response(add.id, 3)
    b.session.send_error(fail.id, codes.APPLICATION_ERROR, "out of paper", {"detail": [1]})
    pump(a, b)
    assert a.one(events.ResponseReceived) == events.ResponseReceived(first, 3)
    failed = a.one(events.ErrorReceived)
    assert failed.id == second
    assert isinstance(failed.error, RemoteApplicationError)
    assert failed.error.detail == [1]


@pytest.mark.parametrize("config", [SessionConfig(), JSON], ids=["msgpack", "json"])
def test_a_long_argument_and_a_long_result(config: SessionConfig) -> None:
    a, b = ready_pair(config=config)
    data = bytes(range(256)) * 1000
    a.session.send_request("echo", [data], now=0.0)
    pump(a, b)
    request = b.one(events.RequestReceived)
    assert request.params == [data]
    b.session.send_response(request.id, "é" * 100_000)
    pump(a, b)
    assert a.one(events.ResponseReceived).result == "é" * 100_000


def test_what_can_not_be_sent_is_refused_at_once() -> None:
    a, b = ready_pair(config=SessionConfig(max_message=2000))
    with pytest.raises(EncodeError):
        a.session.send_request("a", [{1}], now=0.0)
    with pytest.raises(TooLarge, match="2000"):
        a.session.send_request("a", ["x" * 2000], now=0.0)
    with pytest.raises(ProtocolError):
        a.session.send_request("", [], now=0.0)
    with pytest.raises(ProtocolError):
        a.session.send_request("x" * (limits.MAX_METHOD_LENGTH + 1), [], now=0.0)
    a.session.send_request("x" * limits.MAX_METHOD_LENGTH, ["x" * 1800], now=0.0)
    pump(a, b)
    request = b.one(events.RequestReceived)
    with pytest.raises(TooLarge):
        b.session.send_response(request.id, "x" * 2000)
    with pytest.raises(EncodeError):
        b.session.send_response(request.id, object())
    b.session.send_error(request.id, codes.TOO_LARGE, "the result is too long")
    pump(a, b)
    assert len(a.all(events.ErrorReceived)) == 1
    with pytest.raises(ValueError, match="answered before"):
        b.session.send_response(request.id, 1)


def test_the_window_of_the_other_side() -> None:
    a, b = ready_pair(config=SessionConfig(max_in_flight=2))
    ids = [a.session.send_request("slow", [number], now=0.0) for number in range(5)]
    pump(a, b)
    assert [request.params for request in b.all(events.RequestReceived)] == [[0], [1]]
    b.session.send_response(b.all(events.RequestReceived)[0].id, "done")
    pump(a, b)
    assert len(b.all(events.RequestReceived)) == 3
    a.session.send_cancel(ids[3])  # it waits still: nobody hears of it
    for request in b.all(events.RequestReceived)[1:]:
        b.session.send_response(request.id, "done")
    pump(a, b)
    assert [request.params for request in b.all(events.RequestReceived)] == [[0], [1], [2], [4]]
    assert not b.all(events.CancelReceived)


def test_one_request_too_many_is_refused_and_did_not_run() -> None:
    _, b = ready_pair(config=SessionConfig(max_in_flight=2))
    b.receive(packed(*[Request(number, "slow") for number in (1, 2, 3)]))
    assert len(b.all(events.RequestReceived)) == 2
    (refused,) = said(b)
    assert (refused.id, refused.code, refused.data) == (3, codes.RESOURCE_EXHAUSTED, {"ran": False})
    b.session.send_response(1, None)
    b.receive(packed(Request(4, "slow")))
    assert len(b.all(events.RequestReceived)) == 3


def test_an_id_that_is_open_already() -> None:
    _, b = ready_pair()
    b.receive(packed(Request(1, "slow"), Request(1, "slow")))
    assert b.closed is not None
    assert b.closed.code == codes.INVALID_REQUEST


def test_answers_that_nobody_waits_for_are_ignored() -> None:
    a, _ = ready_pair()
    a.receive(packed(Response(77, 1), ErrorResponse(78, -32000, "no")))
    assert a.happened == []
    assert a.closed is None


def test_an_answer_to_a_call_that_was_not_sent_yet() -> None:
    a, _ = ready_pair(config=SessionConfig(max_in_flight=1))
    ids = [a.session.send_request("slow", [], now=0.0) for _ in range(2)]
    a.take()
    a.receive(packed(Response(ids[1], "made up")))
    assert a.happened == []


@pytest.mark.parametrize("code", [codes.RESOURCE_EXHAUSTED])
def test_codes_become_classes(code: int) -> None:
    a, _ = ready_pair()
    call = a.session.send_request("a", [], now=0.0)
    a.receive(packed(ErrorResponse(call, code, "later", {"ran": False, "retryAfter": 250})))
    error = a.one(events.ErrorReceived).error
    assert isinstance(error, RemoteResourceExhausted)
    assert (error.ran, error.retry_after) == (False, 0.25)


def test_reserved_methods() -> None:
    _, b = ready_pair()
    b.receive(packed(Request(1, "rpc.discover"), Request(2, "rpc.unknown"), Notification("rpc.unknown")))
    assert [request.method for request in b.all(events.RequestReceived)] == ["rpc.discover"]
    (refused,) = said(b)
    assert (refused.id, refused.code) == (2, codes.METHOD_NOT_FOUND)
    assert b.closed is None


# -- cancel and deadlines ----------------------------------------------------------------------------


def test_a_cancel_and_the_answer_to_it() -> None:
    a, b = ready_pair(config=SessionConfig(max_in_flight=1))
    call = a.session.send_request("slow", [], now=0.0)
    a.session.send_request("next", [], now=0.0)
    pump(a, b)
    a.session.send_cancel(call)
    a.session.send_cancel(call)
    pump(a, b)
    assert b.one(events.CancelReceived).id == call
    # The place in the window is free when the other side says so, not before.
    assert len(b.all(events.RequestReceived)) == 1
    b.session.send_error(call, codes.CANCELLED, "cancelled")
    pump(a, b)
    assert [request.method for request in b.all(events.RequestReceived)] == ["slow", "next"]
    assert not a.all(events.ErrorReceived)


def test_a_cancel_never_overtakes_its_request() -> None:
    a, b = ready_pair()
    call = a.session.send_request("long", ["x" * 100_000], now=0.0)
    first = a.session.data_to_send(1)
    a.session.send_cancel(call)
    b.receive(*first, *a.take())
    kinds = [type(event) for event in b.happened]
    assert kinds == [events.RequestReceived, events.CancelReceived]


def test_a_cancel_of_what_has_not_left_takes_it_back() -> None:
    a, b = ready_pair()
    for params in ([1], ["x" * 100_000]):
        a.session.send_cancel(a.session.send_request("a", params, now=0.0))
    pump(a, b)
    assert b.happened == []


def test_a_deadline_on_this_side() -> None:
    a, b = ready_pair()
    call = a.session.send_request("slow", [], timeout=0.5, now=1.0)
    unsent = a.session.send_request("never", [], timeout=0.4, now=1.0)
    a.session.send_cancel(a.session.send_request("gone", [], timeout=0.1, now=1.0))
    frames = a.session.data_to_send(1 << 20)
    assert a.session.next_tick() == pytest.approx(1.4)
    late = a.session.send_request("late", [], timeout=0.4, now=1.0)
    b.receive(*frames)
    a.tick(1.39)
    assert not a.all(events.CallFailed)
    a.tick(1.5)
    failed = {event.id: event.error for event in a.all(events.CallFailed)}
    assert set(failed) == {call, unsent, late}
    assert all(isinstance(error, DeadlineExceeded) for error in failed.values())
    assert (failed[call].ran, failed[late].ran) == (None, False)
    b.receive(*a.take())
    assert sorted(event.id for event in b.all(events.CancelReceived)) == sorted([call, unsent])  # type: ignore[type-var]
    b.session.send_response(call, "too late")
    pump(a, b)
    assert not a.all(events.ResponseReceived)


# -- heartbeats --------------------------------------------------------------------------------------


def test_a_ping_only_after_silence_and_its_answer() -> None:
    a, b = ready_pair()
    a.tick(INTERVAL - 0.1)
    assert said(a) == []
    assert a.session.next_tick() == pytest.approx(INTERVAL)
    a.tick(INTERVAL)
    (ping,) = a.take()
    b.now = a.now = INTERVAL + 0.1
    b.receive(ping)
    a.receive(*b.take())
    assert a.all(events.PongReceived)[-1].rtt == pytest.approx(0.1)
    assert a.session.next_tick() == pytest.approx(2 * INTERVAL + 0.1)


def test_a_connection_is_lost_after_the_misses() -> None:
    a, _ = ready_pair()
    call = a.session.send_request("slow", [], now=0.0)
    a.take()
    times = []
    while a.closed is None:
        at = a.session.next_tick()
        assert at is not None
        times.append(at)
        a.tick(at)
    assert times == [INTERVAL * count for count in range(1, limits.HEARTBEAT_MISSES + 2)]
    assert (a.closed.by, a.closed.code) == ("broken", codes.CONNECTION_LOST)
    failed = a.one(events.CallFailed)
    assert (failed.id, failed.error.ran) == (call, None)


def test_our_own_standstill_is_no_loss() -> None:
    """The loop was blocked for a minute: one ping, not a verdict."""
    a, b = ready_pair()
    a.tick(60.0)
    assert a.closed is None
    b.receive(*a.take())
    a.receive(*b.take())
    a.tick(61.0)
    assert a.closed is None


def test_a_pong_to_an_earlier_ping_is_no_measure() -> None:
    a, b = ready_pair()
    a.tick(INTERVAL)
    (first,) = a.take()
    a.tick(2 * INTERVAL)
    a.take()
    b.receive(first)
    a.now = 2 * INTERVAL + 0.1
    a.receive(*b.take())
    assert not a.all(events.PongReceived)


@pytest.mark.parametrize("n", [None, "x" * 1000, [1] * 1000, -1, 2**60, True, 1.5])
def test_a_ping_that_is_none_is_not_answered(n: Any) -> None:
    _, b = ready_pair()
    b.receive(packed(Notification("rpc.ping", {"n": n})))
    assert said(b) == []
    assert b.closed is None


def test_pings_that_are_not_read_pile_up_no_answers() -> None:
    _, b = ready_pair()
    for n in range(10_000):
        b.receive(packed(Notification("rpc.ping", {"n": n})))
    assert b.session.queued_bytes < 2000


def test_refusals_that_are_not_read_end_the_session() -> None:
    _, b = ready_pair()
    for number in range(1000):
        b.receive(packed(*[Request(number * 100 + count, "rpc.x") for count in range(100)]))
        if b.closed is not None:
            break
    assert b.closed is not None
    assert b.closed.code == codes.RESOURCE_EXHAUSTED
    assert b.session.queued_bytes < 1000


# -- tokens ------------------------------------------------------------------------------------------


def test_tokens_come_before_the_calls_that_follow_them() -> None:
    a, b = ready_pair()
    a.session.send_token("secret")
    a.session.send_request("a", [], now=0.0)
    (frame,) = a.take()
    b.receive(frame)
    assert [type(event) for event in b.happened] == [events.TokenReceived, events.RequestReceived]
    assert b.one(events.TokenReceived).token == "secret"


@pytest.mark.parametrize("size", [limits.TOKEN_LENGTH, limits.TOKEN_LENGTH + 1])
def test_the_length_of_a_token(size: int) -> None:
    a, b = ready_pair()
    token = "é" * (size // 2) + "x" * (size % 2)
    if size > limits.TOKEN_LENGTH:
        with pytest.raises(TooLarge):
            a.session.send_token(token)
        b.receive(packed(Notification("rpc.token", {"token": token})))
        assert b.closed is not None
        assert b.closed.code == codes.TOO_LARGE
    else:
        a.session.send_token(token)
        pump(a, b)
        assert b.one(events.TokenReceived).token == token


def test_the_number_of_tokens() -> None:
    a, b = ready_pair()
    for _ in range(limits.MAX_TOKENS):
        a.session.send_token("t")
    pump(a, b)
    assert b.closed is None
    a.session.send_token("t")
    pump(a, b)
    assert b.closed is not None
    assert b.closed.code == codes.RESOURCE_EXHAUSTED


# -- the end -----------------------------------------------------------------------------------------


def test_a_good_end() -> None:
    a, b = ready_pair()
    served = a.session.send_request("slow", [], now=0.0)
    pump(a, b)
    unsent = a.session.send_request("never", [], now=0.0)
    a.session.send_notification("last", ["words"])
    a.session.close(0, "done", now=1.0)
    a.settle()
    failed = {event.id: event.error.ran for event in a.all(events.CallFailed)}
    assert failed == {served: None, unsent: False}
    assert a.closed == events.SessionClosed(0, "done", "local", a.closed.error)  # type: ignore[union-attr]
    frames = a.take()
    assert not a.session.has_data_to_send
    b.receive(*frames)
    assert b.one(events.NotificationReceived).params == ["words"]
    assert [request.method for request in b.all(events.RequestReceived)] == ["slow"]
    assert b.closed is not None
    assert (b.closed.code, b.closed.reason, b.closed.by) == (0, "done", "remote")
    b.session.send_response(served, 1)
    assert b.take() == []
    a.session.close(0, "again", now=2.0)
    assert a.session.events_received() == []


def test_the_reason_of_a_bye_is_cut_and_made_harmless() -> None:
    a, _ = ready_pair()
    a.receive(packed(Notification("rpc.bye", {"code": -32004, "reason": "\x1b[2J" + "x" * 5000})))
    assert a.closed is not None
    assert "\x1b" not in a.closed.reason
    assert len(a.closed.reason) <= 500
    assert isinstance(a.closed.error, ConnectionLost)


def test_the_end_of_the_connection() -> None:
    a, b = ready_pair()
    sent = a.session.send_request("a", [], now=0.0)
    pump(a, b)
    unsent = a.session.send_request("b", ["x" * 100_000], now=0.0)
    a.session.receive_eof(1.0, "the wire was cut")
    a.settle()
    assert {event.id: event.error.ran for event in a.all(events.CallFailed)} == {sent: None, unsent: False}
    assert a.closed is not None
    assert (a.closed.by, a.closed.reason) == ("broken", "the wire was cut")
    a.session.receive_eof(2.0, "again")
    a.session.receive_data("x", 2.0)
    a.session.tick(3.0)
    assert a.session.events_received() == []
    with pytest.raises(ConnectionLost):
        a.session.send_request("c", [], now=3.0)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x00\xc1", codes.PARSE_ERROR),
        (b"\x07", codes.PARSE_ERROR),
        (b"", codes.PARSE_ERROR),
        (b"\x00\x90", codes.INVALID_REQUEST),
        (b"\x00" + b"x" * limits.MAX_FRAME, codes.TOO_LARGE),
        (packed(Notification("rpc.hello", {})), codes.INVALID_REQUEST),
        (packed(Notification("rpc.token", {"token": 1})), codes.INVALID_REQUEST),
    ],
)
def test_what_breaks_the_protocol_ends_the_session(frame: bytes, code: int) -> None:
    a, b = ready_pair()
    call = a.session.send_request("a", [], now=0.0)
    a.take()
    a.receive(frame)
    assert a.closed is not None
    assert (a.closed.code, a.closed.by) == (code, "local")
    assert a.one(events.CallFailed).id == call
    b.receive(*a.take())
    assert b.closed is not None
    assert (b.closed.code, b.closed.by) == (code, "remote")


def test_a_peer_that_takes_nearly_nothing_hurts_itself_only() -> None:
    for most in (1, 20, 60):
        a = Party(fingerprint=b"a" * 32, peer_fingerprint=b"b" * 32)
        b = Party(
            fingerprint=b"b" * 32,
            peer_fingerprint=b"a" * 32,
            config=SessionConfig(max_message=most, max_frame=16, encodings=("json",)),
        )
        for _ in range(3):
            to_b, to_a = a.take(), b.take()
            a.receive(*to_a)
            for frame in to_b:  # its reader would refuse these; ours is the side under test
                b.session._reader.max_frame = 1 << 20
                b.receive(frame)
        assert a.ready
        a.receive("[1,2,3]", text("rpc.x", id=1), "no json", text("rpc.ping", {"n": 1}))
        a.tick(2.5)
        a.session.close(0, "enough", now=3.0)
        a.settle()
        assert a.closed is not None


# -- level 0 and JSON --------------------------------------------------------------------------------


def test_a_peer_of_level_0_is_served_where_it_is_allowed() -> None:
    party = level_0()
    party.receive('{"jsonrpc":"2.0","id":"a","method":"add","params":[1,2]}')
    peer = party.one(events.SessionReady).peer
    assert (peer.peer_id, peer.level) == (None, 0)
    request = party.one(events.RequestReceived)
    assert (request.id, request.method) == ("a", "add")
    party.session.send_response("a", 3)
    assert party.take() == ['{"jsonrpc":"2.0","id":"a","result":3}']


@pytest.mark.parametrize("first", ['{"jsonrpc":"2.0","id":5,"method":"a"}', '[{"jsonrpc":"2.0","id":5,"method":"a"}]'])
def test_a_peer_of_level_0_is_told_that_it_is_not_allowed(first: str) -> None:
    party = level_0(SessionConfig())
    party.receive(first)
    assert not party.all(events.RequestReceived)
    assert party.closed is not None
    assert party.closed.code == codes.UNAUTHENTICATED
    answer = next(e for e in said(party) if isinstance(e, ErrorResponse))
    assert (answer.id, answer.code, answer.data) == (5, codes.UNAUTHENTICATED, {"ran": False})


def test_whoever_shows_no_key_is_not_the_pinned_peer() -> None:
    party = level_0(pin=identity(5).peer_id)
    party.receive('{"jsonrpc":"2.0","id":5,"method":"a"}')
    assert not party.ready
    assert party.closed is not None


def test_a_peer_of_level_0_gets_nothing_but_json_rpc() -> None:
    party = level_0()
    party.receive('{"jsonrpc":"2.0","method":"hello"}')
    call = party.session.send_request("a", [], timeout=1, now=0.0)
    assert json.loads(party.take()[0]) == {"jsonrpc": "2.0", "id": call, "method": "a", "params": []}
    assert party.session.next_tick() == 1.0
    party.tick(1.0)
    party.tick(100.0)
    assert isinstance(party.one(events.CallFailed).error, DeadlineExceeded)
    party.session.close(0, "", now=101.0)
    assert party.take() == []


def test_a_peer_of_level_0_sends_and_gets_what_fits_the_channel() -> None:
    party = level_0(max_message_size=100_000)
    long = "x" * 50_000
    party.receive(f'{{"jsonrpc":"2.0","id":1,"method":"a","params":["{long}"]}}')
    assert party.one(events.RequestReceived).params == [long]
    party.session.send_response(1, long)
    assert len(party.take()) == 1
    with pytest.raises(TooLarge):
        party.session.send_notification("a", ["x" * 100_000])
    party.receive(b"\x00\x93\x03\xa1a\x90")
    assert party.closed is not None


@pytest.mark.parametrize("request_id", [None, "x", 0, -5, 1.5, 2**53 - 1, ""])
def test_ids_come_back_as_they_are(request_id: Any) -> None:
    party = level_0()
    party.receive(json.dumps({"jsonrpc": "2.0", "id": request_id, "method": "a"}))
    party.session.send_response(party.one(events.RequestReceived).id, None)
    assert json.loads(party.take()[0]) == {"jsonrpc": "2.0", "id": request_id, "result": None}


def test_ids_of_level_0_that_are_open_twice() -> None:
    party = level_0()
    for _ in range(3):
        party.receive('{"jsonrpc":"2.0","id":1,"method":"a"}')
    for number in range(3):
        party.session.send_response(1, number)
    assert [json.loads(frame)["result"] for frame in party.take()] == [0, 1, 2]


def test_a_batch_is_answered_by_one_batch_when_the_last_answer_is_there() -> None:
    party = level_0()
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "a"},
        {"jsonrpc": "2.0", "id": 2, "method": "rpc.no"},
        {"jsonrpc": "2.0", "method": "n"},
        1,
        {"jsonrpc": "2.0", "id": "x", "method": "b"},
    ]
    party.receive(json.dumps(batch))
    party.session.send_response("x", "second")
    assert party.take() == []
    with pytest.raises(EncodeError):
        party.session.send_response(1, {1})
    party.session.send_error(1, -32603, "internal error")
    (frame,) = party.take()
    answers = {answer["id"]: answer for answer in json.loads(frame)}
    assert answers["x"]["result"] == "second"
    assert [answers[key]["error"]["code"] for key in (1, 2, None)] == [-32603, -32601, -32600]


def test_a_batch_whose_answers_are_too_long_together() -> None:
    party = level_0(max_message_size=1000)
    party.receive('[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","id":2,"method":"a"}]')
    for request_id in (1, 2):
        party.session.send_response(request_id, "x" * 600)
    (answer,) = said(party)
    assert (answer.id, answer.code) == (None, codes.TOO_LARGE)


def test_a_text_in_a_session_of_messagepack_is_answered_as_text() -> None:
    _, b = ready_pair()
    b.receive('[{"jsonrpc":"2.0","id":"t","method":"a"}]', '{"jsonrpc":"2.0","id":"u","method":"a"}')
    b.session.send_response("t", 1)
    b.session.send_response("u", 2)
    assert [json.loads(frame) for frame in b.take()] == [
        [{"jsonrpc": "2.0", "id": "t", "result": 1}],
        {"jsonrpc": "2.0", "id": "u", "result": 2},
    ]


def test_a_binary_frame_in_a_session_of_json() -> None:
    a, _ = ready_pair(config=JSON)
    a.receive(b"\x00\x93\x03\xa1a\x90")
    assert a.closed is not None


def batch_of(a: Party, count: int = 2, **given: Any) -> list[int]:
    return a.session.send_batch([("a", [number]) for number in range(count)] + [("n", [], "notify")], now=0.0, **given)


def test_a_batch_of_ours() -> None:
    a, b = ready_pair(config=JSON)
    ids = batch_of(a)
    pump(a, b)
    assert [request.params for request in b.all(events.RequestReceived)] == [[0], [1]]
    assert b.one(events.NotificationReceived).method == "n"
    for request in b.all(events.RequestReceived):
        b.session.send_response(request.id, "r")
    pump(a, b)
    assert [answer.id for answer in a.all(events.ResponseReceived)] == ids


def test_an_answer_that_is_missing_in_a_batch() -> None:
    a, _ = ready_pair(config=JSON)
    ids = batch_of(a)
    a.take()
    a.receive(f'[{{"jsonrpc":"2.0","id":{ids[1]},"result":1}}]')
    assert a.one(events.ResponseReceived).id == ids[1]
    assert a.one(events.CallFailed).id == ids[0]


def test_a_batch_waits_as_a_whole() -> None:
    a, b = ready_pair(config=SessionConfig(encodings=("json",), max_in_flight=3))
    with pytest.raises(ResourceExhausted):
        batch_of(a, 4)
    first, ids = batch_of(a, 2), batch_of(a, 2, timeout=5.0)
    last = a.session.send_request("z", [], now=0.0)
    a.session.send_cancel(ids[0])
    pump(a, b)
    assert len(b.all(events.RequestReceived)) == 2
    for request_id in first:
        b.session.send_response(request_id, 1)
    pump(a, b)
    # What was given up while its batch waited goes out with it, and its cancel behind it.
    assert b.one(events.CancelReceived).id == ids[0]
    assert [request.id for request in b.all(events.RequestReceived)] == [*first, *ids, last]


def test_an_error_without_an_id_is_for_the_only_thing_that_is_open() -> None:
    null = '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}'
    a, _ = ready_pair(config=JSON)
    a.receive(null)
    assert a.closed is None
    ids = batch_of(a)
    a.take()
    a.receive(null)
    assert [event.id for event in a.all(events.ErrorReceived)] == ids
    for _ in range(2):
        a.session.send_request("a", [], now=0.0)
    a.take()
    a.receive(null)
    assert a.closed is not None
    assert len(a.all(events.CallFailed)) == 2


@pytest.mark.parametrize("answer", ['"result":1,"error":{"code":1,"message":"m"}', '"error":1', '"error":{"code":"x"}'])
def test_an_answer_that_can_not_be_read_fails_its_call_and_is_not_answered(answer: str) -> None:
    a, _ = ready_pair(config=JSON)
    call = a.session.send_request("a", [], now=0.0)
    a.take()
    a.receive(f'{{"jsonrpc":"2.0","id":{call},{answer}}}')
    failed = a.one(events.CallFailed)
    assert failed.id == call
    assert isinstance(failed.error, ProtocolError)
    assert a.take() == []


def test_a_text_that_can_not_be_read_while_an_answer_is_due() -> None:
    a, _ = ready_pair(config=JSON)
    a.receive("no json")
    (answer,) = said(a)
    assert (answer.id, answer.code) == (None, codes.PARSE_ERROR)
    a.session.send_request("a", [], now=0.0)
    a.take()
    a.receive("no json")
    assert a.closed is not None
    assert len(a.all(events.CallFailed)) == 1

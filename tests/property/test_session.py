"""Two sessions under random schedules: every call is settled once, whatever crosses whatever."""

from __future__ import annotations

import json
from collections import Counter, deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sessions import Party, ready_pair

from rtcrpc import codes
from rtcrpc.core import events
from rtcrpc.core.session import SessionConfig, SessionState
from rtcrpc.errors import ConnectionLost, DeadlineExceeded, RtcRpcError

ACTIONS = [
    "call",
    "long call",
    "timed call",
    "cancel",
    "answer",
    "refuse",
    "send",
    "deliver",
    "wait",
    "notify",
    "batch",
]
schedules = st.lists(st.tuples(st.sampled_from(ACTIONS), st.booleans(), st.integers(0, 40)), max_size=80)


class End:
    """One side, its books, and what is on its way to it."""

    def __init__(self, party: Party) -> None:
        self.party = party
        self.open: set[Any] = set()
        self.cancelled: set[Any] = set()
        self.settled: Counter[Any] = Counter()
        self.unanswered: deque[Any] = deque()
        self.inbox: deque[bytes | str] = deque()
        self.served: Counter[Any] = Counter()

    def look(self) -> None:
        self.party.settle()
        for event in self.party.happened:
            match event:
                case events.ResponseReceived(id=call) | events.ErrorReceived(id=call) | events.CallFailed(id=call):
                    self.settled[call] += 1
                case events.RequestReceived(id=call):
                    self.served[call] += 1
                    self.unanswered.append(call)
                case _:
                    pass
        self.party.happened.clear()

    def check(self) -> None:
        assert not self.settled.keys() & self.cancelled, "a call that was given up was settled"
        assert all(count == 1 for count in self.settled.values())
        assert self.settled.keys() <= self.open
        assert all(count == 1 for count in self.served.values())


@pytest.mark.parametrize("encodings", [("msgpack", "json"), ("json",)])
@pytest.mark.parametrize("end", ["drain", "break", "close"])
@given(schedule=schedules, window=st.integers(2, 6))
@settings(max_examples=60)
def test_every_call_is_settled_once(
    end: str, encodings: tuple[str, ...], schedule: list[tuple[str, bool, int]], window: int
) -> None:
    config = SessionConfig(
        encodings=encodings, max_in_flight=window, max_frame=64, coalesce_bytes=40, heartbeat_interval=1e6
    )
    a, b = (End(party) for party in ready_pair(config=config))
    now = 0.0

    def deliver(to: End) -> None:
        if to.inbox:
            to.party.session.receive_data(to.inbox.popleft(), now)
            to.look()

    for action, is_a, number in schedule:
        one, other = (a, b) if is_a else (b, a)
        session = one.party.session
        match action:
            case "call":
                one.open.add(session.send_request("m", [number], now=now))
            case "long call":
                one.open.add(session.send_request("m", ["x" * 8 * number], now=now))
            case "timed call":
                one.open.add(session.send_request("m", {"a": number}, timeout=1 + number, now=now))
            case "batch" if encodings == ("json",):
                one.open.update(session.send_batch([("m", [1]), ("n", [2], "notify"), ("m", [3])][:window], now=now))
            case "cancel" if one.open - one.settled.keys() - one.cancelled:
                choices = sorted(one.open - one.settled.keys() - one.cancelled)
                call = choices[number % len(choices)]
                session.send_cancel(call)
                one.cancelled.add(call)
            case "answer" if one.unanswered:
                session.send_response(one.unanswered.popleft(), "y" * number * 3)
            case "refuse" if one.unanswered:
                session.send_error(one.unanswered.pop(), codes.APPLICATION_ERROR, "no")
            case "notify":
                session.send_notification("n", [number])
            case "send":
                other.inbox.extend(session.data_to_send(number * 10))
            case "deliver":
                deliver(one)
            case "wait":
                now += number / 10
                session.tick(now)
                one.look()
        one.check()
        assert session.state is SessionState.READY

    if end == "drain":
        for _ in range(2000):
            moved = False
            for one, other in ((a, b), (b, a)):
                frames = one.party.session.data_to_send(500)
                other.inbox.extend(frames)
                moved = moved or bool(frames or one.inbox or one.unanswered)
                while one.inbox:
                    deliver(one)
                while one.unanswered:
                    one.party.session.send_response(one.unanswered.popleft(), None)
            if not moved:
                break
    elif end == "break":
        for one in (a, b):
            one.party.session.receive_eof(now, "cut")
            one.look()
    else:
        a.party.session.close(0, "done", now=now)
        a.look()
        b.inbox.extend(a.party.session.data_to_send(1 << 20))
        while b.inbox:
            deliver(b)
    for one in (a, b):
        one.check()
        assert one.settled.keys() | one.cancelled == one.open
        assert not one.party.session._calls
        if end == "drain":
            # Nothing is left behind: no place in the window, no table entry.
            session = one.party.session
            assert (session._open, session._serving_count) == (0, 0)
            assert not session._abandoned
            assert not session._serving
            assert not session._waiting


frames = st.binary(max_size=60) | st.binary(max_size=40).map(lambda data: b"\x00" + data) | st.text(max_size=40)
reserved = st.builds(
    lambda method, params, extra: json.dumps({"jsonrpc": "2.0", "method": method, "params": params} | extra),
    st.sampled_from(
        ["rpc.ping", "rpc.pong", "rpc.cancel", "rpc.bye", "rpc.token", "rpc.hello", "rpc.prove", "rpc.x", "a"]
    ),
    st.dictionaries(
        st.sampled_from(["n", "id", "code", "reason", "token", "signature", "key"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=5)
        | st.lists(st.integers(), max_size=2)
        | st.floats(),
        max_size=4,
    )
    | st.lists(st.integers(), max_size=2),
    st.sampled_from([{}, {"id": 1}, {"id": None}, {"id": []}]),
)


@given(st.lists(frames | reserved, max_size=12), st.sampled_from(["hello", "proving", "ready", "json", "anonymous"]))
def test_nothing_that_comes_raises_or_hangs_a_call(garbage: list[Any], stage: str) -> None:
    calls: set[int] = set()
    if stage in ("ready", "json"):
        encodings = ("json",) if stage == "json" else ("msgpack", "json")
        party, other = ready_pair(config=SessionConfig(encodings=encodings))
        calls = {party.session.send_request("a", [], now=0.0) for _ in range(2)}
    else:
        party, other = Party(config=SessionConfig(allow_anonymous=stage == "anonymous")), Party()
        if stage == "proving":
            party.receive(other.take()[0])
    for step, frame in enumerate(garbage):
        party.receive(frame)
        party.take()
        party.tick(step / 10)
    party.session.receive_eof(9.0, "cut")
    party.settle()
    assert party.session.state is SessionState.CLOSED
    assert len(party.all(events.SessionClosed)) == 1
    settled = Counter(
        event.id
        for event in party.happened
        if isinstance(event, events.ResponseReceived | events.ErrorReceived | events.CallFailed)
    )
    assert settled == Counter(calls)
    if stage in ("hello", "proving"):
        assert not party.all(events.RequestReceived)
        assert not party.all(events.NotificationReceived)
    fresh, peer = ready_pair()
    assert fresh.session.state is peer.session.state is SessionState.READY


@given(st.lists(st.tuples(st.floats(0.1, 5.0), st.booleans()), max_size=20))
def test_time_alone_ends_every_wait(steps: list[tuple[float, bool]]) -> None:
    """Ticks at any times, some frames lost with the connection: each call ends by its deadline or with the session."""
    a, b = ready_pair()
    now = 0.0
    calls = []
    for step, answers in steps:
        if a.session.state is not SessionState.READY:
            break
        calls.append(a.session.send_request("a", [], timeout=step, now=now))
        frames = a.take()
        now += step
        if answers:
            b.now = a.now = now
            b.receive(*frames)
            a.receive(*b.take())
        a.tick(now)
    while (at := a.session.next_tick()) is not None:
        assert at >= 0
        now = max(now, at)
        a.tick(now)
    failed = a.all(events.CallFailed)
    assert sorted(event.id for event in failed) == sorted(calls)
    assert all(isinstance(event.error, DeadlineExceeded | ConnectionLost) for event in failed)
    assert all(isinstance(event.error, RtcRpcError) for event in failed)

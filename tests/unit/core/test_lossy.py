"""rtcrpc.core.lossy, and what a session makes of it: the latest wins, and nothing that comes there ends anything."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sessions import Party, pair, pump, ready_pair

from rtcrpc import codes, limits
from rtcrpc.core import events
from rtcrpc.core.codec import MessagePackCodec
from rtcrpc.core.envelope import Envelope, Notification, Request, Response
from rtcrpc.core.lossy import FEATURE, LossyLane
from rtcrpc.core.session import SessionConfig
from rtcrpc.core.values import StreamRef
from rtcrpc.errors import ConnectionLost, EncodeError, ResourceExhausted, TooLarge

LOSSY = SessionConfig(features=SessionConfig().features | {FEATURE})


def frame(*envelopes: Envelope) -> bytes:
    codec = MessagePackCodec()
    return b"\x00" + b"".join(map(codec.encode, envelopes))


def pose(number: object, *params: object, method: str = "pose") -> bytes:
    return frame(Notification(method, list(params), {"seq": number}))


def news(party: Party) -> list[tuple[str, object]]:
    party.settle()
    return [(event.notification.method, event.notification.params) for event in party.all(events.LossyReceived)]


def take(party: Party) -> list[bytes]:
    frames = []
    while (one := party.session.next_lossy()) is not None:
        frames.append(one)
    assert not party.session.has_lossy_to_send
    return frames


def test_the_newest_replaces_the_one_that_waits() -> None:
    lane = LossyLane()
    assert not lane
    for number in range(5):
        lane.send("pose", [number])
        lane.send("speed", {"v": number})
    assert lane.next_frame() == pose(5, 4)
    lane.send("pose", [9])
    assert lane.next_frame() == frame(Notification("speed", {"v": 4}, {"seq": 5}))
    assert lane.next_frame() == pose(6, 9)
    assert lane.next_frame() is None


def test_methods_take_turns() -> None:
    lane = LossyLane()
    lane.send("a", [])
    lane.send("b", [])
    assert lane.next_frame() == pose(1, method="a")
    lane.send("a", [])
    assert lane.next_frame() == pose(1, method="b")
    assert lane.next_frame() == pose(2, method="a")


@given(st.lists(st.integers(1, 30)))
def test_never_older_after_newer(order: list[int]) -> None:
    lane = LossyLane()
    taken = [one.params[0] for number in order if (one := lane.receive(pose(number, number))) is not None]
    assert taken == sorted(set(taken))
    assert taken[-1:] == ([max(order)] if order else [])
    assert lane.dropped == len(order) - len(taken)


def test_what_does_not_belong_there_is_dropped() -> None:
    lane = LossyLane()
    good = pose(1, "x")
    bad: list[bytes | str] = [
        b"",
        b"\x00",
        b"\x01" + good[1:],
        "a text",
        '{"jsonrpc":"2.0","method":"pose","params":[]}',
        good + b"\x93",
        frame(Notification("pose", [], {"seq": 1}), Notification("pose", [], {"seq": 2})),
        frame(Request(1, "pose", [], {"seq": 1})),
        frame(Response(1, "x")),
        frame(Notification("pose", [])),
        frame(Notification("rpc.bye", {"code": 0, "reason": ""}, {"seq": 1})),
        frame(Notification("pose", [StreamRef(1)], {"seq": 1})),
        *(pose(number) for number in (0, -1, 1.5, "1", None, True, 2**53)),
        pose(1, bytes(limits.LOSSY_FRAME)),
    ]
    for one in bad:
        assert lane.receive(one) is None, one
    assert lane.dropped == len(bad)
    assert lane.receive(good) == Notification("pose", ["x"], {"seq": 1})
    assert lane.receive(pose(2**53 - 1)) is not None


def test_any_bytes_are_dropped_at_worst() -> None:
    chance = random.Random(1)
    lane, good = LossyLane(), pose(7, [1, {"a": b"x"}])
    for _ in range(5000):
        bent = bytearray(good)
        for _ in range(chance.randint(1, 3)):
            bent[chance.randrange(len(bent))] = chance.randrange(256)
        lane.receive(bytes(bent[: chance.randint(0, len(bent))]))
    assert lane.receive(pose(2**53 - 1)) is not None


def test_a_frame_of_the_limit_and_one_byte_more() -> None:
    lane = LossyLane()
    room = limits.LOSSY_FRAME - len(pose(1, b"")) - 1  # a header of 3 bytes, where that of nothing has 2
    lane.send("pose", [bytes(room)])
    with pytest.raises(TooLarge, match=r"1101 bytes.* at most 1100") as caught:
        lane.send("pose", [bytes(room + 1)])
    assert caught.value.ran is False
    last = lane.next_frame()
    assert last is not None
    assert len(last) == limits.LOSSY_FRAME
    assert LossyLane().receive(last) is not None
    assert lane.next_frame() is None


def test_the_methods_are_bounded_at_n_and_n_plus_1() -> None:
    ours, theirs = LossyLane(), LossyLane()
    for number in range(limits.MAX_LOSSY_METHODS):
        ours.send(f"m{number}", [])
        assert theirs.receive(pose(1, method=f"m{number}")) is not None
    with pytest.raises(ResourceExhausted, match=str(limits.MAX_LOSSY_METHODS)):
        ours.send("one more", [])
    ours.send("m0", [])
    for number in range(1, 1000):
        assert theirs.receive(pose(number, method=f"flood {number}")) is None
    assert theirs.receive(pose(2, method="m0")) is not None
    assert len(theirs._seen) == len(ours._sent) == limits.MAX_LOSSY_METHODS


def test_a_stream_is_refused() -> None:
    with pytest.raises(EncodeError, match="reliable=False"):
        LossyLane().send("pose", [{"at": StreamRef(1)}])


# -- sessions --------------------------------------------------------------------------------------------


def test_between_sessions() -> None:
    a, b = ready_pair(config=LOSSY)
    a.session.send_lossy("pose", [1])
    a.session.send_lossy("pose", [2])
    assert a.take() == []
    (only,) = take(a)
    b.now = 60.0
    for _ in range(2):
        b.session.receive_lossy(only, b.now)
    assert news(b) == [("pose", [2])]
    assert b.session.lossy_dropped == 1
    next_tick = b.session.next_tick()
    assert next_tick is not None
    assert next_tick > 60.0, "a sign of life, as anything is"


@pytest.mark.parametrize(
    "other", [SessionConfig(), SessionConfig(features=LOSSY.features, encodings=("json",))], ids=["no feature", "JSON"]
)
@pytest.mark.parametrize("swap", [False, True])
def test_without_a_lane_in_common_it_goes_like_any_other(other: SessionConfig, swap: bool) -> None:
    a, b = pair()
    a, b = Party(config=LOSSY), Party(config=other)
    a.fingerprint, a.peer_fingerprint = b.peer_fingerprint, b.fingerprint
    a.__post_init__()
    if swap:
        a, b = b, a
    pump(a, b)
    assert a.ready
    a.session.send_lossy("pose", [1])
    a.session.send_lossy("pose", [2])
    assert take(a) == []
    pump(a, b)
    assert [one.params for one in b.all(events.NotificationReceived)] == [[1], [2]]
    b.session.receive_lossy(pose(1), b.now)
    assert news(b) == []
    assert b.session.lossy_dropped == 1


def test_nothing_is_taken_or_sent_before_the_session_is_ready() -> None:
    a, b = pair(config=LOSSY)
    with pytest.raises(ConnectionLost):
        a.session.send_lossy("pose", [1])
    for _ in range(10_000):
        a.session.receive_lossy(pose(1), a.now)
    assert a.session.next_lossy() is None
    pump(a, b)
    assert a.ready
    assert news(a) == []
    assert a.session.lossy_dropped == 10_000
    a.session.receive_lossy(pose(1), a.now)
    assert news(a) == [("pose", [])]


def test_no_frame_there_ends_a_session() -> None:
    a, b = ready_pair(config=LOSSY)
    for one in (b"", b"\xff", "text", frame(Notification("rpc.bye", {"code": codes.TOO_LARGE}, {"seq": 1}))):
        a.session.receive_lossy(one, a.now)
    pump(a, b)
    assert a.closed is None
    assert b.closed is None
    assert a.session.lossy_dropped == 4
    a.session.close(now=a.now)
    a.session.receive_lossy(pose(1), a.now)
    assert news(a) == []


def test_a_peer_that_takes_shorter_frames_gets_those() -> None:
    a, b = Party(config=LOSSY), Party(config=SessionConfig(features=LOSSY.features, max_frame=600))
    a.fingerprint, a.peer_fingerprint = b.peer_fingerprint, b.fingerprint
    a.__post_init__()
    pump(a, b)
    with pytest.raises(TooLarge, match="at most 600"):
        a.session.send_lossy("pose", [bytes(600)])
    a.session.send_lossy("pose", [bytes(500)])
    assert len(take(a)) == 1

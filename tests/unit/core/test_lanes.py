"""What goes out next."""

from __future__ import annotations

import pytest

from rtcrpc.core.frames import FrameReader, frame_size
from rtcrpc.core.lanes import Lanes


def drain(lanes: Lanes, budget: int = 1 << 20) -> list[bytes | str]:
    frames: list[bytes | str] = []
    while chunk := lanes.data_to_send(budget):
        frames += chunk
    return frames


def test_control_before_calls_before_parts() -> None:
    lanes = Lanes(max_frame=32, coalesce=10)
    big = lanes.push_call(b"b" * 60)
    lanes.push_call(b"call-1")
    lanes.push_call(b"call-2")
    lanes.push_control(b"ping")
    assert [frame[:4] for frame in drain(lanes)] == [b"\x00pin", b"\x00cal", b"\x00cal", b"\x01\x01bb", b"\x02\x01bb"]
    assert lanes.has_left(big)


def test_small_envelopes_share_a_frame_of_just_the_size() -> None:
    lanes = Lanes(coalesce=11)
    for number in range(5):
        lanes.push_call(b"env-%d" % number)
    assert lanes.data_to_send(1 << 20) == [b"\x00env-0env-1", b"\x00env-2env-3", b"\x00env-4"]
    lanes.push_control(b"ping")
    lanes.push_call(b"env-5")
    assert lanes.data_to_send(1 << 20) == [b"\x00pingenv-5"]


def test_texts_keep_their_place_and_share_nothing() -> None:
    lanes = Lanes()
    for message in (b"a", "text", b"b", "é", b"c"):
        lanes.push_call(message)
    assert drain(lanes) == [b"\x00a", "text", b"\x00b", "é", b"\x00c"]


@pytest.mark.parametrize("message", [b"x" * 15, "x" * 16, "é" * 8])
def test_a_message_that_just_fits_and_one_that_does_not(message: bytes | str) -> None:
    lanes = Lanes(max_frame=16)
    lanes.push_call(message)
    assert len(drain(lanes)) == 1
    lanes.push_call(message + ("x" if isinstance(message, str) else b"x"))  # type: ignore[operator]
    frames = drain(lanes)
    assert len(frames) == 2
    assert max(map(frame_size, frames)) <= 16


def test_long_messages_take_turns_and_no_more_than_allowed_at_once() -> None:
    lanes = Lanes(max_frame=32, max_transfers=2)
    for letter in (b"a", b"b", b"c"):
        lanes.push_call(letter * 90)
    order = [(frame[1], chr(frame[2])) for frame in drain(lanes) if isinstance(frame, bytes)]
    assert order == [(1, "a"), (2, "b"), (1, "a"), (2, "b"), (1, "a"), (2, "b"), (3, "c"), (3, "c"), (3, "c")]


def test_a_call_passes_between_two_parts() -> None:
    lanes = Lanes(max_frame=32)
    lanes.push_call(b"x" * 100)
    first = lanes.data_to_send(1)
    lanes.push_call(b"now")
    assert lanes.data_to_send(1) == [b"\x00now"]
    reader = FrameReader()
    wholes = [reader.feed(frame) for frame in (*first, *drain(lanes))]
    assert wholes[-1] is not None
    assert wholes[-1].data == b"x" * 100


def test_the_budget_is_passed_by_one_frame_at_most() -> None:
    lanes = Lanes(max_frame=100)
    lanes.push_call(b"x" * 1000)
    assert lanes.data_to_send(0) == []
    assert sum(map(frame_size, lanes.data_to_send(250))) == 300
    assert len(lanes.data_to_send(1)) == 1


def test_what_waits_can_be_taken_back_and_what_left_can_not() -> None:
    lanes = Lanes(max_frame=32)
    gone = lanes.push_call(b"first")
    drain(lanes)
    small, other = lanes.push_call(b"second"), lanes.push_call(b"third")
    big, bigger = lanes.push_call(b"x" * 50), lanes.push_call(b"y" * 50)
    assert not lanes.withdraw(gone)
    assert lanes.withdraw(small)
    assert lanes.withdraw(big)
    assert not lanes.has_left(other)
    assert lanes.queued_bytes == len(b"third") + 50
    assert lanes.data_to_send(1) == [b"\x00third"]
    lanes.data_to_send(1)
    assert not lanes.withdraw(other)
    assert not lanes.withdraw(bigger)
    drain(lanes)
    assert lanes.queued_bytes == 0
    assert not lanes


def test_a_cancel_goes_out_behind_its_own_transfer_only() -> None:
    lanes = Lanes(max_frame=32)
    ticket = lanes.push_call(b"x" * 100)
    lanes.data_to_send(1)
    lanes.push_behind(ticket, b"cancel")
    frames = drain(lanes)
    assert frames[-1] == b"\x00cancel"
    lanes.push_behind(ticket, b"late")
    assert drain(lanes) == [b"\x00late"]


def test_control_that_is_too_long_for_a_frame_goes_in_parts_before_other_parts() -> None:
    lanes = Lanes(max_frame=16)
    lanes.push_call(b"x" * 100)
    lanes.push_control(b"c" * 20)
    assert [frame[2:3] for frame in drain(lanes)][:3] == [b"c", b"x", b"c"]


@pytest.mark.parametrize(("control", "calls"), [(False, False), (True, False), (True, True)])
def test_forgetting(control: bool, calls: bool) -> None:
    lanes = Lanes(max_frame=32)
    started, waiting = lanes.push_call(b"x" * 100), lanes.push_call(b"y" * 100)
    lanes.max_transfers = 1
    lanes.data_to_send(1)
    call = lanes.push_call(b"call")
    lanes.push_control(b"bye")
    lanes.clear(keep_control=control, keep_calls=calls)
    assert [lanes.has_left(ticket) for ticket in (started, waiting, call)] == [True, False, False]
    assert lanes.queued_bytes == 3 * control + 4 * calls
    assert bool(lanes) is (control or calls)
    assert (
        b"".join(frame for frame in drain(lanes) if isinstance(frame, bytes))[1:] == b"bye" * control + b"call" * calls
    )

"""The credit books: what may be sent, what must have been, and when credit goes back."""

from __future__ import annotations

import pytest

from rtcrpc import codes
from rtcrpc.core.flow import HIGH_MARK, LOW_MARK, MAX_CREDIT, IncomingStream, OutgoingStream
from rtcrpc.errors import ProtocolError


def test_an_owner_sends_while_credit_is_above_zero_and_the_last_message_may_take_it_below() -> None:
    stream = OutgoingStream(1, window=10)
    for _ in range(3):
        stream.put(1, bytes(8))
    assert stream.can_send
    assert stream.take(100) == [(1, bytes(8))]
    stream.pay(9)
    assert stream.credit == 1
    assert stream.can_send
    assert stream.take(100) == [(1, bytes(8))]
    stream.pay(9)
    assert stream.credit == -8
    assert not stream.can_send
    stream.grant(8)
    assert not stream.can_send
    stream.grant(1)
    assert stream.can_send


def test_a_message_holds_what_the_frame_and_the_credit_have_room_for_and_at_least_one_part() -> None:
    stream = OutgoingStream(1, window=1000)
    for size in (50, 30, 21, 10):
        stream.put(1, bytes(size))
    assert [len(data) for _, data in stream.take(100)] == [50, 30]
    assert [len(data) for _, data in stream.take(5)] == [21]
    stream.pay(995)
    assert [len(data) for _, data in stream.take(100)] == [10]
    assert stream.queued == 0


def test_credit_stays_countable() -> None:
    stream = OutgoingStream(1, window=1)
    stream.grant(MAX_CREDIT - 1)
    with pytest.raises(ProtocolError, match=r"below 2\^53") as raised:
        stream.grant(1)
    assert raised.value.code == codes.INVALID_REQUEST
    assert stream.credit == MAX_CREDIT


def test_a_reader_finds_out_who_sends_without_credit() -> None:
    stream = IncomingStream(1, window=10)
    stream.charge(9)
    stream.charge(50)  # credit was above zero
    with pytest.raises(ProtocolError, match="wait for credit") as raised:
        stream.charge(1)
    assert raised.value.code == codes.RESOURCE_EXHAUSTED


def test_credit_goes_back_in_steps_of_half_a_window() -> None:
    stream = IncomingStream(1, window=10)
    stream.charge(12)
    assert stream.take(4) == 0
    assert stream.take(1) == 5
    assert stream.credit == 3
    assert stream.take(7) == 7
    assert stream.credit == 10


@pytest.mark.parametrize("window", [1, 2, 3, 1000])
def test_what_was_taken_and_not_granted_is_less_than_half_a_window_so_that_an_owner_never_starves(window: int) -> None:
    owner, reader = OutgoingStream(1, window), IncomingStream(1, window)
    for size in [1, window, 3 * window, 1, 1, window - 1 or 1] * 20:
        assert owner.credit > 0
        owner.pay(size)
        reader.charge(size)
        owner.grant(grant) if (grant := reader.take(size)) else None
        assert owner.credit == reader.credit


def test_a_full_stream_says_once_that_it_has_room_again() -> None:
    stream = OutgoingStream(1, window=10**9)
    stream.put(1, bytes(HIGH_MARK - 1))
    stream.take(1)
    assert not stream.became_writable()
    for _ in range(2):
        stream.put(1, bytes(HIGH_MARK - LOW_MARK))
    stream.put(1, bytes(LOW_MARK - 1))
    stream.take(1)
    assert not stream.became_writable()
    stream.take(1)
    assert stream.became_writable()
    assert not stream.became_writable()


def test_the_end_comes_after_what_waits() -> None:
    stream = OutgoingStream(1, window=10)
    stream.put(2, b"ab")
    stream.end((codes.APPLICATION_ERROR, "no", None))
    assert not stream.is_over
    assert stream.take(1) == [(2, b"ab")]
    assert stream.is_over
    assert stream.error == (codes.APPLICATION_ERROR, "no", None)

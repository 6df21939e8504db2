"""Frames beyond the vectors: sizes at n and n+1, what is held, and for how long."""

from __future__ import annotations

import sys

import pytest

from rtcrpc import codes, limits
from rtcrpc.core.frames import FrameReader, FrameType, WholeMessage, encode_parts, frame_size
from rtcrpc.core.varint import encode_varint
from rtcrpc.errors import DecodeError, ProtocolError


@pytest.mark.parametrize("size", [0, 1, 13, 14, 15, 28, 29, 1000])
@pytest.mark.parametrize("text", [False, True])
def test_parts_fit_their_frames_and_join(size: int, text: bool) -> None:
    data = b"x" * size
    frames = list(encode_parts(1, data, text=text, max_frame=16)) or [bytes((FrameType.LAST_PART,)) + b"\x01"]
    assert max(map(len, frames)) <= 16
    reader = FrameReader(max_frame=16)
    wholes = [reader.feed(frame) for frame in frames]
    assert wholes[:-1] == [None] * (len(frames) - 1)
    if size:
        assert wholes[-1] == WholeMessage(data.decode() if text else data)
    assert reader.held == 0


@pytest.mark.parametrize("frame", [b"\x00" + b"x" * 15, "x" * 16, "é" * 8, b"\x01\x01" + b"x" * 14])
def test_a_frame_of_the_limit_and_one_byte_more(frame: bytes | str) -> None:
    size = frame_size(frame)
    assert size == 16
    FrameReader(max_frame=size).feed(frame)
    with pytest.raises(ProtocolError) as refused:
        FrameReader(max_frame=size - 1).feed(frame)
    assert refused.value.code == codes.TOO_LARGE


def test_a_message_of_the_limit_and_one_byte_more() -> None:
    reader = FrameReader(max_message=10)
    assert reader.feed(b"\x01\x01" + b"x" * 6) is None
    assert reader.feed(b"\x02\x01" + b"x" * 4) == WholeMessage(b"x" * 10)
    assert reader.feed(b"\x01\x02" + b"x" * 10) is None
    with pytest.raises(ProtocolError) as refused:
        reader.feed(b"\x02\x02x")
    assert refused.value.code == codes.TOO_LARGE


def test_as_many_transfers_as_allowed_and_one_more() -> None:
    reader = FrameReader()
    for number in range(1, limits.MAX_TRANSFERS + 1):
        assert reader.feed(b"\x01" + encode_varint(number) + b"x") is None
    with pytest.raises(ProtocolError) as refused:
        reader.feed(b"\x01" + encode_varint(limits.MAX_TRANSFERS + 1) + b"x")
    assert refused.value.code == codes.RESOURCE_EXHAUSTED


def test_a_transfer_whose_sender_stopped() -> None:
    reader = FrameReader(transfer_seconds=30)
    assert reader.next_expiry() is None
    reader.feed(b"\x01\x01x", 100.0)
    reader.feed(b"\x01\x02y", 110.0)
    reader.feed(b"\x01\x01x", 120.0)
    assert reader.next_expiry() == 140.0
    reader.expire(139.9)
    with pytest.raises(ProtocolError) as refused:
        reader.expire(140.0)
    assert refused.value.code == codes.DEADLINE_EXCEEDED


def test_a_part_without_bytes_buys_no_time() -> None:
    reader = FrameReader(transfer_seconds=30)
    reader.feed(b"\x01\x01x", 0.0)
    reader.feed(b"\x01\x01", 29.0)
    with pytest.raises(ProtocolError):
        reader.expire(30.0)


def test_many_small_parts_cost_what_they_hold() -> None:
    reader = FrameReader()
    for _ in range(100_000):
        reader.feed(b"\x01\x01x")
    assert reader.held == 100_000
    (transfer,) = reader._transfers.values()
    assert sys.getsizeof(transfer.joined) < 200_000


def test_a_transfer_that_was_finished_never_comes_again() -> None:
    reader = FrameReader()
    reader.feed(b"\x02\x05x")
    for frame in (b"\x02\x05x", b"\x01\x04x"):
        with pytest.raises(ProtocolError):
            reader.feed(frame)
    assert reader.feed(b"\x02\x06x") == WholeMessage(b"x")


def test_text_that_is_no_utf8() -> None:
    with pytest.raises(DecodeError):
        FrameReader().feed(b"\x04\x01\xff")

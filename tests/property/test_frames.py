"""Messages cut into frames, interleaved and joined again."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rtcrpc.core.frames import FrameReader, WholeMessage, encode_parts, frame_size
from rtcrpc.core.lanes import Lanes
from rtcrpc.errors import ProtocolError

messages = st.binary(min_size=1, max_size=120) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60
)


@given(st.lists(messages, min_size=1, max_size=6), st.integers(16, 40), st.data())
def test_transfers_interleaved_in_any_order(made: list[bytes | str], max_frame: int, data: Any) -> None:
    queues = []
    for number, message in enumerate(made, start=1):
        raw = message.encode() if isinstance(message, str) else message
        queues.append(list(encode_parts(number, raw, text=isinstance(message, str), max_frame=max_frame)))
    reader = FrameReader(max_frame=max_frame, max_transfers=len(made))
    whole: dict[int, Any] = {}
    begun = 0
    while any(queues):
        # Transfers begin in the order of their ids.
        open_now = [index for index, queue in enumerate(queues) if queue and index <= begun]
        index = data.draw(st.sampled_from(open_now))
        begun = max(begun, index + 1)
        if (message := reader.feed(queues[index].pop(0))) is not None:
            whole[index] = message.data
    assert [whole[index] for index in range(len(made))] == made
    assert reader.held == 0


@given(st.binary(min_size=1, max_size=60))
def test_a_message_cut_at_every_byte(message: bytes) -> None:
    for cut in range(len(message) + 1):
        reader = FrameReader()
        assert reader.feed(b"\x01\x01" + message[:cut]) is None
        assert reader.feed(b"\x02\x01" + message[cut:]) == WholeMessage(message)


@given(st.lists(st.binary(max_size=20) | st.text(max_size=10), max_size=20))
def test_any_frames_are_taken_or_refused_within_bounds(frames: list[bytes | str]) -> None:
    reader = FrameReader(max_frame=16, max_message=40, max_transfers=2)
    for frame in frames:
        try:
            whole = reader.feed(frame)
        except ProtocolError:
            return
        assert frame_size(frame) <= 16
        assert reader.held <= 80
        if whole is not None:
            assert len(whole.data) <= 40


steps = st.lists(
    st.tuples(st.sampled_from(["call", "control", "send", "withdraw", "drop"]), messages, st.integers(0, 90)),
    max_size=30,
)


@given(steps, st.integers(16, 60), st.integers(10, 60))
def test_what_goes_into_the_lanes_comes_out_once(
    schedule: list[tuple[str, bytes | str, int]], max_frame: int, coalesce: int
) -> None:
    """Each message is told by a number in front of it: envelopes that share a frame can be told apart again."""
    lanes = Lanes(max_frame=max_frame, coalesce=coalesce)
    reader = FrameReader(max_frame=max_frame)
    expected: dict[int, bytes | str] = {}
    tickets: dict[int, int] = {}
    got: list[Any] = []

    def take(budget: int) -> None:
        for frame in lanes.data_to_send(budget):
            if (whole := reader.feed(frame)) is not None:
                got.append(bytes(whole.data) if isinstance(whole.data, bytearray) else whole.data)

    for number, (step, message, budget) in enumerate(schedule):
        if step == "send":
            take(budget)
        elif step == "withdraw" and tickets:
            index, ticket = tickets.popitem()
            if lanes.withdraw(ticket):
                del expected[index]
        elif step in ("call", "control"):
            mark = f"<{number}>"
            marked = mark + message if isinstance(message, str) else mark.encode() + message
            expected[number] = marked
            if step == "call":
                tickets[number] = lanes.push_call(marked)
            else:
                lanes.push_control(marked)
    while lanes:
        take(1)
    assert lanes.queued_bytes == 0
    assert lanes.data_to_send(1 << 20) == []
    texts = sorted(item for item in got if isinstance(item, str))
    assert texts == sorted(item for item in expected.values() if isinstance(item, str))
    packed = [item for item in expected.values() if isinstance(item, bytes)]
    joined = b"".join(item for item in got if isinstance(item, bytes))
    assert len(joined) == sum(map(len, packed))
    assert all(item in joined for item in packed)

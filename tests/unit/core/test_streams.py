"""Streams between two sessions: order, credit, ends, races, and what breaks the protocol."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from support.sessions import Party, pump, ready_pair

from rtcrpc import codes, limits
from rtcrpc.core import events
from rtcrpc.core.session import SessionConfig
from rtcrpc.core.values import StreamRef
from rtcrpc.errors import ConnectionLost, EncodeError, RemoteApplicationError, ResourceExhausted, TooLarge

BOTH = pytest.mark.parametrize("encodings", [("msgpack", "json"), ("json",)], ids=["msgpack", "json"])
SMALL = SessionConfig(stream_window=1000)


def open_one(owner: Party, reader: Party) -> int:
    """A stream in a notification, which has arrived."""
    stream = owner.session.open_stream()
    owner.session.send_notification("take", [StreamRef(stream)])
    pump(owner, reader)
    assert reader.one(events.StreamsOpened).streams == (stream,)
    reader.happened.clear()
    return stream


def items_of(party: Party, stream: int) -> list[Any]:
    return [item for event in party.all(events.StreamItems) if event.stream == stream for item in event.items]


def inject(party: Party, method: str, params: Any) -> None:
    """A notification, as MessagePack, that the other side did not send."""
    party.receive(b"\x00" + msgpack.packb([3, method, params]))


@BOTH
def test_items_come_in_order_and_the_end_after_them(encodings: tuple[str, ...]) -> None:
    a, b = ready_pair(config=SessionConfig(encodings=encodings))
    stream = open_one(a, b)
    values = [1, "two", 3.5, None, [4], {"five": 5}, 2**70, b"six", {"$stream": "no"}]
    a.session.send_items(stream, values[:5])
    a.session.send_items(stream, values[5:])
    a.session.end_stream(stream)
    pump(a, b)
    assert items_of(b, stream) == values
    assert b.happened[-1] == events.StreamEnded(stream, None)
    assert a.session.queued_bytes_of(stream) == 0


@BOTH
def test_both_sides_count_the_same_cost(encodings: tuple[str, ...]) -> None:
    config = SessionConfig(encodings=encodings, stream_window=600)
    a, b = ready_pair(config=config)
    stream = open_one(a, b)
    words = ["é" * 40 + str(number) for number in range(100)]
    a.session.send_items(stream, words)
    a.session.send_notification("small", [])  # shares a frame with items
    for _ in range(200):
        pump(a, b)
        for event in b.all(events.StreamItems):
            b.session.credit_stream(stream, event.size)
        b.happened = [event for event in b.happened if not isinstance(event, events.StreamItems)] + [
            events.StreamItems(stream, event.items, 0) for event in b.all(events.StreamItems)
        ]
        if len(items_of(b, stream)) == len(words):
            break
    assert items_of(b, stream) == words
    assert a.closed is b.closed is None


def test_a_slow_reader_holds_the_writer() -> None:
    a, b = ready_pair(config=SMALL)
    stream = open_one(a, b)
    a.session.send_items(stream, [bytes(100) for _ in range(1000)])
    pump(a, b)
    held = sum(event.size for event in b.all(events.StreamItems))
    assert 1000 <= held <= 2000  # a window and a message
    assert not a.session.has_data_to_send
    assert not a.all(events.StreamWritable)
    assert a.session.queued_bytes_of(stream) > 90_000
    for _ in range(200):
        for event in b.all(events.StreamItems):
            b.session.credit_stream(stream, event.size)
        b.happened.clear()
        pump(a, b)
    a.one(events.StreamWritable)


def test_an_item_of_any_size_passes_and_what_is_small_passes_it() -> None:
    a, b = ready_pair(config=SMALL)
    stream = open_one(a, b)
    big = bytes(range(256)) * 400
    a.session.send_items(stream, [1, big, 2])
    a.session.end_stream(stream)
    first = a.take(budget=20_000)
    a.session.send_notification("small", [])
    b.receive(*first, *a.take())
    names = [type(event).__name__ for event in b.happened]
    assert names.index("Notification") < len(names) - 1
    assert items_of(b, stream) == [1, big]
    for event in b.all(events.StreamItems):
        b.session.credit_stream(stream, event.size)
    pump(a, b)
    assert items_of(b, stream) == [1, big, 2]
    assert b.happened[-1] == events.StreamEnded(stream, None)


def test_nothing_of_a_stream_leaves_before_the_value_that_holds_it() -> None:
    a, b = ready_pair()
    stream = a.session.open_stream()
    a.session.send_request("f", [StreamRef(stream), bytes(100_000)], now=0)
    a.session.send_items(stream, [1, 2])
    a.session.end_stream(stream)
    pump(a, b)
    kinds = [type(event) for event in b.happened]
    assert kinds == [events.StreamsOpened, events.RequestReceived, events.StreamItems, events.StreamEnded]


def test_streams_in_results_and_in_items() -> None:
    a, b = ready_pair()
    a.session.send_request("f", [], now=0)
    pump(a, b)
    outer = b.session.open_stream()
    b.session.send_response(1, {"deep": [[StreamRef(outer)]]})
    inner = b.session.open_stream()
    b.session.send_items(outer, [0, {"inner": StreamRef(inner)}])
    b.session.send_items(inner, ["x"])
    b.session.end_stream(outer)
    b.session.end_stream(inner)
    pump(a, b)
    kinds = [type(event).__name__ for event in a.happened]
    assert kinds[:2] == ["StreamsOpened", "Response"]
    assert items_of(a, outer) == [0, {"inner": StreamRef(inner)}]
    assert items_of(a, inner) == ["x"]
    opened = [event.streams for event in a.all(events.StreamsOpened)]
    assert opened == [(outer,), (inner,)]
    assert [event.stream for event in a.all(events.StreamEnded)] in ([outer, inner], [inner, outer])


def test_a_stream_is_sent_once_and_must_be_open() -> None:
    a, _ = ready_pair()
    stream = a.session.open_stream()
    with pytest.raises(EncodeError, match="sent once"):
        a.session.send_request("f", [StreamRef(stream), StreamRef(stream)], now=0)
    with pytest.raises(EncodeError, match="sent once"):
        a.session.send_request("f", [StreamRef(stream + 1)], now=0)
    other = a.session.open_stream()
    a.session.send_request("f", [StreamRef(stream)], now=0)
    with pytest.raises(EncodeError, match="sent once"):
        a.session.send_request("f", [StreamRef(stream), StreamRef(other)], now=0)


def test_a_peer_without_the_feature_is_sent_none() -> None:
    plain = SessionConfig(features=frozenset({"cancel"}))
    a, b = ready_pair(config=plain)
    with pytest.raises(EncodeError, match="did not announce the feature `streams`"):
        a.session.open_stream()
    a.receive(b"\x00" + msgpack.packb([3, "f", [msgpack.ExtType(3, b"\x01")]]))
    assert a.closed is not None
    assert a.closed.code == codes.INVALID_REQUEST
    assert not b.closed


def test_a_stopped_reader_ends_the_writer_and_late_items_are_ignored() -> None:
    a, b = ready_pair(config=SMALL)
    stream = open_one(a, b)
    a.session.send_items(stream, [bytes(100)] * 1000)
    under_way = a.take()
    b.session.stop_stream(stream)
    a.receive(*b.take())
    assert a.one(events.StreamStopped) == events.StreamStopped(stream)
    assert a.session.queued_bytes_of(stream) == 0
    b.receive(*under_way)
    assert not b.happened
    a.session.send_items(stream, [1])
    a.session.end_stream(stream)
    assert not a.session.has_data_to_send
    b.session.credit_stream(stream, 10)
    b.session.stop_stream(stream)
    assert not b.session.has_data_to_send
    inject(a, "rpc.credit", {"stream": stream, "bytes": 5})
    inject(a, "rpc.stop", {"stream": stream})
    inject(b, "rpc.end", {"stream": stream})
    assert a.closed is b.closed is None


def test_an_error_reaches_the_reader_after_the_items_before_it() -> None:
    a, b = ready_pair(config=SMALL)
    stream = open_one(a, b)
    a.session.send_items(stream, [bytes(1500), 2])
    a.session.end_stream(stream, (codes.APPLICATION_ERROR, "no paint", {"detail": {"left": 0}}))
    pump(a, b)
    assert not b.all(events.StreamEnded)
    b.session.credit_stream(stream, b.one(events.StreamItems).size)
    pump(a, b)
    assert items_of(b, stream) == [bytes(1500), 2]
    error = b.one(events.StreamEnded).error
    assert isinstance(error, RemoteApplicationError)
    assert (error.message, error.detail) == ("no paint", {"left": 0})


def test_an_error_that_can_not_travel_still_ends_the_stream() -> None:
    a, b = ready_pair()
    stream = open_one(a, b)
    a.session.end_stream(stream, (codes.APPLICATION_ERROR, "x", {"detail": object()}))
    pump(a, b)
    error = b.one(events.StreamEnded).error
    assert error is not None
    assert error.code == codes.APPLICATION_ERROR


@BOTH
def test_an_item_that_can_not_travel_spoils_no_other(encodings: tuple[str, ...]) -> None:
    a, b = ready_pair(config=SessionConfig(encodings=encodings))
    stream = open_one(a, b)
    with pytest.raises(EncodeError, match="object"):
        a.session.send_items(stream, [1, 2, object(), 4])
    pump(a, b)
    assert items_of(b, stream) == [1, 2]


def test_an_item_must_fit_a_message_and_its_depth_counts_from_the_params() -> None:
    a, b = ready_pair(config=SessionConfig(max_message=100_000))
    stream = open_one(a, b)
    with pytest.raises(TooLarge, match="takes at most 100000"):
        a.session.send_items(stream, [bytes(100_000)])
    deep: Any = 1
    for _ in range(limits.MAX_DEPTH - 2):
        deep = [deep]
    a.session.send_items(stream, [deep])
    with pytest.raises(EncodeError, match="levels"):
        a.session.send_items(stream, [[deep]])
    pump(a, b)
    assert items_of(b, stream) == [deep]


def test_streams_take_turns_and_calls_wait_for_few_of_them() -> None:
    a, b = ready_pair()
    one, two = a.session.open_stream(), a.session.open_stream()
    a.session.send_notification("take", [StreamRef(one), StreamRef(two)])
    pump(a, b)
    for stream in (one, two):
        a.session.send_items(stream, [bytes(1000)] * 200)
    a.session.data_to_send(1)
    a.session.send_notification("call", [])
    b.receive(*a.take(40_000))
    before_call = b.happened[: [getattr(event, "method", "") for event in b.happened].index("call")]
    assert sum(event.size for event in before_call if isinstance(event, events.StreamItems)) < 40_000
    assert {event.stream for event in b.all(events.StreamItems)} == {one, two}


def test_a_call_that_never_left_ends_its_streams() -> None:
    a, b = ready_pair(config=SessionConfig(max_in_flight=1))
    a.session.send_request("first", [], now=0)
    stream = a.session.open_stream()
    waiting = a.session.send_request("second", [StreamRef(stream)], now=0)
    a.session.send_items(stream, [1])
    a.session.send_cancel(waiting)
    pump(a, b)
    assert a.one(events.StreamStopped).stream == stream
    stream = a.session.open_stream()
    a.session.send_request("third", [StreamRef(stream)], timeout=1, now=0)
    a.tick(2)
    assert isinstance(a.one(events.CallFailed).error, Exception)
    assert a.all(events.StreamStopped)[-1].stream == stream
    assert not b.all(events.StreamsOpened)


def test_a_stream_of_a_waiting_call_starts_with_it() -> None:
    a, b = ready_pair(config=SessionConfig(max_in_flight=1))
    first = a.session.send_request("first", [], now=0)
    stream = a.session.open_stream()
    a.session.send_request("second", [StreamRef(stream)], now=0)
    a.session.send_items(stream, [1])
    pump(a, b)
    assert not b.all(events.StreamItems)
    b.session.send_response(first, None)
    pump(a, b)
    assert items_of(b, stream) == [1]


def test_what_is_not_taken_is_stopped() -> None:
    a, b = ready_pair()
    request = a.session.send_request("f", [], now=0)
    pump(a, b)
    a.session.send_cancel(request)
    stream = b.session.open_stream()
    b.session.send_response(request, [StreamRef(stream)])  # crosses the cancel
    pump(a, b)
    assert b.one(events.StreamStopped).stream == stream
    assert not a.all(events.StreamsOpened)
    stream = a.session.open_stream()
    a.session.send_request("rpc.unknown", [StreamRef(stream)], now=0)
    pump(a, b)
    assert a.one(events.StreamStopped).stream == stream
    assert a.one(events.ErrorReceived).error.code == codes.METHOD_NOT_FOUND


def test_the_most_streams_and_one_more() -> None:
    most = limits.MAX_STREAMS
    a, b = ready_pair()
    streams = [a.session.open_stream() for _ in range(most)]
    with pytest.raises(ResourceExhausted, match=f"at most {most}") as raised:
        a.session.open_stream()
    assert raised.value.ran is False
    a.session.send_notification("take", [StreamRef(stream) for stream in streams])
    pump(a, b)
    assert len(b.one(events.StreamsOpened).streams) == most
    a.session.end_stream(streams[0])
    pump(a, b)
    a.session.open_stream()


def test_a_peer_that_opens_one_too_many_is_refused() -> None:
    most = limits.MAX_STREAMS
    a, b = ready_pair(config=SessionConfig(max_in_flight=4))
    refs = [msgpack.ExtType(3, bytes([number])) for number in range(1, most + 2)]
    a.receive(b"\x00" + msgpack.packb([0, 1, "f", refs[:most]]))
    a.one(events.RequestReceived)
    a.receive(b"\x00" + msgpack.packb([0, 2, "f", refs[most:]]))
    assert len(a.all(events.RequestReceived)) == 1
    said = [envelope for frame in a.take() for envelope in decoded(frame)]
    assert [3, "rpc.stop", {"stream": most + 1}] in said
    (refusal,) = [envelope for envelope in said if envelope[0] == 2]
    assert (refusal[1], refusal[2]["code"], refusal[2]["data"]) == (2, codes.RESOURCE_EXHAUSTED, {"ran": False})
    assert a.closed is None
    a.receive(b"\x00" + msgpack.packb([0, 3, "f", [msgpack.ExtType(3, bytes([n])) for n in range(1, 128)]]))
    assert a.closed is not None
    assert a.closed.code == codes.RESOURCE_EXHAUSTED
    assert not b.happened


def decoded(frame: Any) -> list[Any]:
    unpacker = msgpack.Unpacker()
    unpacker.feed(frame[1:])
    return list(unpacker)


def test_a_result_with_too_many_streams_fails_the_call() -> None:
    a, _ = ready_pair(config=SessionConfig(max_streams=1))
    request = a.session.send_request("f", [], now=0)
    a.take()
    a.receive(b"\x00" + msgpack.packb([3, "n", [msgpack.ExtType(3, b"\x01")]]))
    a.receive(b"\x00" + msgpack.packb([1, request, msgpack.ExtType(3, b"\x02")]))
    assert a.one(events.CallFailed).error.code == codes.RESOURCE_EXHAUSTED
    assert a.closed is None


def test_an_owner_that_sends_without_credit_is_cut_off() -> None:
    a, b = ready_pair(config=SMALL)
    stream = open_one(a, b)
    inject(b, "rpc.next", {"stream": stream, "items": [bytes(1000)]})
    assert b.closed is None
    inject(b, "rpc.next", {"stream": stream, "items": [1]})
    assert b.closed is not None
    assert b.closed.code == codes.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("rpc.next", {"stream": 1, "items": []}),
        ("rpc.next", {"stream": 1}),
        ("rpc.next", {"stream": 0, "items": [1]}),
        ("rpc.next", {"stream": "1", "items": [1]}),
        ("rpc.next", [1, [1]]),
        ("rpc.end", {}),
        ("rpc.end", {"stream": 1, "error": "no"}),
        ("rpc.end", {"stream": 1, "error": {"code": "x", "message": ""}}),
        ("rpc.credit", {"stream": 1}),
        ("rpc.credit", {"stream": 1, "bytes": 0}),
        ("rpc.credit", {"stream": 1, "bytes": 2**53}),
        ("rpc.credit", {"stream": 1, "bytes": 1.5}),
        ("rpc.stop", {"stream": -1}),
        ("rpc.progress", {"id": 1, "done": "half"}),
        ("rpc.progress", {"id": 1, "done": True}),
        ("rpc.progress", {"id": 1, "done": 1, "total": "2"}),
        ("rpc.progress", {"id": 1, "done": 1, "message": 2}),
    ],
)
def test_messages_that_are_none(method: str, params: Any) -> None:
    _, b = ready_pair()
    inject(b, method, params)
    assert b.closed is not None
    assert b.closed.code == codes.INVALID_REQUEST


def test_credit_beyond_what_can_be_counted() -> None:
    a, b = ready_pair()
    stream = open_one(a, b)
    inject(a, "rpc.credit", {"stream": stream, "bytes": 2**53 - 1 - limits.STREAM_WINDOW})
    assert a.closed is None
    inject(a, "rpc.credit", {"stream": stream, "bytes": 1})
    assert a.closed is not None
    assert a.closed.code == codes.INVALID_REQUEST


def test_an_open_id_does_not_come_again() -> None:
    a, b = ready_pair()
    stream = open_one(a, b)
    b.receive(b"\x00" + msgpack.packb([3, "f", [msgpack.ExtType(3, bytes([stream]))]]))
    assert b.closed is not None
    assert b.closed.code == codes.INVALID_REQUEST


def test_items_do_not_come_in_a_batch() -> None:
    _, b = ready_pair(config=SessionConfig(encodings=("json",)))
    b.receive(json.dumps([{"jsonrpc": "2.0", "method": "rpc.next", "params": {"stream": 1, "items": [1]}}]))
    assert b.closed is not None
    assert b.closed.code == codes.INVALID_REQUEST


def test_what_can_not_be_read_may_have_been_items() -> None:
    a, b = ready_pair(config=SessionConfig(encodings=("json",)))
    b.receive("{")
    assert b.closed is None
    open_one(a, b)
    b.receive("{")
    assert b.closed is not None
    assert b.closed.code == codes.PARSE_ERROR


def test_the_end_of_the_session_is_the_end_of_its_streams() -> None:
    a, b = ready_pair()
    stream = open_one(a, b)
    a.session.send_items(stream, [1])
    b.session.receive_eof(0, "cable")
    a.session.receive_eof(0, "cable")
    a.settle()
    b.settle()
    assert isinstance(b.one(events.StreamEnded).error, ConnectionLost)
    assert isinstance(b.happened[-1], events.SessionClosed)
    assert a.one(events.StreamStopped).stream == stream


def test_items_in_parts_and_many_to_a_frame_cost_what_they_cost() -> None:
    a, b = ready_pair(config=SessionConfig(max_frame=1024, stream_window=300))
    one, two = a.session.open_stream(), a.session.open_stream()
    a.session.send_notification("take", [StreamRef(one), StreamRef(two)])
    for number in range(20):
        a.session.send_items(one, [number])
        a.session.send_items(two, ["x" * number * 100])
    for _ in range(100):
        pump(a, b)
        fresh = [event for event in b.all(events.StreamItems) if event.size]
        for event in fresh:
            b.session.credit_stream(event.stream, event.size)
        b.happened = [
            events.StreamItems(e.stream, e.items, 0) if isinstance(e, events.StreamItems) else e for e in b.happened
        ]
    assert items_of(b, one) == list(range(20))
    assert items_of(b, two) == ["x" * number * 100 for number in range(20)]
    assert b.closed is None


# -- progress --------------------------------------------------------------------------------------------


@BOTH
def test_progress_reaches_the_caller_before_the_answer(encodings: tuple[str, ...]) -> None:
    a, b = ready_pair(config=SessionConfig(encodings=encodings))
    request = a.session.send_request("f", [], now=0)
    pump(a, b)
    b.session.send_progress(request, 1)
    b.session.send_progress(request, 2.5, 4, "half")
    b.session.send_response(request, "done")
    b.session.send_progress(request, 3)  # too late
    pump(a, b)
    assert a.happened == [
        events.ProgressReceived(request, 1, None, None),
        events.ProgressReceived(request, 2.5, 4, "half"),
        events.ResponseReceived(request, "done"),
    ]


def test_progress_of_what_nobody_waits_for_is_ignored() -> None:
    a, b = ready_pair()
    inject(a, "rpc.progress", {"id": 77, "done": 1})
    inject(a, "rpc.progress", {"id": "x", "done": 1})
    assert not a.happened
    request = a.session.send_request("f", [], now=0)
    pump(a, b)
    b.session.send_progress(request + 1, 1)
    assert not b.session.has_data_to_send


def test_a_caller_without_the_feature_is_told_nothing() -> None:
    a, b = ready_pair(config=SessionConfig(features=frozenset({"cancel"})))
    request = a.session.send_request("f", [], now=0)
    pump(a, b)
    b.session.send_progress(request, 1)
    assert not b.session.has_data_to_send

"""A long message and a stream without end take turns (protocol section 7.2)."""

from __future__ import annotations

from support.sessions import ready_pair

from rtcrpc.core import events
from rtcrpc.core.values import StreamRef


def test_an_endless_stream_does_not_hold_up_a_long_message() -> None:
    a, b = ready_pair()
    stream = a.session.open_stream()
    a.session.send_notification("here", [StreamRef(stream)])
    b.receive(*a.take())
    a.session.send_items(stream, [bytes(1000)] * 200)
    a.session.send_request("long", [bytes(200_000)], now=0.0)
    sent = 0
    for _ in range(200):
        frames = a.take(16_384)
        sent += sum(map(len, frames))
        b.receive(*frames)
        for items in b.all(events.StreamItems):
            b.session.credit_stream(items.stream, items.size)
        b.happened[:] = b.all(events.RequestReceived)
        if b.happened:
            break
        a.session.send_items(stream, [bytes(1000)] * 20)
        a.receive(*b.take())
    assert [request.method for request in b.all(events.RequestReceived)] == ["long"]
    assert sent < 1_000_000, "about as much of the one as of the other went out"

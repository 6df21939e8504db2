"""When the association acknowledges, and what it does when packets pile up on their way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiortc.rtcsctptransport import Chunk, DataChunk, SackChunk, parse_packet

from rtcrpc.transport.recorder import connect
from rtcrpc.transport.webrtc import WebRtcTransport, loopback_addresses
from rtcrpc.transport.webrtc.guard import association
from rtcrpc.transport.webrtc.guard.association import GuardedAssociation


class Pair:
    """Two connected peers, and the packets that one of them sends."""

    def __init__(self, ours: Any, theirs: Any) -> None:
        self.ours, self.theirs = ours, theirs
        self.association: GuardedAssociation = theirs.connection._stack.sctp
        self.sent: list[list[Chunk]] = []
        self.has_sent = asyncio.Event()
        send = self.association.transport._send_data

        async def record(data: bytes) -> None:
            self.sent.append(parse_packet(data)[3])
            self.has_sent.set()
            await send(data)

        self.association.transport._send_data = record  # type: ignore[method-assign]

    def kinds(self) -> list[list[type]]:
        return [[type(chunk) for chunk in packet] for packet in self.sent]

    async def close(self) -> None:
        await self.ours.connection.close(drain=5)
        await self.theirs.connection.close(drain=5)


@pytest.fixture
async def pair() -> Any:
    transport = WebRtcTransport(host_addresses=loopback_addresses)
    async with asyncio.timeout(15):
        made = Pair(*await connect(transport, transport))
        yield made
        await made.close()


async def test_an_answer_carries_the_acknowledgement(pair: Pair) -> None:
    pair.ours.connection.send(b"question")
    await pair.theirs.events.received(1)
    pair.theirs.connection.send(b"answer")
    await pair.ours.events.received(1)
    assert pair.kinds() == [[SackChunk, DataChunk]]


async def test_without_an_answer_it_comes_in_time(pair: Pair) -> None:
    pair.ours.connection.send(b"question")
    await pair.theirs.events.received(1)
    await pair.has_sent.wait()
    assert pair.kinds() == [[SackChunk]]


async def test_every_second_packet_is_acknowledged_at_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "ACK_SECONDS", 3600.0)
    for _ in range(4):
        pair.ours.connection.send(b"x")
    await pair.theirs.events.received(4)
    assert pair.kinds() == [[SackChunk], [SackChunk]]


async def test_less_is_sent_while_round_trips_grow(pair: Pair) -> None:
    ours: Any = pair.ours.connection._stack.sctp
    ours._flight_size = ours._cwnd = 1 << 20
    ours._srtt = 0.001
    ours._hold_back()
    assert ours._cwnd == 1 << 20
    ours._srtt = 0.02
    ours._hold_back()
    ours._hold_back()  # once in a round trip
    assert ours._cwnd == 3 << 18
    for _ in range(50):
        ours._held_back_until = 0.0
        ours._hold_back()
    assert ours._cwnd == association.MIN_WINDOW
    ours._flight_size = 0

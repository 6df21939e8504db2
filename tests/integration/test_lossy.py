"""The lossy lane over real DataChannels: between two peers, with packets lost on the way, and with plain aiortc."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

import rtcrpc
from rtcrpc import Registry, errors, limits
from rtcrpc.cli.serving import Plan, serving
from rtcrpc.transport.base import (
    CHANNEL_ID,
    CHANNEL_LABEL,
    CHANNEL_PROTOCOL,
    LOSSY_ID,
    LOSSY_LABEL,
    LOSSY_PROTOCOL,
)
from rtcrpc.transport.recorder import EventRecorder, connect
from rtcrpc.transport.webrtc import WebRtcTransport, default_host_addresses, loopback_addresses

BOUND = 15.0


async def test_between_two_peers() -> None:
    poses: asyncio.Queue[tuple[float, float]] = asyncio.Queue()
    reliable: list[int] = []
    registry = Registry()

    @registry.expose(reliable=False)
    async def pose(x: float, y: float = 0.0) -> None:
        poses.put_nowait((x, y))

    @registry.expose
    async def note(x: int) -> int:
        reliable.append(x)
        return x

    plan = Plan("robot", registry, with_page=False, open_to_room=True)
    async with serving(plan) as served, rtcrpc.join(served.link) as room, asyncio.timeout(BOUND):
        robot = await room.peer("robot")
        lossy = robot.notify.with_(reliable=False)
        seen: list[tuple[float, float]] = []
        for number in range(1, 51):
            await lossy.pose(number / 4, 1.0)
            if number % 10 == 0:
                seen.append(await poses.get())  # on loopback nothing is lost, but what waits is replaced
        while seen[-1] != (12.5, 1.0):
            seen.append(await poses.get())
        assert seen == sorted(set(seen))
        # Asked for an answer, or told reliably, it is a function like any other.
        assert await robot.call.pose(100.0) is None
        await robot.notify.pose(101.0)
        assert [await poses.get(), await poses.get()] == [(100.0, 0.0), (101.0, 0.0)]
        # One that was not exposed for it is not run.
        await lossy.note(1)
        await lossy.unknown(1)
        assert await robot.call.note(2) == 2
        assert reliable == [2]
        with pytest.raises(errors.TooLarge, match=str(limits.LOSSY_FRAME)):
            await lossy.pose(bytes(limits.LOSSY_FRAME))
        with pytest.raises(errors.EncodeError):
            await lossy.pose(ticks())
        methods = {method["name"]: method for method in (await robot.discover())["methods"]}
        assert methods["pose"]["x-reliable"] is False
        assert "x-reliable" not in methods["note"]
        link: Any = robot._link
        assert "lossy" in link.remote.features


async def ticks() -> Any:
    yield 1


class Leaky:
    """The DTLS transport of a connection, which loses packets; the rest of the stack is as it is."""

    def __init__(self, connection: Any, seed: int, loss: float) -> None:
        self.lost = 0
        self._chance = random.Random(seed)
        self._loss = loss
        dtls = connection._stack.dtls
        self._send = dtls._send_data
        dtls._send_data = self.send

    async def send(self, data: bytes) -> None:
        if self._chance.random() < self._loss:
            self.lost += 1
        else:
            await self._send(data)


@pytest.mark.parametrize("size", [20, limits.LOSSY_FRAME])
async def test_what_is_lost_is_skipped_and_the_reliable_channel_loses_nothing(size: int) -> None:
    transport = WebRtcTransport(host_addresses=loopback_addresses)
    async with asyncio.timeout(BOUND):
        ours, theirs = await connect(transport, transport)
        leaks = [Leaky(end.connection, seed, 0.1) for seed, end in enumerate((ours, theirs))]
        sent = [number.to_bytes(2, "big") * (size // 2) for number in range(300)]
        for number, frame in enumerate(sent):
            ours.connection.send_lossy(frame)
            if number % 10 == 0:
                ours.connection.send(f"reliable {number}" * 100)
                theirs.connection.send("back")
            await asyncio.sleep(0.002)
        assert await theirs.events.received(30) == [f"reliable {number}" * 100 for number in range(0, 300, 10)]
        assert await ours.events.received(30) == ["back"] * 30
        arrived = theirs.events.lossy
        assert set(arrived) <= set(sent)
        assert len(arrived) == len(set(arrived))
        assert 200 < len(arrived) < 300
        assert min(leak.lost for leak in leaks) > 0
        for leak in leaks:
            leak._loss = 0.0
        await ours.connection.close(drain=5)
        await theirs.events.closed.wait()
        assert theirs.events.end is not None
        assert theirs.events.end[1], "everything was skipped or came: the channel could be closed cleanly"
        await theirs.connection.close(drain=None)


@pytest.mark.parametrize("theirs_too", [True, False])
async def test_with_plain_aiortc(theirs_too: bool) -> None:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    inbox: asyncio.Queue[tuple[str, bytes | str]] = asyncio.Queue()
    channel = pc.createDataChannel(CHANNEL_LABEL, negotiated=True, id=CHANNEL_ID, protocol=CHANNEL_PROTOCOL)
    channel.on("message", lambda data: inbox.put_nowait(("reliable", data)))
    lossy = None
    if theirs_too:
        options: dict[str, Any] = {"ordered": False, "maxRetransmits": 0, "protocol": LOSSY_PROTOCOL}
        lossy = pc.createDataChannel(LOSSY_LABEL, negotiated=True, id=LOSSY_ID, **options)
        lossy.on("message", lambda data: inbox.put_nowait(("lossy", data)))
    events = EventRecorder()
    every = list(dict.fromkeys([*default_host_addresses(), *loopback_addresses()]))
    connection = WebRtcTransport(host_addresses=lambda: every).create(events, ())
    try:
        async with asyncio.timeout(BOUND):
            await pc.setLocalDescription(await pc.createOffer())
            answer = await connection.accept_offer(pc.localDescription.sdp)
            await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            await events.opened.wait()
            lossy_closed = asyncio.Event()
            stack: Any = connection
            stack._stack.lossy_channel.on("close", lossy_closed.set)
            if not theirs_too:
                lossy_closed.set()
            connection.send_lossy(b"pose")
            connection.send("fine")
            if lossy is not None:
                # Each hands over what it has when it comes, so one may overtake the other.
                assert sorted([await inbox.get(), await inbox.get()]) == [("lossy", b"pose"), ("reliable", "fine")]
                lossy.send(b"back")
                await events.lossy_arrived.wait()
                assert events.lossy == [b"back"]
                lossy.send("text, which has no place there")
                # Their end closes the lossy channel alone: nothing else is concerned.
                lossy.close()
            else:
                assert await inbox.get() == ("reliable", "fine"), "what goes to no channel is dropped there"
            channel.send("still here")
            assert await events.received(1) == ["still here"]
            connection.send("so are we")
            assert await inbox.get() == ("reliable", "so are we")
            assert len(events.lossy) == (1 if theirs_too else 0)
            await lossy_closed.wait()
            connection.send_lossy(b"nowhere to go")
            channel.close()
            await events.closed.wait()
            assert events.end is not None
            assert events.end[1]
    finally:
        await connection.close(drain=None)
        await pc.close()

"""The WebRTC transport beside plain aiortc, STUN servers, and machines with few addresses."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aioice import stun
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from rtcrpc.transport.base import (
    CHANNEL_ID,
    CHANNEL_LABEL,
    CHANNEL_PROTOCOL,
    CLOSED_THERE,
    Broken,
    Candidate,
    IceServer,
)
from rtcrpc.transport.recorder import EventRecorder, connect, make_ends
from rtcrpc.transport.webrtc import WebRtcTransport, default_host_addresses, loopback_addresses
from rtcrpc.transport.webrtc.guard import ice


def transport(**options: Any) -> WebRtcTransport:
    return WebRtcTransport(**{"host_addresses": loopback_addresses, **options})


@pytest.fixture
async def plain() -> AsyncIterator[RTCPeerConnection]:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    yield pc
    await pc.close()


class Plain:
    """The other side as somebody else's program would write it."""

    def __init__(self, pc: RTCPeerConnection) -> None:
        self.messages: asyncio.Queue[bytes | str] = asyncio.Queue()
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()
        self.channel = pc.createDataChannel(CHANNEL_LABEL, negotiated=True, id=CHANNEL_ID, protocol=CHANNEL_PROTOCOL)
        self.channel.on("open", self.opened.set)
        self.channel.on("close", self.closed.set)
        self.channel.on("message", self.messages.put_nowait)


@pytest.mark.parametrize("dialer", ["ours", "theirs"])
async def test_with_plain_aiortc(plain: RTCPeerConnection, dialer: str) -> None:
    theirs = Plain(plain)
    events = EventRecorder()
    # Plain aiortc has no loopback candidates, so ours needs the machine's addresses too.
    connection = WebRtcTransport(host_addresses=every_address).create(events, ())
    async with asyncio.timeout(15):
        if dialer == "ours":
            offer = await connection.create_offer()
            await plain.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await plain.setLocalDescription(await plain.createAnswer())
            await connection.accept_answer(plain.localDescription.sdp)
        else:
            await plain.setLocalDescription(await plain.createOffer())
            answer = await connection.accept_offer(plain.localDescription.sdp)
            await plain.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await asyncio.gather(events.opened.wait(), theirs.opened.wait())
        for size in (0, 1, 16384, 200_000):
            connection.send(bytes(size))
            assert await theirs.messages.get() == bytes(size)
            theirs.channel.send("é" * (size // 2))
        assert [len(m) for m in await events.received(4)] == [0, 0, 8192, 100_000]
        for number in range(200):
            theirs.channel.send(f"last {number}")
        theirs.channel.close()
        await events.closed.wait()
        assert events.messages[-200:] == [f"last {n}" for n in range(200)]
        assert events.end == (CLOSED_THERE, True)
        await connection.close(drain=None)


def every_address() -> list[str]:
    return list(dict.fromkeys([*default_host_addresses(), *loopback_addresses()]))


async def test_plain_aiortc_that_goes_without_a_word(plain: RTCPeerConnection) -> None:
    theirs = Plain(plain)
    events = EventRecorder()
    connection = WebRtcTransport(host_addresses=every_address).create(events, ())
    async with asyncio.timeout(15):
        await plain.setLocalDescription(await plain.createOffer())
        answer = await connection.accept_offer(plain.localDescription.sdp)
        await plain.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await asyncio.gather(events.opened.wait(), theirs.opened.wait())
        await plain.close()
        await events.closed.wait()
        assert events.end == (CLOSED_THERE, False)
        await connection.close(drain=None)


async def test_a_second_channel_ends_the_connection(plain: RTCPeerConnection) -> None:
    theirs = Plain(plain)
    events = EventRecorder()
    connection = WebRtcTransport(host_addresses=every_address).create(events, ())
    async with asyncio.timeout(15):
        await plain.setLocalDescription(await plain.createOffer())
        answer = await connection.accept_offer(plain.localDescription.sdp)
        await plain.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await asyncio.gather(events.opened.wait(), theirs.opened.wait())
        plain.createDataChannel("another")
        await events.closed.wait()
        assert events.end is not None
        assert events.end[0].startswith(Broken.VIOLATION)
        await connection.close(drain=None)


async def test_a_machine_with_loopback_alone_has_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [])
    assert default_host_addresses() == loopback_addresses()
    async with asyncio.timeout(15):
        ours, theirs = await connect(WebRtcTransport(), WebRtcTransport())
        path = await ours.connection.path()
        assert path is not None
        assert path.local_type == "host"
        await ours.connection.close(drain=5)
        await theirs.connection.close(drain=5)


async def test_the_machine_as_it_is() -> None:
    async with asyncio.timeout(15):
        ours, theirs = await connect(WebRtcTransport(), WebRtcTransport())
        ours.connection.send("x")
        assert await theirs.events.received(1) == ["x"]
        await ours.connection.close(drain=5)
        await theirs.connection.close(drain=5)


async def test_an_address_that_cannot_be_bound_is_left_out() -> None:
    async with asyncio.timeout(15):
        odd = transport(host_addresses=lambda: ["203.0.113.77", "127.0.0.1"])
        ours, theirs = await connect(odd, transport())
        await ours.connection.close(drain=5)
        await theirs.connection.close(drain=5)


async def test_one_certificate_for_the_process() -> None:
    ours, theirs = make_ends(transport(), transport())
    assert ours.connection.local_fingerprint == theirs.connection.local_fingerprint
    await ours.connection.close(drain=None)
    await theirs.connection.close(drain=None)


async def test_trickled_candidates_alone_are_enough() -> None:
    async with asyncio.timeout(15):
        ours, theirs = make_ends(transport(), transport())
        offer = await ours.connection.create_offer()
        bare = "".join(line for line in offer.splitlines(keepends=True) if "candidate" not in line)
        answer = await theirs.connection.accept_offer(bare)
        bare_answer = "".join(line for line in answer.splitlines(keepends=True) if "candidate" not in line)
        await ours.connection.accept_answer(bare_answer + "a=end-of-candidates\r\n")
        for line in offer.splitlines():
            if line.startswith("a=candidate"):
                await theirs.connection.add_candidate(Candidate(line.removeprefix("a=")))
        await asyncio.gather(ours.events.opened.wait(), theirs.events.opened.wait())
        await ours.connection.close(drain=5)
        await theirs.connection.close(drain=5)


class StunServer(asyncio.DatagramProtocol):
    """Answers binding requests (RFC 8489) as if the asker came from another address."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        request = stun.parse_message(data)
        response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
        response.attributes["XOR-MAPPED-ADDRESS"] = ("203.0.113.5", 40000)
        response.add_fingerprint()
        self.transport.sendto(bytes(response), addr)


async def test_what_a_stun_server_says_comes_apart_or_in_the_description() -> None:
    loop = asyncio.get_running_loop()
    server, _ = await loop.create_datagram_endpoint(StunServer, local_addr=("127.0.0.1", 0))
    servers = [IceServer((f"stun:127.0.0.1:{server.get_extra_info('sockname')[1]}",))]
    async with asyncio.timeout(15):
        for trickle in (True, False):
            events = EventRecorder()
            connection = transport(trickle=trickle).create(events, servers)
            offer = await connection.create_offer()
            await events.gathered.wait()
            told = [c.candidate for c in events.candidates if c is not None]
            assert ("203.0.113.5 40000 typ srflx" in offer) is not trickle
            assert any("typ srflx" in c for c in told) is trickle
            assert events.candidates.count(None) == 1
            await connection.close(drain=None)
    server.close()


async def test_servers_that_do_not_answer_or_are_nonsense_delay_nothing() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        servers = [
            IceServer((f"stun:127.0.0.1:{port}", f"turn:127.0.0.1:{port}"), "user", "secret"),
            IceServer(("http://example.org", "stun:169.254.169.254:3478")),
        ]
        async with asyncio.timeout(15):
            began = time.perf_counter()
            ours, theirs = await connect(transport(), transport(), servers)
            assert time.perf_counter() - began < 4
            await ours.connection.close(drain=5)
            await theirs.connection.close(drain=5)
        assert "secret" not in repr(servers[0])


async def test_a_peer_that_vanishes_is_found_by_ice(monkeypatch: pytest.MonkeyPatch) -> None:
    # Consent takes half a minute; the rule is the same with shorter times.
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 0.05)
    async with asyncio.timeout(15):
        ours, theirs = await connect(transport(), transport())
        other: Any = theirs.connection
        for protocol in other._stack.ice._connection._protocols:
            protocol.transport.abort()
        await ours.events.closed.wait()
        assert ours.events.end == (Broken.PATH_LOST, False)
        await ours.connection.close(drain=5)
        await theirs.connection.close(drain=None)
        assert theirs.events.end == (Broken.PATH_LOST, False)


async def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcrpc.transport.webrtc.connection.DIAL_SECONDS", 0.2)
    async with asyncio.timeout(15):
        ours, theirs = make_ends(transport(), transport())
        answer = await theirs.connection.accept_offer(await ours.connection.create_offer())
        await theirs.connection.close(drain=None)
        await ours.connection.accept_answer(answer)
        await ours.events.closed.wait()
        assert ours.events.end == (Broken.NO_PATH, False)
        await ours.connection.close(drain=None)

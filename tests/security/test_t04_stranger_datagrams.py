"""T4: datagrams from addresses that are not the peer's never end or stall a connection."""

import asyncio
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest
import uvloop
from aioice import stun

from rtcrpc.transport.recorder import connect, make_ends
from rtcrpc.transport.webrtc import WebRtcTransport, loopback_addresses
from rtcrpc.transport.webrtc.sdp import parse_description

PER_KIND = 250


def client_hello() -> bytes:
    """A DTLS 1.2 ClientHello that offers one cipher suite (RFC 6347 section 4.2)."""
    body = b"\xfe\xfd" + os.urandom(32) + b"\x00" + b"\x00" + b"\x00\x02\xc0\x2b" + b"\x01\x00"
    handshake = b"\x01" + len(body).to_bytes(3, "big") + bytes(2) + bytes(3) + len(body).to_bytes(3, "big") + body
    return b"\x16\xfe\xfd" + bytes(8) + struct.pack("!H", len(handshake)) + handshake


def forged_check() -> bytes:
    """A connectivity check with a user name of the right form and an integrity that is not."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = "abcd:efgh"
    message.attributes["PRIORITY"] = 1
    message.attributes["ICE-CONTROLLING"] = 2**64 - 1
    message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(b"not the password")
    return bytes(message)


KINDS: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "alert": lambda: b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02" + b"\x02\x28",
    "ClientHello": client_hello,
    "random": lambda: os.urandom(1 + os.urandom(1)[0]),
    "STUN cut short": lambda: forged_check()[: 20 + os.urandom(1)[0] % 40],
    "forged check": forged_check,
}


class Stranger:
    """A socket of its own for each address family, aimed at every candidate of a description."""

    def __init__(self) -> None:
        self.sockets = {
            4: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            6: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
        }
        self.targets: list[tuple[int, tuple[str, int]]] = []
        self.sent = 0

    def aim(self, description: str) -> None:
        for candidate in parse_description(description).candidates:
            self.targets.append((6 if ":" in candidate.host else 4, (candidate.host, candidate.port)))

    def throw(self, datagram: bytes) -> None:
        for family, address in self.targets:
            self.sockets[family].sendto(datagram, address)
        self.sent += 1

    def close(self) -> None:
        for sock in self.sockets.values():
            sock.close()


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    thrower = Stranger()
    yield thrower
    thrower.close()


def transport() -> WebRtcTransport:
    return WebRtcTransport(host_addresses=loopback_addresses)


@pytest.mark.parametrize("kind", KINDS)
def test_during_set_up(kind: str, stranger: Stranger, report: Callable[[str, str], None]) -> None:
    rounds = 10
    slowest = 0.0

    async def dial() -> bool:
        nonlocal slowest
        began = time.perf_counter()
        ours, theirs = make_ends(transport(), transport())
        try:
            offer = await ours.connection.create_offer()
            stranger.targets.clear()
            stranger.aim(offer)
            answer = await theirs.connection.accept_offer(offer)
            stranger.aim(answer)
            await ours.connection.accept_answer(answer)
            while not (ours.events.opened.is_set() and theirs.events.opened.is_set()):
                # Between every two turns of the loop, so at each step of ICE, DTLS and SCTP.
                stranger.throw(KINDS[kind]())
                if theirs.events.end or ours.events.end:
                    return False
                await asyncio.sleep(0)
            slowest = max(slowest, time.perf_counter() - began)
            ours.connection.send("through")
            return await theirs.events.received(1) == ["through"]
        finally:
            await ours.connection.close(drain=None)
            await theirs.connection.close(drain=None)

    async def main() -> int:
        ended = 0
        async with asyncio.timeout(20):
            for _ in range(rounds):
                ended += not await dial()
            while stranger.sent < PER_KIND:
                ended += not await dial()
        return ended

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ended = runner.run(main())
    report(
        "T4",
        f"{stranger.sent:>6} {kind} during set-up: {ended} ended, slowest set-up {slowest * 1000:.0f} ms",
    )
    assert ended == 0
    assert stranger.sent >= PER_KIND


@pytest.mark.parametrize("kind", KINDS)
def test_when_open(kind: str, stranger: Stranger, report: Callable[[str, str], None]) -> None:
    slowest = 0.0

    async def main() -> int:
        nonlocal slowest
        ended = 0
        async with asyncio.timeout(20):
            ours, theirs = make_ends(transport(), transport())
            try:
                offer = await ours.connection.create_offer()
                answer = await theirs.connection.accept_offer(offer)
                await ours.connection.accept_answer(answer)
                await asyncio.gather(ours.events.opened.wait(), theirs.events.opened.wait())
                stranger.aim(offer)
                stranger.aim(answer)
                for number in range(PER_KIND):
                    stranger.throw(KINDS[kind]())
                    began = time.perf_counter()
                    ours.connection.send(f"{number}")
                    await theirs.events.received(number + 1)
                    slowest = max(slowest, time.perf_counter() - began)
                theirs.connection.send("and back")
                await ours.events.received(1)
                assert theirs.events.messages == [f"{n}" for n in range(PER_KIND)]
            finally:
                ended += (ours.events.end is not None) + (theirs.events.end is not None)
                await ours.connection.close(drain=None)
                await theirs.connection.close(drain=None)
        return ended

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ended = runner.run(main())
    report("T4", f"{stranger.sent:>6} {kind} when open: {ended} ended, slowest message {slowest * 1000:.1f} ms")
    assert ended == 0


def test_strangers_get_no_answer(stranger: Stranger, report: Callable[[str, str], None]) -> None:
    """A forged check is not answered, so a connection is no mirror for packets with a forged sender."""

    async def main() -> int:
        async with asyncio.timeout(20):
            ours, theirs = await connect(transport(), transport())
            fresh, unused = make_ends(transport(), transport())
            stranger.aim(await fresh.connection.create_offer())
            for make in KINDS.values():
                stranger.throw(make())
            # A full exchange of the others: whatever was going to be answered has been.
            ours.connection.send("a")
            await theirs.events.received(1)
            answers = 0
            for sock in stranger.sockets.values():
                sock.setblocking(False)
                try:
                    while sock.recv(2048):
                        answers += 1
                except BlockingIOError:
                    pass
            await ours.connection.close(drain=None)
            await theirs.connection.close(drain=None)
            await fresh.connection.close(drain=None)
            await unused.connection.close(drain=None)
            return answers

    with asyncio.Runner() as runner:
        answers = runner.run(main())
    report("T4", f"{stranger.sent:>6} of all kinds to a fresh port: {answers} answered")
    assert answers == 0

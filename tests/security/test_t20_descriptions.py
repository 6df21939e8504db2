"""T20: descriptions and candidates of a hostile peer cost little and send no packet where no peer is."""

import asyncio
import ipaddress
import random
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rtcrpc.errors import ProtocolError, TooLarge
from rtcrpc.limits import MAX_CANDIDATES, MAX_SDP
from rtcrpc.transport.base import Candidate
from rtcrpc.transport.recorder import EventRecorder
from rtcrpc.transport.webrtc import CandidateFilter, WebRtcTransport, loopback_addresses
from rtcrpc.transport.webrtc.candidates import DENIED_NETWORKS
from rtcrpc.transport.webrtc.sdp import Description, Setup, build_description, parse_description

COUNT = 5_000
BUDGET = 0.005

DENIED_HOSTS = (
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "224.0.0.251",
    "239.255.255.250",
    "255.255.255.255",
    "240.0.0.1",
    "0.0.0.0",
    "::",
    "ff02::1",
    "ff02::fb",
    "fe80::1",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "::ffff:224.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "example.org",
    "localhost",
    "metadata.google.internal",
    "evil.local.example.org",
    "2130706433",
    "0x7f.1",
    "127.1",
)


def description(extra: str = "") -> str:
    return build_description(Description("abcd", "p" * 22, bytes(32), Setup.ACTPASS)) + extra


def candidate(host: str, port: int, priority: int = 2**31 - 1) -> str:
    return f"candidate:1 1 udp {priority} {host} {port} typ host"


def hostile(generator: random.Random) -> str:
    """One of many ways to be refused, each with a part that differs."""
    base = description()
    noise = "\u00e9" + "".join(generator.choices("abcXYZ019:/= \t\u00e9\u2028", k=generator.randrange(1, 60)))
    fingerprint = next(line for line in base.splitlines() if line.startswith("a=fingerprint"))
    other = f"a=fingerprint:sha-256 {generator.randbytes(32).hex(':').upper()}"
    many = "".join(f"a={candidate('10.0.0.1', 1024 + n)}\r\n" for n in range(400))
    ways: list[Callable[[], str]] = [
        lambda: base.replace(fingerprint, ""),
        lambda: base.replace(fingerprint, f"{fingerprint}\r\n{other}"),
        lambda: base.replace("v=0", f"v=0\r\n{other}"),
        lambda: base.replace("sha-256", generator.choice(["sha-1", "md5", "sha-512"])),
        lambda: base.replace(fingerprint, fingerprint[: generator.randrange(10, len(fingerprint))]),
        lambda: base.replace(fingerprint, f"{fingerprint}:00"),
        lambda: description("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" * generator.randrange(1, 200)),
        lambda: base.replace("m=application", generator.choice(["m=video", "x=application", "m=" + noise])),
        lambda: base.replace("a=ice-pwd:", "a=ice-pwd:" + generator.choice(["\u00e9", "x" * 300]) + " "),
        lambda: base.replace("a=ice-ufrag:abcd", "a=ice-ufrag:" + noise + " "),
        lambda: base.replace("a=setup:actpass", f"a=setup:{noise}"),
        lambda: base.replace("a=sctp-port:5000", f"a=sctp-port:{generator.choice([0, 65536, -1, '1e3', '9' * 400])}"),
        lambda: base.replace("a=max-message-size:", "a=max-message-size:" + "9" * generator.randrange(20, 5000)),
        lambda: base.replace("a=mid:0", f"a=mid:0\r\na=mid:{generator.randrange(1, 99)}"),
        lambda: description(f"a=candidate:{noise}\r\n"),
        lambda: description(f"a=candidate:1 1 udp {'9' * generator.randrange(11, 4000)} 10.0.0.1 5000 typ host\r\n"),
        lambda: description(f"a={candidate('10.0.0.1', generator.randrange(65536, 10**9))}\r\n"),
        lambda: description(many),
        lambda: base + "a" * (MAX_SDP + generator.randrange(1, 10**6)),
        lambda: "a=" + "\u00e9" * (MAX_SDP // 2),
        lambda: "\r\n" * (MAX_SDP // 2),
        lambda: "a=x\n" * (MAX_SDP // 4),
        lambda: "a=fingerprint:sha-256 " + "00:" * (MAX_SDP // 4),
        lambda: noise * generator.randrange(1, 100),
        lambda: "",
    ]
    return generator.choice(ways)()


def test_hostile_descriptions_are_refused_at_once(report: Callable[[str, str], None]) -> None:
    generator = random.Random(20)
    samples = [hostile(generator) for _ in range(COUNT)]
    parse_description(description())
    slowest = 0.0
    for sample in samples:
        # Processor time: another program on the machine must not count.
        began = time.thread_time()
        with pytest.raises((ProtocolError, TooLarge)):
            parse_description(sample)
        slowest = max(slowest, time.thread_time() - began)
    report("T20", f"{COUNT:>6} hostile descriptions: 0 taken, slowest refusal {slowest * 1000:.2f} ms")
    assert slowest < BUDGET


def test_the_largest_that_is_allowed_is_read_in_time(report: Callable[[str, str], None]) -> None:
    line = f"a={candidate('192.168.1.1', 5000)}\r\n"
    full = description(line * ((MAX_SDP - len(description())) // len(line)))
    full += "a=" + "x" * (MAX_SDP - len(full) - 2)
    assert len(full) == MAX_SDP
    began = time.thread_time()
    parse_description(full)
    took = time.thread_time() - began
    with pytest.raises(TooLarge):
        parse_description(full + "x")
    report("T20", f"     1 description of {MAX_SDP} bytes: read in {took * 1000:.2f} ms, one byte more refused")
    assert took < BUDGET


@pytest.fixture
def destinations() -> Iterator[list[str]]:
    """Every address to which a datagram is sent from Python, seen below asyncio."""
    seen: list[str] = []
    watching = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event in ("socket.sendto", "socket.connect"):
            seen.append(arguments[1][0] if isinstance(arguments[1], tuple) else str(arguments[1]))

    # There is no way to take a hook off again, only to make it idle.
    sys.addaudithook(hook)
    yield seen
    watching = False


def listener() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


async def test_no_packet_goes_to_denied_ranges(destinations: list[str], report: Callable[[str, str], None]) -> None:
    loop = asyncio.get_running_loop()
    ports = [5000, 53, 1, 0, 65535]
    tried = 0
    with listener() as honest:
        for host in DENIED_HOSTS:
            # The honest one comes last: when its check arrives, all that were to be checked have been.
            wanted = candidate("127.0.0.1", honest.getsockname()[1], 1)
            lines = [candidate(host, port) for port in ports]
            tried += len(lines)
            connection = WebRtcTransport(host_addresses=loopback_addresses).create(EventRecorder(), ())
            try:
                await connection.accept_offer(description("".join(f"a={line}\r\n" for line in (*lines[:3], wanted))))
                for line in lines[3:]:
                    await connection.add_candidate(Candidate(line))
                async with asyncio.timeout(10):
                    await loop.sock_recv(honest, 2048)
            finally:
                await connection.close(drain=None)
    sent = [ipaddress.ip_address(host.split("%")[0]) for host in destinations]
    denied = [a for a in sent for network in DENIED_NETWORKS if a.version == network.version and a in network]
    report(
        "T20",
        f"{tried:>6} candidates in denied ranges: {len(denied)} packets there, {len(sent)} to the honest one",
    )
    assert sent
    assert denied == []
    assert {str(a) for a in sent} == {"127.0.0.1"}


async def test_at_most_32_candidates_are_tried(report: Callable[[str, str], None]) -> None:
    """Counted over the description and what comes apart; those that the filter drops count too."""
    connection: Any = WebRtcTransport(host_addresses=loopback_addresses).create(EventRecorder(), ())
    try:
        lines = "".join(f"a={candidate('127.0.0.1', 20000 + n)}\r\n" for n in range(20))
        await connection.accept_offer(description(lines))
        for n in range(100):
            await connection.add_candidate(Candidate(candidate("127.0.0.1", 30000 + n)))
        # Each is taken by a task of its own.
        await asyncio.gather(*[t for t in connection._tasks if "_add_candidate" in repr(t.get_coro())])
        tried = len(connection._stack.ice.getRemoteCandidates())
    finally:
        await connection.close(drain=None)
    report("T20", f"   120 candidates from one peer: {tried} tried")
    assert tried == MAX_CANDIDATES


@pytest.mark.parametrize("host", DENIED_HOSTS)
def test_the_filter_says_why(host: str) -> None:
    assert CandidateFilter().refusal(host, 5000) is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.9", "169.254.7.7", "203.0.113.9",
                                  "2001:db8::1", "fd12::1", "0a1b2c3d-0000-4000-8000-0123456789ab.local"])  # fmt: skip
def test_the_filter_lets_peers_through(host: str) -> None:
    assert CandidateFilter().refusal(host, 5000) is None

"""One side of a connection in memory: a reliable channel over datagrams that may be lost."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol

from rtcrpc.errors import ConnectionLost, ProtocolError, TooLarge
from rtcrpc.limits import CHANNEL_BUFFER, MAX_SDP
from rtcrpc.transport.base import (
    CLOSED_HERE,
    CLOSED_THERE,
    Broken,
    Candidate,
    Connection,
    ConnectionEvents,
    Path,
)
from rtcrpc.transport.memory.packet import Kind, Packet, size_of
from rtcrpc.transport.telling import Teller

__all__ = ["MemoryConnection", "Network"]

MAX_MESSAGE_SIZE: Final = 262_144
WINDOW: Final = 262_144
"""Bytes that a side may have on the way unacknowledged; more waits in its buffer."""

LOW_MARK: Final = CHANNEL_BUFFER // 2
RETRANSMIT_MAX: Final = 1.0
"""Seconds between two attempts at most, so that a healed network is noticed."""

_FINGERPRINT = re.compile(r"^a=fingerprint:sha-256 ((?:[0-9A-F]{2}:){31}[0-9A-F]{2})\r?$", re.MULTILINE)
_ENDPOINT = re.compile(r"^a=ice-ufrag:(memory[0-9]+)\r?$", re.MULTILINE)


@dataclass(slots=True)
class _Unacknowledged:
    packet: Packet
    first_sent: float
    attempts: int
    timer: int


class Network(Protocol):
    """What a connection needs of its network."""

    delay: float
    jitter: float
    rate: float | None
    retransmit_after: float
    patience: float

    def enter(self, connection: MemoryConnection) -> str:
        """Take a connection in and name it."""

    def leave(self, name: str) -> None:
        """Forget it."""

    def find(self, name: str) -> MemoryConnection | None:
        """The connection of that name."""

    def is_cut(self, host: str, other: str) -> bool:
        """Whether nothing goes through between two hosts."""

    def carry(self, source: MemoryConnection, target: str, packet: Packet | int | None) -> None:
        """Carry a datagram."""


class _Stage(Enum):
    NEW = "new"
    DESCRIBED = "described"
    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class MemoryConnection(Connection):
    """One side of a connection; see `Connection` for what it promises."""

    def __init__(self, network: Network, host: str, fingerprint: bytes, events: ConnectionEvents) -> None:
        self.host = host
        self.remote_host: str | None = None
        self._network = network
        self._loop = asyncio.get_running_loop()
        self._teller = Teller(events, lambda: self.end(Broken.SINK, clean=False))
        self._local_fingerprint = fingerprint
        self._expected_fingerprint = b""
        self._remote_fingerprint = b""
        self._stage = _Stage.NEW
        self._offerer = False
        self._remote_name = ""
        self._closed_by_peer = False
        self._open_arrived = False
        self._done = asyncio.Event()
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._timers_made = 0
        self._watch_timer: int | None = None
        self._closing_here = False
        # Sending.
        self._queue: deque[Packet] = deque()
        self._buffered = 0
        self._on_the_way: dict[int, _Unacknowledged] = {}
        self._bytes_on_the_way = 0
        self._next_number = 0
        self._free_at = 0.0
        self._pump_due = False
        self._rtt: float | None = None
        # Receiving.
        self._expected_number = 0
        self._early: dict[int, Packet] = {}
        self.name = network.enter(self)

    def __repr__(self) -> str:
        return f"<MemoryConnection {self.host}->{self.remote_host or '?'} {self._stage.value}>"

    # -- what is known -----------------------------------------------------------------------------------

    @property
    def local_fingerprint(self) -> bytes:
        """32 bytes that stand for the certificate of this host."""
        return self._local_fingerprint

    @property
    def remote_fingerprint(self) -> bytes:
        """The same of the host at the other end, as it said itself when connecting."""
        return self._remote_fingerprint

    @property
    def max_message_size(self) -> int:
        """Bytes of the longest frame."""
        return MAX_MESSAGE_SIZE

    @property
    def buffered_amount(self) -> int:
        """Bytes not put on the network yet."""
        return self._buffered

    @property
    def low_mark(self) -> int:
        """Bytes at which `buffered_amount_low` is told."""
        return LOW_MARK

    async def path(self) -> Path | None:
        """Always direct; the round-trip time is measured."""
        if self._stage not in (_Stage.OPEN, _Stage.CLOSING):
            return None
        return Path(False, "host", "host", "udp", "ipv4", self._rtt)

    # -- descriptions ------------------------------------------------------------------------------------

    async def create_offer(self) -> str:
        """Describe this side."""
        self._expect(_Stage.NEW, "create_offer")
        self._offerer = True
        return self._describe("actpass")

    async def accept_offer(self, sdp: str) -> str:
        """Read the offer; wait for the other side to begin."""
        self._expect(_Stage.NEW, "accept_offer")
        self._read(sdp)
        answer = self._describe("active")
        self._begin()
        return answer

    async def accept_answer(self, sdp: str) -> None:
        """Read the answer; begin."""
        self._expect(_Stage.DESCRIBED, "accept_answer")
        self._read(sdp)
        self._begin()
        self._enqueue(Kind.OPEN, self._local_fingerprint)

    async def add_candidate(self, candidate: Candidate) -> None:
        """Look at the form of a candidate; there is one way to each host here."""
        if candidate.candidate and not candidate.candidate.startswith("candidate:"):
            raise ProtocolError(f"expected an ICE candidate, got {candidate.candidate[:80]!r}")

    def _expect(self, stage: _Stage, what: str) -> None:
        if self._stage in (_Stage.CLOSING, _Stage.CLOSED):
            raise ConnectionLost(f"{what}: the connection was closed", ran=False)
        if self._stage is not stage:
            raise RuntimeError(f"{what} is for a connection that is {stage.value}, not {self._stage.value}")

    def _describe(self, setup: str) -> str:
        self._stage = _Stage.DESCRIBED
        self._loop.call_soon(self._teller.candidate, None)
        fingerprint = self._local_fingerprint.hex(":").upper()
        return (
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=memory\r\nt=0 0\r\n"
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
            f"a=ice-ufrag:{self.name}\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}\r\n"
        )

    def _read(self, sdp: str) -> None:
        if len(sdp) > MAX_SDP:
            raise TooLarge(f"a description has at most {MAX_SDP} bytes, got {len(sdp)}")
        fingerprints = set(_FINGERPRINT.findall(sdp))
        endpoint = _ENDPOINT.search(sdp)
        if len(fingerprints) != 1 or endpoint is None:
            raise ProtocolError(
                f"a description has exactly one sha-256 fingerprint and an endpoint of a network in memory, "
                f"got {len(fingerprints)} and {0 if endpoint is None else 1}"
            )
        self._expected_fingerprint = bytes.fromhex(fingerprints.pop().replace(":", ""))
        self._remote_name = endpoint[1]

    def _begin(self) -> None:
        self._stage = _Stage.CONNECTING
        remote = self._network.find(self._remote_name)
        self.remote_host = None if remote is None else remote.host
        self._later(self._network.patience, self._give_up_connecting)

    def _give_up_connecting(self) -> None:
        if self._stage is _Stage.CONNECTING:
            self.end(Broken.NO_PATH, clean=False)

    # -- sending -----------------------------------------------------------------------------------------

    def send(self, data: bytes | str) -> None:
        """Queue a frame."""
        if self._stage is not _Stage.OPEN:
            raise ConnectionLost(f"a frame can't be sent: the connection is {self._stage.value}", ran=False)
        if size_of(data) > MAX_MESSAGE_SIZE:
            raise TooLarge(f"a frame has at most {MAX_MESSAGE_SIZE} bytes here, got {size_of(data)}")
        self._enqueue(Kind.MESSAGE, data)

    def _enqueue(self, kind: Kind, data: bytes | str = b"") -> None:
        packet = Packet(self._next_number, kind, data)
        self._next_number += 1
        self._queue.append(packet)
        self._buffered += packet.size
        if not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_due = False
        was_high = self._buffered > LOW_MARK
        while self._queue and self._stage is not _Stage.CLOSED and self._bytes_on_the_way < WINDOW:
            now = self._loop.time()
            if now < self._free_at:
                self._pump_due = True
                self._later(self._free_at - now, self._pump)
                break
            packet = self._queue.popleft()
            self._buffered -= packet.size
            self._bytes_on_the_way += packet.size
            if self._network.rate is not None:
                self._free_at = now + packet.size / self._network.rate
            self._transmit(packet, now, attempts=1)
        if was_high and self._buffered <= LOW_MARK and self._stage is _Stage.OPEN:
            self._teller.low()

    def _transmit(self, packet: Packet, first_sent: float, attempts: int) -> None:
        wait = min(self._network.retransmit_after * 2 ** (attempts - 1), RETRANSMIT_MAX)
        # Never sooner than an acknowledgement can be here, or a long delay would look like loss.
        wait = max(wait, 2.5 * (self._network.delay + self._network.jitter))
        timer = self._later(wait, self._again, packet.number)
        self._on_the_way[packet.number] = _Unacknowledged(packet, first_sent, attempts, timer)
        self._network.carry(self, self._remote_name, packet)

    def _again(self, number: int) -> None:
        sent = self._on_the_way[number]
        if self._loop.time() - sent.first_sent >= self._network.patience:
            self.end(Broken.NO_PATH if self._stage is _Stage.CONNECTING else Broken.PATH_LOST, clean=False)
        else:
            self._transmit(sent.packet, sent.first_sent, sent.attempts + 1)

    def _acknowledged(self, number: int) -> None:
        sent = self._on_the_way.pop(number, None)
        if sent is None:
            return
        self._cancel(sent.timer)
        self._bytes_on_the_way -= sent.packet.size
        if sent.attempts == 1:
            took = self._loop.time() - sent.first_sent
            self._rtt = took if self._rtt is None else self._rtt + (took - self._rtt) / 8
        if sent.packet.kind is Kind.CLOSE:
            self._close_if_both()
        elif sent.packet.kind is Kind.OPEN:
            self._open_arrived = True
            self._open_if_both()
        if self._queue and not self._pump_due:
            self._pump()

    # -- receiving ---------------------------------------------------------------------------------------

    def arrived(self, sender: str, packet: Packet | int | None) -> None:
        """A datagram arrived. Called by the network."""
        if sender != self._remote_name or self._stage in (_Stage.NEW, _Stage.DESCRIBED, _Stage.CLOSED):
            return
        if packet is None:
            self.aborted()
        elif isinstance(packet, int):
            self._acknowledged(packet)
        else:
            self._network.carry(self, self._remote_name, packet.number)
            if packet.number >= self._expected_number:
                self._early[packet.number] = packet
            # What is taken may end the connection, which also empties the table.
            while (following := self._early.pop(self._expected_number, None)) is not None:
                self._expected_number += 1
                self._take(following)

    def _take(self, packet: Packet) -> None:
        if packet.kind is not Kind.OPEN:
            # The other side is open, so it has our first packet; only its acknowledgement is late.
            self._open_arrived = True
            self._open_if_both()
        if packet.kind is Kind.MESSAGE:
            self._teller.message(packet.data)
        elif packet.kind is Kind.CLOSE:
            self._closed_by_peer = True
            if self._stage is _Stage.OPEN:
                # What was queued before this goes out first, as on a real channel.
                self._stage = _Stage.CLOSING
                self._enqueue(Kind.CLOSE)
            self._close_if_both()
        elif isinstance(packet.data, bytes):
            if packet.data != self._expected_fingerprint:
                self.end(Broken.FINGERPRINT, clean=False)
                return
            self._remote_fingerprint = packet.data
            if not self._offerer:
                self._enqueue(Kind.OPEN, self._local_fingerprint)
            self._open_if_both()

    def _open_if_both(self) -> None:
        if self._stage is _Stage.CONNECTING and self._remote_fingerprint and self._open_arrived:
            self._stage = _Stage.OPEN
            self._teller.opened()

    # -- the end -----------------------------------------------------------------------------------------

    async def close(self, *, drain: float | None) -> None:
        """Send all that is queued and a last packet; wait for the answer to it."""
        if self._stage is _Stage.OPEN and drain is not None:
            self._closing_here = True
            self._stage = _Stage.CLOSING
            self._enqueue(Kind.CLOSE)
        if self._stage is _Stage.CLOSING and drain is not None:
            try:
                async with asyncio.timeout(drain):
                    await self._done.wait()
            except TimeoutError:
                self.end(CLOSED_HERE, clean=False)
        else:
            self.end(CLOSED_HERE, clean=self._stage not in (_Stage.OPEN, _Stage.CLOSING))

    def _close_if_both(self) -> None:
        ours_arrived = not self._queue and not self._on_the_way
        if self._stage is _Stage.CLOSING and self._closed_by_peer and ours_arrived:
            self.end(CLOSED_HERE if self._closing_here else CLOSED_THERE, clean=True)

    def aborted(self) -> None:
        """The other side has gone. Called by the network."""
        if self._closing_here:
            self.end(CLOSED_HERE, clean=self._closed_by_peer)
        else:
            self.end(CLOSED_THERE, clean=self._closed_by_peer)

    def end(self, reason: str, *, clean: bool) -> None:
        """End this side, and try to tell the other."""
        if self._stage is _Stage.CLOSED:
            return
        if self._remote_name:
            self._network.carry(self, self._remote_name, None)
        self._stop()
        self._teller.closed(reason, clean=clean)

    def vanish(self) -> None:
        """End this side without a word to anybody."""
        self._stop()

    def _stop(self) -> None:
        self._stage = _Stage.CLOSED
        self._network.leave(self.name)
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._queue.clear()
        self._on_the_way.clear()
        self._early.clear()
        self._buffered = 0
        self._done.set()
        remote = self._network.find(self._remote_name)
        if remote is not None and remote._remote_name == self.name:
            remote.watch()

    def watch(self) -> None:
        """Begin to wait for `patience` where the other side can't be reached now, stop where it can."""
        unreachable = self._unreachable()
        if unreachable and self._watch_timer is None:
            self._watch_timer = self._later(self._network.patience, self._look)
        elif not unreachable and self._watch_timer is not None:
            self._cancel(self._watch_timer)
            self._watch_timer = None

    def _unreachable(self) -> bool:
        if self._stage not in (_Stage.OPEN, _Stage.CLOSING) or self.remote_host is None:
            return False
        gone = self._network.find(self._remote_name) is None
        return gone or self._network.is_cut(self.host, self.remote_host)

    def _look(self) -> None:
        self._watch_timer = None
        if self._unreachable():
            self.end(Broken.PATH_LOST, clean=False)

    def _later(self, wait: float, callback: Callable[..., None], *arguments: Any) -> int:
        self._timers_made += 1
        key = self._timers_made
        self._timers[key] = self._loop.call_later(wait, self._due, key, callback, arguments)
        return key

    def _due(self, key: int, callback: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        del self._timers[key]
        callback(*arguments)

    def _cancel(self, key: int) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

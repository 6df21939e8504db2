"""The network: what becomes of a datagram between two hosts."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from rtcrpc.transport.base import Broken, Connection, ConnectionEvents, IceServer
from rtcrpc.transport.memory.connection import MemoryConnection
from rtcrpc.transport.memory.packet import Packet

__all__ = ["MemoryNetwork", "MemoryTransport", "NetworkCounts"]


@dataclass(slots=True)
class NetworkCounts:
    """Datagrams, acknowledgements included, since the network was made."""

    sent: int = 0
    lost: int = 0
    repeated: int = 0
    held_back: int = 0


class MemoryNetwork:
    """The network. Its numbers may be changed while it runs.

    - `delay`, `jitter`: seconds one way, and how much more it may be by chance;
    - `loss`, `duplicate`, `reorder`: the chance, from 0 to 1, that a datagram is lost, arrives twice, or
      is held back for up to four delays more;
    - `rate`: bytes a second that one side of a connection can send, None for no bound;
    - `retransmit_after`: seconds until an unacknowledged datagram is sent again, doubled each time;
    - `lossy`: whether connections have a lossy channel too, whose datagrams meet all of this as they are;
    - `patience`: seconds without an answer after which a side gives a connection up, as ICE does.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        delay: float = 0.01,
        jitter: float = 0.0,
        loss: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        rate: float | None = None,
        retransmit_after: float = 0.2,
        patience: float = 30.0,
        lossy: bool = True,
    ) -> None:
        self.delay = delay
        self.jitter = jitter
        self.loss = loss
        self.duplicate = duplicate
        self.reorder = reorder
        self.rate = rate
        self.retransmit_after = retransmit_after
        self.patience = patience
        self.lossy = lossy
        self.counts = NetworkCounts()
        self._seed = seed
        # Not for secrets: the point is that it can be repeated.
        self._random = random.Random(seed)  # noqa: S311
        self._cuts: set[frozenset[str]] = set()
        self._isolated: set[str] = set()
        self._endpoints: dict[str, MemoryConnection] = {}
        self._made = 0

    def transport(self, host: str) -> MemoryTransport:
        """A transport for the host of this name, with a certificate of its own."""
        return MemoryTransport(self, host)

    def partition(self, host: str, other: str | None = None) -> None:
        """Cut `host` off from `other`, or from every host; datagrams on their way are lost too.

        Connections across the cut break after `patience`, if it has not healed by then.
        """
        if other is None:
            self._isolated.add(host)
        else:
            self._cuts.add(frozenset((host, other)))
        for connection in self._between(host, other):
            connection.watch()

    def heal(self) -> None:
        """End every partition."""
        self._cuts.clear()
        self._isolated.clear()
        for connection in list(self._endpoints.values()):
            connection.watch()

    def sever(self, host: str, other: str) -> None:
        """Break the connections between two hosts at once, on both sides; new ones can be made."""
        for connection in self._between(host, other):
            connection.end(Broken.PATH_LOST, clean=False)

    def crash(self, host: str) -> None:
        """Make a host vanish: its connections tell nobody anything any more, `connection_closed` included.

        The other sides learn of it after `patience`. The host may make new connections.
        """
        for connection in [c for c in self._endpoints.values() if c.host == host]:
            connection.vanish()

    # -- for connections ---------------------------------------------------------------------------------

    def certificate(self, host: str) -> bytes:
        """The fingerprint of a host's certificate, 32 bytes; another one each time it is asked for."""
        self._made += 1
        return hashlib.sha256(f"{self._seed}/{self._made}/{host}".encode()).digest()

    def enter(self, connection: MemoryConnection) -> str:
        """Give a connection the name by which descriptions speak of it."""
        self._made += 1
        name = f"memory{self._made}"
        self._endpoints[name] = connection
        return name

    def leave(self, name: str) -> None:
        """Forget an endpoint."""
        self._endpoints.pop(name, None)

    def find(self, name: str) -> MemoryConnection | None:
        """The endpoint of this name, None where it has gone."""
        return self._endpoints.get(name)

    def is_cut(self, host: str, other: str) -> bool:
        """Whether nothing goes through between two hosts."""
        return frozenset((host, other)) in self._cuts or not self._isolated.isdisjoint((host, other))

    def carry(self, source: MemoryConnection, target: str, packet: Packet | int | None) -> None:
        """Carry a datagram: a packet, the number of one that is acknowledged, or None for an abort."""
        loop = asyncio.get_running_loop()
        self.counts.sent += 1
        if self._random.random() < self.loss:
            self.counts.lost += 1
            return
        copies = 1
        if self._random.random() < self.duplicate:
            self.counts.repeated += 1
            copies = 2
        for _ in range(copies):
            wait = self.delay + self.jitter * self._random.random()
            if self._random.random() < self.reorder:
                self.counts.held_back += 1
                wait += 4 * self.delay * self._random.random()
            loop.call_later(wait, self._arrive, source.host, source.name, target, packet)

    def _arrive(self, host: str, sender: str, target: str, packet: Packet | int | None) -> None:
        endpoint = self._endpoints.get(target)
        if endpoint is None:
            if isinstance(packet, Packet) and (back := self._endpoints.get(sender)) is not None:
                # There is nobody there any more, and the host says so (RFC 9260 section 8.4).
                self._abort_from(back)
        elif self.is_cut(host, endpoint.host):
            self.counts.lost += 1
        else:
            endpoint.arrived(sender, packet)

    def _abort_from(self, target: MemoryConnection) -> None:
        if target.remote_host is not None and not self.is_cut(target.host, target.remote_host):
            target.aborted()

    def _between(self, host: str, other: str | None) -> list[MemoryConnection]:
        both = {host} if other is None else {host, other}
        return [c for c in self._endpoints.values() if both <= {c.host, c.remote_host}]


class MemoryTransport:
    """A `Transport` of one host on a `MemoryNetwork`."""

    name = "memory"

    def __init__(self, network: MemoryNetwork, host: str) -> None:
        self.network = network
        self.host = host
        self._fingerprint = network.certificate(host)

    def create(self, events: ConnectionEvents, ice_servers: Sequence[IceServer]) -> Connection:
        """Make a connection; ICE servers mean nothing here."""
        return MemoryConnection(self.network, self.host, self._fingerprint, events)

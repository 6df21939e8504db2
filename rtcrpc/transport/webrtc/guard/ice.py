"""ICE that listens to nobody but the peer: aioice's connection with a door.

aioice hands every datagram that is not STUN to DTLS, whoever sent it, so that a single empty or forged
one ends a connection. `GuardedProtocol` lets a datagram in only from an address that has passed a
connectivity check, that is, whose owner knows the password of one side's description. What STUN itself
accepts is bounded too.

It also gathers in its own way: from the addresses it is given (loopback among them, where there is
nothing else), without waiting for servers, whose answers are told as they come.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from aioice import Candidate as AioiceCandidate
from aioice import Connection as AioiceConnection
from aioice import mdns, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import (
    CandidatePair,
    StunProtocol,
    get_host_addresses,
    relayed_candidate,
    server_reflexive_candidate,
)
from aioice.turn import UDP_SOCKET_BUFFER_SIZE
from aiortc.rtcicetransport import parse_stun_turn_uri

from rtcrpc.limits import MAX_CANDIDATES
from rtcrpc.transport.base import IceServer, Path
from rtcrpc.transport.webrtc.candidates import CandidateFilter, IceCandidate

__all__ = ["GuardedIce", "IceSettings", "default_host_addresses", "loopback_addresses"]

logger = logging.getLogger("rtcrpc.transport")

MAX_SERVERS: Final = 8
"""STUN and TURN servers asked: their addresses come from the bootstrap, which is not trusted."""

SERVER_SECONDS: Final = 5.0
"""How long a server may take to answer; nothing waits for it but its own candidate."""

MAX_REMOTE_ADDRESSES: Final = 2 * MAX_CANDIDATES
"""Addresses of the peer, told and seen. Each costs a check, and a peer can send from as many as it likes."""

MAX_WAITING_DATAGRAMS: Final = 1024
"""Datagrams kept for DTLS while it does not read; more are dropped, as a full socket would."""

MAX_READ_IN_A_ROW: Final = 8
"""Datagrams handled in one turn of the loop: about 4 ms of work where each holds fifty tiny chunks."""

_STUN_LAST_BYTE: Final = 3
_DTLS_BYTES: Final = range(20, 64)
"""The first byte tells STUN from DTLS (RFC 7983 section 7). There is no media here."""


def loopback_addresses() -> list[str]:
    """The addresses of this machine for itself: for tests, and for peers that only it may see."""
    return ["127.0.0.1", "::1"]


def default_host_addresses() -> list[str]:
    """All addresses of this machine but loopback; loopback where there is no other."""
    return get_host_addresses(use_ipv4=True, use_ipv6=True) or loopback_addresses()


@dataclass(frozen=True, slots=True)
class IceSettings:
    """How candidates are gathered, and which of the other side's are taken."""

    servers: tuple[IceServer, ...] = ()
    candidate_filter: CandidateFilter = field(default_factory=CandidateFilter)
    host_addresses: Callable[[], Sequence[str]] = default_host_addresses


class GuardedProtocol(StunProtocol):
    """One socket, or one TURN allocation. `authenticated` holds the addresses that passed a check on it."""

    def __init__(self, receiver: GuardedIce) -> None:
        super().__init__(receiver)
        self.authenticated: set[tuple[str, int]] = set()

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Sort a datagram by its first byte, and by who sent it."""
        data = cast(bytes, data)
        first = data[0] if data else -1
        if 0 <= first <= _STUN_LAST_BYTE:
            try:
                stun.parse_message(data)
            except (ValueError, struct.error):
                # Not parsed again below: aioice would take it for data.
                return
            super().datagram_received(data, addr)
        elif first in _DTLS_BYTES and (addr[0], addr[1]) in self.authenticated:
            self.receiver.data_received(data, self.local_candidate.component)


class GuardedIce(AioiceConnection):
    """An aioice connection of one component with a filter, bounds, and a gathering of its own."""

    def __init__(self, settings: IceSettings) -> None:
        super().__init__(ice_controlling=False)
        self.on_candidate: Callable[[IceCandidate | None], None] | None = None
        self._settings = settings
        self._server_tasks: set[asyncio.Task[None]] = set()
        self._mdns: mdns.MDnsProtocol | None = None
        self._mdns_lock = asyncio.Lock()
        self._read_in_a_row = 0
        self._relay_transports: dict[StunProtocol, str] = {}

    # -- gathering ---------------------------------------------------------------------------------------

    async def gather_candidates(self) -> None:
        """Bind a socket to each address; ask the servers without waiting for them."""
        if self._local_candidates_start:
            return
        self._local_candidates_start = True
        for address in list(self._settings.host_addresses())[:MAX_CANDIDATES]:
            await self._bind(address)
        # aioice lets connect() begin with what is there; later ones are paired as they come.
        self._local_candidates_end = True
        self._ask_servers()

    async def gathered(self) -> None:
        """Wait until every server has answered or has had its time."""
        if self._server_tasks:
            await asyncio.wait(self._server_tasks)

    @property
    def gathering(self) -> bool:
        """Whether an answer of a server may still come."""
        return bool(self._server_tasks)

    async def _bind(self, address: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, protocol = await loop.create_datagram_endpoint(lambda: GuardedProtocol(self), local_addr=(address, 0))
        except OSError as error:
            logger.info("no candidate on %s: %s", address, error)
            return
        if self._closing:
            # Closed while the socket was being made: nobody else would close it.
            protocol.transport.close()
            return
        sock = protocol.transport.get_extra_info("socket")
        # A window of SCTP and more: what the kernel drops here comes back after a second (aioice does the same).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_SOCKET_BUFFER_SIZE)
        host, port = protocol.transport.get_extra_info("sockname")[:2]
        protocol.local_candidate = AioiceCandidate(
            foundation=candidate_foundation("host", "udp", host),
            component=1,
            transport="udp",
            priority=candidate_priority(1, "host"),
            host=host,
            port=port,
            type="host",
        )
        self._protocols.append(protocol)
        self._local_candidates.append(protocol.local_candidate)

    def _ask_servers(self) -> None:
        hosts = [p for p in self._protocols if ":" not in p.local_candidate.host]
        asked = 0
        for server in self._settings.servers:
            for url in server.urls:
                if asked == MAX_SERVERS:
                    logger.warning("more than %d ICE servers; the rest are not asked", MAX_SERVERS)
                    return
                try:
                    parsed = parse_stun_turn_uri(url)
                except ValueError as error:
                    logger.warning("ICE server %r is not asked: %s", url, error)
                    continue
                if self._refused(parsed):
                    continue
                asked += 1
                if parsed["scheme"] == "stun":
                    for protocol in hosts:
                        self._spawn(self._ask_stun(protocol, parsed["host"], parsed["port"]))
                elif parsed["scheme"] in ("turn", "turns"):
                    self._spawn(self._ask_turn(server, parsed))

    def _refused(self, parsed: dict[str, Any]) -> bool:
        host = parsed["host"].strip("[]")
        literal = ":" in host or host.replace(".", "").isdigit()
        # Servers do have low ports; the filter is asked about the address only.
        if literal and (why := self._settings.candidate_filter.refusal(host, 65535)):
            logger.warning("ICE server %s is not asked: %s", host, why)
            return True
        return False

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._server_tasks.add(task)
        task.add_done_callback(self._server_done)

    def _server_done(self, task: asyncio.Task[None]) -> None:
        self._server_tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A server that is down or wrong is the business of whoever configured it, not of this connection.
            logger.info("an ICE server gave no candidate: %r", error)
        if not self._server_tasks and not self._closing and self.on_candidate is not None:
            self.on_candidate(None)

    async def _ask_stun(self, protocol: StunProtocol, host: str, port: int) -> None:
        async with asyncio.timeout(SERVER_SECONDS):
            candidate, _ = await server_reflexive_candidate(protocol, (host, port))
        self._add_local(candidate)

    async def _ask_turn(self, server: IceServer, parsed: dict[str, Any]) -> None:
        tls = parsed["scheme"] == "turns"
        async with asyncio.timeout(SERVER_SECONDS):
            candidate, protocol = await relayed_candidate(
                component=1,
                hide_related_address=False,
                protocol_factory=lambda: GuardedProtocol(self),
                turn_server=(parsed["host"], parsed["port"]),
                turn_username=server.username,
                turn_password=server.credential,
                turn_ssl=tls,
                turn_transport=parsed["transport"],
            )
        if self._closing:
            await protocol.close()
            return
        self._relay_transports[protocol] = "tls" if tls else parsed["transport"]
        self._protocols.append(protocol)
        for remote in self._remote_candidates:
            self._pair_remote_candidate(remote)
        self.sort_check_list()
        self._add_local(candidate)

    def _add_local(self, candidate: AioiceCandidate) -> None:
        known = any((c.host, c.port) == (candidate.host, candidate.port) for c in self._local_candidates)
        if not known and not self._closing:
            self._local_candidates.append(candidate)
            if self.on_candidate is not None:
                self.on_candidate(_to_text_form(candidate))

    def described_candidates(self) -> tuple[IceCandidate, ...]:
        """What has been gathered so far, for a description."""
        return tuple(_to_text_form(candidate) for candidate in self._local_candidates)

    # -- what is let in ----------------------------------------------------------------------------------

    async def add_remote_candidate(self, remote_candidate: AioiceCandidate | None) -> None:
        """Take a candidate; look an mDNS name up first, which takes a second at most.

        aioice keeps one resolver for a thread, behind a lock that belongs to the first loop that waited for it.
        Here each connection has its own, so that one loop after another may run in a thread.
        """
        if remote_candidate is None or not mdns.is_mdns_hostname(remote_candidate.host):
            await super().add_remote_candidate(remote_candidate)
            return
        async with self._mdns_lock:
            if self._closing:
                return
            if self._mdns is None:
                self._mdns = await mdns.create_mdns_protocol()
        address = await self._mdns.resolve(remote_candidate.host)
        if address is None:
            logger.info("nobody on the local network answers for %s", remote_candidate.host)
        elif not self._closing:
            self._add_remote_candidate(remote_candidate, address)

    def _add_remote_candidate(self, remote_candidate: AioiceCandidate, network_host: str) -> None:
        # Asked here, where a `.local` name has become an address.
        why = self._settings.candidate_filter.refusal(network_host, remote_candidate.port)
        if why is not None:
            logger.info("a candidate of the other side is not used: %s", why)
        elif len(self._remote_candidates) < MAX_REMOTE_ADDRESSES:
            super()._add_remote_candidate(remote_candidate, network_host)

    def request_received(self, message: stun.Message, addr: tuple[str, int], protocol: StunProtocol) -> None:
        """Take a check of the peer; say nothing to anybody else, or we would be a mirror for packets."""
        username = message.attributes.get("USERNAME", "")
        if "MESSAGE-INTEGRITY" in message.attributes and self._valid_username(username):
            super().request_received(message, addr, protocol)

    def check_incoming(self, message: stun.Message, addr: tuple[str, int], protocol: StunProtocol) -> None:
        """Take a check whose password was right; its source may send data from now on."""
        if "PRIORITY" not in message.attributes:
            return
        if self._settings.candidate_filter.refusal(addr[0], 65535) is not None:
            return
        known = any((c._network_host, c.port) == addr for c in self._remote_candidates)
        if known or len(self._remote_candidates) < MAX_REMOTE_ADDRESSES:
            cast(GuardedProtocol, protocol).authenticated.add(addr)
            super().check_incoming(message, addr, protocol)

    def check_state(self, pair: CandidatePair, state: CandidatePair.State) -> None:
        """Follow a pair; the remote address of one that succeeded may send data."""
        if state is CandidatePair.State.SUCCEEDED:
            cast(GuardedProtocol, pair.protocol).authenticated.add(pair.remote_addr)
        super().check_state(pair, state)

    def data_received(self, data: bytes, component: int) -> None:
        """Keep a datagram for DTLS, within a bound."""
        if self._queue.qsize() < MAX_WAITING_DATAGRAMS:
            super().data_received(data, component)

    async def recv(self) -> bytes:
        """Hand DTLS the next datagram; let the loop turn once in a while.

        While datagrams are waiting, nothing in aiortc's way up ever does, so that a peer that keeps on sending would keep
        everything else from running.
        """
        self._read_in_a_row = 0 if self._queue.empty() else self._read_in_a_row + 1
        if self._read_in_a_row == MAX_READ_IN_A_ROW:
            self._read_in_a_row = 0
            await asyncio.sleep(0)
        return await super().recv()

    # -- the path and the end ----------------------------------------------------------------------------

    def path(self, rtt: float | None) -> Path | None:
        """The nominated pair."""
        pair = self._nominated.get(1)
        if pair is None:
            return None
        local, remote = pair.local_candidate, pair.remote_candidate
        return Path(
            relayed="relay" in (local.type, remote.type),
            local_type=local.type,
            remote_type=remote.type,
            protocol=self._relay_transports.get(pair.protocol, "udp"),
            family="ipv6" if ":" in pair.remote_addr[0] else "ipv4",
            rtt=rtt,
        )

    async def close(self) -> None:
        """Close sockets and allocations."""
        self._closing = True
        tasks = list(self._server_tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        async with self._mdns_lock:
            if self._mdns is not None:
                await self._mdns.close()
                self._mdns = None
        await super().close()


def _to_text_form(candidate: AioiceCandidate) -> IceCandidate:
    return IceCandidate(
        foundation=candidate.foundation,
        protocol="udp",
        priority=candidate.priority,
        host=candidate.host,
        port=candidate.port,
        type=candidate.type,
        related_host=candidate.related_address,
        related_port=candidate.related_port,
    )

"""ICE candidates as text, and which addresses of another peer we are willing to send packets to.

A candidate is a request to send packets to an address that somebody else chose. Without limits any peer
could make us probe the network we are in: `CandidateFilter` says no to what no peer can be reached at,
and to what only a probe would want. It holds for candidates in descriptions, for those that come later,
for what a `.local` name resolves to, and for the source of a connectivity check.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final

from rtcrpc.errors import ProtocolError

__all__ = ["DENIED_NETWORKS", "CandidateFilter", "IceCandidate", "parse_candidate"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DENIED_NETWORKS: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # "this network": reaches the host itself on Linux (RFC 1122 section 3.2.1.3)
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and the broadcast address
        "169.254.169.0/24",  # what clouds serve credentials, names and time from;
        "169.254.170.0/24",  # the rest of 169.254/16 is how two machines on one cable reach each other
        "100.100.100.200/32",
        "192.0.0.192/32",
        "::/128",
        "ff00::/8",
        "fe80::/10",  # needs a zone, which a candidate does not carry
        "fd00:ec2::/32",
    )
)

_MDNS_NAME = re.compile(r"[A-Za-z0-9-]{1,63}\.local\.?")
_ICE_CHARS = re.compile(r"[A-Za-z0-9+/]{1,32}")
_TYPES = frozenset({"host", "srflx", "prflx", "relay"})
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class IceCandidate:
    """A candidate of component 1 (RFC 8839 section 5.1). `host` is an address or an mDNS name."""

    foundation: str
    protocol: str
    priority: int
    host: str
    port: int
    type: str
    related_host: str | None = None
    related_port: int | None = None

    def __str__(self) -> str:
        text = f"candidate:{self.foundation} 1 {self.protocol} {self.priority} {self.host} {self.port} typ {self.type}"
        if self.related_host is not None:
            text += f" raddr {self.related_host} rport {self.related_port or 0}"
        return text

    @property
    def is_mdns(self) -> bool:
        """Whether the host is a name to be asked for on the local network."""
        return self.host.endswith(".local")


def parse_candidate(text: str) -> IceCandidate | None:
    """Read `candidate:…`, with or without `a=` before it.

    None for one that we have no use for: another component, a transport other than UDP, and the empty
    string by which browsers say that there are no more. Raises `ProtocolError` for what is not a candidate.
    """
    text = text.strip().removeprefix("a=").removeprefix("candidate:")
    if not text:
        return None
    words = text.split(" ", 32)
    if len(text) > 512 or len(words) < 8 or words[6] != "typ":
        raise ProtocolError(f"expected an ICE candidate (RFC 8839 section 5.1), got {text[:80]!r}")
    foundation, component, protocol, priority, host, port, _, kind = words[:8]
    numbers = (component, priority, port)
    if not all(number.isascii() and number.isdigit() and len(number) <= 10 for number in numbers):
        raise ProtocolError(f"expected numbers in an ICE candidate, got {text[:80]!r}")
    if not _ICE_CHARS.fullmatch(foundation) or kind not in _TYPES or int(port) > 65535:
        raise ProtocolError(f"expected foundation, port and type in an ICE candidate, got {text[:80]!r}")
    if component != "1" or protocol.lower() != "udp":
        return None
    host = host.lower().removesuffix(".") if _MDNS_NAME.fullmatch(host) else host
    return IceCandidate(foundation, "udp", min(int(priority), 0x7FFFFFFF), host, int(port), kind)


@dataclass(frozen=True, slots=True)
class CandidateFilter:
    """Which addresses of another peer may be sent to.

    Loopback and private addresses are let through unless asked otherwise: a local network, and one machine,
    are where many peers are. `denied` replaces the list of networks that never are let through.
    """

    allow_loopback: bool = True
    allow_private: bool = True
    allow_mdns: bool = True
    denied: tuple[Network, ...] = field(default=DENIED_NETWORKS, repr=False)

    def refusal(self, host: str, port: int) -> str | None:
        """Why packets may not go to `host`, an address or an mDNS name; None where they may."""
        if _MDNS_NAME.fullmatch(host):
            if not self.allow_mdns:
                return "mDNS names are not allowed here"
            return None if port >= 1024 else f"port {port} is not one that a peer has"
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            # Looking a name up would tell somebody's name server, or a resolver, what the other peer wrote.
            return "a name that is not under .local is never looked up"
        return self._address_refusal(address, port)

    def _address_refusal(self, address: Address, port: int) -> str | None:
        for inner in _unwrap(address):
            if any(inner in network for network in self.denied if network.version == inner.version):
                return f"{address} is in a range where no peer is"
            if inner.is_loopback and not self.allow_loopback:
                return f"{address} is a loopback address"
            if inner.is_private and not inner.is_loopback and not self.allow_private:
                return f"{address} is a private address"
        # As browsers do: no peer of a local network listens below 1024, but a relay on the open network may.
        if port < 1024 and not (port in (80, 443) and address.is_global):
            return f"port {port} is not one that a peer has"
        return None


def _unwrap(address: Address) -> tuple[Address, ...]:
    """The address, and the IPv4 one that a gateway or the kernel would make of it."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        # The kernel sends these over IPv4; what the IPv6 form is in does not matter.
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    if address in _NAT64:
        return (address, ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return (address,)

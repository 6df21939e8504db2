"""Who may speak to a bootstrap at all: `Host`, `Origin` and the number of connections from one address.
Sans-IO.

A page on any site can make a browser open a WebSocket to a machine that only the browser reaches (cross-site
WebSocket), and a name that an attacker points at 127.0.0.1 makes that machine look like the attacker's site
(DNS rebinding). The browser tells the two apart in `Origin` and `Host`, which a page can't forge. `Host`
counts for joins too: their proofs are bound to it, so a bootstrap that takes any `Host` would take a proof
that was made for another.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from rtcrpc.bootstrap.config import BootstrapConfig

__all__ = ["Admission", "Refusal", "address_key", "is_loopback_host"]

_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,253})(?::([0-9]{1,5}))?", re.ASCII)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not served: the HTTP status, and a sentence for the answer and the log."""

    status: int
    reason: str


class Admission:
    """The gate in front of the rooms, for one configuration."""

    def __init__(self, config: BootstrapConfig) -> None:
        self._max = config.max_connections
        self._max_per_address = config.max_connections_per_address
        listed = list(config.hosts)
        if config.public_url is not None:
            listed.append(urlsplit(config.public_url).netloc)
        self._hosts = frozenset(map(_listed_host, listed))
        self._any_origin = "*" in config.allowed_origins
        self._origins = frozenset(_listed_origin(o) for o in config.allowed_origins if o != "*")
        self._connections: Counter[str] = Counter()
        self._total = 0

    def check_host(self, hosts: Sequence[str]) -> Refusal | None:
        """Judge a request's `Host` headers: there must be exactly one, a loopback or a listed host."""
        if len(hosts) != 1:
            return Refusal(400, f"expected one Host header, got {len(hosts)}")
        host = hosts[0].lower()
        match = _AUTHORITY.fullmatch(host)
        if match is not None and (is_loopback_host(match[1]) or not self._hosts.isdisjoint({host, match[1]})):
            return None
        return Refusal(421, f"the host {_shown(host)} is not served here; list it in hosts (--allow-host) to serve it")

    def check_origin(self, origins: Sequence[str], host: str, *, secure: bool) -> Refusal | None:
        """Judge the values of all `Origin` headers of a WebSocket request whose `Host` was found good.

        None is good: programs send no Origin, only browsers do, and they always do. `secure`: the request
        came over TLS.
        """
        if not origins:
            return None
        if len(origins) > 1:
            return Refusal(400, f"expected one Origin header, got {len(origins)}")
        if self._any_origin:
            return None
        origin = origins[0].lower()
        if origin in self._origins:
            return None
        scheme, _, authority = origin.partition("://")
        match = _AUTHORITY.fullmatch(authority)
        if match is not None and scheme in _DEFAULT_PORTS:
            if is_loopback_host(match[1]):
                return None
            same = match[1] if match[2] == _DEFAULT_PORTS[scheme] else authority
            if same == host.lower() and (scheme == "https" or not secure):
                return None
        return Refusal(
            403,
            f"pages of the origin {_shown(origin)} may not connect; "
            "list it in allowed_origins (--allow-origin) to let them",
        )

    def enter(self, address: str | None) -> Refusal | None:
        """Count one more connection of a client address, unless that is too many. Each one that entered must
        `leave`.
        """
        key = address_key(address)
        if self._total >= self._max:
            return Refusal(503, f"{self._max} connections are open already")
        if address is not None and self._connections[key] >= self._max_per_address:
            return Refusal(429, f"{self._max_per_address} connections of your address are open already")
        self._connections[key] += 1
        self._total += 1
        return None

    def leave(self, address: str | None) -> None:
        """A connection that entered is gone."""
        key = address_key(address)
        self._connections[key] -= 1
        self._total -= 1
        if self._connections[key] <= 0:
            del self._connections[key]


def address_key(address: str | None) -> str:
    """What counts as one client: an IPv4 address, the /64 of an IPv6 address (one customer has all of it), or
    no address at all.
    """
    if address is None:
        return ""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
    return address


def is_loopback_host(host: str) -> bool:
    """Whether a host, without its port, is `localhost` or a loopback address, in brackets or not."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _listed_host(host: str) -> str:
    lowered = host.lower()
    if _AUTHORITY.fullmatch(lowered) is None:
        hint = "; any host would let any site in by DNS rebinding" if "*" in host else ""
        raise ValueError(f"hosts: expected a name such as example.org or example.org:8443, got {host!r}{hint}")
    return lowered


def _listed_origin(origin: str) -> str:
    lowered = origin.lower().removesuffix("/")
    scheme, found, authority = lowered.partition("://")
    if lowered == "null":
        return lowered
    if not found or not scheme or _AUTHORITY.fullmatch(authority) is None:
        raise ValueError(f"allowed_origins: expected such as https://me.github.io, '*' or 'null', got {origin!r}")
    port = _DEFAULT_PORTS.get(scheme)
    return lowered.removesuffix(f":{port}") if port is not None else lowered


def _shown(value: str) -> str:
    return ascii(value[:100])

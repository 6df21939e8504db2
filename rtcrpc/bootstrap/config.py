"""What a bootstrap is told when it is made: whom it serves, what it hands out, how much it takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rtcrpc import limits
from rtcrpc.signaling.base import IceServerInfo

__all__ = ["BootstrapConfig"]

_MAX_ICE_SERVERS: Final = 16
_ICE_SCHEMES: Final = ("stun", "stuns", "turn", "turns")


@dataclass(frozen=True, slots=True)
class BootstrapConfig:
    """The settings of one bootstrap. The defaults suit one person's machine: loopback only, no foreign page.

    Who is let in:

    - `hosts`: names, with or without a port, that a `Host` header may hold besides loopback ones:
      `("example.org",)`.
    - `allowed_origins`: origins of pages, besides the bootstrap's own and loopback ones, that may connect:
      `("https://me.github.io",)`, or `("*",)` for any.
    - `token`: what a joiner must present, None for none. It is for the bootstrap; invites are the peers' own
      business.
    - `trusted_proxies`: addresses of reverse proxies whose `X-Forwarded-For` is believed.

    What is handed out:

    - `public_url`: the address people use, where it differs from the one that is bound:
      `https://example.org/rtc`. Its host is allowed.
    - `ice_servers`: STUN and TURN servers, with long-term credentials where they need them; `ice_ttl`:
      seconds for which they hold.
    - `page_dir`: the folder of the static page, None for no page.

    How much is taken: `max_peers_per_room` and `max_rooms` in all, `max_rooms_per_peer` for one key,
    `max_connections` in all, `max_connections_per_address` and, in one room, `max_members_per_address` for
    one client address (a /64 in IPv6); `message_rate` a second with `message_burst` at once for one
    connection; `join_seconds` until a connection must have joined.
    """

    hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    token: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    public_url: str | None = None
    ice_servers: tuple[IceServerInfo, ...] = ()
    ice_ttl: int = 86400
    page_dir: Path | None = None
    max_peers_per_room: int = limits.MAX_PEERS_PER_ROOM
    max_rooms: int = 10_000
    max_rooms_per_peer: int = limits.MAX_ROOMS
    max_connections: int = 10_000
    max_connections_per_address: int = 256
    max_members_per_address: int = 64
    message_rate: float = 50.0
    message_burst: float = 500.0
    join_seconds: float = limits.HANDSHAKE_SECONDS

    def __post_init__(self) -> None:
        for field in ("hosts", "allowed_origins", "trusted_proxies"):
            if isinstance(value := getattr(self, field), str):
                raise ValueError(f"{field}: expected a tuple of texts, got the text {value!r}; write ({value!r},)")
        if self.token is not None and not 0 < len(self.token) <= limits.TOKEN_LENGTH:
            raise ValueError(f"token: expected 1 to {limits.TOKEN_LENGTH} characters, got {len(self.token)}")
        if not 0 < self.max_peers_per_room <= limits.MAX_PEERS_PER_ROOM:
            raise ValueError(
                f"max_peers_per_room: expected 1 to {limits.MAX_PEERS_PER_ROOM}, got {self.max_peers_per_room}"
            )
        if self.page_dir is not None and not self.page_dir.is_dir():
            raise ValueError(f"page_dir: expected a folder, got {str(self.page_dir)!r}")
        if self.public_url is not None:
            parts = urlsplit(self.public_url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
                raise ValueError(f"public_url: expected such as https://example.org/rtc, got {self.public_url!r}")
        self._check_ice_servers()

    def _check_ice_servers(self) -> None:
        if len(self.ice_servers) > _MAX_ICE_SERVERS:
            raise ValueError(f"ice_servers: expected at most {_MAX_ICE_SERVERS}, got {len(self.ice_servers)}")
        for server in self.ice_servers:
            for url in server.urls:
                scheme, _, rest = url.partition(":")
                if scheme not in _ICE_SCHEMES or not rest:
                    raise ValueError(f"ice_servers: expected such as stun:example.org:3478, got {url!r}")
                if scheme in ("turn", "turns") and (server.username is None or server.credential is None):
                    raise ValueError(f"ice_servers: {url!r} needs a username and a credential")

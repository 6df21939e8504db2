"""What `serve` and `demo` share: a bootstrap (embedded, or one elsewhere), a peer in a room, and the link to it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rtcrpc.core.identity import Identity, b64url_encode, lp

if TYPE_CHECKING:
    from rtcrpc.mesh.room import Room
    from rtcrpc.service.policy import Policy
    from rtcrpc.service.registry import Registry
    from rtcrpc.signaling.base import IceServerInfo

__all__ = ["Plan", "Served", "invite_secret", "serving"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to serve. `bootstrap` None: embed one on `host` and `port` (0: any that is free); `with_page`: it serves the page too."""

    name: str
    registry: Registry
    identity: Identity | None = None
    room: str | None = None
    bootstrap: str | None = None
    page: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    with_page: bool = True
    open_to_room: bool = False
    ice_servers: tuple[IceServerInfo, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    public_url: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    bootstrap_token: str | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """What is running: the room, the link that leads to the peer, and where the embedded bootstrap listens."""

    room: Room
    link: str
    url: str
    methods: list[str] = field(default_factory=list)


def invite_secret(identity: Identity) -> str:
    """The secret of a peer's links: the same for the same key, so that a link outlives a restart, and no way back to the key."""
    return b64url_encode(hashlib.sha256(lp("rtcrpc-invite-v1", identity.private_bytes())).digest()[:16])


def _origin_of(page: str | None) -> tuple[str, ...]:
    parts = urlsplit(page or "")
    return (f"{parts.scheme}://{parts.netloc}",) if parts.scheme and parts.netloc else ()


@asynccontextmanager
async def serving(plan: Plan) -> AsyncIterator[Served]:
    """Serve until the context ends."""
    from rtcrpc.bootstrap import Bootstrap, BootstrapConfig
    from rtcrpc.core.invite import Invite
    from rtcrpc.peer import Peer
    from rtcrpc.service.policy import InvitePolicy, OpenPolicy
    from rtcrpc.transport.base import IceServer
    from rtcrpc.web import static_dir

    identity = plan.identity or Identity.generate(secrets.token_bytes(32))
    room_name = plan.room or f"{plan.name}-{identity.peer_id[:8]}"
    async with AsyncExitStack() as stack:
        if plan.bootstrap is None:
            config = BootstrapConfig(
                page_dir=static_dir() if plan.with_page else None,
                ice_servers=plan.ice_servers,
                # A page that the link names may come in.
                allowed_origins=(*plan.allowed_origins, *_origin_of(plan.page)),
                hosts=plan.allowed_hosts,
                public_url=plan.public_url,
            )
            server = await stack.enter_async_context(
                Bootstrap(config).serve(host=plan.host, port=plan.port, certfile=plan.tls_cert, keyfile=plan.tls_key)
            )
            base = server.ws_url
            meeting_place = server.local_ws_url
            page: str | None = plan.page or f"{server.url}/"
        else:
            base, page = plan.bootstrap, plan.page
            meeting_place = base
        secret = None if plan.open_to_room else invite_secret(identity)
        policy: Policy = OpenPolicy() if secret is None else InvitePolicy([secret])
        peer = Peer(
            identity=identity,
            name=plan.name,
            registry=plan.registry,
            policy=policy,
            ice_servers=[IceServer(s.urls, s.username, s.credential) for s in plan.ice_servers] or None,
        )
        meeting = Invite(bootstrap=meeting_place, room=room_name, pin=None, name=None, token=None)
        room = await stack.enter_async_context(peer.join(meeting, bootstrap_token=plan.bootstrap_token))
        same_origin = page is not None and plan.bootstrap is None and plan.page is None
        guest = Invite(
            bootstrap=None if same_origin else base, room=room_name, pin=identity.peer_id, name=plan.name, token=secret
        )
        link = guest.to_link(page) if page is not None else guest.url + guest.to_fragment()
        yield Served(room=room, link=link, url=page or base, methods=plan.registry.names())

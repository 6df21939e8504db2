"""The public object: an identity, what it offers, whom it lets in, and the rooms it is in."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Generator, Iterable
from typing import Any

from rtcrpc import limits
from rtcrpc.arrays import use_numpy
from rtcrpc.core.identity import Identity, parse_peer_id
from rtcrpc.core.invite import Invite
from rtcrpc.core.session import SessionConfig
from rtcrpc.link import LinkSettings
from rtcrpc.mesh.driver import MakeSignaling, RoomDriver
from rtcrpc.mesh.room import Room
from rtcrpc.runtime import Runtime
from rtcrpc.service.dispatch import Dispatcher
from rtcrpc.service.policy import PinnedPolicy, Policy
from rtcrpc.service.registry import Registry
from rtcrpc.signaling.websocket import WebSocketSignaling
from rtcrpc.transport.base import IceServer, Transport
from rtcrpc.transport.webrtc import WebRtcTransport

__all__ = ["BasePeer", "Joining", "Peer", "join"]


class BasePeer:
    """One end of calls, whether its rooms are awaited or not.

    `identity`: the key that names this peer; made anew where none is given. `name`: a label for people. `registry`: the functions
    it offers, none by default. `policy`: who may call them; by default only peers whose key was pinned
    (`rtcrpc.InvitePolicy` lets in whoever holds a link, `rtcrpc.OpenPolicy` everybody in the room). `ice_servers`: STUN and TURN servers
    to use instead of those that the bootstrap hands out.
    """

    def __init__(
        self,
        *,
        identity: Identity | None = None,
        name: str | None = None,
        registry: Registry | None = None,
        policy: Policy | None = None,
        transport: Transport | None = None,
        ice_servers: Iterable[IceServer] | None = None,
        session: SessionConfig | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        self.identity = identity or Identity.generate(secrets.token_bytes(32))
        self.name = name if name is not None else f"peer-{self.identity.peer_id[:6]}"
        if len(self.name) > limits.MAX_NAME_LENGTH:
            raise ValueError(f"name: expected at most {limits.MAX_NAME_LENGTH} characters, got {len(self.name)}")
        self.registry = registry if registry is not None else Registry()
        self.policy: Policy = policy if policy is not None else PinnedPolicy()
        self._transport = transport
        self._ice_servers = None if ice_servers is None else tuple(ice_servers)
        self._session = session or SessionConfig()
        self._runtime = runtime
        use_numpy()

    @property
    def peer_id(self) -> str:
        """The peer id: 43 characters, the public key (protocol section 1)."""
        return self.identity.peer_id

    async def _join(
        self,
        where: str | Invite,
        pin: str | Iterable[str] | None,
        token: str | None,
        bootstrap_token: str | None,
    ) -> Room:
        invite = where if isinstance(where, Invite) else Invite.parse(where)
        pins = {pin} if isinstance(pin, str) else set(pin or ())
        if invite.pin is not None:
            pins.add(invite.pin)
        for key in pins:
            try:
                parse_peer_id(key)
            except ValueError as error:
                raise ValueError(f"pin: {error}") from None
        return await self._enter(
            invite.room,
            frozenset(pins),
            token if token is not None else invite.token,
            lambda events: WebSocketSignaling(invite.url, self.identity, self.name, events, token=bootstrap_token),
        )

    async def _enter(
        self, room_name: str, pins: frozenset[str], token: str | None, make_signaling: MakeSignaling
    ) -> Room:
        """Join a room by whatever signaling is given."""
        runtime = self._runtime or Runtime.default()
        dispatcher = Dispatcher(
            self.registry, self.policy, runtime=runtime, user_loop=asyncio.get_running_loop(), title=self.name
        )
        settings = LinkSettings(
            identity=self.identity,
            name=self.name,
            room=room_name,
            expected=None,
            pins=pins,
            token=token,
            session=self._session,
        )

        def make_driver(room: Room) -> RoomDriver:
            return RoomDriver(
                settings,
                self._transport or WebRtcTransport(),
                make_signaling,
                dispatcher,
                room,
                self._ice_servers,
                runtime.mailbox().call_at_end,
            )

        room = Room(room_name, self.peer_id, self.name, runtime, dispatcher.pool)
        await room.open(make_driver, [dispatcher.close])
        return room


class Peer(BasePeer):
    """A peer for programs with an event loop. The arguments are those of `BasePeer`."""

    def join(
        self,
        where: str | Invite,
        *,
        pin: str | Iterable[str] | None = None,
        token: str | None = None,
        bootstrap_token: str | None = None,
    ) -> Joining:
        """Join a room: `async with peer.join(link) as room:`, or `room = await peer.join(link)`.

        `where`: an invite link, or the URL of a room, `wss://host/room/name`. `pin`: the key, or keys, that names in the room may stand
        for. `token`: what entitles us, such as the secret of an invite. A link carries both.
        `bootstrap_token`: what the bootstrap asks for, where it does. Raises `InviteError` for a link that can't be
        read, `SignalingError` where the bootstrap can't be reached or refuses.
        """
        return Joining(self, where, pin, token, bootstrap_token)


class Joining:
    """A join under way: await it for the room, or use it with `async with`, which leaves the room at the end."""

    def __init__(
        self,
        peer: BasePeer,
        where: str | Invite,
        pin: str | Iterable[str] | None,
        token: str | None,
        bootstrap_token: str | None,
    ) -> None:
        self._peer = peer
        self._where = where
        self._pin = pin
        self._token = token
        self._bootstrap_token = bootstrap_token
        self._room: Room | None = None

    def __await__(self) -> Generator[Any, None, Room]:
        return self._peer._join(self._where, self._pin, self._token, self._bootstrap_token).__await__()

    async def __aenter__(self) -> Room:
        self._room = await self
        return self._room

    async def __aexit__(self, *exc: object) -> None:
        if self._room is not None:
            await self._room.close()


def join(
    where: str | Invite,
    *,
    pin: str | Iterable[str] | None = None,
    token: str | None = None,
    bootstrap_token: str | None = None,
    name: str | None = None,
    registry: Registry | None = None,
    identity: Identity | None = None,
    policy: Policy | None = None,
    transport: Transport | None = None,
    ice_servers: Iterable[IceServer] | None = None,
) -> Joining:
    """Join a room as a new `Peer` made of the arguments: `async with rtcrpc.join(link) as room:`."""
    peer = Peer(
        identity=identity, name=name, registry=registry, policy=policy, transport=transport, ice_servers=ice_servers
    )
    return peer.join(where, pin=pin, token=token, bootstrap_token=bootstrap_token)

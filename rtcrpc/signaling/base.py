"""What every way of finding peers has in common: the room's members, signals, and the interface of an
adapter.

An adapter (WebSocket, relay through a peer, pasted text) carries signed signals between the members of one
room and tells its owner, through a `SignalingEvents`, who comes and goes. It sees no calls. See section 9 of
the protocol page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

__all__ = ["IceServerInfo", "Joined", "Member", "Signal", "Signaling", "SignalingEvents", "SignalingState"]

SignalingState = Literal["connecting", "joined", "reconnecting", "closed"]
"""Where an adapter stands. `closed` is final: the owner closed it, or its reason says why it will not try
again.
"""


@dataclass(frozen=True, slots=True)
class Member:
    """A peer in the room: its proved id (43 characters) and the name it chose, which proves nothing."""

    peer_id: str
    name: str


@dataclass(frozen=True, slots=True)
class IceServerInfo:
    """A STUN or TURN server that the bootstrap hands out (the fields of WebRTC's RTCIceServer)."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """The answer to a join.

    `members` are the others in the room, never oneself. `ttl` is the number of seconds for which
    `ice_servers` hold.
    """

    members: tuple[Member, ...]
    ice_servers: tuple[IceServerInfo, ...]
    ttl: float


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal whose signature holds and which was not seen before.

    `sender` is the proved peer id, `attempt` the 22 characters that name the offer it belongs to, `payload`
    one of the four kinds of section 9 with its members checked: `offer`, `answer`, `candidate`, `refuse`.
    """

    sender: str
    attempt: str
    payload: dict[str, Any]


class SignalingEvents(Protocol):
    """What the owner of an adapter hands in. Called on the network loop; must not block."""

    def joined(self, joined: Joined) -> None:
        """We are in the room, for the first time or again after the connection was lost.

        The members of the first `joined` are not announced by `peer_joined` as well. After a later one
        `peer_joined` follows for those who are new. Those who are missing have 5 seconds to come back, since
        they may have lost the same bootstrap; then `peer_left` says that they went.
        """

    def peer_joined(self, member: Member) -> None:
        """A peer came in. A peer already known has joined anew, perhaps under another name."""

    def peer_left(self, peer_id: str) -> None:
        """A peer is no longer in the room. Connections with it may well be alive: they need no room."""

    def signal_received(self, signal: Signal) -> None:
        """A verified signal for us."""

    def signal_forged(self, sender: str, attempt: str, kind: str) -> None:
        """A signal for us that `sender` did not sign as it stands, and that was dropped: somebody on its way,
        most likely the bootstrap, changed it or made it up. `kind` is what it claimed to be.
        """

    def signaling_state(self, state: SignalingState, reason: str) -> None:
        """The adapter's state changed; `reason` is a sentence for people, empty where there is nothing to
        say.
        """


class Signaling(Protocol):
    """One membership of one room."""

    async def join(self) -> Joined:
        """Enter the room; call it once. `SignalingError` when that is refused or impossible."""

    def send_signal(self, to: str, attempt: str, payload: Mapping[str, Any]) -> None:
        """Sign a payload and send it to a member, without waiting. It may be lost: dial deadlines notice
        that.

        `SignalingError` when the payload is not one of section 9, is too long, or the adapter is closed.
        """

    async def close(self) -> None:
        """Leave the room for good. Idempotent."""

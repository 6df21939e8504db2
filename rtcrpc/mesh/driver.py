"""The network half of a room: signaling, and a dialer for each other peer, all on the network loop.

The public half (`rtcrpc.mesh.room.Room`) lives on the user's loop and talks to this one by handing over functions, so that nothing
a user's code does can hold up a heartbeat.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Protocol

from rtcrpc import limits
from rtcrpc.errors import ConnectionLost, Unavailable
from rtcrpc.link import Link, LinkEvents, LinkSettings, OutgoingCall, Service
from rtcrpc.mesh.dialer import Dialer
from rtcrpc.mesh.membership import Entry, LinkState, Membership
from rtcrpc.signaling.base import Joined, Member, Signal, Signaling, SignalingEvents, SignalingState
from rtcrpc.transport.base import Candidate, IceServer, Transport

__all__ = ["MakeSignaling", "RoomDriver", "RoomObserver"]

logger = logging.getLogger("rtcrpc.room")

MakeSignaling = Callable[[SignalingEvents], Signaling]


class RoomObserver(Protocol):
    """What the driver tells, on the network loop. Entries go on changing: take what is needed at once."""

    def member_changed(self, entry: Entry, kind: str) -> None:
        """`kind` is `joined` or `left`."""

    def link_changed(self, entry: Entry, link: Link | None) -> None:
        """`entry.state` and `entry.reason` are new."""

    def signaling_changed(self, state: str, reason: str) -> None:
        """The way to the bootstrap: connecting, joined, reconnecting, closed."""


class RoomDriver:
    """Joins a room, tells the dialers what is signaled, and keeps the table of peers. Made and used on the network loop only.

    It is the `SignalingEvents` of its signaling and the owner of its dialers.
    """

    def __init__(
        self,
        settings: LinkSettings,
        transport: Transport,
        make_signaling: MakeSignaling,
        service: Service,
        observer: RoomObserver,
        ice_servers: tuple[IceServer, ...] | None = None,
        call_later: Callable[[Callable[[], object]], object] | None = None,
    ) -> None:
        self.membership = Membership(settings.identity.peer_id, settings.pins)
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._transport = transport
        self._service = service
        self._observer = observer
        self._call_later = call_later
        self._own_ice_servers = ice_servers
        self._ice_servers: tuple[IceServer, ...] = ice_servers or ()
        self._dialers: dict[str, Dialer] = {}
        self._arrivals: set[asyncio.Future[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._links: set[Link] = set()
        self._closed = False
        self._was_joined = False
        self._signaling = make_signaling(self)

    # -- what the public half asks for -------------------------------------------------------------------

    async def open(self) -> None:
        """Join the room. Raises `SignalingError` where the bootstrap can't be reached or refuses."""
        try:
            await self._signaling.join()
        except BaseException:
            await self.close("the room was not joined")
            raise

    async def close(self, reason: str) -> None:
        """Leave: every link ends once the answers it owes are out, and says bye; the bootstrap is told at once."""
        if self._closed:
            return
        self._closed = True
        for dialer in tuple(self._dialers.values()):
            dialer.close(reason)
        self._wake()
        links = [link.closed.wait() for link in tuple(self._links)]
        # Tasks of dials are not cancelled: their connections are closed, so they end soon, and one that is making a socket must
        # get to see it, or nobody closes it.
        outcomes = await asyncio.gather(self._signaling.close(), *links, *tuple(self._tasks), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                logger.error("leaving the room did not go as it should", exc_info=outcome)

    async def find(self, wanted: str | None, timeout: float) -> Entry:
        """The peer that `wanted` means (see `Membership.resolve`), waiting up to `timeout` seconds for it to come in."""
        deadline = self._loop.time() + timeout
        while True:
            if self._closed:
                raise ConnectionLost("the room was closed on this side: join it again", ran=False)
            if (entry := self.membership.resolve(wanted)) is not None:
                return entry
            arrival: asyncio.Future[None] = self._loop.create_future()
            self._arrivals.add(arrival)
            try:
                async with asyncio.timeout_at(deadline):
                    await arrival
            except TimeoutError:
                raise Unavailable(self._nobody(wanted, timeout), ran=False) from None
            finally:
                self._arrivals.discard(arrival)

    async def connect(self, peer_id: str, timeout: float = limits.DIAL_SECONDS) -> Link:
        """The ready link to `peer_id`, dialed where there is none (see `Dialer.connect`)."""
        return await self._dialer(peer_id).connect(timeout)

    def start_call(self, peer_id: str, call: OutgoingCall) -> Callable[[], None]:
        """Call; dials first where there is no link. The value returned gives the call up."""
        return self._dialer(peer_id).start_call(call)

    # -- signaling.base.SignalingEvents ------------------------------------------------------------------

    def joined(self, joined: Joined) -> None:
        """The bootstrap took us in (again)."""
        if self._own_ice_servers is None:
            self._ice_servers = tuple(
                IceServer(urls=s.urls, username=s.username, credential=s.credential) for s in joined.ice_servers
            )
        if self._was_joined:
            return  # what changed in between follows as peer_left and peer_joined
        self._was_joined = True
        self.membership.replace(joined.members)
        for entry in self.membership.present():
            self._observer.member_changed(entry, "joined")
        self._wake()

    def peer_joined(self, member: Member) -> None:
        """A peer came in."""
        if (entry := self.membership.add(member)) is None:
            return
        self._observer.member_changed(entry, "joined")
        if (dialer := self._dialers.get(member.peer_id)) is not None:
            dialer.peer_returned()
        self._wake()

    def peer_left(self, peer_id: str) -> None:
        """A peer went."""
        if (entry := self.membership.remove(peer_id)) is not None:
            self._observer.member_changed(entry, "left")
            self._forget_if_idle(peer_id)

    def signaling_state(self, state: SignalingState, reason: str) -> None:
        """The way to the bootstrap changed; links are not concerned."""
        self._observer.signaling_changed(state, reason)

    def signal_received(self, signal: Signal) -> None:
        """A signal whose signature held."""
        payload, sender = signal.payload, signal.sender
        kind = payload.get("kind")
        if sender not in self._dialers and (kind not in ("offer", "candidate") or not self._has_room_for(sender)):
            logger.debug("ignored a signal %r of %s: it belongs to no attempt of ours", kind, sender)
            return
        dialer = self._dialer(sender)
        match kind:
            case "offer":
                dialer.offer_received(signal.attempt, str(payload["sdp"]))
            case "answer":
                dialer.answer_received(signal.attempt, str(payload["sdp"]))
            case "candidate":
                candidate = Candidate(candidate=str(payload["candidate"]), mid=str(payload["mid"]))
                dialer.candidate_received(signal.attempt, candidate)
            case "refuse":
                dialer.refusal_received(signal.attempt, int(payload["code"]), str(payload.get("reason", "")))
        self._forget_if_idle(sender)

    def signal_forged(self, sender: str, attempt: str, kind: str) -> None:
        """A signal in the name of `sender` that it did not sign."""
        if sender in self._dialers or self.is_present(sender):
            self._dialer(sender).forgery_received(attempt, kind)
        else:
            logger.info("dropped a forged signal in the name of %s, who is not in the room", sender)

    # -- mesh.dialer.DialerOwner -------------------------------------------------------------------------

    def make_link(self, peer_id: str, events: LinkEvents) -> Link:
        """A link that admits only the key `peer_id`."""
        settings = replace(self._settings, expected=frozenset({peer_id}))
        link = Link(settings, self._transport, self._ice_servers, events, self._service, self._call_later)
        self._links.add(link)
        return link

    def link_gone(self, link: Link) -> None:
        """A link has freed all it held."""
        self._links.discard(link)

    def send_signal(self, peer_id: str, attempt: str, payload: Mapping[str, Any]) -> None:
        """Hand a signal to the bootstrap."""
        self._signaling.send_signal(peer_id, attempt, payload)

    def state_changed(self, peer_id: str, state: LinkState, reason: str, link: Link | None) -> None:
        """A dialer's word on how its peer stands with us."""
        name = link.remote.name if link is not None and link.remote is not None else None
        self._observer.link_changed(self.membership.set_state(peer_id, state, reason, name), link)
        if state is LinkState.CONNECTED:
            self._wake()

    def dialer_idle(self, dialer: Dialer) -> None:
        """Nothing is under way with a peer."""
        self._forget_if_idle(dialer.peer_id)

    def describe(self, peer_id: str) -> str:
        """The peer for people."""
        entry = self.membership.get(peer_id)
        return f"{entry.name!r} ({peer_id[:8]}…)" if entry is not None and entry.name else f"{peer_id[:8]}…"

    def is_present(self, peer_id: str) -> bool:
        """Whether the bootstrap says that it is in the room."""
        entry = self.membership.get(peer_id)
        return entry is not None and entry.present

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`; the room does not close before it has ended."""
        task = self._loop.create_task(work, name="rtcrpc dial")
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    # -- inside ------------------------------------------------------------------------------------------

    def _dialer(self, peer_id: str) -> Dialer:
        dialer = self._dialers.get(peer_id)
        if dialer is None:
            dialer = Dialer(self._settings.identity.peer_id, peer_id, self)
            if self._closed:
                dialer.close("the room was closed")
            else:
                self._dialers[peer_id] = dialer
        return dialer

    def _has_room_for(self, sender: str) -> bool:
        # A bootstrap can make up as many keys as it likes, each with an offer that is well signed.
        return self.is_present(sender) or len(self._dialers) < 2 * limits.MAX_PEERS_PER_ROOM

    def _forget_if_idle(self, peer_id: str) -> None:
        dialer = self._dialers.get(peer_id)
        if dialer is not None and dialer.idle and self.membership.get(peer_id) is None:
            del self._dialers[peer_id]

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task of the room failed", exc_info=error)

    def _wake(self) -> None:
        arrivals, self._arrivals = self._arrivals, set()
        for arrival in arrivals:
            if not arrival.done():
                arrival.set_result(None)

    def _nobody(self, wanted: str | None, timeout: float) -> str:
        here = ", ".join(f"{e.name!r} ({e.peer_id[:8]}…)" for e in self.membership.present()) or "nobody else"
        if wanted is not None:
            whom = repr(wanted)
        elif self._settings.pins:
            whom = (
                "the peer whose key is pinned (" + ", ".join(f"{pin[:8]}…" for pin in sorted(self._settings.pins)) + ")"
            )
        else:
            whom = "a peer"
        return (
            f"expected {whom} to be in room {self._settings.room!r} within {timeout:g} s; there: {here}. "
            "Is it running, and in the same room?"
        )

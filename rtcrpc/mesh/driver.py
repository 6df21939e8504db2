"""The network half of a room: signaling, dials and links, all on the network loop.

The public half (`rtcrpc.mesh.room.Room`) lives on the user's loop and talks to this one by handing over functions, so that nothing
a user's code does can hold up a heartbeat.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rtcrpc import codes, limits
from rtcrpc.core.identity import b64url_encode
from rtcrpc.errors import ConnectionLost, RtcRpcError, SignalingError, Unavailable
from rtcrpc.link import Link, LinkSettings, LinkStage, OnAnswer, Service
from rtcrpc.mesh.membership import Entry, LinkState, Membership
from rtcrpc.mesh.negotiation import Negotiation, OfferVerdict
from rtcrpc.signaling.base import Joined, Member, Signal, Signaling, SignalingEvents
from rtcrpc.transport.base import Candidate, IceServer, Transport

__all__ = ["MakeSignaling", "RoomDriver", "RoomObserver"]

logger = logging.getLogger("rtcrpc.room")

MakeSignaling = Callable[[SignalingEvents], Signaling]


class RoomObserver(Protocol):
    """What the driver tells, on the network loop."""

    def member_changed(self, entry: Entry, kind: str) -> None:
        """`kind` is `joined` or `left`."""

    def link_changed(self, entry: Entry, link: Link | None) -> None:
        """`entry.state` and `entry.reason` are new."""

    def signaling_changed(self, state: str, reason: str) -> None:
        """The way to the bootstrap: connecting, joined, reconnecting, closed."""


@dataclass(slots=True)
class _Remote:
    """What the driver holds of one other peer."""

    negotiation: Negotiation
    link: Link | None = None
    """The link that is ready."""
    dialing: Link | None = None
    """The link of the current attempt, until it is ready."""
    attempt: str = ""
    early_candidates: list[tuple[str, Candidate]] = field(default_factory=list)
    waiters: list[asyncio.Future[Link]] = field(default_factory=list)
    timeout: asyncio.TimerHandle | None = None


class RoomDriver:
    """Joins a room, dials and answers, and keeps what is known of each peer. Made and used on the network loop only."""

    def __init__(
        self,
        settings: LinkSettings,
        transport: Transport,
        make_signaling: MakeSignaling,
        service: Service,
        observer: RoomObserver,
        ice_servers: tuple[IceServer, ...] | None = None,
    ) -> None:
        self.membership = Membership(settings.identity.peer_id, settings.pins)
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._transport = transport
        self._service = service
        self._observer = observer
        self._own_ice_servers = ice_servers
        self._ice_servers: tuple[IceServer, ...] = ice_servers or ()
        self._remotes: dict[str, _Remote] = {}
        self._arrivals: list[asyncio.Future[None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending: set[Link] = set()
        self._closed = False
        self._was_joined = False
        self._signaling = make_signaling(self)

    # -- what the public half asks for -------------------------------------------------------------------

    async def open(self) -> None:
        """Join the room. Raises `SignalingError` where the bootstrap can't be reached or refuses."""
        try:
            await self._signaling.join()
        except BaseException:
            self._closed = True
            await self._signaling.close()
            raise

    async def close(self, reason: str) -> None:
        """Leave: every link says bye and drains, then the signaling ends."""
        if self._closed:
            return
        self._closed = True
        for task in tuple(self._tasks):
            task.cancel()
        for peer_id, remote in self._remotes.items():
            self._fail_waiters(remote, ConnectionLost("the room was closed on this side", ran=False))
            for link in (remote.dialing, remote.link):
                if link is not None:
                    link.close(0, reason)
            if (entry := self.membership.get(peer_id)) is not None and entry.state is not LinkState.NEW:
                self._set_state(peer_id, LinkState.CLOSED, reason)
        await asyncio.gather(*(link.closed.wait() for link in tuple(self._ending)))
        await self._signaling.close()

    async def find(self, wanted: str | None, timeout: float) -> Entry:
        """The peer that `wanted` means (see `Membership.resolve`), waiting up to `timeout` seconds for it to come in."""
        deadline = self._loop.time() + timeout
        while True:
            if self._closed:
                raise ConnectionLost("the room was closed on this side", ran=False)
            if (entry := self.membership.resolve(wanted)) is not None:
                return entry
            arrival: asyncio.Future[None] = self._loop.create_future()
            self._arrivals.append(arrival)
            try:
                async with asyncio.timeout_at(deadline):
                    await arrival
            except TimeoutError:
                raise Unavailable(self._nobody(wanted, timeout)) from None
            finally:
                if arrival in self._arrivals:
                    self._arrivals.remove(arrival)

    async def connect(self, peer_id: str, timeout: float = limits.DIAL_SECONDS) -> Link:
        """The ready link to `peer_id`, dialed where there is none.

        Raises `Unavailable` when nothing answers in `timeout` seconds, a `HandshakeError` when the other can't prove its key.
        """
        remote = self._remote(peer_id)
        if remote.link is not None:
            return remote.link
        waiter: asyncio.Future[Link] = self._loop.create_future()
        remote.waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout):
                if remote.dialing is None:
                    await self._dial(peer_id, remote)
                return await waiter
        except TimeoutError:
            error = Unavailable(self._no_link(peer_id, remote, timeout))
            self._abandon(peer_id, remote, error)
            raise error from None
        finally:
            if waiter in remote.waiters:
                remote.waiters.remove(waiter)

    def start_call(
        self, peer_id: str, method: str, params: Any, timeout: float | None, on_answer: OnAnswer
    ) -> Callable[[], None]:
        """Call; dials first where there is no link. The value returned gives the call up."""
        link = self._remote(peer_id).link
        if link is not None:
            request_id = link.start_call(method, params, timeout, on_answer)
            return (lambda: None) if request_id is None else (lambda: link.cancel_call(request_id))
        task = self._spawn(self._connect_and_call(peer_id, method, params, timeout, on_answer))
        
        def give_up() -> None:
            task.cancel()

        return give_up

    async def _connect_and_call(
        self, peer_id: str, method: str, params: Any, timeout: float | None, on_answer: OnAnswer
    ) -> None:
        started = self._loop.time()
        try:
            link = await self.connect(peer_id, min(timeout or limits.DIAL_SECONDS, limits.DIAL_SECONDS))
        except RtcRpcError as error:
            on_answer(None, error)
            return
        done = asyncio.Event()

        def answer(result: Any, error: Exception | None) -> None:
            done.set()
            on_answer(result, error)

        left = None if timeout is None else max(timeout - (self._loop.time() - started), 0.001)
        request_id = link.start_call(method, params, left, answer)
        try:
            await done.wait()
        except asyncio.CancelledError:
            if request_id is not None:
                link.cancel_call(request_id)
            raise

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
        if (entry := self.membership.add(member)) is not None:
            self._observer.member_changed(entry, "joined")
            self._wake()

    def peer_left(self, peer_id: str) -> None:
        """A peer went."""
        if (entry := self.membership.remove(peer_id)) is not None:
            self._observer.member_changed(entry, "left")

    def signaling_state(self, state: str, reason: str) -> None:
        """The way to the bootstrap changed; links are not concerned."""
        self._observer.signaling_changed(state, reason)

    def signal_received(self, signal: Signal) -> None:
        """A signal whose signature held."""
        if self._closed:
            return
        remote = self._remote(signal.sender)
        payload = signal.payload
        match payload.get("kind"):
            case "offer":
                self._offer_received(signal.sender, remote, signal.attempt, payload)
            case "answer" if remote.negotiation.expects_answer(signal.attempt) and remote.dialing is not None:
                self._spawn(self._take_answer(signal.sender, remote, remote.dialing, str(payload["sdp"])))
            case "candidate":
                self._candidate_received(remote, signal.attempt, payload)
            case "refuse" if remote.negotiation.is_current(signal.attempt) and remote.dialing is not None:
                error = Unavailable(f"{self._describe(signal.sender)} refused: {payload.get('reason', '')}")
                self._abandon(signal.sender, remote, error, tell=False)
            case kind:
                logger.debug("ignored a signal %r of attempt %s: it belongs to no dial of ours", kind, signal.attempt)

    # -- dialing and answering ---------------------------------------------------------------------------

    async def _dial(self, peer_id: str, remote: _Remote) -> None:
        attempt = b64url_encode(secrets.token_bytes(16))
        remote.negotiation.dial(attempt)
        link = self._begin(peer_id, remote, attempt)
        try:
            sdp = await link.connection.create_offer()
        except RtcRpcError as error:
            self._abandon(peer_id, remote, error)
            return
        if remote.dialing is link:
            self._send(peer_id, attempt, {"kind": "offer", "sdp": sdp})

    def _offer_received(self, peer_id: str, remote: _Remote, attempt: str, payload: Mapping[str, Any]) -> None:
        verdict = remote.negotiation.receive_offer(attempt)
        logger.debug("offer of %s, attempt %s: %s", peer_id, attempt, verdict.value)
        if verdict in (OfferVerdict.IGNORE_GLARE, OfferVerdict.IGNORE_REPLAY):
            return
        if remote.dialing is not None:
            self._drop_dialing(remote, "gave way to the offer of the other side")
        link = self._begin(peer_id, remote, attempt)
        self._spawn(self._answer(peer_id, remote, link, attempt, str(payload["sdp"])))

    async def _answer(self, peer_id: str, remote: _Remote, link: Link, attempt: str, sdp: str) -> None:
        try:
            answer = await link.connection.accept_offer(sdp)
            await self._add_early_candidates(remote, link, attempt)
        except RtcRpcError as error:
            logger.warning("the offer of %s was refused: %s", self._describe(peer_id), error)
            if remote.dialing is link:
                self._abandon(peer_id, remote, error)
            return
        if remote.dialing is link:
            self._send(peer_id, attempt, {"kind": "answer", "sdp": answer})

    async def _take_answer(self, peer_id: str, remote: _Remote, link: Link, sdp: str) -> None:
        try:
            await link.connection.accept_answer(sdp)
            await self._add_early_candidates(remote, link, remote.attempt)
        except RtcRpcError as error:
            if remote.dialing is link:
                self._abandon(peer_id, remote, error)

    def _candidate_received(self, remote: _Remote, attempt: str, payload: Mapping[str, Any]) -> None:
        candidate = Candidate(candidate=str(payload["candidate"]), mid=str(payload.get("mid", "0")))
        if remote.negotiation.is_current(attempt) and remote.dialing is not None:
            self._spawn(self._add_candidate(remote.dialing, candidate))
        elif len(remote.early_candidates) < limits.MAX_CANDIDATES:
            remote.early_candidates.append((attempt, candidate))

    async def _add_early_candidates(self, remote: _Remote, link: Link, attempt: str) -> None:
        early, remote.early_candidates = remote.early_candidates, []
        for candidate_attempt, candidate in early:
            if candidate_attempt == attempt:
                await self._add_candidate(link, candidate)

    async def _add_candidate(self, link: Link, candidate: Candidate) -> None:
        try:
            await link.connection.add_candidate(candidate)
        except RtcRpcError as error:
            logger.warning("a candidate was not taken: %s", error)

    def _begin(self, peer_id: str, remote: _Remote, attempt: str) -> Link:
        settings = self._settings
        expected = frozenset({peer_id})
        link = Link(
            LinkSettings(
                identity=settings.identity,
                name=settings.name,
                room=settings.room,
                expected=expected,
                pins=settings.pins,
                token=settings.token,
                session=settings.session,
            ),
            self._transport,
            self._ice_servers,
            self,
            self._service,
        )
        self._ending.add(link)
        remote.dialing, remote.attempt = link, attempt
        if remote.timeout is not None:
            remote.timeout.cancel()
        remote.timeout = self._loop.call_later(limits.DIAL_SECONDS, self._dial_expired, peer_id, remote, link)
        if remote.link is None:
            self._set_state(peer_id, LinkState.CONNECTING, "dialing" if remote.negotiation.expects_answer(attempt) else "answering")
        return link

    def _dial_expired(self, peer_id: str, remote: _Remote, link: Link) -> None:
        if remote.dialing is link:
            self._abandon(peer_id, remote, Unavailable(self._no_link(peer_id, remote, limits.DIAL_SECONDS)))

    # -- link.LinkEvents ---------------------------------------------------------------------------------

    def link_ready(self, link: Link) -> None:
        """A link's proofs hold: it takes the place of an older one to the same peer."""
        peer_id, remote = self._owner(link)
        if remote is None or remote.dialing is not link:
            link.close(0, "another attempt took its place")
            return
        older, remote.link, remote.dialing = remote.link, link, None
        remote.negotiation.settle()
        if remote.timeout is not None:
            remote.timeout.cancel()
        if older is not None:
            older.close(0, "replaced by a newer link to the same peer")
        self._set_state(peer_id, LinkState.CONNECTED, "", name=link.remote.name if link.remote else None, link=link)
        for waiter in remote.waiters:
            if not waiter.done():
                waiter.set_result(link)
        self._wake()

    def link_closed(self, link: Link, error: Exception) -> None:
        """A link ended; say so, unless it had been replaced."""
        self._spawn_untracked(link)
        peer_id, remote = self._owner(link)
        if remote is None:
            return
        if remote.dialing is link:
            self._failed(peer_id, remote, error)
        elif remote.link is link:
            remote.link = None
            if not self._closed:
                self._set_state(peer_id, LinkState.DISCONNECTED, str(error))

    def local_candidate(self, link: Link, candidate: Candidate) -> None:
        """Trickle."""
        peer_id, remote = self._owner(link)
        if remote is not None and remote.dialing is link:
            self._send(
                peer_id, remote.attempt, {"kind": "candidate", "candidate": candidate.candidate, "mid": candidate.mid}
            )

    # -- inside ------------------------------------------------------------------------------------------

    def _remote(self, peer_id: str) -> _Remote:
        remote = self._remotes.get(peer_id)
        if remote is None:
            remote = self._remotes[peer_id] = _Remote(Negotiation(self._settings.identity.peer_id, peer_id))
        return remote

    def _owner(self, link: Link) -> tuple[str, _Remote | None]:
        for peer_id, remote in self._remotes.items():
            if link in (remote.dialing, remote.link):
                return peer_id, remote
        return "", None

    def _abandon(self, peer_id: str, remote: _Remote, error: Exception, *, tell: bool = True) -> None:
        if tell and remote.dialing is not None and not self._closed:
            # Else the other side would hold on to the attempt, and ignore our next offer as glare, until its own time is up.
            refusal = {"kind": "refuse", "code": codes.UNAVAILABLE, "reason": str(error)[:200]}
            self._send(peer_id, remote.attempt, refusal)
        self._drop_dialing(remote, str(error))
        self._failed(peer_id, remote, error)

    def _drop_dialing(self, remote: _Remote, reason: str) -> None:
        link, remote.dialing = remote.dialing, None
        if remote.timeout is not None:
            remote.timeout.cancel()
        if link is not None and link.stage is not LinkStage.CLOSED:
            link.close(codes.UNAVAILABLE, reason)

    def _failed(self, peer_id: str, remote: _Remote, error: Exception) -> None:
        remote.dialing = None
        remote.negotiation.settle()
        if remote.timeout is not None:
            remote.timeout.cancel()
        if isinstance(error, ConnectionLost):
            error = Unavailable(f"no link to {self._describe(peer_id)}: {error.message}")
        if remote.link is None and not self._closed:
            self._set_state(peer_id, LinkState.FAILED, str(error))
        self._fail_waiters(remote, error)

    @staticmethod
    def _fail_waiters(remote: _Remote, error: Exception) -> None:
        for waiter in remote.waiters:
            if not waiter.done():
                waiter.set_exception(error)

    def _set_state(
        self, peer_id: str, state: LinkState, reason: str, name: str | None = None, link: Link | None = None
    ) -> None:
        entry = self.membership.set_state(peer_id, state, reason, name)
        self._observer.link_changed(entry, link)

    def _send(self, peer_id: str, attempt: str, payload: Mapping[str, Any]) -> None:
        try:
            self._signaling.send_signal(peer_id, attempt, payload)
        except SignalingError as error:
            logger.warning("a signal to %s was not sent: %s", self._describe(peer_id), error)

    def _wake(self) -> None:
        arrivals, self._arrivals = self._arrivals, []
        for arrival in arrivals:
            if not arrival.done():
                arrival.set_result(None)

    def _spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task of the room failed", exc_info=error)

    def _spawn_untracked(self, link: Link) -> None:
        async def forget() -> None:
            await link.closed.wait()
            self._ending.discard(link)

        self._spawn(forget())

    def _describe(self, peer_id: str) -> str:
        entry = self.membership.get(peer_id)
        return f"{entry.name!r} ({peer_id[:8]}…)" if entry is not None and entry.name else f"{peer_id[:8]}…"

    def _nobody(self, wanted: str | None, timeout: float) -> str:
        here = ", ".join(f"{e.name} ({e.peer_id[:8]}…)" for e in self.membership.present()) or "nobody else"
        return (
            f"expected {'a peer' if wanted is None else repr(wanted)} to be in room {self._settings.room!r} within "
            f"{timeout:g} s; there: {here}. Is it running, and in the same room?"
        )

    def _no_link(self, peer_id: str, remote: _Remote, timeout: float) -> str:
        who = self._describe(peer_id)
        if remote.dialing is None or remote.dialing.stage is LinkStage.PROVING:
            return f"the channel to {who} opened, but its proof did not come within {timeout:g} s"
        if remote.negotiation.expects_answer(remote.attempt):
            return (
                f"no link to {who} within {timeout:g} s: either the offer was not answered or no path between the two was found. "
                "Behind strict NATs a TURN server is needed (see --ice-server)"
            )
        return f"no path to {who} was found within {timeout:g} s; behind strict NATs a TURN server is needed"


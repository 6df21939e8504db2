"""Our side of one other peer: the attempt under way, the link that is ready, and what waits for a link. On the network loop.

```
 idle --connect, call--> offering --answer--> connecting --both proofs--> linked --the end--> idle
   `--offer of the other side--> answering --------^
```

An attempt that leads nowhere ends with an error that everything which waits is told. A link is not given up for a new attempt
of the other side before that attempt has led to a link of its own.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from rtcrpc import codes, limits
from rtcrpc.core.identity import b64url_encode
from rtcrpc.errors import (
    ConnectionLost,
    DeadlineExceeded,
    HandshakeError,
    IdentityMismatch,
    LocalError,
    RtcRpcError,
    SignalingError,
    Unavailable,
    VersionMismatch,
)
from rtcrpc.link import Link, LinkEvents, LinkStage, OutgoingCall
from rtcrpc.mesh.membership import LinkState
from rtcrpc.mesh.negotiation import Negotiation, OfferVerdict
from rtcrpc.signaling.rate import TokenBucket
from rtcrpc.transport.base import Candidate

__all__ = ["REDIAL_SECONDS", "Dialer", "DialerOwner"]

logger = logging.getLogger("rtcrpc.room")

REDIAL_SECONDS: Final = 10.0
"""How long an offer waits for its answer before another is made: a bootstrap keeps no signal for one who is away, and a peer
that was restarted has forgotten ours. Longer than any answer takes, so that three offers fit into `DIAL_SECONDS`."""

_REASON_LENGTH: Final = 200
# How often forged offers are answered, in a second and at once: else a bootstrap could make us sign all day.
_FORGERIES_A_SECOND: Final = 1.0
_FORGERY_BURST: Final = 8.0


class DialerOwner(Protocol):
    """What a dialer needs of the room."""

    def make_link(self, peer_id: str, events: LinkEvents) -> Link:
        """A fresh link that admits only `peer_id`."""

    def send_signal(self, peer_id: str, attempt: str, payload: Mapping[str, Any]) -> None:
        """Hand a signal to the bootstrap; `SignalingError` where that is impossible."""

    def state_changed(self, peer_id: str, state: LinkState, reason: str, link: Link | None) -> None:
        """How the peer stands with us."""

    def link_gone(self, link: Link) -> None:
        """A link that `make_link` made has freed all it held."""

    def dialer_idle(self, dialer: Dialer) -> None:
        """Nothing is under way, linked or waiting."""

    def describe(self, peer_id: str) -> str:
        """The peer for people: its name and the beginning of its id."""

    def is_present(self, peer_id: str) -> bool:
        """Whether the bootstrap says that it is in the room."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`; the room does not close before it has ended."""


@dataclass(slots=True, eq=False)
class _Attempt:
    """One offer and what came of it."""

    name: str
    link: Link
    offering: bool
    answered: bool = False
    redial: asyncio.TimerHandle | None = None


class _WaitingCall:
    """A call made before there is a link."""

    __slots__ = ("_dialer", "_link", "_request_id", "call", "timer", "until")

    def __init__(self, dialer: Dialer, call: OutgoingCall, until: float | None) -> None:
        self.call = call
        self.until = until
        self.timer: asyncio.TimerHandle | None = None
        self._dialer = dialer
        self._link: Link | None = None
        self._request_id: int | None = None

    def start(self, link: Link, now: float) -> None:
        """There is a link: go."""
        if self.until is not None:
            self.call.timeout = max(self.until - now, 0.001)
        self._link, self._request_id = link, link.start_call(self.call)

    def give_up(self) -> None:
        """The caller does not want the answer any more."""
        if self._link is None:
            self._dialer.forget_call(self)
        elif self._request_id is not None:
            self._link.cancel_call(self._request_id)


class Dialer:
    """Everything between us and `peer_id`. It is the `LinkEvents` of its links."""

    def __init__(self, own_id: str, peer_id: str, owner: DialerOwner) -> None:
        self.peer_id = peer_id
        self.link: Link | None = None
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._negotiation = Negotiation(own_id, peer_id)
        self._attempt: _Attempt | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._early: list[tuple[str, Candidate]] = []
        self._waiters: list[asyncio.Future[Link]] = []
        self._calls: dict[_WaitingCall, None] = {}
        self._forgeries = TokenBucket(_FORGERIES_A_SECOND, _FORGERY_BURST, self._loop.time())
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether it holds nothing that matters."""
        return not (self.link or self._attempt or self._waiters or self._calls)

    # -- what users ask for ------------------------------------------------------------------------------

    async def connect(self, timeout: float) -> Link:
        """The ready link, dialed where there is none.

        Raises `Unavailable` when there is none after `timeout` seconds (the attempt goes on: others may wait for it too), a
        `HandshakeError` when the other can't prove its key or somebody changed the signals.
        """
        if self._closed:
            raise _room_closed()
        if self.link is not None:
            return self.link
        waiter: asyncio.Future[Link] = self._loop.create_future()
        self._waiters.append(waiter)
        self._reach()
        try:
            async with asyncio.timeout(timeout):
                return await waiter
        except TimeoutError:
            raise Unavailable(self._why_not(timeout), ran=False) from None
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            if waiter.done() and not waiter.cancelled():
                waiter.exception()  # told to nobody where the caller gave up in the same turn
            self._tell_if_idle()

    def start_call(self, call: OutgoingCall) -> Callable[[], None]:
        """Call, now or as soon as there is a link; calls keep their order. The value returned gives the call up."""
        if self._closed:
            call.on_answer(None, _room_closed())
            return _nothing
        if (link := self.link) is not None:
            request_id = link.start_call(call)
            return _nothing if request_id is None else partial(link.cancel_call, request_id)
        until = None if call.timeout is None else self._loop.time() + call.timeout
        waiting = _WaitingCall(self, call, until)
        if until is not None:
            waiting.timer = self._loop.call_at(until, self._call_expired, waiting)
        self._calls[waiting] = None
        self._reach()
        return waiting.give_up

    def forget_call(self, call: _WaitingCall) -> None:
        """Nobody wants it any more."""
        self._calls.pop(call, None)
        if call.timer is not None:
            call.timer.cancel()
        self._tell_if_idle()

    def _call_expired(self, waiting: _WaitingCall) -> None:
        self.forget_call(waiting)
        call = waiting.call
        message = f"{call.method} was not sent: {self._why_not(call.timeout or 0.0)}"
        call.on_answer(None, DeadlineExceeded(message, ran=False))

    def close(self, reason: str) -> None:
        """The room closes: the link ends when what it owes is out, everything else ends now."""
        self._closed = True
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            self._refuse(attempt.name, codes.UNAVAILABLE, "it left the room")
            self._end_attempt(attempt, reason)
            if self.link is None:
                self._owner.state_changed(self.peer_id, LinkState.CLOSED, reason, None)
        self._stop_expiry()
        self._fail_waiting(_room_closed())
        if self.link is not None:
            self.link.finish(reason)

    # -- what the other side signals ---------------------------------------------------------------------

    def offer_received(self, name: str, sdp: str) -> None:
        """It dials us."""
        if self._closed:
            self._refuse(name, codes.UNAVAILABLE, "it left the room")
            return
        verdict = self._negotiation.receive_offer(name)
        logger.debug("offer of %s, attempt %s: %s", self.peer_id, name, verdict.value)
        if verdict in (OfferVerdict.IGNORE_GLARE, OfferVerdict.IGNORE_REPLAY):
            return
        if (older := self._attempt) is not None:
            self._end_attempt(older, "gave way to an offer of the other side")
        self._stop_expiry()
        attempt = self._begin(name, offering=False)
        if attempt is not None:
            self._owner.spawn(self._answer(attempt, sdp))

    def answer_received(self, name: str, sdp: str) -> None:
        """It answers our offer."""
        attempt = self._attempt
        if attempt is not None and attempt.offering and attempt.name == name and not attempt.answered:
            attempt.answered = True
            self._owner.spawn(self._take_answer(attempt, sdp))

    def candidate_received(self, name: str, candidate: Candidate) -> None:
        """One more address of it."""
        attempt = self._attempt
        if attempt is not None and attempt.name == name:
            self._owner.spawn(self._add_candidate(attempt, candidate))
        elif not self._negotiation.was_seen(name) and len(self._early) < limits.MAX_CANDIDATES:
            self._early.append((name, candidate))

    def refusal_received(self, name: str, code: int, reason: str) -> None:
        """It will not go on with an attempt."""
        if self._attempt is not None and self._attempt.name == name:
            who = self._owner.describe(self.peer_id)
            self._abandon(_error_of_refusal(code, f"{who} refused: {reason or 'it gave no reason'}"), tell=False)

    def forgery_received(self, name: str, kind: str) -> None:
        """A signal in its name that it did not sign."""
        who = self._owner.describe(self.peer_id)
        error = HandshakeError(
            f"the {kind} in the name of {who} does not carry its signature: the bootstrap, or somebody on the way to it, "
            "changed or forged it; nothing was called. Use a bootstrap that you trust to carry signals, over wss://"
        )
        if self._attempt is not None and self._attempt.name == name:
            logger.warning("%s", error)
            self._abandon(error)
        elif kind == "offer" and self._forgeries.take(self._loop.time()):
            # The peer waits for an answer that we can't give; it learns why at once instead of after its own time is up.
            logger.warning("%s", error)
            self._refuse(
                name, codes.HANDSHAKE_FAILED, "the offer came without a valid signature: it was changed on its way"
            )
            if self.link is None and self._attempt is None and not self._closed:
                self._owner.state_changed(self.peer_id, LinkState.FAILED, str(error), None)

    def peer_returned(self) -> None:
        """It came into the room, perhaps restarted: it has not received our offer, or forgotten it."""
        attempt = self._attempt
        if attempt is not None and attempt.redial is not None:
            self._dial_again(attempt)

    # -- dialing and answering ---------------------------------------------------------------------------

    def _reach(self) -> None:
        if self._attempt is None:
            self._dial()

    def _dial(self) -> None:
        name = b64url_encode(secrets.token_bytes(16))
        self._negotiation.dial(name)
        attempt = self._begin(name, offering=True)
        if attempt is not None:
            self._owner.spawn(self._offer(attempt))

    def _begin(self, name: str, *, offering: bool) -> _Attempt | None:
        goes_on = self._expiry is not None
        try:
            link = self._owner.make_link(self.peer_id, self)
        except Exception as error:
            logger.exception("no connection could be made")
            if not offering:
                self._refuse(name, codes.UNAVAILABLE, "no connection could be made there")
            self._failed(Unavailable(f"no connection could be made on this side: {error}", ran=False))
            return None
        attempt = self._attempt = _Attempt(name, link, offering)
        if self._expiry is None:
            self._expiry = self._loop.call_later(limits.DIAL_SECONDS, self._expired)
        if self.link is None and not goes_on:
            what = "dialing" if offering else "answering"
            self._owner.state_changed(self.peer_id, LinkState.CONNECTING, what, None)
        return attempt

    async def _offer(self, attempt: _Attempt) -> None:
        try:
            sdp = await attempt.link.connection.create_offer()
        except Exception as error:
            self._attempt_broke(attempt, error)
            return
        if self._attempt is attempt:
            self._send(attempt, {"kind": "offer", "sdp": sdp})
            attempt.redial = self._loop.call_later(REDIAL_SECONDS, self._redial, attempt)

    def _redial(self, attempt: _Attempt) -> None:
        if self._attempt is attempt and not attempt.answered:
            self._dial_again(attempt)

    def _dial_again(self, attempt: _Attempt) -> None:
        self._end_attempt(attempt, "the offer was not answered; another one is made")
        self._dial()

    async def _answer(self, attempt: _Attempt, sdp: str) -> None:
        early, self._early = self._early, []
        for name, candidate in early:
            if name == attempt.name:
                await self._add_candidate(attempt, candidate)
        try:
            answer = await attempt.link.connection.accept_offer(sdp)
        except Exception as error:
            self._attempt_broke(attempt, error)
            return
        if self._attempt is attempt:
            self._send(attempt, {"kind": "answer", "sdp": answer})

    async def _take_answer(self, attempt: _Attempt, sdp: str) -> None:
        try:
            await attempt.link.connection.accept_answer(sdp)
        except Exception as error:
            self._attempt_broke(attempt, error)

    async def _add_candidate(self, attempt: _Attempt, candidate: Candidate) -> None:
        try:
            await attempt.link.connection.add_candidate(candidate)
        except RtcRpcError as error:
            logger.warning("a candidate of %s was not taken: %s", self._owner.describe(self.peer_id), error)

    def _send(self, attempt: _Attempt, payload: Mapping[str, Any]) -> None:
        try:
            self._owner.send_signal(self.peer_id, attempt.name, payload)
        except SignalingError as error:
            logger.warning("a signal to %s was not sent: %s", self._owner.describe(self.peer_id), error)
            if self._attempt is attempt and payload["kind"] != "candidate":
                self._abandon(Unavailable(f"no way to signal: {error.message}"), tell=False)

    def _refuse(self, name: str, code: int, reason: str) -> None:
        # Without it the other side would hold on to the attempt, and ignore our next offer as glare, until its own time is up.
        shown = "".join(c if c.isprintable() else " " for c in reason)[:_REASON_LENGTH]
        try:
            self._owner.send_signal(self.peer_id, name, {"kind": "refuse", "code": code, "reason": shown})
        except SignalingError as error:
            logger.info("%s was not told of a refusal: %s", self._owner.describe(self.peer_id), error)

    # -- link.LinkEvents ---------------------------------------------------------------------------------

    def link_ready(self, link: Link) -> None:
        """Both proofs hold: the link takes the place of an older one."""
        attempt = self._attempt
        if attempt is None or attempt.link is not link:
            link.close(0, "another attempt took its place")
            return
        older, self.link, self._attempt = self.link, link, None
        self._stop_timers(attempt)
        self._negotiation.settle()
        if older is not None:
            older.close(0, "replaced by a newer link to the same peer")
        self._owner.state_changed(self.peer_id, LinkState.CONNECTED, "", link)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(link)
        calls, self._calls = self._calls, {}
        now = self._loop.time()
        for call in calls:
            if call.timer is not None:
                call.timer.cancel()
            call.start(link, now)

    def link_closed(self, link: Link, error: Exception) -> None:
        """A link ended; it matters unless it had been replaced."""
        attempt = self._attempt
        if attempt is not None and attempt.link is link:
            self._attempt = None
            self._stop_timers(attempt)
            if isinstance(error, ConnectionLost):
                error = Unavailable(f"no link to {self._owner.describe(self.peer_id)}: {error.message}")
            self._failed(error)
        elif self.link is link:
            self.link = None
            state = LinkState.CLOSED if self._closed else LinkState.DISCONNECTED
            self._owner.state_changed(self.peer_id, state, str(error), None)
            self._tell_if_idle()

    def link_gone(self, link: Link) -> None:
        """Its sockets are closed."""
        self._owner.link_gone(link)

    def local_candidate(self, link: Link, candidate: Candidate) -> None:
        """Trickle."""
        attempt = self._attempt
        if attempt is not None and attempt.link is link:
            self._send(attempt, {"kind": "candidate", "candidate": candidate.candidate, "mid": candidate.mid})

    # -- failing -----------------------------------------------------------------------------------------

    def _expired(self) -> None:
        self._abandon(Unavailable(self._why_not(limits.DIAL_SECONDS)))

    def _attempt_broke(self, attempt: _Attempt, error: Exception) -> None:
        # An attempt that gave way to another breaks too, since its connection was closed; the other goes on.
        if self._attempt is not attempt:
            return
        who = self._owner.describe(self.peer_id)
        if not isinstance(error, RtcRpcError):
            logger.error("the attempt to reach %s failed", who, exc_info=error)
            error = Unavailable(f"the attempt to reach {who} failed on this side: {error or type(error).__name__}")
        elif not attempt.offering:
            logger.warning("the offer of %s was refused: %s", who, error)
        self._abandon(error)

    def _abandon(self, error: Exception, *, tell: bool = True) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            if tell:
                code = error.code if isinstance(error, HandshakeError) else codes.UNAVAILABLE
                self._refuse(attempt.name, code, str(error))
            self._end_attempt(attempt, str(error))
        self._failed(error)

    def _end_attempt(self, attempt: _Attempt, reason: str) -> None:
        if self._attempt is attempt:
            self._attempt = None
        if attempt.redial is not None:
            attempt.redial.cancel()
        if attempt.link.stage is not LinkStage.CLOSED:
            attempt.link.close(codes.UNAVAILABLE, reason)

    def _failed(self, error: Exception) -> None:
        self._stop_expiry()
        self._negotiation.settle()
        if self.link is None and not self._closed:
            self._owner.state_changed(self.peer_id, LinkState.FAILED, str(error), None)
        self._fail_waiting(error)
        self._tell_if_idle()

    def _fail_waiting(self, error: Exception) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(_not_run(error))
        calls, self._calls = self._calls, {}
        for call in calls:
            if call.timer is not None:
                call.timer.cancel()
            call.call.on_answer(None, _not_run(error))

    def _stop_timers(self, attempt: _Attempt) -> None:
        if attempt.redial is not None:
            attempt.redial.cancel()
        self._stop_expiry()

    def _stop_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def _tell_if_idle(self) -> None:
        if self.idle:
            self._owner.dialer_idle(self)

    def _why_not(self, timeout: float) -> str:
        who, attempt = self._owner.describe(self.peer_id), self._attempt
        if attempt is not None and attempt.link.stage is LinkStage.PROVING:
            return f"the channel to {who} opened, but its proof did not come within {timeout:g} s"
        if attempt is not None and attempt.offering and not attempt.answered:
            if not self._owner.is_present(self.peer_id):
                return f"{who} is not in the room, and did not come within {timeout:g} s"
            return f"{who} did not answer within {timeout:g} s: its program hangs, or the bootstrap did not pass our offer on"
        return f"no path to {who} was found within {timeout:g} s; behind strict NATs a TURN server is needed (see --ice-server)"


def _nothing() -> None:
    """What gives up a call that is over."""


def _room_closed() -> ConnectionLost:
    return ConnectionLost("the room was closed on this side: join it again", ran=False)


def _not_run(error: Exception) -> Exception:
    """The same error, one for each who is told: a call that waited for a link certainly did not run."""
    if not isinstance(error, LocalError):
        return error
    return type(error)(error.message, code=error.code, data=error.data, ran=False)


def _error_of_refusal(code: int, message: str) -> LocalError:
    match code:
        case codes.HANDSHAKE_FAILED:
            return HandshakeError(message)
        case codes.IDENTITY_MISMATCH:
            return IdentityMismatch(message)
        case codes.VERSION_MISMATCH:
            return VersionMismatch(message)
        case _:
            return Unavailable(message)

"""Drives one session over one connection, on the network loop.

The session knows what to say and never when; the connection carries bytes and never reads them. The link stands between: it
feeds the one with what the other received, signs and verifies where the session asks, keeps its timer, and fills the channel
up to `CHANNEL_BUFFER` bytes so that what is urgent never waits behind more than that.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from rtcrpc import codes, limits
from rtcrpc.core.envelope import RequestId
from rtcrpc.core.events import (
    CallFailed,
    CancelReceived,
    ErrorReceived,
    Event,
    NotificationReceived,
    PongReceived,
    RemoteInfo,
    RequestReceived,
    ResponseReceived,
    SessionClosed,
    SessionReady,
    SignRequired,
    TokenReceived,
    VerifyRequired,
)
from rtcrpc.core.identity import Identity, verify_payload
from rtcrpc.core.session import Session, SessionConfig
from rtcrpc.errors import ConnectionLost, RtcRpcError, TooLarge
from rtcrpc.service.context import Caller
from rtcrpc.transport.base import Candidate, Connection, IceServer, Transport

__all__ = ["Link", "LinkEvents", "LinkSettings", "LinkStage", "OnAnswer", "Service"]

logger = logging.getLogger("rtcrpc.link")

OnAnswer = Callable[[Any, Exception | None], None]
"""How an answer comes back, on the network loop: `(result, None)` or `(None, error)`; exactly once."""


_REDACTED = (codes.INTERNAL_ERROR, codes.CODE_NAMES[codes.INTERNAL_ERROR], None)


class Service(Protocol):
    """What serves the requests of the other side (a `rtcrpc.service.dispatch.Dispatcher`)."""

    def dispatch(self, link: Link, request: RequestReceived | NotificationReceived) -> None:
        """Serve; the answer goes to `link.respond` or `link.respond_error`."""

    def cancel(self, link: Link, request_id: Any) -> None:
        """The caller gave up."""

    def link_closed(self, link: Link) -> None:
        """Nobody waits for answers on `link` any more."""


class LinkEvents(Protocol):
    """What a link tells its owner, on the network loop."""

    def link_ready(self, link: Link) -> None:
        """Both proofs hold; calls may be made."""

    def link_closed(self, link: Link, error: Exception) -> None:
        """The link ended; exactly once, also for one that never was ready."""

    def link_gone(self, link: Link) -> None:
        """After `link_closed`: what was still on its way has gone out, sockets and timers are freed."""

    def local_candidate(self, link: Link, candidate: Candidate) -> None:
        """A candidate to be told to the other side."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """What a link needs to know: who we are, where we meet, whom we expect."""

    identity: Identity
    name: str
    room: str
    expected: frozenset[str] | None
    """The keys that the other side may have; None: any."""
    pins: frozenset[str] = frozenset()
    """The keys known beforehand: they make `trust` say `pinned`."""
    token: str | None = None
    """Presented ahead of our first call, once the other's proof holds (protocol section 6.1).

    Where there are pins only to a key among them: whoever else gets to see a token could pass for us.
    """
    session: SessionConfig = field(default_factory=SessionConfig)


class LinkStage(enum.Enum):
    """How far a link has come; the wait in which it ended is what its error names."""

    CONNECTING = "connecting"
    PROVING = "proving"
    READY = "ready"
    CLOSED = "closed"


class Link:
    """One session on one connection. Made on the network loop; every method runs there."""

    def __init__(
        self,
        settings: LinkSettings,
        transport: Transport,
        ice_servers: tuple[IceServer, ...],
        events: LinkEvents,
        service: Service,
    ) -> None:
        self.settings = settings
        self.stage = LinkStage.CONNECTING
        self.remote: RemoteInfo | None = None
        self.caller: Caller | None = None
        self.rtt: float | None = None
        self._loop = asyncio.get_running_loop()
        self._events = events
        self._service = service
        self._session: Session | None = None
        self._calls: dict[RequestId, OnAnswer] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._flush_handle: asyncio.Handle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._owed = 0  # requests handed to the service that it has not answered
        self._finishing: str | None = None  # the reason, once `finish` was called
        self._finish_timer: asyncio.TimerHandle | None = None
        self._token = settings.token
        self.closed = asyncio.Event()
        self.connection: Connection = transport.create(self, ice_servers)

    def __repr__(self) -> str:
        who = self.remote.name if self.remote else "?"
        return f"<Link to {who} {self.stage.value}>"

    # -- calls -------------------------------------------------------------------------------------------

    def start_call(self, method: str, params: Any, timeout: float | None, on_answer: OnAnswer) -> int | None:
        """Send a request; returns its id, or None where it failed at once (then `on_answer` has been told)."""
        session = self._session
        if session is None or self.stage is not LinkStage.READY:
            on_answer(
                None, ConnectionLost(f"{method}: the link is {self.stage.value}; the call was not sent", ran=False)
            )
            return None
        try:
            if self._token is not None:
                self._present_token(session)
            request_id = session.send_request(method, params, timeout=timeout, now=self._loop.time())
        except RtcRpcError as error:
            on_answer(None, error)
            return None
        self._calls[request_id] = on_answer
        self._flush_soon()
        return request_id

    def cancel_call(self, request_id: int) -> None:
        """Give a call up: the other side is told, nobody here is."""
        if self._calls.pop(request_id, None) is not None and self._session is not None:
            self._session.send_cancel(request_id)
            self._flush_soon()

    def send_notification(self, method: str, params: Any) -> None:
        """Send a notification; raises like a call where it can't be sent."""
        if self._session is None or self.stage is not LinkStage.READY:
            raise ConnectionLost(f"{method}: the link is {self.stage.value}; the notification was not sent", ran=False)
        if self._token is not None:
            self._present_token(self._session)
        self._session.send_notification(method, params)
        self._flush_soon()

    def _present_token(self, session: Session) -> None:
        # Not before there is a call to make: a peer that dials us unasked has no business with what opens another's door.
        token, self._token = self._token, None
        remote, pins = self.remote, self.settings.pins
        if token is not None and remote is not None and remote.level > 0 and (not pins or remote.peer_id in pins):
            session.send_token(token)

    # -- answers (called by the service) -----------------------------------------------------------------

    def respond(self, request_id: Any, result: Any) -> None:
        """Answer a request. A result that can't travel is answered with an error, and logged."""
        session = self._session
        if session is None or self.stage is not LinkStage.READY:
            return
        self._owed -= 1
        try:
            session.send_response(request_id, result)
        except TooLarge as error:
            logger.error("the result of request %r can't be sent: %s", request_id, error)
            self._send_error(session, request_id, error.code, error.message, None)
        except RtcRpcError as error:
            # Its text tells of a value that the caller was not meant to see.
            logger.error("the result of request %r can't be sent: %s", request_id, error)
            self._send_error(session, request_id, *_REDACTED)
        self._flush_soon()

    def respond_error(self, request_id: Any, code: int, message: str, data: dict[str, Any] | None) -> None:
        """Answer a request with an error."""
        if self._session is not None and self.stage is LinkStage.READY:
            self._owed -= 1
            self._send_error(self._session, request_id, code, message, data)
            self._flush_soon()

    def _send_error(
        self, session: Session, request_id: Any, code: int, message: str, data: dict[str, Any] | None
    ) -> None:
        try:
            session.send_error(request_id, code, message, data)
        except RtcRpcError as error:
            logger.error("the error that answers request %r can't be sent as it is: %s", request_id, error)
            try:
                session.send_error(request_id, *_REDACTED)
            except RtcRpcError as too_much:
                # The other side takes next to nothing. An answer that never comes would be worse than an end.
                self.close(too_much.code, f"no answer is short enough for the other side: {too_much.message}")

    # -- the end -----------------------------------------------------------------------------------------

    def finish(self, reason: str = "") -> None:
        """Close with a good end as soon as the answers that we owe have gone out, or `DRAIN_SECONDS` from now.

        Requests that come meanwhile are refused. Our own open calls may still be answered; nothing waits for them.
        """
        if self.stage is not LinkStage.READY:
            self.close(0, reason)
        elif self._finishing is None:
            self._finishing = reason
            self._finish_timer = self._loop.call_later(limits.DRAIN_SECONDS, self.close, 0, reason)
            self._close_if_finished()

    def _close_if_finished(self) -> None:
        session = self._session
        if self._finishing is not None and self._owed <= 0 and session is not None and not session.has_data_to_send:
            self.close(0, self._finishing)

    def close(self, code: int = 0, reason: str = "") -> None:
        """Say bye now, let the channel drain, close it; `closed` is set when all of it is gone."""
        if self._session is not None and self.stage is not LinkStage.CLOSED:
            self._session.close(code, reason, now=self._loop.time())
            self._process()
        self._end(ConnectionLost(reason or "closed by this side"), drain=limits.DRAIN_SECONDS)

    def _end(self, error: Exception, drain: float | None) -> None:
        if self.stage is LinkStage.CLOSED:
            return
        self.stage = LinkStage.CLOSED
        for handle in (self._timer, self._flush_handle, self._finish_timer):
            if handle is not None:
                handle.cancel()
        calls, self._calls = self._calls, {}
        for on_answer in calls.values():
            _tell(on_answer, None, error)
        self._closing = self._loop.create_task(self._close_connection(drain), name="rtcrpc link closing")
        self._service.link_closed(self)
        self._events.link_closed(self, error)

    def _send_farewell(self) -> None:
        # The bye, and a last refusal where there is one: however full the channel is, since nothing comes after them.
        if self._session is not None:
            try:
                for frame in self._session.data_to_send(1 << 30):
                    self.connection.send(frame)
            except RtcRpcError as error:
                logger.debug("the connection was gone before the bye: %s", error)

    async def _close_connection(self, drain: float | None) -> None:
        try:
            await self.connection.close(drain=drain)
        except Exception:
            logger.exception("closing the connection failed")
        finally:
            self.closed.set()
            self._events.link_gone(self)

    # -- transport.base.ConnectionEvents -----------------------------------------------------------------

    def channel_opened(self) -> None:
        """The channel is open: the session begins, its hello goes out at once."""
        if self.stage is LinkStage.CLOSED:
            return  # it opened while it was being closed
        settings, connection = self.settings, self.connection
        self.stage = LinkStage.PROVING
        config = settings.session
        if settings.expected is not None and config.allow_anonymous:
            # Level 0 shows no key: it can't be let in where a certain key is expected.
            config = replace(config, allow_anonymous=False)
        self._session = Session(
            peer_id=settings.identity.peer_id,
            name=settings.name,
            room=settings.room,
            config=config,
            entropy=secrets.token_bytes,
            now=self._loop.time(),
            pin=settings.expected,
            local_fingerprint=connection.local_fingerprint,
            remote_fingerprint=connection.remote_fingerprint,
            max_message_size=connection.max_message_size,
        )
        self._flush()

    def message_received(self, data: bytes | str) -> None:
        """A frame came."""
        if self._session is not None and self.stage is not LinkStage.CLOSED:
            self._session.receive_data(data, self._loop.time())
            self._process()
            self._flush_soon()

    def buffered_amount_low(self) -> None:
        """There is room in the channel again."""
        self._flush()

    def local_candidate(self, candidate: Candidate | None) -> None:
        """A candidate was gathered (None: no more will be)."""
        if candidate is not None and self.stage is not LinkStage.CLOSED:
            self._events.local_candidate(self, candidate)

    def connection_closed(self, reason: str, clean: bool) -> None:
        """The connection is gone."""
        if self._session is not None and self.stage is not LinkStage.CLOSED:
            self._session.receive_eof(self._loop.time(), reason)
            self._process()
        self._end(ConnectionLost(reason or "the connection was closed"), drain=None)

    # -- the session -------------------------------------------------------------------------------------

    def _process(self) -> None:
        session = self._session
        while session is not None and (events := session.events_received()):
            for event in events:
                if self.stage is LinkStage.CLOSED:
                    return  # what came behind the end is neither served nor told
                self._handle(session, event)

    def _handle(self, session: Session, event: Event) -> None:
        # First what comes most: a match statement asks of each case in turn.
        if isinstance(event, ResponseReceived):
            if (on_answer := self._calls.pop(event.id, None)) is not None:
                _tell(on_answer, event.result, None)
            return
        if isinstance(event, RequestReceived):
            self._owed += 1
            if self._finishing is None:
                self._service.dispatch(self, event)
            else:
                self.respond_error(event.id, codes.UNAVAILABLE, "this peer is closing", {"ran": False})
            return
        match event:
            case NotificationReceived():
                if self._finishing is None:
                    self._service.dispatch(self, event)
            case ErrorReceived(id=request_id, error=error) | CallFailed(id=request_id, error=error):
                if (on_answer := self._calls.pop(request_id, None)) is not None:
                    _tell(on_answer, None, error)
            case CancelReceived(id=request_id):
                self._service.cancel(self, request_id)
            case PongReceived(rtt=rtt):
                self.rtt = rtt
            case SignRequired(payload=payload):
                session.signed(self.settings.identity.sign_payload(payload))
            case VerifyRequired(key=key, payload=payload, signature=signature):
                session.verified(verify_payload(key, payload, signature), self._loop.time())
            case SessionReady(peer=remote):
                self._ready(remote)
            case TokenReceived(token=token):
                if self.caller is not None:
                    self.caller = replace(self.caller, tokens=(*self.caller.tokens, token))
            case SessionClosed(by=by, error=error):
                if by == "local":
                    self._send_farewell()
                self._end(error, drain=None if by == "broken" else limits.DRAIN_SECONDS)

    def _ready(self, remote: RemoteInfo) -> None:
        self.remote = remote
        self.stage = LinkStage.READY
        pinned = remote.peer_id is not None and remote.peer_id in self.settings.pins
        self.caller = Caller(
            peer_id=remote.peer_id,
            name=remote.name,
            trust="pinned" if pinned else "anonymous",
            room=self.settings.room,
            tokens=(),
        )
        self._events.link_ready(self)

    # -- sending and time --------------------------------------------------------------------------------

    def _flush_soon(self) -> None:
        # One flush a turn of the loop: all calls and answers of the turn share frames.
        if self._flush_handle is None:
            self._flush_handle = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_handle = None
        session, connection = self._session, self.connection
        if session is None or self.stage is LinkStage.CLOSED:
            return
        try:
            while (budget := limits.CHANNEL_BUFFER - connection.buffered_amount) > 0:
                frames = session.data_to_send(budget)
                if not frames:
                    break
                for frame in frames:
                    connection.send(frame)
        except RtcRpcError as error:
            session.receive_eof(self._loop.time(), str(error))
            self._process()
            self._end(error, drain=None)
            return
        self._set_timer(session)
        if self._finishing is not None:
            self._close_if_finished()

    def _set_timer(self, session: Session) -> None:
        at = session.next_tick()
        if self._timer is not None:
            # Heartbeats move the next tick a little with every frame; an early wake-up costs less than a new timer for each.
            if at is not None and self._timer_at <= at:
                return
            self._timer.cancel()
            self._timer = None
        if at is not None:
            self._timer_at = at
            self._timer = self._loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._session is not None and self.stage is not LinkStage.CLOSED:
            self._session.tick(self._loop.time())
            self._process()
            self._flush()


def _tell(on_answer: OnAnswer, result: Any, error: Exception | None) -> None:
    # One caller's mistake must end neither the link nor the answers of the others.
    try:
        on_answer(result, error)
    except Exception:
        logger.exception("%r failed to take its answer", on_answer)

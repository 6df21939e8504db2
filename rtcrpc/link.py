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
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rtcrpc import limits
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
from rtcrpc.errors import ConnectionLost, RtcRpcError
from rtcrpc.service.context import Caller
from rtcrpc.transport.base import Candidate, Connection, IceServer, Transport

__all__ = ["Link", "LinkEvents", "LinkSettings", "LinkStage", "OnAnswer", "Service"]

logger = logging.getLogger("rtcrpc.link")

OnAnswer = Callable[[Any, Exception | None], None]
"""How an answer comes back, on the network loop: `(result, None)` or `(None, error)`; exactly once."""


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
    """Presented once the other's proof holds (protocol section 6.1)."""
    session: SessionConfig = SessionConfig()


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
        self._calls: dict[int, OnAnswer] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._flush_handle: asyncio.Handle | None = None
        self._closing: asyncio.Task[None] | None = None
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
            on_answer(None, ConnectionLost(f"{method}: the link is {self.stage.value}; the call was not sent", ran=False))
            return None
        try:
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
        self._session.send_notification(method, params)
        self._flush_soon()

    # -- answers (called by the service) -----------------------------------------------------------------

    def respond(self, request_id: Any, result: Any) -> None:
        """Answer a request. A result that can't travel is answered as an internal error, and logged."""
        if self._session is None or self.stage is not LinkStage.READY:
            return
        try:
            self._session.send_response(request_id, result)
        except RtcRpcError as error:
            logger.error("the result of request %r can't be sent: %s", request_id, error)
            self._session.send_error(request_id, error.code, error.message, None)
        self._flush_soon()

    def respond_error(self, request_id: Any, code: int, message: str, data: dict[str, Any] | None) -> None:
        """Answer a request with an error."""
        if self._session is not None and self.stage is LinkStage.READY:
            self._session.send_error(request_id, code, message, data)
            self._flush_soon()

    # -- the end -----------------------------------------------------------------------------------------

    def close(self, code: int = 0, reason: str = "") -> None:
        """Say bye, let the channel drain, close it; `closed` is set when all of it is gone."""
        if self._session is not None and self.stage is not LinkStage.CLOSED:
            self._session.close(code, reason, now=self._loop.time())
            self._process()
            self._flush()
        self._end(ConnectionLost(reason or "closed by this side"), drain=limits.DRAIN_SECONDS)

    def _end(self, error: Exception, drain: float | None) -> None:
        if self.stage is LinkStage.CLOSED:
            return
        self.stage = LinkStage.CLOSED
        for handle in (self._timer, self._flush_handle):
            if handle is not None:
                handle.cancel()
        calls, self._calls = self._calls, {}
        for on_answer in calls.values():
            on_answer(None, error)
        self._service.link_closed(self)
        self._closing = self._loop.create_task(self._close_connection(drain))
        self._events.link_closed(self, error)

    async def _close_connection(self, drain: float | None) -> None:
        try:
            await self.connection.close(drain=drain)
        except Exception:
            logger.exception("closing the connection failed")
        finally:
            self.closed.set()

    # -- transport.base.ConnectionEvents -----------------------------------------------------------------

    def channel_opened(self) -> None:
        """The channel is open: the session begins, its hello goes out at once."""
        settings, connection = self.settings, self.connection
        self.stage = LinkStage.PROVING
        self._session = Session(
            peer_id=settings.identity.peer_id,
            name=settings.name,
            room=settings.room,
            config=settings.session,
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
        if self._session is not None:
            self._session.receive_eof(self._loop.time(), reason)
            self._process()
        self._end(ConnectionLost(reason or "the connection was closed"), drain=None)

    # -- the session -------------------------------------------------------------------------------------

    def _process(self) -> None:
        session = self._session
        while session is not None and (events := session.events_received()):
            for event in events:
                self._handle(session, event)

    def _handle(self, session: Session, event: Event) -> None:
        match event:
            case ResponseReceived(id=request_id, result=result):
                if (on_answer := self._calls.pop(request_id, None)) is not None:
                    on_answer(result, None)
            case ErrorReceived(id=request_id, error=error) | CallFailed(id=request_id, error=error):
                if (on_answer := self._calls.pop(request_id, None)) is not None:
                    on_answer(None, error)
            case RequestReceived() | NotificationReceived():
                self._service.dispatch(self, event)
            case CancelReceived(id=request_id):
                self._service.cancel(self, request_id)
            case PongReceived(rtt=rtt):
                self.rtt = rtt
            case SignRequired(payload=payload):
                session.signed(self.settings.identity.sign_payload(payload))
            case VerifyRequired(key=key, payload=payload, signature=signature):
                session.verified(verify_payload(key, payload, signature), self._loop.time())
            case SessionReady(peer=remote):
                self._ready(session, remote)
            case TokenReceived(token=token):
                if self.caller is not None and len(self.caller.tokens) < limits.MAX_TOKENS:
                    self.caller = replace(self.caller, tokens=(*self.caller.tokens, token))
            case SessionClosed(error=error):
                # The bye, if there is one, is in the session's queue: it goes out before the channel closes.
                self._flush()
                self._end(error, drain=limits.DRAIN_SECONDS)

    def _ready(self, session: Session, remote: RemoteInfo) -> None:
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
        if self.settings.token is not None and remote.level > 0:
            session.send_token(self.settings.token)
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


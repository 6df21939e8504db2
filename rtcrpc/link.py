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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from rtcrpc import codes, limits
from rtcrpc.core.envelope import RequestId
from rtcrpc.core.events import (
    CallFailed,
    CancelReceived,
    ErrorReceived,
    Event,
    LossyReceived,
    NotificationReceived,
    PongReceived,
    ProgressReceived,
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
from rtcrpc.core.lossy import FEATURE as LOSSY
from rtcrpc.core.session import Session, SessionConfig
from rtcrpc.errors import ConnectionLost, EncodeError, ResourceExhausted, RtcRpcError, TooLarge
from rtcrpc.files.file import put_files_in_place
from rtcrpc.runtime import Mailbox
from rtcrpc.service.context import Caller
from rtcrpc.stream.table import LinkStreams
from rtcrpc.stream.writer import Sources, Writer
from rtcrpc.transport.base import Candidate, Connection, IceServer, Transport

__all__ = ["Link", "LinkEvents", "LinkSettings", "LinkStage", "OnAnswer", "OnProgress", "OutgoingCall", "Service"]

logger = logging.getLogger("rtcrpc.link")

OnAnswer = Callable[[Any, Exception | None], None]
"""How an answer comes back, on the network loop: `(result, None)` or `(None, error)`; exactly once."""

OnProgress = Callable[[int | float, int | float | None, str | None], object]
"""How progress comes back, on the network loop: done, total, message."""


@dataclass(slots=True, eq=False)
class OutgoingCall:
    """One call of ours, on its way to a link. `params` hold `writers` where streams stand; their sources run in `sources`.

    `timeout`: seconds, from the moment it is sent.
    """

    method: str
    params: Any
    timeout: float | None
    on_answer: OnAnswer
    on_progress: OnProgress | None = None
    writers: Sequence[Writer] = ()
    sources: Sources | None = None


_CALL_GIVEN_UP = (codes.CANCELLED, "the call that the stream belonged to was given up", None)
SHARE = 50
"""How many calls and answers that were handed over together leave together. Each frame costs both sides about as much as ten calls;
but with all of them in one frame, one side would stand still while the other works. Measured: see docs/performance.md."""

_REDACTED = (codes.INTERNAL_ERROR, codes.CODE_NAMES[codes.INTERNAL_ERROR], None)


class Service(Protocol):
    """What serves the requests of the other side (a `rtcrpc.service.dispatch.Dispatcher`)."""

    def dispatch(self, link: Link, request: RequestReceived | NotificationReceived) -> None:
        """Serve; the answer goes to `link.respond` or `link.respond_error`."""

    def dispatch_lossy(self, link: Link, notification: NotificationReceived) -> None:
        """Serve what came where messages may be lost, if its function is meant for that."""

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
    """One session on one connection. Made on the network loop; every method runs there.

    `call_later` has a function called on the network loop, once what others hand over to it now has been (a
    `rtcrpc.runtime.Mailbox.call_at_end`); by default on the next turn of the loop.
    """

    def __init__(
        self,
        settings: LinkSettings,
        transport: Transport,
        ice_servers: tuple[IceServer, ...],
        events: LinkEvents,
        service: Service,
        call_later: Callable[[Callable[[], object]], object] | None = None,
    ) -> None:
        self.settings = settings
        self.stage = LinkStage.CONNECTING
        self.remote: RemoteInfo | None = None
        self.caller: Caller | None = None
        self.rtt: float | None = None
        self._loop = asyncio.get_running_loop()
        self._call_later = call_later if call_later is not None else self._loop.call_soon
        self._events = events
        self._service = service
        self._session: Session | None = None
        self._streams: LinkStreams | None = None
        self._calls: dict[RequestId, OutgoingCall] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._flush_due = False
        self._unflushed = 0
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

    def start_call(self, call: OutgoingCall) -> int | None:
        """Send a request; returns its id, or None where it failed at once (then `call.on_answer` has been told)."""
        session, streams = self._session, self._streams
        if session is None or streams is None or self.stage is not LinkStage.READY:
            lost = ConnectionLost(f"{call.method}: the link is {self.stage.value}; the call was not sent", ran=False)
            call.on_answer(None, lost)
            return None
        try:
            if self._token is not None:
                self._present_token(session)
            if call.sources is not None:
                call.params = streams.place(call.params, call.writers, call.sources)
            request_id = session.send_request(call.method, call.params, timeout=call.timeout, now=self._loop.time())
        except RtcRpcError as error:
            streams.abandon(call.writers)
            call.on_answer(None, error)
            return None
        streams.start(call.writers)
        self._calls[request_id] = call
        self._flush_soon()
        return request_id

    def cancel_call(self, request_id: int) -> None:
        """Give a call up: the other side is told, nobody here is. Streams in its params end with it."""
        call = self._calls.pop(request_id, None)
        if call is not None and self._session is not None and self._streams is not None:
            self._session.send_cancel(request_id)
            self._streams.abandon(call.writers, _CALL_GIVEN_UP)
            self._flush_soon()

    def send_notification(
        self, method: str, params: Any, writers: Sequence[Writer] = (), sources: Sources | None = None
    ) -> None:
        """Send a notification; raises like a call where it can't be sent."""
        session, streams = self._session, self._streams
        if session is None or streams is None or self.stage is not LinkStage.READY:
            raise ConnectionLost(f"{method}: the link is {self.stage.value}; the notification was not sent", ran=False)
        if self._token is not None:
            self._present_token(session)
        try:
            if sources is not None:
                params = streams.place(params, writers, sources)
            session.send_notification(method, params)
        except RtcRpcError:
            streams.abandon(writers)
            raise
        streams.start(writers)
        self._flush_soon()

    def send_lossy(self, method: str, params: Any) -> None:
        """Send a notification that may be lost, and replaces one of its method that waits; raises like a call where it can't be sent."""
        session = self._session
        if session is None or self.stage is not LinkStage.READY:
            raise ConnectionLost(f"{method}: the link is {self.stage.value}; the notification was not sent", ran=False)
        if self._token is not None:
            self._present_token(session)
        session.send_lossy(method, params)
        self._flush_soon()

    def _present_token(self, session: Session) -> None:
        # Not before there is a call to make: a peer that dials us unasked has no business with what opens another's door.
        token, self._token = self._token, None
        remote, pins = self.remote, self.settings.pins
        if token is not None and remote is not None and remote.level > 0 and (not pins or remote.peer_id in pins):
            session.send_token(token)

    # -- answers (called by the service) -----------------------------------------------------------------

    def respond(
        self, request_id: Any, result: Any, writers: Sequence[Writer] = (), sources: Sources | None = None
    ) -> None:
        """Answer a request. A result that can't travel is answered with an error, and logged.

        `writers` are those that stand for streams in the result; their sources run in `sources`.
        """
        session, streams = self._session, self._streams
        if session is None or streams is None or self.stage is not LinkStage.READY:
            return
        self._owed -= 1
        try:
            if sources is not None:
                result = streams.place(result, writers, sources)
            session.send_response(request_id, result)
            streams.start(writers)
        except (TooLarge, ResourceExhausted) as error:
            streams.abandon(writers)
            logger.error("the result of request %r can't be sent: %s", request_id, error)
            self._send_error(session, request_id, error.code, error.message, None)
        except RtcRpcError as error:
            streams.abandon(writers)
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

    def report_progress(
        self, request_id: Any, done: int | float, total: int | float | None, message: str | None
    ) -> None:
        """Tell the caller how far a request has come."""
        if self._session is not None and self.stage is LinkStage.READY:
            try:
                self._session.send_progress(request_id, done, total, message)
            except EncodeError as error:
                logger.error("the progress of request %r can't be told: %s", request_id, error)
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
            if self._streams is not None:
                self._streams.leave()
                self._flush_soon()
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
        for handle in (self._timer, self._finish_timer):
            if handle is not None:
                handle.cancel()
        calls, self._calls = self._calls, {}
        for call in calls.values():
            _tell(call.on_answer, None, error)
        if self._streams is not None:
            self._streams.close(error)
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
        if connection.lossy:
            config = replace(config, features=config.features | {LOSSY})
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
        self._streams = LinkStreams(self._session, self._flush_soon, Mailbox(self._loop), put_files_in_place)
        self._flush()

    def message_received(self, data: bytes | str) -> None:
        """A frame came."""
        if self._session is not None and self.stage is not LinkStage.CLOSED:
            session = self._session
            session.receive_data(data, self._loop.time())
            self._process()
            # Mostly there is nothing to say yet, and a tick that comes early does no harm.
            if self._timer is None or session.has_data_to_send:
                self._flush_soon()

    def lossy_received(self, data: bytes | str) -> None:
        """A frame came where frames may be lost."""
        if self._session is not None and self.stage is LinkStage.READY:
            self._session.receive_lossy(data, self._loop.time())
            self._process()

    def buffered_amount_low(self) -> None:
        """There is room in a channel again."""
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
            result = self._take_in(event.result)
            if (call := self._calls.pop(event.id, None)) is not None:
                _tell(call.on_answer, result, None)
            return
        if isinstance(event, RequestReceived):
            self._owed += 1
            self._take_in(event.params)  # a list or a map: changed as it is
            if self._finishing is None:
                self._service.dispatch(self, event)
            else:
                self.respond_error(event.id, codes.UNAVAILABLE, "this peer is closing", {"ran": False})
            return
        if self._streams is not None and self._streams.handle(event):
            return
        match event:
            case NotificationReceived():
                self._take_in(event.params)
                if self._finishing is None:
                    self._service.dispatch(self, event)
            case LossyReceived(notification=notification):
                if self._finishing is None:
                    self._service.dispatch_lossy(self, notification)
            case ErrorReceived(id=request_id, error=error) | CallFailed(id=request_id, error=error):
                if (call := self._calls.pop(request_id, None)) is not None:
                    if isinstance(event, CallFailed) and self._streams is not None:
                        self._streams.abandon(call.writers, _CALL_GIVEN_UP)
                    _tell(call.on_answer, None, error)
            case ProgressReceived(id=request_id, done=done, total=total, message=message):
                call = self._calls.get(request_id)
                if call is not None and call.on_progress is not None:
                    call.on_progress(done, total, message)
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

    def _take_in(self, value: Any) -> Any:
        """A value that came, with the streams in it."""
        streams = self._streams
        return streams.take_in(value) if streams is not None and streams.arrived else value

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
        # One flush for all calls and answers that were handed over together: they share frames.
        self._unflushed += 1
        if not self._flush_due:
            self._flush_due = True
            self._call_later(self._flush)
        elif self._unflushed >= SHARE:
            self._flush()

    def _flush(self) -> None:
        self._flush_due = False
        self._unflushed = 0
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
            if session.has_lossy_to_send:
                self._flush_lossy(session)
        except RtcRpcError as error:
            session.receive_eof(self._loop.time(), str(error))
            self._process()
            self._end(error, drain=None)
            return
        if session.has_events:
            # A stream has room again. No frame of the other side may come that would have it told.
            self._process()
        self._set_timer(session)
        if self._finishing is not None:
            self._close_if_finished()

    def _flush_lossy(self, session: Session) -> None:
        # Little at a time: what is in the channel's buffer can't be replaced any more.
        while self.connection.lossy_buffered_amount + limits.LOSSY_FRAME <= limits.LOSSY_BUFFER:
            frame = session.next_lossy()
            if frame is None:
                break
            self.connection.send_lossy(frame)

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

"""Signaling over a WebSocket: one `SignalingSession`, on as many connections to the bootstrap as it takes.

The first join succeeds or raises. After that the adapter reconnects and rejoins for ever, with backoff; only
`close` and a second peer with the same key end it. Calls between peers don't notice any of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import random as random_module
import ssl as ssl_module
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from rtcrpc.core.identity import Identity
from rtcrpc.errors import SignalingError
from rtcrpc.signaling.backoff import Backoff
from rtcrpc.signaling.base import Joined, Signal, SignalingEvents, SignalingState
from rtcrpc.signaling.endings import Ending, ending_of_close, ending_of_denial, ending_of_failure
from rtcrpc.signaling.messages import MAX_RESULT, SUBPROTOCOL, authority_of, room_of
from rtcrpc.signaling.session import (
    BootstrapBroke,
    JoinRefused,
    MemberJoined,
    MemberLeft,
    SessionState,
    SignalForged,
    SignalingSession,
)

__all__ = ["WebSocketSignaling"]

logger = logging.getLogger("rtcrpc.signaling")

_CLOSED_HERE: Final = "closed on this side"
_OPEN_SECONDS: Final = 10.0
_JOIN_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 2.0
_PING_SECONDS: Final = 15.0  # twice this and a socket that a network change broke is given up
_STEADY_SECONDS: Final = 10.0  # a membership that held this long makes the next waits short again


class _DirectConnect(connect):
    """A connect that follows no redirect: the proof of a join names the host that the user chose, and only
    that one.
    """

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class WebSocketSignaling:
    """The membership of one room at one bootstrap (see `signaling.base.Signaling`).

    `url` is the room's, `wss://host[:port]/…/room/<room>`. `token` is for bootstraps that ask for one. `ssl`
    replaces the default TLS context. `persistent` makes the first join as patient as the later ones: where
    the bootstrap can't be reached, `join` waits and tries again; only a refusal raises. `random` returns
    numbers in [0, 1) for the jitter. Make it, and use it, on one event loop.
    """

    def __init__(
        self,
        url: str,
        identity: Identity,
        name: str,
        events: SignalingEvents,
        *,
        token: str | None = None,
        ssl: ssl_module.SSLContext | None = None,
        persistent: bool = False,
        absence: float = 5.0,
        backoff: Backoff | None = None,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self.url = url
        self.session = SignalingSession(identity, name, room_of(url), authority_of(url), token=token, absence=absence)
        self._events = events
        self._ssl = ssl
        self._persistent = persistent
        self._backoff = backoff or Backoff(random)
        self._task: asyncio.Task[None] | None = None
        self._first: asyncio.Future[Joined] | None = None
        self._wake = asyncio.Event()
        self._state: SignalingState = "closed"
        self._timer: asyncio.TimerHandle | None = None

    @property
    def state(self) -> SignalingState:
        """Where the adapter stands."""
        return self._state

    async def join(self) -> Joined:
        """Enter the room; call it once. Raises `SignalingError`, whose text says what to do."""
        if self._task is not None:
            raise SignalingError("expected one join for each signaling object; make a new one to join again")
        self._first = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(self._first), name=f"rtcrpc signaling {self.session.room}")
        try:
            return await asyncio.shield(self._first)
        except asyncio.CancelledError:
            await self.close()
            raise

    def send_signal(self, to: str, attempt: str, payload: Mapping[str, Any]) -> None:
        """Sign and send a signal, or keep it while the bootstrap is away (see
        `SignalingSession.send_signal`).
        """
        if self._state == "closed":
            raise SignalingError("the signal was not sent: this room's signaling is closed")
        self.session.send_signal(to, attempt, payload, asyncio.get_running_loop().time())
        self._wake.set()

    async def close(self) -> None:
        """Leave the room for good: the others hear it at once. Takes a few seconds at most. Idempotent."""
        task = self._task
        if task is None or task.done():
            return
        task.cancel()
        await asyncio.wait([task])
        if self._first is not None:
            self._give_up(self._first, _CLOSED_HERE)  # a task that was cancelled before its first step did nothing

    # -- connections -------------------------------------------------------------------------------

    async def _run(self, first: asyncio.Future[Joined]) -> None:
        reason = _CLOSED_HERE
        self._change("connecting", "")
        try:
            while True:
                ending = await self._connection(first)
                self.session.connection_lost()
                patient = first.done() or (self._persistent and ending.kind == "lost")
                if ending.kind == "replaced" or not patient:
                    reason = ending.reason
                    return
                delay = self._backoff.after_loss() if ending.kind == "lost" else self._backoff.after_refusal()
                logger.info("signaling for room %r: %s; next try in %.1f s", self.session.room, ending.reason, delay)
                self._change("reconnecting", ending.reason)
                await asyncio.sleep(delay)
        except Exception:
            logger.exception("signaling for room %r ended by an unexpected error", self.session.room)
            reason = "an unexpected error ended signaling; the log of rtcrpc.signaling has it"
        finally:
            self._change("closed", reason)
            self._give_up(first, reason)

    @staticmethod
    def _give_up(first: asyncio.Future[Joined], reason: str) -> None:
        if not first.done():
            first.set_exception(SignalingError(reason))
            first.exception()  # the joiner may be gone; then nobody has to read it

    async def _connection(self, first: asyncio.Future[Joined]) -> Ending:
        tls: dict[str, Any] = {} if self._ssl is None else {"ssl": self._ssl}
        try:
            websocket = await _DirectConnect(
                self.url,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,
                proxy=None if _is_loopback(self.url) else True,
                open_timeout=_OPEN_SECONDS,
                close_timeout=_CLOSE_SECONDS,
                ping_interval=_PING_SECONDS,
                ping_timeout=_PING_SECONDS,
                max_size=MAX_RESULT,
                user_agent_header="rtcrpc",
                **tls,
            )
        except InvalidStatus as error:
            return ending_of_denial(self._where, error)
        except (OSError, TimeoutError, WebSocketException, ImportError) as error:
            return ending_of_failure(self._where, error)
        try:
            return await self._conversation(websocket, first)
        except asyncio.CancelledError:
            await self._farewell(websocket)
            raise
        finally:
            await websocket.close()

    async def _conversation(self, websocket: ClientConnection, first: asyncio.Future[Joined]) -> Ending:
        if websocket.subprotocol != SUBPROTOCOL:
            return Ending(
                "refused",
                f"what answers at {self._where} speaks no {SUBPROTOCOL}; expected an rtcrpc bootstrap",
            )
        loop = asyncio.get_running_loop()
        self.session.connection_made()
        joined_at: float | None = None
        writer = asyncio.create_task(self._write(websocket))
        try:
            async with asyncio.timeout(_JOIN_SECONDS) as deadline:
                while True:
                    text = await websocket.recv()
                    if isinstance(text, bytes):
                        return Ending("refused", f"expected text from the bootstrap at {self._where}, got bytes")
                    self.session.receive_text(text, loop.time())
                    self._wake.set()
                    if (ending := self._deliver(first)) is not None:
                        return ending
                    self._set_timer(self.session.next_tick())
                    if joined_at is None and self.session.state is SessionState.JOINED:
                        joined_at = loop.time()
                        deadline.reschedule(None)
        except TimeoutError:
            return Ending("lost", f"the bootstrap at {self._where} did not let us join within {_JOIN_SECONDS:.0f} s")
        except ConnectionClosed as closed:
            return ending_of_close(self._where, self.session.room, closed)
        finally:
            self._set_timer(None)
            if joined_at is not None and loop.time() - joined_at >= _STEADY_SECONDS:
                self._backoff.reset()
            writer.cancel()
            await asyncio.wait([writer])

    async def _write(self, websocket: ClientConnection) -> None:
        # A lost connection is the reader's to report; it sees the same end.
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._wake.wait()
                self._wake.clear()
                for text in self.session.data_to_send():
                    await websocket.send(text)

    async def _farewell(self, websocket: ClientConnection) -> None:
        self.session.leave()
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                for text in self.session.data_to_send():
                    await websocket.send(text)

    # -- what the session says ---------------------------------------------------------------------

    def _deliver(self, first: asyncio.Future[Joined]) -> Ending | None:
        for event in self.session.events_received():
            match event:
                case Joined():
                    self._change("joined", "")
                    self._events.joined(event)
                    if not first.done():
                        first.set_result(event)
                case MemberJoined(member):
                    self._events.peer_joined(member)
                case MemberLeft(peer_id):
                    self._events.peer_left(peer_id)
                case Signal():
                    self._events.signal_received(event)
                case SignalForged(sender, attempt, kind):
                    self._events.signal_forged(sender, attempt, kind)
                case JoinRefused(code, message):
                    return Ending("refused", f"the bootstrap at {self._where} refused the join: {message} ({code})")
                case BootstrapBroke(reason):
                    return Ending("refused", f"the bootstrap at {self._where} broke the protocol: {reason}")
        return None

    def _set_timer(self, when: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if when is None else asyncio.get_running_loop().call_at(when, self._tick, when)

    def _tick(self, when: float) -> None:
        self.session.tick(when)
        if self._first is not None:
            self._deliver(self._first)
        self._set_timer(self.session.next_tick())

    def _change(self, state: SignalingState, reason: str) -> None:
        self._state = state
        self._events.signaling_state(state, reason)

    @property
    def _where(self) -> str:
        return self.session.authority


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

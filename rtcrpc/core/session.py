"""The protocol between two peers on one connection, as a state machine without I/O (protocol sections 2 to 8).

Feed it what comes (`receive_data`, `receive_eof`), the time (`tick`), the answers to its crypto questions (`signed`, `verified`) and what is to be
said (`send_*`); take out what happened (`events_received`) and what to put on the channel (`data_to_send`). After each call look at both.

```
HELLO --hello--> PROVING --prove--> VERIFYING --holds--> SIGNING --signed--> READY
  `--level 0 message----------------------------------------------------------^
any state --bye, refusal, silence, end of the connection--> CLOSED
```
"""

from __future__ import annotations

import enum
import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from rtcrpc import codes, limits
from rtcrpc.core import events
from rtcrpc.core.codec import Codec, JsonCodec, MessagePackCodec
from rtcrpc.core.envelope import (
    Batch,
    Envelope,
    ErrorResponse,
    Malformed,
    Message,
    Notification,
    Params,
    Request,
    RequestId,
    Response,
)
from rtcrpc.core.frames import FrameReader
from rtcrpc.core.handshake import (
    NONCE_BYTES,
    Hello,
    build_hello,
    check_hello,
    parse_hello,
    role_of,
    transcript,
)
from rtcrpc.core.identity import b64url_decode, b64url_encode, parse_peer_id
from rtcrpc.core.lanes import Lanes, Transfer
from rtcrpc.errors import (
    ConnectionLost,
    DeadlineExceeded,
    DecodeError,
    HandshakeError,
    IdentityMismatch,
    LocalError,
    ProtocolError,
    RtcRpcError,
    TooLarge,
    VersionMismatch,
    error_from_wire,
)

__all__ = ["TRANSITIONS", "Session", "SessionConfig", "SessionInput", "SessionState"]


class SessionState(enum.Enum):
    """How far the two have come."""

    HELLO = "hello"
    PROVING = "proving"
    VERIFYING = "verifying"
    SIGNING = "signing"
    READY = "ready"
    CLOSED = "closed"


class SessionInput(enum.Enum):
    """What moves a session from one state to the next."""

    HELLO = "hello"
    LEVEL_0 = "a first message without hello"
    PROVE = "prove"
    PROOF_HOLDS = "the proof holds"
    SIGNED = "our proof is signed and sent"
    END = "the end"


_S, _I = SessionState, SessionInput
TRANSITIONS: Final[Mapping[tuple[SessionState, SessionInput], SessionState]] = {
    (_S.HELLO, _I.HELLO): _S.PROVING,
    (_S.HELLO, _I.LEVEL_0): _S.READY,
    (_S.PROVING, _I.PROVE): _S.VERIFYING,
    (_S.VERIFYING, _I.PROOF_HOLDS): _S.SIGNING,
    (_S.SIGNING, _I.SIGNED): _S.READY,
    **{(state, _I.END): _S.CLOSED for state in _S if state is not _S.CLOSED},
}
"""Every move there is; an input that is not listed for a state breaks the protocol."""


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What a peer allows and offers. Bytes and seconds; the reasons are in `schemas/limits.json`."""

    level: int = 2
    features: frozenset[str] = frozenset({"cancel", "parts"})
    encodings: tuple[str, ...] = ("msgpack", "json")
    allow_anonymous: bool = False
    max_frame: int = limits.MAX_FRAME
    max_message: int = limits.MAX_MESSAGE
    max_in_flight: int = limits.MAX_IN_FLIGHT
    max_transfers: int = limits.MAX_TRANSFERS
    transfer_seconds: float = limits.TRANSFER_SECONDS
    coalesce_bytes: int = limits.COALESCE_BYTES
    verify_backlog: int = limits.VERIFY_BACKLOG
    handshake_messages: int = limits.HANDSHAKE_MESSAGES
    handshake_bytes: int = limits.HANDSHAKE_BYTES
    handshake_seconds: float = limits.HANDSHAKE_SECONDS
    heartbeat_interval: float = limits.HEARTBEAT_MILLIS / 1000
    heartbeat_misses: int = limits.HEARTBEAT_MISSES


class _Call:
    """One of our calls that has no answer yet."""

    __slots__ = ("deadline", "message", "sent", "timeout", "transfer")

    def __init__(self, message: bytes | str, deadline: float | None, timeout: float | None) -> None:
        self.message = message
        self.deadline = deadline
        self.timeout = timeout
        self.sent = False  # handed to the lanes
        self.transfer: Transfer | None = None


class _BatchAnswer:
    """The answers to one batch, until all of them are there."""

    __slots__ = ("answers", "missing")

    def __init__(self) -> None:
        self.answers: list[Message] = []
        self.missing = 0


class Session:
    """One session on one connection. `now` is always a time in seconds on one clock that never goes back."""

    def __init__(
        self,
        *,
        peer_id: str,
        name: str,
        room: str,
        config: SessionConfig,
        entropy: Callable[[int], bytes],
        now: float,
        local_fingerprint: bytes,
        remote_fingerprint: bytes,
        max_message_size: int,
        pin: str | frozenset[str] | None = None,
    ) -> None:
        self.state = SessionState.HELLO
        self.remote: events.RemoteInfo | None = None
        self._config = config
        self._room = room
        self._pin = frozenset({pin}) if isinstance(pin, str) else pin
        self._fingerprints = (local_fingerprint, remote_fingerprint)
        self._max_frame = min(config.max_frame, max_message_size)
        self._channel_limit = max_message_size
        self._json = JsonCodec()
        self._codec: Codec = self._json
        self._events: deque[events.Event] = deque()
        self._lanes = Lanes(max_frame=self._max_frame, coalesce=config.coalesce_bytes)
        self._reader = FrameReader(
            max_frame=config.max_frame,
            max_message=config.max_message,
            max_transfers=config.max_transfers,
            transfer_seconds=config.transfer_seconds,
        )
        self._hello = Hello(
            key=peer_id,
            nonce=entropy(NONCE_BYTES),
            name=name,
            level=config.level,
            features=config.features,
            encodings=frozenset(config.encodings),
            max_frame=config.max_frame,
            max_message=config.max_message,
            max_in_flight=config.max_in_flight,
        )
        self._hello_text = build_hello(self._hello)
        self._their_hello: Hello | None = None
        self._their_hello_text = ""
        self._signature_sent = False
        self._backlog: deque[bytes | str] = deque()
        self._backlog_bytes = 0
        self._handshake_messages = 0
        self._handshake_bytes = 0
        self._handshake_deadline = now + config.handshake_seconds
        self._next_id = 1
        self._calls: dict[int, _Call] = {}
        self._waiting: deque[int] = deque()
        self._open = 0
        self._deadlines: list[tuple[float, int]] = []
        self._serving: dict[RequestId, int] = {}
        self._serving_count = 0
        self._batches: dict[RequestId, deque[_BatchAnswer]] = {}
        self._heard_at = now
        self._ping_number = 0
        self._ping_sent_at = now
        self._unanswered = 0
        self._now = now
        self._lanes.push_control(self._hello_text)

    # -- input -------------------------------------------------------------------------------------------

    def receive_data(self, frame: bytes | str, now: float) -> None:
        """A frame came. Whatever is in it, nothing is raised: what breaks the protocol ends the session with an event."""
        if self.state is SessionState.CLOSED:
            return
        self._now = self._heard_at = now
        self._unanswered = 0
        try:
            if self.state is SessionState.READY:
                self._receive_frame(frame)
            else:
                self._receive_before_ready(frame)
        except (ProtocolError, HandshakeError) as error:
            self._refuse(error)

    def receive_eof(self, now: float, reason: str) -> None:
        """The connection is gone."""
        self._now = now
        self._end(
            codes.CONNECTION_LOST, reason, "broken", ConnectionLost(reason or "the connection was lost")
        )

    def signed(self, signature: bytes) -> None:
        """The answer to `SignRequired`."""
        if self.state is SessionState.CLOSED or self._signature_sent:
            return
        self._push_json("rpc.prove", {"signature": b64url_encode(signature)})
        self._signature_sent = True
        if self.state is SessionState.SIGNING:
            self._become_ready()

    def verified(self, holds: bool, now: float) -> None:
        """The answer to `VerifyRequired`."""
        if self.state is not SessionState.VERIFYING:
            return
        self._now = now
        if not holds:
            self._refuse(
                HandshakeError(
                    "the other side's proof does not hold: it does not own the key it named, or somebody in the middle "
                    "changed the DTLS fingerprints or the hellos; nothing was called"
                )
            )
            return
        self._move(SessionInput.PROOF_HOLDS)
        if self._signature_sent:
            self._become_ready()

    def tick(self, now: float) -> None:
        """Time has passed. Call it at `next_tick()`, or later, or earlier."""
        self._now = max(now, self._now)
        if self.state is SessionState.CLOSED:
            return
        if self.state is not SessionState.READY:
            if now >= self._handshake_deadline:
                self._refuse(
                    HandshakeError(
                        f"expected the other side to prove its key within {self._config.handshake_seconds:g} s"
                    )
                )
            return
        self._expire_calls(now)
        try:
            self._reader.expire(now)
        except ProtocolError as error:
            self._refuse(error)
            return
        if self.remote is not None and self.remote.level > 0:
            self._heartbeat(now)

    def next_tick(self) -> float | None:
        """When to call `tick`, at the latest; None when there is nothing to wait for."""
        if self.state is SessionState.CLOSED:
            return None
        if self.state is not SessionState.READY:
            return self._handshake_deadline
        times = [time for time in (self._reader.next_expiry(), self._first_deadline()) if time is not None]
        if self.remote is not None and self.remote.level > 0:
            times.append(self._next_heartbeat())
        return min(times, default=None)

    # -- output ------------------------------------------------------------------------------------------

    def events_received(self) -> list[events.Event]:
        """What happened since the last call, in order."""
        happened = list(self._events)
        self._events.clear()
        return happened

    def data_to_send(self, budget: int) -> list[bytes | str]:
        """Frames to put on the channel now, about `budget` bytes."""
        return self._lanes.data_to_send(budget)

    @property
    def has_data_to_send(self) -> bool:
        """Whether something waits for room in the channel."""
        return bool(self._lanes)

    # -- what is to be said ------------------------------------------------------------------------------

    def send_request(
        self,
        method: str,
        params: Params,
        *,
        now: float,
        timeout: float | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> int:
        """Call; the id under which `ResponseReceived`, `ErrorReceived` or `CallFailed` will come, once.

        `timeout`: seconds. Raises `EncodeError` or `TooLarge` before anything is sent, `ConnectionLost` where there is no session.
        Beyond the other's `maxInFlight` requests wait here.
        """
        self._require_ready(method)
        request_id = self._next_id
        all_meta = dict(meta) if meta else {}
        if timeout is not None:
            all_meta["timeout"] = max(1, round(timeout * 1000))
        message = self._encode(Request(request_id, _checked_method(method), params, all_meta))
        self._next_id += 1
        self._now = now
        call = _Call(message, None if timeout is None else now + timeout, timeout)
        self._calls[request_id] = call
        if call.deadline is not None:
            heapq.heappush(self._deadlines, (call.deadline, request_id))
        if self._open < self._their_window():
            self._send_call(call)
        else:
            self._waiting.append(request_id)
        return request_id

    def send_batch(
        self, messages: Sequence[tuple[str, Params] | tuple[str, Params, Literal["notify"]]], *, now: float
    ) -> list[int]:
        """Several calls in one JSON-RPC batch, where the session speaks JSON; the ids of those that want an answer."""
        self._require_ready("a batch")
        if self._codec is not self._json:
            raise ProtocolError("batches are of JSON only: in MessagePack calls share frames by themselves")
        items: list[Message] = []
        ids: list[int] = []
        for method, params, *rest in messages:
            if rest:
                items.append(Notification(_checked_method(method), params))
            else:
                ids.append(self._next_id + len(ids))
                items.append(Request(ids[-1], _checked_method(method), params))
        message = self._encode(Batch(tuple(items)))
        self._next_id += len(ids)
        self._now = now
        for request_id in ids:
            call = self._calls[request_id] = _Call(message, None, None)
            call.sent = True
            self._open += 1
        self._lanes.push_call(message)
        return ids

    def send_cancel(self, request_id: int) -> None:
        """Give one of our calls up; no event will come for it. The other side is told, where it has heard of the call."""
        call = self._calls.pop(request_id, None)
        if call is None or self.state is not SessionState.READY:
            return
        self._withdraw(request_id, call)

    def send_response(self, request_id: RequestId, result: Any) -> None:
        """Answer a request. `EncodeError` or `TooLarge` where the result can't go: then answer with an error."""
        self._answer(request_id, Response(request_id, result))

    def send_error(
        self, request_id: RequestId, code: int, message: str, data: dict[str, Any] | None = None
    ) -> None:
        """Answer a request with an error."""
        self._answer(request_id, ErrorResponse(request_id, code, message, data))

    def send_notification(self, method: str, params: Params, meta: Mapping[str, Any] | None = None) -> None:
        """Tell; nothing comes back."""
        self._require_ready(method)
        self._lanes.push_call(
            self._encode(Notification(_checked_method(method), params, dict(meta) if meta else {}))
        )

    def send_token(self, token: str) -> None:
        """Present what entitles us; goes out before any call made later (protocol section 6.1)."""
        self._require_ready("rpc.token")
        self._lanes.push_call(self._encode(Notification("rpc.token", {"token": token})))

    def close(self, code: int = 0, reason: str = "", *, now: float) -> None:
        """Say bye and end; send what `data_to_send` still gives, then close the connection."""
        self._now = now
        self._say_bye(code, reason)
        self._end(code, reason, "local", ConnectionLost(reason or "the session was closed on this side"))

    # -- before the session is ready ---------------------------------------------------------------------

    def _receive_before_ready(self, frame: bytes | str) -> None:
        if self.state in (SessionState.VERIFYING, SessionState.SIGNING):
            # The other side may have verified us already and be calling: kept as it came until its own proof holds.
            self._backlog_bytes += len(frame)
            if self._backlog_bytes > self._config.verify_backlog:
                raise ProtocolError(
                    f"expected at most {self._config.verify_backlog} bytes while a proof is verified",
                    code=codes.TOO_LARGE,
                )
            self._backlog.append(frame)
            return
        self._handshake_messages += 1
        self._handshake_bytes += len(frame)
        if (
            self._handshake_messages > self._config.handshake_messages
            or self._handshake_bytes > self._config.handshake_bytes
        ):
            raise HandshakeError(
                f"expected the other side to prove its key within {self._config.handshake_messages} messages and "
                f"{self._config.handshake_bytes} bytes"
            )
        if not isinstance(frame, str):
            raise HandshakeError("expected a text frame before the proof, got a binary one")
        if self.state is SessionState.HELLO:
            self._receive_first(frame)
        else:
            self._receive_prove(frame)

    def _receive_first(self, frame: str) -> None:
        try:
            envelope = self._json.decode_text(frame)[0]
        except DecodeError:
            if not self._config.allow_anonymous:
                raise HandshakeError("expected rpc.hello first, got no JSON-RPC message") from None
            envelope = None
        if isinstance(envelope, Notification) and envelope.method == "rpc.hello":
            self._receive_hello(frame, envelope.params)
        elif self._config.allow_anonymous:
            self._move(SessionInput.LEVEL_0)
            self.remote = events.RemoteInfo(None, "", 0, frozenset(), 1)
            self._reader.max_message = min(self._config.max_message, limits.MAX_MESSAGE_ANONYMOUS)
            self._lanes.max_frame = self._channel_limit  # it knows no parts
            self._events.append(events.SessionReady(self.remote))
            self._receive_frame(frame)
        else:
            for request in _requests_in(envelope):
                answer = ErrorResponse(
                    request.id,
                    codes.UNAUTHENTICATED,
                    "expected rpc.hello first: this peer serves only peers that prove a key",
                    {"ran": False},
                )
                self._lanes.push_control(self._json.encode(answer).decode())
            raise HandshakeError("expected rpc.hello first, got another message", code=codes.UNAUTHENTICATED)

    def _receive_hello(self, frame: str, params: Any) -> None:
        theirs = parse_hello(params)
        version = check_hello(self._hello, theirs, self._pin)
        self._move(SessionInput.HELLO)
        self._their_hello, self._their_hello_text = theirs, frame
        self.remote = events.RemoteInfo(theirs.key, theirs.name, theirs.level, theirs.features, version)
        self._events.append(events.SignRequired(self._transcript(ours=True)))

    def _receive_prove(self, frame: str) -> None:
        assert self._their_hello is not None, "PROVING comes after the hello"
        try:
            envelope = self._json.decode_text(frame)[0]
        except DecodeError as error:
            raise HandshakeError(f"expected rpc.prove: {error.message}") from None
        if isinstance(envelope, Notification) and envelope.method == "rpc.bye":
            self._receive_bye(envelope.params)
            return
        if not (
            isinstance(envelope, Notification)
            and envelope.method == "rpc.prove"
            and type(envelope.params) is dict
        ):
            raise HandshakeError("expected rpc.prove after rpc.hello, got another message")
        signature = envelope.params.get("signature")
        try:
            raw = b64url_decode(signature if isinstance(signature, str) else "", 64)
        except ValueError as error:
            raise HandshakeError(f"prove: {error}") from None
        self._move(SessionInput.PROVE)
        key = parse_peer_id(self._their_hello.key)
        self._events.append(events.VerifyRequired(key, self._transcript(ours=False), raw))

    def _transcript(self, *, ours: bool) -> bytes:
        assert self._their_hello is not None, "there is a hello to sign"
        own = (self._hello, self._fingerprints[0], self._hello_text)
        peer = (self._their_hello, self._fingerprints[1], self._their_hello_text)
        role = role_of(self._hello.key, self._their_hello.key)
        a, b = (own, peer) if role == "A" else (peer, own)
        return transcript(
            signer_role=role if ours else ("B" if role == "A" else "A"),
            key_a=parse_peer_id(a[0].key),
            key_b=parse_peer_id(b[0].key),
            nonce_a=a[0].nonce,
            nonce_b=b[0].nonce,
            fingerprint_a=a[1],
            fingerprint_b=b[1],
            room=self._room,
            hello_a=a[2].encode(),
            hello_b=b[2].encode(),
        )

    def _become_ready(self) -> None:
        assert self._their_hello is not None, "READY comes after the hello"
        assert self.remote is not None, "set with the hello"
        self._move(SessionInput.SIGNED)
        theirs = self._their_hello
        self._lanes.max_frame = min(self._max_frame, theirs.max_frame)
        if "msgpack" in theirs.encodings and "msgpack" in self._config.encodings:
            self._codec = MessagePackCodec()
        self._events.append(events.SessionReady(self.remote))
        self._send_ping()  # the first round trip is measured at once
        backlog, self._backlog = self._backlog, deque()
        for frame in backlog:
            if self.state is SessionState.READY:
                self.receive_data(frame, self._now)

    def _move(self, moved: SessionInput) -> None:
        after = TRANSITIONS.get((self.state, moved))
        if after is None:
            raise ProtocolError(f"{moved.value} does not belong in state {self.state.value}")
        self.state = after

    # -- once it is ready --------------------------------------------------------------------------------

    def _receive_frame(self, frame: bytes | str) -> None:
        whole = self._reader.feed(frame, self._now)
        if whole is None:
            return
        if isinstance(whole.data, str):
            try:
                envelopes = self._json.decode_text(whole.data)
            except DecodeError as error:
                self._push(ErrorResponse(None, error.code, error.message))
                return
            for envelope in envelopes:
                self._receive_text_envelope(envelope)
        else:
            if self._codec is self._json:
                raise ProtocolError("expected text frames: MessagePack was not agreed")
            for envelope in self._codec.decode(whole.data):
                assert not isinstance(envelope, Batch), "MessagePack has no batches"
                self._receive_message(envelope)

    def _receive_text_envelope(self, envelope: Envelope) -> None:
        if isinstance(envelope, Batch):
            batch = _BatchAnswer()
            owed = [item for item in envelope.items if isinstance(item, (Request, Malformed))]
            batch.missing = len(owed)
            for item in envelope.items:
                if isinstance(item, (Request, Malformed)):
                    self._batches.setdefault(item.id, deque()).append(batch)
                self._receive_message(item)
        else:
            self._receive_message(envelope)

    def _receive_message(self, message: Message) -> None:
        match message:
            case Request(id=request_id, method=method, params=params, meta=meta):
                self._receive_request(request_id, method, params, meta)
            case Response(id=request_id, result=result):
                if (call_id := self._settle(request_id)) is not None:
                    self._events.append(events.ResponseReceived(call_id, result))
            case ErrorResponse(id=request_id, code=code, message=text, data=data):
                if (call_id := self._settle(request_id)) is not None:
                    self._events.append(events.ErrorReceived(call_id, error_from_wire(code, text, data)))
            case Notification(method=method, params=params, meta=meta):
                if method.startswith("rpc."):
                    self._receive_reserved(method, params)
                else:
                    self._events.append(events.NotificationReceived(method, params, meta))
            case Malformed(id=request_id, code=code, message=text):
                self._deliver(request_id, ErrorResponse(request_id, code, text, {"ran": False}))

    def _receive_request(
        self, request_id: RequestId, method: str, params: Params, meta: dict[str, Any]
    ) -> None:
        if (
            self._serving.get(request_id)
            and request_id is not None
            and self.remote is not None
            and self.remote.level > 0
        ):
            raise ProtocolError(f"expected the id of a request to be used once, got {request_id!r} again")
        self._serving[request_id] = self._serving.get(request_id, 0) + 1
        self._serving_count += 1
        if self._serving_count > self._config.max_in_flight:
            self.send_error(
                request_id,
                codes.RESOURCE_EXHAUSTED,
                f"expected at most {self._config.max_in_flight} requests at a time; wait for an answer, then try again",
                {"ran": False},
            )
        elif method.startswith("rpc.") and method != "rpc.discover":
            self.send_error(
                request_id, codes.METHOD_NOT_FOUND, f"there is no method {method!r}", {"ran": False}
            )
        else:
            self._events.append(events.RequestReceived(request_id, method, params, meta))

    def _receive_reserved(self, method: str, params: Params) -> None:
        if self.remote is not None and self.remote.level == 0:
            return
        if method in ("rpc.hello", "rpc.prove"):
            raise ProtocolError(f"expected {method} once, before the first call")
        members = params if isinstance(params, dict) else {}
        match method:
            case "rpc.ping":
                self._push_control(Notification("rpc.pong", {"n": members.get("n")}))
            case "rpc.pong":
                if members.get("n") == self._ping_number:
                    self._events.append(events.PongReceived(self._now - self._ping_sent_at))
            case "rpc.cancel":
                request_id = members.get("id")
                if type(request_id) in (int, float, str) and self._serving.get(request_id):
                    self._events.append(events.CancelReceived(request_id))
            case "rpc.token":
                token = members.get("token")
                if isinstance(token, str) and 1 <= len(token) <= limits.TOKEN_LENGTH:
                    self._events.append(events.TokenReceived(token))
            case "rpc.bye":
                self._receive_bye(members)

    def _receive_bye(self, params: Params) -> None:
        members = params if isinstance(params, dict) else {}
        code, reason = members.get("code"), members.get("reason")
        code = code if type(code) is int else 0
        reason = reason[:500] if isinstance(reason, str) else ""
        self._lanes.clear_calls()
        error: RtcRpcError
        if code == 0:
            error = ConnectionLost(f"the other side left{': ' + reason if reason else ''}")
        else:
            error = _error_of_bye(
                code, f"the other side ended the session: {reason or codes.CODE_NAMES.get(code, str(code))}"
            )
        self._end(code, reason, "remote", error)

    # -- calls -------------------------------------------------------------------------------------------

    def _their_window(self) -> int:
        return (
            self._their_hello.max_in_flight if self._their_hello is not None else self._config.max_in_flight
        )

    def _send_call(self, call: _Call) -> None:
        call.sent = True
        call.transfer = self._lanes.push_call(call.message)
        self._open += 1

    def _settle(self, request_id: RequestId) -> int | None:
        if type(request_id) is not int or (call := self._calls.get(request_id)) is None or not call.sent:
            return None  # cancelled or overdue: the answer and our farewell crossed
        del self._calls[request_id]
        self._closed_one()
        return request_id

    def _closed_one(self) -> None:
        self._open -= 1
        while self._waiting and self._open < self._their_window():
            waiting = self._calls.get(self._waiting.popleft())
            if waiting is not None:
                self._send_call(waiting)

    def _withdraw(self, request_id: int, call: _Call) -> bool:
        """Take a call back; True where the other side can't have heard of it."""
        if not call.sent:
            return True
        unsent = (
            self._lanes.withdraw_transfer(call.transfer)
            if call.transfer is not None
            else self._lanes.withdraw(call.message)
        )
        if not unsent:
            cancel = self._encode(Notification("rpc.cancel", {"id": request_id}))
            if call.transfer is not None and call.transfer.unfinished:
                call.transfer.on_sent.append(
                    cancel
                )  # a cancel that overtook its request would cancel nothing
            else:
                self._lanes.push_control(cancel)
        self._closed_one()
        return unsent

    def _first_deadline(self) -> float | None:
        while self._deadlines and self._deadlines[0][1] not in self._calls:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def _expire_calls(self, now: float) -> None:
        while (first := self._first_deadline()) is not None and first <= now:
            _, request_id = heapq.heappop(self._deadlines)
            call = self._calls.pop(request_id)
            unsent = self._withdraw(request_id, call)
            error = DeadlineExceeded(
                f"no answer within {call.timeout:g} s, by this side's clock", ran=False if unsent else None
            )
            self._events.append(events.CallFailed(request_id, error))

    # -- answers -----------------------------------------------------------------------------------------

    def _answer(self, request_id: RequestId, answer: Response | ErrorResponse) -> None:
        if self.state is not SessionState.READY:
            return
        count = self._serving.get(request_id, 0)
        if not count:
            raise ValueError(f"request {request_id!r} was answered before, or never came")
        message = None if request_id in self._batches else self._encode(answer)
        if count == 1:
            del self._serving[request_id]
        else:
            self._serving[request_id] = count - 1
        self._serving_count -= 1
        if message is None:
            self._deliver(request_id, answer)
        else:
            self._lanes.push_call(message)

    def _deliver(self, request_id: RequestId, answer: Message) -> None:
        waiting = self._batches.get(request_id)
        if waiting is None:
            self._push(answer)
            return
        batch = waiting.popleft()
        if not waiting:
            del self._batches[request_id]
        batch.answers.append(answer)
        batch.missing -= 1
        if batch.missing == 0:
            self._push(Batch(tuple(batch.answers)))

    # -- heartbeats --------------------------------------------------------------------------------------

    def _next_heartbeat(self) -> float:
        return max(self._heard_at, self._ping_sent_at) + self._config.heartbeat_interval

    def _heartbeat(self, now: float) -> None:
        if now < self._next_heartbeat():
            return
        if self._unanswered >= self._config.heartbeat_misses:
            silence = now - self._heard_at
            reason = f"nothing was heard for {silence:.1f} s: {self._unanswered} heartbeats went unanswered"
            self._end(codes.CONNECTION_LOST, reason, "broken", ConnectionLost(reason))
            return
        self._unanswered += 1
        self._send_ping()

    def _send_ping(self) -> None:
        self._ping_number += 1
        self._ping_sent_at = self._now
        self._push_control(Notification("rpc.ping", {"n": self._ping_number}))

    # -- the end -----------------------------------------------------------------------------------------

    def _refuse(self, error: LocalError) -> None:
        self._say_bye(error.code, error.message)
        self._end(error.code, error.message, "local", error)

    def _say_bye(self, code: int, reason: str) -> None:
        if self.state is SessionState.CLOSED:
            return
        self._lanes.clear_calls()
        bye = Notification("rpc.bye", {"code": code, "reason": reason[:500]})
        if self.state is SessionState.READY:
            self._push_control(bye)
        else:
            self._lanes.push_control(self._json.encode(bye).decode())

    def _end(
        self, code: int, reason: str, by: Literal["local", "remote", "broken"], error: RtcRpcError
    ) -> None:
        if self.state is SessionState.CLOSED:
            return
        self._move(SessionInput.END)
        calls, self._calls = self._calls, {}
        for request_id, call in calls.items():
            started = call.sent and (call.transfer is None or call.transfer.started)
            lost = ConnectionLost(
                f"the session ended before the answer came: {error}", ran=None if started else False
            )
            self._events.append(events.CallFailed(request_id, lost))
        self._waiting.clear()
        self._backlog.clear()
        self._serving.clear()
        self._batches.clear()
        self._events.append(events.SessionClosed(code, reason, by, error))

    # -- encoding ----------------------------------------------------------------------------------------

    def _require_ready(self, what: str) -> None:
        if self.state is not SessionState.READY:
            raise ConnectionLost(
                f"{what}: there is no session (it is {self.state.value}); nothing was sent", ran=False
            )

    def _encode(self, envelope: Envelope) -> bytes | str:
        data = self._codec.encode(envelope)
        # A level 0 peer knows no parts: what it gets must fit the channel.
        limit = self._their_hello.max_message if self._their_hello is not None else self._channel_limit
        if len(data) > limit:
            raise TooLarge(
                f"the message has {len(data)} bytes, the other side takes at most {limit}; send it in pieces"
            )
        return data.decode() if self._codec is self._json else data

    def _push(self, envelope: Envelope) -> None:
        self._lanes.push_call(self._encode(envelope))

    def _push_control(self, envelope: Envelope) -> None:
        self._lanes.push_control(self._encode(envelope))

    def _push_json(self, method: str, params: dict[str, Any]) -> None:
        self._lanes.push_control(self._json.encode(Notification(method, params)).decode())


def _checked_method(method: str) -> str:
    if not isinstance(method, str) or not 1 <= len(method) <= limits.MAX_METHOD_LENGTH:
        raise ProtocolError(
            f"expected the name of a method to have 1 to {limits.MAX_METHOD_LENGTH} characters"
        )
    return method


def _requests_in(envelope: Envelope | None) -> list[Request]:
    items: Sequence[Any] = envelope.items if isinstance(envelope, Batch) else [envelope]
    return [item for item in items if isinstance(item, Request)]


def _error_of_bye(code: int, message: str) -> RtcRpcError:
    match code:
        case codes.IDENTITY_MISMATCH:
            return IdentityMismatch(message)
        case codes.VERSION_MISMATCH:
            return VersionMismatch(message)
        case codes.HANDSHAKE_FAILED | codes.UNAUTHENTICATED:
            return HandshakeError(message, code=code)
        case _:
            lost = ConnectionLost(message)
            lost.code = code
            return lost

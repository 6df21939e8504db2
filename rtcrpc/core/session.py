"""The protocol between two peers on one connection, as a state machine without I/O (protocol sections 2 to 8).

Feed it what comes (`receive_data`, `receive_eof`), the time (`tick`), the answers to its crypto questions (`signed`, `verified`) and
what is to be said (`send_*`); take out what happened (`events_received`) and what to put on the channel (`data_to_send`). After each
call look at both.

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
from rtcrpc.core.frames import FrameReader, frame_size
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
from rtcrpc.core.items import JsonItems, MessagePackItems, envelope_sizes
from rtcrpc.core.lanes import Lanes
from rtcrpc.core.lossy import FEATURE as LOSSY
from rtcrpc.core.lossy import LossyLane
from rtcrpc.core.streams import StreamTable, streams_in
from rtcrpc.errors import (
    ConnectionLost,
    DeadlineExceeded,
    DecodeError,
    EncodeError,
    HandshakeError,
    IdentityMismatch,
    LocalError,
    ProtocolError,
    ResourceExhausted,
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
    features: frozenset[str] = frozenset({"cancel", "parts", "progress", "streams"})
    encodings: tuple[str, ...] = ("msgpack", "json")
    allow_anonymous: bool = False
    max_frame: int = limits.MAX_FRAME
    max_message: int = limits.MAX_MESSAGE
    max_in_flight: int = limits.MAX_IN_FLIGHT
    max_transfers: int = limits.MAX_TRANSFERS
    transfer_seconds: float = limits.TRANSFER_SECONDS
    stream_window: int = limits.STREAM_WINDOW
    max_streams: int = limits.MAX_STREAMS
    coalesce_bytes: int = limits.COALESCE_BYTES
    verify_backlog: int = limits.VERIFY_BACKLOG
    handshake_messages: int = limits.HANDSHAKE_MESSAGES
    handshake_bytes: int = limits.HANDSHAKE_BYTES
    handshake_seconds: float = limits.HANDSHAKE_SECONDS
    heartbeat_interval: float = limits.HEARTBEAT_MILLIS / 1000
    heartbeat_misses: int = limits.HEARTBEAT_MISSES


_MAX_REASON: Final = 500  # characters of a bye
_MAX_WAITING_CONTROL: Final = 64
_MAX_REFUSALS: Final = 1 << 20  # bytes of refusals that wait in the lanes, for a peer that asks and does not read


class _Call:
    """One of our calls that has no answer yet. `ticket` is None while it waits for the other side's window."""

    __slots__ = ("batch", "deadline", "message", "streams", "ticket", "timeout")

    def __init__(self, message: bytes | str, deadline: float | None, timeout: float | None) -> None:
        self.streams: tuple[int, ...] = ()  # those in its params
        self.message = message
        self.deadline = deadline
        self.timeout = timeout
        self.ticket: int | None = None
        self.batch: tuple[int, ...] | None = None  # the ids that travel with it


class _BatchAnswer:
    """The answers to one batch, until all of them are there."""

    __slots__ = ("missing", "size", "streams", "texts")

    def __init__(self, missing: int) -> None:
        self.streams: list[int] = []
        self.texts: list[str] = []
        self.size = 2
        self.missing = missing


class _Reply:
    """How a request came, and so how it is answered."""

    __slots__ = ("batch", "is_text")

    def __init__(self, is_text: bool, batch: _BatchAnswer | None = None) -> None:
        self.is_text = is_text
        self.batch = batch


_BINARY: Final = _Reply(False)
_TEXT: Final = _Reply(True)


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
        # A `max-message-size` of 0 means that there is none (RFC 8841 section 6.1).
        self._channel_limit = max_message_size or config.max_message
        self._max_frame = min(config.max_frame, self._channel_limit)
        self._lossy: LossyLane | None = None  # where both have such a channel
        self._json = JsonCodec()
        self._codec: Codec = self._json
        self._events: deque[events.Event] = deque()
        # The handshake travels in whole text frames, whatever the two prefer later.
        self._lanes = Lanes(max_frame=self._channel_limit, coalesce=config.coalesce_bytes)
        self._streams = StreamTable(
            self._lanes, self._events, window=config.stream_window, max_streams=config.max_streams
        )
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
            stream_window=config.stream_window if "streams" in config.features else None,
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
        self._waiting: deque[tuple[int, ...]] = deque()
        self._abandoned: dict[int, None] = {}
        self._open = 0
        self._deadlines: list[tuple[float, int]] = []
        self._serving: dict[RequestId, _Reply] = {}
        self._serving_again: dict[RequestId, deque[_Reply]] = {}
        self._serving_count = 0
        self._refusal_bytes = 0
        self._tokens = 0
        self._lossy_strays = 0
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
        except LocalError as error:
            self._refuse(error)

    def receive_lossy(self, frame: bytes | str, now: float) -> None:
        """A frame came on the lossy channel. What is not news there is dropped, and nothing of it ends the session."""
        if self.state is not SessionState.READY or self._lossy is None:
            self._lossy_strays += 1
            return
        self._now = self._heard_at = now
        self._unanswered = 0
        if (notification := self._lossy.receive(frame)) is not None:
            self._events.append(events.LossyReceived(notification))

    def receive_eof(self, now: float, reason: str) -> None:
        """The connection is gone."""
        self._now = now
        self._end(codes.CONNECTION_LOST, reason, "broken", ConnectionLost(reason or "the connection was lost"))

    def signed(self, signature: bytes) -> None:
        """The answer to `SignRequired`."""
        if self._their_hello is None or self._signature_sent or self.state is SessionState.CLOSED:
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
                        f"expected the other side to prove its key within {self._config.handshake_seconds:g} s",
                        code=codes.DEADLINE_EXCEEDED,
                    )
                )
            return
        self._expire_calls(now)
        try:
            self._reader.expire(now)
        except ProtocolError as error:
            self._refuse(error)
            return
        if self._speaks:
            self._heartbeat(now)

    def next_tick(self) -> float | None:
        """When to call `tick`, at the latest; None when there is nothing to wait for."""
        if self.state is SessionState.CLOSED:
            return None
        if self.state is not SessionState.READY:
            return self._handshake_deadline
        times = [time for time in (self._reader.next_expiry(), self._first_deadline()) if time is not None]
        if self._speaks:
            times.append(self._next_heartbeat())
        return min(times, default=None)

    # -- output ------------------------------------------------------------------------------------------

    def events_received(self) -> list[events.Event]:
        """What happened since the last call, in order."""
        happened = list(self._events)
        self._events.clear()
        return happened

    @property
    def has_events(self) -> bool:
        """Whether `events_received` has something to tell."""
        return bool(self._events)

    def data_to_send(self, budget: int) -> list[bytes | str]:
        """Frames to put on the channel now, about `budget` bytes. What leaves may make a stream writable: look at the events, too."""
        if not self._streams.waits:
            return self._lanes.data_to_send(budget)
        frames: list[bytes | str] = []
        while budget > 0:
            self._streams.feed()
            more = self._lanes.data_to_send(budget)
            if not more:
                break
            frames += more
            budget -= sum(map(frame_size, more))
        return frames

    @property
    def has_lossy_to_send(self) -> bool:
        """Whether something waits for room in the lossy channel."""
        return bool(self._lossy)

    def next_lossy(self) -> bytes | None:
        """The frame to put on the lossy channel now, where there is room in it; None where nothing waits."""
        return None if self._lossy is None or self.state is not SessionState.READY else self._lossy.next_frame()

    @property
    def lossy_dropped(self) -> int:
        """Frames of the lossy channel that came and were not taken: late, repeated, or not what belongs there."""
        return self._lossy_strays + (0 if self._lossy is None else self._lossy.dropped)

    @property
    def has_data_to_send(self) -> bool:
        """Whether something waits for room in the channel."""
        return bool(self._lanes) or self._streams.has_data_to_send

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for room in the channel."""
        return self._lanes.queued_bytes

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
        streams = self._streams.claim(params)
        all_meta = self._meta(meta, timeout)
        message = self._encode(Request(request_id, _checked_method(method), params, all_meta))
        self._next_id += 1
        self._now = now
        call = self._calls[request_id] = self._new_call(message, timeout, request_id)
        if streams:
            call.streams = streams
            self._streams.hold(streams)
        if self._open < self._their_window() and not self._waiting:
            call.ticket = self._lanes.push_call(message)
            self._open += 1
            if streams:
                self._streams.announce(streams, call.ticket)
        else:
            self._waiting.append((request_id,))
        return request_id

    def send_batch(
        self,
        messages: Sequence[tuple[str, Params] | tuple[str, Params, Literal["notify"]]],
        *,
        now: float,
        timeout: float | None = None,
    ) -> list[int]:
        """Several calls in one JSON-RPC batch, where the session speaks JSON; the ids of those that want an answer.

        Waits as a whole until the other's `maxInFlight` has room for all of it. Raises as `send_request` does, and `ResourceExhausted`
        for more than fit a batch or the other's window.
        """
        self._require_ready("a batch")
        if self._codec is not self._json:
            raise ProtocolError("batches are of JSON only: in MessagePack calls share frames by themselves")
        most = min(limits.MAX_BATCH, self._their_window())
        if not 1 <= len(messages) <= most:
            raise ResourceExhausted(f"expected 1 to {most} messages in a batch, got {len(messages)}", ran=False)
        items: list[Message] = []
        ids: list[int] = []
        for method, params, *rest in messages:
            if streams_in(params):
                raise EncodeError(f"{method}: a stream can't travel in a batch; make the call alone")
            if rest:
                items.append(Notification(_checked_method(method), params))
            else:
                ids.append(self._next_id + len(ids))
                items.append(Request(ids[-1], _checked_method(method), params, self._meta(None, timeout)))
        message = self._encode(Batch(tuple(items)))
        self._next_id += len(ids)
        self._now = now
        group = tuple(ids)
        for request_id in ids:
            self._calls[request_id] = self._new_call(message, timeout, request_id)
            self._calls[request_id].batch = group
        if not ids:
            self._lanes.push_call(message)
        else:
            self._waiting.append(group)
            self._release()
        return ids

    def send_cancel(self, request_id: int) -> None:
        """Give one of our calls up; no event will come for it. The other side is told, where it may have heard of the call."""
        call = self._calls.pop(request_id, None)
        if call is None or self.state is not SessionState.READY:
            return
        self._withdraw(request_id, call)

    def send_response(self, request_id: RequestId, result: Any) -> None:
        """Answer a request. `EncodeError` or `TooLarge` where the result can't go: then answer with an error."""
        self._answer(request_id, Response(request_id, result))

    def send_error(self, request_id: RequestId, code: int, message: str, data: dict[str, Any] | None = None) -> None:
        """Answer a request with an error."""
        self._answer(request_id, ErrorResponse(request_id, code, message, data))

    def send_notification(self, method: str, params: Params, meta: Mapping[str, Any] | None = None) -> None:
        """Tell; nothing comes back."""
        self._require_ready(method)
        streams = self._streams.claim(params)
        message = self._encode(Notification(_checked_method(method), params, dict(meta) if meta else {}))
        self._streams.announce(streams, self._lanes.push_call(message))

    def send_lossy(self, method: str, params: Params) -> None:
        """Tell, where only the latest counts: it may be lost, and is replaced by a newer one of the method while it waits.

        Goes like any notification where the two have no lossy channel in common. Raises as `send_request` does, `TooLarge` beyond
        `limits.LOSSY_FRAME`, `EncodeError` for a stream, `ResourceExhausted` for more than `limits.MAX_LOSSY_METHODS` methods.
        """
        self._require_ready(method)
        if self._lossy is None:
            self.send_notification(method, params)
        else:
            self._lossy.send(_checked_method(method), params)

    def send_progress(
        self,
        request_id: RequestId,
        done: int | float,
        total: int | float | None = None,
        message: str | None = None,
    ) -> None:
        """Say how far a request has come that is not answered yet (protocol section 7.1); nothing happens where the caller did not ask
        to know. Raises `EncodeError` for what can't travel.
        """
        if self.state is not SessionState.READY or request_id not in self._serving or not self._has_feature("progress"):
            return
        params: dict[str, Any] = {"id": request_id, "done": done}
        if total is not None:
            params["total"] = total
        if message is not None:
            params["message"] = message
        self._lanes.push_call(self._encode(Notification("rpc.progress", params)))

    # -- streams of ours (protocol section 7.2) ----------------------------------------------------------

    def open_stream(self) -> int:
        """A new stream. Put a `StreamRef` with this id into one value; nothing of the stream is sent before that value has left.

        Raises `EncodeError` where the other side knows no streams, `ResourceExhausted` where too many are open. One that is sent in no
        value is to be ended.
        """
        self._require_ready("a stream")
        return self._streams.open()

    def send_items(self, stream: int, items: list[Any]) -> None:
        """Queue items of a stream; they go out as credit allows. Nothing happens for a stream that was stopped.

        Raises `EncodeError` or `TooLarge` for an item that can't travel; those before it are queued: end the stream with an error then.
        `queued_bytes_of` at `flow.HIGH_MARK` or above means: wait for `StreamWritable`.
        """
        self._streams.put(stream, items)

    def end_stream(self, stream: int, error: tuple[int, str, dict[str, Any] | None] | None = None) -> None:
        """No more items, once those that are queued have gone; `error`: code, message, data of why it broke."""
        self._streams.end(stream, error)

    def queued_bytes_of(self, stream: int) -> int:
        """Encoded bytes of a stream that wait for credit, or for their turn."""
        return self._streams.queued(stream)

    # -- streams of the other side -----------------------------------------------------------------------

    def stop_stream(self, stream: int) -> None:
        """Read a stream no more; its owner is told, and no event will come of it."""
        self._streams.stop(stream)

    def credit_stream(self, stream: int, size: int) -> None:
        """The program has taken `size` bytes of a stream (see `StreamItems`); its owner may send as much again."""
        self._streams.take(stream, size)

    def send_token(self, token: str) -> None:
        """Present what entitles us; goes out before any call made later (protocol section 6.1). Raises `TooLarge`."""
        self._require_ready("rpc.token")
        if len(token.encode(errors="surrogatepass")) > limits.TOKEN_LENGTH:
            raise TooLarge(f"token: expected at most {limits.TOKEN_LENGTH} bytes, got more", ran=False)
        self._lanes.push_call(self._encode(Notification("rpc.token", {"token": token})))

    def close(self, code: int = 0, reason: str = "", *, now: float) -> None:
        """Say bye and end; send what `data_to_send` still gives, then close the connection."""
        self._now = now
        if code == 0:
            # A good end: what is small and was said before goes out before the bye. Calls that nobody will wait for don't.
            for call in self._calls.values():
                if call.ticket is not None:
                    self._lanes.withdraw(call.ticket)
        self._say_bye(code, reason, after_calls=code == 0)
        self._end(code, reason, "local", ConnectionLost(reason or "the session was closed on this side"))

    # -- before the session is ready ---------------------------------------------------------------------

    def _receive_before_ready(self, frame: bytes | str) -> None:
        if self.state in (SessionState.VERIFYING, SessionState.SIGNING):
            # The other side may have verified us already and be calling: kept as it came until its own proof holds.
            self._backlog_bytes += frame_size(frame)
            if self._backlog_bytes > self._config.verify_backlog:
                raise ProtocolError(
                    f"expected at most {self._config.verify_backlog} bytes while a proof is verified",
                    code=codes.RESOURCE_EXHAUSTED,
                )
            self._backlog.append(frame)
            return
        self._handshake_messages += 1
        self._handshake_bytes += frame_size(frame)
        most = self._config.handshake_bytes
        if self.state is SessionState.HELLO and self._admits_level_0:
            most = max(most, limits.MAX_MESSAGE_ANONYMOUS)  # it may be a request, and whole in one frame
        if self._handshake_messages > self._config.handshake_messages or self._handshake_bytes > most:
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
            if not self._admits_level_0:
                raise HandshakeError("expected rpc.hello first, got no JSON-RPC message") from None
            envelope = None
        if isinstance(envelope, Notification) and envelope.method == "rpc.hello":
            self._receive_hello(frame, envelope.params)
        elif isinstance(envelope, Notification) and envelope.method == "rpc.bye":
            self._receive_bye(envelope.params)  # it left before it began
        elif self._admits_level_0:
            self._move(SessionInput.LEVEL_0)
            self.remote = events.RemoteInfo(None, "", 0, frozenset(), 1)
            # It was told no maxFrame, and knows no parts.
            self._reader.max_message = min(self._config.max_message, limits.MAX_MESSAGE_ANONYMOUS)
            self._reader.max_frame = self._reader.max_message
            self._lanes.max_frame = self._channel_limit
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
        if (
            not isinstance(envelope, Notification)
            or not envelope.method.startswith("rpc.")
            or envelope.method == "rpc.hello"
        ):
            raise HandshakeError("expected rpc.prove after rpc.hello, got another message")
        if envelope.method != "rpc.prove":
            return  # a reserved notification that this version does not know
        if type(envelope.params) is not dict:
            raise HandshakeError("prove: expected named params")
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
            if self._has_feature(LOSSY):
                self._lossy = LossyLane(self._lanes.max_frame)
        if theirs.stream_window is not None and "streams" in self._config.features:
            items = JsonItems() if self._codec is self._json else MessagePackItems()
            self._streams.begin(items, self._encode, theirs.stream_window, theirs.max_message)
        self._events.append(events.SessionReady(self.remote))
        self._send_ping()  # the first round trip is measured at once
        backlog, self._backlog = self._backlog, deque()
        for frame in backlog:
            if self.state is SessionState.READY:
                self.receive_data(frame, self._now)

    @property
    def _admits_level_0(self) -> bool:
        # A pinned peer has a key to prove: whoever shows none is not it.
        return self._config.allow_anonymous and self._pin is None

    @property
    def _speaks(self) -> bool:
        """Whether the other side knows the reserved notifications."""
        return self._their_hello is not None

    def _has_feature(self, name: str) -> bool:
        return self._their_hello is not None and name in self._their_hello.features and name in self._config.features

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
        data = whole.data
        if isinstance(data, str):
            self._receive_text(data)
            return
        if self._codec is self._json:
            raise ProtocolError("expected text frames: MessagePack was not agreed")
        envelopes = self._codec.decode(data)
        sizes: list[int] | None = None
        for index, envelope in enumerate(envelopes):
            if self.state is not SessionState.READY:
                return
            if type(envelope) is Notification and envelope.method == "rpc.next":
                if sizes is None:
                    sizes = [len(data)] if len(envelopes) == 1 else envelope_sizes(data)
                self._streams.receive(envelope.method, envelope.params, sizes[index])
            elif not isinstance(envelope, Batch):  # MessagePack has none
                self._receive_message(envelope, _BINARY)

    def _receive_text(self, text: str) -> None:
        try:
            envelopes = self._json.decode_text(text)
        except DecodeError as error:
            if self._codec is self._json and (self._open or self._streams.is_reading):
                # It may have been the answer to one of our calls, or items of a stream, which would then be waited for for ever.
                raise
            self._refuse_request(None, error.code, error.message, _TEXT)
            return
        for envelope in envelopes:
            if type(envelope) is Notification and envelope.method == "rpc.next":
                self._streams.receive(envelope.method, envelope.params, frame_size(text))
                continue
            if not isinstance(envelope, Batch):
                self._receive_message(envelope, _TEXT)
                continue
            batch = _BatchAnswer(sum(map(_is_owed_an_answer, envelope.items)))
            reply = _Reply(True, batch)
            answered = self._batches_answered_by(envelope)
            for item in envelope.items:
                if self.state is not SessionState.READY:
                    return
                self._receive_message(item, reply)
            for group in answered:
                self._fail_unanswered(group)

    def _receive_message(self, message: Message, reply: _Reply) -> None:
        if isinstance(message, Request):
            self._receive_request(message, reply)
        elif isinstance(message, Response):
            self._receive_response(message)
        elif isinstance(message, Notification):
            if message.method.startswith("rpc."):
                self._receive_reserved(message.method, message.params)
            elif self._takes_streams_of(message.params):
                self._events.append(message)
        elif isinstance(message, ErrorResponse):
            self._receive_error(message)
        elif not message.is_answer:
            self._refuse_request(message.id, message.code, message.message, reply)
        elif type(message.id) is int and self._settle(message.id):
            broken = ProtocolError(f"the answer can't be read: {message.message}")
            self._events.append(events.CallFailed(message.id, broken))

    def _receive_response(self, answer: Response) -> None:
        waited = self._settle(answer.id)
        if streams := streams_in(answer.result):
            if not waited:
                self._streams.turn_away(streams)
                return
            try:
                self._streams.arrive(streams)
            except ResourceExhausted as error:
                assert type(answer.id) is int, "it was waited for"
                self._events.append(
                    events.CallFailed(answer.id, ResourceExhausted(f"the result was not taken: {error}"))
                )
                return
        if waited:
            self._events.append(answer)

    def _takes_streams_of(self, params: Params) -> bool:
        """Whether there is room for the streams in params; where there isn't they are stopped."""
        if streams := streams_in(params):
            try:
                self._streams.arrive(streams)
            except ResourceExhausted:
                return False
        return True

    def _receive_error(self, answer: ErrorResponse) -> None:
        error = error_from_wire(answer.code, answer.message, answer.data)
        if answer.id is not None:
            if type(answer.id) is int and self._settle(answer.id):
                self._events.append(events.ErrorReceived(answer.id, error))
            return
        # The other side could not read the id of something that we sent. Where only one thing is open, it was that.
        sent = {call.batch or (request_id,) for request_id, call in self._calls.items() if call.ticket is not None}
        if len(sent) > 1 or (sent and self._abandoned):
            raise ProtocolError(
                f"the other side could not read one of our calls, and can't say which: {answer.message[:200]}"
            )
        for request_id in sent.pop() if sent else ():
            if self._settle(request_id):
                self._events.append(events.ErrorReceived(request_id, error))

    def _receive_request(self, request: Request, reply: _Reply) -> None:
        request_id, method = request.id, request.method
        streams = streams_in(request.params)
        if request_id in self._serving and request_id is not None and self._speaks:
            raise ProtocolError(f"expected the id of a request to be used once, got {request_id!r:.60} again")
        if self._serving_count >= self._config.max_in_flight:
            most = self._config.max_in_flight
            message = f"expected at most {most} requests at a time; wait for an answer, then try again"
            self._refuse_request(request_id, codes.RESOURCE_EXHAUSTED, message, reply, streams)
        elif method.startswith("rpc.") and method != "rpc.discover":
            self._refuse_request(request_id, codes.METHOD_NOT_FOUND, f"there is no method {method!r}", reply, streams)
        elif streams and not self._speaks:
            self._refuse_request(request_id, codes.INVALID_REQUEST, "streams need a peer that announced them", reply)
        else:
            if streams:
                try:
                    self._streams.arrive(streams)
                except ResourceExhausted as error:
                    self._refuse_request(request_id, error.code, error.message, reply)
                    return
            if request_id in self._serving:
                self._serving_again.setdefault(request_id, deque()).append(reply)
            else:
                self._serving[request_id] = reply
            self._serving_count += 1
            self._events.append(request)

    def _refuse_request(
        self, request_id: RequestId, code: int, message: str, reply: _Reply, streams: tuple[int, ...] = ()
    ) -> None:
        if streams and self._speaks:
            self._streams.turn_away(streams)
        if not self._lanes.has_calls:
            self._refusal_bytes = 0
        before = self._lanes.queued_bytes
        self._deliver(ErrorResponse(request_id, code, message, {"ran": False}), reply)
        self._refusal_bytes += max(self._lanes.queued_bytes - before, 0)
        if self._refusal_bytes > _MAX_REFUSALS:
            raise ResourceExhausted("expected refusals to be read, got only more to refuse")

    def _receive_reserved(self, method: str, params: Params) -> None:
        if not self._speaks:
            return
        members = params if isinstance(params, dict) else {}
        match method:
            case "rpc.hello" | "rpc.prove":
                raise ProtocolError(f"expected {method} once, before the first call")
            case "rpc.ping":
                # A number, not whatever it sent: that would come back at any length. And none for a peer that doesn't read them.
                number = members.get("n")
                if _is_count(number) and self._lanes.waiting_control < _MAX_WAITING_CONTROL:
                    self._push_control(Notification("rpc.pong", {"n": number}))
            case "rpc.pong":
                number = members.get("n")
                if type(number) is int and number == self._ping_number:
                    self._events.append(events.PongReceived(self._now - self._ping_sent_at))
            case "rpc.cancel":
                request_id = members.get("id")
                if type(request_id) in (int, float, str) and request_id in self._serving:
                    self._events.append(events.CancelReceived(request_id))
            case "rpc.progress":
                self._receive_progress(members)
            case "rpc.end" | "rpc.credit" | "rpc.stop":
                self._streams.receive(method, params, 0)
            case "rpc.next":
                raise ProtocolError("rpc.next: expected it outside of a batch, where its cost can be told")
            case "rpc.token":
                self._receive_token(members.get("token"))
            case "rpc.bye":
                self._receive_bye(members)

    def _receive_token(self, token: Any) -> None:
        if not isinstance(token, str) or not token:
            raise ProtocolError("token: expected text")
        if len(token.encode()) > limits.TOKEN_LENGTH:
            raise ProtocolError(f"token: expected at most {limits.TOKEN_LENGTH} bytes", code=codes.TOO_LARGE)
        self._tokens += 1
        if self._tokens > limits.MAX_TOKENS:
            raise ProtocolError(f"expected at most {limits.MAX_TOKENS} tokens", code=codes.RESOURCE_EXHAUSTED)
        self._events.append(events.TokenReceived(token))

    def _receive_progress(self, members: Mapping[str, Any]) -> None:
        done, total, message = members.get("done"), members.get("total"), members.get("message")
        if (
            not isinstance(done, (int, float))
            or isinstance(done, bool)
            or (total is not None and type(total) not in (int, float))
        ):
            raise ProtocolError("rpc.progress: expected done to be a number, and total too where it is told")
        if message is not None and type(message) is not str:
            raise ProtocolError("rpc.progress: expected message to be text")
        request_id = members.get("id")
        if type(request_id) is int and request_id in self._calls:
            self._events.append(events.ProgressReceived(request_id, done, total, message))

    def _receive_bye(self, params: Params) -> None:
        members = params if isinstance(params, dict) else {}
        code, reason = members.get("code"), members.get("reason")
        code = code if type(code) is int else 0
        # It ends up in logs and terminals, where an escape sequence could rewrite the line.
        reason = (
            "".join(c if c.isprintable() else "\ufffd" for c in reason[:_MAX_REASON]) if isinstance(reason, str) else ""
        )
        self._lanes.clear()
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
        return self._their_hello.max_in_flight if self._their_hello is not None else self._config.max_in_flight

    def _meta(self, meta: Mapping[str, Any] | None, timeout: float | None) -> dict[str, Any]:
        if not self._speaks:
            return {}  # JSON-RPC 2.0 has no such member, and a level 0 peer may refuse it
        made = dict(meta) if meta else {}
        if timeout is not None:
            made["timeout"] = max(1, round(timeout * 1000))
        return made

    def _new_call(self, message: bytes | str, timeout: float | None, request_id: int) -> _Call:
        if timeout is None:
            return _Call(message, None, None)
        deadline = self._now + timeout
        if len(self._deadlines) > 2 * len(self._calls) + 64:
            # Those of answered calls go when they come up, which may be hours from now: too many are dropped before.
            self._deadlines = [entry for entry in self._deadlines if entry[1] in self._calls]
            heapq.heapify(self._deadlines)
        heapq.heappush(self._deadlines, (deadline, request_id))
        return _Call(message, deadline, timeout)

    def _release(self) -> None:
        """Send what waits, as far as the other side's window goes."""
        while self._waiting and self._open + len(self._waiting[0]) <= self._their_window():
            group = self._waiting.popleft()
            calls = {request_id: self._calls[request_id] for request_id in group if request_id in self._calls}
            if not calls:
                continue
            ticket = self._lanes.push_call(next(iter(calls.values())).message)
            self._open += len(group)
            for request_id in group:
                if request_id in calls:
                    calls[request_id].ticket = ticket
                    self._streams.announce(calls[request_id].streams, ticket)
                else:  # given up while its batch waited: it can't be taken out of that any more
                    self._abandon(request_id, ticket)

    def _settle(self, request_id: RequestId) -> bool:
        """Whether one of our calls was waiting for this answer. (Not so where the answer and our cancel crossed.)"""
        if type(request_id) is not int:
            return False
        call = self._calls.get(request_id)
        if call is None:
            if request_id not in self._abandoned:
                return False
            del self._abandoned[request_id]
        elif call.ticket is None:
            return False
        else:
            del self._calls[request_id]
        self._open -= 1
        if self._waiting:
            self._release()
        return call is not None

    def _batches_answered_by(self, batch: Batch) -> list[tuple[int, ...]]:
        groups: dict[tuple[int, ...], None] = {}
        for item in batch.items:
            if isinstance(item, Response | ErrorResponse) and type(item.id) is int:
                call = self._calls.get(item.id)
                if call is not None and call.batch is not None:
                    groups[call.batch] = None
        return list(groups)

    def _fail_unanswered(self, group: tuple[int, ...]) -> None:
        """A batch is answered by one batch (JSON-RPC 2.0 section 6): what is missing from it never comes."""
        for request_id in group:
            if request_id in self._calls and self._settle(request_id):
                missing = ProtocolError("the answer to the batch has none for this call")
                self._events.append(events.CallFailed(request_id, missing))

    def _abandon(self, request_id: int, ticket: int) -> None:
        """Tell the other side that nobody waits any more. It owes an answer still, and counts the call until it gives one."""
        self._abandoned[request_id] = None
        if self._speaks:
            self._lanes.push_behind(ticket, self._encode_unchecked(Notification("rpc.cancel", {"id": request_id})))

    def _withdraw(self, request_id: int, call: _Call) -> bool:
        """Take a call back; True where the other side can't have heard of it."""
        if call.ticket is None:
            self._streams.drop(call.streams)
            return True
        if call.batch is None and self._lanes.withdraw(call.ticket):
            self._streams.drop(call.streams)
            self._open -= 1
            self._release()
            return True
        self._abandon(request_id, call.ticket)
        return False

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
        reply = self._serving.get(request_id)
        if reply is None:
            raise ValueError(f"request {request_id!r} was answered before, or never came")
        self._deliver(answer, reply)
        # Only now: where the answer could not be encoded, another may be given.
        again = self._serving_again.get(request_id)
        if again is None:
            del self._serving[request_id]
        else:
            self._serving[request_id] = again.popleft()
            if not again:
                del self._serving_again[request_id]
        self._serving_count -= 1

    def _deliver(self, answer: Response | ErrorResponse, reply: _Reply) -> None:
        """Send an answer, or keep it until the others of its batch are there."""
        streams = self._streams.claim(answer.result) if isinstance(answer, Response) else ()
        if not reply.is_text:
            ticket = self._lanes.push_call(self._encode(answer))
            if streams:
                self._streams.announce(streams, ticket)
            return
        data = self._json.encode(answer)
        batch = reply.batch
        if batch is None:
            self._check_size(len(data))
            self._streams.announce(streams, self._lanes.push_call(data.decode()))
            return
        self._check_size(len(data))
        batch.texts.append(data.decode())
        batch.size += len(data) + 1
        batch.missing -= 1
        batch.streams += streams
        self._streams.hold(streams)
        if batch.missing > 0:
            return
        try:
            self._check_size(batch.size - 1)
        except TooLarge as error:
            # Each fits, all of them don't: one answer for the batch, as JSON-RPC has it for a batch that is no good.
            whole = self._json.encode(ErrorResponse(None, error.code, error.message)).decode()
            self._streams.drop(batch.streams)
            batch.streams = []
        else:
            whole = f"[{','.join(batch.texts)}]"
        self._streams.announce(batch.streams, self._lanes.push_call(whole))

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

    def _say_bye(self, code: int, reason: str, *, after_calls: bool = False) -> None:
        if self.state is SessionState.CLOSED:
            return
        self._lanes.clear(keep_control=True, keep_calls=after_calls)
        bye = Notification("rpc.bye", {"code": code, "reason": _well_formed(reason[:_MAX_REASON])})
        if self.state is not SessionState.READY:
            self._lanes.push_control(self._json.encode(bye).decode())
        elif self._speaks and after_calls:
            self._lanes.push_call(self._encode_unchecked(bye))
        elif self._speaks:
            self._push_control(bye)

    def _end(self, code: int, reason: str, by: Literal["local", "remote", "broken"], error: RtcRpcError) -> None:
        if self.state is SessionState.CLOSED:
            return
        self._move(SessionInput.END)
        calls, self._calls = self._calls, {}
        for request_id, call in calls.items():
            started = call.ticket is not None and self._lanes.has_left(call.ticket)
            lost = ConnectionLost(f"the session ended before the answer came: {error}", ran=None if started else False)
            self._events.append(events.CallFailed(request_id, lost))
        self._streams.close(error)
        self._waiting.clear()
        self._backlog.clear()
        self._abandoned.clear()
        self._serving.clear()
        self._serving_again.clear()
        self._events.append(events.SessionClosed(code, reason, by, error))

    # -- encoding ----------------------------------------------------------------------------------------

    def _require_ready(self, what: str) -> None:
        if self.state is not SessionState.READY:
            raise ConnectionLost(f"{what}: there is no session (it is {self.state.value}); nothing was sent", ran=False)

    def _encode(self, envelope: Envelope) -> bytes | str:
        data = self._codec.encode(envelope)
        self._check_size(len(data))
        return data.decode() if self._codec is self._json else data

    def _check_size(self, size: int) -> None:
        # A level 0 peer knows no parts: what it gets must fit the channel.
        limit = self._their_hello.max_message if self._their_hello is not None else self._channel_limit
        if size > limit:
            raise TooLarge(
                f"the message has {size} bytes, the other side takes at most {limit}; send it in pieces", ran=False
            )

    def _encode_unchecked(self, envelope: Envelope) -> bytes | str:
        data = self._codec.encode(envelope)
        return data.decode() if self._codec is self._json else data

    def _push_control(self, envelope: Envelope) -> None:
        """Send what is ours alone and short: no limit of the other side's stands in its way."""
        self._lanes.push_control(self._encode_unchecked(envelope))

    def _push_json(self, method: str, params: dict[str, Any]) -> None:
        self._lanes.push_control(self._json.encode(Notification(method, params)).decode())


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _is_owed_an_answer(message: Message) -> bool:
    return isinstance(message, Request) or (isinstance(message, Malformed) and not message.is_answer)


def _well_formed(text: str) -> str:
    """A text for people whose lone surrogates, which have no UTF-8, are replaced."""
    return text.encode(errors="replace").decode()


def _checked_method(method: str) -> str:
    if not isinstance(method, str) or not 1 <= len(method) <= limits.MAX_METHOD_LENGTH:
        raise ProtocolError(f"expected the name of a method to have 1 to {limits.MAX_METHOD_LENGTH} characters")
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

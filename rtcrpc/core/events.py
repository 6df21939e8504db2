"""What a session tells its owner; see `rtcrpc.core.session`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from rtcrpc.core.envelope import Notification, Request, RequestId, Response
from rtcrpc.errors import LocalError, RemoteError, RtcRpcError

__all__ = [
    "CallFailed",
    "CancelReceived",
    "ErrorReceived",
    "Event",
    "LossyReceived",
    "NotificationReceived",
    "PongReceived",
    "ProgressReceived",
    "RemoteInfo",
    "RequestReceived",
    "ResponseReceived",
    "SessionClosed",
    "SessionReady",
    "SignRequired",
    "StreamEnded",
    "StreamItems",
    "StreamStopped",
    "StreamWritable",
    "StreamsOpened",
    "TokenReceived",
    "VerifyRequired",
]


@dataclass(frozen=True, slots=True)
class RemoteInfo:
    """Who is at the other end, as its hello told and its proof confirmed (protocol section 6)."""

    peer_id: str | None
    """The proved key; None for a peer of level 0, which has shown none."""
    name: str
    """What it calls itself. It proves nothing."""
    level: int
    features: frozenset[str]
    version: int
    """The version of the protocol that both use."""


@dataclass(frozen=True, slots=True)
class SignRequired:
    """Sign `payload` with our key and hand the 64 bytes to `Session.signed`."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class VerifyRequired:
    """Check `signature` over `payload` with the raw public key `key`, and hand the outcome to `Session.verified`."""

    key: bytes
    payload: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class SessionReady:
    """Both proofs hold, or a peer of level 0 was admitted. `send_request` and its kind may be used from now on."""

    peer: RemoteInfo


RequestReceived: TypeAlias = Request
"""The envelope itself: serve it, then answer with `send_response` or `send_error` exactly once.

`meta["timeout"]` is in milliseconds.
"""

NotificationReceived: TypeAlias = Notification
"""The envelope itself: serve it; there is no answer."""


@dataclass(frozen=True, slots=True)
class LossyReceived:
    """A notification that came where messages may be lost, newer than any of its method before it (protocol section 7.3).

    To be served only where its function is meant for that.
    """

    notification: Notification


ResponseReceived: TypeAlias = Response
"""The envelope itself: the call `id` of ours ended with a result."""


@dataclass(frozen=True, slots=True)
class CancelReceived:
    """The caller of the open request `id` gave up: stop if possible, and answer all the same."""

    id: RequestId


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """The other side answered our call `id` with an error."""

    id: int
    error: RemoteError


@dataclass(frozen=True, slots=True)
class CallFailed:
    """Our call `id` ended on this side. `error.ran` is False when it certainly did not run."""

    id: int
    error: LocalError


@dataclass(frozen=True, slots=True)
class TokenReceived:
    """The other side shows what entitles it (protocol section 6.1). The policy decides what it is worth."""

    token: str


@dataclass(frozen=True, slots=True)
class PongReceived:
    """A ping was answered after `rtt` seconds."""

    rtt: float


@dataclass(frozen=True, slots=True)
class ProgressReceived:
    """How far our call `id` has come, in whatever unit the function counts (protocol section 7.1)."""

    id: int
    done: int | float
    total: int | float | None
    message: str | None


@dataclass(frozen=True, slots=True)
class StreamsOpened:
    """The next event is a request, a response, a notification or items, and holds a `StreamRef` for each of these ids.

    Each is to be read, or stopped with `Session.stop_stream`.
    """

    streams: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StreamItems:
    """The next items of a stream that we read. Tell `Session.credit_stream` when the program has taken all `size` bytes of them."""

    stream: int
    items: list[Any]
    size: int


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """A stream that we read has no more items; `error` says why, where it broke."""

    stream: int
    error: RtcRpcError | None


@dataclass(frozen=True, slots=True)
class StreamWritable:
    """A stream of ours that was full has room again: less than `flow.LOW_MARK` bytes wait."""

    stream: int


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """Nobody reads a stream of ours any more: the reader stopped it, the message that held it never left, or the session ended."""

    stream: int


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The end, told once. Send what `data_to_send` still holds (a bye), let it drain, then close the connection.

    `by`: `local` when this side said bye, `remote` when the other did, `broken` when the connection went without one.
    """

    code: int
    reason: str
    by: Literal["local", "remote", "broken"]
    error: RtcRpcError


Event: TypeAlias = (
    SignRequired
    | VerifyRequired
    | SessionReady
    | RequestReceived
    | NotificationReceived
    | LossyReceived
    | CancelReceived
    | ResponseReceived
    | ErrorReceived
    | CallFailed
    | TokenReceived
    | PongReceived
    | ProgressReceived
    | StreamsOpened
    | StreamItems
    | StreamEnded
    | StreamWritable
    | StreamStopped
    | SessionClosed
)

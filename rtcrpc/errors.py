"""Every error of the package, in one tree, each with its code on the wire (`rtcrpc.codes`, protocol section 5.1).

RtcRpcError                    .code .message .data .ran; str() is the message
├─ LocalError                  found on this side
│  ├─ ProtocolError            the other side broke the protocol, or this side used it out of order
│  │  └─ DecodeError           bytes that are no message
│  ├─ HandshakeError           a hello or a proof was refused, here or there
│  │  ├─ IdentityMismatch      the key is not the pinned one
│  │  └─ VersionMismatch       no version in common
│  ├─ ConnectionLost           the connection ended before the answer came
│  ├─ DeadlineExceeded         the time the caller gave has passed (also a TimeoutError)
│  ├─ CallCancelled            the caller gave the call up
│  ├─ TooLarge                 longer than the receiver takes
│  ├─ Unavailable              the peer, the room or the session is not there
│  ├─ ResourceExhausted        a limit on how much or how often
│  ├─ FileDamaged              a file that came is not, in size or checksum, the one that was sent
│  ├─ EncodeError              a value that can't travel (also a TypeError)
│  ├─ SignalingError           the bootstrap can't be reached, refuses, or talks nonsense
│  ├─ InviteError              a link that can't be read or made (also a ValueError)
│  ├─ KeyFileError             a key file that can't be read or written (also a ValueError)
│  └─ ExposeError              a function that can't be exposed (also a TypeError)
├─ RemoteError                 the other side answered with an error: .type .issues .retry_after .detail
│  └─ RemoteMethodNotFound, RemoteInvalidParams, RemoteInternalError, RemoteApplicationError,
│     RemotePermissionDenied, RemoteUnauthenticated, RemoteResourceExhausted, RemoteUnavailable,
│     RemoteDeadlineExceeded, RemoteCancelled, RemoteTooLarge, RemoteStreamBroken
└─ Error                       raised on purpose by an exposed function; travels whole
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rtcrpc import codes

__all__ = [
    "CallCancelled",
    "ConnectionLost",
    "DeadlineExceeded",
    "DecodeError",
    "EncodeError",
    "Error",
    "ExposeError",
    "FileDamaged",
    "HandshakeError",
    "IdentityMismatch",
    "InviteError",
    "KeyFileError",
    "LocalError",
    "ProtocolError",
    "RemoteApplicationError",
    "RemoteCancelled",
    "RemoteDeadlineExceeded",
    "RemoteError",
    "RemoteInternalError",
    "RemoteInvalidParams",
    "RemoteMethodNotFound",
    "RemotePermissionDenied",
    "RemoteResourceExhausted",
    "RemoteStreamBroken",
    "RemoteTooLarge",
    "RemoteUnauthenticated",
    "RemoteUnavailable",
    "ResourceExhausted",
    "RtcRpcError",
    "SignalingError",
    "TooLarge",
    "Unavailable",
    "VersionMismatch",
    "error_from_wire",
    "error_to_wire",
]


class RtcRpcError(Exception):
    """The root of the tree.

    `code`: an integer of `rtcrpc.codes`. `message`: a sentence for people. `data`: more for programs, or None.
    """

    default_code: ClassVar[int] = codes.INTERNAL_ERROR

    def __init__(
        self,
        message: str = "",
        *,
        code: int | None = None,
        data: Mapping[str, Any] | None = None,
        ran: bool | None = None,
    ) -> None:
        self.code: int = self.default_code if code is None else code
        self.message: str = message or codes.CODE_NAMES.get(self.code, "error")
        self.data: dict[str, Any] | None = None if data is None else dict(data)
        if ran is False:
            self.data = {**(self.data or {}), "ran": False}
        super().__init__(self.message)

    @property
    def ran(self) -> bool | None:
        """False when the call certainly did not run, so that it may be tried again; None when it may have run."""
        return False if self.data is not None and self.data.get("ran") is False else None


class LocalError(RtcRpcError):
    """Found on this side: nothing the other side answered."""


class ProtocolError(LocalError):
    """The other side broke the protocol, or a session was used out of order here. The message says how."""

    default_code = codes.INVALID_REQUEST


class DecodeError(ProtocolError):
    """Bytes that are no message. After one, the codec that raised it still works."""

    default_code = codes.PARSE_ERROR


class HandshakeError(LocalError):
    """A hello or a proof was refused (protocol section 6). No call was sent or served."""

    default_code = codes.HANDSHAKE_FAILED


class IdentityMismatch(HandshakeError):
    """The other's key is not the pinned one. Nothing was signed for it."""

    default_code = codes.IDENTITY_MISMATCH


class VersionMismatch(HandshakeError):
    """The two peers have no version of the protocol in common."""

    default_code = codes.VERSION_MISMATCH


class ConnectionLost(LocalError):
    """The connection ended before the answer came. `ran` is False when the call never left this side."""

    default_code = codes.CONNECTION_LOST


class DeadlineExceeded(LocalError, TimeoutError):
    """The time given to a call, a transfer or a handshake has passed."""

    default_code = codes.DEADLINE_EXCEEDED


class CallCancelled(LocalError):
    """The caller gave the call up before it was answered."""

    default_code = codes.CANCELLED


class TooLarge(LocalError):
    """A message or frame longer than its receiver takes. The message gives both numbers, in bytes."""

    default_code = codes.TOO_LARGE


class Unavailable(LocalError):
    """The peer, the room or the session is not there, or takes no calls now."""

    default_code = codes.UNAVAILABLE


class ResourceExhausted(LocalError):
    """A limit on how much or how often was reached."""

    default_code = codes.RESOURCE_EXHAUSTED


class FileDamaged(LocalError):
    """The content of a file that came is not, in size or SHA-256, what its sender said (protocol section 10.1)."""

    default_code = codes.STREAM_BROKEN


class EncodeError(LocalError, TypeError):
    """A value that can't travel (protocol section 10). `path` says where in the message it stands: `params[0].when`."""

    default_code = codes.INTERNAL_ERROR

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class SignalingError(LocalError):
    """The bootstrap can't be reached, refuses, or says what it may not."""

    default_code = codes.UNAVAILABLE


class InviteError(LocalError, ValueError):
    """A link that can't be read, or parts that make no link."""

    default_code = codes.INVALID_PARAMS


class KeyFileError(LocalError, ValueError):
    """A key file that can't be read, written or trusted."""

    default_code = codes.INVALID_PARAMS


class ExposeError(LocalError, TypeError):
    """A function that can't be exposed; the message says why."""

    default_code = codes.INTERNAL_ERROR


class RemoteError(RtcRpcError):
    """The other side answered a call with an error. `message` and `data` are its words: show them, don't trust them."""

    @property
    def type(self) -> str | None:
        """The name of the error's class over there, where it chose to tell."""
        name = (self.data or {}).get("type")
        return name if isinstance(name, str) else None

    @property
    def issues(self) -> tuple[dict[str, Any], ...]:
        """For invalid params: `{"path": [...], "expected": ..., "got": ...}` for each argument that does not fit."""
        issues = (self.data or {}).get("issues")
        return tuple(issue for issue in issues if isinstance(issue, dict)) if isinstance(issues, list) else ()

    @property
    def retry_after(self) -> float | None:
        """For resource exhausted: the seconds after which another try makes sense, where it told."""
        millis = (self.data or {}).get("retryAfter")
        if isinstance(millis, bool) or not isinstance(millis, int | float) or not 0 <= millis < 2**53:
            return None
        return millis / 1000

    @property
    def detail(self) -> Any:
        """Whatever the function chose to tell; None where it told nothing."""
        return (self.data or {}).get("detail")


class RemoteMethodNotFound(RemoteError):
    """Nothing is exposed there under exactly this name, or we may not know of it."""

    default_code = codes.METHOD_NOT_FOUND


class RemoteInvalidParams(RemoteError):
    """The arguments do not fit the signature; the function did not run. `issues` says where."""

    default_code = codes.INVALID_PARAMS


class RemoteInternalError(RemoteError):
    """The function failed in a way that it did not choose to tell."""

    default_code = codes.INTERNAL_ERROR


class RemoteApplicationError(RemoteError):
    """The function raised an error on purpose. `detail` holds what it chose to tell."""

    default_code = codes.APPLICATION_ERROR


class RemotePermissionDenied(RemoteError):
    """We are known there, and may not call this."""

    default_code = codes.PERMISSION_DENIED


class RemoteUnauthenticated(RemoteError):
    """We have not shown who we are, or what entitles us."""

    default_code = codes.UNAUTHENTICATED


class RemoteResourceExhausted(RemoteError):
    """A limit was reached there. `retry_after` may say when to try again."""

    default_code = codes.RESOURCE_EXHAUSTED


class RemoteUnavailable(RemoteError):
    """The service takes no calls now."""

    default_code = codes.UNAVAILABLE


class RemoteDeadlineExceeded(RemoteError, TimeoutError):
    """The other side stopped the call because the time we gave had passed."""

    default_code = codes.DEADLINE_EXCEEDED


class RemoteCancelled(RemoteError):
    """The other side stopped the call because we asked it to."""

    default_code = codes.CANCELLED


class RemoteTooLarge(RemoteError):
    """The answer, or what it needed, was longer than somebody takes."""

    default_code = codes.TOO_LARGE


class RemoteStreamBroken(RemoteError):
    """The other side gave up a stream that we were reading: what it came from went away."""

    default_code = codes.STREAM_BROKEN


class Error(RtcRpcError):
    """Raise it in an exposed function to tell the caller what went wrong.

    It travels whole: the message, the code and `detail` (any value of protocol section 10). The name of a subclass
    travels as `type`. Any other exception reaches the caller as `internal error` without its text.
    """

    default_code = codes.APPLICATION_ERROR

    def __init__(self, message: str, *, code: int = codes.APPLICATION_ERROR, detail: Any = None) -> None:
        data: dict[str, Any] = {}
        if type(self) is not Error:
            data["type"] = type(self).__name__
        if detail is not None:
            data["detail"] = detail
        super().__init__(message, code=code, data=data or None)
        self.detail = detail


_REMOTE: dict[int, type[RemoteError]] = {
    kind.default_code: kind
    for kind in (
        RemoteMethodNotFound,
        RemoteInvalidParams,
        RemoteInternalError,
        RemoteApplicationError,
        RemotePermissionDenied,
        RemoteUnauthenticated,
        RemoteResourceExhausted,
        RemoteUnavailable,
        RemoteDeadlineExceeded,
        RemoteCancelled,
        RemoteTooLarge,
        RemoteStreamBroken,
    )
}


def error_from_wire(code: int, message: str, data: Any = None) -> RemoteError:
    """The error of an answer. An unknown code is a plain `RemoteError`; `data` that is no map is kept as its `detail`."""
    if data is not None and not isinstance(data, dict):
        data = {"detail": data}
    return _REMOTE.get(code, RemoteError)(message, code=code, data=data)


def error_to_wire(exc: BaseException, *, ran: bool | None = None) -> tuple[int, str, dict[str, Any] | None]:
    """What the caller is told when a function ended with `exc`: code, message, data.

    Only an `Error`, raised on purpose, travels whole. Everything else becomes `internal error`: the text of an exception that nobody meant
    for the caller must not travel (protocol section 5.1), be it a bug, a path on this machine, or what a third peer answered. Pass
    `ran=False` when the function certainly did not run; what `exc` itself says about that belongs to another call.
    """
    told = exc if isinstance(exc, Error) else None
    data = {} if told is None or told.data is None else {k: v for k, v in told.data.items() if k != "ran"}
    if ran is False:
        data["ran"] = False
    if told is None:
        return codes.INTERNAL_ERROR, codes.CODE_NAMES[codes.INTERNAL_ERROR], data or None
    return told.code, told.message, data or None

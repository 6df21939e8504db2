"""The error codes of the protocol (generated from schemas/codes.json)."""

from typing import Final

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
CANCELLED: Final = -32800
APPLICATION_ERROR: Final = -32000
DEADLINE_EXCEEDED: Final = -32001
PERMISSION_DENIED: Final = -32002
UNAUTHENTICATED: Final = -32003
RESOURCE_EXHAUSTED: Final = -32004
UNAVAILABLE: Final = -32005
CONNECTION_LOST: Final = -32006
TOO_LARGE: Final = -32007
STREAM_BROKEN: Final = -32008
STALE_REFERENCE: Final = -32009
SANDBOX_KILLED: Final = -32010
HANDSHAKE_FAILED: Final = -32011
IDENTITY_MISMATCH: Final = -32012
VERSION_MISMATCH: Final = -32013

CODE_NAMES: Final[dict[int, str]] = {
    PARSE_ERROR: "parse error",
    INVALID_REQUEST: "invalid request",
    METHOD_NOT_FOUND: "method not found",
    INVALID_PARAMS: "invalid params",
    INTERNAL_ERROR: "internal error",
    CANCELLED: "cancelled",
    APPLICATION_ERROR: "application error",
    DEADLINE_EXCEEDED: "deadline exceeded",
    PERMISSION_DENIED: "permission denied",
    UNAUTHENTICATED: "unauthenticated",
    RESOURCE_EXHAUSTED: "resource exhausted",
    UNAVAILABLE: "unavailable",
    CONNECTION_LOST: "connection lost",
    TOO_LARGE: "too large",
    STREAM_BROKEN: "stream broken",
    STALE_REFERENCE: "stale reference",
    SANDBOX_KILLED: "sandbox killed",
    HANDSHAKE_FAILED: "handshake failed",
    IDENTITY_MISMATCH: "identity mismatch",
    VERSION_MISMATCH: "version mismatch",
}

"""The error codes of the protocol, and a dict of their names.

Made from schemas/codes.json by tools/generate_constants.py: change that one and `make generate`.
"""

from typing import Final

__all__ = [
    "APPLICATION_ERROR",
    "CANCELLED",
    "CODE_NAMES",
    "CONNECTION_LOST",
    "DEADLINE_EXCEEDED",
    "HANDSHAKE_FAILED",
    "IDENTITY_MISMATCH",
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "METHOD_NOT_FOUND",
    "PARSE_ERROR",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "SANDBOX_KILLED",
    "STALE_REFERENCE",
    "STREAM_BROKEN",
    "TOO_LARGE",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
    "VERSION_MISMATCH",
]

PARSE_ERROR: Final = -32700
"""The message is not well-formed: bad JSON, bad MessagePack, bad UTF-8. (JSON-RPC 2.0)"""
INVALID_REQUEST: Final = -32600
"""The message is well-formed but is no envelope, or breaks the protocol. (JSON-RPC 2.0)"""
METHOD_NOT_FOUND: Final = -32601
"""Nothing is exposed under exactly this name, or the caller may not know of it. (JSON-RPC 2.0)"""
INVALID_PARAMS: Final = -32602
"""The arguments do not fit the signature. `data.issues` says where. (JSON-RPC 2.0)"""
INTERNAL_ERROR: Final = -32603
"""The function failed in a way that it did not choose to tell. (JSON-RPC 2.0)"""
CANCELLED: Final = -32800
"""The caller asked for the call to be stopped, and it was. (Language Server Protocol)"""
APPLICATION_ERROR: Final = -32000
"""The function raised an error on purpose, to be told to the caller. (section 5.1)"""
DEADLINE_EXCEEDED: Final = -32001
"""The time the caller gave has passed. (section 7)"""
PERMISSION_DENIED: Final = -32002
"""The caller is known, and may not call this. (section 6.1)"""
UNAUTHENTICATED: Final = -32003
"""The caller has not shown who it is, or what entitles it. (sections 2 and 6.1)"""
RESOURCE_EXHAUSTED: Final = -32004
"""A limit on how much or how often was reached. `data.retryAfter` may say when to try again. (section 7)"""
UNAVAILABLE: Final = -32005
"""The peer, the room or the service is not there, or takes no calls now. (section 9)"""
CONNECTION_LOST: Final = -32006
"""The connection ended before the answer came. Found on this side; never sent in an answer. (section 8)"""
TOO_LARGE: Final = -32007
"""The message is longer than the receiver takes. (section 4)"""
STREAM_BROKEN: Final = -32008
"""A stream ended before its end. (reserved)"""
STALE_REFERENCE: Final = -32009
"""The reference was released, or its session is over. (reserved)"""
SANDBOX_KILLED: Final = -32010
"""The sandbox that ran the function was ended from outside. (reserved)"""
HANDSHAKE_FAILED: Final = -32011
"""A hello or a proof was refused. (section 6)"""
IDENTITY_MISMATCH: Final = -32012
"""The other's key is not the one that was pinned. (section 6)"""
VERSION_MISMATCH: Final = -32013
"""The two peers have no version of the protocol in common. (section 6)"""

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
"""The text that goes with each code where there is no better one."""

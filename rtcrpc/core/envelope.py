"""The envelopes of JSON-RPC 2.0, whatever they travel in (protocol section 5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = [
    "Batch",
    "Envelope",
    "ErrorResponse",
    "Malformed",
    "Message",
    "Notification",
    "Params",
    "Request",
    "RequestId",
    "Response",
]

RequestId: TypeAlias = int | str | float | None
"""What answers are matched by. Our own requests have integers; another's may be any number, string or null."""

Params: TypeAlias = list[Any] | dict[str, Any]
"""Arguments by position or by name."""


@dataclass(slots=True)
class Request:
    """Wants an answer. `meta` holds `timeout` (milliseconds that remain), `trace`, `key`, or nothing."""

    id: RequestId
    method: str
    params: Params = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Response:
    """The good answer."""

    id: RequestId
    result: Any


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """The other answer. `id` is None where the request's could not be read. `data` is None or, from us, a dict."""

    id: RequestId
    code: int
    message: str
    data: Any = None


@dataclass(slots=True)
class Notification:
    """Wants no answer and gets none, not even an error."""

    method: str
    params: Params = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Malformed:
    """What came where a message should be, and what to answer it with. Only decoding makes one."""

    id: RequestId
    code: int
    message: str
    is_answer: bool = False
    """Whether it was meant as an answer: those are never answered, or two peers could answer each other for ever."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Envelopes that travelled together in one JSON array (JSON-RPC 2.0 section 6). Never empty, never nested."""

    items: tuple[Message, ...]


Message: TypeAlias = Request | Response | ErrorResponse | Notification | Malformed
"""One envelope by itself."""

Envelope: TypeAlias = Message | Batch
"""What a text frame can hold."""

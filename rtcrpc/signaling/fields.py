"""Checks of single members of a signaling message: each returns the value in its own type or raises
`ProtocolError`.
"""

from __future__ import annotations

from typing import Any, NoReturn

from rtcrpc.core.identity import b64url_decode, is_peer_id
from rtcrpc.errors import ProtocolError

__all__ = ["binary_field", "mapping_field", "peer_id_field", "refuse_field", "text_field"]


def refuse_field(field: str, expected: str, got: object) -> NoReturn:
    """Raise the `ProtocolError` that says what was expected and what came."""
    # What came is shown cut and escaped: it goes into logs and back to the sender.
    raise ProtocolError(f"{field}: expected {expected}, got {ascii(got)[:80]}")


def mapping_field(value: object, field: str) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        refuse_field(field, "an object", value)
    return value


def text_field(value: object, field: str, limit: int, *, control: bool = False) -> str:
    """Well-formed text of at most `limit` characters, without control characters unless `control`.

    (Names and rooms end up in terminals and logs, where an escape sequence could rewrite the line.)
    """
    if not isinstance(value, str):
        refuse_field(field, "text", value)
    if len(value) > limit:
        raise ProtocolError(f"{field}: expected at most {limit} characters, got {len(value)}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        refuse_field(field, "well-formed Unicode", value)
    if not control and any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in value):
        refuse_field(field, "no control characters", value)
    return value


def peer_id_field(value: object, field: str) -> str:
    """A peer id: 43 characters."""
    if not isinstance(value, str) or not is_peer_id(value):
        refuse_field(field, "a peer id of 43 characters", value)
    return value


def binary_field(value: object, field: str, size: int) -> bytes:
    """Exactly `size` bytes, written in unpadded base64url."""
    text = text_field(value, field, size * 2)
    try:
        return b64url_decode(text, size)
    except ValueError as error:
        raise ProtocolError(f"{field}: {error}") from None

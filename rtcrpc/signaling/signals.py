"""Signals (protocol section 9): what is signed, what is checked, and the memory that makes a replay
worthless. Sans-IO.

The WebSocket, a relay and pasted text all carry the same `rpc.signal`, so all of them use these functions.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from rtcrpc import limits
from rtcrpc.core.identity import Identity, b64url_encode, verify
from rtcrpc.errors import DecodeError, ProtocolError, SignalingError
from rtcrpc.signaling.fields import binary_field, mapping_field, peer_id_field, refuse_field, text_field

__all__ = ["SeenSignals", "SignalMessage", "parse_payload", "parse_signal", "sign_signal", "verify_signal"]

_DOMAIN: Final = "rtcrpc-signal-v1"
_ATTEMPT_BYTES: Final = 16
_SIGNATURE_BYTES: Final = 64
_MAX_CANDIDATE: Final = 1024  # the longest real candidate line, with an IPv6 relay and every extension, is under 300
_MAX_MID: Final = 16
_MAX_REASON: Final = 256


@dataclass(frozen=True, slots=True)
class SignalMessage:
    """The params of a well-formed `rpc.signal`. `signature` is not verified yet; `payload` is the signed
    text.
    """

    to: str
    sender: str
    attempt: str
    payload: str
    signature: bytes

    def to_params(self) -> dict[str, Any]:
        """The params as they travel."""
        return {
            "to": self.to,
            "from": self.sender,
            "attempt": self.attempt,
            "payload": self.payload,
            "signature": b64url_encode(self.signature),
        }


class SeenSignals:
    """Remembers what was received, so that no signal is taken twice and no offer's attempt either.

    A replayed offer would tear down a good connection. Memory is bounded: `per_sender` attempts for each of
    `senders` peers, those silent for longest forgotten first, and the `recent` last signatures of other
    signals.
    """

    def __init__(self, senders: int = 1024, per_sender: int = 64, recent: int = 4096) -> None:
        self._max_senders = senders
        self._max_attempts = per_sender
        self._max_recent = recent
        self._offers: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()
        self._recent: OrderedDict[bytes, None] = OrderedDict()

    def is_known(self, message: SignalMessage, kind: str) -> bool:
        """Whether this signal, or another offer of the same attempt, was recorded before."""
        if kind == "offer":
            return message.attempt in self._offers.get(message.sender, ())
        return message.signature in self._recent

    def record(self, message: SignalMessage, kind: str) -> None:
        """Remember a signal whose signature holds. (Others would push out the memory.)"""
        if kind != "offer":
            self._recent[message.signature] = None
            if len(self._recent) > self._max_recent:
                self._recent.popitem(last=False)
            return
        attempts = self._offers.setdefault(message.sender, OrderedDict())
        self._offers.move_to_end(message.sender)
        attempts[message.attempt] = None
        if len(attempts) > self._max_attempts:
            attempts.popitem(last=False)
        if len(self._offers) > self._max_senders:
            self._offers.popitem(last=False)


def sign_signal(identity: Identity, room: str, to: str, attempt: str, payload: Mapping[str, Any]) -> SignalMessage:
    """A payload, checked as a receiver would check it, signed for one receiver, room and attempt.

    Raises `SignalingError` when the payload is none of section 9 or is too long for a signaling message.
    """
    try:
        text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        parse_payload(text)
        peer_id_field(to, "to")
        binary_field(attempt, "attempt", _ATTEMPT_BYTES)
    except (ProtocolError, TypeError, ValueError, RecursionError) as error:
        raise SignalingError(f"this signal can't be sent: {error}") from None
    signature = identity.sign(_DOMAIN, *_signal_fields(room, identity.peer_id, to, attempt, text))
    return SignalMessage(to, identity.peer_id, attempt, text, signature)


def verify_signal(message: SignalMessage, room: str) -> bool:
    """Whether the sender signed this very signal for this receiver and room."""
    fields = _signal_fields(room, message.sender, message.to, message.attempt, message.payload)
    return verify(message.sender, message.signature, _DOMAIN, *fields)


def _signal_fields(room: str, sender: str, to: str, attempt: str, payload: str) -> Sequence[bytes]:
    return [field.encode() for field in (room, sender, to, attempt, payload)]


def parse_signal(params: object) -> SignalMessage:
    """The params of an `rpc.signal`, whose payload stays the text that was signed."""
    members = mapping_field(params, "params")
    attempt = members.get("attempt")
    binary_field(attempt, "attempt", _ATTEMPT_BYTES)
    return SignalMessage(
        to=peer_id_field(members.get("to"), "to"),
        sender=peer_id_field(members.get("from"), "from"),
        attempt=str(attempt),
        payload=text_field(members.get("payload"), "payload", limits.SIGNALING_MESSAGE, control=True),
        signature=binary_field(members.get("signature"), "signature", _SIGNATURE_BYTES),
    )


def parse_payload(text: str) -> dict[str, Any]:
    """The JSON of a payload: an object of one of the four kinds, its members checked. Others are kept."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise DecodeError("payload: expected a JSON object, got something else") from None
    payload = mapping_field(value, "payload")
    match payload.get("kind"):
        case "offer" | "answer":
            sdp = text_field(payload.get("sdp"), "sdp", limits.MAX_SDP, control=True)
            if len(sdp.encode()) > limits.MAX_SDP:
                refuse_field("sdp", f"at most {limits.MAX_SDP} bytes", sdp)
        case "candidate":
            text_field(payload.get("candidate"), "candidate", _MAX_CANDIDATE)
            text_field(payload.get("mid"), "mid", _MAX_MID)
        case "refuse":
            if type(payload.get("code")) is not int:
                refuse_field("code", "an integer", payload.get("code"))
            text_field(payload.get("reason", ""), "reason", _MAX_REASON)
        case kind:
            refuse_field("kind", "offer, answer, candidate or refuse", kind)
    return payload


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

"""Session descriptions: the little of RFC 8866, 8839 and 8841 that one DataChannel needs, read strictly.

What comes from signaling is not trusted. A description is read here into a `Description`, by rules that
leave one meaning only, and nothing of the text goes any further: no other parser sees it. What we don't
need is skipped; what we need and find twice, or not at all, is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rtcrpc.errors import ProtocolError, TooLarge
from rtcrpc.limits import MAX_CANDIDATES, MAX_SDP
from rtcrpc.transport.webrtc.candidates import IceCandidate, parse_candidate

__all__ = [
    "LOCAL_MAX_MESSAGE_SIZE",
    "Description",
    "Setup",
    "build_description",
    "format_fingerprint",
    "parse_description",
]

LOCAL_MAX_MESSAGE_SIZE: Final = 262_144
"""Bytes of the longest message that we take: what Chromium and aiortc say of themselves."""

_DEFAULT_MAX_MESSAGE_SIZE: Final = 65_536
"""Bytes, where a description doesn't say (RFC 8841 section 6.1)."""

_DEFAULT_SCTP_PORT: Final = 5000

_MEDIA = re.compile(r"m=application ([0-9]{1,5}) (?:UDP|TCP)/DTLS/SCTP webrtc-datachannel")
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_MID = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,32}")
_SHA256 = re.compile(r"sha-256 ((?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2})", re.IGNORECASE)


class Setup(StrEnum):
    """Which side opens the DTLS handshake (RFC 8842 section 5.2)."""

    ACTIVE = "active"
    PASSIVE = "passive"
    ACTPASS = "actpass"


@dataclass(frozen=True, slots=True)
class Description:
    """One side of a connection. `fingerprint` is 32 bytes; `max_message_size` in bytes, 0 for no bound."""

    ufrag: str
    password: str
    fingerprint: bytes
    setup: Setup
    mid: str = "0"
    bundled: bool = True
    ice_lite: bool = False
    sctp_port: int = _DEFAULT_SCTP_PORT
    max_message_size: int = LOCAL_MAX_MESSAGE_SIZE
    candidates: tuple[IceCandidate, ...] = ()


def parse_description(text: str) -> Description:
    """Read the offer or the answer of another peer.

    Keeps the one SHA-256 fingerprint and refuses none or two (protocol section 3); keeps the first
    `MAX_CANDIDATES` UDP candidates; takes no notice of `end-of-candidates`, since more may come apart
    (section 9).
    Raises `TooLarge` beyond `MAX_SDP` bytes, before anything is read, and `ProtocolError` otherwise.
    """
    # Cheap for what is far too long: every character is at least a byte.
    if len(text) > MAX_SDP or len(text.encode("utf-8", "surrogatepass")) > MAX_SDP:
        raise TooLarge(f"a description has at most {MAX_SDP} bytes, got more ({len(text)} characters)")
    lines = text.replace("\r\n", "\n").split("\n")
    media = [line for line in lines if line.startswith("m=")]
    if len(media) != 1 or not _MEDIA.fullmatch(media[0]):
        got = ", ".join(repr(line[:60]) for line in media[:3]) or "none"
        raise ProtocolError(
            "expected one media section, `m=application … UDP/DTLS/SCTP webrtc-datachannel`, "
            f"in a description; got {got}"
        )
    attributes = _Attributes(lines, lines.index(media[0]))
    return Description(
        ufrag=attributes.matching("ice-ufrag", _UFRAG),
        password=attributes.matching("ice-pwd", _PASSWORD),
        fingerprint=_fingerprint(attributes.every("fingerprint")),
        setup=_setup(attributes.one("setup")),
        mid=attributes.matching("mid", _MID, default="0"),
        bundled=any(value.startswith("BUNDLE ") for value in attributes.every("group")),
        ice_lite="ice-lite" in attributes,
        sctp_port=attributes.number("sctp-port", _DEFAULT_SCTP_PORT, 1, 65535),
        max_message_size=attributes.number("max-message-size", _DEFAULT_MAX_MESSAGE_SIZE, 0, 2**64),
        candidates=_candidates(attributes.every("candidate")),
    )


def build_description(description: Description) -> str:
    """Write a description of ours, as browsers and `parse_description` read it."""
    group = [f"a=group:BUNDLE {description.mid}"] if description.bundled else []
    lines = [
        "v=0",
        # The session id says nothing about us: an offer and its answer make a whole session of ours.
        "o=- 1 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        *group,
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{description.mid}",
        f"a=ice-ufrag:{description.ufrag}",
        f"a=ice-pwd:{description.password}",
        "a=ice-options:trickle",
        f"a=fingerprint:sha-256 {format_fingerprint(description.fingerprint)}",
        f"a=setup:{description.setup.value}",
        f"a=sctp-port:{description.sctp_port}",
        f"a=max-message-size:{description.max_message_size}",
        *(f"a={candidate}" for candidate in description.candidates),
    ]
    return "\r\n".join(lines) + "\r\n"


def format_fingerprint(fingerprint: bytes) -> str:
    """Write a fingerprint as RFC 8122 section 5 does: upper-case pairs with colons."""
    return fingerprint.hex(":").upper()


class _Attributes:
    """The `a=` lines: those of the media section first, since they go before those of the session."""

    def __init__(self, lines: list[str], media_at: int) -> None:
        self._values: dict[str, list[str]] = {}
        for line in lines[media_at + 1 :] + lines[:media_at]:
            if line.startswith("a="):
                name, _, value = line[2:].partition(":")
                self._values.setdefault(name, []).append(value.strip())

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def every(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def one(self, name: str, default: str | None = None) -> str:
        values = self._values.get(name, [default] if default is not None else [])
        if not values:
            raise ProtocolError(f"a description needs a line `a={name}:…`, got none")
        if len(set(values)) > 1:
            # Stacks differ in which of two they believe; a description with two meanings has none.
            raise ProtocolError(f"a description has one `a={name}:…`, got {len(set(values))} that differ")
        return values[0]

    def matching(self, name: str, pattern: re.Pattern[str], default: str | None = None) -> str:
        value = self.one(name, default)
        if not pattern.fullmatch(value):
            raise ProtocolError(f"`a={name}:{value[:40]}` is not well-formed in a description")
        return value

    def number(self, name: str, default: int, low: int, high: int) -> int:
        value = self.one(name, str(default))
        if not (value.isascii() and value.isdigit() and len(value) <= 20 and low <= int(value) <= high):
            raise ProtocolError(f"`a={name}` is a number from {low} to {high}, got {value[:40]!r}")
        return int(value)


def _fingerprint(values: list[str]) -> bytes:
    found: set[bytes] = set()
    for value in values:
        if value.lower().startswith("sha-256"):
            match = _SHA256.fullmatch(value)
            if not match:
                raise ProtocolError(f"expected a SHA-256 fingerprint of 32 bytes, got {value[:110]!r}")
            found.add(bytes.fromhex(match[1].replace(":", "")))
    if len(found) != 1:
        raise ProtocolError(
            f"a description has exactly one sha-256 fingerprint, got {len(found)} that differ"
            if found
            else "a description has exactly one sha-256 fingerprint, got none"
        )
    return found.pop()


def _setup(value: str) -> Setup:
    try:
        return Setup(value)
    except ValueError:
        raise ProtocolError(f"`a=setup` is active, passive or actpass, got {value[:20]!r}") from None


def _candidates(values: list[str]) -> tuple[IceCandidate, ...]:
    kept: list[IceCandidate] = []
    for value in values:
        candidate = parse_candidate(value)
        if candidate is not None and candidate not in kept:
            kept.append(candidate)
        if len(kept) == MAX_CANDIDATES:
            break
    return tuple(kept)

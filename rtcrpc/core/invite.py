"""An invite: where a room is, and what one needs to know to trust and be trusted there; as a link and back.

A link is a page with everything in its fragment, which browsers never send to the server of the page:
`https://me.example/rtc/#room=lab&pin=<peer id>&name=robot&token=...`. Without a `bootstrap` member the page's own origin and directory
serve the room: `wss://me.example/rtc/room/lab`. A program also takes the URL of a room as it is: `wss://me.example/rtc/room/lab#pin=...`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from rtcrpc import limits
from rtcrpc.core.identity import parse_peer_id
from rtcrpc.errors import InviteError

__all__ = ["Invite"]

_MAX_LINK: Final = 16384
_MEMBERS: Final = ("room", "pin", "name", "bootstrap", "token")
_WEBSOCKET: Final = {"http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True)
class Invite:
    """What a link says. Every part is checked when it is made: `InviteError` names the one that is wrong."""

    bootstrap: str | None
    """The `ws://` or `wss://` URL of the bootstrap, without `/room/<room>`; None where the page's own address says it."""
    room: str
    pin: str | None = None
    """The peer id of the peer that the link leads to."""
    name: str | None = None
    """What that peer calls itself."""
    token: str | None = None
    """What entitles the holder of the link, such as an invite secret (protocol section 6.1)."""

    def __post_init__(self) -> None:
        _check_text("room", self.room, limits.MAX_ROOM_LENGTH)
        # Browsers take these two out of a URL's path even where they are percent-encoded.
        if self.room in ("", ".", ".."):
            raise InviteError(
                f"room: expected 1 to {limits.MAX_ROOM_LENGTH} characters other than '.' and '..', got {self.room!r}"
            )
        if self.pin is not None:
            try:
                parse_peer_id(self.pin)
            except ValueError as error:
                raise InviteError(f"pin: {error}") from None
        if self.name is not None:
            _check_text("name", self.name, limits.MAX_NAME_LENGTH)
        if self.token is not None:
            _check_text("token", self.token, limits.TOKEN_LENGTH)
            if len(self.token.encode()) > limits.TOKEN_LENGTH:
                raise InviteError(
                    f"token: expected at most {limits.TOKEN_LENGTH} bytes, got {len(self.token.encode())}"
                )
        if self.bootstrap is not None:
            object.__setattr__(self, "bootstrap", _check_bootstrap(self.bootstrap))

    @property
    def url(self) -> str:
        """The WebSocket URL of the room. Raises `InviteError` where the link leaves the bootstrap to a page."""
        if self.bootstrap is None:
            raise InviteError("expected the address of a bootstrap, got only a room: give the whole link of the page")
        return f"{self.bootstrap}/room/{quote(self.room, safe='')}"

    def to_fragment(self) -> str:
        """`#room=...` and whatever else is set, each percent-encoded."""
        values = ((member, getattr(self, member)) for member in _MEMBERS)
        return "#" + "&".join(f"{member}={quote(value, safe='')}" for member, value in values if value is not None)

    def to_link(self, page_url: str) -> str:
        """The link that opens `page_url` (`http://` or `https://`, without a fragment) with this invite."""
        parts = _split(page_url)
        if parts.scheme not in _WEBSOCKET or "#" in page_url:
            raise InviteError(f"page: expected an http:// or https:// URL without a fragment, got {page_url[:200]!a}")
        return page_url + self.to_fragment()

    @classmethod
    def from_fragment(cls, fragment: str) -> Invite:
        """What a page reads from `location.hash`, with its `#` or without. Members of other names are ignored."""
        members = _parse_fragment(fragment)
        room = members.get("room")
        if room is None:
            raise InviteError(f"expected a fragment with room=<name> in it, got {fragment[:200]!a}")
        return cls(members.get("bootstrap"), room, members.get("pin"), members.get("name"), members.get("token"))

    @classmethod
    def parse(cls, link: str) -> Invite:
        """Read the link of a page, or the URL of a room; in both cases the result has a `url`. Raises `InviteError`."""
        parts = _split(link)
        if parts.scheme in _WEBSOCKET:
            invite = cls.from_fragment(parts.fragment)
            if invite.bootstrap is not None:
                return invite
            directory = parts.path.rpartition("/")[0]
            base = f"{_WEBSOCKET[parts.scheme]}://{parts.netloc}{directory}"
            return cls(base, invite.room, invite.pin, invite.name, invite.token)
        if parts.scheme in ("ws", "wss"):
            directory, found, encoded = parts.path.rpartition("/room/")
            if not found or "/" in encoded or parts.query:
                raise InviteError(f"expected the URL of a room, such as wss://example.org/room/lab, got {link[:200]!a}")
            members = _parse_fragment(parts.fragment)
            invite = cls(
                f"{parts.scheme}://{parts.netloc}{directory}",
                _unquote(encoded),
                members.get("pin"),
                members.get("name"),
                members.get("token"),
            )
            # A fragment that names another room or bootstrap than the URL itself is a mistake, or a trick on whoever reads the URL.
            if members.get("room", invite.room) != invite.room:
                raise InviteError(f"room: the URL says {invite.room!r}, its fragment says {members['room']!r}")
            if "bootstrap" in members and _check_bootstrap(members["bootstrap"]) != invite.bootstrap:
                raise InviteError(
                    f"bootstrap: the URL says {invite.bootstrap}, its fragment says {members['bootstrap']!r}"
                )
            return invite
        raise InviteError(
            "expected the link of a page (https://...#room=...) or the URL of a room (wss://.../room/...), "
            f"got {link[:200]!a}"
        )


def _split(url: str) -> SplitResult:
    if len(url) > _MAX_LINK:
        raise InviteError(f"expected a link of at most {_MAX_LINK} characters, got {len(url)}")
    if not url.isprintable() or " " in url:
        raise InviteError(f"expected a link without spaces and control characters, got {url[:200]!a}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InviteError(f"expected a link, got {url[:200]!a}: {error}") from None
    if parts.scheme in ("http", "https", "ws", "wss") and (not host or "@" in parts.netloc or "\\" in parts.netloc):
        raise InviteError(f"expected a link with a host and without a user, got {url[:200]!a}")
    return parts


def _check_bootstrap(url: str) -> str:
    parts = _split(url)
    if parts.scheme not in ("ws", "wss") or parts.query or parts.fragment or "?" in url or "#" in url:
        raise InviteError(
            f"bootstrap: expected a ws:// or wss:// URL without query and fragment, such as wss://example.org, got {url[:200]!a}"
        )
    return url.rstrip("/")


def _parse_fragment(fragment: str) -> dict[str, str]:
    members: dict[str, str] = {}
    for item in fragment.removeprefix("#").split("&"):
        member, _, value = item.partition("=")
        if member not in _MEMBERS:
            continue
        if member in members:
            raise InviteError(f"{member}: expected once in the link, got twice")
        members[member] = _unquote(value)
    return members


def _unquote(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise InviteError(f"expected percent-encoded UTF-8 in the link, got {text[:200]!a}") from None


def _check_text(member: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise InviteError(f"{member}: expected at most {limit} characters, got {len(text)}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InviteError(f"{member}: expected well-formed text, got a lone surrogate") from None
    # Names and rooms end up in terminals and logs, where an escape sequence could rewrite the line.
    if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in text):
        raise InviteError(f"{member}: expected no control characters, got {text[:60]!a}")

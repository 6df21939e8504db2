"""Links, beyond the vectors."""

from __future__ import annotations

from typing import Any

import pytest
from support.sessions import identity

from rtcrpc import limits
from rtcrpc.core.invite import Invite
from rtcrpc.errors import InviteError

PIN = identity(1).peer_id


def test_a_link_of_a_page_and_back() -> None:
    invite = Invite("wss://example.org/rtc", "my lab", PIN, "robot", "secret")
    link = invite.to_link("https://example.net/page/?theme=dark")
    assert link.startswith("https://example.net/page/?theme=dark#room=my%20lab&")
    assert Invite.parse(link) == invite
    assert invite.url == "wss://example.org/rtc/room/my%20lab"


def test_the_page_says_where_the_bootstrap_is() -> None:
    invite = Invite(None, "lab")
    with pytest.raises(InviteError, match="bootstrap"):
        _ = invite.url
    assert Invite.parse(invite.to_link("http://10.0.0.5:8080/rtc/index.html")).url == "ws://10.0.0.5:8080/rtc/room/lab"


def test_the_url_of_a_room_takes_the_whole_fragment() -> None:
    invite = Invite("ws://localhost:1234", "lab", PIN, "robot", "secret")
    assert Invite.parse(invite.url + invite.to_fragment()) == invite


@pytest.mark.parametrize(
    "parts",
    [
        {"room": ""},
        {"room": ".."},
        {"room": "a\nb"},
        {"room": "\ud800"},
        {"room": "x" * (limits.MAX_ROOM_LENGTH + 1)},
        {"pin": "robot"},
        {"name": "x" * (limits.MAX_NAME_LENGTH + 1)},
        {"token": "x" * (limits.TOKEN_LENGTH + 1)},
        {"token": "é" * (limits.TOKEN_LENGTH // 2 + 1)},
        {"bootstrap": "https://example.org"},
        {"bootstrap": "wss://example.org/?a=b"},
        {"bootstrap": "wss://example.org/#"},
        {"bootstrap": "wss://me@example.org"},
        {"bootstrap": "wss://example.org:port"},
        {"bootstrap": "wss://"},
        {"bootstrap": "wss://a b"},
    ],
    ids=lambda parts: " ".join(f"{key} {ascii(value)[:30]}" for key, value in parts.items()),
)
def test_parts_that_make_no_invite(parts: dict[str, Any]) -> None:
    with pytest.raises(InviteError):
        Invite(**({"bootstrap": None, "room": "lab"} | parts))


@pytest.mark.parametrize(
    "page", ["https://example.org/#x", "https://example.org/#", "ftp://example.org", "example.org"]
)
def test_what_is_no_page(page: str) -> None:
    with pytest.raises(InviteError, match=r"page|link"):
        Invite(None, "lab").to_link(page)


@pytest.mark.parametrize(
    "link",
    [
        "https://example.org/#room=lab&name=a%ff",
        "https://[::1/#room=lab",
        "https://example.org/\n#room=lab",
        "x" * 20_000,
    ],
)
def test_what_is_no_link(link: str) -> None:
    with pytest.raises(InviteError):
        Invite.parse(link)


def test_members_that_are_not_known_are_ignored() -> None:
    assert Invite.from_fragment("room=lab&later=1&x") == Invite(None, "lab")

"""Invites: the fragment of a link, and the links that a peer takes."""

from __future__ import annotations

from typing import Any

from vectors.primitives import Key, filler, unpadded

__all__ = ["make"]

PIN = Key(filler("a")).peer_id
TOKEN = unpadded(filler("invite secret", 16))


def make() -> dict[str, Any]:
    """The content of `invites.json`."""
    return {"valid": valid(), "refused": refused()}


def valid() -> list[dict[str, Any]]:
    """Links, and where and to whom they lead; `url` is the WebSocket's."""

    def case(
        name: str, link: str, url: str, room: str = "lab", pin: str | None = None, **more: str | None
    ) -> dict[str, Any]:
        return {
            "name": name,
            "link": link,
            "url": url,
            "room": room,
            "pin": pin,
            "peerName": more.get("peer_name"),
            "token": more.get("token"),
        }

    everything = f"#room=lab&pin={PIN}&name=robot&token={TOKEN}"
    lab = "wss://example.org/room/lab"
    return [
        case("a page at the root of its host", "https://example.org/#room=lab", lab),
        case("all of it", f"https://example.org/{everything}", lab, pin=PIN, peer_name="robot", token=TOKEN),
        case("members in another order", f"https://example.org/#pin={PIN}&room=lab", lab, pin=PIN),
        case("a page in a directory", "https://example.org/app/#room=lab", "wss://example.org/app/room/lab"),
        case(
            "a page with a file name",
            "https://example.org/app/index.html#room=lab",
            "wss://example.org/app/room/lab",
        ),
        case("a page without encryption", "http://127.0.0.1:8080/#room=lab", "ws://127.0.0.1:8080/room/lab"),
        case("a page at an IPv6 address", "http://[::1]:8080/#room=lab", "ws://[::1]:8080/room/lab"),
        case(
            "a page and a bootstrap on two hosts",
            "https://example.net/page/#room=lab&bootstrap=wss%3A%2F%2Fexample.org",
            lab,
        ),
        case(
            "a bootstrap under a path",
            "https://example.net/#room=lab&bootstrap=wss%3A%2F%2Fexample.org%2Frtc",
            "wss://example.org/rtc/room/lab",
        ),
        case(
            "a bootstrap with a slash at its end",
            "https://example.net/#room=lab&bootstrap=wss%3A%2F%2Fexample.org%2F",
            lab,
        ),
        case(
            "a room with a space",
            "https://example.org/#room=my%20lab",
            "wss://example.org/room/my%20lab",
            "my lab",
        ),
        case("a room with a slash", "https://example.org/#room=a%2Fb", "wss://example.org/room/a%2Fb", "a/b"),
        case("a room with a plus", "https://example.org/#room=a%2Bb", "wss://example.org/room/a%2Bb", "a+b"),
        case(
            "a room with an ampersand",
            "https://example.org/#room=a%26b",
            "wss://example.org/room/a%26b",
            "a&b",
        ),
        case(
            "a room with a per cent sign",
            "https://example.org/#room=50%25",
            "wss://example.org/room/50%25",
            "50%",
        ),
        case(
            "a room beyond ASCII",
            "https://example.org/#room=caf%C3%A9",
            "wss://example.org/room/caf%C3%A9",
            "caf\u00e9",
        ),
        case(
            "a room of 128 characters",
            "https://example.org/#room=" + "x" * 128,
            "wss://example.org/room/" + "x" * 128,
            "x" * 128,
        ),
        case("a WebSocket URL", lab, lab),
        case("a WebSocket URL with a pin", f"{lab}#pin={PIN}&token={TOKEN}", lab, pin=PIN, token=TOKEN),
        case("a WebSocket URL under a path", "wss://example.org/rtc/room/lab", "wss://example.org/rtc/room/lab"),
        case(
            "a WebSocket URL with an encoded room",
            "ws://127.0.0.1:8080/room/my%20lab",
            "ws://127.0.0.1:8080/room/my%20lab",
            "my lab",
        ),
    ]


def refused() -> list[dict[str, Any]]:
    """Links that lead nowhere; each is refused before anything is opened."""
    samples = {
        "empty": "",
        "a word": "lab",
        "a page without a fragment": "https://example.org/",
        "a page with an empty fragment": "https://example.org/#",
        "no room": f"https://example.org/#pin={PIN}",
        "an empty room": "https://example.org/#room=",
        "two rooms": "https://example.org/#room=lab&room=lobby",
        "two pins": f"https://example.org/#room=lab&pin={PIN}&pin={Key(filler('b')).peer_id}",
        "a room too long": "https://example.org/#room=" + "x" * 129,
        "a room of one dot, which browsers take out of URLs": "https://example.org/#room=.",
        "a room of two dots": "https://example.org/#room=%2E%2E",
        "a room with a control character": "https://example.org/#room=a%00b",
        "an escape that is not UTF-8": "https://example.org/#room=%ff",
        "a pin too short": f"https://example.org/#room=lab&pin={PIN[:-1]}",
        "a pin with padding": f"https://example.org/#room=lab&pin={PIN}%3D",
        "a pin with bits left over": f"https://example.org/#room=lab&pin={PIN[:-1]}_",
        "an empty pin": "https://example.org/#room=lab&pin=",
        "a name too long": "https://example.org/#room=lab&name=" + "x" * 65,
        "a token too long": "https://example.org/#room=lab&token=" + "x" * 4097,
        "a bootstrap that is no WebSocket": "https://example.org/#room=lab&bootstrap=https%3A%2F%2Fexample.net",
        "a bootstrap that is a script": "https://example.org/#room=lab&bootstrap=javascript%3Aalert(1)",
        "a bootstrap with a user": "https://example.org/#room=lab&bootstrap=wss%3A%2F%2Fuser%40example.net",
        "a WebSocket URL without a room": "wss://example.org/",
        "a WebSocket URL with an empty room": "wss://example.org/room/",
        "a WebSocket URL with something after the room": "wss://example.org/room/lab/more",
        "a WebSocket URL whose fragment has another room": "wss://example.org/room/lab#room=lobby",
        "another scheme": "ftp://example.org/#room=lab",
        "a script": "javascript:alert(1)#room=lab",
        "a link with a user, which hides the host from people": "https://example.com@example.org/#room=lab",
        "no host": "https:///#room=lab",
    }
    return [{"name": name, "link": link} for name, link in samples.items()]

"""Two peers with fixed keys, and a scripted bootstrap for `SignalingSession`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rtcrpc.core.identity import Identity, b64url_encode
from rtcrpc.signaling.session import SignalingSession
from rtcrpc.signaling.signals import sign_signal

ROOM = "lab"
AUTHORITY = "example.org"


@pytest.fixture
def alice() -> Identity:
    return Identity.generate(bytes([1] * 32))


@pytest.fixture
def bob() -> Identity:
    return Identity.generate(bytes([2] * 32))


class Script:
    """A bootstrap that says exactly what a test tells it to, and keeps what the session says."""

    def __init__(self, session: SignalingSession) -> None:
        self.session = session
        self.now = 0.0

    def say(self, **message: Any) -> list[Any]:
        return self.say_text(json.dumps({"jsonrpc": "2.0", **message}))

    def say_text(self, text: str) -> list[Any]:
        self.session.receive_text(text, self.now)
        return self.session.events_received()

    def said(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.session.data_to_send()]

    def challenge(self, nonce: bytes = b"n" * 32) -> dict[str, Any]:
        self.session.connection_made()
        assert self.say(method="rpc.challenge", params={"nonce": b64url_encode(nonce)}) == []
        (join,) = self.said()
        return join

    def let_in(self, *members: tuple[Identity, str]) -> list[Any]:
        """Run a whole join; the events it gives."""
        join = self.challenge()
        peers = [{"peer": identity.peer_id, "name": name} for identity, name in members]
        return self.say(id=join["id"], result={"peers": peers, "iceServers": [], "ttl": 60})

    def signal(self, sender: Identity, payload: Any, *, attempt: str = "A" * 22, room: str = ROOM) -> list[Any]:
        message = sign_signal(sender, room, self.session.identity.peer_id, attempt, payload)
        return self.say(method="rpc.signal", params=message.to_params())


@pytest.fixture
def script(alice: Identity) -> Script:
    return Script(SignalingSession(alice, "alice", ROOM, AUTHORITY))

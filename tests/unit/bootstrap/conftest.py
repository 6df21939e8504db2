"""A bootstrap's rooms without sockets: each `Client` is one connection, its inbox what would have been sent to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from rtcrpc.bootstrap.config import BootstrapConfig
from rtcrpc.bootstrap.rooms import Action, Close, Rooms, RoomSocket
from rtcrpc.core.identity import Identity, b64url_decode, b64url_encode
from rtcrpc.signaling.messages import sign_join
from rtcrpc.signaling.signals import sign_signal

AUTHORITY = "example.org"


class Client:
    """One connection to a `House`."""

    def __init__(self, house: House, room: str, seed: int, address: str) -> None:
        self.house = house
        self.room = room
        self.identity = Identity.generate(hashlib.sha256(b"%d" % seed).digest())
        self.inbox: list[dict[str, Any]] = []
        self.closed: Close | None = None
        self.socket: RoomSocket
        self.socket, actions = house.rooms.connect(room, AUTHORITY, house.now, address=address)
        house.clients[self.socket] = self
        house.perform(actions)
        (challenge,) = self.take()
        assert challenge["method"] == "rpc.challenge"
        self.nonce = b64url_decode(challenge["params"]["nonce"])

    def take(self) -> list[dict[str, Any]]:
        """What came since the last call."""
        inbox, self.inbox = self.inbox, []
        return inbox

    def say_text(self, text: str) -> list[dict[str, Any]]:
        self.house.perform(self.house.rooms.receive_text(self.socket, text, self.house.now))
        return self.take()

    def say(self, **message: Any) -> list[dict[str, Any]]:
        return self.say_text(json.dumps({"jsonrpc": "2.0", **message}))

    def join_params(self, **changes: Any) -> dict[str, Any]:
        proof = sign_join(self.identity, self.nonce, self.room, AUTHORITY)
        return {
            "versions": [1],
            "room": self.room,
            "peer": self.identity.peer_id,
            "name": "n",
            "proof": b64url_encode(proof),
        } | changes

    def join(self, **changes: Any) -> dict[str, Any]:
        """Join; the answer."""
        (answer, *_) = self.say(id=1, method="rpc.join", params=self.join_params(**changes))
        assert answer["id"] == 1
        return answer

    def signal_params(self, target: Client | str, **changes: Any) -> dict[str, Any]:
        peer = target if isinstance(target, str) else target.identity.peer_id
        payload = {"kind": "offer", "sdp": "v=0\r\n"}
        return sign_signal(self.identity, self.room, peer, "A" * 22, payload).to_params() | changes

    def leave(self) -> None:
        self.house.perform(self.house.rooms.disconnected(self.socket))


class House:
    """`Rooms` with its clients and its clock."""

    def __init__(self, config: BootstrapConfig) -> None:
        self.now = 0.0
        self.clients: dict[RoomSocket, Client] = {}
        self._entropy = 0
        self.rooms = Rooms(config, self._bytes)

    def _bytes(self, count: int) -> bytes:
        self._entropy += 1
        return self._entropy.to_bytes(count, "big")

    def perform(self, actions: list[Action]) -> None:
        for action in actions:
            client = self.clients[action.socket]
            if isinstance(action, Close):
                assert client.closed is None, "closed twice"
                client.closed = action
            else:
                assert client.closed is None, "sent to a closed socket"
                client.inbox.append(json.loads(action.text))

    def client(self, seed: int, room: str = "lab", *, address: str = "") -> Client:
        return Client(self, room, seed, address)

    def member(self, seed: int, room: str = "lab", **kwargs: Any) -> Client:
        client = self.client(seed, room, **kwargs)
        assert "result" in client.join()
        return client


@pytest.fixture
def make_house() -> Callable[..., House]:
    return lambda **config: House(BootstrapConfig(**config))


@pytest.fixture
def house(make_house: Callable[..., House]) -> House:
    return make_house()

"""T1 on the real stack: a bootstrap that rewrites descriptions, swaps senders or poses as the robot gets no call through, and both
sides say why within seconds.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rtcrpc import OpenPolicy, Peer, Registry, Room, RoomEvent
from rtcrpc.bootstrap import Bootstrap, BootstrapServer
from rtcrpc.core.identity import Identity, b64url_encode
from rtcrpc.errors import HandshakeError, IdentityMismatch, Unavailable
from rtcrpc.transport.webrtc import WebRtcTransport, loopback_addresses

SOON = 5.0
FINGERPRINT = re.compile(r"(a=fingerprint:sha-256 )((?:[0-9A-F]{2}:){31}[0-9A-F]{2})")

Rewrite = Callable[[dict[str, Any]], dict[str, Any]]


class Evil:
    """The real bootstrap behind somebody who reads and changes what it says to its members."""

    def __init__(self, app: Any, rewrite: Rewrite) -> None:
        self._app = app
        self._rewrite = rewrite
        self.changed = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_changed(event: Any) -> None:
            if event["type"] == "websocket.send" and '"rpc.signal"' in (event.get("text") or ""):
                message = json.loads(event["text"])
                params = self._rewrite(dict(message["params"]))
                self.changed += params != message["params"]
                event = {**event, "text": json.dumps({**message, "params": params})}
            await send(event)

        await self._app(scope, receive, send_changed)


@asynccontextmanager
async def evil_bootstrap(rewrite: Rewrite) -> AsyncIterator[tuple[BootstrapServer, Evil]]:
    bootstrap = Bootstrap()
    evil = Evil(bootstrap.app, rewrite)
    bootstrap.app = evil  # type: ignore[assignment]
    async with bootstrap.serve() as server:
        yield server, evil


def with_own_fingerprint(params: dict[str, Any]) -> dict[str, Any]:
    """The certificate of the one in the middle in each description."""
    own = secrets.token_bytes(32).hex(":").upper()
    return {**params, "payload": FINGERPRINT.sub(rf"\g<1>{own}", params["payload"])}


def in_answers_only(params: dict[str, Any]) -> dict[str, Any]:
    return with_own_fingerprint(params) if '"answer"' in params["payload"] else params


def with_a_made_up_signature(params: dict[str, Any]) -> dict[str, Any]:
    return {**with_own_fingerprint(params), "signature": b64url_encode(secrets.token_bytes(64))}


def everything_said_about_it(params: dict[str, Any]) -> dict[str, Any]:
    """Also the refusals by which the two tell each other of the fraud."""
    payload = json.loads(params["payload"])
    if payload["kind"] == "refuse":
        payload["reason"] = "all is well, try again"
        return {**params, "payload": json.dumps(payload)}
    return with_own_fingerprint(params)


class Victim:
    """A peer that would run whatever reached it."""

    def __init__(self, name: str, key: Identity | None = None) -> None:
        self.ran: list[int] = []
        self.failures: asyncio.Queue[RoomEvent] = asyncio.Queue()
        registry = Registry()

        @registry.expose
        async def note(value: int) -> None:
            self.ran.append(value)

        transport = WebRtcTransport(host_addresses=loopback_addresses)
        self.peer = Peer(name=name, registry=registry, policy=OpenPolicy(), transport=transport, identity=key)

    @asynccontextmanager
    async def join(self, url: str, pin: str | None = None) -> AsyncIterator[Room]:
        async with self.peer.join(url, pin=pin) as room:
            room.on("failed", self.failures.put_nowait)
            yield room


WAYS = [with_own_fingerprint, in_answers_only, with_a_made_up_signature, everything_said_about_it]


@pytest.mark.parametrize("way", WAYS)
async def test_rewritten_descriptions(way: Rewrite, report: Callable[[str, str], None]) -> None:
    robot, user = Victim("robot"), Victim("user")
    async with asyncio.timeout(20), evil_bootstrap(way) as (server, evil):
        url = server.room_url("lab")
        async with robot.join(url, pin=user.peer.peer_id), user.join(url, pin=robot.peer.peer_id) as room:
            began = time.monotonic()
            with pytest.raises(HandshakeError, match="signature") as caught:
                await room.peer("robot")
            there = await robot.failures.get()
            took = time.monotonic() - began
            assert caught.value.ran is False
            for reason in (str(caught.value), there.reason, (await user.failures.get()).reason):
                assert "signature" in reason
                assert "bootstrap" in reason or "changed on its way" in reason
            assert evil.changed > 0
            assert room.peers == ()
            # What waits for a link when the fraud is found is told the same.
            remote = there.peer and room._known[robot.peer.peer_id]
            assert remote is not None
            with pytest.raises(HandshakeError) as told:
                await remote.call.note(1)
            assert told.value.ran is False
    report("T1", f"bootstrap, {way.__name__.replace('_', ' ')}: {len(robot.ran)} calls, both told why in {took:.2f} s")
    assert robot.ran == user.ran == []
    assert took < SOON


async def test_another_under_the_robots_name(report: Callable[[str, str], None]) -> None:
    """The bootstrap itself joins as `robot`, with a key of its own: the pin refuses it by name and by absence."""
    robot_key = Identity.generate(secrets.token_bytes(32))
    impostor, user = Victim("robot"), Victim("user")
    async with asyncio.timeout(20), Bootstrap().serve() as server:
        url = server.room_url("lab")
        async with impostor.join(url) as lair, user.join(url, pin=robot_key.peer_id) as room:
            with pytest.raises(IdentityMismatch) as caught:
                await room.peer("robot")
            assert impostor.peer.peer_id in str(caught.value)
            with pytest.raises(Unavailable, match="pinned"):
                await room.peer(timeout=0.5)
            # It may dial; what it then is called says that nobody vouches for it.
            remote = await lair.peer("user")
            assert remote.trust == "anonymous"
            assert [peer.trust for peer in room.peers] in ([], ["anonymous"])
    report("T1", f"bootstrap, another key under the robot's name: {len(impostor.ran)} calls")
    assert impostor.ran == []


async def test_swapped_senders(report: Callable[[str, str], None]) -> None:
    """Each signal says that it comes from a third peer of the room."""
    robot, user, third = Victim("robot"), Victim("user"), Victim("third")

    def swap(params: dict[str, Any]) -> dict[str, Any]:
        return {**params, "from": third.peer.peer_id}

    async with asyncio.timeout(20), evil_bootstrap(swap) as (server, evil):
        url = server.room_url("lab")
        async with third.join(url) as bystander, robot.join(url) as lab, user.join(url, pin=robot.peer.peer_id) as room:
            with pytest.raises((Unavailable, HandshakeError)):
                await room.peer("robot", timeout=2.0)
            reason = (await robot.failures.get()).reason
            assert "signature" in reason
            assert evil.changed > 0
            assert (bystander.peers, lab.peers, room.peers) == ((), (), ())
    report("T1", f"bootstrap, swapped senders: {len(robot.ran)} calls")
    assert robot.ran == third.ran == []


async def test_nobody_in_the_middle() -> None:
    """The same victims with an honest bootstrap behind the same wrapper: the tests above fail for the right reason."""
    robot, user = Victim("robot"), Victim("user")
    async with asyncio.timeout(20), evil_bootstrap(lambda params: params) as (server, _):
        url = server.room_url("lab")
        async with robot.join(url, pin=user.peer.peer_id), user.join(url, pin=robot.peer.peer_id) as room:
            remote = await room.peer("robot")
            assert remote.trust == "pinned"
            await remote.call.note(1)
            assert robot.ran == [1]
            assert user.failures.empty()
            assert robot.failures.empty()

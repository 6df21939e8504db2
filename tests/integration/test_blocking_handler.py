"""A function that blocks its loop for 45 seconds: the connection lives, other calls are served, and the function is named.

(aiortc alone is closed by the other side after 32 to 35 s of that. The ordinary run blocks for 12 s, longer than all heartbeats
may miss; with CI=true or RTCRPC_LONG=1 it is 45.)
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time

import pytest

from rtcrpc import OpenPolicy, Peer, Registry
from rtcrpc.bootstrap import Bootstrap
from rtcrpc.runtime import Runtime
from rtcrpc.transport.webrtc import WebRtcTransport, loopback_addresses

LONG = os.environ.get("CI") == "true" or os.environ.get("RTCRPC_LONG") == "1"
SECONDS = 45.0 if LONG else 12.0


class Robot:
    """A peer with a loop, a thread and a network thread of its own, as in another process."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="robot", daemon=True)

    async def _serve(self) -> None:
        registry = Registry()

        @registry.expose
        async def stare(seconds: float) -> str:
            time.sleep(seconds)  # noqa: ASYNC251  # the mistake that this test is about
            return "done"

        @registry.expose
        def add(a: int, b: int) -> int:
            return a + b

        transport = WebRtcTransport(host_addresses=loopback_addresses)
        with Runtime("robot-network") as runtime:
            peer = Peer(name="robot", registry=registry, policy=OpenPolicy(), transport=transport, runtime=runtime)
            async with peer.join(self._url):
                self._ready.set()
                await asyncio.to_thread(self._stop.wait)

    async def __aenter__(self) -> Robot:
        self._thread.start()
        assert await asyncio.to_thread(self._ready.wait, 10.0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._stop.set()
        await asyncio.to_thread(self._thread.join, SECONDS + 10.0)
        assert not self._thread.is_alive()


async def test_a_blocking_function_leaves_the_connection_alive(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "rtcrpc.watchdog")
    transport = WebRtcTransport(host_addresses=loopback_addresses)
    async with asyncio.timeout(SECONDS + 30.0), Bootstrap().serve() as server:
        url = server.room_url("lab")
        with Runtime("user-network") as runtime:
            peer = Peer(name="user", transport=transport, runtime=runtime)
            async with Robot(url), peer.join(url) as room:
                robot = await room.peer("robot")
                lost = []
                room.on("disconnected", lost.append)
                began = time.monotonic()
                staring = asyncio.ensure_future(robot.call.stare(SECONDS))
                slowest, calls = 0.0, 0
                while not staring.done():
                    asked = time.monotonic()
                    assert await robot.call.with_(timeout=5.0).add(calls, 1) == calls + 1
                    slowest = max(slowest, time.monotonic() - asked)
                    calls += 1
                    await asyncio.wait([staring], timeout=0.5)
                assert await staring == "done"
                assert time.monotonic() - began >= SECONDS
                assert lost == []
                assert calls > SECONDS
                assert slowest < 2.0
                assert await robot.call.add(1, 2) == 3
    named = [record.getMessage() for record in caplog.records if record.name == "rtcrpc.watchdog"]
    assert any(line.startswith("stare has blocked the loop") for line in named)

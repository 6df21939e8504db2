"""T17: cross-site WebSockets and DNS rebinding. Twenty forged requests, each refused before the bootstrap says a word."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from rtcrpc.bootstrap import Bootstrap, BootstrapConfig, BootstrapServer
from rtcrpc.signaling.messages import SUBPROTOCOL

# Each: the Host and the Origin of a request to a bootstrap on 127.0.0.1 that also serves lab.example and lets pages of
# https://me.github.io connect. {port} is the port it listens on. None: the header as an honest browser or program sends it.
FORGERIES: list[tuple[str | None, str | None]] = [
    # A page on another site opens a WebSocket to the user's own machine.
    (None, "https://evil.example"),
    (None, "http://evil.example:{port}"),
    (None, "https://evil.github.io"),
    (None, "https://me.github.io.evil.example"),
    (None, "https://evil.example/https://me.github.io"),
    (None, "http://me.github.io"),
    (None, "https://me.github.io:8443"),
    (None, "http://localhost.evil.example:{port}"),
    (None, "http://127.0.0.1.evil.example:{port}"),
    (None, "http://127.0.0.1@evil.example"),
    (None, "null"),
    (None, "file://"),
    # A name of the attacker's that now points at 127.0.0.1: Host and Origin agree, and both are foreign.
    ("evil.example:{port}", "http://evil.example:{port}"),
    ("evil.example", None),
    ("127.0.0.1.evil.example:{port}", "http://127.0.0.1.evil.example:{port}"),
    ("localhost.evil.example:{port}", "http://localhost.evil.example:{port}"),
    ("lab.example.evil.example", "http://lab.example.evil.example"),
    ("0.0.0.0:{port}", "http://0.0.0.0:{port}"),
    # A good Host does not make a foreign Origin good, nor the other way round.
    ("lab.example", "https://evil.example"),
    ("evil.example", "https://me.github.io"),
]

HONEST: list[tuple[str | None, str | None]] = [
    (None, None),
    (None, "http://127.0.0.1:{port}"),
    (None, "http://localhost:5173"),
    (None, "https://me.github.io"),
    ("localhost:{port}", "http://localhost:{port}"),
    ("lab.example", "https://lab.example"),
    ("LAB.example:{port}", "http://lab.EXAMPLE:{port}"),
]


@pytest.fixture
async def server() -> AsyncIterator[BootstrapServer]:
    config = BootstrapConfig(hosts=("lab.example",), allowed_origins=("https://me.github.io",))
    async with Bootstrap(config).serve() as server:
        yield server


async def ask(server: BootstrapServer, host: str | None, origin: str | None) -> str:
    """Open a WebSocket with these headers, as a browser would that resolved the name to 127.0.0.1; the first message."""
    name = (host or "127.0.0.1:{port}").format(port=server.port)
    websocket = connect(
        f"ws://{name}/room/lab",
        host="127.0.0.1",
        port=server.port,
        subprotocols=[SUBPROTOCOL],
        proxy=None,
        origin=None if origin is None else origin.format(port=server.port),  # type: ignore[arg-type]
    )
    async with websocket as opened:
        assert opened.request is not None
        assert opened.request.headers["Host"].lower() == name.lower()
        return str(await opened.recv())


async def test_forgeries_are_refused(server: BootstrapServer, report: Callable[[str, str], None]):
    assert len(set(FORGERIES)) == 20
    for host, origin in FORGERIES:
        with pytest.raises(InvalidStatus) as caught:
            await ask(server, host, origin)
        expected = 403 if host in (None, "lab.example") else 421
        assert caught.value.response.status_code == expected, (host, origin)
    assert server.app.state.rooms.room_count == 0
    report("T17", f"{len(FORGERIES)} forged requests: 0 admitted")


@pytest.mark.parametrize(("host", "origin"), HONEST)
async def test_an_honest_request_is_served(server: BootstrapServer, host: str | None, origin: str | None):
    assert "rpc.challenge" in await ask(server, host, origin)

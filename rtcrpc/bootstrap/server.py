"""The bootstrap with a server around it, on whatever event loop runs: `async with Bootstrap(config).serve()
as server:`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket as socket_module
import ssl
from collections.abc import AsyncIterator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from rtcrpc import limits
from rtcrpc.bootstrap.admission import is_loopback_host
from rtcrpc.bootstrap.app import create_app
from rtcrpc.bootstrap.config import BootstrapConfig
from rtcrpc.signaling.messages import room_path

__all__ = ["Bootstrap", "BootstrapServer"]

_PING_SECONDS: Final = 20.0
_IDLE_HTTP: Final = 1000  # connections besides WebSockets: pages and health checks


@dataclass(frozen=True, slots=True)
class BootstrapServer:
    """A bootstrap that listens.

    `host` and `port` are what is bound; `url` is where people find it, `http://127.0.0.1:8000`, without a
    slash at the end; `ws_url` is the same for signaling, `ws://127.0.0.1:8000`. `local_ws_url` is for peers on
    this machine, past the names and proxies that others need: loopback, where that is bound without TLS.
    """

    host: str
    port: int
    url: str
    local_ws_url: str
    app: Starlette

    @property
    def ws_url(self) -> str:
        """The base URL of signaling, as invites hold it."""
        return "ws" + self.url.removeprefix("http")

    def room_url(self, room: str) -> str:
        """The URL at which a room is joined. Raises `ProtocolError` for what can't be a room."""
        return self.ws_url + room_path(room)


class Bootstrap:
    """A bootstrap, to be served here; `app` is its ASGI app. Each one has its own rooms."""

    def __init__(self, config: BootstrapConfig | None = None) -> None:
        self.config = config or BootstrapConfig()
        self.app = create_app(self.config)

    def serve(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        certfile: str | os.PathLike[str] | None = None,
        keyfile: str | os.PathLike[str] | None = None,
    ) -> AbstractAsyncContextManager[BootstrapServer]:
        """Listen while the `async with` block runs; port 0 takes a free one. `certfile` and `keyfile` (PEM)
        turn TLS on.

        Signal handlers and logging stay as they are. At the end open WebSockets are closed with 1012, and
        their peers come back by themselves should it listen again. Raises `ValueError` for an address that
        other machines reach while `hosts` is empty, and `OSError` when the address can't be bound.
        """
        return self._serve(host, port, certfile, keyfile)

    @asynccontextmanager
    async def _serve(
        self,
        host: str,
        port: int,
        certfile: str | os.PathLike[str] | None,
        keyfile: str | os.PathLike[str] | None,
    ) -> AsyncIterator[BootstrapServer]:
        listener = await self._bind(host, port)
        try:
            bound = int(listener.getsockname()[1])
            server = _Server(self._server_config(certfile, keyfile))
            server.config.load()
        except ssl.SSLError as error:
            listener.close()
            raise ValueError(
                f"certfile: expected a PEM certificate that belongs to the key in keyfile (--tls-cert, --tls-key), got {error}"
            ) from None
        except BaseException:
            listener.close()
            raise
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="rtcrpc bootstrap")
        try:
            await server.ready(serving)
            url = self._url(host, bound, secure=certfile is not None)
            local = _loopback_of(str(listener.getsockname()[0])) if certfile is None else None
            local_ws_url = f"ws://{local}:{bound}" if local is not None else "ws" + url.removeprefix("http")
            yield BootstrapServer(host, bound, url, local_ws_url, self.app)
        finally:
            server.should_exit = True
            await asyncio.wait([serving])
            listener.close()
        serving.result()

    async def _bind(self, host: str, port: int) -> socket_module.socket:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket_module.SOCK_STREAM, flags=socket_module.AI_PASSIVE)
        except socket_module.gaierror as error:
            raise OSError(
                error.errno, f"can't listen on {host!r}: expected an address of this machine; {error.strerror}"
            ) from None
        # "localhost" may mean ::1 and 127.0.0.1; one is enough, and a browser tries both.
        family, kind, protocol, _, address = min(found, key=lambda info: info[0] != socket_module.AF_INET)
        config = self.config
        if not is_loopback_host(str(address[0])) and not config.hosts and config.public_url is None:
            raise ValueError(
                f"refused to listen on {host}, which other machines can reach: list the names "
                "or addresses by which they call it in hosts (--allow-host 192.168.1.5), or give its public_url "
                "(--public-url)"
            )
        listener = socket_module.socket(family, kind, protocol)
        try:
            if os.name == "posix":
                listener.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            advice = "choose another port, or 0 for a free one"
            raise OSError(error.errno, f"can't listen on {host} port {port}: {error.strerror}; {advice}") from None
        return listener

    def _server_config(
        self, certfile: str | os.PathLike[str] | None, keyfile: str | os.PathLike[str] | None
    ) -> uvicorn.Config:
        config = self.config
        return uvicorn.Config(
            self.app,
            http=_PatientH11,
            ws="websockets-sansio",  # the other one uses a part of websockets that is deprecated
            ws_max_size=limits.SIGNALING_MESSAGE,
            ws_ping_interval=_PING_SECONDS,
            ws_ping_timeout=_PING_SECONDS,
            ws_per_message_deflate=False,
            lifespan="off",
            interface="asgi3",
            log_config=None,
            server_header=False,
            proxy_headers=bool(config.trusted_proxies),
            forwarded_allow_ips=list(config.trusted_proxies),
            limit_concurrency=config.max_connections + _IDLE_HTTP,
            timeout_graceful_shutdown=limits.DRAIN_SECONDS,
            ssl_certfile=certfile,
            ssl_keyfile=keyfile,
        )

    def _url(self, host: str, port: int, *, secure: bool) -> str:
        config = self.config
        if config.public_url is not None:
            return config.public_url.rstrip("/")
        scheme = "https" if secure else "http"
        if _is_wildcard(host):
            shown = config.hosts[0]
            has_port = ":" in shown.rpartition("]")[2]
            return f"{scheme}://{shown}" if has_port else f"{scheme}://{shown}:{port}"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class _Server(uvicorn.Server):
    """uvicorn as a guest in somebody's program: it takes no signals, and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ready = asyncio.Event()

    async def startup(self, sockets: list[socket_module.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    async def ready(self, serving: asyncio.Task[None]) -> None:
        """Wait until it serves, or raise what kept it from that."""
        waiting = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait([waiting, serving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if serving.done():
            serving.result()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _PatientH11(H11Protocol):
    """uvicorn's HTTP, patient but not for ever: a connection that has sent no whole request in time is
    closed.

    (uvicorn itself would keep a connection that sends a header a day.) It also logs no requests, whatever the
    host program logs.
    """

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.access_log = False
        self._opening = self.loop.call_later(limits.HANDSHAKE_SECONDS, self._cut)

    def connection_lost(self, exc: Exception | None) -> None:
        self._opening.cancel()
        super().connection_lost(exc)

    def _cut(self) -> None:
        # After an upgrade the transport belongs to the WebSocket; a request that came left its cycle.
        if self.cycle is None and self.transport.get_protocol() is self:
            self.transport.close()


def _loopback_of(address: str) -> str | None:
    """The loopback host at which a bound address is reached too; None where it is not."""
    ip = ipaddress.ip_address(address)
    if ip.is_unspecified:
        return "127.0.0.1" if ip.version == 4 else "[::1]"
    return (f"[{ip}]" if ip.version == 6 else str(ip)) if ip.is_loopback else None


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False

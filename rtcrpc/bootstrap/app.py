"""The bootstrap as an ASGI app: WebSockets in front of the rooms, a health check, and the static page.

It runs under the embedded server, under any other ASGI server, and mounted in somebody's FastAPI or
Starlette: `app.mount("/rtc", create_app(config))`. (There the server's own limit for WebSocket messages
counts too; set it to 65536 bytes.)
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Iterable
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from rtcrpc.bootstrap.admission import Admission, Refusal, address_key
from rtcrpc.bootstrap.config import BootstrapConfig
from rtcrpc.bootstrap.pages import PageFiles, SecurityHeaders
from rtcrpc.bootstrap.rooms import Action, Close, Deliver, Rooms, RoomSocket
from rtcrpc.errors import ProtocolError
from rtcrpc.signaling.messages import CLOSE_BUSY, SUBPROTOCOL, check_room

__all__ = ["create_app"]

logger = logging.getLogger("rtcrpc.bootstrap")

_OUTBOX_BYTES: Final = 1 << 19  # what may wait for one socket: a full room's list and a burst of offers
_CLOSE_UNSUPPORTED: Final = 1003
_CLOSE_POLICY: Final = 1008


def create_app(config: BootstrapConfig | None = None) -> Starlette:
    """The ASGI app of a bootstrap: WebSocket `/room/<room>`, `GET /healthz`, and the page at `/` where there
    is one.
    """
    config = config or BootstrapConfig()
    admission = Admission(config)
    rooms = Rooms(config, secrets.token_bytes)
    routes: list[BaseRoute] = [
        WebSocketRoute("/room/{room:path}", _RoomsEndpoint(rooms, admission).serve),
        Route("/healthz", _healthz),
    ]
    if config.page_dir is not None:
        routes.append(Mount("/", PageFiles(config.page_dir)))
    app = Starlette(routes=routes, middleware=[Middleware(SecurityHeaders), Middleware(_HostGate, admission=admission)])
    app.state.rooms = rooms
    return app


async def _healthz(request: Request) -> JSONResponse:
    """Says that the bootstrap serves, and nothing about who uses it."""
    return JSONResponse({"status": "ok", "signaling": SUBPROTOCOL})


class _HostGate:
    """ASGI middleware: requests for hosts that are not served get no further."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._admission.check_host(_header(scope, b"host"))
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await _deny(WebSocket(scope, receive, send), refusal)
        else:
            await PlainTextResponse(refusal.reason, refusal.status)(scope, receive, send)


class _Outbox:
    """What waits to be written to one socket, and the close that ends it."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._texts: deque[str] = deque()
        self._size = 0
        self._ending: Close | None = None
        self._wake = asyncio.Event()

    def put(self, text: str) -> bool:
        """Queue a text; False when the other side reads so slowly that too much waits already."""
        if self._size + len(text) > _OUTBOX_BYTES:
            return False
        self._texts.append(text)
        self._size += len(text)
        self._wake.set()
        return True

    def close(self, ending: Close) -> None:
        """Close the socket once what waits is written."""
        self._ending = ending
        self._wake.set()

    async def run(self) -> None:
        """Write until the socket is closed, here or there."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._texts:
                    text = self._texts.popleft()
                    await self._websocket.send_text(text)
                    self._size -= len(text)
                if self._ending is not None:
                    await self._websocket.close(self._ending.code, self._ending.reason)
                    return
        except (WebSocketDisconnect, RuntimeError):
            # Gone. RuntimeError is how an ASGI server says so when it closed the socket itself a moment ago,
            # after a frame that was too long or a ping without an answer. The reader learns of the same end
            # and cleans up.
            logger.debug("a socket closed while it was written to")


class _RoomsEndpoint:
    """Drives `Rooms` with WebSockets, on one event loop."""

    def __init__(self, rooms: Rooms, admission: Admission) -> None:
        self._rooms = rooms
        self._admission = admission
        self._outboxes: dict[RoomSocket, _Outbox] = {}

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one WebSocket from its opening handshake to its end."""
        refusal = self._judge(websocket)
        address = websocket.client.host if websocket.client is not None else None
        if refusal is None:
            refusal = self._admission.enter(address)
        if refusal is not None:
            await _deny(websocket, refusal)
            return
        try:
            await websocket.accept(SUBPROTOCOL)
            await self._converse(websocket, address_key(address))
        finally:
            # Counted until the server says that the connection is gone, even where the rooms have forgotten
            # it: a socket that reads nothing can't be closed from here, and must not be free to its owner.
            self._admission.leave(address)

    def _judge(self, websocket: WebSocket) -> Refusal | None:
        try:
            check_room(websocket.path_params["room"])
        except ProtocolError as error:
            return Refusal(404, str(error))
        scope = websocket.scope
        host = _header(scope, b"host")[0]
        refusal = self._admission.check_origin(_header(scope, b"origin"), host, secure=scope["scheme"] == "wss")
        if refusal is None and SUBPROTOCOL not in scope["subprotocols"]:
            return Refusal(400, f"expected the WebSocket subprotocol {SUBPROTOCOL}")
        return refusal

    async def _converse(self, websocket: WebSocket, address: str) -> None:
        loop = asyncio.get_running_loop()
        host = _header(websocket.scope, b"host")[0]
        socket, actions = self._rooms.connect(websocket.path_params["room"], host, loop.time(), address=address)
        outbox = self._outboxes[socket] = _Outbox(websocket)
        writer = asyncio.create_task(outbox.run())
        deadline = loop.call_at(socket.deadline, self._expire, socket)
        try:
            self._perform(actions)
            while (message := await websocket.receive())["type"] != "websocket.disconnect":
                if socket.closed:
                    continue
                text = message.get("text")
                now = loop.time()
                if text is None:
                    self._perform(self._rooms.fail(socket, _CLOSE_UNSUPPORTED, "expected text, got bytes"))
                else:
                    self._perform(self._rooms.receive_text(socket, text, now))
                if (pause := self._rooms.pause(socket, now)) > 0:
                    await asyncio.sleep(pause)
        finally:
            deadline.cancel()
            del self._outboxes[socket]
            self._perform(self._rooms.disconnected(socket))
            writer.cancel()
            await asyncio.wait([writer])

    def _expire(self, socket: RoomSocket) -> None:
        # Timers may come a clock tick early.
        self._perform(self._rooms.expire(socket, max(asyncio.get_running_loop().time(), socket.deadline)))

    def _perform(self, actions: Iterable[Action]) -> None:
        pending = deque(actions)
        while pending:
            action = pending.popleft()
            outbox = self._outboxes.get(action.socket)
            if outbox is None:
                continue
            match action:
                case Deliver(socket, text):
                    if not outbox.put(text):
                        pending.extend(self._rooms.fail(socket, CLOSE_BUSY, "this connection is not read fast enough"))
                case Close():
                    outbox.close(action)


def _header(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


async def _deny(websocket: WebSocket, refusal: Refusal) -> None:
    logger.warning(
        "refused a connection from %s: %s", websocket.client.host if websocket.client else "?", refusal.reason
    )
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        await websocket.send_denial_response(PlainTextResponse(refusal.reason, refusal.status))
    else:
        await websocket.close(_CLOSE_POLICY)

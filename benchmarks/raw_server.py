"""The other end of the baseline: plain aiortc, with the smallest signaling there can be over a WebSocket."""

from __future__ import annotations

import argparse
import asyncio
import json

import websockets
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription

from benchmarks.raw_bulk import BulkSender

__all__ = ["main"]


class _EchoWhole:
    """Waits for as many bytes as a text announced, then sends as many back: what an echo by a call is."""

    def __init__(self, channel: RTCDataChannel) -> None:
        self._sender = BulkSender(channel)
        self._size = self._left = 0

    def received(self, data: bytes | str) -> None:
        if isinstance(data, str):
            self._size = self._left = int(data)
            return
        self._left -= len(data)
        if self._left == 0:
            self._sender.send(bytes(self._size))


def _serve_messages(channel: RTCDataChannel) -> None:
    sender = BulkSender(channel)
    channel.on("message", lambda count: sender.send_messages(b"x" * 16, int(count)))


def _serve_channel(channel: RTCDataChannel, mode: str) -> None:
    if mode == "echo":
        channel.on("message", channel.send)
    elif mode == "echo-whole":
        channel.on("message", _EchoWhole(channel).received)
    else:
        _serve_messages(channel)


async def serve(mode: str) -> None:
    """Answer each offer that comes; print the port."""
    connections: set[RTCPeerConnection] = set()

    async def introduce(socket: websockets.ServerConnection) -> None:
        async for text in socket:
            offer = json.loads(text)
            connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
            connections.add(connection)
            _serve_channel(connection.createDataChannel("raw", negotiated=True, id=0), mode)
            await connection.setRemoteDescription(RTCSessionDescription(**offer))
            await connection.setLocalDescription(await connection.createAnswer())
            description = connection.localDescription
            await socket.send(json.dumps({"type": description.type, "sdp": description.sdp}))

    async with websockets.serve(introduce, "127.0.0.1", 0) as server:
        print(json.dumps({"port": next(iter(server.sockets)).getsockname()[1]}), flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Run until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), required=True)
    parser.add_argument("--mode", choices=("echo", "echo-whole", "messages"), default="echo")
    args = parser.parse_args()
    if args.loop == "uvloop":
        import uvloop

        uvloop.run(serve(args.mode))
    else:
        asyncio.run(serve(args.mode))


if __name__ == "__main__":
    main()

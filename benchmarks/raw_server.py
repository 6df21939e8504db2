"""The other end of the baseline: plain aiortc that echoes, with the smallest signaling there can be over a WebSocket."""

from __future__ import annotations

import argparse
import asyncio
import json

import websockets
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

__all__ = ["main"]


async def serve() -> None:
    """Answer each offer that comes; print the port."""
    connections: set[RTCPeerConnection] = set()

    async def introduce(socket: websockets.ServerConnection) -> None:
        async for text in socket:
            offer = json.loads(text)
            connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
            connections.add(connection)
            channel = connection.createDataChannel("raw", negotiated=True, id=0)
            channel.on("message", channel.send)
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
    if parser.parse_args().loop == "uvloop":
        import uvloop

        uvloop.run(serve())
    else:
        asyncio.run(serve())


if __name__ == "__main__":
    main()

"""The baseline: what plain aiortc does on the same machine, in the same run, on the same kind of loop."""

from __future__ import annotations

import asyncio
import json
import statistics
import time

import websockets
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription

__all__ = ["RawFigures", "measure_raw", "raw_set_up"]

RawFigures = dict[str, float]


async def _connect(port: int) -> tuple[RTCPeerConnection, RTCDataChannel]:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    channel = connection.createDataChannel("raw", negotiated=True, id=0)
    opened = asyncio.Event()
    channel.on("open", opened.set)
    await connection.setLocalDescription(await connection.createOffer())
    async with websockets.connect(f"ws://127.0.0.1:{port}", proxy=None) as socket:
        description = connection.localDescription
        await socket.send(json.dumps({"type": description.type, "sdp": description.sdp}))
        answer = json.loads(await socket.recv())
        await connection.setRemoteDescription(RTCSessionDescription(**answer))
        if channel.readyState != "open":
            await opened.wait()
    return connection, channel


async def raw_set_up(port: int, times: int) -> list[float]:
    """Seconds from nothing to the first echo: signaling, ICE, DTLS, SCTP."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        connection, channel = await _connect(port)
        echoed = asyncio.Event()
        channel.on("message", lambda _, echoed=echoed: echoed.set())
        channel.send(b"x" * 64)
        await echoed.wait()
        taken.append(time.perf_counter() - started)
        await connection.close()
    return taken


async def measure_raw(port: int, *, pings: int, echoes: int, in_flight: int) -> RawFigures:
    """`ping`: median seconds of a 64-byte echo, one at a time. `rate`: echoes a second with `in_flight` under way."""
    connection, channel = await _connect(port)
    payload = b"x" * 64
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def on_ping(_: object) -> None:
        waiter.set_result(None)

    channel.on("message", on_ping)
    taken = []
    for _ in range(pings):
        waiter = loop.create_future()
        started = time.perf_counter()
        channel.send(payload)
        await waiter
        taken.append(time.perf_counter() - started)
    channel.remove_listener("message", on_ping)

    done = loop.create_future()
    received = 0

    def on_echo(_: object) -> None:
        nonlocal received
        received += 1
        if received + in_flight <= echoes:
            channel.send(payload)
        if received == echoes:
            done.set_result(None)

    channel.on("message", on_echo)
    started = time.perf_counter()
    for _ in range(in_flight):
        channel.send(payload)
    await done
    rate = echoes / (time.perf_counter() - started)
    await connection.close()
    return {"ping": statistics.median(taken), "rate": rate}

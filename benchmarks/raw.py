"""The baseline: what plain aiortc does on the same machine, in the same run, on the same kind of loop."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import websockets
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription

from benchmarks.children import child
from benchmarks.raw_bulk import BulkSender

__all__ = ["measure_bulk", "measure_messages", "measure_raw", "raw_channel", "raw_set_up"]


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


@asynccontextmanager
async def raw_channel(loop_kind: str, mode: str) -> AsyncIterator[RTCDataChannel]:
    """A channel to a process of its own; `mode`: what that does with messages (see `benchmarks.raw_server`)."""
    async with child("-m", "benchmarks.raw_server", "--loop", loop_kind, "--mode", mode) as ready:
        connection, channel = await _connect(ready["port"])
        try:
            yield channel
        finally:
            await connection.close()


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


async def measure_raw(port: int, *, pings: int, echoes: int, in_flight: int) -> dict[str, float]:
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


async def measure_bulk(loop_kind: str, sizes: dict[str, tuple[int, int]]) -> dict[str, float]:
    """Bytes a second of echoes, each sent back when all of it has come, as a call would; by name: size, and how often.

    Messages of 16 KiB, the sender held by `bufferedAmount`.
    """
    figures = {}
    async with raw_channel(loop_kind, "echo-whole") as channel:
        sender = BulkSender(channel)
        for name, (size, times) in sizes.items():
            taken = []
            for _ in range(times):
                back = asyncio.get_running_loop().create_future()
                left = size

                def on_message(data: bytes, back: asyncio.Future[None] = back) -> None:
                    nonlocal left
                    left -= len(data)
                    if left <= 0:
                        back.set_result(None)

                channel.on("message", on_message)
                started = time.perf_counter()
                channel.send(str(size))
                sender.send(bytes(size))
                await back
                taken.append(time.perf_counter() - started)
                channel.remove_listener("message", on_message)
            figures[name] = size / statistics.median(taken)
    return figures


async def measure_messages(loop_kind: str, count: int) -> dict[str, float]:
    """`rate`: messages of 16 bytes a second that come in, one way, the sender held by `bufferedAmount`."""
    async with raw_channel(loop_kind, "messages") as channel:
        done = asyncio.get_running_loop().create_future()
        received = 0

        def on_message(_: object) -> None:
            nonlocal received
            received += 1
            if received == count:
                done.set_result(None)

        channel.on("message", on_message)
        started = time.perf_counter()
        channel.send(str(count))
        await done
        return {"rate": count / (time.perf_counter() - started)}

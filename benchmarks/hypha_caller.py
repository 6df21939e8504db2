"""The caller of the hypha-rpc benchmark; runs in its environment, and prints what it measured."""

import asyncio
import json
import statistics
import sys
import time

from hypha_rpc import connect_to_server, get_rtc_service

ICE_SERVERS = [{"urls": "stun:127.0.0.1:9"}]
PINGS = 300
CALLS = 3000
IN_FLIGHT = 100
ITEMS = 1000
ECHO_SECONDS = 10


async def call_rate(add):
    left = CALLS

    async def caller():
        nonlocal left
        while left > 0:
            left -= 1
            assert await add(1, 2) == 3

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
    return CALLS / (time.perf_counter() - started)


async def echo_rate(echo, size, failures):
    """Bytes a second, 0 where it fails."""
    data = bytes(size)
    started = time.perf_counter()
    try:
        same = await asyncio.wait_for(echo(data), ECHO_SECONDS) == data
    except Exception as error:
        failures[str(size)] = f"{type(error).__name__}: {error}"[:100] or "failed"
        return 0
    if not same:
        failures[str(size)] = "something else came back"
    return size / (time.perf_counter() - started) if same else 0


async def main() -> None:
    server = await connect_to_server({"server_url": sys.argv[1]})
    connection = await get_rtc_service(server, sys.argv[2], {"ice_servers": ICE_SERVERS})
    service = await connection.get_service("bench")
    for _ in range(20):
        await service.add(1, 2)
    taken = []
    for _ in range(PINGS):
        started = time.perf_counter()
        assert await service.add(1, 2) == 3
        taken.append(time.perf_counter() - started)
    rate = await call_rate(service.add)
    received = 0
    started = time.perf_counter()
    async for _ in await service.numbers(ITEMS):
        received += 1
    assert received == ITEMS
    items = ITEMS / (time.perf_counter() - started)
    failures = {}
    for size in (100_000, 200_000):
        await echo_rate(service.echo, size, failures)
    echo = await echo_rate(service.echo, 2**20, failures)
    figures = {"ping": statistics.median(taken), "rate": rate, "items": items, "echo": echo, "echo_failures": failures}
    print(json.dumps(figures), flush=True)
    await asyncio.Event().wait()


asyncio.run(main())

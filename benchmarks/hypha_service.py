"""The other end of the hypha-rpc benchmark; runs in its environment, as its documentation writes a WebRTC service."""

import asyncio
import json
import sys

from hypha_rpc import connect_to_server, register_rtc_service

# A STUN server that is not there: without one it asks a public server, which a benchmark has no business with.
ICE_SERVERS = [{"urls": "stun:127.0.0.1:9"}]


async def numbers(to):
    for number in range(to):
        yield number


async def main() -> None:
    server = await connect_to_server({"server_url": sys.argv[1]})
    service = await server.register_service(
        {
            "id": "bench",
            "config": {"visibility": "public"},
            "add": lambda a, b: a + b,
            "echo": lambda data: data,
            "numbers": numbers,
        }
    )
    rtc = await register_rtc_service(server, "bench-rtc", config={"visibility": "public", "ice_servers": ICE_SERVERS})
    print(json.dumps({"service": rtc["id"], "plain": service["id"]}), flush=True)
    await asyncio.Event().wait()


asyncio.run(main())

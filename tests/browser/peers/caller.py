"""A peer that calls what a page offers: serves the page, waits for `calculator` to come, calls it, writes what it got."""

from __future__ import annotations

import asyncio
import json
import sys

import rtcrpc
from rtcrpc.bootstrap.server import Bootstrap, BootstrapConfig
from rtcrpc.core.invite import Invite
from rtcrpc.web import static_dir


def write(value: object) -> None:
    print(json.dumps(value), flush=True)


async def main() -> None:
    async with Bootstrap(BootstrapConfig(page_dir=static_dir())).serve(port=0) as server:
        base = server.url.replace("http", "ws", 1).rstrip("/")
        me = rtcrpc.Peer(name="caller")
        async with me.join(Invite(bootstrap=base, room="both ways", pin=None, name=None, token=None)) as room:
            link = Invite(bootstrap=None, room="both ways", pin=me.peer_id, name="caller", token=None).to_link(
                server.url
            )
            write({"link": link, "page": server.url})
            page = await room.peer("calculator", timeout=60)
            write({"double": await page.call.double(21), "trust": page.trust, "peer": page.peer_id})
            write({"bytes": list(await page.call.reversed(bytes([1, 2, 3])))})
            try:
                await page.call.fails()
            except rtcrpc.RemoteError as error:
                write({"code": error.code, "message": error.message})
            write({"methods": [method["name"] for method in (await page.discover())["methods"]]})
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


asyncio.run(main())

"""A peer that takes what may be lost, and sends as much back; it writes what it was told when it is asked to."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import rtcrpc
from rtcrpc.bootstrap.server import Bootstrap, BootstrapConfig
from rtcrpc.core.invite import Invite
from rtcrpc.web import static_dir

registry = rtcrpc.Registry()
told: list[int] = []


@registry.expose(reliable=False)
async def pose(number: int) -> None:
    told.append(number)


@registry.expose
async def note(number: int) -> None:
    told.append(number)


@registry.expose
async def seen() -> list[int]:
    return told


@registry.expose
async def lose(context: rtcrpc.Context, share: float) -> None:
    """From now on lose that share of the packets of the caller, both ways."""
    chance = random.Random(1)
    link: Any = next(peer for peer in room.peers if peer.peer_id == context.caller.peer_id)._link
    stack = link.connection._stack

    def leaky(carry: Callable[[bytes], Awaitable[None]]) -> Callable[[bytes], Awaitable[None]]:
        async def carry_some(packet: bytes) -> None:
            if chance.random() >= share:
                await carry(packet)

        return carry_some

    stack.dtls._send_data = leaky(stack.dtls._send_data)
    stack.sctp._handle_data = leaky(stack.sctp._handle_data)


@registry.expose
async def send_back(context: rtcrpc.Context, first: int, raw: bool) -> bool:
    """Tell the caller 100 poses, from `first` on; with `raw` also put a frame on the lossy channel that it may not have.

    Whether it announced one.
    """
    page = next(peer for peer in room.peers if peer.peer_id == context.caller.peer_id)
    link: Any = page._link
    if raw:
        # On the network loop, past everything that would keep it from being sent.
        channel = link.connection._stack.lossy_channel
        link._loop.call_soon_threadsafe(channel.send, b"nobody asked for this")
    for number in range(first, first + 100):
        await page.notify.with_(reliable=False).pose(number)
        await asyncio.sleep(0.002)
    return "lossy" in link.remote.features


async def main() -> None:
    global room
    async with Bootstrap(BootstrapConfig(page_dir=static_dir())).serve(port=0) as server:
        base = server.url.replace("http", "ws", 1).rstrip("/")
        me = rtcrpc.Peer(name="robot", registry=registry, policy=rtcrpc.OpenPolicy())
        async with me.join(Invite(bootstrap=base, room="lossy", pin=None, name=None, token=None)) as room:
            link = Invite(bootstrap=None, room="lossy", pin=me.peer_id, name="robot", token=None).to_link(server.url)
            print(json.dumps({"link": link, "page": server.url}), flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


asyncio.run(main())

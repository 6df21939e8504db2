"""The other end of the call benchmarks: an ordinary rtcrpc peer with an embedded bootstrap; prints its link."""

from __future__ import annotations

import asyncio
import json

from rtcrpc import Registry
from rtcrpc.cli.serving import Plan, serving

__all__ = ["main"]

registry = Registry()


@registry.expose
async def add(a: int, b: int) -> int:
    """Add, on the user's loop."""
    return a + b


@registry.expose
def add_in_pool(a: int, b: int) -> int:
    """Add, in the pool."""
    return a + b


@registry.expose
async def echo(data: bytes) -> bytes:
    """Give back what came."""
    return data


async def serve() -> None:
    """Serve until killed."""
    async with serving(Plan(name="bench", registry=registry, with_page=False)) as served:
        print(json.dumps({"link": served.link}), flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Run until killed."""
    asyncio.run(serve())


if __name__ == "__main__":
    main()

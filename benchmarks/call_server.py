"""The other end of the call benchmarks: an ordinary rtcrpc peer with an embedded bootstrap; prints its link."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from rtcrpc import Registry
from rtcrpc.cli.serving import Plan, serving

__all__ = ["main"]

registry = Registry()


@registry.expose
async def add(a: int, b: int) -> int:
    """Add, on the user's loop."""
    return a + b


@registry.expose
async def echo(data: bytes) -> bytes:
    """Give back what came."""
    return data


@registry.expose
async def swallow(data: Any) -> int:
    """Take bytes, or an array of them; their number."""
    return len(data)


@registry.expose
async def count(to: int) -> AsyncIterator[int]:
    """A stream of small items."""
    for number in range(to):
        yield number


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

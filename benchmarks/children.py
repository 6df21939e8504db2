"""The processes at the other end: started by a round, ended by it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

__all__ = ["child"]


@asynccontextmanager
async def child(module: str, *args: str) -> AsyncIterator[dict[str, Any]]:
    """Run `python -m module`, wait for the line of JSON with which it says that it is ready, and end it at the end."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, *args, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None, "asked for above"
    try:
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"{module} ended before it was ready, with exit code {await process.wait()}")
        yield json.loads(line)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()

"""The processes at the other end: started by a round, ended by it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

__all__ = ["child", "run"]


@asynccontextmanager
async def child(*command: str, python: str = sys.executable) -> AsyncIterator[dict[str, Any]]:
    """Run `python *command` (a file, or `-m` and a module), wait for the line of JSON with which it says that it is ready, and end it
    at the end. The value is what the line says, with the process's `pid`.
    """
    process = await asyncio.create_subprocess_exec(python, *command, stdout=asyncio.subprocess.PIPE, env=_environment())
    assert process.stdout is not None, "asked for above"
    try:
        async with asyncio.timeout(60):
            while not (line := await process.stdout.readline()).startswith(b"{"):
                if not line:
                    raise RuntimeError(
                        f"{' '.join(command)} ended before it was ready, with exit code {await process.wait()}"
                    )
        yield {**json.loads(line), "pid": process.pid}
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _environment() -> dict[str, str]:
    # Other programs' loggers write to standard output; only the line of JSON belongs there.
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


def run(coroutine: Coroutine[Any, Any, dict[str, float]], loop_kind: str = "asyncio") -> dict[str, float]:
    """Run on a loop of that kind."""
    if loop_kind == "uvloop":
        import uvloop

        return uvloop.run(coroutine)
    return asyncio.run(coroutine)

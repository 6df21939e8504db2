"""Programs that a test runs to their end."""

from __future__ import annotations

import asyncio

__all__ = ["run_program"]


async def run_program(*command: str, within: float = 40) -> tuple[int, str, str]:
    """Exit code, standard output and standard error; killed when it takes longer than `within` seconds."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(within):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()

"""The examples that need no browser, run as their first lines say. (Those with one: tests/browser/test_examples.py.)"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.programs import run_program

EXAMPLES = Path(__file__).parents[2] / "examples"


async def run(*command: str) -> str:
    """What a program prints, which must end well."""
    code, out, err = await run_program(*command)
    assert code == 0, err
    return out


async def test_two_python_peers() -> None:
    assert (await run(sys.executable, str(EXAMPLES / "two_peers.py"))).splitlines() == [
        "the garden says: 2.5 litres of water, thank you",
        "the kitchen has 21.5 degrees",
        "the kitchen's key is pinned",
    ]


@asynccontextmanager
async def served_robot() -> AsyncIterator[str]:
    """The link to examples/robot.py, served as its first line says."""
    robot = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rtcrpc",
        "serve",
        str(EXAMPLES / "robot.py"),
        "--port",
        "0",
        "--json",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    assert robot.stdout is not None
    try:
        async with asyncio.timeout(20):
            link = json.loads(await robot.stdout.readline())["link"]
        yield link
    finally:
        robot.terminate()
        await robot.communicate()


async def test_node_calls_python() -> None:
    async with served_robot() as link:
        said = await run("node", "--no-warnings", str(EXAMPLES / "node_calls.mjs"), link)
    assert said.splitlines() == [
        "1 + 2 = 3",
        'wrong arguments are refused: add: a: expected an integer, got "one"',
    ]


async def test_a_script_without_async() -> None:
    async with served_robot() as link:
        said = await run(sys.executable, str(EXAMPLES / "sync_script.py"), link)
    assert said.splitlines() == [
        "1 + 2 = 3",
        "moved to 2.5",
        "it sees a wall, a door, a cat",
        "looking around for a minute takes too long",
    ]

"""hypha-rpc over WebRTC, in an environment of its own, started the way its documentation says.

The environment is made once, in `benchmarks/.peers`. Two of the packages are there because this version of the server can't be started
without them: `aiobotocore`, which it imports and does not ask for, and an older `sqlmodel`, as it fails with the newest.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from benchmarks.calls import CALLS, IN_FLIGHT, PINGS, call_rate, call_times, remote_peer
from benchmarks.children import child, run
from benchmarks.report import Row, make_row
from benchmarks.streams import ITEMS
from benchmarks.subject import Figures, Subject

__all__ = ["Hypha"]

HERE = Path(__file__).parent
PACKAGES = ("hypha==0.21.137", "hypha-rpc==0.21.47", "aiobotocore==3.10.0", "sqlmodel==0.0.24")
INSTALL_SECONDS = 240
START_SECONDS = 60


def _python() -> str:
    """The interpreter of the environment, which is made where it is missing or not the one that is asked for."""
    home = HERE / ".peers" / "hypha"
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    wanted = "\n".join((sys.version, *PACKAGES, f"aiortc=={version('aiortc')}"))
    mark = home / "installed.txt"
    if not mark.exists() or mark.read_text() != wanted:
        print("installing hypha-rpc into benchmarks/.peers, once ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True, timeout=INSTALL_SECONDS)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *PACKAGES, f"aiortc=={version('aiortc')}"], check=True, timeout=INSTALL_SECONDS)
        mark.write_text(wanted)
    return str(python)


@asynccontextmanager
async def _server(python: str) -> AsyncIterator[str]:
    """`python -m hypha.server`; the value is its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(python, "-m", "hypha.server", "--host=127.0.0.1", f"--port={port}"),
        cwd=HERE / ".peers",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    if process.returncode is not None:
                        raise RuntimeError(f"hypha.server ended with exit code {process.returncode}") from None
                    await asyncio.sleep(0.2)
                else:
                    writer.close()
                    break
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _hypha(python: str) -> Figures:
    async with (
        _server(python) as url,
        child(str(HERE / "hypha_service.py"), url, python=python) as ready,
        child(str(HERE / "hypha_caller.py"), url, ready["service"], python=python) as figures,
    ):
        return figures


async def _ours() -> Figures:
    async with remote_peer() as remote:
        pings = sorted(await call_times(remote.call.add, PINGS))
        rate = await call_rate(remote.call.add, CALLS, IN_FLIGHT)
        loop = asyncio.get_running_loop()
        started = loop.time()
        async for _ in remote.call.count(ITEMS):
            pass
        items = ITEMS / (loop.time() - started)
        started = loop.time()
        await remote.call.echo(bytes(2**20))
        return {
            "ping": pings[len(pings) // 2],
            "rate": rate,
            "items": items,
            "echo": 2**20 / (loop.time() - started),
        }


class Hypha(Subject):
    """`*.to_hypha`: the same calls by the nearest relative."""

    names = ("call.sequential.p50", "call.inflight100.rate", "stream.items.rate", "bulk.1MiB.rate")
    most_rounds = 3

    def __init__(self) -> None:
        super().__init__()
        self._unavailable = False

    def sides(self) -> dict[str, Callable[[], Figures]]:
        """hypha-rpc, then ours."""
        if self._unavailable:
            return {}
        try:
            python = _python()
        except (OSError, subprocess.SubprocessError) as error:
            self._unavailable = True
            self.notes.append(f"hypha-rpc: not measured, it could not be installed: {error}")
            return {}
        return {"hypha": lambda: run(_hypha(python)), "ours": lambda: run(_ours())}

    def rows(self) -> list[Row]:
        """As in the rows of the same names."""
        if "hypha" not in self.rounds:
            return []
        name = f"{PACKAGES[1].replace('==', ' ')} over WebRTC"
        rows = [
            make_row(f"{row}.to_hypha", unit, self.column("ours", key, scale), what, self.column("hypha", key, scale))
            for row, unit, key, what, scale in (
                ("call.sequential.p50", "ms", "ping", name, 1e3),
                ("call.inflight100.rate", "1/s", "rate", f"{name}, 100 in flight", 1.0),
                ("stream.items.rate", "1/s", "items", f"{name}, an async generator", 1.0),
            )
        ]
        echoes = [figures for figures in self.rounds["hypha"] if figures["echo"]]
        if len(echoes) == len(self.rounds["hypha"]):
            rows.append(
                make_row(
                    "bulk.1MiB.rate.to_hypha",
                    "MB/s",
                    self.column("ours", "echo", 1e-6),
                    name,
                    self.column("hypha", "echo", 1e-6),
                )
            )
        else:
            outcomes = json.dumps(self.rounds["hypha"][0].get("echo_failures"))
            self.notes.append(f"{name}, echo of bytes by their number, where it fails: {outcomes}")
        return rows

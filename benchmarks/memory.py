"""How much a process grows at most while a large value crosses."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import rtcrpc
from benchmarks.children import child, run
from benchmarks.report import Row, make_row
from benchmarks.subject import Figures, Subject

__all__ = ["Memory", "main"]

SIZE = 64 * 1024 * 1024 - 1024
"""As much as fits the limit of a message, 64 MiB, with its envelope."""


KINDS = {"array": ("", "an array of 64 MiB"), "bytes": (".bytes", "a bytes of 64 MiB")}


def _memory(pid: int) -> tuple[int, int]:
    """Bytes in memory, now and at the peak."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024, int(fields["VmHWM"].split()[0]) * 1024


async def _cross(kind: str) -> Figures:
    async with child("-m", "benchmarks.call_server") as ready, rtcrpc.join(ready["link"], name="caller") as room:
        remote = await room.peer("bench")
        await remote.call.swallow(_value(kind, 1024))
        here, there = os.getpid(), ready["pid"]
        before, before_there = _memory(here)[0], _memory(there)[0]
        if await remote.call.with_(timeout=120).swallow(_value(kind, SIZE)) != SIZE:
            raise AssertionError("all of it must have come")
        return {"send": (_memory(here)[1] - before) / SIZE, "receive": (_memory(there)[1] - before_there) / SIZE}


def _value(kind: str, size: int) -> Any:
    if kind == "bytes":
        return b"\1" * size
    import numpy as np

    return np.ones(size, np.uint8)


async def _in_a_fresh_process(kind: str) -> Figures:
    # What earlier benchmarks left behind would be filled before the process grows.
    async with child("-m", "benchmarks.memory", kind) as figures:
        return cast(Figures, figures)


class Memory(Subject):
    """`memory.*`: the peak on each side, the value itself counted, as a factor of its size."""

    names = ("memory.send64MiB.peak", "memory.receive64MiB.peak")
    most_rounds = 2

    def sides(self) -> dict[str, Callable[[], Figures]]:
        """Two fresh processes for each kind of value; nothing where the system does not tell of peaks."""
        if not Path("/proc/self/status").exists():
            if not self.notes:
                self.notes.append("memory: not measured, this system has no /proc/PID/status")
            return {}
        return {kind: partial(lambda kind: run(_in_a_fresh_process(kind)), kind) for kind in KINDS}

    def rows(self) -> list[Row]:
        """MiB; the ratio is the factor."""
        return [
            make_row(
                f"memory.{side}64MiB.peak{suffix}",
                "MiB",
                self.column(kind, side, SIZE / 2**20),
                f"the size of the value, {what}",
                [SIZE / 2**20] * len(self.rounds[kind]),
            )
            for side in ("send", "receive")
            for kind, (suffix, what) in KINDS.items()
            if kind in self.rounds
        ]


def main() -> None:
    """Measure once with the kind of value that is named, print the figures."""
    print(json.dumps(asyncio.run(_cross(sys.argv[1]))), flush=True)


if __name__ == "__main__":
    main()

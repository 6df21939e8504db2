"""Large values: an echo of bytes, beside the same bytes sent and sent back through a plain channel."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

from benchmarks.calls import remote_peer
from benchmarks.children import run
from benchmarks.raw import measure_bulk
from benchmarks.report import Row
from benchmarks.subject import LOOP_KINDS, Figures, Subject

__all__ = ["Bulk"]

MIB = 1024 * 1024
SIZES = {"1MiB": (MIB, 5), "32MiB": (32 * MIB, 1)}


async def _ours() -> Figures:
    figures = {}
    async with remote_peer() as remote:
        echo = remote.call.with_(timeout=120).echo
        for name, (size, times) in SIZES.items():
            taken = []
            for _ in range(times):
                data = bytes(size)
                started = time.perf_counter()
                if len(await echo(data)) != size:
                    raise AssertionError("the echo must be as long as what was sent")
                taken.append(time.perf_counter() - started)
            figures[name] = size / statistics.median(taken)
    return figures


class Bulk(Subject):
    """`bulk.*.rate`: MB/s there and back; each byte counts once."""

    names = ("bulk.1MiB.rate", "bulk.32MiB.rate")
    most_rounds = 3

    def sides(self) -> dict[str, Callable[[], Figures]]:
        """Raw on each kind of loop, then ours."""
        raw = {kind: partial(lambda kind: run(measure_bulk(kind, SIZES), kind), kind) for kind in LOOP_KINDS}
        return {**raw, "ours": lambda: run(_ours())}

    def rows(self) -> list[Row]:
        """MB/s."""
        what = "16 KiB messages, the same bytes there, then back"
        return [row for size in SIZES for row in self.rows_to_raw(f"bulk.{size}.rate", "MB/s", size, what, 1e-6)]

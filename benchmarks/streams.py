"""A stream of small items, read as fast as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from benchmarks.calls import remote_peer
from benchmarks.children import run
from benchmarks.raw import measure_messages
from benchmarks.report import Row
from benchmarks.subject import LOOP_KINDS, Figures, Subject

__all__ = ["Streams"]

ITEMS = 100_000
MESSAGES = 10_000


async def _ours() -> Figures:
    async with remote_peer() as remote:
        received = 0
        started = time.perf_counter()
        async for _ in remote.call.count(ITEMS):
            received += 1
        if received != ITEMS:
            raise AssertionError("every item must have come")
        return {"rate": ITEMS / (time.perf_counter() - started)}


class Streams(Subject):
    """`stream.items.rate`."""

    names = ("stream.items.rate",)

    def sides(self) -> dict[str, Callable[[], Figures]]:
        """Raw on each kind of loop, then ours."""
        raw = {kind: partial(lambda kind: run(measure_messages(kind, MESSAGES), kind), kind) for kind in LOOP_KINDS}
        return {**raw, "ours": lambda: run(_ours())}

    def rows(self) -> list[Row]:
        """Items a second."""
        return self.rows_to_raw("stream.items.rate", "1/s", "rate", "16-byte messages one way")

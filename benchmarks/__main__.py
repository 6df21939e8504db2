"""`python -m benchmarks`: every figure beside its baseline, in alternating rounds of one run."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import statistics
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from benchmarks.calls import call_set_up, measure_calls
from benchmarks.children import child
from benchmarks.raw import measure_raw, raw_set_up
from benchmarks.report import Row, make_row, print_table, write_rows

__all__ = ["main"]


def _run(coroutine: Coroutine[Any, Any, dict[str, float]], loop_kind: str) -> dict[str, float]:
    """Run on a loop of that kind."""
    if loop_kind == "uvloop":
        import uvloop

        return uvloop.run(coroutine)
    return asyncio.run(coroutine)


async def _raw_round(loop_kind: str, args: argparse.Namespace) -> dict[str, float]:
    async with child("benchmarks.raw_server", "--loop", loop_kind) as ready:
        figures = await measure_raw(ready["port"], pings=args.pings, echoes=args.echoes, in_flight=100)
        figures["set_up"] = statistics.median(await raw_set_up(ready["port"], args.set_ups))
    return figures


async def _call_round(args: argparse.Namespace) -> dict[str, float]:
    async with child("benchmarks.call_server") as ready:
        figures = await measure_calls(ready["link"], pings=args.pings, calls=args.calls, in_flight=100)
        figures["set_up"] = statistics.median(await call_set_up(ready["link"], args.set_ups))
    return figures


def main() -> None:
    """Measure, print the table, write latest.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pings", type=int, default=1000)
    parser.add_argument("--echoes", type=int, default=8000)
    parser.add_argument("--calls", type=int, default=30000)
    parser.add_argument("--set-ups", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("latest.json"))
    args = parser.parse_args()
    kinds = ("asyncio", "uvloop") if importlib.util.find_spec("uvloop") else ("asyncio",)
    raw: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    calls: list[dict[str, float]] = []
    for _ in range(args.rounds):
        for kind in kinds:
            raw[kind].append(_run(_raw_round(kind, args), kind))
        calls.append(_run(_call_round(args), "asyncio"))

    def column(rounds: list[dict[str, float]], key: str, scale: float = 1.0) -> list[float]:
        return [figures[key] * scale for figures in rounds]

    rows: list[Row] = []
    for kind in kinds:
        # The plain row is to aiortc as it comes; ours brings uvloop along, so the same is shown beside aiortc on uvloop too.
        suffix = "" if kind == "asyncio" else f".to_{kind}"
        on = f"raw aiortc on {kind}"
        for name, unit, key, scale, what in (
            ("call.sequential.p50", "ms", "ping", 1e3, "64-byte ping-pong"),
            ("call.inflight100.rate", "1/s", "rate", 1.0, "64-byte echoes, 100 in flight"),
            ("setup.p50", "ms", "set_up", 1e3, "WebSocket signaling to first echo"),
        ):
            rows.append(
                make_row(name + suffix, unit, column(calls, key, scale), f"{on}, {what}", column(raw[kind], key, scale))
            )
    print_table(rows)
    write_rows(rows, args.out)


if __name__ == "__main__":
    main()

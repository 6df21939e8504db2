"""`python -m benchmarks`: every figure beside its baseline, in alternating rounds of one run."""

from __future__ import annotations

import argparse
import asyncio
import statistics
from pathlib import Path

from benchmarks.calls import call_set_up, measure_calls
from benchmarks.children import child
from benchmarks.raw import measure_raw, raw_set_up
from benchmarks.report import Row, make_row, print_table, write_rows

__all__ = ["main"]


def _run(coroutine, loop_kind: str):  # type: ignore[no-untyped-def]
    """Run on a loop of that kind: the baseline gets the kind that our network thread uses."""
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
    try:
        import uvloop  # noqa: F401
    except ImportError:
        loop_kind = "asyncio"
    else:
        loop_kind = "uvloop"

    raw: list[dict[str, float]] = []
    calls: list[dict[str, float]] = []
    for _ in range(args.rounds):
        raw.append(_run(_raw_round(loop_kind, args), loop_kind))
        calls.append(_run(_call_round(args), "asyncio"))

    def column(rounds: list[dict[str, float]], key: str, scale: float = 1.0) -> list[float]:
        return [figures[key] * scale for figures in rounds]

    on = f"raw aiortc on {loop_kind}"
    rows: list[Row] = [
        make_row("call.sequential.p50", "ms", column(calls, "ping", 1e3), f"{on}, 64-byte ping-pong", column(raw, "ping", 1e3)),
        make_row("call.inflight100.rate", "1/s", column(calls, "rate"), f"{on}, 64-byte echoes, 100 in flight", column(raw, "rate")),
        make_row("setup.p50", "ms", column(calls, "set_up", 1e3), f"{on}, WebSocket signaling to first echo", column(raw, "set_up", 1e3)),
    ]
    print_table(rows)
    write_rows(rows, args.out)


if __name__ == "__main__":
    main()

"""Rows of the benchmark: medians over rounds, ratios to a baseline measured in the same run."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

__all__ = ["Row", "make_row", "print_table", "write_rows"]


@dataclass(frozen=True, slots=True)
class Row:
    """`value` in `unit`, the median of `rounds` rounds; `ratio` is to `baseline`, the median of the ratios of each round."""

    name: str
    unit: str
    value: float
    baseline: str
    ratio: float
    rounds: int


def make_row(name: str, unit: str, values: Sequence[float], baseline: str, baselines: Sequence[float]) -> Row:
    """A row from the figures of each round and of the baseline in the same round."""
    ratios = [value / base for value, base in zip(values, baselines, strict=True)]
    return Row(name, unit, statistics.median(values), baseline, statistics.median(ratios), len(values))


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """A list of objects, one a row."""
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")


def print_table(rows: Sequence[Row], notes: Sequence[str] = ()) -> None:
    """For people; `notes` below the table."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("aiortc", "uvloop", "msgpack"))
    table = Table(
        title=f"Python {platform.python_version()}, {packages}, {os.cpu_count()} CPUs", box=None, title_justify="left"
    )
    for column in ("row", "value", "unit", "ratio", "to"):
        table.add_column(column, justify="right" if column in ("value", "ratio") else "left")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.value:,.3g}" if row.value < 100 else f"{row.value:,.0f}",
            row.unit,
            f"{row.ratio:.2f}x",
            row.baseline,
        )
    console = Console(width=140)
    console.print(table)
    for note in notes:
        console.print(note, markup=False)

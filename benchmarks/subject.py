"""What a benchmark is: rounds of figures for each side, and the rows that come of them."""

from __future__ import annotations

import abc
import importlib.util
from collections.abc import Callable
from typing import ClassVar

from benchmarks.report import Row, make_row

__all__ = ["LOOP_KINDS", "Figures", "Subject"]

Figures = dict[str, float]

LOOP_KINDS = ("asyncio", "uvloop") if importlib.util.find_spec("uvloop") else ("asyncio",)
"""The loops that the baseline is measured on: aiortc as it comes, and on the faster one that rtcrpc brings along."""


class Subject(abc.ABC):
    """One thing to measure, on every side in turn, as often as there are rounds."""

    names: ClassVar[tuple[str, ...]]
    """The rows it makes, without what they are compared to."""
    most_rounds: ClassVar[int] = 100
    """Where one round takes long, fewer tell enough."""

    def __init__(self) -> None:
        self.rounds: dict[str, list[Figures]] = {}
        self.notes: list[str] = []

    def sides(self) -> dict[str, Callable[[], Figures]]:
        """What to run in each round: the name of a side, and what measures it."""
        return {name: getattr(self, name) for name in ("ours",)}

    def measure(self) -> None:
        """One round of every side."""
        for name, figures in self.sides().items():
            self.rounds.setdefault(name, []).append(figures())

    @abc.abstractmethod
    def rows(self) -> list[Row]:
        """What came out."""

    def column(self, side: str, key: str, scale: float = 1.0) -> list[float]:
        """One figure of one side in every round."""
        return [figures[key] * scale for figures in self.rounds[side]]

    def rows_to_raw(self, name: str, unit: str, key: str, what: str, scale: float = 1.0) -> list[Row]:
        """A row to raw aiortc on each kind of loop; those to another than aiortc's own say so in their name."""
        return [
            make_row(
                name if kind == "asyncio" else f"{name}.to_{kind}",
                unit,
                self.column("ours", key, scale),
                f"raw aiortc on {kind}, {what}",
                self.column(kind, key, scale),
            )
            for kind in LOOP_KINDS
        ]

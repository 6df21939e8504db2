"""`python -m benchmarks`: every figure beside its baseline, in alternating rounds of one run."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.beside import Beside
from benchmarks.bulk import Bulk
from benchmarks.calls import Calls
from benchmarks.hypha import Hypha
from benchmarks.memory import Memory
from benchmarks.report import print_table, write_rows
from benchmarks.streams import Streams
from benchmarks.subject import Subject

__all__ = ["main"]

SUBJECTS: tuple[type[Subject], ...] = (Calls, Bulk, Beside, Streams, Memory, Hypha)


def _chosen(only: str | None) -> list[Subject]:
    return [made() for made in SUBJECTS if only is None or any(name.startswith(only) for name in made.names)]


def _measure(subjects: list[Subject], rounds: int, seconds: float) -> None:
    """Rounds in turn, so that what the machine does meanwhile meets all alike; at least one, and none that is likely to end late."""
    started = time.monotonic()
    for number in range(rounds):
        round_started = time.monotonic()
        for subject in subjects:
            if number < subject.most_rounds:
                subject.measure()
        now = time.monotonic()
        if now - started + (now - round_started) > seconds:
            break


def main() -> None:
    """Measure, print the table, write latest.json."""
    names = ", ".join(dict.fromkeys(name for made in SUBJECTS for name in made.names))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, epilog=f"Rows: {names}.")
    parser.add_argument("--only", metavar="NAME", help="only what makes the rows whose names begin so")
    parser.add_argument("--rounds", type=int, default=5, help="of what is quick; what takes long has fewer")
    parser.add_argument("--seconds", type=float, default=480, help="no round is begun that would end later")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("latest.json"))
    args = parser.parse_args()
    subjects = _chosen(args.only)
    if not subjects:
        parser.error(f"--only: expected the beginning of a row's name, one of {names}; got {args.only}")
    _measure(subjects, args.rounds, args.seconds)
    rows = [
        row for subject in subjects for row in subject.rows() if args.only is None or row.name.startswith(args.only)
    ]
    print_table(rows, [note for subject in subjects for note in subject.notes])
    write_rows(rows, args.out)


if __name__ == "__main__":
    main()

"""Writes the files that a generator makes, or checks that they are what it makes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["ROOT", "run"]

ROOT = Path(__file__).resolve().parent.parent


def run(arguments: list[str], render: Callable[[], Mapping[str, str]], source: str) -> int:
    """Write what `render` gives (texts by their paths from the root), or, with `--check`, only compare; the exit code.

    `source`: what the files are made from, for the message that says they are stale.
    """
    check = arguments == ["--check"]
    if arguments and not check:
        print(f"expected no argument or --check, got {' '.join(arguments)}", file=sys.stderr)
        return 2
    stale = []
    for name, text in render().items():
        path = ROOT / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    if check and stale:
        print(f"not what {source} make: {', '.join(stale)}. Run `make generate`.", file=sys.stderr)
        return 1
    return 0

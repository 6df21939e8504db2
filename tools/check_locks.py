"""Checks the lock files: every package has a hash, and none names the place it was fetched from."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

__all__ = ["check_npm", "check_pip", "main"]

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = re.compile(r" *#(?!.*://).*|[a-z0-9-]+==[^\s:]+( ; [^:]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")


def main() -> int:
    """Print what is wrong; the exit code is the result."""
    faults = [
        *check_pip((ROOT / "requirements/dev.txt").read_text(encoding="utf-8")),
        *check_npm((ROOT / "js-client/package-lock.json").read_text(encoding="utf-8")),
    ]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def check_pip(text: str) -> list[str]:
    """The faults of a requirements file with hashes."""
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        if not ALLOWED.fullmatch(line):
            faults.append(f"requirements/dev.txt:{number}: expected a package, a hash or a comment, got {line!r}")
    for entry in re.split(r"\n(?=\S)", text):
        if not entry.startswith("#") and "--hash=sha256:" not in entry:
            faults.append(f"requirements/dev.txt: no hash: {entry.splitlines()[0]}")
    return faults


def check_npm(text: str) -> list[str]:
    """The faults of a lock file of npm."""
    faults = []
    for name, package in json.loads(text)["packages"].items():
        if "resolved" in package:
            faults.append(f"js-client/package-lock.json: {name} has an address (`resolved`): see js-client/.npmrc")
        if name and "integrity" not in package:
            faults.append(f"js-client/package-lock.json: {name} has no hash (`integrity`)")
    return faults


if __name__ == "__main__":
    sys.exit(main())

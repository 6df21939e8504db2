"""The command line: one file per command, put together in `rtcrpc.cli.app`."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """The entry point of the `rtcrpc` program."""
    from rtcrpc.cli.app import app

    app(prog_name="rtcrpc")

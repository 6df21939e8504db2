"""How commands speak: results on standard output, everything for people on standard error, errors with a way out."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from rtcrpc.cli.exits import Exit, exit_of
from rtcrpc.core.values import to_json
from rtcrpc.errors import RemoteError, RemoteMethodNotFound, RtcRpcError

__all__ = [
    "ProgressBar",
    "fail",
    "notes",
    "print_item",
    "print_json",
    "print_qr",
    "print_value",
    "qr_lines",
    "run",
    "warn",
]

notes = Console(stderr=True, highlight=False, soft_wrap=True)
"""For people."""


def print_json(value: Any) -> None:
    """One line of JSON on standard output; bytes, times and big integers in the protocol's JSON form (section 10)."""
    sys.stdout.write(json.dumps(to_json(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_value(value: Any) -> None:
    """A result for people: text and bytes as they are, the rest as indented JSON."""
    if isinstance(value, bytes):
        sys.stdout.buffer.write(value)
        sys.stdout.buffer.flush()
    elif isinstance(value, str):
        sys.stdout.write(value + "\n")
    else:
        sys.stdout.write(json.dumps(to_json(value), ensure_ascii=False, indent=2) + "\n")
    sys.stdout.flush()


def print_item(item: Any, *, as_json: bool) -> bool:
    """One item of a stream, on a line of its own (bytes as they are, without a line end); False where nobody reads on."""
    try:
        if as_json:
            print_json(item)
        elif isinstance(item, bytes):
            sys.stdout.buffer.write(item)
            sys.stdout.flush()
        else:
            sys.stdout.write((item if isinstance(item, str) else json.dumps(to_json(item), ensure_ascii=False)) + "\n")
            sys.stdout.flush()
    except BrokenPipeError:
        # `| head` has seen enough. What is left in the buffer must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


class ProgressBar:
    """How far a call has come, on standard error where that is a terminal. It appears with the first report, and goes at the end."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._shown: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._shown is not None:
            self._shown.stop()

    def show(self, done: int | float, total: int | float | None, message: str | None) -> None:
        """A report came."""
        if not notes.is_terminal:
            return
        if self._shown is None:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._shown = Progress(*columns, console=notes, transient=True)
            self._task = self._shown.add_task(self._title, total=total)
            self._shown.start()
        # What it says goes onto a terminal: no control characters.
        text = "".join(c if c.isprintable() else " " for c in message or self._title)
        self._shown.update(self._task, completed=done, total=total, description=text)


def warn(text: str) -> None:
    """A warning on standard error."""
    notes.print(f"[bold yellow]warning[/] {escape(text)}")


def qr_lines(text: str) -> list[str]:
    """`text` as a QR code: lines of block characters, two rows of it in each. The blocks are its light parts."""
    import segno

    rows = [list(row) for row in segno.make(text, error="l", micro=False).matrix_iter(border=4)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    return [
        "".join(_BLOCKS[top, bottom] for top, bottom in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]


_BLOCKS = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
# White on black whatever the terminal's theme: many phones read no inverted code.
_QR_COLOURS, _RESET = "\x1b[38;5;231;48;5;16m", "\x1b[0m"


def print_qr(text: str) -> None:
    """`text` as a QR code on standard error; where the terminal is too narrow, a word about that instead."""
    lines = qr_lines(text)
    if len(lines[0]) > notes.width:
        notes.print(f"[dim](no QR code: it needs {len(lines[0])} columns, the terminal has {notes.width})[/]")
        return
    start, end = (_QR_COLOURS, _RESET) if notes.color_system is not None else ("", "")
    sys.stderr.write("".join(f"{start}{line}{end}\n" for line in lines))
    sys.stderr.flush()


def fail(error: BaseException, as_json: bool) -> NoReturn:
    """Say what went wrong, and leave with the exit code for it."""
    code = exit_of(error)
    if code is Exit.INTERRUPTED:
        notes.print("[dim]stopped[/]")
    elif as_json:
        known = error if isinstance(error, RtcRpcError) else None
        print_json(
            {
                "error": {
                    "code": known and known.code,
                    "message": _words_of(error),
                    "data": known and known.data,
                    "kind": type(error).__name__,
                }
            }
        )
    else:
        who = "the peer answered: " if isinstance(error, RemoteError) else ""
        notes.print(f"[bold red]error[/] [dim]{who}[/]{escape(_words_of(error))}")
        issues = error.issues if isinstance(error, RemoteError) else ()
        # One issue is in the message already.
        for issue in issues if len(issues) > 1 else ():
            path = ".".join(str(part) for part in issue.get("path", ()))
            notes.print(
                f"  {escape(path)}: expected {escape(str(issue.get('expected')))}, got {escape(str(issue.get('got')))}"
            )
        if isinstance(error, RemoteMethodNotFound):
            notes.print("[dim]rtcrpc discover LINK lists what there is.[/]")
    raise typer.Exit(int(code))


def _words_of(error: BaseException) -> str:
    if isinstance(error, OSError) and not isinstance(error, RtcRpcError) and error.strerror:
        # Without the number in front, which says nothing to people.
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def run(coroutine: Coroutine[Any, Any, None], *, as_json: bool = False) -> None:
    """Run a command's coroutine; every expected error becomes a sentence and an exit code."""
    try:
        asyncio.run(coroutine)
    except (RtcRpcError, OSError, ValueError, KeyboardInterrupt) as error:
        fail(error, as_json)

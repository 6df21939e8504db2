"""Files on the command line: `@path` among the arguments, and those in a result, which `--output` says where to put."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.errors import LiveError
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from rtcrpc.cli.output import notes

if TYPE_CHECKING:
    from rtcrpc.files.file import File

__all__ = ["FileBars", "file_argument", "save_files"]

_SHOWN = 40


class FileBars:
    """How far files are, on standard error where that is a terminal: a bar for each, which goes at the end."""

    def __init__(self) -> None:
        self._shown: Progress | None = None
        self._hidden = False

    def __enter__(self) -> FileBars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hide()

    def hide(self) -> None:
        """Take the bars off the terminal, for good."""
        self._hidden = True
        if self._shown is not None:
            self._shown.stop()

    def bar(self, words: str, name: str, total: int) -> Callable[[int, int], None]:
        """A bar for one file: call it with bytes done and in all, from any thread."""
        if not notes.is_terminal or self._hidden:
            return _nowhere
        if self._shown is None:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
            )
            made = Progress(*columns, console=notes, transient=True)
            try:
                made.start()
            except LiveError:  # another display has the terminal
                return _nowhere
            self._shown = made
        shown = self._shown
        text = "".join(c if c.isprintable() else " " for c in name[:_SHOWN])
        task: TaskID = shown.add_task(f"{words} {text}", total=total)

        def show(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        return show


def _nowhere(done: int, total: int) -> None:
    """A bar that is not shown."""


def file_argument(text: str, bars: FileBars) -> Any:
    """The file that `@path` means; `@@text` is the text `@text`. Raises `OSError` where there is no such file."""
    from rtcrpc.files.file import File

    if text.startswith("@@"):
        return text[1:]
    path = Path(text[1:]).expanduser()
    show: Callable[[int, int], None] | None = None

    def progress(done: int, total: int) -> None:
        nonlocal show
        if show is None:  # the bar appears once it moves
            show = bars.bar("sending", path.name, total)
        show(done, total)

    return File(path, progress=progress)


async def save_files(value: Any, folder: Path | None, bars: FileBars, *, overwrite: bool) -> Any:
    """`value`, with the path of each file in the place of the file, which is saved in `folder`.

    Raises `ValueError` where there are files and no folder was named.
    """
    from rtcrpc.files.file import File

    if isinstance(value, File):
        if folder is None:
            raise ValueError(_where_to(value, value))
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        show = bars.bar("saving", value.safe_name, value.size)
        return str(await value.save(folder, overwrite=overwrite, progress=show))
    if folder is None:
        for file in _files_in(value):
            raise ValueError(_where_to(file, value))
    if type(value) is list:
        return [await save_files(item, folder, bars, overwrite=overwrite) for item in value]
    if type(value) is dict:
        return {key: await save_files(item, folder, bars, overwrite=overwrite) for key, item in value.items()}
    return value


def _files_in(value: Any) -> Iterator[File]:
    from rtcrpc.files.file import File

    if isinstance(value, File):
        yield value
    elif type(value) is list or type(value) is dict:
        for item in value.values() if type(value) is dict else value:
            yield from _files_in(item)


def _where_to(file: File, value: Any) -> str:
    kind = "is" if file is value else "holds"
    return f"the result {kind} a file, {file.safe_name!r} of {file.size} bytes: say where to put it, with --output DIR"

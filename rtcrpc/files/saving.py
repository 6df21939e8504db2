"""A file on its way to disk: written beside its place, and put there when it is whole.

Blocking: the callers have it run where that disturbs nobody.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import Any, Final

from rtcrpc.errors import TooLarge
from rtcrpc.files.content import CHUNK, Check
from rtcrpc.files.names import safe_name

if sys.platform != "win32":
    import fcntl

__all__ = ["Saving", "place_of", "refuse_size"]

_FLAGS: Final = (
    os.O_RDWR
    | os.O_CREAT
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    # What stands in the place of a part may be a link to anything.
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


def place_of(to: str | os.PathLike[str], name: str) -> Path:
    """Where a file that the other side calls `name` goes: into the folder `to`, or, where that is none, to the path `to` itself."""
    path = Path(to)
    ends_open = os.fspath(to).endswith(("/", os.sep))
    if path.is_dir():
        return path / safe_name(name)
    if ends_open:
        raise NotADirectoryError(f"expected a folder that is there, got {os.fspath(to)!r}; make it first")
    return path


def refuse_size(name: str, size: int, limit: int | None) -> None:
    """Raises `TooLarge` for a file of more than `limit` bytes."""
    if limit is not None and size > limit:
        raise TooLarge(f"the file {name[:80]!r} has {size} bytes; at most {limit} were to be taken")


class Saving:
    """One file being saved at `target`, which must not be there unless `overwrite`.

    `keep`: where it comes to nothing, what has come stays in `<target>.part`, for another to go on from there; without it that
    has a name of its own, and nothing stays.
    """

    def __init__(self, target: Path, *, overwrite: bool, keep: bool) -> None:
        self._target = target
        self._overwrite = overwrite
        self._keep = keep
        suffix = ".part" if keep else f".{secrets.token_hex(4)}.part"
        self._part = target.with_name(target.name + suffix)
        self._file = -1

    @staticmethod
    def begun(target: Path) -> int:
        """How many bytes an earlier attempt left of `target`; 0 where there was none."""
        try:
            found = target.with_name(target.name + ".part").lstat()
        except OSError:
            return 0
        return found.st_size if stat.S_ISREG(found.st_mode) else 0

    def open(self, name: str, size: int, offset: int) -> Check:
        """Begin; `offset`: where the content begins that is about to come. What it holds is read again, for the checksum.

        Raises `OSError`: `FileExistsError` where something is at the target, or another saves it now.
        """
        if not self._overwrite and os.path.lexists(self._target):
            raise self._exists()
        self._file = self._open()
        try:
            digest = hashlib.sha256()
            left = offset
            while left and (chunk := os.read(self._file, min(16 * CHUNK, left))):
                digest.update(chunk)
                left -= len(chunk)
            if left:
                raise ValueError(
                    f"the content begins at byte {offset}, and the first {offset - left} are here; ask for it from there"
                )
            os.ftruncate(self._file, offset)
            os.lseek(self._file, offset, os.SEEK_SET)
        except BaseException:
            self.abandon()
            raise
        return Check(name, size, offset, digest)

    def _open(self) -> int:
        while True:
            file = os.open(self._part, _FLAGS if self._keep else _FLAGS | os.O_EXCL, 0o666)
            try:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise FileExistsError(f"{self._part} is no plain file; move it away")
                if sys.platform != "win32":
                    self._lock(file)
                    # Whoever had it until now may have put it in its place: then it is not ours to write into.
                    if not _is_at(file, self._part):
                        os.close(file)
                        continue
            except BaseException:
                os.close(file)
                raise
            return file

    if sys.platform != "win32":

        def _lock(self, file: int) -> None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FileExistsError(
                    f"{self._part} is being written already; wait for that, or save elsewhere"
                ) from None

    def write(self, chunks: list[bytes]) -> None:
        """Add to it."""
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[os.write(self._file, view) :]

    def finish(self) -> Path:
        """It is whole: put it in its place, and say where that is. Raises `FileExistsError` where something came there meanwhile."""
        try:
            os.fsync(self._file)
            if sys.platform == "win32":
                self._close()
            if self._overwrite:
                os.replace(self._part, self._target)
            else:
                self._put()
        except BaseException:
            self.abandon()
            raise
        self._close()
        return self._target

    def _put(self) -> None:
        try:
            # Unlike a rename, it fails where something is there, whenever that came.
            os.link(self._part, self._target)
        except FileExistsError:
            raise self._exists() from None
        except OSError:  # a file system without links
            if os.path.lexists(self._target):
                raise self._exists() from None
            os.rename(self._part, self._target)
        else:
            os.unlink(self._part)

    def abandon(self, *, damaged: bool = False) -> None:
        """It comes to nothing; `damaged`: nor is what came worth keeping."""
        if self._file >= 0:
            if damaged or not self._keep:
                with contextlib.suppress(OSError):
                    if sys.platform == "win32":
                        self._close()
                    os.unlink(self._part)
            self._close()

    def _close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _exists(self) -> FileExistsError:
        return FileExistsError(f"{self._target} is there already; pass overwrite=True to replace it, or save elsewhere")


def _is_at(file: int, path: Path) -> bool:
    try:
        there: Any = path.lstat()
    except OSError:
        return False
    return os.path.samestat(os.fstat(file), there)

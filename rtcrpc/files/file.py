"""A file, as programs give it and take it: `rtcrpc.File`, and `rtcrpc.sync.File` for code without a loop."""

from __future__ import annotations

import asyncio
import datetime
import mimetypes
import os
import stat
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeAlias, TypeVar

from pydantic import GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from rtcrpc import limits
from rtcrpc.errors import FileDamaged
from rtcrpc.files.content import Check, OnBytes, items_of_bytes, items_of_path, items_of_source
from rtcrpc.files.names import safe_name
from rtcrpc.files.saving import Saving, place_of, refuse_size
from rtcrpc.stream.reader import Stream
from rtcrpc.stream.writer import Sendable

__all__ = ["File", "PathLike", "SyncFile", "put_files_in_place"]

PathLike: TypeAlias = str | os.PathLike[str]
Source: TypeAlias = PathLike | bytes | AsyncIterable[bytes]

T = TypeVar("T")

_AT_ONCE = 1_048_576  # bytes that are hashed and written in one go, away from the loop
_UNKNOWN = "application/octet-stream"


_Items: TypeAlias = Iterator[Any] | AsyncIterator[Any]


class _Content:
    """Where the items of a file come from; `once`: they can be had once only."""

    __slots__ = ("_begun", "_make", "_once", "_stream")

    def __init__(self, make: Callable[[], _Items], once: bool, stream: Stream[Any] | None = None) -> None:
        self._make = make
        self._once = once
        self._stream = stream
        self._begun = False

    def items(self, of: object) -> _Items:
        if self._begun and self._once:
            raise RuntimeError(f"{of!r} was read, or sent, before: its content comes once")
        self._begun = True
        return self._make()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


class _AnyFile(Sendable):
    """What both kinds of files are: a description, and a content that is read once where it comes from the other side."""

    name: str
    """What the sender calls it: any text. `safe_name` is what it may be called on a disk."""
    size: int
    """Bytes of the whole file."""
    type: str
    """Its media type, such as `image/png`; nobody has checked that."""
    modified: datetime.datetime | None
    """When it was last changed, where that was told."""
    offset: int
    """Where the content begins: above 0 where the rest of a file was asked for."""

    def __init__(
        self,
        source: Source,
        *,
        name: str | None = None,
        size: int | None = None,
        type: str | None = None,
        modified: datetime.datetime | None = None,
        offset: int = 0,
        progress: OnBytes | None = None,
    ) -> None:
        """A file to send: the one at a path, bytes, or an async iterable of bytes of which `name` and `size` are told.

        `type`: guessed from the name where it is not given. `offset`: send what follows this byte only (a path or bytes). `progress`:
        called as `(done, total)` on whichever thread reads the source. A file at a path is opened when it is sent, and may be sent often.
        Raises `OSError` where there is no such file, `ValueError` or `TypeError` for what makes no file.
        """
        once = False
        make: Callable[[], _Items]
        if isinstance(source, (bytes, bytearray, memoryview)):
            data = bytes(source)
            found, make = len(data), lambda: items_of_bytes(data, offset, progress)
        elif isinstance(source, (str, os.PathLike)):
            path = os.path.abspath(os.fspath(source))
            about = os.stat(path)
            if not stat.S_ISREG(about.st_mode):
                raise ValueError(
                    f"{path}: expected a plain file; send the files of a folder one by one, or an archive of it"
                )
            found = about.st_size
            name = name or os.path.basename(path)
            if modified is None:
                modified = datetime.datetime.fromtimestamp(about.st_mtime, datetime.UTC)
            make = lambda: items_of_path(path, found, offset, progress)  # noqa: E731
        elif isinstance(source, AsyncIterable):
            if size is None or offset:
                raise ValueError("a file from an async iterable: expected its size in bytes, and no offset")
            asynchronous, found, once = source, size, True
            make = lambda: items_of_source(asynchronous, name or "", found, progress)  # noqa: E731
        else:
            raise TypeError(f"expected a path, bytes or an async iterable of bytes, got {source.__class__.__name__}")
        if not name:
            raise ValueError("expected a name for the file: File(data, name='notes.txt')")
        if size not in (None, found):
            raise ValueError(f"{name}: expected a size of {found}, as it is, got {size}")
        if not 0 <= offset <= found:
            raise ValueError(f"{name}: expected an offset from 0 to {found}, its size; got {offset}")
        self.name, self.size, self.modified, self.offset = name, found, modified, offset
        self.type = type if type is not None else mimetypes.guess_type(name)[0] or _UNKNOWN
        self._content = _Content(make, once)

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} {self.name[:80]!r}, {self.size} bytes>"

    @property
    def safe_name(self) -> str:
        """The name without what would lead out of a folder, hide, or mean a device; never empty."""
        return safe_name(self.name)

    def as_map(self) -> dict[str, Any]:
        """What travels (protocol section 10.1)."""
        told: dict[str, Any] = {"name": self.name, "size": self.size, "type": self.type}
        if self.modified is not None:
            told["modified"] = self.modified if self.modified.tzinfo is not None else self.modified.astimezone()
        if self.offset:
            told["offset"] = self.offset
        told["content"] = self._items()
        return told

    def close(self) -> None:
        """Read no more of a file that comes from the other side, which is told. From any thread."""
        self._content.close()

    def _items(self) -> _Items:
        return self._content.items(self)

    def _check(self) -> Check:
        return Check(self.name, self.size, self.offset)

    def _alike(self, kind: Any) -> Any:
        """The same file as one of the other kind. They share the content, which is read once."""
        made = kind.__new__(kind)
        made.__dict__.update(self.__dict__)
        return made

    @classmethod
    def received(cls, told: dict[str, Any]) -> Self:
        """The file that came as a map, which `_is_file` has looked at."""
        made = cls.__new__(cls)
        made.name, made.size, made.type = told["name"], told["size"], told["type"]
        made.modified, made.offset = told.get("modified"), told.get("offset", 0)
        stream: Stream[Any] = told["content"]
        made._content = _Content(lambda: stream, True, stream)
        return made

    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, _AnyFile):
            raise PydanticCustomError("wire_type", "Input should be {expected}", {"expected": "a file"})
        return value if isinstance(value, cls) else value._alike(cls)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        anything = core_schema.any_schema()
        return core_schema.no_info_plain_validator_function(
            cls._read,
            json_schema_input_schema=anything,
            serialization=core_schema.plain_serializer_function_ser_schema(_as_it_is, return_schema=anything),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "object", "x-file": True, **handler(schema)}


class File(_AnyFile):
    """A file: an argument or a result of a call, with its name, size and type, its content streamed and checked.

    `rtcrpc.File("photo.jpg")`, `rtcrpc.File(data, name="notes.txt")`, or an async iterable of bytes with `name` and `size`.
    What comes from the other side is read once: `await file.save(folder)`, `await file.read()`, or `async for chunk in file`.
    All three raise `FileDamaged` where what came is not, in size and SHA-256, what was sent, and what broke the stream where
    something did. `async with file:` lets go of it early. `file.sync` is for functions without a loop.
    """

    @property
    def sync(self) -> SyncFile:
        """The same file for code without a loop."""
        made: SyncFile = self._alike(SyncFile)
        return made

    async def __aenter__(self) -> File:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    async def aclose(self) -> None:
        """As `close`."""
        self.close()

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The content in chunks. Nothing has been checked before the loop has come to its end."""
        return self._chunks(self._check())

    async def _chunks(self, check: Check) -> AsyncIterator[bytes]:
        try:
            async for item in _iterate(self._items()):
                if chunk := check.take(item):
                    yield chunk
            check.end()
        finally:
            self.close()

    async def read(self, limit: int = limits.MAX_MESSAGE) -> bytes:
        """All of it. Raises `TooLarge` where it is longer than `limit` bytes."""
        refuse_size(self.name, self.size, limit)
        return b"".join([chunk async for chunk in self])

    async def save(
        self, to: PathLike, *, overwrite: bool = False, progress: OnBytes | None = None, limit: int | None = None
    ) -> Path:
        """Save it, into the folder `to` under its `safe_name`, or at the path `to`; returns where it is.

        It is there when it is whole, and nothing is left where it does not come to that. `progress(done, total)`: bytes. Raises
        `FileExistsError` where something is there already, unless `overwrite`; `TooLarge` where it is longer than `limit` bytes; other
        `OSError`s of the disk.
        """
        return await self.save_at(place_of(to, self.name), overwrite=overwrite, progress=progress, limit=limit)

    async def save_at(
        self, target: Path, *, overwrite: bool, progress: OnBytes | None, limit: int | None, keep: bool = False
    ) -> Path:
        """As `save`; `keep`: what came of a broken one stays for the next attempt (see `rtcrpc.download`)."""
        saving = Saving(target, overwrite=overwrite, keep=keep)
        damaged = False
        try:
            refuse_size(self.name, self.size, limit)
            check = await _aside(saving.open, self.name, self.size, self.offset)
            items = self._items()
            async for batch in _batches(items):
                await _aside(_take, saving, check, batch)
                if progress is not None:
                    progress(check.done, check.size)
            check.end()
            return await _aside(saving.finish)
        except BaseException as error:
            damaged = isinstance(error, FileDamaged)
            raise
        finally:
            saving.abandon(damaged=damaged)  # does nothing once it is finished
            self.close()


class SyncFile(_AnyFile):
    """A `File` for functions written with `def`, and for `rtcrpc.sync`: its methods wait. Made, and annotated, as `File` is."""

    _wait: Callable[[Any], Iterator[Any]] = staticmethod(iter)

    def __enter__(self) -> SyncFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        """The content in chunks. Nothing has been checked before the loop has come to its end."""
        check = self._check()
        try:
            for item in self._waiting():
                if chunk := check.take(item):
                    yield chunk
            check.end()
        finally:
            self.close()

    def read(self, limit: int = limits.MAX_MESSAGE) -> bytes:
        """As `File.read`."""
        refuse_size(self.name, self.size, limit)
        return b"".join(self)

    def save(
        self, to: PathLike, *, overwrite: bool = False, progress: OnBytes | None = None, limit: int | None = None
    ) -> Path:
        """As `File.save`."""
        saving = Saving(place_of(to, self.name), overwrite=overwrite, keep=False)
        try:
            refuse_size(self.name, self.size, limit)
            check = saving.open(self.name, self.size, self.offset)
            for item in self._waiting():
                _take(saving, check, [item])
                if progress is not None:
                    progress(check.done, check.size)
            check.end()
            return saving.finish()
        finally:
            saving.abandon()
            self.close()

    def waits_with(self, wait: Callable[[Any], Iterator[Any]]) -> SyncFile:
        """Have `wait` make the iterator that waits for the items of its stream. For `rtcrpc.sync`."""
        self.__dict__["_wait"] = wait
        return self

    def _waiting(self) -> Iterator[Any]:
        items = self._items()
        if isinstance(items, Stream):
            return self._wait(items)
        if isinstance(items, Iterator):
            return items
        raise TypeError(f"{self!r} is made of an async iterable: read it with File, on a loop")


def put_files_in_place(value: Any) -> Any:
    """`value`, which came from the other side with its streams in place, its lists and maps changed as they are: files are `File`s."""
    if type(value) is dict:
        for key, item in value.items():
            if type(item) is dict or type(item) is list:
                value[key] = put_files_in_place(item)
        return File.received(value) if _is_file(value) else value
    if type(value) is list:
        for index, item in enumerate(value):
            if type(item) is dict or type(item) is list:
                value[index] = put_files_in_place(item)
    return value


def _is_file(value: dict[str, Any]) -> bool:
    if not isinstance(value.get("content"), Stream) or not value.keys() <= _MEMBERS:
        return False
    size, offset, modified = value.get("size"), value.get("offset", 0), value.get("modified")
    return (
        isinstance(value.get("name"), str)
        and isinstance(value.get("type"), str)
        and (modified is None or isinstance(modified, datetime.datetime))
        and type(size) is int
        and type(offset) is int
        and 0 <= offset <= size
    )


_MEMBERS = frozenset({"name", "size", "type", "modified", "offset", "content"})


def _as_it_is(value: Any) -> Any:
    return value


def _take(saving: Saving, check: Check, items: list[Any]) -> None:
    saving.write([check.take(item) for item in items])


async def _iterate(items: _Items) -> AsyncIterator[Any]:
    if isinstance(items, AsyncIterator):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def _batches(items: _Items) -> AsyncIterator[list[Any]]:
    """What is there of the items, up to about `_AT_ONCE` bytes at a time."""
    batch: list[Any] = []
    size = 0
    async for item in _iterate(items):
        batch.append(item)
        size += len(item) if isinstance(item, bytes) else 0
        if size >= _AT_ONCE or not isinstance(items, Stream) or not items.ready:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _aside(fn: Callable[..., T], *args: Any) -> T:
    """`fn(*args)` on another thread; where we are cancelled meanwhile, it is waited for still, as it uses what we are about to close."""
    work = asyncio.ensure_future(asyncio.to_thread(fn, *args))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise

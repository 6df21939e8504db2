"""A file's content as the items of a stream: chunks of bytes, then a map with the checksum of the whole (protocol section 10.1)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from typing import Any, Final, TypeAlias

from rtcrpc import codes
from rtcrpc.errors import Error, FileDamaged

__all__ = ["CHUNK", "Check", "OnBytes", "items_of_bytes", "items_of_path", "items_of_source"]

CHUNK: Final = 65_536
"""Bytes of an item that we send, at most."""

OnBytes: TypeAlias = Callable[[int, int], object]
"""Called with how many bytes are through, and how many there are."""


class Check:
    """What came of a file, held against what its sender said.

    `digest`: of the bytes before `offset`; without it, the checksum of a content that begins later can't be compared, only its size.
    """

    __slots__ = ("_digest", "_name", "_told", "done", "size")

    def __init__(self, name: str, size: int, offset: int = 0, digest: Any = None) -> None:
        self.size = size
        self.done = offset
        """How many bytes of the file are there."""
        self._name = name
        self._digest: Any = digest if offset else hashlib.sha256()
        self._told: bytes | None = None

    def take(self, item: Any) -> bytes:
        """The bytes in an item; none in the last, which holds the checksum. Raises `FileDamaged`."""
        if self._told is not None:
            raise self._damaged("something came behind its checksum")
        if isinstance(item, bytes):
            self.done += len(item)
            if self.done > self.size:
                raise self._damaged(f"more came than the {self.size} bytes that were announced")
            if self._digest is not None:
                self._digest.update(item)
            return item
        told = item.get("sha256") if isinstance(item, dict) else None
        if not isinstance(told, bytes) or len(told) != 32:
            raise self._damaged("expected bytes, or the checksum at the end")
        self._told = told
        return b""

    def end(self) -> None:
        """There is no more. Raises `FileDamaged` where that is not all, or not what was sent."""
        if self.done != self.size:
            raise self._damaged(f"{self.done} bytes came of the {self.size} that were announced")
        if self._told is None:
            raise self._damaged("it ended without its checksum")
        if self._digest is not None and self._digest.digest() != self._told:
            raise self._damaged("its SHA-256 is not the one that its sender computed")

    def _damaged(self, reason: str) -> FileDamaged:
        return FileDamaged(f"the file {self._name[:80]!r} did not come whole: {reason}; ask for it again")


def items_of_path(path: str, size: int, offset: int, progress: OnBytes | None = None) -> Iterator[Any]:
    """The content of the file at `path` from `offset` on. It must still be `size` bytes long, or the stream breaks."""
    digest = hashlib.sha256()
    with open(path, "rb") as source:
        done = 0
        while done < offset and (chunk := source.read(min(16 * CHUNK, offset - done))):
            digest.update(chunk)
            done += len(chunk)
        while done < size and (chunk := source.read(min(CHUNK, size - done))):
            digest.update(chunk)
            yield chunk
            done += len(chunk)
            if progress is not None:
                progress(done, size)
        if done != size or os.fstat(source.fileno()).st_size != size:
            raise Error("the file changed while it was sent", code=codes.STREAM_BROKEN)
    yield {"sha256": digest.digest()}


def items_of_bytes(data: bytes, offset: int, progress: OnBytes | None = None) -> Iterator[Any]:
    """`data` from `offset` on."""
    for start in range(offset, len(data), CHUNK):
        chunk = data[start : start + CHUNK]
        yield chunk
        if progress is not None:
            progress(start + len(chunk), len(data))
    yield {"sha256": hashlib.sha256(data).digest()}


async def items_of_source(
    source: AsyncIterable[Any], name: str, size: int, progress: OnBytes | None = None
) -> AsyncIterator[Any]:
    """What an async iterable of bytes gives, in chunks that are not too long. It must be `size` bytes, or the stream breaks."""
    digest = hashlib.sha256()
    done = 0
    async for piece in source:
        data = bytes(memoryview(piece))
        done += len(data)
        if done > size:
            break
        digest.update(data)
        for start in range(0, len(data), CHUNK):
            yield data[start : start + CHUNK]
        if progress is not None:
            progress(done, size)
    if done != size:
        words = f"more than {size}" if done > size else f"{done} of {size}"
        raise Error(f"the source of the file {name!r} gave {words} bytes", code=codes.STREAM_BROKEN)
    yield {"sha256": digest.digest()}

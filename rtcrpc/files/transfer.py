"""Whole transfers in one line: a file to a function, a file from a function, and one that goes on where a lost connection left it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from rtcrpc.errors import (
    ConnectionLost,
    FileDamaged,
    RemoteInvalidParams,
    RemoteStreamBroken,
    SignalingError,
    Unavailable,
)
from rtcrpc.files.content import OnBytes
from rtcrpc.files.file import File, PathLike
from rtcrpc.files.saving import Saving, place_of

__all__ = ["download", "receive_file", "send_file"]

_LONGEST_PAUSE = 10.0  # seconds between two attempts


async def send_file(
    method: Callable[..., Awaitable[Any]], path: PathLike, *args: Any, progress: OnBytes | None = None
) -> Any:
    """Call `method` with the file at `path` as its first argument: `await send_file(robot.call.upload, "photo.jpg")`.

    `progress(done, total)`: bytes that were handed on, told on this loop. Returns what the function does, and raises what the call does.
    """
    told = None
    if progress is not None:
        loop = asyncio.get_running_loop()

        def told(done: int, total: int) -> None:
            loop.call_soon_threadsafe(progress, done, total)

    return await method(File(path, progress=told), *args)


async def receive_file(
    method: Callable[..., Awaitable[Any]],
    *args: Any,
    to: PathLike,
    overwrite: bool = False,
    progress: OnBytes | None = None,
    limit: int | None = None,
    **named: Any,
) -> Path:
    """Call `method`, whose result is a file, and save that: `await receive_file(robot.call.photo, 3, to="photos")`. See `File.save`."""
    file = await _file(method, args, named)
    return await file.save(to, overwrite=overwrite, progress=progress, limit=limit)


async def download(
    method: Callable[..., Awaitable[Any]],
    *args: Any,
    to: PathLike,
    overwrite: bool = False,
    progress: OnBytes | None = None,
    limit: int | None = None,
    attempts: int = 5,
    **named: Any,
) -> Path:
    """As `receive_file`, and where the connection goes on the way, go on where it stopped, now or when it is called again.

    What has come stays in `<name>.part`. To go on, the function is called again with one argument more, behind the others or as `offset=`,
    and should return `File(path, offset=offset)`; where it takes no such argument the file comes anew. The checksum is that of the whole
    file: one that changed meanwhile is found out, and comes anew too. After `attempts` calls in all it raises what ended the last.
    """
    target: Path | None = None
    takes_offset = True
    for attempt in range(1, attempts + 1):
        offset = await _begun(target) if takes_offset else 0
        try:
            file = await _file(method, args, named, offset)
            target = place_of(to, file.name)
            if takes_offset and not offset and 0 < (offset := await _begun(target)) <= file.size:
                file.close()
                file = await _file(method, args, named, offset)
            return await file.save_at(target, overwrite=overwrite, progress=progress, limit=limit, keep=True)
        except RemoteInvalidParams:
            if not offset:
                raise
            takes_offset = False
        except FileDamaged:
            # What was here may have been the damage. It is gone now.
            if not offset or attempt == attempts:
                raise
        except (ConnectionLost, RemoteStreamBroken, SignalingError, Unavailable):
            if attempt == attempts:
                raise
            await asyncio.sleep(min(0.25 * 2**attempt, _LONGEST_PAUSE))
    raise ValueError(f"attempts: expected a number above 0, got {attempts}")


async def _begun(target: Path | None) -> int:
    return 0 if target is None else await asyncio.to_thread(Saving.begun, target)


async def _file(
    method: Callable[..., Awaitable[Any]], args: tuple[Any, ...], named: dict[str, Any], offset: int = 0
) -> File:
    if offset and args:
        args = (*args, offset)
    elif offset:
        named = {**named, "offset": offset}
    result = await method(*args, **named)
    if not isinstance(result, File):
        raise TypeError(f"{method!r}: expected a file, got a result of type {type(result).__name__}")
    return result

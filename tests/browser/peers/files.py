"""The peer that takes and gives files in tests."""

from __future__ import annotations

import hashlib
from typing import Any

from rtcrpc import Context, File, Registry

registry = Registry()
kept: dict[str, bytes] = {}


@registry.expose
async def keep(file: File, note: str = "") -> dict[str, str | int]:
    """Keep a file, and say what came."""
    data = await file.read()
    kept[file.name] = data
    return {
        "name": file.name,
        "type": file.type,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "note": note,
    }


@registry.expose
async def give(name: str) -> File:
    """Give a file back."""
    return File(kept[name], name=f"../../{name}", type="text/html")


@registry.expose
async def both(context: Context, name: str) -> dict[str, Any]:
    """Give it twice."""
    return {"files": [File(kept[name], name=name), File(kept[name], name=f"2 {name}")]}


@registry.expose
async def broken() -> dict[str, Any]:
    """Give a file that is not what it says."""

    async def content() -> Any:
        yield b"abc"
        yield {"sha256": bytes(32)}

    return {"name": "broken.txt", "size": 3, "type": "", "content": content()}

"""A link that keeps what a dispatcher answers."""

from __future__ import annotations

import asyncio
from typing import Any

from rtcrpc.service.context import Caller

__all__ = ["AnswerKeeper"]


class AnswerKeeper:
    """A caller in room `lab`. `answers`: `(id, result)`, or `(id, code, message, data)` of an error."""

    caller = Caller("p" * 43, "stranger", "anonymous", "lab")

    def __init__(self) -> None:
        self.answers: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def respond(self, request_id: Any, result: Any) -> None:
        self._loop.call_soon_threadsafe(self.answers.put_nowait, (request_id, result))

    def respond_error(self, request_id: Any, code: int, message: str, data: dict[str, Any] | None) -> None:
        self._loop.call_soon_threadsafe(self.answers.put_nowait, (request_id, code, message, data))

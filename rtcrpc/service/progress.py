"""What a function says about how far it has come, on its way to the caller: the latest, and not too often (protocol section 7.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from rtcrpc import limits

__all__ = ["Progress", "Report"]

Report: TypeAlias = tuple[int | float, int | float | None, str | None]
"""`done`, `total`, `message`."""

INTERVAL = limits.PROGRESS_MILLIS / 1000


class _Posts(Protocol):
    def post(self, fn: Callable[..., object], *args: Any) -> bool: ...


class Progress:
    """The reports of one call. `say` may be called on any thread, the rest belongs to the network thread, `network` leads there."""

    __slots__ = ("_closed", "_latest", "_loop", "_network", "_send", "_sent_at", "_timer", "_told")

    def __init__(self, loop: asyncio.AbstractEventLoop, network: _Posts, send: Callable[[Report], object]) -> None:
        self._loop = loop
        self._network = network
        self._send = send
        self._latest: Report | None = None
        self._told = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._sent_at = -INTERVAL

    def say(self, report: Report) -> None:
        """Report; what was reported and not sent yet is out of date."""
        if self._closed:
            return
        self._latest = report
        # In this order, as in a mailbox: `_flush` clears the mark before it takes the report.
        if not self._told:
            self._told = True
            self._network.post(self._arrived)

    def _arrived(self) -> None:
        if self._closed:
            return
        wait = self._sent_at + INTERVAL - self._loop.time()
        if wait <= 0:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(wait, self.flush)

    def flush(self) -> None:
        """Send what was reported and not sent yet; before the answer, and when it is time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._told = False
        latest, self._latest = self._latest, None
        if latest is not None:
            self._sent_at = self._loop.time()
            self._send(latest)

    def close(self) -> None:
        """Nobody listens any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._closed = True

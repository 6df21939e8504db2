"""Says which function blocks the user's loop, or holds all threads of the pool.

It runs on the network thread, which no function can block, and only while calls are being served.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import sys
import threading
from collections.abc import Callable, Set
from types import FrameType
from typing import Any, Protocol

from rtcrpc.service.call import Call

__all__ = ["Watchdog"]

logger = logging.getLogger("rtcrpc.watchdog")


class _Posts(Protocol):
    def post(self, fn: Callable[..., object], *args: Any) -> bool: ...


class Watchdog:
    """Warns once for each blockage that lasts longer than `threshold` seconds, and once more when it is over.

    `calls`: those being served, read on the network thread. While there are any, the user's loop is asked for
    a sign of life a few times in each `threshold`; when there are none, nothing happens at all. A function in
    C that keeps Python's global lock also stops the watchdog: it speaks up afterwards.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        to_user: _Posts,
        calls: Set[Call],
        threshold: float,
        clock: Callable[[], float],
    ) -> None:
        self.armed = False
        self._loop = loop
        self._to_user = to_user
        self._calls = calls
        self._threshold = threshold
        self._interval = threshold / 4
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._asked_at: float | None = None
        self._turned_at = 0.0
        self._thread: int | None = None
        self._blocker = ""
        self._blocked_at = 0.0
        self._saturated_since: float | None = None

    def arm(self) -> None:
        """Watch until no call is left (called when the first one is handed over, before it is)."""
        self.armed = True
        if self._loop_calls():
            self._ask()
        self._timer = self._loop.call_later(self._interval, self._check)

    def close(self) -> None:
        """Watch no more."""
        self.armed = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _loop_calls(self) -> list[Call]:
        return [call for call in self._calls if call.method.kind == "async"]

    def _ask(self) -> bool:
        self._asked_at = self._clock()
        return self._to_user.post(self._turn)

    def _turn(self) -> None:
        """The sign of life, on the user's loop. One thread writes these, another reads."""
        self._thread = threading.get_ident()
        self._turned_at = self._clock()
        self._asked_at = None

    def _check(self) -> None:
        now = self._clock()
        asked_at = self._asked_at
        if asked_at is None:
            if self._blocker:
                self._released()
            if self._loop_calls():
                self._ask()
        elif not self._to_user.post(_nothing):
            # The loop was closed with calls on it: it will not turn again, and nobody needs to hear of it.
            self._timer = None
            return
        elif not self._blocker and now - asked_at >= self._threshold and (calls := self._loop_calls()):
            self._blocked(calls, asked_at)
        self._check_pool(now)
        if self._calls or self._blocker or self._saturated_since is not None:
            self._timer = self._loop.call_later(self._interval, self._check)
        else:
            self.armed = False
            self._timer = None

    # -- the user's loop ---------------------------------------------------------------------------------

    def _blocked(self, calls: list[Call], since: float) -> None:
        self._blocker, place = self._find_blocker(calls)
        self._blocked_at = since
        logger.warning(
            "%s has blocked the loop it runs on for %.1f s (now at %s); nothing else on that loop can run. "
            "Write it with def, so that it runs on a thread of its own, or await what it waits for "
            "(asyncio.to_thread for calls that block)",
            self._blocker,
            self._clock() - since,
            place,
        )

    def _released(self) -> None:
        seconds = self._turned_at - self._blocked_at
        logger.warning("the loop runs again: %s had blocked it for %.1f s", self._blocker, seconds)
        self._blocker = ""

    def _find_blocker(self, calls: list[Call]) -> tuple[str, str]:
        """The exposed function that is in a stack, and the line where that stack ends."""
        names = {call.method.code: call.method.name for call in calls}
        frames = sys._current_frames()
        for top in frames.values():
            step: FrameType | None = top
            while step is not None:
                if (name := names.get(step.f_code)) is not None:
                    return name, _place(top)
                step = step.f_back
        top_of_loop = frames.get(self._thread) if self._thread is not None else None
        if top_of_loop is None:
            return "something that is no exposed function", "an unknown place"
        # Not a function of ours: the program's own code on the same loop.
        return f"{top_of_loop.f_code.co_qualname} (no exposed function)", _place(top_of_loop)

    # -- the pool ----------------------------------------------------------------------------------------

    def _check_pool(self, now: float) -> None:
        waiting = [c for c in self._calls if c.method.kind == "sync" and not c.claimed]
        since = min((call.handed_at for call in waiting), default=now)
        if now - since >= self._threshold:
            if self._saturated_since is None:
                self._saturated_since = since
                running = collections.Counter(c.method.name for c in self._calls if c.method.kind == "sync" and c.ran)
                holders = ", ".join(f"{name} ({count})" for name, count in running.most_common(5))
                logger.warning(
                    "%d calls have waited for a thread of the pool, the first for %.1f s; its threads are "
                    "held by %s. Give the peer a "
                    "bigger pool, or make these functions async",
                    len(waiting),
                    now - since,
                    holders or "other work",
                )
        elif self._saturated_since is not None:
            logger.warning("the pool has threads again; calls had waited for %.1f s", now - self._saturated_since)
            self._saturated_since = None


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _nothing() -> None:
    """Posted to see whether a loop is still there."""

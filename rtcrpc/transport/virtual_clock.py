"""An asyncio loop on which no time passes but the time that timers ask for.

Where a real loop would wait for its next timer, this one moves its clock there. A test that takes hours
by its clock takes milliseconds, gives the same result each time, and one that waits for what can never
happen is told so at once (`Deadlock`) instead of hanging.

There is no network and no other thread here: code under test runs on the loop alone, over
`rtcrpc.transport.memory`. `run_in_executor` calls the function on the spot.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

__all__ = ["Deadlock", "VirtualClockLoop", "run"]

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

MAX_VIRTUAL_SECONDS: Final = 7 * 24 * 3600.0
"""How far `run` lets the clock go, in seconds: heartbeats would keep a test that hangs going for ever."""


class Deadlock(RuntimeError):
    """Nothing can run, and no timer will change that. The message names the tasks that wait, and where."""


class _NothingToSelect(selectors.BaseSelector):
    """What the loop asks when it would wait. There are no files to watch: it moves the clock instead."""

    def __init__(self, loop: VirtualClockLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock(self._loop.describe_waiting())
        if timeout > 0:
            self._loop.advance()
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise RuntimeError("there are no sockets on a virtual clock: use rtcrpc.transport.memory")

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise KeyError(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class VirtualClockLoop(asyncio.BaseEventLoop):
    """The loop. `time()` starts at 0 and counts virtual seconds."""

    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, *, limit: float = MAX_VIRTUAL_SECONDS) -> None:
        super().__init__()
        self._selector = _NothingToSelect(self)
        self._now = 0.0
        self._limit = limit
        # Timers due at the same moment run in one turn, and none a moment early.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def advance(self) -> None:
        """Move the clock to the next timer. Called by the loop itself when nothing is ready."""
        due = self._scheduled[0].when()
        if due > self._limit:
            raise Deadlock(f"not done after {self._limit:.0f} virtual seconds; {self.describe_waiting()}")
        self._now = max(self._now, due)

    def describe_waiting(self) -> str:
        """Which tasks wait, and for what: the text of a `Deadlock`."""
        tasks = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
        lines = [f"nothing can run at {self._now:.3f} virtual seconds; {len(tasks)} tasks wait:"]
        for task in tasks:
            frames = task.get_stack(limit=1)
            where = f"{frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else "no frame"
            lines.append(f"  {task.get_name()}: {getattr(task.get_coro(), '__qualname__', '?')} at {where}")
        return "\n".join(lines)

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts) -> asyncio.Future[_T]:
        """Call `func` now: another thread would make the order of events a matter of luck."""
        future: asyncio.Future[_T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As `call_soon`: all callers are on this loop."""
        return self.call_soon(callback, *args, context=context)

    def _process_events(self, event_list: list[Any]) -> None:
        return None

    def _write_to_self(self) -> None:
        return None


def run(main: Coroutine[Any, Any, _T], *, limit: float = MAX_VIRTUAL_SECONDS) -> _T:
    """Run `main` to its end on a `VirtualClockLoop` of its own, and return what it returns.

    Raises `Deadlock` where nothing can run, and where the clock has passed `limit` virtual seconds. Call
    it from an ordinary test function: `def test_x(): run(scenario())`.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualClockLoop(limit=limit)) as runner:
        return runner.run(main)

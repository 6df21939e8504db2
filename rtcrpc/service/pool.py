"""The threads on which exposed `def` functions run."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Protocol

__all__ = ["Pool", "Submits"]

logger = logging.getLogger("rtcrpc.service")


class Submits(Protocol):
    """What runs functions on other threads: a `Pool`, or any `concurrent.futures.Executor` with threads."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        """Run `fn(*args)`, some time, on some thread; what this returns is not looked at."""


class Pool:
    """At most `size` threads, started as they are needed.

    Unlike `concurrent.futures.ThreadPoolExecutor` it makes no future for each call (the dispatcher has its
    own record of it), and its threads are daemons: a function that hangs must not keep the process from
    ending.
    """

    def __init__(self, size: int | None = None, name: str = "rtcrpc-pool") -> None:
        self.size = size if size is not None else min(32, (os.cpu_count() or 1) + 4)
        if self.size < 1:
            raise ValueError(f"size: expected at least one thread, got {self.size}")
        self._name = name
        self._queue: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._unfinished = 0
        self._closed = False

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> None:
        """Run `fn(*args)` on a thread of the pool. Raises `RuntimeError` after `close`."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the pool is closed: nothing more can be run")
            self._unfinished += 1
            grow = self._unfinished > self._threads < self.size
            if grow:
                self._threads += 1
                number = self._threads
        self._queue.put((fn, args))
        if grow:
            threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True).start()

    def close(self) -> None:
        """Let the threads end after what they run now; what has not begun is dropped."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            threads = self._threads
        with contextlib.suppress(Empty):
            while True:
                self._queue.get_nowait()
        for _ in range(threads):
            self._queue.put(None)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            fn, args = item
            try:
                fn(*args)
            except BaseException:
                # What a user's function raises is dealt with in `fn`; a thread must outlive a mistake there
                # as well.
                logger.exception("%r failed in the pool", fn)
            finally:
                # Else the last arguments would live until the next call.
                del item, fn, args
                with self._lock:
                    self._unfinished -= 1

"""The network thread: one loop on which connections, sessions and heartbeats run, whatever the user's code
does.

`Runtime` owns the thread and its loop; `Mailbox` hands work from any thread to a loop, many pieces for one
wake-up.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

__all__ = ["Errands", "Mailbox", "Runtime"]

logger = logging.getLogger("rtcrpc.runtime")

T = TypeVar("T")

Errands: TypeAlias = "SimpleQueue[Callable[[], object] | None]"
"""What a waiting thread is to call meanwhile. `None` is for the runtime itself: the wait is over."""

SLICE_SECONDS = 0.1
"""How long the main thread waits without looking up: Windows does not interrupt the wait for a lock."""

STOP_SECONDS = 5.0
"""How long `close` waits for the network thread's tasks to end before it leaves them."""


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class Mailbox:
    """Hands calls over to `loop` from any thread, in order.

    Waking a loop costs a system call and, often, a switch of threads. What is posted before the loop has
    woken up shares one wake-up and is run in one turn of the loop.
    """

    __slots__ = ("_at_end", "_awake", "_closed", "_draining", "_loop", "_queue")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._at_end: list[Callable[[], object]] = []
        self._awake = False
        self._closed = False
        self._draining = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that runs what is posted."""
        return self._loop

    def post(self, fn: Callable[..., object], *args: Any) -> bool:
        """Have `fn(*args)` called on the loop; False when the loop is closed, and nothing will be called.

        An exception out of `fn` is logged and stops nothing else.
        """
        if self._closed:
            return False
        # The order matters, and makes a lock needless: `_drain` clears `_awake` before it takes from the
        # queue, so whoever finds `_awake` set after appending has appended in time.
        self._queue.append((fn, args))
        return self._awake or self._wake()

    def call_at_end(self, fn: Callable[[], object]) -> None:
        """Have `fn()` called once what is being handed over now has been; on the loop, soon. For use on the loop only.

        What many calls of one turn have in common, such as sending what they left to send, is done once, and at once.
        """
        if self._draining:
            self._at_end.append(fn)
        else:
            self._loop.call_soon(fn)

    def _wake(self) -> bool:
        self._awake = True
        try:
            self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:
            self._closed = True
            self._queue.clear()
            return False
        return True

    def _drain(self) -> None:
        self._awake = False
        self._draining = True
        queue = self._queue
        try:
            # What is posted meanwhile waits for the next turn, or a busy sender would keep the loop from
            # everything else.
            for _ in range(len(queue)):
                fn, args = queue.popleft()
                try:
                    fn(*args)
                except Exception:
                    logger.exception("%r failed on the loop it was handed to", fn)
        except BaseException:
            if queue:
                self._wake()
            raise
        finally:
            self._draining = False
            if self._at_end:
                self._end_drain()

    def _end_drain(self) -> None:
        at_end, self._at_end = self._at_end, []
        for fn in at_end:
            try:
                fn()
            except Exception:
                logger.exception("%r failed on the loop it was handed to", fn)


class _Engine:
    """One thread and its loop, from start to end. A stopped engine is not started again."""

    def __init__(self, name: str) -> None:
        self.loop = _new_loop()
        self.pid = os.getpid()
        self._accepting = True
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    @property
    def is_current(self) -> bool:
        return threading.current_thread() is self._thread

    def call_soon(self, fn: Callable[..., object], *args: Any) -> bool:
        # Under the lock: what is accepted is run, because the loop drains only after accepting has ended.
        with self._lock:
            if self._accepting:
                self.loop.call_soon_threadsafe(fn, *args)
            return self._accepting

    def stop(self, timeout: float) -> None:
        with self._lock:
            if self._accepting:
                self._accepting = False
                self.loop.call_soon_threadsafe(self.loop.stop)
        if not self.is_current:
            self._thread.join(timeout)
            if self._thread.is_alive():
                logger.warning(
                    "%s did not end within %g s: a callback or task on it blocks", self._thread.name, timeout
                )

    def _main(self) -> None:
        loop = self.loop
        try:
            loop.run_forever()
            loop.run_until_complete(self._end_tasks())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            with self._lock:
                self._accepting = False
            loop.close()

    @staticmethod
    async def _end_tasks() -> None:
        # One turn first: what was accepted before the stop still becomes a task here, and is ended like the
        # others.
        await asyncio.sleep(0)
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)


class Runtime:
    """The network thread. It starts when it is first needed, is a daemon, and ends with the process or with
    `close`.

    Nothing here survives a fork: a child that needs the network makes its own `Runtime`.
    """

    _default: ClassVar[Runtime | None] = None
    _default_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, name: str = "rtcrpc-network") -> None:
        self._name = name
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._running: _Engine | None = None
        self._mailbox: Mailbox | None = None

    @classmethod
    def default(cls) -> Runtime:
        """The one that a process shares. In a forked child it is a new one."""
        with cls._default_lock:
            runtime = cls._default
            if runtime is None or runtime._pid != os.getpid():
                runtime = cls._default = cls()
                atexit.register(runtime.close)
            return runtime

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Runtime {self._name} {'running' if self._running is not None else 'stopped'}>"

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the network thread, which is started if need be."""
        return self._engine().loop

    @property
    def in_thread(self) -> bool:
        """Whether the caller is on the network thread."""
        return self._running is not None and self._running.is_current

    def mailbox(self, loop: asyncio.AbstractEventLoop | None = None) -> Mailbox:
        """A mailbox of `loop`; without an argument the one of the network thread, which all share."""
        if loop is not None:
            return Mailbox(loop)
        engine = self._engine()
        with self._lock:
            if self._mailbox is None or self._mailbox.loop is not engine.loop:
                self._mailbox = Mailbox(engine.loop)
            return self._mailbox

    def call_soon(self, fn: Callable[..., object], *args: Any) -> None:
        """Have `fn(*args)` called on the network thread. What arrives in bursts should go through
        `mailbox`.
        """
        if not self._engine().call_soon(fn, *args):
            raise self._stopped()

    async def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Await `coro` on the network thread, from any loop.

        When the awaiting task is cancelled, so is `coro`, and the cancellation ends when `coro` has: its
        `finally` blocks have run.
        """
        try:
            engine = self._engine()
        except RuntimeError:
            coro.close()
            raise
        here = asyncio.get_running_loop()
        if here is engine.loop:
            return await coro
        over = asyncio.Event()
        work = _Work(coro, lambda: here.call_soon_threadsafe(over.set))
        if not engine.call_soon(work.start):
            coro.close()
            raise self._stopped()
        cancelled: asyncio.CancelledError | None = None
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError as error:
                cancelled = error
                engine.call_soon(work.cancel)
        result = work.result()
        if cancelled is not None:
            # The coroutine ended before the cancellation reached it, or ignored it; the task that awaits must
            # not.
            raise cancelled
        return result

    def run_sync(self, coro: Coroutine[Any, Any, T], errands: Errands | None = None) -> T:
        """Run `coro` on the network thread and wait for it, from any other thread.

        `errands`: what is put there is called meanwhile, on the thread that waits; an exception out of it ends the
        wait as Ctrl-C does.
        An interruption of the wait (Ctrl-C) cancels `coro`, waits for its end, then goes on. Raises
        `RuntimeError` on the network thread itself, which would wait for itself.
        """
        try:
            engine = self._engine()
            if engine.is_current:
                raise RuntimeError(
                    "run_sync was called on the network thread, which would wait for itself: await instead"
                )
        except RuntimeError:
            coro.close()
            raise
        inbox: Errands = SimpleQueue() if errands is None else errands
        work = _Work(coro, lambda: inbox.put(None))
        cancels = _times_cancelled()
        try:
            if not engine.call_soon(work.start):
                work.abandon()
                raise self._stopped()
            while (errand := _take(inbox, cancels)) is not None:
                errand()
        except BaseException:
            if engine.call_soon(work.cancel):
                cancels = _times_cancelled()
                while not work.over:
                    _take(inbox, cancels)
            raise
        return work.result()

    def close(self) -> None:
        """Cancel what runs on the network thread, and end the thread. Using the runtime again starts a new
        one.
        """
        if self._pid != os.getpid():
            return  # The thread stayed in the parent.
        with self._lock:
            engine, self._running = self._running, None
        if engine is not None:
            engine.stop(STOP_SECONDS)

    def _engine(self) -> _Engine:
        engine = self._running
        if engine is not None and engine.pid == os.getpid():
            return engine
        if self._pid != os.getpid():
            raise RuntimeError(
                "this process was forked from one with a network thread, and connections do not cross a "
                "fork: join again "
                "in the child with Runtime.default(), or start the child with the 'spawn' method of "
                "multiprocessing"
            )
        with self._lock:
            if self._running is None:
                self._running = _Engine(self._name)
            return self._running

    def _stopped(self) -> RuntimeError:
        return RuntimeError(f"{self._name} was closed while it was being used: close the runtime last")


class _Work(Generic[T]):
    """A coroutine on the network thread for which another thread waits."""

    __slots__ = ("_coro", "_on_end", "_task", "over")

    def __init__(self, coro: Coroutine[Any, Any, T], on_end: Callable[[], object]) -> None:
        self._coro = coro
        self._on_end = on_end
        self._task: asyncio.Task[T] | None = None
        self.over = False

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._coro)
        self._task.add_done_callback(self._ended)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        elif not self.over:
            # The interruption came before the start was handed over.
            self.abandon()
            self._on_end()

    def abandon(self) -> None:
        """It will not be started."""
        self._coro.close()
        self.over = True

    def result(self) -> T:
        """The result, in the thread that waited, once the task has ended."""
        if self._task is None or self._task.cancelled():
            raise asyncio.CancelledError
        return self._task.result()

    def _ended(self, task: asyncio.Task[T]) -> None:
        # Marked as retrieved: whoever waited may be gone with its loop.
        if not task.cancelled():
            task.exception()
        self.over = True
        try:
            self._on_end()
        except RuntimeError:
            logger.debug("nobody waits for %r any more: the loop that did is closed", task)


def _take(inbox: Errands, cancels: int) -> Callable[[], object] | None:
    """The next errand, or None when there will be no more. Ctrl-C gets through."""
    if threading.current_thread() is not threading.main_thread():
        return inbox.get()
    while True:
        try:
            return inbox.get(timeout=SLICE_SECONDS)
        except Empty:
            if _times_cancelled() > cancels:
                raise KeyboardInterrupt from None


def _times_cancelled() -> int:
    """How often the task that blocks here was told to stop.

    Under `asyncio.run` the first Ctrl-C only cancels the main task, which does not notice while it blocks its loop. Nobody but
    a signal handler can have cancelled it meanwhile.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return 0
    return task.cancelling() if task is not None else 0

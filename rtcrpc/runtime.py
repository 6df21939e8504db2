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
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

__all__ = ["Errands", "Mailbox", "Runtime"]

logger = logging.getLogger("rtcrpc.runtime")

T = TypeVar("T")

Errands: TypeAlias = "SimpleQueue[Callable[[], object] | None]"
"""What a waiting thread is to call meanwhile. `None` is for the runtime itself: the wait is over."""

SLICE_SECONDS = 0.1
"""How long the main thread waits without looking up: Windows does not interrupt the wait for a lock."""

LONGEST_WAIT = 0.0005
"""Seconds. How long what was posted by a call that was handed over waits for the others handed over with it."""

STOP_SECONDS = 5.0
"""How long `close` waits for the network thread's tasks to end before it leaves them."""


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class _Turn(threading.local):
    """What a thread that runs what a mailbox held is to do when it has."""

    def __init__(self) -> None:
        self.draining = False
        self.at_end: list[Callable[[], object]] = []
        self.to_wake: list[Mailbox] = []


_turn = _Turn()


class Mailbox:
    """Hands calls over to `loop` from any thread, in order.

    Waking a loop costs a system call, a switch of threads, and a fight over Python's global lock with whoever
    did the waking. So a loop is woken once for all that is posted before it has woken up, and as late as can be: what
    is posted by calls that were themselves handed over wakes their loops when they all have run, and what is posted on
    `patient`, a loop that never stands still, on its next turn.
    """

    __slots__ = ("_awake", "_closed", "_loop", "_patient", "_queue", "_wake_due")

    def __init__(self, loop: asyncio.AbstractEventLoop, patient: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop
        self._patient = patient
        self._queue: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._awake = False
        self._closed = False
        self._wake_due = False  # touched on `patient` only

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
        # queue, so whoever finds `_awake` set after appending has appended in time. It is not set before the
        # loop is really woken: another thread may wait for what it posts now.
        self._queue.append((fn, args))
        if self._awake:
            return True
        turn = _turn
        if turn.draining:
            if self not in turn.to_wake:
                turn.to_wake.append(self)
            return not self._loop.is_closed()
        patient = self._patient
        if patient is not None and asyncio._get_running_loop() is patient:
            if not self._wake_due:
                self._wake_due = True
                patient.call_soon(self._wake_late)
            return not self._loop.is_closed()
        return self._wake()

    def call_at_end(self, fn: Callable[[], object]) -> None:
        """Have `fn()` called once what is being handed over now has been; on the loop, soon. For use on the loop only.

        What many calls of one turn have in common, such as sending what they left to send, is done once, and at once.
        """
        turn = _turn
        if turn.draining:
            turn.at_end.append(fn)
        else:
            self._loop.call_soon(fn)

    def _wake(self) -> bool:
        if self._awake:
            return True
        self._awake = True
        try:
            self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:
            self._closed = True
            self._queue.clear()
            return False
        return True

    def _wake_late(self) -> None:
        self._wake_due = False
        if self._queue:
            self._wake()

    def _drain(self) -> None:
        self._awake = False
        queue, turn = self._queue, _turn
        to_wake = turn.to_wake
        turn.draining = True
        wake_at = 0.0
        try:
            # What is posted meanwhile waits for the next turn, or a busy sender would keep the loop from
            # everything else.
            for _ in range(len(queue)):
                fn, args = queue.popleft()
                try:
                    fn(*args)
                except Exception:
                    logger.exception("%r failed on the loop it was handed to", fn)
                if to_wake:
                    now = time.monotonic()
                    if not wake_at:
                        wake_at = now + LONGEST_WAIT
                    elif now >= wake_at:
                        wake_at = 0.0
                        self._wake_others()
        except BaseException:
            if queue:
                self._wake()
            raise
        finally:
            turn.draining = False
            self._end_turn()

    def _end_turn(self) -> None:
        turn = _turn
        if turn.at_end:
            at_end, turn.at_end = turn.at_end, []
            for fn in at_end:
                try:
                    fn()
                except Exception:
                    logger.exception("%r failed on the loop it was handed to", fn)
        if turn.to_wake:
            self._wake_others()

    @staticmethod
    def _wake_others() -> None:
        to_wake = _turn.to_wake
        while to_wake:
            to_wake.pop()._wake()


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
            return Mailbox(loop, patient=self._engine().loop)
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
        work = _Work(lambda: coro, lambda: here.call_soon_threadsafe(over.set))
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

    def run_sync(self, work: Callable[[], Awaitable[T]], errands: Errands | None = None) -> T:
        """Call `work` on the network thread, await what it returns there, and wait for that, from any other thread.

        `errands`: what is put there is called meanwhile, on the thread that waits; an exception out of it ends the
        wait as Ctrl-C does.
        An interruption of the wait (Ctrl-C) cancels the work, waits for its end, then goes on. (It can come between any two steps of this
        thread, so no coroutine is made here, which would then never be awaited.) Raises `RuntimeError` on the network thread itself,
        which would wait for itself.
        """
        engine = self._engine()
        if engine.is_current:
            raise RuntimeError("run_sync was called on the network thread, which would wait for itself: await instead")
        inbox: Errands = SimpleQueue() if errands is None else errands
        run = _Work(partial(_awaited, work), lambda: inbox.put(None))
        cancels = _times_cancelled()
        try:
            if not engine.call_soon(run.start):
                raise self._stopped()
            while (errand := _take(inbox, cancels)) is not None:
                errand()
        except BaseException:
            if engine.call_soon(run.cancel):
                cancels = _times_cancelled()
                while not run.over:
                    _take(inbox, cancels)
            raise
        return run.result()

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
    """A coroutine on the network thread, where it is made, for which another thread waits."""

    __slots__ = ("_make", "_on_end", "_task", "over")

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]], on_end: Callable[[], object]) -> None:
        self._make = make
        self._on_end = on_end
        self._task: asyncio.Task[T] | None = None
        self.over = False

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._make())
        self._task.add_done_callback(self._ended)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        elif not self.over:
            # The interruption came before the start was handed over, so there is none.
            self.over = True
            self._on_end()

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


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


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

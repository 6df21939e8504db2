"""A stream of ours, from what the user's code iterates to the session.

```
user's loop, or a thread of the pool                          network thread
  next item ─▶ value of the wire ─▶ queue ─────────────────▶ encode, send as credit lasts
       └── waits while too much is queued ◀──────────────────── room again
```

Items cross in bursts: what is queued before the network thread looks crosses with one wake-up.
"""

from __future__ import annotations

import abc
import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from types import GeneratorType
from typing import Any, Final, Protocol, TypeAlias

from rtcrpc import codes
from rtcrpc.core.arrays import Array
from rtcrpc.errors import EncodeError, Error, error_to_wire
from rtcrpc.wire import Special, to_wire

__all__ = [
    "Convert",
    "Failure",
    "Lifting",
    "Posts",
    "Sendable",
    "Sources",
    "Submits",
    "Writer",
    "WriterOwner",
    "convert_untyped",
    "is_source",
]

logger = logging.getLogger("rtcrpc.stream")

Convert: TypeAlias = Callable[[Any, Special], Any]
"""From an item to a value of the wire, as `rtcrpc.wire.to_wire`."""

Failure: TypeAlias = tuple[int, str, dict[str, Any] | None]
"""An error as it is sent: code, message, data."""

AHEAD: Final = 65_536
"""About the bytes of items that wait for the network thread before their source is made to wait."""
_LIGHT: Final = 64  # what an item counts at least: a number costs more in memory than on the wire
_TURN: Final = 0.01  # seconds after which a source that never waits lets others run
_OVER: Final = object()
_NUMBERS: Final = frozenset({int, float, bool, type(None)})

GIVEN_UP: Final[Failure] = (codes.STREAM_BROKEN, "the owner of the stream gave it up", None)


class Posts(Protocol):
    """Hands work to a loop, from any thread (a `rtcrpc.runtime.Mailbox`)."""

    def post(self, fn: Callable[..., object], *args: Any) -> bool:
        """Have `fn(*args)` called on the loop; False when the loop is closed."""


class Submits(Protocol):
    """Runs functions on other threads (a `rtcrpc.service.pool.Pool`)."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        """Run `fn(*args)`, some time, on some thread. Raises `RuntimeError` when it is closed."""


class WriterOwner(Protocol):
    """What a writer writes to (a `rtcrpc.stream.table.LinkStreams`); on the network thread, except for `network`."""

    @property
    def network(self) -> Posts:
        """The way to the network thread."""

    def is_full(self, writer: Writer) -> bool:
        """Whether enough waits for credit; then `writer.take` is called when there is room again."""

    def write(self, writer: Writer, items: list[Any], nested: list[Writer]) -> None:
        """Send items; `nested` are the writers that stand in them."""

    def finish(self, writer: Writer, failure: Failure | None) -> None:
        """There are no more."""


class Sendable(abc.ABC):
    """A value that travels as a map with a stream in it, such as a file."""

    @abc.abstractmethod
    def as_map(self) -> dict[str, Any]:
        """The map, as it is about to be sent."""


def is_source(value: Any) -> bool:
    """Whether a value becomes a stream when it is sent: an async iterable, or a generator."""
    return isinstance(value, (AsyncIterable, GeneratorType))


def convert_untyped(item: Any, special: Special) -> Any:
    """The `Convert` of items of which nothing is known."""
    return to_wire(item, "item", special)


class Lifting:
    """The `special` of `rtcrpc.wire` that makes a `Writer` of each thing to iterate, and gathers them."""

    __slots__ = ("writers",)

    def __init__(self) -> None:
        self.writers: list[Writer] = []

    def __call__(self, value: Any) -> Any:
        """See `rtcrpc.wire.Special`."""
        if isinstance(value, Sendable):
            return to_wire(value.as_map(), type(value).__name__, self)
        writer = Writer(value, convert_untyped) if is_source(value) else value
        if not isinstance(writer, Writer):
            return NotImplemented
        self.writers.append(writer)
        return writer


class Sources:
    """Where sources run: async ones on the loop behind `posts`, generators in `pool`."""

    def __init__(self, posts: Posts, pool: Submits | None) -> None:
        self.posts = posts
        self.pool = pool
        self._open: set[Writer] = set()
        self._all_over: asyncio.Event | None = None

    def started(self, writer: Writer) -> None:
        """A source is about to run (called by its writer)."""
        self._open.add(writer)

    def ended(self, writer: Writer) -> None:
        """A source runs no more (called by its writer, on any thread)."""
        self._open.discard(writer)
        if self._all_over is not None and not self._open:
            self.posts.post(self._all_over.set)

    async def drain(self, seconds: float) -> None:
        """Wait on the loop until sources that were stopped have ended: their `finally` has run."""
        self._all_over = asyncio.Event()
        if self._open:
            try:
                async with asyncio.timeout(seconds):
                    await self._all_over.wait()
            except TimeoutError:
                logger.warning(
                    "%d sources of streams were still running %g s after they were stopped", len(self._open), seconds
                )


class Writer:
    """Something to iterate, on its way out. Made where the user's code runs, whose context variables it keeps; started on the
    network thread.

    `source`: an async iterable, or an iterator, which then runs in the pool, a stretch at a time. `on_stop` is called,
    on the network thread, when nobody wants its items any more; `describe` says what the reader is told when the source fails.
    """

    __slots__ = (
        "_added",
        "_context",
        "_convert",
        "_held",
        "_lifting",
        "_owner",
        "_parked",
        "_posted",
        "_queue",
        "_sources",
        "_stopped",
        "_taken",
        "_task",
        "_waker",
        "describe",
        "id",
        "on_stop",
        "source",
    )

    def __init__(self, source: AsyncIterable[Any] | Iterator[Any], convert: Convert) -> None:
        self.source: AsyncIterable[Any] | Iterator[Any] | None = source
        self.id = 0
        self.on_stop: Callable[[], object] | None = None
        self.describe: Callable[[BaseException], Failure] = _failure
        self._convert = convert
        self._context = contextvars.copy_context()
        self._lifting = Lifting()
        self._queue: deque[tuple[Any, int, list[Writer]]] = deque()
        # Each counter is written by one side and read by both.
        self._added = 0
        self._taken = 0
        self._posted = False
        self._held = False
        self._stopped = False
        self._owner: WriterOwner | None = None
        self._sources: Sources | None = None
        self._task: asyncio.Task[BaseException | None] | None = None
        self._waker: asyncio.Future[None] | None = None
        self._parked: deque[None] = deque()  # one token, while a source waits for room: whoever takes it lets it go on

    @property
    def is_async(self) -> bool:
        """Whether the source runs on a loop."""
        return isinstance(self.source, AsyncIterable)

    # -- network thread ----------------------------------------------------------------------------------

    def start(self, owner: WriterOwner, sources: Sources) -> None:
        """Begin to iterate."""
        self._owner = owner
        self._sources = sources
        sources.started(self)
        if self.is_async:
            if not sources.posts.post(self._start_task):
                self._give_up()
        else:
            self._submit()

    def take(self) -> None:
        """Hand what is queued to the session, unless that has enough."""
        owner = self._owner
        if owner is None or self._stopped:
            return
        if owner.is_full(self):
            self._held = True
            return
        self._held = False
        self._posted = False
        queue, items, nested = self._queue, [], []
        weight = 0
        end: Failure | None = None
        ended = False
        for _ in range(len(queue)):
            item, weighs, inner = queue.popleft()
            if weighs < 0:
                ended, end = True, item
                break
            items.append(item)
            weight += weighs
            nested += inner
        if items:
            owner.write(self, items, nested)
        self._taken += weight
        if ended and not self._stopped:
            self._owner = None
            owner.finish(self, end)
        elif self._parked:
            self._resume()

    def writable(self) -> None:
        """The session has room again."""
        if self._held:
            self.take()

    def stop(self) -> None:
        """Nobody wants the items any more: the source is closed."""
        if self._stopped:
            return
        self._stopped = True
        self._owner = None
        self._queue.clear()
        if self.on_stop is not None:
            self.on_stop()
        sources = self._sources
        if sources is not None:
            if self.is_async:
                if not sources.posts.post(self._cancel_task):
                    sources.ended(self)
            elif self._parked:
                self._resume()

    def _resume(self) -> None:
        if not self._unpark() or self._sources is None:
            return
        if self.is_async:
            self._sources.posts.post(self._wake)
        else:
            self._submit()

    def _submit(self) -> None:
        assert self._sources is not None, "started"
        try:
            if self._sources.pool is None:
                raise RuntimeError("there is no pool")
            self._sources.pool.submit(self._run_stretch)
        except RuntimeError:
            self._give_up()

    def _give_up(self) -> None:
        """There is nothing left that could run the source."""
        assert self._sources is not None, "started"
        self._sources.ended(self)
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.finish(self, GIVEN_UP)

    # -- the side of the source --------------------------------------------------------------------------

    def _push(self, item: Any) -> None:
        lifting = self._lifting
        item = self._convert(item, lifting)
        weight = _LIGHT if type(item) in _NUMBERS else _weigh(item)
        inner = lifting.writers
        if inner:
            lifting.writers = []
            for writer in inner:
                writer.describe = self.describe
        self._queue.append((item, weight, inner))
        self._added += weight
        self._tell()

    def _tell(self) -> None:
        # In this order, as in a mailbox: `take` clears `_posted` before it looks at the queue.
        if not self._posted:
            self._posted = True
            owner = self._owner
            if owner is not None:
                owner.network.post(self.take)

    def _end(self, error: BaseException | None) -> None:
        """The source has ended."""
        if not self._stopped:
            failure: Failure | None = None
            if isinstance(error, asyncio.CancelledError):
                failure = GIVEN_UP
            elif error is not None:
                failure = self.describe(error)
            self._queue.append((failure, -1, []))
            self._tell()
        if self._sources is not None:
            self._sources.ended(self)

    def _park(self) -> bool:
        """Wait for room; False where there is some after all."""
        self._parked.append(None)
        if self._added - self._taken >= AHEAD and not self._stopped:
            return True
        return not self._unpark()

    def _unpark(self) -> bool:
        try:
            self._parked.pop()
        except IndexError:
            return False
        return True

    # -- on a loop ---------------------------------------------------------------------------------------

    def _start_task(self) -> None:
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._pump(loop), name="rtcrpc stream", context=self._context)
        self._task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[BaseException | None]) -> None:
        # Here, not in the task: one that is cancelled before its first step runs nothing of itself.
        self.source = None
        self._end(asyncio.CancelledError() if task.cancelled() else task.exception() or task.result())

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _wake(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    async def _pump(self, loop: asyncio.AbstractEventLoop) -> BaseException | None:
        """Iterate to the end; what the source failed with is returned."""
        source = self.source
        assert isinstance(source, AsyncIterable), "it runs on a loop"
        try:
            iterator = aiter(source)
            try:
                turned, count = loop.time(), 0
                async for item in iterator:
                    self._push(item)
                    count += 1
                    if self._added - self._taken >= AHEAD:
                        await self._room(loop)
                        turned = loop.time()
                    elif not count & 15 and loop.time() - turned > _TURN:
                        await asyncio.sleep(0)
                        turned = loop.time()
                    if self._stopped:
                        break
            finally:
                await _close(iterator)
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise  # the latter is meant for the program, whichever function it met
        except BaseException as error:
            return error
        return None

    async def _room(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._added - self._taken >= AHEAD and not self._stopped:
            self._waker = loop.create_future()
            if self._park():
                try:
                    await self._waker
                finally:
                    self._waker = None
                    self._unpark()

    # -- in the pool -------------------------------------------------------------------------------------

    def _run_stretch(self) -> None:
        """Iterate until there is no room, then leave the thread to others: a slow reader must not hold it."""
        source: Any = self.source
        run = self._context.run
        try:
            while not self._stopped:
                if self._added - self._taken >= AHEAD and self._park():
                    return
                item = run(next, source, _OVER)
                if item is _OVER:
                    break
                run(self._push, item)
            if (close := getattr(source, "close", None)) is not None:
                run(close)
        except BaseException as error:
            # Not even SystemExit gets out of the thread.
            self.source = None
            self._end(error)
        else:
            self.source = None
            self._end(None)


async def _close(iterator: AsyncIterator[Any]) -> None:
    aclose = getattr(iterator, "aclose", None)
    if aclose is not None:
        await aclose()


def _weigh(value: Any) -> int:
    """About the bytes of a value on the wire."""
    kind = type(value)
    if kind in _NUMBERS:
        return _LIGHT
    if kind is str or kind is bytes:
        return _LIGHT + len(value)
    if isinstance(value, (list, tuple)):
        if _NUMBERS.issuperset(map(type, value)):
            return _LIGHT + 9 * len(value)
        return _LIGHT + sum(map(_weigh, value))
    if isinstance(value, dict):
        return _LIGHT + sum(_LIGHT + _weigh(item) for item in value.values())
    size = len(value.data) if isinstance(value, Array) else getattr(value, "nbytes", 0)
    return _LIGHT + (size if isinstance(size, int) else 0)


def _failure(error: BaseException) -> Failure:
    """What the reader is told. What it isn't told goes to the log."""
    if isinstance(error, Error):
        return error_to_wire(error)
    if isinstance(error, EncodeError):
        logger.error("a stream broke: an item can't travel: %s", error)
    else:
        logger.error("the source of a stream failed", exc_info=error)
    return codes.INTERNAL_ERROR, codes.CODE_NAMES[codes.INTERNAL_ERROR], None

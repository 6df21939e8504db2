"""A stream of the other side, as the user's code reads it.

The network thread puts messages of items into an `Inlet`; the reader takes them out on whatever thread it runs, and says so, once a
message: that gives the other side its credit back.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Inlet", "InletOwner", "Stream"]

T = TypeVar("T")

Waker = Callable[[], object]


class InletOwner(Protocol):
    """What an inlet is of (a `rtcrpc.stream.table.LinkStreams`). Both may be called on any thread."""

    def taken(self, stream: int, size: int) -> None:
        """`size` bytes were taken: the other side may send as much again."""

    def unwanted(self, stream: int) -> None:
        """Nobody reads it any more."""


class Inlet:
    """Where the items of one stream wait for their reader. `put` and `end` belong to the network thread, the rest to the reader's."""

    __slots__ = ("_messages", "_owner", "_stopped", "_waker", "ended", "error", "id")

    def __init__(self, stream: int, owner: InletOwner) -> None:
        self.id = stream
        self.ended = False
        """No more will be put."""
        self.error: Exception | None = None
        self._owner = owner
        self._stopped = False
        self._messages: deque[tuple[list[Any], int]] = deque()
        self._waker: Waker | None = None

    def put(self, items: list[Any], size: int) -> None:
        """A message of `size` bytes came."""
        items.reverse()  # taken from the end, which costs less
        self._messages.append((items, size))
        if self._stopped:  # looked at last, as `stop` sets it first: one of the two clears
            self._messages.clear()
        self._wake()

    def end(self, error: Exception | None) -> None:
        """It is over, after what was put."""
        if not self._stopped:
            self.error = error
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        waker, self._waker = self._waker, None
        if waker is not None:
            try:
                waker()
            except RuntimeError:
                self._owner.unwanted(self.id)  # the loop on which it was read is closed

    def next_message(self) -> tuple[list[Any], int] | None:
        """The next items, the first of them last, and what they cost."""
        if self._stopped:
            return None
        return self._messages.popleft() if self._messages else None

    def wake_with(self, waker: Waker) -> bool:
        """Have `waker` called when there is news; False where there is some already, and it will not be.

        Set before the look, as the network thread puts before it wakes: one of the two sees the other.
        """
        if self._waker is not None:
            raise RuntimeError("this stream is being read already: one reader at a time")
        self._waker = waker
        if self._messages or self.ended:
            self._waker = None
            return False
        return True

    def forget_waker(self) -> None:
        """The reader waits no longer."""
        self._waker = None

    def taken(self, size: int) -> None:
        """A message has been read to its end."""
        if not self.ended:
            self._owner.taken(self.id, size)

    def stop(self) -> None:
        """Nobody reads on."""
        self._stopped = True
        self._messages.clear()
        if not self.ended:
            self.ended = True
            self._owner.unwanted(self.id)
            self._wake()  # whoever waits in another task finds the end


class Stream(AsyncIterator[T], Generic[T]):
    """A stream of the other side: `async for item in stream`. In a thread without a loop, `for item in stream` reads it too.

    Leaving the loop early and letting go of the stream stops it: the generator over there ends, its `finally` runs. `async with stream:` or
    `await stream.aclose()` make sure of that whoever still holds it. An error that ended it over there is raised behind the items that came
    before it: a `rtcrpc.RemoteError`, or `ConnectionLost` where the link went. One reader at a time, on any loop or thread.
    """

    __slots__ = ("__weakref__", "_check", "_inlet", "_items", "_position", "_size")

    def __init__(self, inlet: Inlet) -> None:
        self._inlet = inlet
        self._items: list[Any] = []
        self._size = 0
        self._check: Callable[[Any, int], T] | None = None
        self._position = 0

    def __repr__(self) -> str:
        return f"<Stream {self._inlet.id}{' ended' if self._inlet.ended else ''}>"

    def __del__(self) -> None:
        # Also where `__init__` was never reached.
        inlet = getattr(self, "_inlet", None)
        if inlet is not None and not inlet.ended:
            inlet.stop()

    def check_items(self, check: Callable[[Any, int], T]) -> Stream[T]:
        """Have `check(item, position)` called for each item as it is taken; what it returns is the item. For `rtcrpc.service`."""
        self._check = check
        return self

    def __aiter__(self) -> Stream[T]:
        return self

    async def __anext__(self) -> T:
        if not self._items and not self._refill():
            await self._wait()
        return self._take()

    @property
    def ready(self) -> bool:
        """Whether the next item, or the end, is here: taking it will not wait."""
        return bool(self._items) or self._refill()

    async def wait(self) -> None:
        """Wait until `ready`. It belongs to the reader, as taking items does."""
        if not self.ready:
            await self._wait()

    async def aclose(self) -> None:
        """Read no more; the other side is told. Items that have come already are dropped."""
        self.close()

    async def __aenter__(self) -> Stream[T]:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def __iter__(self) -> Stream[T]:
        return self

    def __next__(self) -> T:
        while not self._items and not self._refill():
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                pass
            else:
                raise TypeError("a loop runs in this thread: read the stream with `async for`")
            came = threading.Event()
            if self._inlet.wake_with(came.set):
                try:
                    came.wait()
                finally:
                    self._inlet.forget_waker()
        try:
            return self._take()
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """As `aclose`, from any thread."""
        self._items = []
        self._inlet.error = None
        self._inlet.stop()

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._refill():
            news = loop.create_future()
            if self._inlet.wake_with(partial(loop.call_soon_threadsafe, _set, news)):
                try:
                    await news
                finally:
                    self._inlet.forget_waker()

    def _refill(self) -> bool:
        """Whether there is something to take: items, or the end."""
        inlet = self._inlet
        message = inlet.next_message()
        if message is None:
            if not inlet.ended:
                return False
            message = inlet.next_message()  # what was put just before the end comes before it
            if message is None:
                return True
        self._items, self._size = message
        return True

    def _take(self) -> T:
        items = self._items
        if not items:
            error, self._inlet.error = self._inlet.error, None
            if error is not None:
                raise error
            raise StopAsyncIteration
        item: T = items.pop()
        if not items:
            self._inlet.taken(self._size)
        if self._check is not None:
            self._position += 1
            return self._check(item, self._position - 1)
        return item


def _set(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)

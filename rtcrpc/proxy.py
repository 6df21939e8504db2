"""The names a caller writes: `remote.call.add(1, 2)` becomes the request `add` with params `[1, 2]`.

A proxy holds no connection. It collects a method name and options, and hands a finished call to an `Invoker`. What comes back is
whatever the invoker returns: something to await in `rtcrpc`, the result itself in `rtcrpc.sync`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from rtcrpc.stream.reader import Stream

__all__ = [
    "BoundMethod",
    "Call",
    "CallNamespace",
    "CallOptions",
    "Invoker",
    "Notifier",
    "NotifyNamespace",
    "OnProgress",
    "Params",
    "make_params",
]

Params: TypeAlias = list[Any] | dict[str, Any]

R_co = TypeVar("R_co", covariant=True)

OnProgress: TypeAlias = Callable[[int | float, int | float | None, str | None], object]
"""Called with how far the call has come: `done`, `total` and `message`, the last two None where the function did not tell."""

_SAME: Final[Any] = object()


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What a caller may say about a call.

    `timeout`: seconds until the caller gives up, or None for no limit. It travels as the remaining time
    (protocol section 7), so the other side stops working on the call too. `progress`: called on the caller's loop with
    what the function reports (protocol section 7.1).
    """

    timeout: float | None = None
    progress: OnProgress | None = None

    def __post_init__(self) -> None:
        if self.timeout is not None and not 0 < self.timeout < math.inf:
            raise ValueError(
                f"timeout: expected a number of seconds above 0, or None for no limit; got {self.timeout!r}"
            )


class Invoker(Protocol[R_co]):
    """Whatever can carry a call to a peer and bring the answer back."""

    def invoke(self, method: str, params: Params, options: CallOptions = ...) -> R_co:
        """Call `method`; the awaited value, or the value itself, is the result."""


class Notifier(Protocol[R_co]):
    """Whatever can carry a notification to a peer."""

    def send_notification(self, method: str, params: Params, *, reliable: bool = True) -> R_co:
        """Send `method` without asking for an answer; done when it was handed to the link."""


def make_params(method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Params:
    """The params of a request from Python's arguments: all by position, or all by name (JSON-RPC 2.0 section 4.2)."""
    if args and kwargs:
        raise TypeError(
            f"{method}: expected all arguments by position or all by name, as JSON-RPC has it; got "
            f"{len(args)} by position and {', '.join(kwargs)} by name"
        )
    return kwargs if kwargs else list(args)


class CallNamespace(Generic[R_co]):
    """The root of `remote.call`: each attribute is a method of the peer.

    `remote.call.arm.move(1)` calls `arm.move`. A name that is no Python identifier, starts with an underscore, or
    is `with_`, is reached with `remote.call["the name"](...)`.
    """

    __slots__ = ("_invoker", "_options")

    def __init__(self, invoker: Invoker[R_co], options: CallOptions | None = None) -> None:
        self._invoker = invoker
        self._options = options or CallOptions()

    def with_(self, *, timeout: float | None = _SAME, progress: OnProgress | None = _SAME) -> CallNamespace[R_co]:
        """The same namespace with other options (see `CallOptions`): `remote.call.with_(timeout=0.5).slow()`."""
        given: dict[str, Any] = {"timeout": timeout, "progress": progress}
        changes = {name: value for name, value in given.items() if value is not _SAME}
        return CallNamespace(self._invoker, replace(self._options, **changes))

    def __getattr__(self, name: str) -> BoundMethod[R_co]:
        if name.startswith("_"):
            # Python's own protocols (copy, pickle, inspect, IPython) probe for such names: none may become a call.
            raise AttributeError(name)
        return BoundMethod(self._invoker, name, self._options)

    def __getitem__(self, name: str) -> BoundMethod[R_co]:
        return BoundMethod(self._invoker, name, self._options)


class BoundMethod(Generic[R_co]):
    """A method of a peer, ready to be called; its attributes are methods below it."""

    __slots__ = ("_invoker", "_name", "_options")

    def __init__(self, invoker: Invoker[R_co], name: str, options: CallOptions) -> None:
        self._invoker = invoker
        self._name = name
        self._options = options

    def __call__(self, /, *args: Any, **kwargs: Any) -> R_co:
        """Call it; in `rtcrpc`, await what comes back for the result."""
        return self._invoker.invoke(self._name, make_params(self._name, args, kwargs), self._options)

    def __getattr__(self, name: str) -> BoundMethod[R_co]:
        if name.startswith("_"):
            raise AttributeError(name)
        return BoundMethod(self._invoker, f"{self._name}.{name}", self._options)

    def __repr__(self) -> str:
        return f"<method {self._name} of {self._invoker!r}>"


class Call(Coroutine[Any, Any, Any]):
    """A call of a method of a peer. It is made when it is awaited: `result = await remote.call.add(1, 2)`.

    Where the result is a stream, the call can be iterated itself: `async for item in remote.call.ticks(5)`. It is good for once, and
    may be given to whatever takes a coroutine, such as `asyncio.create_task`.
    """

    __slots__ = ("_begin", "_coroutine", "method")

    def __init__(self, method: str, begin: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self.method = method
        self._begin: Callable[[], Coroutine[Any, Any, Any]] | None = begin
        self._coroutine: Coroutine[Any, Any, Any] | None = None

    def __repr__(self) -> str:
        return f"<call of {self.method}>"

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._make().__await__()

    def __aiter__(self) -> AsyncIterator[Any]:
        return _Items(self)

    def __del__(self) -> None:
        if self._begin is not None:
            warnings.warn(
                f"the call of {self.method} was never awaited, so it was not made", RuntimeWarning, stacklevel=2
            )

    def send(self, value: Any) -> Any:
        """As a coroutine's."""
        return self._started().send(value)

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        """As a coroutine's."""
        return self._started().throw(typ) if val is None and tb is None else self._started().throw(typ, val, tb)

    def close(self) -> None:
        """As a coroutine's."""
        self._begin = None
        if self._coroutine is not None:
            self._coroutine.close()

    def _started(self) -> Coroutine[Any, Any, Any]:
        if self._coroutine is None:
            self._coroutine = self._make()
        return self._coroutine

    def _make(self) -> Coroutine[Any, Any, Any]:
        begin, self._begin = self._begin, None
        if begin is None:
            raise RuntimeError(f"{self.method}: this call was made before; call the method again")
        return begin()


class _Items(AsyncIterator[Any]):
    """The items of the stream that is the result of a call."""

    __slots__ = ("_call", "_stream")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._stream: Stream[Any] | None = None

    def __anext__(self) -> Awaitable[Any]:
        # Not a coroutine of its own for each item.
        return self._first() if self._stream is None else self._stream.__anext__()

    async def _first(self) -> Any:
        result = await self._call
        if not isinstance(result, Stream):
            raise TypeError(
                f"{self._call.method}: expected a stream to iterate, got a result of type {type(result).__name__}; await the call"
            )
        self._stream = result
        return await result.__anext__()

    async def aclose(self) -> None:
        """Read no more (see `Stream.aclose`)."""
        self._call.close()
        if self._stream is not None:
            await self._stream.aclose()


class NotifyNamespace(Generic[R_co]):
    """The root of `remote.notify`: like `remote.call`, but nothing comes back, not even an error."""

    __slots__ = ("_notifier", "_prefix", "_reliable")

    def __init__(self, notifier: Notifier[R_co], prefix: str = "", *, reliable: bool = True) -> None:
        self._notifier = notifier
        self._prefix = prefix
        self._reliable = reliable

    def with_(self, *, reliable: bool) -> NotifyNamespace[R_co]:
        """The same names on the other lane: `remote.notify.with_(reliable=False).pose(x, y)`.

        With `reliable=False` a notification may be lost, one that waits is replaced by the next of its method, and the other side serves it
        only where it exposed the function with `reliable=False`: right for what is told many times a second. It has at most
        `limits.LOSSY_FRAME` bytes and holds no streams. To a peer without a lossy channel it goes like any other.
        """
        return NotifyNamespace(self._notifier, self._prefix, reliable=reliable)

    def __getattr__(self, name: str) -> NotifyNamespace[R_co]:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> NotifyNamespace[R_co]:
        return NotifyNamespace(
            self._notifier, f"{self._prefix}.{name}" if self._prefix else name, reliable=self._reliable
        )

    def __call__(self, /, *args: Any, **kwargs: Any) -> R_co:
        """Tell it; in `rtcrpc`, await what comes back until it was handed to the link."""
        if not self._prefix:
            raise TypeError("expected the name of a method first: remote.notify.name(...)")
        params = make_params(self._prefix, args, kwargs)
        return self._notifier.send_notification(self._prefix, params, reliable=self._reliable)

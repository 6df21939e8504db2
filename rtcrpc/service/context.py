"""Who calls, and what a function may know about the call it serves."""

from __future__ import annotations

import contextvars
import logging
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from rtcrpc.errors import CallCancelled, DeadlineExceeded
from rtcrpc.service.progress import Report

__all__ = ["Caller", "Context", "Trust", "current_context", "enter", "is_context_annotation"]

Trust: TypeAlias = Literal["pinned", "tofu", "anonymous"]
"""How a key is known: beforehand, from an earlier meeting, or not at all (protocol section 6)."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The peer that calls.

    `peer_id`: its proved key, 43 characters, or None for a peer of level 0, which has none. `name`: what it
    calls itself; proves nothing. `room`: where we met. `tokens`: what it presented (protocol section 6.1),
    oldest first; secrets, so not shown by `repr`.
    """

    peer_id: str | None
    name: str
    trust: Trust
    room: str
    tokens: tuple[str, ...] = ()

    def __repr__(self) -> str:
        who = f"{self.peer_id or 'no key'}, {self.name!r}, {self.trust}"
        return f"Caller({who}, room={self.room!r}, tokens={len(self.tokens)})"


class Context:
    """One call, as the function that serves it sees it. A parameter annotated with `Context` gets it; the
    caller can't set it.

    `deadline`: when the caller gives up, on the clock of `time.monotonic`, or None.
    """

    __slots__ = ("_cancelled", "_clock", "_on_progress", "caller", "deadline", "method")

    def __init__(
        self,
        caller: Caller,
        method: str,
        deadline: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.caller = caller
        self.method = method
        self.deadline = deadline
        self._clock = clock
        self._cancelled = False
        self._on_progress: Callable[[Report], object] | None = None

    def __repr__(self) -> str:
        return f"<Context of {self.method!r} for {self.caller!r}>"

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the result any more: cancelled, past its deadline, or the caller is
        gone.
        """
        return self._cancelled

    def remaining(self) -> float | None:
        """Seconds until the caller gives up, 0.0 when it has, None where it set no limit."""
        return None if self.deadline is None else max(self.deadline - self._clock(), 0.0)

    def check(self) -> None:
        """Raise when the call should stop; for loops in functions of the pool, which nothing else can stop.

        Raises `DeadlineExceeded` when the time has passed, `CallCancelled` when the caller gave up.
        """
        if self.deadline is not None and self._clock() >= self.deadline:
            raise DeadlineExceeded(f"{self.method}: the time that the caller gave has passed")
        if self._cancelled:
            raise CallCancelled(f"{self.method}: the caller gave up")

    def progress(self, done: int | float, total: int | float | None = None, message: str | None = None) -> None:
        """Tell the caller how far the function has come, from any thread (protocol section 7.1).

        `done` and `total`: in whatever unit the function counts. `message`: text for people. It costs next to nothing: of many
        reports the latest is sent, ten times a second, and the last before the answer. Raises `TypeError` for other types.
        """
        for name, value in (("done", done), ("total", total)):
            if isinstance(value, bool) or not (isinstance(value, (int, float)) or (value is None and name == "total")):
                raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
        if not (message is None or isinstance(message, str)):
            raise TypeError(f"message: expected text, got {type(message).__name__}")
        # Read once: the dispatcher may take it away meanwhile.
        if (tell := self._on_progress) is not None:
            tell((done, total, message))

    def on_progress(self, tell: Callable[[Report], object] | None) -> None:
        """Have reports told to `tell`, or to nobody (called by the dispatcher)."""
        self._on_progress = tell

    def cancel(self) -> None:
        """Tell the function that nobody waits (called by the dispatcher, from any thread)."""
        self._cancelled = True

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose lines begin with the method and the caller."""
        return _CallLogger(logging.getLogger("rtcrpc.call"), {"method": self.method, "peer": self.caller.peer_id})


class _CallLogger(logging.LoggerAdapter[logging.Logger]):
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        extra = self.extra or {}
        # Nothing that the caller chose goes into the line: its name could hold line ends that forge another
        # one.
        return f"[{extra['method']} for {extra['peer'] or 'no key'}] {msg}", {**kwargs, "extra": extra}


_current: contextvars.ContextVar[Context] = contextvars.ContextVar("rtcrpc_context")


def current_context() -> Context:
    """The context of the call being served, for code below an exposed function. Raises `LookupError`
    outside of a call.
    """
    try:
        return _current.get()
    except LookupError:
        raise LookupError("expected to run below an exposed function; no call is being served here") from None


def enter(context: Context) -> None:
    """Make `context` the current one of the `contextvars.Context` that is active."""
    _current.set(context)


def is_context_annotation(annotation: Any) -> bool:
    """Whether a parameter annotated so is given the context: `Context`, a union with it, or `Annotated`
    around it.
    """
    if isinstance(annotation, type):
        return issubclass(annotation, Context)
    origin = get_origin(annotation)
    if origin is Annotated:
        return is_context_annotation(get_args(annotation)[0])
    return origin in (Union, UnionType) and any(is_context_annotation(arg) for arg in get_args(annotation))

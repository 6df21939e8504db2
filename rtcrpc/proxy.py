"""The names a caller writes: `remote.call.add(1, 2)` becomes the request `add` with params `[1, 2]`.

A proxy holds no connection. It collects a method name and options, and hands a finished call to an `Invoker`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

__all__ = ["BoundMethod", "CallNamespace", "CallOptions", "Invoker", "NotifyNamespace", "Params", "make_params"]

Params: TypeAlias = list[Any] | dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What a caller may say about a call.

    `timeout`: seconds until the caller gives up, or None for no limit. It travels as the remaining time
    (protocol section 7), so the other side stops working on the call too.
    """

    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.timeout is not None and not 0 < self.timeout < math.inf:
            raise ValueError(
                f"timeout: expected a number of seconds above 0, or None for no limit; got {self.timeout!r}"
            )


class Invoker(Protocol):
    """Whatever can carry a call to a peer and bring the answer back."""

    def invoke(self, method: str, params: Params, options: CallOptions = ...) -> Awaitable[Any]:
        """Call `method`; the awaited value is the result."""

    def send_notification(self, method: str, params: Params) -> Awaitable[None]:
        """Send `method` without asking for an answer; done when it was handed to the link."""


def make_params(method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Params:
    """The params of a request from Python's arguments: all by position, or all by name (JSON-RPC 2.0 section 4.2)."""
    if args and kwargs:
        raise TypeError(
            f"{method}: expected all arguments by position or all by name, as JSON-RPC has it; got "
            f"{len(args)} by position and {', '.join(kwargs)} by name"
        )
    return kwargs if kwargs else list(args)


class CallNamespace:
    """The root of `remote.call`: each attribute is a method of the peer.

    `remote.call.arm.move(1)` calls `arm.move`. A name that is no Python identifier, starts with an underscore, or
    is `with_`, is reached with `remote.call["the name"](...)`.
    """

    __slots__ = ("_invoker", "_options")

    def __init__(self, invoker: Invoker, options: CallOptions | None = None) -> None:
        self._invoker = invoker
        self._options = options or CallOptions()

    def with_(self, *, timeout: float | None) -> CallNamespace:
        """The same namespace with other options: `remote.call.with_(timeout=0.5).slow()`."""
        return CallNamespace(self._invoker, replace(self._options, timeout=timeout))

    def __getattr__(self, name: str) -> BoundMethod:
        if name.startswith("_"):
            # Python's own protocols (copy, pickle, inspect, IPython) probe for such names: none may become a call.
            raise AttributeError(name)
        return BoundMethod(self._invoker, name, self._options)

    def __getitem__(self, name: str) -> BoundMethod:
        return BoundMethod(self._invoker, name, self._options)


class BoundMethod:
    """A method of a peer, ready to be called; its attributes are methods below it."""

    __slots__ = ("_invoker", "_name", "_options")

    def __init__(self, invoker: Invoker, name: str, options: CallOptions) -> None:
        self._invoker = invoker
        self._name = name
        self._options = options

    def __call__(self, /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Call it; await what comes back for the result."""
        return self._invoker.invoke(self._name, make_params(self._name, args, kwargs), self._options)

    def __getattr__(self, name: str) -> BoundMethod:
        if name.startswith("_"):
            raise AttributeError(name)
        return BoundMethod(self._invoker, f"{self._name}.{name}", self._options)

    def __repr__(self) -> str:
        return f"<method {self._name} of {self._invoker!r}>"


class NotifyNamespace:
    """The root of `remote.notify`: like `remote.call`, but nothing comes back, not even an error."""

    __slots__ = ("_invoker", "_prefix")

    def __init__(self, invoker: Invoker, prefix: str = "") -> None:
        self._invoker = invoker
        self._prefix = prefix

    def __getattr__(self, name: str) -> NotifyNamespace:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> NotifyNamespace:
        return NotifyNamespace(self._invoker, f"{self._prefix}.{name}" if self._prefix else name)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Awaitable[None]:
        """Tell it; await what comes back until it was handed to the link."""
        if not self._prefix:
            raise TypeError("expected the name of a method first: remote.notify.name(...)")
        return self._invoker.send_notification(self._prefix, make_params(self._prefix, args, kwargs))

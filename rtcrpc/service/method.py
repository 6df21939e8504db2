"""One function, as it is offered: what it is called, how it runs, what it takes and gives."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CodeType, MethodType
from typing import Any, Literal, get_type_hints

from rtcrpc.errors import ExposeError
from rtcrpc.service.array_types import with_arrays
from rtcrpc.service.docstring import Doc, read_docstring
from rtcrpc.service.result import Result
from rtcrpc.service.schema import Parameters

__all__ = ["Method", "Options", "label", "make_method", "refuse_streams"]


@dataclass(frozen=True, slots=True)
class Options:
    """What `expose` was told about a function."""

    name: str | None = None
    description: str | None = None
    idempotent: bool = False
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Method:
    """One function, as it is offered. `kind`: "async" functions run on the user's loop, "sync" ones in the
    pool.
    """

    name: str
    function: Callable[..., Any]
    kind: Literal["async", "sync"]
    parameters: Parameters
    result: Result
    doc: Doc
    idempotent: bool = False
    tags: tuple[str, ...] = ()
    code: CodeType | None = field(default=None, repr=False)
    """The function's code, by which the watchdog knows it in a stack."""

    @property
    def wants_context(self) -> bool:
        """Whether a parameter gets the `Context`."""
        return self.parameters.wants_context


def label(function: Any) -> str:
    """A function in a message: its module and its name there."""
    place = getattr(function, "__qualname__", None) or repr(function)
    return f"{getattr(function, '__module__', None) or '?'}.{place}"


def refuse_streams(name: str, function: Callable[..., Any]) -> None:
    """Raise `ExposeError` for a generator: a call has one result."""
    plain = _unwrap(function)
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        raise ExposeError(
            f"{name}: expected a function that returns one value, got a generator; return a list of the "
            "items instead, or offer a function "
            "that returns the next items each time it is called"
        )


def _unwrap(function: Any) -> Any:
    """What a partial or a decorator was put around."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, MethodType):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            return function


def make_method(
    name: str,
    function: Callable[..., Any],
    options: Options | None = None,
    names: Mapping[str, Any] | None = None,
) -> Method:
    """What `function` is offered as; `names` are those its annotations may use beside the module's.

    Raises `ExposeError`; `NameError` for an annotation whose names are not defined yet.
    """
    options = options or Options()
    refuse_streams(name, function)
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        raise ExposeError(
            f"{name}: its parameters can't be found out; wrap it in a function written with def that has annotations"
        ) from None
    plain = _unwrap(function)
    hints = _hints(name, plain, names)
    parameters = Parameters(name, signature, hints)
    if isinstance(function, MethodType):
        # With **kwargs, a caller could name the parameter that holds the object.
        first = next(iter(inspect.signature(function.__func__).parameters), None)
        if first is not None:
            parameters.reserve(first)
    outer = function.func if isinstance(function, functools.partial) else function
    doc = read_docstring(options.description if options.description is not None else inspect.getdoc(plain))
    return Method(
        name=name,
        function=function,
        kind="async" if inspect.iscoroutinefunction(outer) else "sync",
        parameters=parameters,
        result=Result(name, hints.get("return", inspect.Signature.empty)),
        doc=doc,
        idempotent=options.idempotent,
        tags=options.tags,
        code=getattr(plain, "__code__", None),
    )


def _hints(name: str, plain: Any, names: Mapping[str, Any] | None) -> dict[str, Any]:
    if not hasattr(plain, "__annotations__"):
        return {}
    try:
        hints = get_type_hints(plain, localns=dict(names) if names else None, include_extras=True)
    except NameError:
        raise
    except Exception as error:
        raise ExposeError(f"{name}: an annotation can't be read: {error}") from error
    return {parameter: with_arrays(hint) for parameter, hint in hints.items()}

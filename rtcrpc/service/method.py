"""One function, as it is offered: what it is called, how it runs, what it takes and gives."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import CodeType, MethodType
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from rtcrpc.errors import ExposeError
from rtcrpc.service.array_types import with_arrays
from rtcrpc.service.docstring import Doc, read_docstring
from rtcrpc.service.result import Result
from rtcrpc.service.schema import Parameters
from rtcrpc.service.stream_types import with_streams

__all__ = ["Method", "Options", "label", "make_method"]

_ITERABLES: Final = (AsyncIterable, Iterable)


@dataclass(frozen=True, slots=True)
class Options:
    """What `expose` was told about a function."""

    name: str | None = None
    description: str | None = None
    idempotent: bool = False
    tags: tuple[str, ...] = ()
    reliable: bool = True


@dataclass(frozen=True, slots=True)
class Method:
    """One function, as it is offered. `kind`: "async" functions run on the user's loop, "sync" ones in the
    pool. `is_generator`: calling it gives at once something to iterate, whose items run where the function would.
    """

    name: str
    function: Callable[..., Any]
    kind: Literal["async", "sync"]
    parameters: Parameters
    result: Result
    doc: Doc
    idempotent: bool = False
    tags: tuple[str, ...] = ()
    is_generator: bool = False
    reliable: bool = True
    """False: callers may tell it over the lossy channel, where only the latest counts (protocol section 7.3)."""
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
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        raise ExposeError(
            f"{name}: its parameters can't be found out; wrap it in a function written with def that has annotations"
        ) from None
    plain = _unwrap(function)
    hints = _hints(name, plain, names)
    is_async_generator = inspect.isasyncgenfunction(plain)
    is_generator = is_async_generator or inspect.isgeneratorfunction(plain)
    if is_generator and not options.reliable:
        raise ExposeError(
            f"{name}: reliable=False is for functions that are told something and answer nothing; got a generator, whose items "
            "can't go where messages may be lost"
        )
    returned = hints.pop("return", AsyncIterator[Any] if is_generator else inspect.Signature.empty)
    if is_generator and get_origin(returned) in _ITERABLES:  # `-> Iterable[int]`: it would be read to its end
        returned = AsyncIterator[get_args(returned)[0]]  # type: ignore[misc]
    hints = {parameter: with_streams(name, hint, parameter) for parameter, hint in hints.items()}
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
        kind="async" if is_async_generator or inspect.iscoroutinefunction(outer) else "sync",
        parameters=parameters,
        result=Result(name, with_streams(name, returned)),
        doc=doc,
        idempotent=options.idempotent,
        tags=options.tags,
        is_generator=is_generator,
        reliable=options.reliable,
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

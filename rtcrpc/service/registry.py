"""What a peer offers: functions marked with `expose`, in a table that is matched exactly.

The table is built when a function is registered. A name from the wire is looked up in it and used for nothing
else, so that no attribute of anything can be reached.
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import FrameType, FunctionType, MethodType, ModuleType
from typing import Any, TypeVar, overload

from rtcrpc import limits
from rtcrpc.errors import ExposeError
from rtcrpc.service.method import Method, Options, label, make_method
from rtcrpc.service.openrpc import openrpc_document

__all__ = ["Registry", "default_registry", "expose"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__rtcrpc_exposed__"


class Registry:
    """A table of functions: `@registry.expose` adds one, `registry.expose(obj)` the marked methods of an
    object.
    """

    def __init__(self) -> None:
        self._table: dict[str, Method] = {}
        self._pending: dict[str, tuple[Callable[..., Any], Options]] = {}
        self._lock = threading.RLock()
        self._revision = 0

    @classmethod
    def from_module(cls, module: ModuleType) -> Registry:
        """A registry of all functions that were marked with `rtcrpc.expose` in `module`, not of those it
        imports.
        """
        registry = cls()
        seen: set[int] = set()
        for value in vars(module).values():
            options = _mark_of(value)
            if options is not None and value.__module__ == module.__name__ and id(value) not in seen:
                seen.add(id(value))
                registry._add(value, options)
        registry.complete()
        return registry

    def __len__(self) -> int:
        return len(self._table) + len(self._pending)

    def __contains__(self, name: object) -> bool:
        return name in self._table or name in self._pending

    def __iter__(self) -> Iterator[Method]:
        self.complete()
        return iter(tuple(self._table.values()))

    def __repr__(self) -> str:
        return f"<Registry of {', '.join(self.names()) or 'nothing'}>"

    @property
    def revision(self) -> int:
        """Grows with each change."""
        return self._revision

    def names(self) -> list[str]:
        """The names on offer, in the order in which they were exposed."""
        return [*self._table, *self._pending]

    def method(self, name: str) -> Method | None:
        """The method of exactly this name, or None. Raises `ExposeError` where an annotation still can't
        be resolved.
        """
        found = self._table.get(name)
        if found is None and self._pending:
            self.complete()
            found = self._table.get(name)
        return found

    def openrpc(self, title: str = "rtcrpc", names: Iterable[str] | None = None) -> dict[str, Any]:
        """The OpenRPC 1.3 document of all methods, or of those in `names`."""
        wanted = None if names is None else frozenset(names)
        return openrpc_document([m for m in self if wanted is None or m.name in wanted], title=title)

    @overload
    def expose(self, target: F, /) -> F: ...
    @overload
    def expose(
        self,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        idempotent: bool = False,
        tags: Iterable[str] = (),
        reliable: bool = True,
    ) -> Callable[[F], F]: ...
    @overload
    def expose(
        self,
        target: F,
        /,
        *,
        name: str,
        description: str | None = None,
        idempotent: bool = False,
        tags: Iterable[str] = (),
        reliable: bool = True,
    ) -> F: ...
    @overload
    def expose(self, target: object, /, *, prefix: str | None = None) -> Any: ...
    def expose(
        self,
        target: Any = None,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        idempotent: bool = False,
        tags: Iterable[str] = (),
        reliable: bool = True,
        prefix: str | None = None,
    ) -> Any:
        """Offer a function, or the methods of an object that are marked with `rtcrpc.expose`; returns what it
        was given.

        `name`: what callers call it, by default the name of the function. `description`: in place of the
        docstring. `idempotent`: running it twice does no harm. `tags`: groups for people. `reliable`: False lets
        callers tell it over the lossy channel (`remote.notify.with_(reliable=False)`), where only the latest counts; it
        then runs once at a time for each caller. `prefix`: put before the names of an object's methods, with a dot.
        Raises `ExposeError` where it can't be offered; the text says why.
        """
        options = Options(name, description, idempotent, _tags(tags), reliable)
        if target is None:
            return functools.partial(self._expose, options=options, prefix=prefix)
        return self._expose(target, options, prefix)

    def remove(self, name: str) -> None:
        """Offer `name` no more; `KeyError` where it is not offered."""
        with self._lock:
            if self._pending.pop(name, None) is None:
                del self._table[name]
            self._revision += 1

    def complete(self) -> None:
        """Build what waited for a name that an annotation uses and that was not defined yet. Raises
        `ExposeError`.
        """
        if not self._pending:
            return
        with self._lock:
            for name, (function, options) in tuple(self._pending.items()):
                try:
                    method = make_method(name, function, options)
                except NameError as error:
                    raise ExposeError(
                        f"{name}: an annotation can't be resolved: {error}; define its types at the top of "
                        "the module, outside of functions and of `if TYPE_CHECKING:`"
                    ) from error
                self._table[name] = method
                del self._pending[name]

    def _expose(self, target: Any, options: Options, prefix: str | None) -> Any:
        if _is_function(target):
            if prefix is not None:
                raise ExposeError(f"{label(target)}: prefix goes with an object; use name='{prefix}.…' for a function")
            self._add(target, options)
        elif isinstance(target, (staticmethod, classmethod, property)):
            raise ExposeError(
                f"{type(target).__name__}: mark the method with rtcrpc.expose instead, and then expose an "
                "object of the class"
            )
        elif isinstance(target, type):
            raise ExposeError(
                f"{target.__name__}: expected a function or an object, got a class; mark methods with "
                f"rtcrpc.expose and then call registry.expose({target.__name__}(...))"
            )
        else:
            self._add_object(target, options, prefix)
        return target

    def _add_object(self, target: Any, options: Options, prefix: str | None) -> None:
        kind = type(target)
        if options != Options():
            raise ExposeError(
                f"an object of {kind.__name__}: name, description and tags belong to its methods; use "
                "prefix= for the object"
            )
        marked = []
        for attribute in {key: None for cls in reversed(kind.__mro__) for key in vars(cls)}:
            # The most derived one counts: a method that overrides a marked one is offered only if it is
            # marked itself.
            mark = _mark_of(inspect.getattr_static(kind, attribute))
            if mark is not None:
                name = mark.name or attribute
                full = f"{prefix}.{name}" if prefix else name
                marked.append((getattr(target, attribute), replace(mark, name=full)))
        if not marked:
            raise ExposeError(
                f"an object of {kind.__name__}: expected methods marked with rtcrpc.expose, got none; put "
                "@expose above those to offer"
            )
        with self._lock:
            before = dict(self._table), dict(self._pending)
            try:
                for function, method_options in marked:
                    self._add(function, method_options)
            except BaseException:
                self._table, self._pending = before
                raise

    def _add(self, function: Callable[..., Any], options: Options, *, replace_own: bool = False) -> None:
        name = options.name if options.name is not None else _default_name(function)
        _check_name(name)
        with self._lock:
            present = self._table[name].function if name in self._table else self._pending.get(name, (None,))[0]
            if present is not None and not (replace_own and _same_place(present, function)):
                raise ExposeError(
                    f"{name}: this name is taken by {label(present)}; give one of the two another name with "
                    "expose(name=...), or an object a prefix"
                )
            try:
                method = _make_here(name, function, options)
            except NameError:
                # Under `from __future__ import annotations` a type may be defined further down.
                self._table.pop(name, None)
                self._pending[name] = (function, options)
            else:
                self._pending.pop(name, None)
                self._table[name] = method
            self._revision += 1


_default = Registry()


def default_registry() -> Registry:
    """The registry of the process, to which `rtcrpc.expose` adds functions."""
    return _default


@overload
def expose(target: F, /) -> F: ...
@overload
def expose(
    *,
    name: str | None = None,
    description: str | None = None,
    idempotent: bool = False,
    tags: Iterable[str] = (),
    reliable: bool = True,
) -> Callable[[F], F]: ...
def expose(
    target: Any = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    idempotent: bool = False,
    tags: Iterable[str] = (),
    reliable: bool = True,
) -> Any:
    """Offer a function to other peers: `@expose`, or `@expose(name="arm.move")`.

    A function goes into the `default_registry`, and `Registry.from_module` finds it. A method of a class is
    only marked; `registry.expose(obj)` then offers those of an object. The options are those of
    `Registry.expose`, and so are the errors.
    """
    options = Options(name, description, idempotent, _tags(tags), reliable)
    if target is None:
        return functools.partial(_mark, options=options)
    return _mark(target, options)


def _mark(target: Any, options: Options) -> Any:
    inner = target.__func__ if isinstance(target, (staticmethod, classmethod)) else target
    if not _is_function(inner):
        what = f"the class {target.__name__}" if isinstance(target, type) else f"a {type(target).__name__}"
        raise ExposeError(
            f"expected a function or a method, got {what}; mark the methods of a class with @expose, and "
            "offer an object of it with registry.expose(obj)"
        )
    if options.name is not None:
        _check_name(options.name)
    is_method = target is not inner or _in_class_body(inner)
    if not is_method:
        _default._add(inner, options, replace_own=True)
    if isinstance(inner, FunctionType):
        setattr(inner, _MARK, options)
    elif is_method:
        raise ExposeError(f"{label(inner)}: expected a function written with def, got a {type(inner).__name__}")
    return target


def _make_here(name: str, function: Callable[..., Any], options: Options) -> Method:
    try:
        return make_method(name, function, options)
    except NameError:
        # Under `from __future__ import annotations` the types of a function within a function are names
        # that only the caller's frame knows.
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_globals.get("__name__") == __name__:
            frame = frame.f_back
        return make_method(name, function, options, None if frame is None else frame.f_locals)


def _mark_of(value: Any) -> Options | None:
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    mark = vars(value).get(_MARK) if isinstance(value, FunctionType) else None
    return mark if isinstance(mark, Options) else None


def _in_class_body(function: Any) -> bool:
    """`Arm.move` is a method, `make.<locals>.move` a function within a function."""
    owner, _, _ = getattr(function, "__qualname__", "").rpartition(".")
    return bool(owner) and not owner.endswith("<locals>")


def _is_function(target: Any) -> bool:
    return isinstance(target, (FunctionType, MethodType, functools.partial)) or inspect.isbuiltin(target)


def _tags(tags: Iterable[str]) -> tuple[str, ...]:
    if isinstance(tags, str):
        raise ExposeError(f"tags: expected several, such as ('{tags}',); got one text")
    return tuple(tags)


def _same_place(old: Any, new: Any) -> bool:
    """Whether `new` is what `old` has become: a cell that was run again, a module that was loaded again."""
    return label(old) == label(new)


def _default_name(function: Any) -> str:
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise ExposeError(f"{label(function)}: it has no name of its own; give it one with expose(name=...)")
    return name


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not 1 <= len(name) <= limits.MAX_METHOD_LENGTH:
        got = f"{len(name)} characters" if isinstance(name, str) else repr(name)
        raise ExposeError(f"name: expected 1 to {limits.MAX_METHOD_LENGTH} characters, got {got}")
    if name.startswith(("rpc.", "@")):
        raise ExposeError(f"{name!r}: names that start with 'rpc.' or '@' belong to the protocol; choose another")
    if not name.isprintable():
        raise ExposeError(f"{name!r}: expected a name that can be shown, got characters that can't")

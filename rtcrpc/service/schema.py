"""From a signature to a validator: what a function's parameters accept, and how params become its arguments.

Wrong arguments never reach a function. Built once, when the function is exposed; `bind` is on the path of
every call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from types import GenericAlias
from typing import Annotated, Any, Literal, NoReturn, TypeAlias, Unpack, cast, get_origin

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticUndefined, SchemaError, ValidationError, core_schema

from rtcrpc.errors import ExposeError
from rtcrpc.service.context import Context, is_context_annotation
from rtcrpc.service.issues import Issue, describe, find_issues, one_line
from rtcrpc.service.strictness import UnsupportedType, make_validator, strict

__all__ = ["InvalidParams", "Parameter", "Parameters", "Params", "Structure", "make_adapter"]

Params: TypeAlias = list[Any] | dict[str, Any]
Structure: TypeAlias = Literal["either", "by-name"]

_EMPTY = inspect.Parameter.empty
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class InvalidParams(Exception):
    """Arguments that do not fit. The function did not run."""

    def __init__(self, message: str, issues: list[Issue]) -> None:
        super().__init__(message)
        self.message = message
        self.issues = issues


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter that a caller may set. `variadic`: it is `*args` ("positional") or `**kwargs`
    ("named").
    """

    name: str
    annotation: Any
    required: bool
    keyword_only: bool = False
    default: Any = _EMPTY
    default_factory: Callable[[], Any] | None = None
    variadic: Literal["positional", "named"] | None = None


class Parameters:
    """The parameters of one function, and the validator made of them.

    `items`: those that a caller may set. `structure`: whether params may be a list at all. Raises
    `ExposeError` for a signature that can't be offered, `NameError` for an annotation whose names are not
    defined yet.
    """

    def __init__(self, method: str, signature: inspect.Signature, hints: Mapping[str, Any]) -> None:
        self.method = method
        self._context: tuple[str, int | None] | None = None
        self.items: tuple[Parameter, ...] = self._read(signature, hints)
        self._reserved: tuple[str, ...] = () if self._context is None else (self._context[0],)
        single = [item for item in self.items if item.variadic is None]
        self.structure: Structure = "by-name" if any(i.keyword_only and i.required for i in single) else "either"
        self._positions = tuple(item.name for item in single if not item.keyword_only)
        self._rest = next((i.name for i in self.items if i.variadic == "positional"), "")
        self._open_names = any(i.variadic == "named" for i in self.items)
        self._names = frozenset(item.name for item in single)
        parameters = signature.parameters.values()
        self._positional_only = tuple(
            p.name for p in parameters if p.kind is p.POSITIONAL_ONLY and p.name in self._names
        )
        self._validate = make_validator(self._make_schema(single)).validate_python

    @property
    def wants_context(self) -> bool:
        """Whether a parameter is annotated with `Context`."""
        return self._context is not None

    def bind(self, params: Params, context: Context | None = None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments to call the function with. Raises `InvalidParams`; what a validator of the user
        raises comes out as it is.
        """
        if isinstance(params, list):
            if len(params) > len(self._positions) and not self._rest:
                self._refuse_excess(params)
        elif not self._open_names:
            if len(params) > len(self._names):
                self._refuse_unknown(params)
        elif self._reserved:
            for name in self._reserved:
                if name in params:
                    self._refuse_unknown(params, name)
        try:
            args, kwargs = self._validate(params)
        except ValidationError as error:
            issues = find_issues(error, params, self._positions if isinstance(params, list) else (), self._rest)
            raise InvalidParams(one_line(self.method, issues), issues) from None
        if self._positional_only and len(args) < len(self._positional_only):
            args = (*args, *(kwargs.pop(name) for name in self._positional_only[len(args) :]))
        if self._context is not None:
            name, position = self._context
            if position is None or len(args) < position:
                kwargs[name] = context
            else:
                args = (*args[:position], context, *args[position:])
        return args, kwargs

    def _read(self, signature: inspect.Signature, hints: Mapping[str, Any]) -> tuple[Parameter, ...]:
        items: list[Parameter] = []
        for position, p in enumerate(signature.parameters.values()):
            annotation = hints.get(p.name, Any)
            if is_context_annotation(annotation):
                if p.kind in _VARIADIC or self._context is not None:
                    raise ExposeError(
                        f"{self.method}: {p.name}: expected one plain parameter for the Context, got "
                        f"{'a variadic one' if p.kind in _VARIADIC else 'a second one'}; remove it"
                    )
                self._context = (p.name, None if p.kind is p.KEYWORD_ONLY else position)
                continue
            if p.kind is p.VAR_KEYWORD and get_origin(annotation) is Unpack:
                raise ExposeError(
                    f"{self.method}: **{p.name}: expected a type for all values, got Unpack[...]; "
                    "write the keyword arguments one by one"
                )
            items.append(self._parameter(p, annotation))
        return tuple(items)

    def _parameter(self, p: inspect.Parameter, annotation: Any) -> Parameter:
        if p.kind is p.VAR_POSITIONAL:
            return Parameter(p.name, annotation, required=False, variadic="positional")
        if p.kind is p.VAR_KEYWORD:
            return Parameter(p.name, annotation, required=False, variadic="named")
        default, factory = p.default, None
        if isinstance(default, FieldInfo):
            # `a: int = Field(gt=0)`: the constraints belong to the type, and the default is the field's.
            field = default
            annotation = Annotated[annotation, field]
            factory = cast("Callable[[], Any] | None", field.default_factory)
            default = _EMPTY if field.default in (PydanticUndefined, ...) else field.default
        return Parameter(
            p.name,
            annotation,
            required=default is _EMPTY and factory is None,
            keyword_only=p.kind is p.KEYWORD_ONLY,
            default=default,
            default_factory=factory,
        )

    def _make_schema(self, single: list[Parameter]) -> CoreSchema:
        # All types in one schema, so that what two of them share is defined once.
        types = tuple(item.annotation for item in self.items)
        for item, annotation in zip(self.items, types, strict=True):
            make_adapter(f"{self.method}: {item.name}", annotation)
        combined: TypeAdapter[Any] = TypeAdapter(cast(Any, GenericAlias(tuple, types)))
        whole = cast("dict[str, Any]", strict(combined.core_schema))
        inner = whole["schema"] if whole["type"] == "definitions" else whole
        schemas = dict(zip((item.name for item in self.items), inner["items_schema"], strict=True))
        arguments = core_schema.arguments_schema(
            [_argument(item, schemas[item.name]) for item in single],
            var_args_schema=schemas.get(self._rest),
            var_kwargs_schema=next((schemas[i.name] for i in self.items if i.variadic == "named"), None),
            var_kwargs_mode="uniform" if self._open_names else None,
        )
        if whole["type"] == "definitions":
            return core_schema.definitions_schema(arguments, whole["definitions"])
        return arguments

    def _refuse_excess(self, params: list[Any]) -> NoReturn:
        most = len(self._positions)
        if most < len(self._names):
            expected = f"at most {most} by position (the others by name: params as a map)"
        else:
            expected = f"at most {most} argument{'' if most == 1 else 's'}"
        issue: Issue = {"path": [], "expected": expected, "got": str(len(params))}
        raise InvalidParams(one_line(self.method, [issue]), [issue])

    def _refuse_unknown(self, params: dict[str, Any], name: str | None = None) -> NoReturn:
        if name is None:
            name = next(key for key in params if key not in self._names)
        known = ", ".join(item.name for item in self.items if item.variadic is None)
        expected = f"no parameter of this name (there is {known})" if known else "no parameters"
        issue: Issue = {"path": [name], "expected": expected, "got": describe(params[name])}
        raise InvalidParams(one_line(self.method, [issue]), [issue])

    def reserve(self, name: str) -> None:
        """Refuse `name` in named params: with `**kwargs` it would clash with a parameter that is bound
        already, such as `self`.
        """
        self._reserved = (*self._reserved, name)


def make_adapter(where: str, annotation: Any) -> TypeAdapter[Any]:
    """pydantic's adapter of a type, checked to be one whose values can travel. Raises `ExposeError`,
    beginning with `where`.
    """
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        make_validator(strict(adapter.core_schema))
    except UnsupportedType as error:
        raise ExposeError(f"{where}: {error}") from None
    except (PydanticUserError, SchemaError, TypeError) as error:
        if getattr(error, "code", None) in ("class-not-fully-defined", "undefined-annotation"):
            raise NameError(f"{where}: {error}") from error
        reason = str(error).partition("\n")[0]
        raise ExposeError(
            f"{where}: expected a type whose values can travel, got {inspect.formatannotation(annotation)}; use plain "
            f"types, lists, maps, enums, dataclasses or pydantic models ({reason})"
        ) from error
    return adapter


def _argument(item: Parameter, schema: CoreSchema) -> core_schema.ArgumentsParameter:
    factory = item.default_factory
    if factory is None and item.default is not _EMPTY:
        if isinstance(item.default, Hashable):
            schema = core_schema.with_default_schema(schema, default=item.default)
        else:
            # pydantic would copy it: a default is one object for all calls, as in Python.
            default = item.default
            factory = lambda: default  # noqa: E731
    if factory is not None:
        schema = core_schema.with_default_schema(schema, default_factory=factory)
    mode: Literal["keyword_only", "positional_or_keyword"] = (
        "keyword_only" if item.keyword_only else "positional_or_keyword"
    )
    return core_schema.arguments_parameter(item.name, schema, mode=mode)

"""From what a function returned to a value of the wire (protocol section 10)."""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import inspect
import pathlib
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast, get_origin

from pydantic import BaseModel, RootModel, TypeAdapter
from pydantic_core import PydanticSerializationError, ValidationError

from rtcrpc.errors import EncodeError, ExposeError
from rtcrpc.service.issues import find_issues, one_line
from rtcrpc.service.schema import make_adapter
from rtcrpc.service.strictness import make_validator, strict

__all__ = ["Result", "ResultMismatch", "to_wire"]

_PLAIN: frozenset[type] = frozenset({str, int, float, bool, type(None), bytes})
_PLAIN_FOR: dict[Any, frozenset[type]] = {
    str: frozenset({str}),
    int: frozenset({int}),
    bool: frozenset({bool}),
    float: frozenset({float, int}),
    bytes: frozenset({bytes}),
    None: frozenset({type(None)}),
    type(None): frozenset({type(None)}),
    Any: _PLAIN,
    object: _PLAIN,
}
_PLAIN_SCHEMAS = frozenset({"int", "float", "str", "bool", "none", "bytes"})
_OPEN_SCHEMAS = frozenset(
    {"list", "nullable", "model", "model-fields", "model-field", "typed-dict", "typed-dict-field"}
)
_STREAMS = (
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterable,
    collections.abc.Generator,
    collections.abc.Iterator,
)


class ResultMismatch(TypeError):
    """A function returned something else than its annotation says. A bug of the function; the caller gets
    an internal error.
    """


class Result:
    """What a function's return annotation promises. Raises `ExposeError` where its values can't travel."""

    def __init__(self, method: str, annotation: Any) -> None:
        self.method = method
        if annotation is inspect.Signature.empty:
            annotation = Any
        origin = get_origin(annotation) or annotation
        if origin in _STREAMS:
            raise ExposeError(
                f"{method}: expected a function that returns one value, got one that returns "
                f"{inspect.formatannotation(annotation)}; "
                "return a list of the items instead"
            )
        self.adapter: TypeAdapter[Any] = make_adapter(f"{method}: the result", annotation)
        self._plain = _PLAIN_FOR.get(annotation, frozenset()) if _hashable(annotation) else frozenset()
        # Without a promise there is nothing to check or to convert by; `to_wire` goes by the value.
        self._validate: Callable[[Any], Any] | None = None
        self._complete = False
        if self._plain is not _PLAIN:
            schema = strict(self.adapter.core_schema)
            self._validate = make_validator(schema).validate_python
            self._complete = _all_plain(cast("dict[str, Any]", self.adapter.core_schema))

    def to_wire(self, value: Any) -> Any:
        """The value to send. Raises `ResultMismatch`, or `EncodeError` for a value that can't travel."""
        if type(value) in self._plain:
            return value
        if self._validate is not None:
            if isinstance(value, (bytearray, memoryview)):
                value = bytes(value)
            try:
                # Both, as a model's own fields are not looked at again when an instance of it comes.
                value = self.adapter.dump_python(self._validate(value), by_alias=True, warnings="error")
            except ValidationError as error:
                raise ResultMismatch(one_line(f"the result of {self.method}", find_issues(error, value))) from None
            except PydanticSerializationError as error:
                raise ResultMismatch(f"the result of {self.method}: {error}") from None
            if self._complete:
                return value
        return to_wire(value)


def to_wire(value: Any) -> Any:
    """`value` in types of the wire: models and dataclasses as maps, enums by their value, sets and tuples as
    lists.

    Decimals, UUIDs, dates, durations, times without a zone and paths become text; a time with a zone stays
    what it is. Raises `EncodeError`, which names the place, for everything else.
    """
    try:
        return _wire(value)
    except _Stuck as error:
        raise EncodeError(f"result{''.join(reversed(error.steps))}: {error.reason}") from None
    except RecursionError:
        raise EncodeError("result: the value nests too deep, or holds itself") from None


class _Stuck(Exception):
    """A value that can't travel; the steps to it are gathered, innermost first, on the way out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.steps: list[str] = []


def _wire(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        # A long list of plain values is left alone at the speed of C.
        return value if _PLAIN.issuperset(map(type, value)) else _items(value)
    if kind is dict:
        return _members(value)
    return _convert(value)


def _convert(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return _wire(value.value)
    if isinstance(value, RootModel):
        return _wire(value.root)
    if isinstance(value, BaseModel):
        return _wire(value.model_dump(by_alias=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _members({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if isinstance(value, (list, tuple, set, frozenset, collections.deque)):
        return _items(value)
    if isinstance(value, collections.abc.Mapping):
        return _members(value)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat() if value.tzinfo is None else value
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return _DURATION.dump_python(value, mode="json")
    if isinstance(value, (decimal.Decimal, uuid.UUID, pathlib.PurePath)):
        return str(value)
    plains: tuple[Callable[[Any], Any], ...] = (int, float, str, bytes)
    for plain in plains:
        if isinstance(value, cast(type, plain)):
            return plain(value)
    raise _Stuck(
        f"a value of type {type(value).__name__} can't travel; return plain values, lists, maps, dataclasses or models"
    )


def _items(values: Iterable[Any]) -> list[Any]:
    items: list[Any] = []
    for item in values:
        try:
            items.append(_wire(item))
        except _Stuck as error:
            error.steps.append(f"[{len(items)}]")
            raise
    return items


def _members(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in mapping.items():
        name = key if type(key) is str else _key(key)
        try:
            members[name] = _wire(value)
        except _Stuck as error:
            error.steps.append(f".{name}")
            raise
    return members


def _key(key: Any) -> str:
    if isinstance(key, bool) or not isinstance(key, (str, int, float, uuid.UUID, enum.Enum)):
        raise _Stuck(f"expected text as the key of a map, got {type(key).__name__}")
    return str(key.value if isinstance(key, enum.Enum) else key)


def _hashable(value: Any) -> bool:
    return isinstance(value, collections.abc.Hashable)


def _all_plain(schema: dict[str, Any]) -> bool:
    """Whether what pydantic makes of a value of this type needs no further look.

    Only shapes that are certain: lists, nullable values and models or typed dicts of plain values.
    """
    kind = schema["type"]
    if "serialization" in schema or schema.get("computed_fields") or schema.get("extras_schema"):
        return False
    config = schema.get("config") or {}
    if kind in _PLAIN_SCHEMAS:
        return True
    if kind == "dict":
        return schema.get("keys_schema", {}).get("type") == "str" and _all_plain(schema.get("values_schema", _ANY))
    if kind not in _OPEN_SCHEMAS or config.get("extra_fields_behavior") == "allow" or schema.get("root_model"):
        return False
    if "fields" in schema:
        return all(_all_plain(field) for field in schema["fields"].values())
    return _all_plain(schema.get("items_schema") or schema.get("schema") or _ANY)


_ANY: dict[str, Any] = {"type": "any"}
_DURATION: TypeAdapter[datetime.timedelta] = TypeAdapter(datetime.timedelta)

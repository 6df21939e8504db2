"""From what a function returned to a value of the wire (protocol section 10)."""

from __future__ import annotations

import collections.abc
import inspect
from collections.abc import Callable
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError, ValidationError

from rtcrpc.service.issues import find_issues, one_line
from rtcrpc.service.schema import make_adapter
from rtcrpc.service.strictness import make_validator, strict
from rtcrpc.wire import PLAIN, Special, to_wire

__all__ = ["Result", "ResultMismatch"]

_PLAIN_FOR: dict[Any, frozenset[type]] = {
    str: frozenset({str}),
    int: frozenset({int}),
    bool: frozenset({bool}),
    float: frozenset({float, int}),
    bytes: frozenset({bytes}),
    None: frozenset({type(None)}),
    type(None): frozenset({type(None)}),
    Any: PLAIN,
    object: PLAIN,
}
_PLAIN_SCHEMAS = frozenset({"int", "float", "str", "bool", "none", "bytes"})
_OPEN_SCHEMAS = frozenset(
    {"list", "nullable", "model", "model-fields", "model-field", "typed-dict", "typed-dict-field"}
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
        self.adapter: TypeAdapter[Any] = make_adapter(f"{method}: the result", annotation)
        self._plain = _PLAIN_FOR.get(annotation, frozenset()) if _hashable(annotation) else frozenset()
        # Without a promise there is nothing to check or to convert by; `to_wire` goes by the value.
        self._validate: Callable[[Any], Any] | None = None
        self._complete = False
        if self._plain is not PLAIN:
            schema = strict(self.adapter.core_schema)
            self._validate = make_validator(schema).validate_python
            self._complete = _all_plain(cast("dict[str, Any]", self.adapter.core_schema))

    def to_wire(self, value: Any, special: Special | None = None) -> Any:
        """The value to send; `special` is that of `rtcrpc.wire.to_wire`. Raises `ResultMismatch`, or `EncodeError` for a value that
        can't travel.
        """
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
        return to_wire(value, "result", special)


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

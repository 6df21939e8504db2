"""How strictly a value from the wire must fit a type: pydantic's schemas, changed so that nothing is turned
into something else.

The wire has its own types (protocol section 10), so text stays text and a number stays a number: `"1"` and
`true` are no integers. What the wire has no type for comes in the nearest one, as in JSON: an enum by its
value, a UUID as text, a set as a list, a model or dataclass as a map. pydantic's strict mode refuses those
and its lax mode takes `"1"` for 1, hence a mode of our own.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic_core import CoreSchema, PydanticCustomError, SchemaValidator, core_schema

__all__ = ["UnsupportedType", "make_validator", "strict"]


class UnsupportedType(TypeError):
    """The type has values that can't travel; the text says which, and what to use instead."""


Schema = dict[str, Any]

_EXACT = frozenset({"int", "float", "str", "bool", "bytes"})
_INNER = (
    "schema",
    "items_schema",
    "keys_schema",
    "values_schema",
    "extras_schema",
    "choices",
    "steps",
    "fields",
    "definitions",
    "json_schema",
    "python_schema",
    "lax_schema",
    "strict_schema",
)
_SEQUENCES = frozenset({"list", "tuple", "set", "frozenset", "dict"})

# Type of a schema -> the Python types that may come, the form of text among them, and what to call them all.
# Types are taken exactly: `true` is no number here. Forms, because pydantic reads "1" as a point in time.
_ACCEPTED: Mapping[str, tuple[frozenset[type], str, str]] = {
    "datetime": (frozenset({str, datetime.datetime}), r"\d{4}-", "a date and time"),
    "date": (frozenset({str, datetime.datetime, datetime.date}), r"\d{4}-", "a date, as text YYYY-MM-DD"),
    "time": (frozenset({str, datetime.time}), r"\d\d:", "a time of day, as text HH:MM:SS"),
    "timedelta": (frozenset({str, datetime.timedelta}), r"[-+]?P", "a duration, as text in ISO 8601 form"),
    "uuid": (frozenset({str, uuid.UUID}), "", "a UUID, as text"),
    "decimal": (
        frozenset({str, int, float, decimal.Decimal}),
        "",
        "a decimal number, as text or a number",
    ),
}


def make_validator(schema: CoreSchema) -> SchemaValidator:
    """A validator of a schema that `strict` made.

    `_use_prebuilt=False`: pydantic would put in the validators that models bring along, which are not strict.
    """
    return SchemaValidator(schema, _use_prebuilt=False)


def strict(schema: CoreSchema) -> CoreSchema:
    """A copy of `schema` that takes the values of the wire as they are. Raises `UnsupportedType`."""
    return cast(CoreSchema, _strict(cast(Schema, schema)))


def _strict(schema: Schema) -> Schema:
    kind = schema["type"]
    if kind == "callable":
        raise UnsupportedType("functions can't travel; offer a function of your own for the other side to call")
    if kind in _EXACT:
        return {"strict": True, **schema}
    if kind == "generator":
        # pydantic would check the items while the function reads them: too late.
        schema = {"type": "list", **{k: v for k, v in schema.items() if k != "type"}}
        kind = "list"
    schema = _inside(schema)
    # These have a strict mode that asks for instances, which never come from the wire.
    schema.pop("strict", None)
    if kind in _SEQUENCES:
        # One error is enough: a long list of wrong items must not become a longer list of errors.
        schema["fail_fast"] = True
    elif kind == "json-or-python":
        return _either(schema["json_schema"], schema["python_schema"], schema)
    elif kind == "lax-or-strict":
        return _either(schema["strict_schema"], None, schema)
    elif kind in _ACCEPTED:
        types, form, expected = _ACCEPTED[kind]
        return _guarded(schema, types, expected, form=form)
    elif kind == "enum":
        return _guarded_enum(schema)
    elif kind == "literal":
        return _guarded_literal(schema)
    if isinstance(config := schema.get("config"), dict) and "strict" in config:
        schema["config"] = {key: value for key, value in config.items() if key != "strict"}
    return schema


def _inside(schema: Schema) -> Schema:
    copy = dict(schema)
    for key in _INNER:
        if key in copy:
            copy[key] = _strict_part(copy[key], lenient_keys=key == "keys_schema")
    return copy


def _strict_part(part: Any, lenient_keys: bool = False) -> Any:
    if isinstance(part, dict):
        if isinstance(part.get("type"), str):
            if lenient_keys and part["type"] in ("int", "float"):
                # Keys of a map are text on the wire: `{"1": …}` is how a map with the key 1 comes.
                return part
            return _strict(part)
        return {key: _strict_part(value) for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return type(part)(_strict_part(item) for item in part)
    return part


def _either(first: Schema, second: Schema | None, outer: Schema) -> Schema:
    """Both forms of a type that pydantic reads differently from JSON and from Python; a list has no two
    forms.
    """
    choices = [first] if second is None or first["type"] == "list" else [first, second]
    chosen = choices[0] if len(choices) == 1 else {"type": "union", "choices": choices}
    return {**chosen, "ref": outer["ref"]} if "ref" in outer else chosen


def _guarded_enum(schema: Schema) -> Schema:
    members = [member.value for member in schema["members"]]
    types = _types_of(members)
    if not types <= {str, int, float, bool, type(None)}:
        raise UnsupportedType(
            f"the values of {schema['cls'].__name__} can't travel: expected an enum of text or numbers"
        )
    expected = " or ".join(_shown(value) for value in members)
    return _guarded(schema, types | {schema["cls"]}, expected)


def _guarded_literal(schema: Schema) -> Schema:
    expected = schema["expected"]
    # `Literal[Colour.RED]` is given by the value of the member, as the enum itself is.
    members = {member.value: member for member in expected if isinstance(member, enum.Enum)}
    shown = " or ".join(_shown(value) for value in expected)
    return _guarded(schema, _types_of(expected), shown, members=members)


def _types_of(values: list[Any]) -> frozenset[type]:
    types = {type(value) for value in values}
    types |= {type(value.value) for value in values if isinstance(value, enum.Enum)}
    return frozenset(types | {int} if float in types else types)


def _shown(value: Any) -> str:
    value = value.value if isinstance(value, enum.Enum) else value
    return str(value) if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False)


def _guarded(
    schema: Schema,
    types: frozenset[type],
    expected: str,
    *,
    form: str = "",
    members: Mapping[Any, Any] | None = None,
) -> Schema:
    """`schema`, for values whose type is exactly one of `types`; text begins with `form`, those in `members` are replaced."""
    guard = cast(
        Schema,
        core_schema.no_info_before_validator_function(
            _guard(types, expected, re.compile(form), members or {}), cast(CoreSchema, schema)
        ),
    )
    if "ref" in schema:
        # References must lead to the outermost part.
        guard["ref"] = schema.pop("ref")
    return guard


def _guard(
    types: frozenset[type], expected: str, form: re.Pattern[str], members: Mapping[Any, Any]
) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) not in types or (type(value) is str and not form.match(value)):
            raise PydanticCustomError("wire_type", "Input should be {expected}", {"expected": expected})
        return members.get(value, value) if members else value

    return check

"""What is wrong with arguments, in words: pydantic's errors as `{path, expected, got}` (protocol section
5.1).
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from pydantic_core import ErrorDetails, ValidationError

from rtcrpc.stream.reader import Stream

__all__ = ["Issue", "Path", "describe", "find_issues", "one_line", "show_path"]

Path: TypeAlias = list[str | int]
Issue: TypeAlias = dict[str, Any]
"""`path`: list of names and indexes, from the name of the parameter on; `expected` and `got`: text for
people.
"""

MAX_ISSUES = 16
MAX_SHOWN = 40
"""Characters of a text that are shown of it: an answer must not grow with a wrong question."""

_EXPECTED = {
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_parsing_size": "a shorter integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "bytes_type": "bytes",
    "none_required": "null",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "named_tuple_type": "a list or a map",
    "dict_type": "a map",
    "mapping_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
    "dataclass_type": "a map",
    "dataclass_exact_type": "a map",
    "missing": "a value",
    "missing_argument": "a value",
    "missing_keyword_only_argument": "a value, by name",
    "missing_positional_only_argument": "a value",
    "extra_forbidden": "no such member",
    "unexpected_keyword_argument": "no such parameter",
    "unexpected_positional_argument": "no such parameter",
}
_ABSENT = frozenset(
    {"missing", "missing_argument", "missing_keyword_only_argument", "missing_positional_only_argument"}
)
_OWN_FIELD = _ABSENT | {"extra_forbidden", "unexpected_keyword_argument"}
"""Errors whose last place names a member that may well not be there."""


def find_issues(error: ValidationError, value: Any, positions: Sequence[str] = (), rest: str = "") -> list[Issue]:
    """The issues of `value`, at most 16, one for each place.

    `positions` names the parameters when `value` is a list of arguments; what lies beyond them belongs to
    `rest`, the name of `*rest`.
    """
    found: dict[tuple[str | int, ...], tuple[list[str], str]] = {}
    details = error.errors(include_url=False, include_context=False)
    # An instance of a class of ours is what a caller on the other side can't send: said only where nothing
    # else can be.
    for detail in [d for d in details if d["type"] != "is_instance_of"] or details:
        path = tuple(_path(detail, value, positions, rest))
        expected, _ = found.setdefault(path, ([], _got(detail)))
        if (wanted := _expected(detail)) not in expected:
            expected.append(wanted)
        if len(found) > MAX_ISSUES:
            found.popitem()
            break
    return [{"path": list(path), "expected": " or ".join(e), "got": got} for path, (e, got) in found.items()]


def one_line(method: str, issues: Sequence[Issue]) -> str:
    """`add: b: expected an integer, got "x"`, with the number of further issues."""
    if not issues:
        return f"{method}: the arguments do not fit"
    first = issues[0]
    place = show_path(first["path"])
    more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
    return f"{method}: {place + ': ' if place else ''}expected {first['expected']}, got {first['got']}{more}"


def show_path(path: Sequence[str | int]) -> str:
    """A path as one would write it: `boxes[2].width`."""
    shown = ""
    for step in path:
        if isinstance(step, int):
            shown += f"[{step}]"
        else:
            shown += ("." if shown else "") + _cut(step)
    return shown


def describe(value: Any) -> str:
    """A value of the wire in a few words, never at its full length."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 64 else f"an integer of {value.bit_length()} bits"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(_cut(value), ensure_ascii=False)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{len(value)} bytes"
    if isinstance(value, datetime.datetime):
        return f"the time {value.isoformat()}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"a map of {len(value)}"
    if isinstance(value, Stream):
        return "a stream"
    return f"a value of type {type(value).__name__}"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


def _expected(detail: ErrorDetails) -> str:
    known = _EXPECTED.get(detail["type"])
    if known is not None:
        return known
    text = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if detail["type"] in ("enum", "literal_error"):
        text = text.replace("'", '"')
    return text[:200]


def _got(detail: ErrorDetails) -> str:
    return "nothing" if detail["type"] in _ABSENT else describe(detail["input"])


_NOTHING = object()


def _step(value: Any, place: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(place, _NOTHING)
    if isinstance(value, (list, tuple)) and isinstance(place, int) and place < len(value):
        return value[place]
    return _NOTHING


def _path(detail: ErrorDetails, value: Any, positions: Sequence[str], rest: str) -> Path:
    """The place of an error, without the names of union branches and the like that pydantic puts in
    between.
    """
    path: Path = []
    places = detail["loc"]
    for index, place in enumerate(places):
        inner = _step(value, place)
        if inner is not _NOTHING:
            value = inner
        elif not (index == len(places) - 1 and (detail["type"] in _OWN_FIELD or index == 0)):
            continue
        path.append(place)
    if path and isinstance(path[0], int):
        position = path[0]
        if position < len(positions):
            path[0] = positions[position]
        elif rest:
            path[:1] = [rest, position - len(positions)]
    return path

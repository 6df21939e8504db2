"""From what Python programs hold to values of the wire (protocol section 10): arguments at the caller, results at the callee."""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import pathlib
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, cast

from pydantic import BaseModel, RootModel, TypeAdapter

from rtcrpc.core.arrays import Array
from rtcrpc.core.ndarray import is_numpy, refusal
from rtcrpc.core.values import StreamRef
from rtcrpc.errors import EncodeError

__all__ = ["PLAIN", "Special", "params_to_wire", "to_wire"]

PLAIN: Final[frozenset[type]] = frozenset({str, int, float, bool, type(None), bytes})
"""Types whose values travel as they are."""

Special: TypeAlias = Callable[[Any], Any]
"""Takes what has no form on the wire (a stream, say); returns what stands for it, or `NotImplemented`."""

_Params: TypeAlias = list[Any] | dict[str, Any]


def params_to_wire(params: _Params, special: Special | None = None) -> _Params:
    """The params of a request, in types of the wire; the same object where they are plain. Raises as `to_wire`."""
    values: Iterable[Any] = params.values() if isinstance(params, dict) else params
    for value in values:
        if type(value) not in PLAIN:
            converted: _Params = to_wire(params, "params", special)
            return converted
    return params


def to_wire(value: Any, where: str, special: Special | None = None) -> Any:
    """`value` in types of the wire: models and dataclasses as maps, enums by their value, sets and tuples as
    lists.

    Decimals, UUIDs, dates, durations, times without a zone and paths become text; a time with a zone stays
    what it is, and so does an array. `special` is asked about everything else. Raises `EncodeError`, which names the place, for
    what can't travel; `where` is how the place begins.
    """
    try:
        return _wire(value, special)
    except _Stuck as error:
        raise EncodeError(error.reason, path=f"{where}{''.join(reversed(error.steps))}") from None
    except RecursionError:
        raise EncodeError("the value nests too deep, or holds itself", path=where) from None


class _Stuck(Exception):
    """A value that can't travel; the steps to it are gathered, innermost first, on the way out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.steps: list[str] = []


def _wire(value: Any, special: Special | None) -> Any:
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is list:
        # A long list of plain values is left alone at the speed of C.
        return value if PLAIN.issuperset(map(type, value)) else _items(value, special)
    if kind is dict:
        return _members(value, special)
    return _convert(value, special)


def _convert(value: Any, special: Special | None) -> Any:
    if isinstance(value, (Array, StreamRef)):
        return value
    if is_numpy(value):
        if (reason := refusal(value)) is not None:
            raise _Stuck(reason)
        return value
    if isinstance(value, enum.Enum):
        return _wire(value.value, special)
    if isinstance(value, RootModel):
        return _wire(value.root, special)
    if isinstance(value, BaseModel):
        return _wire(value.model_dump(by_alias=True), special)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _members({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, special)
    if isinstance(value, (list, tuple, set, frozenset, collections.deque)):
        return _items(value, special)
    if isinstance(value, collections.abc.Mapping):
        return _members(value, special)
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
    if special is not None and (made := special(value)) is not NotImplemented:
        return made
    raise _Stuck(
        f"a value of type {type(value).__name__} can't travel; "
        "expected plain values, arrays, lists, maps, dataclasses or models"
    )


def _items(values: Iterable[Any], special: Special | None) -> list[Any]:
    items: list[Any] = []
    for item in values:
        try:
            items.append(_wire(item, special))
        except _Stuck as error:
            error.steps.append(f"[{len(items)}]")
            raise
    return items


def _members(mapping: Mapping[Any, Any], special: Special | None) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in mapping.items():
        name = key if type(key) is str else _key(key)
        try:
            members[name] = _wire(value, special)
        except _Stuck as error:
            error.steps.append(f".{name}")
            raise
    return members


def _key(key: Any) -> str:
    if isinstance(key, bool) or not isinstance(key, (str, int, float, uuid.UUID, enum.Enum)):
        raise _Stuck(f"expected text as the key of a map, got {type(key).__name__}")
    return str(key.value if isinstance(key, enum.Enum) else key)


_DURATION: TypeAdapter[datetime.timedelta] = TypeAdapter(datetime.timedelta)

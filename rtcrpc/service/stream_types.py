"""Streams in type hints: `AsyncIterator[T]`, `AsyncIterable[T]`, `AsyncGenerator[T, ...]` and `rtcrpc.Stream[T]`, wherever they stand in a
hint; in what a function returns also `Iterator[T]` and `Generator[T, ...]`, which are iterated in the pool.

pydantic would read them to the end. Here the items are checked one by one, as they are taken or sent.
"""

from __future__ import annotations

import collections.abc
import functools
import operator
import types
from collections.abc import AsyncIterable, Callable, Iterator
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import GetJsonSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError, core_schema

from rtcrpc.service.issues import find_issues, one_line
from rtcrpc.service.result import Result
from rtcrpc.service.schema import InvalidParams, make_adapter
from rtcrpc.service.strictness import make_validator, strict
from rtcrpc.stream.reader import Stream
from rtcrpc.stream.writer import Writer

__all__ = ["with_streams"]

_ASYNC: Final[frozenset[Any]] = frozenset(
    {collections.abc.AsyncIterator, collections.abc.AsyncIterable, collections.abc.AsyncGenerator, Stream}
)
_SYNC: Final[frozenset[Any]] = frozenset({collections.abc.Iterator, collections.abc.Generator})


def with_streams(method: str, hint: Any, parameter: str = "") -> Any:
    """`hint` with each type of a stream replaced by one that pydantic understands; the same object where there is none.

    `parameter`: the name of the one whose hint it is; none for what the function returns. Raises as `make_adapter` where the items
    can't travel.
    """
    origin = get_origin(hint)
    kind = hint if origin is None else origin
    if _is_one_of(kind, _ASYNC) or (not parameter and _is_one_of(kind, _SYNC)):
        args = get_args(hint)
        item = with_streams(method, args[0], parameter) if args else Any
        return Annotated[Any, _StreamOf(method, item, parameter)]
    if origin is None or origin is Literal:
        return hint
    args = get_args(hint)
    if origin is Annotated:
        inner = with_streams(method, args[0], parameter)
        return hint if inner is args[0] else Annotated[(inner, *args[1:])]
    changed = tuple(with_streams(method, arg, parameter) for arg in args)
    if all(new is old for new, old in zip(changed, args, strict=True)):
        return hint
    if origin in (Union, types.UnionType):
        return functools.reduce(operator.or_, changed)
    return origin[changed]


def _is_one_of(kind: Any, kinds: frozenset[Any]) -> bool:
    return isinstance(kind, type) and kind in kinds


class _StreamOf:
    """What pydantic is told of a stream."""

    def __init__(self, method: str, item: Any, parameter: str) -> None:
        self._method = method
        self._parameter = parameter
        self._adapter: TypeAdapter[Any] = make_adapter(f"{method}: the items of a stream", item)
        self._check: Callable[[Any, int], Any] | None = None
        self._convert = None if parameter else Result(f"an item of {method}", item).to_wire
        if item is not Any and parameter:
            self._validate = make_validator(strict(self._adapter.core_schema)).validate_python
            self._check = self._check_item

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        anything = core_schema.any_schema()
        return core_schema.no_info_plain_validator_function(
            self._read,
            json_schema_input_schema=anything,
            serialization=core_schema.plain_serializer_function_ser_schema(self._write, return_schema=anything),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "object", "x-stream": True, "items": handler(self._adapter.core_schema), **handler(schema)}

    def _read(self, value: Any) -> Any:
        if not self._parameter:
            if isinstance(value, (AsyncIterable, Iterator)):
                return value
        elif isinstance(value, Stream):
            return value if self._check is None else value.check_items(self._check)
        raise PydanticCustomError("wire_type", "Input should be {expected}", {"expected": "a stream"})

    def _write(self, value: Any) -> Any:
        return Writer(value, self._convert) if self._convert is not None else value

    def _check_item(self, item: Any, position: int) -> Any:
        try:
            return self._validate(item)
        except ValidationError as error:
            issues = find_issues(error, item)
            for issue in issues:
                issue["path"] = [self._parameter, position, *issue["path"]]
            raise InvalidParams(one_line(self._method, issues), issues) from None

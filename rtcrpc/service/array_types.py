"""Arrays in type hints: `numpy.ndarray` (bare, or `numpy.typing.NDArray[...]`) and `rtcrpc.Array`, wherever they stand in a hint.

pydantic knows neither. What comes as an array is given as it is, whatever its dtype and shape; a list of numbers, or of lists
of them that are equally long, is taken too where numpy's is asked for, because that is how an array looks in a form and in
plain JSON.
"""

from __future__ import annotations

import functools
import operator
import sys
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from rtcrpc.core.arrays import Array
from rtcrpc.core.ndarray import from_numpy, refusal

__all__ = ["with_arrays"]


def with_arrays(hint: Any) -> Any:
    """`hint` with each type of an array replaced by one that pydantic understands; the same object where there is none."""
    numpy = sys.modules.get("numpy")
    origin = get_origin(hint)
    if hint is Array:
        return _PlainArrays
    if numpy is not None:
        # `NDArray[...]` is an alias, which numpy makes with a type statement where Python has those.
        alias = getattr(hint, "__value__", None)
        if any(one is numpy.ndarray for one in (hint, origin, get_origin(alias))):
            return _NumpyArrays
    if origin is None or origin is Literal:
        return hint
    args = get_args(hint)
    if origin is Annotated:
        inner = with_arrays(args[0])
        return hint if inner is args[0] else Annotated[(inner, *args[1:])]
    changed = tuple(with_arrays(arg) for arg in args)
    if all(new is old for new, old in zip(changed, args, strict=True)):
        return hint
    if origin in (Union, types.UnionType):
        return functools.reduce(operator.or_, changed)
    return origin[changed]


class _Arrays:
    """Stands in a hint for a type of arrays."""

    @classmethod
    def read(cls, value: Any) -> Any:
        """The argument for `value`; `PydanticCustomError` where it is no array."""
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        anything = core_schema.any_schema()
        return core_schema.no_info_plain_validator_function(
            cls.read,
            # Without these pydantic would not write a JSON schema, nor put a description into it.
            json_schema_input_schema=anything,
            serialization=core_schema.plain_serializer_function_ser_schema(_as_it_is, return_schema=anything),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "array", "x-array": True, **handler(schema)}


class _PlainArrays(_Arrays):
    @classmethod
    def read(cls, value: Any) -> Any:
        if isinstance(value, Array):
            return value
        numpy = sys.modules.get("numpy")
        if numpy is None or not isinstance(value, numpy.ndarray) or refusal(value) is not None:
            raise _wrong("an array of numbers")
        return from_numpy(value)


class _NumpyArrays(_Arrays):
    @classmethod
    def read(cls, value: Any) -> Any:
        numpy = sys.modules["numpy"]
        if isinstance(value, numpy.ndarray):
            return value
        if isinstance(value, Array):
            return numpy.asarray(value)
        if type(value) is not list:
            raise _wrong("an array of numbers")
        try:
            array = numpy.asarray(value)
        except (ValueError, OverflowError):
            raise _wrong(_LISTS) from None
        if refusal(array) is not None:
            raise _wrong(_LISTS)
        return array


_LISTS = "a list of numbers, or of lists of them that are equally long"


def _as_it_is(value: Any) -> Any:
    return value


def _wrong(expected: str) -> PydanticCustomError:
    return PydanticCustomError("wire_type", "Input should be {expected}", {"expected": expected})

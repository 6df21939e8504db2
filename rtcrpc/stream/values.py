"""Streams within values: a `Writer` stands where the user's code put something to iterate, a `StreamRef` on the wire, a `Stream` where
it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rtcrpc.wire import PLAIN

__all__ = ["put_in_place"]

K = TypeVar("K")


def put_in_place(value: Any, kind: type[K], of: Callable[[K], Any]) -> Any:
    """`value`, its lists and maps changed as they are: `of(item)` stands for each item of type `kind`."""
    if type(value) is kind:
        return of(value)
    if type(value) is list:
        if not PLAIN.issuperset(map(type, value)):
            for index, item in enumerate(value):
                if type(item) not in PLAIN:
                    value[index] = put_in_place(item, kind, of)
    elif type(value) is dict:
        for key, item in value.items():
            if type(item) not in PLAIN:
                value[key] = put_in_place(item, kind, of)
    return value

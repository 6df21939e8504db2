"""Arrays as arguments and results of exposed functions."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Optional

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import Field

from rtcrpc.core.arrays import Array
from rtcrpc.service.array_types import with_arrays
from rtcrpc.service.method import make_method
from rtcrpc.service.openrpc import openrpc_document
from rtcrpc.service.result import ResultMismatch
from rtcrpc.service.schema import InvalidParams

PICTURE = np.zeros((2, 2, 3), np.uint8)


def bare(a: np.ndarray) -> np.ndarray:
    return a


def typed(a: NDArray[np.float64]) -> NDArray[np.float64]:
    return a


def maybe(a: np.ndarray | None = None) -> np.ndarray | None:
    return a


def optional(a: Optional[np.ndarray] = None) -> Optional[np.ndarray]:  # noqa: UP045
    return a


def many(a: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {str(i): item for i, item in enumerate(a)}


def rest(*a: np.ndarray) -> tuple[np.ndarray, int]:
    return a[0], len(a)


def described(a: Annotated[np.ndarray, Field(description="An image.")]) -> Annotated[np.ndarray, "x"]:
    return a


@pytest.mark.parametrize("function", [bare, typed, maybe, optional, described, many, rest])
def test_an_array_is_taken_and_given_as_it_is(function: Any) -> None:
    method = make_method("f", function)
    args, kwargs = method.parameters.bind([[PICTURE]] if function is many else [PICTURE])
    assert (args[0][0] if function is many else args[0]) is PICTURE
    result = method.result.to_wire(function(*args, **kwargs))
    assert (result if result is PICTURE else result["0"] if function is many else result[0]) is PICTURE


def test_the_schema_says_array() -> None:
    method = make_method("f", described)
    (described_method,) = openrpc_document([method], title="t")["methods"]
    (param,) = described_method["params"]
    assert param["schema"] == {"type": "array", "x-array": True, "description": "An image."}
    assert described_method["result"]["schema"] == {"type": "array", "x-array": True}
    (listed,) = openrpc_document([make_method("f", many)], title="t")["methods"]
    assert listed["params"][0]["schema"] == {"type": "array", "items": {"type": "array", "x-array": True}}


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ([1, 2], np.array([1, 2])),
        ([1, 2.5], np.array([1, 2.5])),
        ([[True], [False]], np.array([[True], [False]])),
        ([], np.array([])),
        (Array("i2", (2,), b"\1\0\2\0"), np.array([1, 2], np.int16)),
    ],
)
def test_what_is_taken_for_an_array(given: Any, read: np.ndarray) -> None:
    ((got,), _) = make_method("f", bare).parameters.bind([given])
    assert got.dtype == read.dtype
    np.testing.assert_array_equal(got, read)


@pytest.mark.parametrize("given", [1, "a", None, {}, b"ab", ["a"], [[1], [1, 2]], [None], [2**70], [{}], [b"a"]])
def test_what_is_no_array(given: Any) -> None:
    with pytest.raises(InvalidParams, match=r"expected (an array|a list) of numbers"):
        make_method("f", bare).parameters.bind([given])


def test_the_array_of_programs_without_numpy() -> None:
    def f(a: Array) -> Array:
        return a

    method = make_method("f", f, names={"Array": Array})
    array = Array("u1", (2,), b"ab")
    ((got,), _) = method.parameters.bind([array])
    assert got is array
    ((got,), _) = method.parameters.bind([np.frombuffer(b"ab", np.uint8)])
    assert got == array
    assert method.result.to_wire(array) is array
    for wrong in ([1, 2], "a", np.array([1j])):
        with pytest.raises(InvalidParams, match="an array of numbers"):
            method.parameters.bind([wrong])


def test_a_function_that_promised_an_array_and_gave_none() -> None:
    with pytest.raises(ResultMismatch, match="an array of numbers"):
        make_method("f", bare).result.to_wire("a")


def test_hints_without_arrays_are_left_alone() -> None:
    for hint in (
        int,
        list[int],
        int | None,
        Optional[int],  # noqa: UP045
        Literal["a"],
        Annotated[int, 1],
        Any,
        None,
        dict[str, list[int]],
    ):
        assert with_arrays(hint) is hint

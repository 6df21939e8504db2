"""One tree of errors, and what of them travels."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from rtcrpc import codes, errors
from rtcrpc.errors import Error, LocalError, RemoteError, RtcRpcError, error_from_wire, error_to_wire

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RtcRpcError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_is_drawn_in_the_tree_and_has_a_code(kind: type[RtcRpcError]) -> None:
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__
    assert kind.__name__ in errors.__all__
    made = kind("why")
    assert (str(made), made.message) == ("why", "why")
    assert made.code in codes.CODE_NAMES
    assert kind in (RtcRpcError, Error, LocalError, RemoteError) or issubclass(kind, LocalError | RemoteError)


@pytest.mark.parametrize("code", codes.CODE_NAMES)
def test_a_code_becomes_a_class_and_keeps_its_words(code: int) -> None:
    made = error_from_wire(code, "words", {"detail": 1})
    assert isinstance(made, RemoteError)
    assert (made.code, made.message, made.detail) == (code, "words", 1)


def test_a_code_that_nobody_knows() -> None:
    made = error_from_wire(7, "", None)
    assert type(made) is RemoteError
    assert (made.code, made.data, made.ran) == (7, None, None)
    assert made.message


def test_what_the_data_says() -> None:
    made = error_from_wire(
        codes.INVALID_PARAMS, "no", {"ran": False, "type": "T", "issues": [{"path": ["a"]}, 5], "retryAfter": 250}
    )
    assert isinstance(made, errors.RemoteInvalidParams)
    assert (made.ran, made.type, made.retry_after) == (False, "T", 0.25)
    assert [issue["path"] for issue in made.issues] == [["a"]]


@pytest.mark.parametrize(
    "data", ["x", 5, [1], {"ran": 0, "type": 5, "issues": {}, "retryAfter": "soon"}, {"retryAfter": -1}]
)
def test_data_from_a_peer_that_means_nothing(data: Any) -> None:
    made = error_from_wire(codes.RESOURCE_EXHAUSTED, "no", data)
    assert (made.ran, made.type, made.issues, made.retry_after) == (None, None, (), None)


class OutOfPaper(Error):
    """An error of a program's own."""


def test_an_error_raised_on_purpose_travels_whole() -> None:
    assert error_to_wire(Error("no paper", detail={"tray": 2})) == (
        codes.APPLICATION_ERROR,
        "no paper",
        {"detail": {"tray": 2}},
    )
    code, message, data = error_to_wire(OutOfPaper("no paper", code=7))
    assert (code, message, data) == (7, "no paper", {"type": "OutOfPaper"})


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("a secret"),
        KeyError("a secret"),
        ExceptionGroup("a secret", [ValueError("a secret")]),
        error_from_wire(codes.APPLICATION_ERROR, "a secret", {"detail": "a secret"}),
        errors.ConnectionLost("a secret", ran=False),
        errors.KeyFileError("a secret"),
        errors.Unavailable("a secret"),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_the_text_of_any_other_exception_stays_here(exc: Exception) -> None:
    assert error_to_wire(exc) == (codes.INTERNAL_ERROR, "internal error", None)


def test_ran_is_of_this_call_not_of_another() -> None:
    nested = errors.Unavailable("there is no printer", ran=False)
    assert error_to_wire(nested) == (codes.INTERNAL_ERROR, "internal error", None)
    assert error_to_wire(ValueError("x"), ran=False) == (codes.INTERNAL_ERROR, "internal error", {"ran": False})
    assert error_to_wire(Error("busy", detail=1), ran=False)[2] == {"detail": 1, "ran": False}


def test_builtin_kinds() -> None:
    assert isinstance(errors.DeadlineExceeded(), TimeoutError)
    assert isinstance(errors.RemoteDeadlineExceeded(), TimeoutError)
    assert isinstance(errors.EncodeError("a"), TypeError)
    assert isinstance(errors.InviteError(), ValueError)
    assert isinstance(errors.IdentityMismatch(), errors.HandshakeError)

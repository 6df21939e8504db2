"""The caller and the context."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any, Optional

import pytest

from rtcrpc.errors import CallCancelled, DeadlineExceeded
from rtcrpc.service.context import Caller, Context, current_context, is_context_annotation

CALLER = Caller("p" * 43, "robot\nERROR forged", "pinned", "lab", ("secret-token",))


def test_tokens_are_not_shown() -> None:
    assert "secret-token" not in repr(CALLER)
    assert "secret-token" not in repr(Context(CALLER, "f"))
    assert "\n" not in repr(CALLER)


def test_remaining() -> None:
    now = [10.0]
    context = Context(CALLER, "f", 12.0, lambda: now[0])
    assert context.remaining() == 2.0
    context.check()
    now[0] = 12.0
    assert context.remaining() == 0.0
    with pytest.raises(DeadlineExceeded):
        context.check()
    assert Context(CALLER, "f").remaining() is None


def test_cancelled() -> None:
    context = Context(CALLER, "f")
    assert not context.cancelled
    context.check()
    context.cancel()
    assert context.cancelled
    with pytest.raises(CallCancelled):
        context.check()


def test_current_context_outside_of_a_call() -> None:
    with pytest.raises(LookupError, match="below an exposed function"):
        current_context()


def test_log_lines_name_the_call_and_cannot_be_forged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "rtcrpc.call"):
        Context(CALLER, "move").logger.info("at %d", 3)
        Context(Caller(None, "x", "anonymous", "lab"), "move").logger.info("there")
    assert [record.getMessage() for record in caplog.records] == [
        f"[move for {'p' * 43}] at 3",
        "[move for no key] there",
    ]
    assert vars(caplog.records[0])["peer"] == "p" * 43


class Mine(Context):
    __slots__ = ()


@pytest.mark.parametrize(
    ("annotation", "verdict"),
    [
        (Context, True),
        (Mine, True),
        (Context | None, True),
        (Optional[Context], True),  # noqa: UP045
        (Annotated[Context, "x"], True),
        (list[Context], False),
        (Callable[[Context], None], False),
        (Caller, False),
        (int, False),
        (Any, False),
        (None, False),
        ("Context", False),
    ],
)
def test_which_annotations_get_it(annotation: Any, verdict: bool) -> None:
    assert is_context_annotation(annotation) is verdict

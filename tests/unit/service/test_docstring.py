"""What is read from a docstring."""

from __future__ import annotations

import pytest

from rtcrpc.service.docstring import Doc, read_docstring


def test_none_and_one_line() -> None:
    assert read_docstring(None) == Doc()
    assert read_docstring("") == Doc()
    assert read_docstring("Add two numbers.") == Doc("Add two numbers.")


def test_a_summary_on_two_lines_and_a_description() -> None:
    doc = read_docstring("""Add two
        numbers.

        Not more.

        Really:
            not more.
        """)
    assert doc.summary == "Add two numbers."
    assert doc.description == "Not more.\n\nReally:\n    not more."
    assert doc.parameters == {}


def test_google() -> None:
    doc = read_docstring("""Move the arm.

        It moves.

        Args:
            to (int): where to,
                in steps: of one
            *rest: further places
            speed: how fast

        Returns:
            where it is: now

        Mind your head.
        """)
    assert doc.summary == "Move the arm."
    assert doc.description == "It moves.\n\nMind your head."
    assert doc.parameters == {
        "to": "where to, in steps: of one",
        "rest": "further places",
        "speed": "how fast",
    }


@pytest.mark.parametrize("head", ["Move the arm.\n\n", ""])
def test_sphinx(head: str) -> None:
    doc = read_docstring(
        head
        + ":param to: where to,\n    in steps\n:param int speed: how fast\n:returns: where it is\n:raises ValueError: no"
    )
    assert doc.summary == head.strip()
    assert doc.description == ""
    assert doc.parameters == {"to": "where to, in steps", "speed": "how fast"}

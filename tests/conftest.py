"""Settings that hold for all tests, and a table of threats and figures at the end of a run."""

from collections.abc import Callable

import pytest
from hypothesis import settings

# A shared machine may stall any one example: each test has a time limit of its own instead.
settings.register_profile("default", deadline=None)
settings.register_profile("soak", deadline=None, max_examples=20_000)
settings.load_profile("default")

_ROWS = pytest.StashKey[list[tuple[str, str]]]()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`report("T4", "250 empty datagrams …: 0 connections ended")` puts a row into the table."""
    rows = request.config.stash.setdefault(_ROWS, [])

    def add(row: str, text: str) -> None:
        rows.append((row, text))

    return add


def _number(row: tuple[str, str]) -> tuple[int, str]:
    digits = "".join(character for character in row[0] if character.isdigit())
    return int(digits or 0), row[0]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the rows, in the order of the threats."""
    rows = terminalreporter.config.stash.get(_ROWS, [])
    if rows:
        terminalreporter.section("threats")
        width = max(len(row) for row, _ in rows)
        for row, text in sorted(rows, key=_number):
            terminalreporter.write_line(f"{row:<{width}}  {text}")

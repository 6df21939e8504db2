"""An owner that fails ends its connection, and hears nothing after the end."""

import logging

import pytest

from rtcrpc.transport.recorder import EventRecorder
from rtcrpc.transport.telling import Teller


class Failing(EventRecorder):
    def message_received(self, data: bytes | str) -> None:
        raise LookupError("on purpose")

    def connection_closed(self, reason: str, clean: bool) -> None:
        super().connection_closed(reason, clean)
        raise LookupError("on purpose, too")


async def test_a_failure_is_logged_and_told() -> None:
    failures: list[bool] = []
    teller = Teller(Failing(), lambda: failures.append(True))
    teller.opened()
    teller.message(b"x")
    assert failures == [True]


async def test_a_failure_at_the_end_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    events = Failing()
    teller = Teller(events, lambda: pytest.fail("the connection has ended already"))
    with caplog.at_level(logging.ERROR, "rtcrpc.transport"):
        teller.closed("over", clean=True)
    assert events.end == ("over", True)
    assert "connection_closed raised" in caplog.text


async def test_nothing_after_the_end() -> None:
    events = EventRecorder()
    teller = Teller(events, lambda: None)
    teller.closed("over", clean=True)
    teller.closed("again", clean=False)
    teller.opened()
    teller.message("late")
    teller.low()
    teller.candidate(None)
    assert events.calls == ["connection_closed"]

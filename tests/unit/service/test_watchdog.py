"""The watchdog, with a clock and a stack of its own; the real thing is in tests/integration/test_watchdog.py."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from rtcrpc.service.call import Call
from rtcrpc.service.context import Caller, Context
from rtcrpc.service.registry import Registry
from rtcrpc.service.watchdog import Watchdog

registry = Registry()


@registry.expose
async def on_loop() -> None: ...


@registry.expose
def in_pool() -> None: ...


class Loop:
    """Timers that the test lets expire."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay: float, fn: Callable[[], None]) -> Any:
        self.timers.append((delay, fn))
        return self

    def cancel(self) -> None:
        self.timers.clear()


class Mailbox:
    """Holds what is posted until the test lets the loop turn."""

    def __init__(self) -> None:
        self.posted: list[Callable[[], object]] = []
        self.open = True

    def post(self, fn: Callable[..., object], *args: Any) -> bool:
        if self.open:
            self.posted.append(lambda: fn(*args))
        return self.open

    def turn(self) -> None:
        posted, self.posted = self.posted, []
        for fn in posted:
            fn()


class Bench:
    """A watchdog with a threshold of 4 seconds, so that it looks each second."""

    def __init__(self) -> None:
        self.now = 100.0
        self.loop = Loop()
        self.mailbox = Mailbox()
        self.calls: set[Call] = set()
        self.watchdog = Watchdog(self.loop, self.mailbox, self.calls, 4.0, lambda: self.now)  # type: ignore[arg-type]

    def begin(self, name: str) -> Call:
        method = registry.method(name)
        assert method is not None
        context = Context(Caller(None, "n", "anonymous", "lab"), name)
        call = Call(None, 1, False, method, [], context, lambda *_: None)  # type: ignore[arg-type]
        call.handed_at = self.now
        self.calls.add(call)
        if not self.watchdog.armed:
            self.watchdog.arm()
        return call

    def pass_seconds(self, seconds: int, *, turning: bool) -> None:
        for _ in range(seconds):
            self.now += 1.0
            if turning:
                self.mailbox.turn()
            timers, self.loop.timers = self.loop.timers, []
            for delay, fn in timers:
                assert delay == 1.0
                fn()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert {(r.name, r.levelno) for r in caplog.records} <= {("rtcrpc.watchdog", logging.WARNING)}
    return [record.getMessage() for record in caplog.records]


def test_it_does_nothing_when_idle(bench: Bench) -> None:
    assert not bench.watchdog.armed
    assert bench.loop.timers == []
    call = bench.begin("on_loop")
    assert bench.watchdog.armed
    bench.calls.discard(call)
    bench.pass_seconds(1, turning=True)
    assert not bench.watchdog.armed
    assert bench.loop.timers == []
    assert bench.mailbox.posted == []


def test_a_loop_that_turns_is_left_alone(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.begin("on_loop")
    bench.pass_seconds(100, turning=True)
    assert messages(caplog) == []
    assert len(bench.loop.timers) == 1


def test_one_warning_for_a_blockage_and_one_for_its_end(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    call = bench.begin("on_loop")
    bench.pass_seconds(3, turning=False)
    assert messages(caplog) == []
    bench.pass_seconds(1, turning=False)
    assert len(messages(caplog)) == 1
    assert "has blocked the loop it runs on for 4.0 s" in messages(caplog)[0]
    bench.pass_seconds(60, turning=False)
    assert len(messages(caplog)) == 1
    bench.calls.discard(call)
    bench.pass_seconds(1, turning=True)
    assert len(messages(caplog)) == 2
    assert messages(caplog)[1].endswith("had blocked it for 65.0 s")
    bench.pass_seconds(1, turning=True)
    assert not bench.watchdog.armed
    caplog.clear()
    bench.begin("on_loop")
    bench.pass_seconds(4, turning=False)
    assert len(messages(caplog)) == 1


def test_a_busy_loop_without_calls_is_none_of_its_business(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    call = bench.begin("in_pool")
    call.claim()
    bench.pass_seconds(20, turning=False)
    assert messages(caplog) == []
    assert bench.mailbox.posted == []


def test_a_loop_that_was_closed_is_let_go(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.begin("on_loop")
    bench.mailbox.open = False
    bench.pass_seconds(20, turning=False)
    assert messages(caplog) == []
    assert bench.loop.timers == []


def test_a_pool_without_a_free_thread(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    holder = bench.begin("in_pool")
    holder.claim()
    holder.ran = True
    bench.pass_seconds(10, turning=True)
    waiting = bench.begin("in_pool")
    bench.begin("in_pool")
    bench.pass_seconds(3, turning=True)
    assert messages(caplog) == []
    bench.pass_seconds(30, turning=True)
    assert len(messages(caplog)) == 1
    assert "2 calls have waited for a thread of the pool, the first for 4.0 s" in messages(caplog)[0]
    assert "held by in_pool (1)" in messages(caplog)[0]
    for call in bench.calls:
        call.claim()
    bench.pass_seconds(1, turning=True)
    assert messages(caplog)[1:] == ["the pool has threads again; calls had waited for 34.0 s"]
    bench.calls.clear()
    bench.pass_seconds(1, turning=True)
    assert not bench.watchdog.armed
    assert waiting.claimed


def test_close(bench: Bench) -> None:
    bench.begin("on_loop")
    bench.watchdog.close()
    assert bench.loop.timers == []

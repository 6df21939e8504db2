"""Reports of progress: how often they go, and which."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

import pytest

from rtcrpc.limits import PROGRESS_MILLIS
from rtcrpc.runtime import Mailbox
from rtcrpc.service.context import Caller, Context
from rtcrpc.service.progress import Progress, Report
from rtcrpc.transport.virtual_clock import run

INTERVAL = PROGRESS_MILLIS / 1000


def test_the_latest_goes_at_a_pace_and_the_last_at_the_end() -> None:
    sent: list[tuple[float, Report]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        progress = Progress(loop, Mailbox(loop), lambda report: sent.append((loop.time(), report)))
        began = loop.time()
        for number in range(100):
            progress.say((number, 100, None))
            await asyncio.sleep(INTERVAL / 10)
        progress.say((100, 100, None))
        progress.flush()
        progress.flush()
        progress.close()
        progress.say((101, 100, None))
        await asyncio.sleep(1)
        times = [time - began for time, _ in sent[:-1]]
        assert all(later - earlier >= INTERVAL * 0.999 for earlier, later in itertools.pairwise(times))

    run(main())
    assert 10 <= len(sent) <= 12
    assert [report[0] for _, report in sent] == sorted({report[0] for _, report in sent})
    assert sent[-1][1] == (100, 100, None)


async def test_reports_may_come_from_any_thread() -> None:
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    sent: list[Report] = []
    threads: set[int] = set()

    def send(report: Report) -> None:
        sent.append(report)
        threads.add(threading.get_ident())
        came.set()

    progress = Progress(loop, Mailbox(loop), send)
    await asyncio.to_thread(progress.say, (1, None, "one"))
    async with asyncio.timeout(10):
        await came.wait()
    assert sent == [(1, None, "one")]
    assert threads == {threading.get_ident()}
    progress.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("1",), "done: expected a number, got str"),
        ((True,), "done: expected a number, got bool"),
        ((None,), "done: expected a number, got NoneType"),
        ((1, "2"), "total: expected a number"),
        ((1, 2, 3), "message: expected text, got int"),
    ],
)
def test_what_is_no_report(arguments: tuple[Any, ...], words: str) -> None:
    context = Context(Caller(None, "x", "anonymous", "lab"), "f")
    with pytest.raises(TypeError, match=words):
        context.progress(*arguments)
    context.progress(1)  # nobody listens

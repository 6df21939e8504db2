"""Streams and progress between two peers, over real DataChannels."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import rtcrpc
from rtcrpc import Context, Error, Registry, RemotePeer, Stream, codes, errors, limits
from rtcrpc.bootstrap import Bootstrap, BootstrapConfig
from rtcrpc.cli.serving import Plan, serving
from rtcrpc.core.session import SessionConfig
from rtcrpc.stream.reader import Inlet
from rtcrpc.stream.writer import Writer

BOUND = 15.0
registry = Registry()


class Endings:
    """Which generators have run their `finally`."""

    def __init__(self) -> None:
        self._seen: dict[str, threading.Event] = {}

    def __getitem__(self, name: str) -> threading.Event:
        return self._seen.setdefault(name, threading.Event())

    async def wait(self, name: str) -> None:
        assert await asyncio.to_thread(self[name].wait, BOUND), f"the end of {name} never came"

    def clear(self) -> None:
        self._seen.clear()


over = Endings()


@registry.expose
async def ticks(n: int, name: str = "ticks") -> AsyncIterator[int]:
    try:
        for number in range(n):
            yield number
    finally:
        over[name].set()


@registry.expose
async def one_and_wait(name: str) -> AsyncIterator[int]:
    try:
        yield 1
        await asyncio.Event().wait()
    finally:
        over[name].set()


@registry.expose
def squares(n: int, name: str = "squares") -> Iterator[int]:
    try:
        for number in range(n):
            yield number * number
    finally:
        over[name].set()


@registry.expose
async def total(items: AsyncIterator[int]) -> int:
    return sum([item async for item in items])


@registry.expose
def total_in_pool(items: Stream[int]) -> int:
    return sum(items)


@registry.expose
async def double(items: AsyncIterator[int]) -> AsyncIterator[int]:
    async for item in items:
        yield 2 * item


@registry.expose
async def deep(parts: dict[str, list[AsyncIterator[str]]]) -> dict[str, list[AsyncIterator[str]]]:
    async def shout(part: AsyncIterator[str]) -> AsyncIterator[str]:
        async for text in part:
            yield text.upper()

    return {key: [shout(part) for part in several] for key, several in parts.items()}


@registry.expose
async def streams_of(n: int) -> AsyncIterator[dict[str, Any]]:
    async def count(to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    for number in range(n):
        yield {"n": number, "up_to": count(number)}


@registry.expose
async def fails(n: int, kindly: bool) -> AsyncIterator[int]:
    for number in range(n):
        yield number
    raise Error("out of paint", detail={"left": 0}) if kindly else RuntimeError("secret")


@registry.expose
async def mistyped() -> AsyncIterator[int]:
    yield 1
    yield "two"  # type: ignore[misc]


@registry.expose
async def holds(items: AsyncIterator[int]) -> None:
    over["holding"].set()
    await asyncio.Event().wait()


@registry.expose
async def whose(context: Context) -> AsyncIterator[bool]:
    over["reading"].set()
    try:
        yield rtcrpc.current_context() is context
        await asyncio.Event().wait()
    finally:
        over["cancelled" if context.cancelled else "whose"].set()


@registry.expose
def works(context: Context, steps: int) -> str:
    for step in range(steps):
        context.progress(step, steps, f"step {step}")
    context.progress(steps, steps)
    return "done"


@registry.expose
async def works_slowly(context: Context) -> str:
    context.progress(1)
    await asyncio.to_thread(over["go on"].wait, BOUND)
    context.progress(2.5, message="nearly")
    return "done"


def alive() -> list[Any]:
    """Both sides of all streams in this process."""
    gc.collect()
    return [thing for thing in gc.get_objects() if isinstance(thing, (Writer, Inlet, Stream))]


known: list[Any] = []


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    over.clear()
    known[:] = alive()  # of other tests, kept so that no new one takes the place of one of them
    yield
    known.clear()


@pytest.fixture
async def remote() -> AsyncIterator[RemotePeer]:
    async with (
        serving(Plan(name="robot", registry=registry, with_page=False)) as served,
        rtcrpc.join(served.link, name="caller") as room,
    ):
        yield await room.peer("robot")


async def numbers(n: int, name: str = "numbers") -> AsyncIterator[int]:
    try:
        for number in range(n):
            yield number
    finally:
        over[name].set()


async def nothing_left() -> None:
    """Until nothing of the streams of this test is left; the caller bounds the wait."""
    before = set(map(id, known))
    while any(id(thing) not in before for thing in alive()):  # noqa: ASYNC110 - nothing tells when an object goes
        await asyncio.sleep(0.01)


# -- there, back, both ways ------------------------------------------------------------------------------


async def test_a_result_that_is_a_stream(remote: RemotePeer) -> None:
    async with asyncio.timeout(BOUND):
        assert [item async for item in remote.call.ticks(5)] == [0, 1, 2, 3, 4]
        stream = await remote.call.ticks(n=3)
        assert isinstance(stream, Stream)
        assert [item async for item in stream] == [0, 1, 2]
        assert [item async for item in stream] == []
        assert [item async for item in remote.call.ticks(0)] == []
        assert [item async for item in remote.call.squares(5)] == [0, 1, 4, 9, 16]
        assert [item async for item in remote.call.ticks(100_000)] == list(range(100_000))
        assert [item async for item in remote.call.squares(20_000)] == [n * n for n in range(20_000)]
        await over.wait("squares")


async def test_an_argument_that_is_a_stream(remote: RemotePeer) -> None:
    async with asyncio.timeout(BOUND):
        assert await remote.call.total(numbers(1000)) == 499_500
        await over.wait("numbers")
        assert await remote.call.total(number for number in range(10_000)) == 49_995_000
        assert await remote.call.total_in_pool(items=numbers(1000)) == 499_500


async def test_both_ways_at_once_in_lock_step(remote: RemotePeer) -> None:
    turns: asyncio.Queue[int] = asyncio.Queue()

    async def questions() -> AsyncIterator[int]:
        for _ in range(20):
            yield await turns.get()

    async with asyncio.timeout(BOUND):
        answers = await remote.call.double(questions())
        for number in range(20):
            turns.put_nowait(number)
            assert await anext(answers) == 2 * number
        with pytest.raises(StopAsyncIteration):
            await anext(answers)
        assert [item async for item in remote.call.double(numbers(5_000))] == [2 * n for n in range(5_000)]


async def test_streams_inside_maps_lists_and_streams(remote: RemotePeer) -> None:
    async def letters(text: str) -> AsyncIterator[str]:
        for letter in text:
            yield letter

    async with asyncio.timeout(BOUND):
        answer = await remote.call.deep({"a": [letters("xyz"), letters("")], "b": [letters("q")]})
        assert [[item async for item in part] for part in answer["a"]] == [["X", "Y", "Z"], []]
        assert [item async for item in answer["b"][0]] == ["Q"]
        seen = [(item["n"], [number async for number in item["up_to"]]) async for item in remote.call.streams_of(30)]
        assert seen == [(n, list(range(n))) for n in range(30)]


async def test_a_large_window_is_filled_without_a_word_of_the_reader() -> None:
    # No heartbeat wakes the writer, and no credit comes before half of the window was taken.
    quiet = SessionConfig(heartbeat_interval=600, stream_window=8 * 2**20)
    blocks = Registry()

    @blocks.expose
    async def some(n: int, size: int) -> AsyncIterator[bytes]:
        for _ in range(n):
            yield bytes(size)

    async with asyncio.timeout(BOUND), Bootstrap(BootstrapConfig()).serve() as server:
        owner = rtcrpc.Peer(name="owner", registry=blocks, session=quiet)
        reader = rtcrpc.Peer(name="reader", session=quiet)
        url = server.room_url("lab")
        async with owner.join(url, pin=reader.peer_id), reader.join(url, pin=owner.peer_id) as room:
            remote = await room.peer("owner")
            for size in (1_000, 35_000):
                lengths = [len(block) async for block in remote.call.some(3_000_000 // size, size)]
                assert lengths == [size] * (3_000_000 // size)


async def test_a_stream_can_be_passed_on(remote: RemotePeer) -> None:
    async with asyncio.timeout(BOUND):
        assert await remote.call.total(await remote.call.ticks(100)) == 4950


async def test_a_stream_is_read_by_one_reader_on_any_thread(remote: RemotePeer) -> None:
    async with asyncio.timeout(BOUND):
        stream = await remote.call.ticks(1000)
        assert await asyncio.to_thread(lambda: list(stream)) == list(range(1000))
        stream = await remote.call.one_and_wait("w")
        assert await anext(stream) == 1
        first = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one reader at a time"):
            await anext(stream)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(TypeError, match="async for"):
            next(stream)


async def test_what_the_function_sees_while_it_is_iterated(remote: RemotePeer) -> None:
    async with asyncio.timeout(BOUND):
        stream = await remote.call.whose()
        assert await anext(stream) is True
        await stream.aclose()
        await over.wait("cancelled")


async def test_the_document_says_what_streams(remote: RemotePeer) -> None:
    methods = {method["name"]: method for method in (await remote.discover())["methods"]}
    assert methods["ticks"]["result"]["schema"] == {"type": "object", "x-stream": True, "items": {"type": "integer"}}
    (items,) = methods["total"]["params"]
    assert items["schema"] == {"type": "object", "x-stream": True, "items": {"type": "integer"}}
    inner = methods["deep"]["result"]["schema"]["additionalProperties"]["items"]
    assert inner == {"type": "object", "x-stream": True, "items": {"type": "string"}}


# -- ends ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["ticks", "squares"])
async def test_leaving_the_loop_early_ends_the_generator(remote: RemotePeer, function: str) -> None:
    async with asyncio.timeout(BOUND):
        async for number in remote.call[function](10**9, "broken off"):
            if number > 1000:
                break
        gc.collect()
        await over.wait("broken off")
        async with await remote.call[function](10**9, "closed") as stream:
            assert await anext(stream) == 0
        await over.wait("closed")
        assert [item async for item in stream] == []
        del stream
        await remote.call[function](10**9)  # never read; its generator may never have begun
        await nothing_left()


async def test_a_generator_that_waits_is_ended_too(remote: RemotePeer) -> None:
    async with asyncio.timeout(BOUND):
        stream = await remote.call.one_and_wait("waits")
        assert await anext(stream) == 1
        await stream.aclose()
        await over.wait("waits")

        reading = asyncio.Event()

        async def read() -> None:
            async for _ in remote.call.one_and_wait("cancelled"):
                reading.set()

        task = asyncio.create_task(read())
        await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()
        await over.wait("cancelled")


async def test_errors_come_behind_the_items_before_them(remote: RemotePeer, caplog: pytest.LogCaptureFixture) -> None:
    got = []
    async with asyncio.timeout(BOUND):

        async def read() -> None:
            async for item in remote.call.fails(3, True):
                got.append(item)

        with pytest.raises(errors.RemoteApplicationError, match="out of paint") as told:
            await read()
        assert got == [0, 1, 2]
        assert told.value.detail == {"left": 0}
        with pytest.raises(errors.RemoteInternalError) as hidden:
            async for _ in remote.call.fails(3, False):
                pass
        assert "secret" not in str(hidden.value)
        assert "fails failed" in caplog.text
        stream = await remote.call.mistyped()
        assert await anext(stream) == 1
        with pytest.raises(errors.RemoteInternalError):
            await anext(stream)


async def test_an_error_of_our_own_stream_reaches_the_function(remote: RemotePeer) -> None:
    async def breaks() -> AsyncIterator[int]:
        yield 1
        raise Error("the sensor fell off")

    async with asyncio.timeout(BOUND):
        # The function does not catch it, and what it was itself answered with does not travel on.
        with pytest.raises(errors.RemoteInternalError):
            await remote.call.total(breaks())


async def test_items_are_checked_as_they_are_taken(remote: RemotePeer) -> None:
    async def odd() -> AsyncIterator[Any]:
        try:
            yield 1
            yield "two"
            await asyncio.Event().wait()
        finally:
            over["odd"].set()

    async with asyncio.timeout(BOUND):
        with pytest.raises(
            errors.RemoteInvalidParams, match=r"total: items\[1\]: expected an integer, got \"two\""
        ) as e:
            await remote.call.total(odd())
        assert e.value.ran is None
        await over.wait("odd")
        with pytest.raises(errors.RemoteInvalidParams, match="expected a stream, got a list of 1"):
            await remote.call.total([1])


async def test_a_call_that_is_not_taken_ends_its_streams(remote: RemotePeer) -> None:
    async with asyncio.timeout(BOUND):
        with pytest.raises(errors.RemoteInvalidParams, match="an integer, got a stream"):
            await remote.call.ticks(numbers(10**9))
        await nothing_left()
        with pytest.raises(errors.RemoteMethodNotFound):
            await remote.call.nothing(numbers(10**9))
        await nothing_left()


async def test_a_call_that_is_given_up_ends_its_streams(remote: RemotePeer) -> None:
    async with asyncio.timeout(BOUND):
        task = asyncio.create_task(remote.call.holds(numbers(10**9, "cancelled")))
        await over.wait("holding")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await over.wait("cancelled")
        with pytest.raises(TimeoutError):
            await remote.call.with_(timeout=0.2).holds(numbers(10**9, "late"))
        await over.wait("late")


async def test_many_calls_given_up_leave_nothing_and_say_nothing(
    remote: RemotePeer, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(BOUND):
        for number in range(100):
            task = asyncio.create_task(remote.call.total(numbers(10**9, f"{number}")))
            await asyncio.sleep(0.001 * (number % 4))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await remote.call.total(numbers(10)) == 45
        del task
        await nothing_left()
    assert caplog.text == ""


async def test_the_most_streams_and_one_more(remote: RemotePeer) -> None:
    async with asyncio.timeout(BOUND):
        streams = [await remote.call.one_and_wait(f"{n}") for n in range(limits.MAX_STREAMS)]
        with pytest.raises(errors.RemoteResourceExhausted):
            await remote.call.one_and_wait("too many")
        await streams.pop().aclose()
        await over.wait(f"{limits.MAX_STREAMS - 1}")
        streams.append(await remote.call.one_and_wait("again"))
        with pytest.raises(errors.ResourceExhausted):
            await remote.call.total([numbers(1) for _ in range(limits.MAX_STREAMS + 1)])
        for stream in streams:
            await stream.aclose()


async def test_closing_the_room_runs_what_is_to_be_run() -> None:
    async with asyncio.timeout(BOUND):
        async with serving(Plan(name="robot", registry=registry, with_page=False)) as served:
            async with rtcrpc.join(served.link, name="caller") as room:
                remote = await room.peer("robot")
                waiting = await remote.call.one_and_wait("ours")
                assert await anext(waiting) == 1
                endless = await remote.call.ticks(10**9, "endless")
                assert await anext(endless) == 0
                pending = asyncio.create_task(anext(waiting))
                await asyncio.sleep(0)
            with pytest.raises(errors.ConnectionLost):
                await pending
            with pytest.raises(errors.ConnectionLost):
                async for _ in endless:
                    pass
        assert over["ours"].is_set()
        assert over["endless"].is_set()


async def test_a_peer_that_leaves_says_that_its_streams_broke() -> None:
    async with asyncio.timeout(BOUND):
        async with serving(Plan(name="robot", registry=registry, with_page=False)) as served:
            room = await rtcrpc.join(served.link, name="caller")
            remote = await room.peer("robot")
            stream = await remote.call.one_and_wait("left")
            assert await anext(stream) == 1
        with pytest.raises((errors.RemoteStreamBroken, errors.ConnectionLost)) as told:
            await anext(stream)
        assert told.value.code in (codes.STREAM_BROKEN, codes.CONNECTION_LOST)
        assert over["left"].is_set()
        await room.close()


# -- progress --------------------------------------------------------------------------------------------


async def test_progress_is_told_at_a_pace_and_the_last_report_always(remote: RemotePeer) -> None:
    reports: list[Any] = []
    async with asyncio.timeout(BOUND):
        began = time.monotonic()
        assert await remote.call.with_(progress=lambda *report: reports.append(report)).works(20_000) == "done"
        took = time.monotonic() - began
        assert reports[-1] == (20_000, 20_000, None)
        assert reports == sorted(reports, key=lambda report: report[0])
        assert len(reports) <= 2 + took / (limits.PROGRESS_MILLIS / 1000) + 1
        reports.clear()
        call = remote.call.with_(progress=lambda *report: (reports.append(report), over["go on"].set()))
        assert await call.works_slowly() == "done"
        assert reports == [(1, None, None), (2.5, None, "nearly")]
        assert await remote.call.works(3) == "done"


# -- another process -------------------------------------------------------------------------------------

ROBOT = """
import asyncio
import os
import resource
from rtcrpc import expose

produced = 0

@expose
async def endless(size: int):
    global produced
    item = b"x" * size
    while True:
        produced += 1
        yield item

@expose
def endless_in_pool(size: int):
    global produced
    while True:
        produced += 1
        yield bytes(size)

@expose
async def state() -> tuple[int, int]:
    pages = int(open("/proc/self/statm").read().split()[1])
    return produced, pages * resource.getpagesize()
"""


@asynccontextmanager
async def robot_process(tmp_path: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    path = tmp_path / "robot.py"
    path.write_text(ROBOT, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rtcrpc", "serve", str(path), "--port", "0", "--json", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            link = json.loads(await process.stdout.readline())["link"]
        yield link, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
@pytest.mark.parametrize(("function", "size"), [("endless", 1_000), ("endless", 100_000), ("endless_in_pool", 10)])
async def test_a_slow_reader_of_an_endless_stream_holds_the_writer(tmp_path: Path, function: str, size: int) -> None:
    async with robot_process(tmp_path) as (link, _), rtcrpc.join(link) as room, asyncio.timeout(BOUND):
        remote = await room.peer()
        _, before = await remote.call.state()
        stream = await remote.call[function](size)
        assert len(await anext(stream)) == size
        earlier, memory = -1, 0
        produced = 0
        while produced != earlier:  # until the writer stands still
            earlier = produced
            await asyncio.sleep(0.2)
            produced, memory = await remote.call.state()
        assert produced * size < 2_000_000 or produced < 20
        assert memory - before < 8 * 2**20
        for _ in range(5 * produced):
            assert len(await anext(stream)) == size
        assert (await remote.call.state())[1] - before < 8 * 2**20


async def test_a_link_that_is_lost_breaks_its_streams(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    session = SessionConfig(heartbeat_interval=0.3, heartbeat_misses=2)
    async with (
        robot_process(tmp_path) as (link, process),
        asyncio.timeout(BOUND),
        rtcrpc.Peer(session=session).join(link) as room,
    ):
        remote = await room.peer()
        stream = await remote.call.endless(10)
        assert await anext(stream) == b"x" * 10
        process.kill()
        with pytest.raises(errors.ConnectionLost):
            async for _ in stream:
                pass
        assert [item async for item in stream] == []

"""Writers and readers on two sessions that are joined by hand: what the user's code is told, and what becomes of sources."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from support.sessions import Party, ready_pair

from rtcrpc import codes
from rtcrpc.core import events
from rtcrpc.core.session import SessionConfig
from rtcrpc.errors import ConnectionLost, Error, RemoteError
from rtcrpc.runtime import Mailbox
from rtcrpc.service.pool import Pool
from rtcrpc.stream.reader import Stream
from rtcrpc.stream.table import LinkStreams
from rtcrpc.stream.writer import AHEAD, Lifting, Sources
from rtcrpc.wire import to_wire

BOUND = 10.0


class End:
    """A party with its streams, on the loop of the test, which is the network thread here."""

    def __init__(self, party: Party, sources: Sources, move: Callable[[], object]) -> None:
        self.party = party
        self.sources = sources
        self.taken: asyncio.Queue[Any] = asyncio.Queue()
        self.streams = LinkStreams(party.session, move, Mailbox(asyncio.get_running_loop()))

    def handle(self) -> None:
        self.party.settle()
        happened, self.party.happened = self.party.happened, []
        for event in happened:
            if isinstance(event, events.NotificationReceived):
                params: Any = event.params
                self.taken.put_nowait(self.streams.take_in(params)[0] if self.streams.arrived else params[0])
            else:
                self.streams.handle(event)

    def send(self, value: Any) -> None:
        lifting = Lifting()
        params = [to_wire(value, "params", lifting)]
        self.streams.place(params, lifting.writers, self.sources)
        self.party.session.send_notification("take", params)
        self.streams.start(lifting.writers)


class Pair:
    """Two ends; what one has to say is carried on the next turn of the loop."""

    def __init__(self, **of_both: Any) -> None:
        loop = asyncio.get_running_loop()
        self.pool = Pool(2)
        mailbox = Mailbox(loop)
        self.due = False
        one, other = ready_pair(**of_both)
        self.a = End(one, Sources(mailbox, self.pool), self.move_soon)
        self.b = End(other, Sources(mailbox, self.pool), self.move_soon)

    def move_soon(self) -> None:
        if not self.due:
            self.due = True
            asyncio.get_running_loop().call_soon(self.move)

    def move(self) -> None:
        self.due = False
        for source, target in ((self.a, self.b), (self.b, self.a)):
            for frame in source.party.session.data_to_send(65_536):
                target.party.receive(frame)
            source.handle()
            target.handle()
        if self.a.party.session.has_data_to_send or self.b.party.session.has_data_to_send:
            self.move_soon()

    async def give(self, value: Any) -> Any:
        """What arrives of `value`."""
        self.a.send(value)
        self.move_soon()
        async with asyncio.timeout(BOUND):
            return await self.b.taken.get()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair()
    yield made
    made.a.streams.close(ConnectionLost("the test is over"))
    made.b.streams.close(ConnectionLost("the test is over"))
    await made.a.sources.drain(BOUND)
    made.pool.close()


class Source:
    """An async source that says what happened to it."""

    def __init__(self, items: list[Any], *, then: BaseException | None = None, wait: bool = False) -> None:
        self.items = items
        self.then = then
        self.wait = wait
        self.started = asyncio.Event()
        self.closed = asyncio.Event()
        self.yielded = 0

    async def __aiter__(self) -> AsyncIterator[Any]:
        self.started.set()
        try:
            for item in self.items:
                self.yielded += 1
                yield item
            if self.then is not None:
                raise self.then
            if self.wait:
                await asyncio.Event().wait()
        finally:
            self.closed.set()


async def everything(stream: Stream[Any]) -> tuple[list[Any], BaseException | None]:
    got = []
    try:
        async with asyncio.timeout(BOUND):
            async for item in stream:
                got.append(item)
    except RemoteError as error:
        return got, error
    return got, None


async def test_items_arrive_as_values_of_the_wire(pair: Pair) -> None:
    stream = await pair.give(Source([1, (2, 3), {4: {5}}, bytearray(b"6")]))
    assert await everything(stream) == ([1, [2, 3], {"4": [5]}, b"6"], None)


@pytest.mark.parametrize(
    ("broken", "code", "words"),
    [
        (Error("no", code=7, detail=[1]), 7, "no"),
        (ValueError("secret"), codes.INTERNAL_ERROR, "internal error"),
        (SystemExit(3), codes.INTERNAL_ERROR, "internal error"),
        (asyncio.CancelledError(), codes.STREAM_BROKEN, "gave it up"),
    ],
)
async def test_what_a_reader_is_told(
    pair: Pair, broken: BaseException, code: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    stream = await pair.give(Source([1, 2], then=broken))
    got, error = await everything(stream)
    assert got == [1, 2]
    assert isinstance(error, RemoteError)
    assert (error.code, "secret" in str(error)) == (code, False)
    assert words in error.message
    assert ("the source of a stream failed" in caplog.text) == (code == codes.INTERNAL_ERROR)


async def test_an_item_that_can_not_travel_breaks_the_stream_behind_those_before_it(pair: Pair) -> None:
    source = Source([1, object(), 3])
    got, error = await everything(await pair.give(source))
    assert got == [1]
    assert isinstance(error, RemoteError)
    assert error.code == codes.INTERNAL_ERROR
    assert source.closed.is_set()


async def test_an_item_that_is_too_large_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    pair = Pair(config=SessionConfig(max_message=10_000))
    source = Source([1, bytes(20_000), 3], wait=True)
    got, error = await everything(await pair.give(source))
    assert got == [1]
    assert isinstance(error, RemoteError)
    assert error.code == codes.TOO_LARGE
    async with asyncio.timeout(BOUND):
        await source.closed.wait()
    pair.a.streams.close(ConnectionLost("the test is over"))
    pair.b.streams.close(ConnectionLost("the test is over"))
    pair.pool.close()


async def test_generators_run_in_the_pool_a_stretch_at_a_time(pair: Pair) -> None:
    threads: set[str] = set()
    closed = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                threads.add(threading.current_thread().name)
                yield bytes(1000)
        finally:
            closed.set()

    streams = [await pair.give(endless()) for _ in range(6)]  # more than the pool has threads
    async with asyncio.timeout(BOUND):
        for _ in range(3 * AHEAD // 1000):
            for stream in streams:
                assert await anext(stream) == bytes(1000)
    assert all(name.startswith("rtcrpc-pool") for name in threads)
    for stream in streams:
        await stream.aclose()
    assert await asyncio.to_thread(closed.wait, BOUND)


async def test_a_pool_that_is_closed(pair: Pair) -> None:
    pair.pool.close()
    _, error = await everything(await pair.give(item for item in [1]))
    assert isinstance(error, RemoteError)
    assert error.code == codes.STREAM_BROKEN


async def test_a_source_that_never_waits_lets_others_run(pair: Pair) -> None:
    turns = 0

    async def busy() -> AsyncIterator[int]:
        for number in range(200_000):
            yield number

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    got, error = await everything(await pair.give(busy()))
    counting.cancel()
    assert (len(got), error) == (200_000, None)
    assert turns > 50


async def test_a_source_is_held_while_nobody_reads(pair: Pair) -> None:
    source = Source([bytes(1000)] * 5000)
    stream = await pair.give(source)
    yielded = -1
    while source.yielded != yielded:
        yielded = source.yielded
        for _ in range(50):
            await asyncio.sleep(0)
    assert 200 < yielded < 1000
    got, _ = await everything(stream)
    assert len(got) == 5000


async def test_a_source_that_was_stopped_before_it_began(pair: Pair) -> None:
    source = Source([1], wait=True)
    pair.a.send(source)
    pair.a.streams.close(ConnectionLost("gone"))
    async with asyncio.timeout(BOUND):
        await pair.a.sources.drain(BOUND)
    assert not source.started.is_set()


async def test_streams_in_items_are_closed_with_their_stream(pair: Pair) -> None:
    inner = Source([1], wait=True)
    outer = Source([{"inner": inner}], wait=True)
    stream = await pair.give(outer)
    async with asyncio.timeout(BOUND):
        item = await anext(stream)
        assert await anext(item["inner"]) == 1
        await stream.aclose()
        await outer.closed.wait()
        assert not inner.closed.is_set()  # streams live by themselves
        del item
        gc.collect()
        await inner.closed.wait()


async def test_letting_go_of_a_stream_stops_it(pair: Pair) -> None:
    source = Source([1], wait=True)
    stream = await pair.give(source)
    assert await anext(stream) == 1
    del stream
    gc.collect()
    async with asyncio.timeout(BOUND):
        await source.closed.wait()


async def test_closing_ends_a_reader_that_waits_in_another_task(pair: Pair) -> None:
    stream = await pair.give(Source([], wait=True))
    waiting = asyncio.create_task(everything(stream))
    for _ in range(5):
        await asyncio.sleep(0)
    await stream.aclose()
    assert await waiting == ([], None)


async def test_what_comes_while_a_stream_is_being_closed_is_not_read(pair: Pair) -> None:
    stream = await pair.give(Source([1, 2], wait=True))
    assert await anext(stream) == 1
    (inlet,) = pair.b.streams._inlets.values()
    stream.close()
    inlet.put([3], 10)  # the network thread has not heard of it yet
    assert await everything(stream) == ([], None)


async def test_a_link_that_ends(pair: Pair) -> None:
    source = Source([1], wait=True)
    stream = await pair.give(source)
    assert await anext(stream) == 1
    pair.b.streams.close(ConnectionLost("cable"))
    pair.a.streams.close(ConnectionLost("cable"))
    with pytest.raises(ConnectionLost, match="cable"):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    async with asyncio.timeout(BOUND):
        await source.closed.wait()


async def test_leaving_gives_up_what_has_not_ended_and_lets_the_rest_out(pair: Pair) -> None:
    endless, finite = Source([1], wait=True), Source([1, 2])
    one, other = await pair.give(endless), await pair.give(finite)
    async with asyncio.timeout(BOUND):
        await finite.closed.wait()
        await endless.started.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        pair.a.streams.leave()
        pair.move_soon()
        assert (await everything(other)) == ([1, 2], None)
        got, error = await everything(one)
        assert got == [1]
        assert isinstance(error, RemoteError)
        assert error.code == codes.STREAM_BROKEN
        await endless.closed.wait()

"""What `rtcrpc.transport.base` promises, asked of every transport."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

import pytest
import uvloop

from rtcrpc.errors import ConnectionLost, ProtocolError, TooLarge
from rtcrpc.limits import LOSSY_BUFFER, LOSSY_FRAME
from rtcrpc.transport import virtual_clock
from rtcrpc.transport.base import CLOSED_HERE, CLOSED_THERE, Broken, Candidate, Transport
from rtcrpc.transport.memory import MemoryNetwork
from rtcrpc.transport.recorder import EventRecorder, connect, make_ends
from rtcrpc.transport.webrtc import WebRtcTransport, loopback_addresses

REAL_SECONDS = 20.0

Scenario = Callable[[Transport, Transport], Awaitable[None]]


@dataclass(frozen=True)
class Backend:
    name: str
    transports: Callable[[], tuple[Transport, Transport]]
    run: Callable[[Coroutine[Any, Any, None]], None]
    real: bool

    def __call__(self, scenario: Scenario) -> None:
        async def main() -> None:
            async with asyncio.timeout(REAL_SECONDS if self.real else 3600):
                await scenario(*self.transports())

        self.run(main())


def memory(**misfortunes: float) -> Callable[[], tuple[Transport, Transport]]:
    def make() -> tuple[Transport, Transport]:
        network = MemoryNetwork(7, **misfortunes)
        return network.transport("alice"), network.transport("bob")

    return make


def webrtc() -> tuple[Transport, Transport]:
    return (
        WebRtcTransport(host_addresses=loopback_addresses),
        WebRtcTransport(host_addresses=loopback_addresses),
    )


def on_asyncio(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner() as runner:
        runner.run(main)


def on_uvloop(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


BACKENDS = [
    Backend("memory", memory(), virtual_clock.run, real=False),
    Backend(
        "memory-bad",
        memory(loss=0.1, jitter=0.02, duplicate=0.1, reorder=0.2),
        virtual_clock.run,
        real=False,
    ),
    Backend("webrtc-asyncio", webrtc, on_asyncio, real=True),
    Backend("webrtc-uvloop", webrtc, on_uvloop, real=True),
]


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param


def test_opens_and_fingerprints_agree_crosswise(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = await connect(a, b)
        assert len(ours.connection.local_fingerprint) == 32
        assert ours.connection.remote_fingerprint == theirs.connection.local_fingerprint
        assert theirs.connection.remote_fingerprint == ours.connection.local_fingerprint
        assert ours.connection.max_message_size == theirs.connection.max_message_size >= 16384
        assert ours.events.calls.count("channel_opened") == 1
        assert ours.events.candidates[-1] is None
        await ours.connection.close(drain=5)
        await theirs.connection.close(drain=5)

    backend(scenario)


def test_messages_keep_their_order_their_type_and_every_byte(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = await connect(a, b)
        most = ours.connection.max_message_size
        sent: list[bytes | str] = []
        for size in (0, 1, 1200, 16384, most):
            sent.append(os.urandom(size))
            sent.append("é" * (size // 2) + "x" * (size % 2))
        for message in sent:
            ours.connection.send(message)
        assert await theirs.events.received(len(sent)) == sent
        for message in sent:
            theirs.connection.send(message)
        assert await ours.events.received(len(sent)) == sent
        await ours.connection.close(drain=5)
        await theirs.connection.close(drain=5)

    backend(scenario)


def test_both_sides_send_at_once(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = await connect(a, b)
        for number in range(500):
            ours.connection.send(f"ours {number}")
            theirs.connection.send(f"theirs {number}".encode())
        assert await theirs.events.received(500) == [f"ours {n}" for n in range(500)]
        assert await ours.events.received(500) == [f"theirs {n}".encode() for n in range(500)]
        await ours.connection.close(drain=5)
        await theirs.connection.close(drain=5)

    backend(scenario)


@pytest.mark.parametrize("kind", ["binary", "text"])
def test_one_byte_more_than_the_longest_is_refused_and_the_rest_goes_on(backend: Backend, kind: str) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = await connect(a, b)
        most = ours.connection.max_message_size
        long: bytes | str = bytes(most + 1) if kind == "binary" else "é" * (most // 2) + "x"
        with pytest.raises(TooLarge, match=str(most)):
            ours.connection.send(long)
        ours.connection.send("still here")
        assert await theirs.events.received(1) == ["still here"]
        await ours.connection.close(drain=5)
        await theirs.connection.close(drain=5)

    backend(scenario)


def test_the_last_200_messages_arrive_before_the_end(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = await connect(a, b)
        for number in range(200):
            ours.connection.send(number.to_bytes(2, "big") * 600)
        await ours.connection.close(drain=30)
        await theirs.events.closed.wait()
        assert [message[:2] for message in theirs.events.messages] == [n.to_bytes(2, "big") for n in range(200)]
        assert ours.events.end == (CLOSED_HERE, True)
        assert theirs.events.end == (CLOSED_THERE, True)
        assert theirs.events.calls[-1] == "connection_closed"
        await theirs.connection.close(drain=None)

    backend(scenario)


def test_what_the_other_side_had_queued_still_comes(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = await connect(a, b)
        for number in range(50):
            theirs.connection.send(f"{number}" * 200)
        await ours.connection.close(drain=30)
        assert len(ours.events.messages) == 50
        assert ours.events.end == (CLOSED_HERE, True)
        await theirs.connection.close(drain=5)

    backend(scenario)


def test_both_sides_close_at_once(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = await connect(a, b)
        ours.connection.send("last of ours")
        theirs.connection.send("last of theirs")
        await asyncio.gather(ours.connection.close(drain=30), theirs.connection.close(drain=30))
        assert ours.events.messages == ["last of theirs"]
        assert theirs.events.messages == ["last of ours"]
        for end in (ours, theirs):
            assert end.events.end is not None
            assert end.events.end[0] in (CLOSED_HERE, CLOSED_THERE)
            assert end.events.calls.count("connection_closed") == 1

    backend(scenario)


def test_buffered_amount_grows_and_falls_and_low_is_told(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = await connect(a, b)
        assert ours.connection.buffered_amount == 0
        frames = 0
        while ours.connection.buffered_amount <= ours.connection.low_mark:
            ours.connection.send(bytes(16384))
            frames += 1
        assert not ours.events.low.is_set()
        await ours.events.low.wait()
        assert ours.connection.buffered_amount <= ours.connection.low_mark
        await theirs.events.received(frames)
        await ours.connection.close(drain=5)
        await theirs.connection.close(drain=5)

    backend(scenario)


def test_a_sink_may_send_when_told_that_there_is_room(backend: Backend) -> None:
    class Pump(EventRecorder):
        left = 100

        def channel_opened(self) -> None:
            super().channel_opened()
            self.fill()

        def buffered_amount_low(self) -> None:
            super().buffered_amount_low()
            self.fill()

        def fill(self) -> None:
            while self.left and connection.buffered_amount < 65536:
                connection.send(bytes(8192))
                self.left -= 1

    connection: Any = None

    async def scenario(a: Transport, b: Transport) -> None:
        nonlocal connection
        pump, sink = Pump(), EventRecorder()
        connection, other = a.create(pump, ()), b.create(sink, ())
        await connection.accept_answer(await other.accept_offer(await connection.create_offer()))
        assert len(await sink.received(100)) == 100
        await connection.close(drain=5)
        await other.close(drain=5)

    backend(scenario)


def test_closing_at_once_is_not_called_clean(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = await connect(a, b)
        await ours.connection.close(drain=None)
        assert ours.events.end == (CLOSED_HERE, False)
        await theirs.events.closed.wait()
        assert theirs.events.end is not None
        # The word of it may get lost, and then the path is.
        assert theirs.events.end[0] in (CLOSED_THERE, Broken.PATH_LOST)
        assert theirs.events.end[1] is False
        await theirs.connection.close(drain=None)

    backend(scenario)


def test_close_may_come_in_any_state_and_again(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        for step in range(4):
            ours, theirs = make_ends(a, b)
            if step > 0:
                offer = await ours.connection.create_offer()
            if step > 1:
                answer = await theirs.connection.accept_offer(offer)
            if step > 2:
                await ours.connection.accept_answer(answer)
            await asyncio.gather(ours.connection.close(drain=5), ours.connection.close(drain=None))
            await theirs.connection.close(drain=None)
            await ours.connection.close(drain=5)
            assert ours.events.end == (CLOSED_HERE, True)
            assert ours.events.calls.count("connection_closed") == 1
            assert await ours.connection.path() is None
            with pytest.raises(ConnectionLost):
                await ours.connection.create_offer()

    backend(scenario)


def test_sending_before_the_opening_and_after_the_end_is_refused(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = make_ends(a, b)
        with pytest.raises(ConnectionLost):
            ours.connection.send("too early")
        await theirs.connection.close(drain=None)
        await ours.connection.close(drain=None)
        ours, theirs = await connect(a, b)
        await ours.connection.close(drain=5)
        with pytest.raises(ConnectionLost):
            ours.connection.send("too late")
        await theirs.connection.close(drain=5)

    backend(scenario)


def test_path_tells_how_packets_go(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = await connect(a, b)
        ours.connection.send("there")
        await theirs.events.received(1)
        theirs.connection.send("and back")
        await ours.events.received(1)
        path = await ours.connection.path()
        assert path is not None
        assert not path.relayed
        assert (path.local_type, path.protocol) == ("host", "udp")
        assert path.remote_type in ("host", "prflx")
        assert path.family in ("ipv4", "ipv6")
        assert path.rtt is None or 0 < path.rtt < 5
        await ours.connection.close(drain=5)
        await theirs.connection.close(drain=5)
        assert await ours.connection.path() is None

    backend(scenario)


def test_the_same_transports_dial_again_and_the_other_way(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        for dialer, answerer in ((a, b), (b, a), (a, b)):
            ours, theirs = await connect(dialer, answerer)
            ours.connection.send("hello")
            assert await theirs.events.received(1) == ["hello"]
            await ours.connection.close(drain=5)
            await theirs.connection.close(drain=5)

    backend(scenario)


def test_an_offer_with_another_fingerprint_never_opens(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = make_ends(a, b)
        offer = await ours.connection.create_offer()
        fingerprint = ours.connection.local_fingerprint.hex(":").upper()
        forged = offer.replace(fingerprint, bytes(32).hex(":").upper())
        assert forged != offer
        await ours.connection.accept_answer(await theirs.connection.accept_offer(forged))
        await theirs.events.closed.wait()
        assert theirs.events.end == (Broken.FINGERPRINT, False)
        assert not theirs.events.opened.is_set()
        await ours.connection.close(drain=None)
        await theirs.connection.close(drain=None)

    backend(scenario)


@pytest.mark.parametrize("how", ["none", "two", "other hash"])
def test_a_description_without_exactly_one_fingerprint_is_refused(backend: Backend, how: str) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = make_ends(a, b)
        lines = (await ours.connection.create_offer()).splitlines(keepends=True)
        at = next(i for i, line in enumerate(lines) if line.startswith("a=fingerprint"))
        if how == "two":
            lines.insert(at, f"a=fingerprint:sha-256 {bytes(32).hex(':').upper()}\r\n")
        else:
            lines[at] = "" if how == "none" else f"a=fingerprint:sha-512 {bytes(64).hex(':').upper()}\r\n"
        with pytest.raises(ProtocolError, match="sha-256 fingerprint"):
            await theirs.connection.accept_offer("".join(lines))
        await ours.connection.close(drain=None)
        await theirs.connection.close(drain=None)

    backend(scenario)


def test_a_description_that_is_too_long_is_refused(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = make_ends(a, b)
        offer = await ours.connection.create_offer()
        with pytest.raises(TooLarge, match="16384"):
            await theirs.connection.accept_offer(offer + "a=x:" + "y" * 16384)
        await ours.connection.close(drain=None)
        await theirs.connection.close(drain=None)

    backend(scenario)


def test_candidates_may_come_first_and_bad_ones_are_refused(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = make_ends(a, b)
        await theirs.connection.add_candidate(Candidate("candidate:1 1 udp 1 127.0.0.1 9 typ host"))
        await theirs.connection.add_candidate(Candidate(""))
        with pytest.raises(ProtocolError):
            await theirs.connection.add_candidate(Candidate("not a candidate"))
        answer = await theirs.connection.accept_offer(await ours.connection.create_offer())
        await ours.connection.accept_answer(answer)
        await asyncio.gather(ours.events.opened.wait(), theirs.events.opened.wait())
        await ours.connection.close(drain=5)
        await theirs.connection.close(drain=5)

    backend(scenario)


def test_what_may_be_lost_arrives_whole_or_not_at_all_and_holds_nothing_up(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = await connect(a, b)
        assert ours.connection.lossy
        assert theirs.connection.lossy
        sent = {number.to_bytes(2, "big") * 550 for number in range(200)}
        assert {len(frame) for frame in sent} == {LOSSY_FRAME}
        for number in range(200):
            theirs.connection.send(f"reliable {number}")
            theirs.connection.send_lossy(number.to_bytes(2, "big") * 550)
        assert await ours.events.received(200) == [f"reliable {number}" for number in range(200)]
        while len(set(ours.events.lossy)) < 100:
            ours.events.lossy_arrived.clear()
            await ours.events.lossy_arrived.wait()
        assert set(ours.events.lossy) <= sent
        for end in (ours, theirs):
            await end.connection.close(drain=5)
        assert ours.events.calls.index("channel_opened") < ours.events.calls.index("lossy_received")

    backend(scenario)


def test_the_lossy_channel_both_ways_and_its_buffer(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = await connect(a, b)
        for one, other in ((ours, theirs), (theirs, ours)):
            assert one.connection.lossy_buffered_amount == 0
            other.events.lossy_arrived.clear()
            while not other.events.lossy:  # one at a time: any of them may be lost
                one.connection.send_lossy(b"pose")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await other.events.lossy_arrived.wait()
            assert set(other.events.lossy) == {b"pose"}
        sent = 0
        while ours.connection.lossy_buffered_amount <= LOSSY_BUFFER // 2:
            ours.connection.send_lossy(bytes(LOSSY_FRAME))
            sent += 1
        assert not ours.events.low.is_set()
        assert ours.connection.buffered_amount == 0
        await ours.events.low.wait()
        assert ours.connection.lossy_buffered_amount <= LOSSY_BUFFER // 2
        for end in (ours, theirs):
            await end.connection.close(drain=5)

    backend(scenario)


def test_a_lossy_frame_at_the_limit_and_past_it_and_past_the_end(backend: Backend) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        ours, theirs = await connect(a, b)
        ours.connection.send_lossy(bytes(LOSSY_FRAME))
        with pytest.raises(TooLarge, match=str(LOSSY_FRAME)):
            ours.connection.send_lossy(bytes(LOSSY_FRAME + 1))
        await ours.connection.close(drain=5)
        ours.connection.send_lossy(b"too late")
        await theirs.events.closed.wait()
        assert theirs.events.calls[-1] == "connection_closed"
        await theirs.connection.close(drain=None)

    backend(scenario)


@pytest.mark.parametrize("without", ["dialer", "answerer"])
def test_a_lossy_channel_on_one_side_only_harms_nothing(without: str) -> None:
    async def scenario() -> None:
        sides = [WebRtcTransport(host_addresses=loopback_addresses, lossy=lossy) for lossy in (False, True)]
        a, b = sides if without == "dialer" else reversed(sides)
        async with asyncio.timeout(REAL_SECONDS):
            ours, theirs = await connect(a, b)
            assert not ours.connection.lossy
            assert not theirs.connection.lossy, "the other side can't skip what is lost"
            for end, other in ((ours, theirs), (theirs, ours)):
                end.connection.send_lossy(b"nobody takes this")
                channel = cast(Any, end.connection)._stack.lossy_channel
                if channel is not None:
                    channel.send(b"nor this")
                end.connection.send("fine")
                assert await other.events.received(1) == ["fine"]
            assert ours.events.lossy == theirs.events.lossy == []
            for end in (ours, theirs):
                await end.connection.close(drain=5)
            assert ours.events.end == (CLOSED_HERE, True)

    on_uvloop(scenario())


def fail(*_: Any) -> None:
    raise ValueError("on purpose")


@pytest.mark.parametrize("where", ["channel_opened", "message_received", "lossy_received", "buffered_amount_low"])
def test_a_sink_that_raises_ends_its_connection_only(
    backend: Backend, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(a: Transport, b: Transport) -> None:
        bystander, other_bystander = await connect(a, b)
        failing, recorder = EventRecorder(), EventRecorder()
        setattr(failing, where, fail)
        ours, theirs = a.create(failing, ()), b.create(recorder, ())
        await ours.accept_answer(await theirs.accept_offer(await ours.create_offer()))
        await recorder.opened.wait()
        if where == "message_received":
            theirs.send("makes it fail")
        elif where == "lossy_received":
            while not failing.closed.is_set():
                theirs.send_lossy(b"makes it fail")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await failing.closed.wait()
        elif where == "buffered_amount_low":
            await failing.opened.wait()
            while ours.buffered_amount <= ours.low_mark:
                ours.send(bytes(16384))
        await failing.closed.wait()
        assert failing.end == (Broken.SINK, False)
        bystander.connection.send("fine")
        assert await other_bystander.events.received(1) == ["fine"]
        for connection in (ours, theirs, bystander.connection, other_bystander.connection):
            await connection.close(drain=None)

    backend(scenario)
    [record] = [r for r in caplog.records if r.name == "rtcrpc.transport" and where in r.getMessage()]
    assert record.exc_info is not None


def test_many_connections_leave_nothing_behind(backend: Backend) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def scenario(a: Transport, b: Transport) -> None:
        # The first one makes what is kept: certificates, lazily opened files.
        for connection in await connect(a, b):
            await connection.connection.close(drain=None)
        tasks, open_before = len(asyncio.all_tasks()), descriptors()
        pairs = [await connect(a, b) for _ in range(15)]
        for number, (ours, theirs) in enumerate(pairs):
            ours.connection.send(b"x" * 1000)
            await theirs.events.received(1)
            await ours.connection.close(drain=5 if number % 2 else None)
            await theirs.connection.close(drain=5)
        # Half-open ones: dialed, never answered.
        for _ in range(5):
            ours, theirs = make_ends(a, b)
            await theirs.connection.accept_offer(await ours.connection.create_offer())
            await ours.connection.close(drain=None)
            await theirs.connection.close(drain=None)
        assert len(asyncio.all_tasks()) == tasks
        if backend.real:
            assert descriptors() == open_before

    backend(scenario)

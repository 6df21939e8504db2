"""rtcrpc.sync as scripts and notebooks use it: over real DataChannels, from threads, under Ctrl-C."""

from __future__ import annotations

import asyncio
import concurrent.futures
import signal
import subprocess
import sys
import textwrap
import threading
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

import rtcrpc
from rtcrpc.bootstrap import Bootstrap, BootstrapConfig

BOUND = 15
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")


class Robot:
    """A peer and a bootstrap on an event loop of their own; `said` is what its functions and its room tell."""

    def __init__(self) -> None:
        self.said: SimpleQueue[str] = SimpleQueue()
        self._heard: list[str] = []
        self.registry = rtcrpc.Registry()
        self.registry.expose(self.add)
        self.registry.expose(self.fail)
        self.registry.expose(self.wait)
        self.registry.expose(self.note)
        self.registry.expose(self.ask_back)
        self.registry.expose(self.ticks)
        self.registry.expose(self.total)
        self.registry.expose(self.doubled)
        self.registry.expose(self.sensors)
        self.registry.expose(self.count)
        self.registry.expose(self.copy)
        self.peer = rtcrpc.Peer(name="robot", registry=self.registry, policy=rtcrpc.OpenPolicy())
        self._ready: concurrent.futures.Future[str] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.url = self._ready.result(BOUND)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with Bootstrap(BootstrapConfig()).serve() as server:
            url = server.room_url("lab")
            async with self.peer.join(url) as self.room:
                self.room.on("left", lambda event: self.said.put(f"left: {event.peer.name}"))
                self._ready.set_result(url)
                await self._stop.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(BOUND)

    def hears(self, text: str) -> None:
        """Wait until that is said, whatever else is said before or was meanwhile."""
        while text not in self._heard:
            self._heard.append(self.said.get(timeout=BOUND))
        self._heard.remove(text)

    @property
    def link(self) -> dict[str, Any]:
        return {"where": self.url, "pin": self.peer.peer_id}

    # -- what it offers ----------------------------------------------------------------------------------

    def add(self, a: int, b: int) -> int:
        return a + b

    def fail(self) -> None:
        raise rtcrpc.Error("the arm is stuck", detail={"joint": 3})

    async def wait(self, name: str) -> None:
        self.said.put(f"{name} waits")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.said.put(f"{name} was cancelled")
            raise

    def note(self, text: str) -> None:
        self.said.put(text)

    async def ticks(self, n: int, name: str = "", fail: bool = False) -> AsyncIterator[int]:
        try:
            for i in range(n):
                yield i
            if fail:
                raise rtcrpc.Error("the clock broke")
            if name:
                self.said.put(f"{name} streams")
                await asyncio.Event().wait()
        finally:
            self.said.put(f"{name} stopped")

    async def total(self, numbers: AsyncIterator[int]) -> int:
        return sum([number async for number in numbers])

    async def doubled(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        async for number in numbers:
            yield 2 * number

    async def sensors(self) -> dict[str, Any]:
        return {"left": self.ticks(2), "right": [self.ticks(3)]}

    def copy(self, file: rtcrpc.sync.File) -> dict[str, rtcrpc.sync.File]:
        return {"copy": rtcrpc.sync.File(file.read(), name=f"copy of {file.name}")}

    def count(self, context: rtcrpc.Context, n: int) -> int:
        for i in range(n):
            context.progress(i + 1, n, f"step {i + 1}")
        return n

    async def ask_back(self, context: rtcrpc.Context, method: str) -> Any:
        assert context.caller.peer_id is not None
        caller = await self.room.peer(context.caller.peer_id)
        return await caller.call[method]()


@pytest.fixture(scope="module")
def robot() -> Iterator[Robot]:
    robot = Robot()
    yield robot
    robot.stop()


@pytest.fixture
def room(robot: Robot) -> Iterator[rtcrpc.sync.Room]:
    with rtcrpc.sync.join(**robot.link) as room:
        yield room


def test_the_short_example(robot: Robot) -> None:
    with rtcrpc.sync.join(**robot.link, name="script") as room:
        remote = room.peer("robot")
        assert remote.call.add(1, 2) == 3
        assert remote.call.add(a=20, b=22) == 42
        assert remote.call["add"](1, 1) == 2
        assert remote.notify.note("hello") is None
        robot.hears("hello")
        assert {method["name"] for method in remote.discover()["methods"]} >= {"add", "fail"}
        path = remote.path()
        assert path is not None
        assert not path.relayed
        assert (remote.name, remote.peer_id, remote.trust) == ("robot", robot.peer.peer_id, "pinned")
        assert (remote.state.value, remote.reason) == ("connected", "")
        assert room.peers == (remote,)
        assert [member.name for member in room.members] == ["robot"]
        assert (room.name, room.own_name, len(room.peer_id)) == ("lab", "script", 43)
        assert room.signaling_state == "joined"
    robot.hears("left: script")
    with pytest.raises(rtcrpc.errors.ConnectionLost):
        remote.call.add(1, 2)
    room.close()


def test_errors_are_those_of_the_async_api_and_point_at_the_call(room: rtcrpc.sync.Room) -> None:
    remote = room.peer()
    with pytest.raises(rtcrpc.errors.RemoteApplicationError, match="the arm is stuck") as failed:
        remote.call.fail()  # this very line
    assert failed.value.data["detail"] == {"joint": 3}
    frames = traceback.extract_tb(failed.value.__traceback__)
    assert "this very line" in (frames[0].line or "")
    with pytest.raises(rtcrpc.errors.DeadlineExceeded):
        remote.call.with_(timeout=0.1).wait("late")
    with pytest.raises(rtcrpc.errors.RemoteInvalidParams, match="expected an integer"):
        remote.call.add("one", 2)
    with pytest.raises(rtcrpc.errors.Unavailable):
        room.peer("nobody", timeout=0.1)
    with pytest.raises(rtcrpc.errors.InviteError):
        rtcrpc.sync.join("not a link")
    with pytest.raises(rtcrpc.errors.SignalingError):
        rtcrpc.sync.join("ws://127.0.0.1:9/room/lab")


def test_a_peer_joins_without_async(robot: Robot) -> None:
    peer = rtcrpc.sync.Peer(name="kept")
    with peer.join(robot.url, pin=robot.peer.peer_id) as room:
        assert (room.peer_id, room.own_name) == (peer.peer_id, "kept")
        assert room.peer().call.add(1, 2) == 3


def test_submit_gives_futures(robot: Robot, room: rtcrpc.sync.Room) -> None:
    remote = room.peer()
    futures = [remote.submit.add(i, 1) for i in range(50)]
    assert [future.result(BOUND) for future in futures] == list(range(1, 51))
    assert isinstance(remote.submit.fail().exception(BOUND), rtcrpc.errors.RemoteApplicationError)
    waiting = remote.submit.with_(timeout=60).wait("future")
    robot.hears("future waits")
    assert waiting.cancel()
    robot.hears("future was cancelled")


def test_many_threads_at_once(room: rtcrpc.sync.Room) -> None:
    remote = room.peer()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        sums = pool.map(lambda i: [remote.call.add(i, j) for j in range(20)], range(8))
    assert list(sums) == [[i + j for j in range(20)] for i in range(8)]


def test_inside_a_running_loop_as_in_a_notebook(robot: Robot) -> None:
    async def cell() -> int:
        with rtcrpc.sync.join(**robot.link) as room:
            total: int = room.peer("robot").call.add(1, 2)
            return total + await asyncio.wrap_future(room.peer("robot").submit.add(3, 4))

    assert asyncio.run(cell()) == 10


def test_functions_run_beside_the_script(robot: Robot) -> None:
    registry = rtcrpc.Registry()

    @registry.expose
    async def on_the_loop() -> str:
        return threading.current_thread().name

    @registry.expose
    def in_the_pool() -> str:
        assert room.peer("robot").call.add(1, 2) == 3
        return threading.current_thread().name

    @registry.expose
    async def waits_for_itself() -> str:
        try:
            room.peer("robot")
        except RuntimeError as error:
            return str(error)
        return "it did not notice"

    @registry.expose
    async def does_not_wait() -> int:
        total: int = await asyncio.wrap_future(remote.submit.add(1, 2))
        return total + len(room.peers)

    with rtcrpc.sync.join(**robot.link, registry=registry, policy=rtcrpc.OpenPolicy()) as room:
        remote = room.peer("robot")
        assert remote.call.ask_back("on_the_loop") == "rtcrpc-sync"
        assert remote.call.ask_back("in_the_pool").startswith("rtcrpc-pool")
        assert "submit" in remote.call.ask_back("waits_for_itself")
        assert remote.call.ask_back("does_not_wait") == 4


def test_callbacks_may_call_and_wait(robot: Robot) -> None:
    told: SimpleQueue[Any] = SimpleQueue()
    with rtcrpc.sync.join(**robot.link) as room:

        def connected(event: rtcrpc.sync.RoomEvent) -> None:
            assert event.peer is not None
            told.put((event.kind, event.peer.call.add(1, 2), threading.current_thread().name))

        async def connected_too(event: rtcrpc.sync.RoomEvent) -> None:
            told.put((event.kind, 0, threading.current_thread().name))

        off = room.on("connected", connected)
        off_too = room.on("connected", connected_too)
        with pytest.raises(ValueError, match="expected one of"):
            room.on("nonsense", connected)  # type: ignore[arg-type]
        remote = room.peer("robot")
        assert {told.get(timeout=BOUND) for _ in range(2)} == {
            ("connected", 3, "rtcrpc-sync-callbacks-1"),
            ("connected", 0, "rtcrpc-sync"),
        }
        off()
        off_too()
        room.on("closed", told.put)
    closed = told.get(timeout=BOUND)
    assert (closed.kind, closed.peer) == ("closed", remote)


def test_events_are_iterated(robot: Robot) -> None:
    with rtcrpc.sync.join(**robot.link, name="watcher") as room:
        events = room.events()
        remote = room.peer("robot")
        kinds = []
        for event in events:
            kinds.append(event.kind)
            if event.kind == "connected":
                assert event.peer == remote
                break
        with room.events() as others:
            room.close()
            rest = [event.kind for event in events]
            assert rest[-2:] == [event.kind for event in others] == ["closed", "signaling"]
    assert list(events) == []


def test_streams_are_iterated(robot: Robot, room: rtcrpc.sync.Room) -> None:
    remote = room.peer()
    assert list(remote.call.ticks(5)) == [0, 1, 2, 3, 4]
    assert sum(remote.call.ticks(20_000)) == sum(range(20_000))
    assert sum(remote.submit.ticks(10).result(BOUND)) == 45
    sensors = remote.call.sensors()
    assert (list(sensors["left"]), list(sensors["right"][0])) == ([0, 1], [0, 1, 2])

    async def cell() -> int:
        return sum(remote.call.ticks(5))

    assert asyncio.run(cell()) == 10


def test_a_stream_is_stopped_early(robot: Robot, room: rtcrpc.sync.Room) -> None:
    remote = room.peer()
    for tick in remote.call.ticks(5, "left"):
        assert tick == 0
        break
    robot.hears("left stopped")
    with remote.call.ticks(5, "closed") as ticks:
        assert isinstance(ticks, rtcrpc.sync.Stream)
        assert next(ticks) == 0
    robot.hears("closed stopped")
    assert list(ticks) == []


def test_an_error_comes_behind_the_items(room: rtcrpc.sync.Room) -> None:
    ticks = room.peer().call.ticks(n=3, fail=True)
    assert [next(ticks) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(rtcrpc.RemoteError, match="the clock broke"):
        next(ticks)
    assert list(ticks) == []


def test_iterators_are_streams_over_there(room: rtcrpc.sync.Room) -> None:
    remote = room.peer()
    ended = threading.Event()

    def numbers() -> Iterator[int]:
        try:
            yield from range(10_000)
        finally:
            ended.set()

    assert remote.call.total(numbers()) == sum(range(10_000))
    assert ended.wait(BOUND)
    assert remote.call.total(iter([1, 2, 3])) == 6
    assert remote.call.total(numbers=map(abs, [-1, -2])) == 3
    assert list(remote.call.doubled(i for i in range(3))) == [0, 2, 4]
    # What comes from there may go there again.
    assert remote.call.total(remote.call.doubled(remote.call.ticks(4))) == 12


def test_files_wait(robot: Robot, room: rtcrpc.sync.Room, tmp_path: Path) -> None:
    remote = room.peer()
    data = bytes(range(256)) * 4000
    (tmp_path / "a").write_bytes(data)
    told: list[tuple[int, int]] = []
    file = remote.call.copy(rtcrpc.sync.File(tmp_path / "a"))["copy"]
    assert isinstance(file, rtcrpc.sync.File)
    saved = file.save(tmp_path, progress=lambda done, total: told.append((done, total)))
    assert saved == tmp_path / "copy of a"
    assert saved.read_bytes() == data
    assert told[-1] == (len(data), len(data))
    assert remote.call.copy(rtcrpc.File(data, name="b"))["copy"].read() == data
    with remote.call.copy(file=rtcrpc.File(data, name="b"))["copy"] as file:
        assert len(next(iter(file))) == 65_536

    async def cell() -> bytes:
        """A notebook's cell: a loop runs in this thread."""
        result: bytes = remote.call.copy(rtcrpc.sync.File(data, name="c"))["copy"].read()
        return result

    assert asyncio.run(cell()) == data


def test_progress_is_told_on_the_thread_that_waits(room: rtcrpc.sync.Room) -> None:
    told: list[tuple[Any, ...]] = []
    remote = room.peer()
    assert remote.call.with_(progress=lambda *what: told.append((*what, threading.get_ident()))).count(3) == 3
    assert told[-1] == (3, 3, "step 3", threading.get_ident())

    def stop(*_: object) -> None:
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        remote.call.with_(progress=stop).count(3)


@contextmanager
def script(robot: Robot, text: str) -> Iterator[subprocess.Popen[str]]:
    """A program of its own that may join the room of the robot."""
    head = f"""
        import asyncio, os, signal, sys, threading, time, warnings
        import rtcrpc
        URL, PIN = {robot.url!r}, {robot.peer.peer_id!r}
    """
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(head) + textwrap.dedent(text)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def end(process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    out, err = process.communicate(timeout=BOUND)
    return process.returncode, out.splitlines(), err


@needs_signals
def test_ctrl_c_cancels_the_call_over_there(robot: Robot) -> None:
    with script(
        robot,
        """
        with rtcrpc.sync.join(URL, pin=PIN, name="interrupted") as room:
            remote = room.peer("robot")
            try:
                remote.call.wait("script")
            except KeyboardInterrupt:
                print("caught")
            print(remote.call.add(1, 2))
        """,
    ) as process:
        robot.hears("script waits")
        process.send_signal(signal.SIGINT)
        robot.hears("script was cancelled")
        assert end(process) == (0, ["caught", "3"], "")
        robot.hears("left: interrupted")


@needs_signals
def test_ctrl_c_leaves_the_with_block_and_the_room(robot: Robot) -> None:
    with script(
        robot,
        """
        with rtcrpc.sync.join(URL, pin=PIN, name="leaver") as room:
            room.peer("robot").call.wait("leaver")
        """,
    ) as process:
        robot.hears("leaver waits")
        process.send_signal(signal.SIGINT)
        robot.hears("leaver was cancelled")
        robot.hears("left: leaver")
        code, out, err = end(process)
        assert (code, out) == (-signal.SIGINT, [])
        assert err.rstrip().endswith("KeyboardInterrupt")


@needs_signals
def test_ctrl_c_under_asyncio_run(robot: Robot) -> None:
    with script(
        robot,
        """
        async def main():
            with rtcrpc.sync.join(URL, pin=PIN, name="notebook") as room:
                room.peer("robot").call.wait("notebook")
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("caught")
        """,
    ) as process:
        robot.hears("notebook waits")
        process.send_signal(signal.SIGINT)
        robot.hears("notebook was cancelled")
        assert end(process) == (0, ["caught"], "")


@needs_signals
def test_ctrl_c_stops_a_stream(robot: Robot) -> None:
    with script(
        robot,
        """
        with rtcrpc.sync.join(URL, pin=PIN) as room:
            remote = room.peer("robot")
            try:
                for tick in remote.call.ticks(3, "clock"):
                    if tick == 2:
                        remote.notify.note("the script has read")
            except KeyboardInterrupt:
                sys.stdin.read()
                print("caught", remote.call.add(1, 2))
        """,
    ) as process:
        robot.hears("the script has read")
        process.send_signal(signal.SIGINT)
        robot.hears("clock stopped")
        assert end(process) == (0, ["caught 3"], "")


@needs_signals
def test_ctrl_c_while_waiting_for_a_peer(robot: Robot) -> None:
    with script(
        robot,
        """
        with rtcrpc.sync.join(URL, pin=PIN) as room:
            try:
                room.peer("robot").notify.note("about to wait")
                room.peer("nobody")
            except KeyboardInterrupt:
                print("caught")
        """,
    ) as process:
        robot.hears("about to wait")
        process.send_signal(signal.SIGINT)
        assert end(process) == (0, ["caught"], "")


def test_a_room_that_nobody_closed_is_left_at_exit(robot: Robot) -> None:
    with script(
        robot,
        """
        room = rtcrpc.sync.join(URL, pin=PIN, name="forgetful")
        print(room.peer("robot").call.add(1, 2))
        """,
    ) as process:
        assert end(process) == (0, ["3"], "")
        robot.hears("left: forgetful")


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_a_fork_is_told_to_join_again(robot: Robot) -> None:
    with script(
        robot,
        """
        warnings.simplefilter("ignore", DeprecationWarning)
        with rtcrpc.sync.join(URL, pin=PIN) as room:
            remote = room.peer("robot")
            if (pid := os.fork()) == 0:
                try:
                    remote.call.add(1, 2)
                except RuntimeError as error:
                    print(error)
                with rtcrpc.sync.join(URL, pin=PIN) as again:
                    print(again.peer("robot").call.add(1, 2), flush=True)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            print(remote.call.add(2, 3))
        """,
    ) as process:
        code, out, err = end(process)
        assert (code, err) == (0, "")
        assert "join again in the child" in out[0]
        assert out[1:] == ["3", "5"]

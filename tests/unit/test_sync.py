"""rtcrpc.sync: the same names as the async API, one background thread, streams that are iterated."""

import asyncio
import gc
import inspect
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncGenerator, Callable

import pytest

import rtcrpc
from rtcrpc.mesh.remote_peer import RemotePeer
from rtcrpc.mesh.room import Room, RoomEvent
from rtcrpc.peer import Peer, join
from rtcrpc.sync import Stream, _Background

BOUND = 10


def names(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_the_names_are_those_of_the_async_api() -> None:
    def parameters(fn: Callable[..., object]) -> object:
        return [p.replace(annotation="") for p in inspect.signature(fn).parameters.values()]

    internal = {"link_changed", "member_changed", "open", "signaling_changed", "update"}
    for ours, theirs in ((rtcrpc.sync.RemotePeer, RemotePeer), (rtcrpc.sync.Room, Room), (rtcrpc.sync.Peer, Peer)):
        assert names(ours) >= names(theirs) - internal
        for name in names(theirs) - internal:
            there = getattr(theirs, name)
            if inspect.isfunction(there):
                assert parameters(getattr(ours, name)) == parameters(there), name
    assert parameters(rtcrpc.sync.join) == parameters(join)
    fields = inspect.signature(rtcrpc.sync.RoomEvent).parameters
    assert list(fields) == list(inspect.signature(RoomEvent).parameters)
    assert inspect.signature(rtcrpc.sync.join).return_annotation == "Room"
    assert "rtcrpc.sync.join(link)" in (rtcrpc.sync.join.__doc__ or "")


@pytest.fixture
def background() -> _Background:
    return _Background.shared()


def test_one_thread_for_all(background: _Background) -> None:
    assert _Background.shared() is background
    assert background.ask(lambda: threading.current_thread().name) == "rtcrpc-sync"

    async def where() -> str:
        return background.ask(lambda: threading.current_thread().name)

    assert background.run(where) == "rtcrpc-sync"
    assert background.start(where).result(BOUND) == "rtcrpc-sync"


def test_it_does_not_wait_for_itself(background: _Background) -> None:
    async def wait() -> None:
        background.run(lambda: asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="submit"):
        background.run(wait)


class Source:
    """An async generator that says what becomes of it."""

    def __init__(self, fail: bool = False) -> None:
        self.fail = fail
        self.ended = threading.Event()

    async def items(self) -> AsyncGenerator[int, None]:
        try:
            for item in range(3):
                await asyncio.sleep(0)
                yield item
            if self.fail:
                raise ValueError("broken")
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def three() -> AsyncGenerator[int, None]:
    for item in range(3):
        yield item


def test_a_stream_to_its_end(background: _Background) -> None:
    stream = Stream(three(), background)
    assert list(stream) == [0, 1, 2]
    assert list(stream) == []
    stream.close()


def test_a_stream_is_closed_early(background: _Background) -> None:
    source = Source()
    stream = Stream(source.items(), background)
    assert next(stream) == 0
    stream.close()
    assert source.ended.is_set()
    assert list(stream) == []
    source = Source()
    with Stream(source.items(), background) as stream:
        assert next(stream) == 0
    assert source.ended.is_set()


def test_a_stream_that_is_let_go_ends(background: _Background) -> None:
    source = Source()
    for item in Stream(source.items(), background):
        assert item == 0
        break
    gc.collect()
    assert source.ended.wait(BOUND)


def test_an_error_ends_a_stream(background: _Background) -> None:
    source = Source(fail=True)
    stream = Stream(source.items(), background)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="broken"):
        next(stream)
    assert source.ended.is_set()
    assert list(stream) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_ctrl_c_ends_a_stream() -> None:
    text = """
        import asyncio, signal, threading
        from rtcrpc.sync import Stream, _Background
        main = threading.main_thread().ident
        async def items():
            try:
                yield 1
                asyncio.get_running_loop().call_soon(signal.pthread_kill, main, signal.SIGINT)
                await asyncio.Event().wait()
            finally:
                print("ended", flush=True)
        stream = Stream(items(), _Background.shared())
        try:
            for item in stream:
                print(item, flush=True)
        except KeyboardInterrupt:
            print("caught", list(stream), flush=True)
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=BOUND
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["1", "ended", "caught []"]

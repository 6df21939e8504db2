"""The network thread and the mailbox."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from rtcrpc.runtime import Errands, Mailbox, Runtime

BOUND = 10.0


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with Runtime("test-network") as made:
        yield made


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=30
    )


# -- Mailbox ---------------------------------------------------------------------------------------------


async def test_posts_are_run_in_order_on_the_loop(runtime: Runtime) -> None:
    mailbox = runtime.mailbox()
    seen: list[tuple[int, str]] = []
    done = threading.Event()
    for number in range(1000):
        assert mailbox.post(lambda n=number: seen.append((n, threading.current_thread().name)))
    mailbox.post(done.set)
    assert await asyncio.to_thread(done.wait, BOUND)
    assert [n for n, _ in seen] == list(range(1000))
    assert {name for _, name in seen} == {"test-network"}


async def test_a_burst_costs_one_wake_up() -> None:
    loop = asyncio.get_running_loop()
    wake_ups = 0

    class Counting:
        def call_soon_threadsafe(self, fn: object, *args: object) -> None:
            nonlocal wake_ups
            wake_ups += 1
            loop.call_soon(fn, *args)  # type: ignore[arg-type]

    mailbox = Mailbox(Counting())  # type: ignore[arg-type]
    seen: list[int] = []
    for number in range(100):
        mailbox.post(seen.append, number)
    await asyncio.sleep(0)
    assert seen == list(range(100))
    assert wake_ups == 1


async def test_posts_from_many_threads_are_all_run(runtime: Runtime) -> None:
    mailbox = runtime.mailbox()
    seen: list[tuple[int, int]] = []
    start = threading.Barrier(8)

    def send(sender: int) -> None:
        start.wait()
        for number in range(2000):
            mailbox.post(seen.append, (sender, number))

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    done = threading.Event()
    mailbox.post(done.set)
    assert await asyncio.to_thread(done.wait, BOUND)
    assert len(seen) == 16_000
    for sender in range(8):
        assert [n for s, n in seen if s == sender] == list(range(2000))


async def test_what_is_posted_while_draining_waits_for_the_next_turn() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    order: list[str] = []

    def first() -> None:
        order.append("first")
        mailbox.post(order.append, "posted by first")
        asyncio.get_running_loop().call_soon(order.append, "the loop's own")

    mailbox.post(first)
    mailbox.post(order.append, "second")
    await asyncio.sleep(0)
    assert order == ["first", "second"]
    await asyncio.sleep(0)
    assert sorted(order[2:]) == ["posted by first", "the loop's own"]


async def test_what_is_posted_by_what_was_handed_over_wakes_its_loop_at_the_end(runtime: Runtime) -> None:
    here, there = runtime.mailbox(asyncio.get_running_loop()), runtime.mailbox()
    order: list[str] = []
    done = asyncio.Event()

    def last() -> None:
        assert not there._awake
        order.append("last")

    def arrived() -> None:
        order.append("there")
        here.post(done.set)

    here.post(lambda: there.post(arrived))
    here.post(last)
    await asyncio.wait_for(done.wait(), BOUND)
    assert order == ["last", "there"]


async def test_what_is_handed_over_may_wait_for_another_thread(runtime: Runtime) -> None:
    # The first post waits for the end of the turn, which comes only after the second, of another thread, has been run.
    here, there = runtime.mailbox(asyncio.get_running_loop()), runtime.mailbox()
    first, second = threading.Event(), threading.Event()
    waited: list[bool] = []

    def wait() -> None:
        thread = threading.Thread(target=lambda: there.post(second.set))
        thread.start()
        waited.append(second.wait(BOUND))
        thread.join()

    here.post(lambda: there.post(first.set))
    here.post(wait)
    assert await asyncio.to_thread(first.wait, BOUND)
    assert waited == [True]


async def test_a_post_does_not_wait_for_a_long_turn(runtime: Runtime) -> None:
    here, there = runtime.mailbox(asyncio.get_running_loop()), runtime.mailbox()
    arrived = threading.Event()
    seen: list[bool] = []
    ended = asyncio.Event()

    def compute() -> None:
        until = time.monotonic() + 0.001
        while time.monotonic() < until:
            pass

    here.post(lambda: there.post(arrived.set))
    here.post(compute)
    here.post(lambda: seen.append(arrived.wait(BOUND)))
    here.post(ended.set)
    await asyncio.wait_for(ended.wait(), BOUND)
    assert seen == [True]


async def test_what_is_to_be_done_at_the_end_is_done_once_all_was_handed_over() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    order: list[str] = []
    ended = asyncio.Event()
    mailbox.post(lambda: mailbox.call_at_end(lambda: order.append("end")))
    mailbox.post(order.append, "second")
    mailbox.post(mailbox.call_at_end, ended.set)
    await asyncio.wait_for(ended.wait(), BOUND)
    assert order == ["second", "end"]
    mailbox.call_at_end(lambda: order.append("soon"))
    await asyncio.sleep(0)
    assert order[-1] == "soon"


async def test_an_exception_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    done = asyncio.Event()

    def fail() -> None:
        raise ValueError("of the callback")

    mailbox.post(fail)
    mailbox.post(done.set)
    await asyncio.wait_for(done.wait(), BOUND)
    assert [record.name for record in caplog.records] == ["rtcrpc.runtime"]
    assert "of the callback" in caplog.text


def test_an_interrupt_gets_out_and_the_rest_is_still_run() -> None:
    loop = asyncio.new_event_loop()
    mailbox = Mailbox(loop)
    seen: list[int] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    mailbox.post(interrupt)
    mailbox.post(seen.append, 1)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert seen == []
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert seen == [1]


def test_posting_to_a_closed_loop_says_so() -> None:
    loop = asyncio.new_event_loop()
    mailbox = Mailbox(loop)
    loop.close()
    assert mailbox.post(print) is False
    assert mailbox.post(print) is False


# -- Runtime ---------------------------------------------------------------------------------------------


async def test_run_brings_back_results_and_exceptions(runtime: Runtime) -> None:
    async def name() -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name

    async def fail() -> None:
        raise LookupError("there")

    assert await runtime.run(name()) == "test-network"
    with pytest.raises(LookupError, match="there"):
        await runtime.run(fail())


async def test_run_on_the_network_thread_itself(runtime: Runtime) -> None:
    async def inner() -> bool:
        return runtime.in_thread

    async def outer() -> bool:
        return await runtime.run(inner())

    assert await runtime.run(outer())
    assert not runtime.in_thread


async def test_a_cancellation_reaches_the_coroutine_and_waits_for_its_end(runtime: Runtime) -> None:
    started = asyncio.Event()
    here = asyncio.get_running_loop()
    steps: list[str] = []

    async def wait() -> None:
        here.call_soon_threadsafe(started.set)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("finally")

    task = asyncio.create_task(runtime.run(wait()))
    await asyncio.wait_for(started.wait(), BOUND)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, BOUND)
    assert steps == ["finally"]


async def test_a_timeout_cancels(runtime: Runtime) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await runtime.run(asyncio.Event().wait())


async def test_an_ignored_cancellation_still_cancels_the_awaiting_task(runtime: Runtime) -> None:
    started = asyncio.Event()
    here = asyncio.get_running_loop()

    async def stubborn() -> int:
        here.call_soon_threadsafe(started.set)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return 1
        return 0

    task = asyncio.create_task(runtime.run(stubborn()))
    await asyncio.wait_for(started.wait(), BOUND)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, BOUND)


def test_run_sync(runtime: Runtime) -> None:
    async def double(number: int) -> int:
        return 2 * number

    assert runtime.run_sync(lambda: double(21)) == 42


def test_run_sync_on_the_network_thread_is_refused(runtime: Runtime) -> None:
    async def nested() -> None:
        runtime.run_sync(lambda: asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="await instead"):
        runtime.run_sync(nested)


def test_errands_run_on_the_thread_that_waits(runtime: Runtime) -> None:
    errands: Errands = SimpleQueue()
    ran: list[str] = []

    async def work() -> int:
        for _ in range(3):
            errands.put(lambda: ran.append(threading.current_thread().name))
        return 42

    assert runtime.run_sync(work, errands) == 42
    assert ran == [threading.current_thread().name] * 3


def test_an_errand_that_fails_cancels_the_work(runtime: Runtime) -> None:
    errands: Errands = SimpleQueue()
    ended = threading.Event()

    async def work() -> None:
        errands.put(lambda: 1 / 0)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(ZeroDivisionError):
        runtime.run_sync(work, errands)
    assert ended.is_set()


async def test_call_soon(runtime: Runtime) -> None:
    done = threading.Event()
    runtime.call_soon(done.set)
    assert await asyncio.to_thread(done.wait, BOUND)


def test_close_ends_what_runs_and_the_runtime_can_start_again() -> None:
    runtime = Runtime("again")
    ended = threading.Event()
    started = threading.Event()

    async def forever() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    runtime.call_soon(lambda: tasks.append(asyncio.get_running_loop().create_task(forever())))
    tasks: list[asyncio.Task[None]] = []
    assert started.wait(BOUND)
    first = runtime.loop
    runtime.close()
    assert ended.is_set()
    assert first.is_closed()
    assert "again" not in {thread.name for thread in threading.enumerate()}
    runtime.close()

    async def one() -> int:
        return 1

    assert runtime.run_sync(one) == 1
    assert runtime.loop is not first
    runtime.close()


async def test_close_during_run_cancels_it() -> None:
    runtime = Runtime("closing")
    started = asyncio.Event()
    here = asyncio.get_running_loop()

    async def wait() -> None:
        here.call_soon_threadsafe(started.set)
        await asyncio.Event().wait()

    task = asyncio.create_task(runtime.run(wait()))
    await asyncio.wait_for(started.wait(), BOUND)
    runtime.close()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, BOUND)


def test_close_from_the_network_thread() -> None:
    runtime = Runtime("self-closing")
    loop = runtime.loop
    closed = threading.Event()

    async def close() -> None:
        runtime.close()
        closed.set()

    runtime.call_soon(lambda: tasks.append(asyncio.get_running_loop().create_task(close())))
    tasks: list[asyncio.Task[None]] = []
    assert closed.wait(BOUND)
    for thread in threading.enumerate():
        if thread.name == "self-closing":
            thread.join(BOUND)
    assert loop.is_closed()


def test_the_mailbox_of_the_network_thread_is_shared(runtime: Runtime) -> None:
    assert runtime.mailbox() is runtime.mailbox()
    runtime_loop = runtime.loop
    assert runtime.mailbox().loop is runtime_loop


def test_a_close_that_a_callback_holds_up_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rtcrpc.runtime.STOP_SECONDS", 0.05)
    runtime = Runtime("held-up")
    release, held = threading.Event(), threading.Event()

    def block() -> None:
        held.set()
        release.wait(BOUND)

    runtime.call_soon(block)
    assert held.wait(BOUND)
    with caplog.at_level(logging.WARNING, "rtcrpc.runtime"):
        runtime.close()
    release.set()
    assert "held-up did not end" in caplog.text
    for thread in threading.enumerate():
        if thread.name == "held-up":
            thread.join(BOUND)


def test_the_default_is_one_and_ends_with_the_process() -> None:
    done = run_python("""
        import asyncio, threading
        from rtcrpc.runtime import Runtime
        runtime = Runtime.default()
        assert runtime is Runtime.default()
        async def wait():
            try:
                await asyncio.Event().wait()
            finally:
                print("ended")
        started = threading.Event()
        async def begin():
            global task
            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
        runtime.run_sync(begin)
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ended\n"
    assert done.stderr == ""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_a_fork_is_told_what_to_do() -> None:
    done = run_python("""
        import asyncio, os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from rtcrpc.runtime import Runtime
        runtime = Runtime.default()
        async def one():
            return 1
        assert runtime.run_sync(one) == 1
        if (pid := os.fork()) == 0:
            try:
                runtime.run_sync(one)
            except RuntimeError as error:
                print(error, flush=True)
            try:
                asyncio.run(runtime.run(one()))
            except RuntimeError as error:
                print("again", flush=True)
            runtime.close()
            print(Runtime.default().run_sync(one), flush=True)
            Runtime.default().close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        print(runtime.run_sync(one))
    """)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "Runtime.default()" in lines[0]
    assert lines[1:] == ["again", "1", "1"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_an_interrupt_of_run_sync_cancels_and_waits() -> None:
    done = run_python("""
        import asyncio, signal, threading
        from rtcrpc.runtime import Runtime
        runtime = Runtime.default()
        async def wait():
            runtime.loop.call_soon(signal.pthread_kill, threading.main_thread().ident, signal.SIGINT)
            try:
                await asyncio.Event().wait()
            finally:
                print("ended", flush=True)
        try:
            runtime.run_sync(wait)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["ended", "interrupted"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_an_interrupt_of_run_sync_under_a_running_loop() -> None:
    done = run_python("""
        import asyncio, signal, threading
        from rtcrpc.runtime import Runtime
        runtime = Runtime.default()
        async def wait():
            runtime.loop.call_soon(signal.pthread_kill, threading.main_thread().ident, signal.SIGINT)
            try:
                await asyncio.Event().wait()
            finally:
                print("ended", flush=True)
        async def main():
            runtime.run_sync(wait)
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["ended", "interrupted"]

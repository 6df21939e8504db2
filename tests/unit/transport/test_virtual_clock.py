"""The loop on which only timers move the clock."""

import asyncio

import pytest

from rtcrpc.transport.virtual_clock import Deadlock, run


def test_an_hour_takes_no_time_and_is_exact() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        seen = [loop.time()]
        for wait in (3600.0, 0.1, 0.2, 1e-3):
            await asyncio.sleep(wait)
            seen.append(loop.time())
        return seen

    assert run(main()) == pytest.approx([0.0, 3600.0, 3600.1, 3600.3, 3600.301])


def test_timers_run_in_the_order_they_are_due() -> None:
    async def main() -> list[str]:
        order: list[str] = []

        async def note(name: str, wait: float) -> None:
            await asyncio.sleep(wait)
            order.append(name)

        await asyncio.gather(note("c", 3), note("a", 1), note("b", 2), note("a2", 1))
        return order

    assert run(main()) == ["a", "a2", "b", "c"]


def test_timeouts_are_virtual() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(86400):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run(main()) == 86400.0


def test_a_deadlock_is_told_with_who_waits_where() -> None:
    async def waits_for_nobody() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"1 tasks wait(.|\n)*waits_for_nobody at .*test_virtual_clock\.py"):
        run(waits_for_nobody())


def test_heartbeats_do_not_hide_a_hang() -> None:
    async def beats() -> None:
        loop = asyncio.get_running_loop()

        def beat() -> None:
            loop.call_later(2.5, beat)

        beat()
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="not done after 100 virtual seconds"):
        run(beats(), limit=100)


def test_functions_for_other_threads_run_on_the_spot() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await asyncio.to_thread(lambda: 6 * 7) == 42
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 // 0)
        called = asyncio.Event()
        loop.call_soon_threadsafe(called.set)
        await called.wait()

    run(main())


def test_what_main_raises_comes_out_and_tasks_are_cancelled() -> None:
    cancelled: list[bool] = []

    async def background() -> None:
        try:
            await asyncio.sleep(10**6)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def main() -> None:
        task = asyncio.create_task(background())
        await asyncio.sleep(0)
        assert not task.done()
        raise LookupError("from main")

    with pytest.raises(LookupError, match="from main"):
        run(main())
    assert cancelled == [True]


def test_there_are_no_sockets() -> None:
    async def main() -> None:
        # A literal address and no name: what fails is the registration of the socket.
        await asyncio.open_connection("127.0.0.1", 9)

    with pytest.raises((RuntimeError, NotImplementedError)):
        run(main())

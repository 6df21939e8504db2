"""The network in memory: its misfortunes, and that a seed repeats them."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from rtcrpc.transport.base import CLOSED_THERE, Broken
from rtcrpc.transport.memory import MemoryNetwork
from rtcrpc.transport.recorder import End, connect, make_ends
from rtcrpc.transport.virtual_clock import run


async def two(network: MemoryNetwork) -> tuple[End, End]:
    return await connect(network.transport("alice"), network.transport("bob"))


def now() -> float:
    return asyncio.get_running_loop().time()


def test_loss_becomes_delay_and_order_stays() -> None:
    async def main() -> None:
        network = MemoryNetwork(3, loss=0.3, jitter=0.05, reorder=0.3, duplicate=0.3)
        ours, theirs = await two(network)
        for number in range(300):
            ours.connection.send(f"{number}")
        assert await theirs.events.received(300) == [f"{n}" for n in range(300)]
        assert network.counts.lost > 50
        assert network.counts.repeated > 50
        assert network.counts.held_back > 50
        assert now() > 1.0

    run(main())


def test_the_same_seed_gives_the_same_run_and_another_does_not() -> None:
    async def trace(seed: int) -> list[tuple[float, int]]:
        ours, theirs = await two(MemoryNetwork(seed, loss=0.2, jitter=0.03, reorder=0.2, duplicate=0.1))
        times: list[tuple[float, int]] = []
        for number in range(1, 51):
            ours.connection.send(bytes(number))
            await theirs.events.received(number)
            times.append((now(), number))
        return times

    assert run(trace(1)) == run(trace(1))
    assert run(trace(1)) != run(trace(2))


def test_delay_is_what_was_asked_for() -> None:
    async def main() -> None:
        ours, theirs = await two(MemoryNetwork(delay=0.25))
        sent = now()
        ours.connection.send("x")
        await theirs.events.received(1)
        assert now() - sent == pytest.approx(0.25)
        path = await ours.connection.path()
        assert path is not None
        assert path.rtt == pytest.approx(0.5)

    run(main())


def test_a_rate_fills_the_buffer_and_empties_it_in_time() -> None:
    async def main() -> None:
        ours, theirs = await two(MemoryNetwork(rate=100_000))
        began = now()
        for _ in range(20):
            ours.connection.send(bytes(10_000))
        assert ours.connection.buffered_amount == 200_000
        await ours.events.low.wait()
        assert 0 < ours.connection.buffered_amount <= ours.connection.low_mark
        await theirs.events.received(20)
        assert now() - began == pytest.approx(1.9, abs=0.1)

    run(main())


def test_a_short_partition_only_delays() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        ours, theirs = await two(network)
        network.partition("alice", "bob")
        ours.connection.send("held up")
        await asyncio.sleep(20)
        assert theirs.events.messages == []
        network.heal()
        assert await theirs.events.received(1) == ["held up"]
        await asyncio.sleep(60)
        assert ours.events.end is None

    run(main())


@pytest.mark.parametrize("sending", [True, False])
def test_a_long_partition_breaks_both_sides(sending: bool) -> None:
    async def main() -> None:
        network = MemoryNetwork(patience=30)
        ours, theirs = await two(network)
        began = now()
        network.partition("bob")
        if sending:
            ours.connection.send("into the void")
        await asyncio.gather(ours.events.closed.wait(), theirs.events.closed.wait())
        assert now() - began == pytest.approx(30, abs=2)
        assert ours.events.end == theirs.events.end == (Broken.PATH_LOST, False)

    run(main())


def test_two_short_partitions_are_not_one_long_one() -> None:
    async def main() -> None:
        network = MemoryNetwork(patience=30)
        ours, _ = await two(network)
        for _ in range(3):
            network.partition("alice", "bob")
            await asyncio.sleep(20)
            network.heal()
            await asyncio.sleep(5)
        assert ours.events.end is None

    run(main())


def test_other_hosts_are_not_concerned() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        await two(network)
        ours, theirs = await connect(network.transport("carol"), network.transport("dave"))
        network.partition("alice")
        ours.connection.send("still")
        assert await theirs.events.received(1) == ["still"]

    run(main())


def test_a_crash_is_silent_here_and_found_there() -> None:
    async def main() -> None:
        network = MemoryNetwork(patience=30)
        ours, theirs = await two(network)
        began = now()
        network.crash("alice")
        await theirs.events.closed.wait()
        assert now() - began == pytest.approx(30)
        assert theirs.events.end == (Broken.PATH_LOST, False)
        assert ours.events.end is None
        # The host is back: it starts anew.
        again, _ = await two(network)
        assert again.events.opened.is_set()

    run(main())


def test_a_crashed_peer_that_is_sent_to_says_that_it_is_not_there() -> None:
    async def main() -> None:
        network = MemoryNetwork(patience=30)
        _, theirs = await two(network)
        network.crash("alice")
        theirs.connection.send("anybody?")
        await theirs.events.closed.wait()
        assert theirs.events.end == (CLOSED_THERE, False)

    run(main())


def test_severed_connections_break_at_once() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        ours, theirs = await two(network)
        began = now()
        network.sever("alice", "bob")
        assert ours.events.end == theirs.events.end == (Broken.PATH_LOST, False)
        assert now() == began
        assert (await two(network))[0].events.opened.is_set()

    run(main())


def test_an_answer_that_never_comes_together_is_given_up() -> None:
    async def main() -> None:
        network = MemoryNetwork(patience=30)
        ours, theirs = make_ends(network.transport("alice"), network.transport("bob"))
        answer = await theirs.connection.accept_offer(await ours.connection.create_offer())
        network.partition("alice", "bob")
        await ours.connection.accept_answer(answer)
        await asyncio.gather(ours.events.closed.wait(), theirs.events.closed.wait())
        assert ours.events.end == theirs.events.end == (Broken.NO_PATH, False)

    run(main())


def test_closing_while_cut_off_takes_no_longer_than_was_said() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        ours, _ = await two(network)
        network.partition("alice", "bob")
        ours.connection.send("never arrives")
        began = now()
        await ours.connection.close(drain=5)
        assert now() - began == pytest.approx(5)
        assert ours.events.end is not None
        assert ours.events.end[1] is False

    run(main())


def test_nothing_is_told_after_the_end() -> None:
    async def main() -> None:
        network = MemoryNetwork(delay=0.1, duplicate=1.0)
        ours, theirs = await two(network)
        for number in range(10):
            ours.connection.send(f"{number}")
        await theirs.connection.close(drain=None)
        await asyncio.sleep(10)
        assert theirs.events.calls[-1] == "connection_closed"
        assert ours.events.calls.count("connection_closed") == 1

    run(main())


def scenario_of_many() -> Coroutine[Any, Any, int]:
    async def main() -> int:
        network = MemoryNetwork(5, loss=0.05)
        for _ in range(50):
            ours, theirs = await two(network)
            await ours.connection.close(drain=30)
            await theirs.connection.close(drain=30)
        return len(network._endpoints)

    return main()


def test_closed_connections_are_forgotten() -> None:
    assert run(scenario_of_many()) == 0

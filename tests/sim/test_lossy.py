"""The lossy lane over a network that loses, repeats and reorders: never an older one after a newer, and the last one gets through
when there is a next; whatever the network does, the reliable channel beside it loses nothing.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from support.hub import LoopRuntime
from support.sessions import identity

from rtcrpc import limits
from rtcrpc.link import Link, LinkSettings, LinkStage
from rtcrpc.service.dispatch import Dispatcher
from rtcrpc.service.policy import OpenPolicy
from rtcrpc.service.registry import Registry
from rtcrpc.transport.memory import MemoryNetwork
from rtcrpc.transport.virtual_clock import run


class End:
    """One side: a link, and what its functions were told."""

    def __init__(self, network: MemoryNetwork, name: str, seed: int) -> None:
        self.poses: list[int] = []
        self.notes: list[int] = []
        self.chance = random.Random(seed)
        registry = Registry()
        registry.expose(self.pose, reliable=False)
        registry.expose(self.note)
        loop = asyncio.get_running_loop()
        runtime: Any = LoopRuntime()
        self.dispatcher = Dispatcher(registry, OpenPolicy(), runtime=runtime, user_loop=loop)
        self.ready = asyncio.Event()
        settings = LinkSettings(identity=identity(seed), name=name, room="lab", expected=None)
        self.link = Link(settings, network.transport(name), (), self, self.dispatcher)

    async def pose(self, number: int, pad: bytes = b"") -> None:
        # The time that it takes would let a later one overtake it, if both could run at once.
        await asyncio.sleep(0.02 * self.chance.random())
        self.poses.append(number)

    async def note(self, number: int) -> None:
        self.notes.append(number)

    def link_ready(self, link: Link) -> None:
        self.ready.set()

    def link_closed(self, link: Link, error: Exception) -> None:
        pass

    def link_gone(self, link: Link) -> None:
        pass

    def local_candidate(self, link: Link, candidate: Any) -> None:
        pass


async def meet(network: MemoryNetwork, seed: int) -> tuple[End, End]:
    a, b = End(network, "a", 2 * seed + 1), End(network, "b", 2 * seed + 2)
    answer = await b.link.connection.accept_offer(await a.link.connection.create_offer())
    await a.link.connection.accept_answer(answer)
    await asyncio.gather(a.ready.wait(), b.ready.wait())
    return a, b


async def part(*ends: End) -> None:
    for end in ends:
        end.link.close()
    await asyncio.gather(*(end.link.closed.wait() for end in ends))
    for end in ends:
        await end.dispatcher.close()
        assert end.dispatcher._lossy == {}


@pytest.mark.parametrize("seed", range(20))
def test_never_an_older_one_after_a_newer(seed: int) -> None:
    async def main() -> None:
        network = MemoryNetwork(seed, delay=0.02, jitter=0.05, loss=0.3, duplicate=0.2, reorder=0.3)
        a, b = await meet(network, seed)
        for number in range(1, 301):
            a.link.send_lossy("pose", [number])
            b.link.send_lossy("pose", [number])
            if number % 3 == 0:  # all that one loss can hold up together stays below the bound on notifications
                a.link.send_notification("note", [number])
            await asyncio.sleep(0.01 * a.chance.random())
        await asyncio.sleep(60)
        for end in (a, b):
            assert end.link.stage is LinkStage.READY
            assert end.poses == sorted(set(end.poses))
            assert 30 < len(end.poses) < 300
        assert sorted(b.notes) == list(range(3, 301, 3))
        network.loss = network.reorder = 0.0
        a.link.send_lossy("pose", [301])
        await asyncio.sleep(1)
        assert b.poses[-1] == 301
        await part(a, b)

    run(main())


def test_a_thin_path_gets_the_newest_and_no_queue() -> None:
    """1,000 a second of 1 kB each, over 50 kB a second: what is seen is fresh, and calls still get through."""

    async def main() -> None:
        network = MemoryNetwork(1, delay=0.01, rate=50_000)
        a, b = await meet(network, 1)
        late: list[int] = []
        for number in range(1, 3001):
            a.link.send_lossy("pose", [number, bytes(1000)])
            await asyncio.sleep(0.001)
            if b.poses:
                late.append(number - b.poses[-1])
        # Four frames in the buffer, 20 ms each, one on its way, and the time that the function takes.
        assert max(late[500:]) < 200
        assert 100 < len(b.poses) < 160
        assert b.poses == sorted(set(b.poses))
        assert a.link.connection.lossy_buffered_amount <= limits.LOSSY_BUFFER
        await asyncio.sleep(1)
        assert b.poses[-1] == 3000
        await part(a, b)

    run(main())


@pytest.mark.parametrize("lossy", [True, False])
def test_without_a_lossy_channel_they_go_over_the_other(lossy: bool) -> None:
    async def main() -> None:
        network = MemoryNetwork(1, lossy=lossy)
        a, b = await meet(network, 1)
        assert ("lossy" in a.link.remote.features) is lossy  # type: ignore[union-attr]
        a.link.send_lossy("pose", [1])
        await asyncio.sleep(1)
        a.link.send_lossy("pose", [2])
        await asyncio.sleep(1)
        assert b.poses == [1, 2]
        await part(a, b)

    run(main())


def test_a_flood_by_hand_is_bounded() -> None:
    async def main() -> None:
        network = MemoryNetwork(1)
        a, b = await meet(network, 1)
        for number in range(20_000):
            a.link.connection.send_lossy(number.to_bytes(3, "big") * 300)
            a.link.send_lossy("note", [number])  # not exposed for it
            if number % 100 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(5)
        assert b.notes == b.poses == []
        assert b.link.stage is LinkStage.READY
        assert b.dispatcher._live == set()
        a.link.send_lossy("pose", [1])
        await asyncio.sleep(1)
        assert b.poses == [1]
        await part(a, b)

    run(main())

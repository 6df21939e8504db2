"""Two ends in one program, and what each was told: for tests of ours and of those who write a transport."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from rtcrpc.transport.base import Candidate, Connection, IceServer, Transport

__all__ = ["End", "EventRecorder", "connect", "make_ends"]


class EventRecorder:
    """A `ConnectionEvents` that keeps what it is told; `end` is `(reason, clean)` after the end."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()
        self.messages: list[bytes | str] = []
        self.lossy: list[bytes | str] = []
        self.lossy_arrived = asyncio.Event()
        self.candidates: list[Candidate | None] = []
        self.low = asyncio.Event()
        self.gathered = asyncio.Event()
        self.end: tuple[str, bool] | None = None
        self.calls: list[str] = []
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def channel_opened(self) -> None:
        """Kept as `opened`."""
        self.calls.append("channel_opened")
        self.opened.set()

    def message_received(self, data: bytes | str) -> None:
        """Kept in `messages`."""
        self.calls.append("message_received")
        self.messages.append(data)
        for count, waiter in self._waiting:
            if len(self.messages) >= count and not waiter.done():
                waiter.set_result(None)

    def lossy_received(self, data: bytes | str) -> None:
        """Kept in `lossy`; sets `lossy_arrived`."""
        self.calls.append("lossy_received")
        self.lossy.append(data)
        self.lossy_arrived.set()

    def buffered_amount_low(self) -> None:
        """Kept as `low`."""
        self.calls.append("buffered_amount_low")
        self.low.set()

    def local_candidate(self, candidate: Candidate | None) -> None:
        """Kept in `candidates`; None also as `gathered`."""
        self.calls.append("local_candidate")
        self.candidates.append(candidate)
        if candidate is None:
            self.gathered.set()

    def connection_closed(self, reason: str, clean: bool) -> None:
        """Kept as `end` and `closed`."""
        self.calls.append("connection_closed")
        self.end = (reason, clean)
        self.closed.set()

    async def received(self, count: int) -> list[bytes | str]:
        """Wait until at least `count` messages have come; return all."""
        if len(self.messages) < count:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append((count, waiter))
            await waiter
        return self.messages


@dataclass(frozen=True, slots=True)
class End:
    """A connection and what it told."""

    connection: Connection
    events: EventRecorder


def make_ends(dialer: Transport, answerer: Transport, ice_servers: Sequence[IceServer] = ()) -> tuple[End, End]:
    """Make a connection on each side; nothing is said yet."""
    ours, theirs = EventRecorder(), EventRecorder()
    return End(dialer.create(ours, ice_servers), ours), End(answerer.create(theirs, ice_servers), theirs)


async def connect(dialer: Transport, answerer: Transport, ice_servers: Sequence[IceServer] = ()) -> tuple[End, End]:
    """Make a connection on each side, carry offer and answer, and wait until both channels are open."""
    ours, theirs = make_ends(dialer, answerer, ice_servers)
    answer = await theirs.connection.accept_offer(await ours.connection.create_offer())
    await ours.connection.accept_answer(answer)
    await asyncio.gather(ours.events.opened.wait(), theirs.events.opened.wait())
    return ours, theirs

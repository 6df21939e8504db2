"""Streams under a seeded scheduler: two real sessions, a channel that is in order and slow, and any order of everything else.

A schedule is a seed. It opens streams in both directions; then, step by step, one of these happens: an owner sends items or ends, a
reader takes what came or stops, a frame is carried, either way. Whatever the order: nothing deadlocks, items come in order and once, a
reader never holds more than a window and a message.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sessions import Party, ready_pair

from rtcrpc.core import events
from rtcrpc.core.flow import IncomingStream, OutgoingStream
from rtcrpc.core.session import SessionConfig
from rtcrpc.core.values import StreamRef

SCHEDULES = 10_000
SHARES = 20  # tests that share them, so that none takes long
WINDOW = 400
LARGEST = 3_000


@dataclass
class Case:
    """One stream, as both ends see it."""

    owner: Party = field(repr=False)
    reader: Party = field(repr=False)
    id: int
    sent: list[Any] = field(default_factory=list, repr=False)
    got: list[Any] = field(default_factory=list, repr=False)
    held: deque[events.StreamItems] = field(default_factory=deque, repr=False)
    held_bytes: int = 0
    largest: int = 0
    to_send: int = 0
    ended: bool = False
    end_seen: bool = False
    stopped: bool = False
    stop_seen: bool = False

    @property
    def is_over(self) -> bool:
        # The last is the stop that crosses the end: neither side hears of the other's.
        return self.end_seen or self.stop_seen or (self.stopped and self.ended)


class Schedule:
    """Runs one seed on a pair of sessions that others have used before."""

    def __init__(self, a: Party, b: Party, seed: int) -> None:
        self.chance = random.Random(seed)
        self.a, self.b = a, b
        self.wires: dict[str, deque[Any]] = {"ab": deque(), "ba": deque()}
        self.cases = [self.open(*(pair)) for pair in self.chance.choices([(a, b), (b, a)], k=self.chance.randint(1, 4))]
        self.number = 0

    def open(self, owner: Party, reader: Party) -> Case:
        stream = owner.session.open_stream()
        # Sometimes in a long message, which the items must not overtake.
        owner.session.send_notification("take", [StreamRef(stream), "x" * self.chance.choice([0, 0, LARGEST])])
        return Case(owner, reader, stream, to_send=self.chance.randint(0, 12))

    def run(self) -> None:
        for _ in range(4_000):
            if all(case.is_over for case in self.cases):
                self.quiesce()
                return
            self.step()
        raise AssertionError(f"deadlock: {self.cases}")

    def step(self) -> None:
        acts = [self.carry_ab, self.carry_ba, *([act] for case in self.cases for act in self.acts_of(case))]
        act = self.chance.choice(acts)
        act[0]() if isinstance(act, list) else act()

    def acts_of(self, case: Case) -> list[Any]:
        acts: list[Any] = []
        if not case.ended and not case.stop_seen:
            acts.append(lambda: self.send(case))
        if case.held and not case.stopped:
            acts.append(lambda: self.take(case))
        return acts

    def send(self, case: Case) -> None:
        count = min(self.chance.randint(1, 5), case.to_send)
        items: list[Any] = []
        for _ in range(count):
            self.number += 1
            items.append([self.number, "x" * self.chance.choice([0, 5, 60, WINDOW, LARGEST])])
        case.to_send -= count
        if items:
            case.owner.session.send_items(case.id, items)
            case.sent += items
        else:
            case.ended = True
            case.owner.session.end_stream(case.id)

    def take(self, case: Case) -> None:
        if self.chance.random() < 0.02:
            case.stopped = True
            case.held.clear()
            case.reader.session.stop_stream(case.id)
            return
        message = case.held.popleft()
        case.held_bytes -= message.size
        case.got += message.items
        case.reader.session.credit_stream(case.id, message.size)

    def carry_ab(self) -> None:
        self.carry(self.a, self.b, self.wires["ab"])

    def carry_ba(self) -> None:
        self.carry(self.b, self.a, self.wires["ba"])

    def carry(self, source: Party, target: Party, wire: deque[Any]) -> None:
        # What is put into the channel, and what comes out of it, each at its own pace.
        if self.chance.random() < 0.5 and len(wire) < 6:
            wire.extend(source.session.data_to_send(self.chance.choice([1, 1_500])))
            self.look(source)
        for _ in range(min(len(wire), self.chance.randint(0, 3))):
            target.receive(wire.popleft())
            self.look(target)

    def look(self, party: Party) -> None:
        party.settle()
        happened, party.happened = party.happened, []
        for event in happened:
            match event:
                case events.StreamItems(stream=stream):
                    case = self.case(stream, reader=party)
                    assert not case.stopped
                    assert not case.end_seen
                    case.held.append(event)
                    case.held_bytes += event.size
                    case.largest = max(case.largest, event.size)
                    # What was taken and not granted yet is less than half a window, and is not held.
                    assert case.held_bytes <= WINDOW + case.largest
                case events.StreamEnded(stream=stream, error=None):
                    case = self.case(stream, reader=party)
                    case.end_seen = True
                    assert [*case.got, *(item for message in case.held for item in message.items)] == case.sent
                    assert case.ended
                case events.StreamStopped(stream=stream):
                    case = self.case(stream, owner=party)
                    assert case.stopped
                    case.stop_seen = True
                case events.NotificationReceived() | events.StreamsOpened() | events.StreamWritable():
                    pass
                case _:
                    raise AssertionError(f"unexpected: {event}")
        assert party.closed is None

    def case(self, stream: int, *, owner: Party | None = None, reader: Party | None = None) -> Case:
        (case,) = [c for c in self.cases if c.id == stream and (c.owner is owner or c.reader is reader)]
        return case

    def quiesce(self) -> None:
        """Carry what is left, so that the next seed finds the sessions at rest."""
        while True:
            for wire, source in ((self.wires["ab"], self.a), (self.wires["ba"], self.b)):
                wire.extend(source.session.data_to_send(1 << 20))
            if not any(self.wires.values()):
                break
            for wire, target in ((self.wires["ab"], self.b), (self.wires["ba"], self.a)):
                while wire:
                    target.receive(wire.popleft())
        for case in self.cases:
            assert case.owner.session.queued_bytes_of(case.id) == 0
        self.a.happened.clear()
        self.b.happened.clear()


@pytest.mark.parametrize("share", range(SHARES))
def test_any_schedule(share: int) -> None:
    encodings = ("json",) if share % 4 == 0 else ("msgpack", "json")
    a, b = ready_pair(config=SessionConfig(stream_window=WINDOW, max_frame=1_024, encodings=encodings))
    for seed in range(share, SCHEDULES, SHARES):
        try:
            Schedule(a, b, seed).run()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


@given(
    window=st.integers(1, 1_000),
    sizes=st.lists(st.integers(1, 3_000), max_size=60),
    delays=st.lists(st.integers(0, 8), max_size=60),
)
def test_the_books_agree_whatever_the_sizes_and_the_delay_of_credit(
    window: int, sizes: list[int], delays: list[int]
) -> None:
    owner, reader = OutgoingStream(1, window), IncomingStream(1, window)
    on_the_way: deque[int] = deque()
    waiting = deque(sizes)
    held: deque[int] = deque()
    delay = iter(delays)
    while waiting or held:
        if waiting and owner.credit > 0:
            size = waiting.popleft()
            owner.pay(size)
            reader.charge(size)
            held.append(size)
            assert sum(held) <= window + max(held)
        elif held:
            if grant := reader.take(held.popleft()):
                on_the_way.append(grant)
        else:
            assert on_the_way, "the owner waits, the reader has taken everything, and no credit is on its way"
        for _ in range(len(on_the_way) if not held else min(next(delay, 8), len(on_the_way))):
            owner.grant(on_the_way.popleft())
    while on_the_way:
        owner.grant(on_the_way.popleft())
    assert owner.credit == reader.credit > window // 2 - 1 or not sizes

"""A session whose questions are answered, and two of them joined by hand: no loop, no clock, no network."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rtcrpc.core import events
from rtcrpc.core.identity import Identity, verify_payload
from rtcrpc.core.session import Session, SessionConfig

E = TypeVar("E")
Frame = bytes | str
_seeds = itertools.count(1)


def identity(seed: int | None = None) -> Identity:
    """A key that is the same in each run."""
    return Identity.generate((seed if seed is not None else next(_seeds)).to_bytes(32, "big"))


def entropy(seed: int) -> Callable[[int], bytes]:
    """Bytes that differ from call to call and are the same in each run."""
    counter = itertools.count(seed * 1_000_003)
    return lambda count: next(counter).to_bytes(count, "big")


@dataclass
class Party:
    """One end. `happened` keeps every event but the crypto questions, which are answered at once."""

    identity: Identity = field(default_factory=identity)
    fingerprint: bytes = b"\x01" * 32
    peer_fingerprint: bytes = b"\x02" * 32
    room: str = "lab"
    pin: str | frozenset[str] | None = None
    config: SessionConfig = field(default_factory=SessionConfig)
    name: str = "party"
    max_message_size: int = 262_144
    seed: int = field(default_factory=lambda: next(_seeds))
    now: float = 0.0
    happened: list[events.Event] = field(default_factory=list)
    sent: list[Frame] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = Session(
            peer_id=self.identity.peer_id,
            name=self.name,
            room=self.room,
            config=self.config,
            entropy=entropy(self.seed),
            now=self.now,
            pin=self.pin,
            local_fingerprint=self.fingerprint,
            remote_fingerprint=self.peer_fingerprint,
            max_message_size=self.max_message_size,
        )

    def receive(self, *frames: Frame) -> None:
        """Take frames in, and answer what the session asks."""
        for frame in frames:
            self.session.receive_data(frame, self.now)
            self.settle()

    def settle(self) -> None:
        """Take the events out; sign and verify for real."""
        while pending := self.session.events_received():
            for event in pending:
                match event:
                    case events.SignRequired(payload=payload):
                        self.session.signed(self.identity.sign_payload(payload))
                    case events.VerifyRequired(key=key, payload=payload, signature=signature):
                        self.session.verified(verify_payload(key, payload, signature), self.now)
                    case _:
                        self.happened.append(event)

    def take(self, budget: int = 1 << 30) -> list[Frame]:
        """What it wants to send."""
        self.settle()
        frames = self.session.data_to_send(budget)
        self.sent.extend(frames)
        return frames

    def tick(self, now: float) -> None:
        """Let it be `now`."""
        self.now = now
        self.session.tick(now)
        self.settle()

    def all(self, kind: type[E]) -> list[E]:
        """The events of one kind so far."""
        return [event for event in self.happened if isinstance(event, kind)]

    def one(self, kind: type[E]) -> E:
        """The only event of one kind."""
        (event,) = self.all(kind)
        return event

    @property
    def ready(self) -> bool:
        """Whether the session was ever ready."""
        return bool(self.all(events.SessionReady))

    @property
    def closed(self) -> events.SessionClosed | None:
        """How it ended, if it did."""
        return next(iter(self.all(events.SessionClosed)), None)


def pump(a: Party, b: Party, rounds: int = 100) -> None:
    """Carry everything both ways until nothing moves."""
    for _ in range(rounds):
        to_b, to_a = a.take(), b.take()
        if not to_a and not to_b:
            return
        b.receive(*to_b)
        a.receive(*to_a)
    raise AssertionError(f"the two still talk after {rounds} rounds")


def pair(**of_both: Any) -> tuple[Party, Party]:
    """Two parties on one honest connection, not yet talking."""
    a = Party(fingerprint=b"\xaa" * 32, peer_fingerprint=b"\xbb" * 32, name="a", **of_both)
    b = Party(fingerprint=b"\xbb" * 32, peer_fingerprint=b"\xaa" * 32, name="b", **of_both)
    return a, b


def ready_pair(**of_both: Any) -> tuple[Party, Party]:
    """Two parties whose handshake is done; what happened until then is forgotten."""
    a, b = pair(**of_both)
    pump(a, b)
    if not (a.ready and b.ready):
        raise AssertionError(f"the handshake failed: {a.closed}, {b.closed}")
    for party in (a, b):
        party.happened.clear()
        party.sent.clear()
    return a, b

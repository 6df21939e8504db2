"""T2: a hello, a proof, a signature is good once: for one pair, one role, one room, one connection."""

from __future__ import annotations

from collections.abc import Callable

from support.sessions import Frame, Party, identity, pump

from rtcrpc.core import events

RECORDINGS = 1000


def recorded(seed: int) -> tuple[Party, Party, list[Frame], list[Frame]]:
    """An honest handshake and what a listener could have kept of it."""
    a = Party(identity=identity(2 * seed + 1), fingerprint=b"\xaa" * 32, peer_fingerprint=b"\xbb" * 32)
    b = Party(identity=identity(2 * seed + 2), fingerprint=b"\xbb" * 32, peer_fingerprint=b"\xaa" * 32)
    pump(a, b)
    assert a.ready
    assert b.ready
    return a, b, [f for f in a.sent if isinstance(f, str)], [f for f in b.sent if isinstance(f, str)]


def fresh(like: Party, **changed: object) -> Party:
    """The same peer on its next connection."""
    return Party(
        identity=like.identity,
        fingerprint=like.fingerprint,
        peer_fingerprint=like.peer_fingerprint,
        **changed,  # type: ignore[arg-type]
    )


def test_recordings_are_worthless(report: Callable[[str, str], None]) -> None:
    accepted = 0
    for seed in range(RECORDINGS):
        a, _, from_a, from_b = recorded(seed)
        again = fresh(a)  # replayed to the same peer on a new connection
        again.take()
        again.receive(*from_b[:2])
        reflected = fresh(a)  # the peer's own messages sent back to it
        reflected.receive(*reflected.take())
        elsewhere = fresh(a, room="another room")
        elsewhere.receive(*from_b[:2])
        third = Party(identity=identity(100_000 + seed), fingerprint=a.fingerprint, peer_fingerprint=a.peer_fingerprint)
        third.receive(*from_b[:2])  # to somebody it was not meant for
        for victim in (again, reflected, elsewhere, third):
            accepted += victim.ready
            assert victim.closed is not None
            assert victim.all(events.RequestReceived) == []
        assert from_a
    report("T2", f"{RECORDINGS} recordings x 4 reuses: {accepted} accepted")
    assert accepted == 0

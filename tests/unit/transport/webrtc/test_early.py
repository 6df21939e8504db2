"""Chunks before their turn, against the plain way of doing the same."""

from aiortc.rtcsctptransport import DataChunk
from hypothesis import given
from hypothesis import strategies as st

from rtcrpc.transport.webrtc.guard.early import CHUNK_COST, EarlyChunks


def chunk(size: int = 1) -> DataChunk:
    made = DataChunk()
    made.user_data = bytes(size)
    return made


def runs_of(positions: set[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for position in sorted(positions):
        if runs and position == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], position)
        else:
            runs.append((position, position))
    return runs


@given(st.lists(st.integers(0, 60), unique=True), st.integers(0, 20))
def test_runs_are_those_of_the_positions(positions: list[int], taken: int) -> None:
    early = EarlyChunks(10**6)
    for position in positions:
        assert early.add(position, chunk())
    left = set(positions)
    for position in sorted(positions)[:taken]:
        assert early.pop(position) is not None
        left.discard(position)
    assert early.pop(1000) is None
    assert early.runs(100) == runs_of(left)
    assert early.runs(2) == runs_of(left)[:2]
    assert len(early) == len(left)
    assert early.data_bytes == len(left)
    assert all(position in early for position in left)


def test_the_limit_and_one_more() -> None:
    early = EarlyChunks(3 * (CHUNK_COST + 10))
    assert all(early.add(position, chunk(10)) for position in (5, 7, 9))
    assert not early.add(11, chunk(0))
    assert early.cost == 3 * (CHUNK_COST + 10)
    early.clear()
    assert early.cost == 0
    assert early.add(11, chunk(10))

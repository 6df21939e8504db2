"""Chunks that came before their turn, and the gaps to tell the sender of. Pure: no input or output.

Positions count the TSNs of an association from 0 and don't wrap. Whatever order a peer chooses, taking a
chunk in costs a search and a shift of small integers, and telling the gaps costs as much as is told.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from aiortc.rtcsctptransport import DataChunk

__all__ = ["CHUNK_COST", "EarlyChunks"]

CHUNK_COST: Final = 1024
"""Bytes counted for a chunk beside its data: about twice what Python takes for it."""


class EarlyChunks:
    """A table of chunks by position, within `limit` bytes, `CHUNK_COST` for each chunk counted."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: dict[int, DataChunk] = {}
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.data_bytes = 0

    def __len__(self) -> int:
        return len(self._chunks)

    def __contains__(self, position: int) -> bool:
        return position in self._chunks

    @property
    def cost(self) -> int:
        """Bytes held, with what it takes to hold them."""
        return self.data_bytes + len(self._chunks) * CHUNK_COST

    @property
    def first(self) -> int | None:
        """The first position in the table; None where it is empty."""
        return self._starts[0] if self._starts else None

    def add(self, position: int, chunk: DataChunk) -> bool:
        """Keep a chunk whose position is not in the table yet; false where there is no room for it."""
        if self.cost + len(chunk.user_data) + CHUNK_COST > self._limit:
            return False
        self._chunks[position] = chunk
        self.data_bytes += len(chunk.user_data)
        at = bisect_right(self._starts, position)
        joins_left = at > 0 and self._ends[at - 1] == position - 1
        joins_right = at < len(self._starts) and self._starts[at] == position + 1
        if joins_left and joins_right:
            self._ends[at - 1] = self._ends[at]
            del self._starts[at], self._ends[at]
        elif joins_left:
            self._ends[at - 1] = position
        elif joins_right:
            self._starts[at] = position
        else:
            self._starts.insert(at, position)
            self._ends.insert(at, position)
        return True

    def pop(self, position: int) -> DataChunk | None:
        """Take the chunk at `position`, which no chunk in the table is before; None where it isn't here."""
        chunk = self._chunks.pop(position, None)
        if chunk is not None:
            self.data_bytes -= len(chunk.user_data)
            if self._starts[0] == self._ends[0]:
                del self._starts[0], self._ends[0]
            else:
                self._starts[0] = position + 1
        return chunk

    def runs(self, most: int) -> list[tuple[int, int]]:
        """The first and last positions of each run of chunks, in order; at most `most` runs."""
        return list(zip(self._starts[:most], self._ends[:most], strict=True))

    def clear(self) -> None:
        """Forget all."""
        self._chunks.clear()
        self._starts.clear()
        self._ends.clear()
        self.data_bytes = 0

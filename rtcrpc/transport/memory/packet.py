"""What travels on a network in memory."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Kind", "Packet", "size_of"]


class Kind(Enum):
    """What a packet is for."""

    OPEN = "open"
    MESSAGE = "message"
    LOSSY = "lossy"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Packet:
    """One message, or the first or last packet of a side; `number` counts up from 0 on each side, and is -1 for what may be lost."""

    number: int
    kind: Kind
    data: bytes | str

    @property
    def size(self) -> int:
        """Bytes of the message; what opens and closes counts for nothing."""
        return size_of(self.data) if self.kind in (Kind.MESSAGE, Kind.LOSSY) else 0


def size_of(data: bytes | str) -> int:
    """Bytes of a frame; text is measured in UTF-8."""
    return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())

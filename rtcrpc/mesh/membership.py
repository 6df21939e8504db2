"""Who is in the room, and how each of them stands with us (sans-IO).

Presence comes from signaling and proves nothing; the link state comes from links, which prove keys. The two are kept apart: a
peer that left the bootstrap may well still be connected, and the other way round.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rtcrpc.core.identity import is_peer_id
from rtcrpc.errors import IdentityMismatch, Unavailable
from rtcrpc.signaling.base import Member

__all__ = ["Entry", "LinkState", "Membership"]


class LinkState(enum.Enum):
    """How a peer stands with us."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    CLOSED = "closed"


@dataclass(slots=True)
class Entry:
    """One peer: `present` in the room or not, its link `state` and the `reason` of that state."""

    peer_id: str
    name: str
    present: bool = True
    state: LinkState = LinkState.NEW
    reason: str = ""

    @property
    def member(self) -> Member:
        """The entry as signaling would list it."""
        return Member(self.peer_id, self.name)


class Membership:
    """The table of peers of one room, our own left out; `pins` are the keys that names are allowed to stand for."""

    def __init__(self, own_id: str, pins: frozenset[str] = frozenset()) -> None:
        self.own_id = own_id
        self.pins = pins
        self._entries: dict[str, Entry] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries.values()))

    def get(self, peer_id: str) -> Entry | None:
        """The entry of `peer_id`, or None."""
        return self._entries.get(peer_id)

    def present(self) -> list[Entry]:
        """Those in the room now, as far as the bootstrap says."""
        return [entry for entry in self._entries.values() if entry.present]

    def replace(self, members: Iterable[Member]) -> None:
        """Take the whole list that a join gave."""
        for entry in self._entries.values():
            entry.present = False
        for member in members:
            self.add(member)
        self._forget_gone()

    def add(self, member: Member) -> Entry | None:
        """A peer came in (or came again, maybe under another name)."""
        if member.peer_id == self.own_id:
            return None
        entry = self._entries.setdefault(member.peer_id, Entry(member.peer_id, member.name))
        entry.name, entry.present = member.name, True
        return entry

    def remove(self, peer_id: str) -> Entry | None:
        """A peer left the room; its link, if there is one, is not touched."""
        entry = self._entries.get(peer_id)
        if entry is None:
            return None
        entry.present = False
        self._forget_gone()
        return entry

    def set_state(self, peer_id: str, state: LinkState, reason: str = "", name: str | None = None) -> Entry:
        """A link changed; a peer that is linked is kept even when the bootstrap doesn't list it."""
        entry = self._entries.setdefault(peer_id, Entry(peer_id, name or "", present=False))
        entry.state, entry.reason = state, reason
        if name:
            entry.name = name
        self._forget_gone()
        return entry

    def resolve(self, wanted: str | None) -> Entry | None:
        """The entry that `wanted` means, None while there is none yet.

        `wanted` is a peer id, a name, or None for "the pinned peer, or the only other one". A name reaches only a pinned key
        where there are pins: names are anyone's choice. Raises `IdentityMismatch` when only other keys carry the name, and
        `Unavailable` when the words fit several peers.
        """
        if wanted is not None and is_peer_id(wanted):
            return self._entries.get(wanted)
        named = [e for e in self._entries.values() if self._reachable(e) and (wanted is None or e.name == wanted)]
        fitting = [e for e in named if e.peer_id in self.pins] if self.pins else named
        if len(fitting) > 1:
            listing = ", ".join(f"{e.name} ({e.peer_id})" for e in fitting)
            raise Unavailable(
                f"expected one peer to fit {wanted or 'any name'!r}, got {len(fitting)}: {listing}; pass the peer id"
            )
        if not fitting and wanted is not None and named:
            raise IdentityMismatch(
                f"{wanted!r} is in the room with another key: expected {' or '.join(sorted(self.pins))}, got "
                f"{', '.join(e.peer_id for e in named)}; ask for a new link if the key has changed, else somebody poses as {wanted!r}"
            )
        return fitting[0] if fitting else None

    @staticmethod
    def _reachable(entry: Entry) -> bool:
        return entry.present or entry.state is LinkState.CONNECTED

    def _forget_gone(self) -> None:
        linked = (LinkState.CONNECTING, LinkState.CONNECTED)
        gone = [e.peer_id for e in self._entries.values() if not e.present and e.state not in linked]
        for peer_id in gone:
            del self._entries[peer_id]

"""Who offers and who answers, between this peer and one other (sans-IO; protocol section 9).

Each dial is an attempt with an id of its own. When both sides dial at once the offer of the peer with the larger id
counts: the smaller is polite and answers. An offer is taken once, so that a replayed one can't tear down a link.
"""

from __future__ import annotations

import enum
from collections import deque

__all__ = ["Negotiation", "OfferVerdict"]

_REMEMBERED_ATTEMPTS = 64  # more offers than this from one peer, within one room, and the oldest is forgotten


class OfferVerdict(enum.Enum):
    """What to do with an offer that came in."""

    ANSWER = "answer"
    """Take it; nothing of ours is in the way."""
    ANSWER_AND_DROP_OURS = "answer and drop ours"
    """Take it, and give up the attempt that we had begun."""
    IGNORE_GLARE = "ignore: our own offer counts"
    """Both offered at once and ours counts."""
    IGNORE_REPLAY = "ignore: this attempt was seen before"
    """The bootstrap, or the peer, sent an old offer again."""


class Negotiation:
    """The attempts between `own_id` and `peer_id`."""

    def __init__(self, own_id: str, peer_id: str) -> None:
        if own_id == peer_id:
            raise ValueError("a peer can't negotiate with itself: both ids are the same")
        self.polite = own_id.encode() < peer_id.encode()
        self._ours: str | None = None
        self._current: str | None = None
        self._seen: deque[str] = deque(maxlen=_REMEMBERED_ATTEMPTS)

    @property
    def current(self) -> str | None:
        """The attempt whose answer and candidates count now."""
        return self._current

    def dial(self, attempt: str) -> None:
        """We are about to send an offer under `attempt`."""
        self._ours = self._current = attempt
        self._seen.append(attempt)

    def receive_offer(self, attempt: str) -> OfferVerdict:
        """An offer came; the verdict is already taken into account."""
        if attempt in self._seen:
            return OfferVerdict.IGNORE_REPLAY
        self._seen.append(attempt)
        if self._ours is None:
            self._current = attempt
            return OfferVerdict.ANSWER
        if not self.polite:
            return OfferVerdict.IGNORE_GLARE
        self._ours = None
        self._current = attempt
        return OfferVerdict.ANSWER_AND_DROP_OURS

    def expects_answer(self, attempt: str) -> bool:
        """Whether an answer under `attempt` belongs to the offer we sent last."""
        return attempt == self._ours

    def is_current(self, attempt: str) -> bool:
        """Whether a candidate or a refusal under `attempt` still matters."""
        return attempt == self._current

    def was_seen(self, attempt: str) -> bool:
        """Whether an offer under `attempt` was sent or received: what comes for it now is late, not early."""
        return attempt in self._seen

    def settle(self) -> None:
        """The attempt led to a link, or failed: the next offer of either side is a new beginning."""
        self._ours = None

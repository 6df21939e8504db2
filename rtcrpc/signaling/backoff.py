"""How long to wait before the next attempt to reach a bootstrap. Sans-IO: the randomness is an argument."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """Exponential backoff with full jitter: a delay is anywhere between 0 and `first * 2 ** failures`, at
    most `most` seconds.

    (With full jitter a thousand peers whose bootstrap restarts come back spread out, not in waves.) After a
    refusal the wait is between half of `slow` and `slow`: what was refused is rarely granted a second later.
    `random` returns a number in [0, 1).
    """

    def __init__(
        self, random: Callable[[], float], *, first: float = 0.5, most: float = 30.0, slow: float = 60.0
    ) -> None:
        if not 0 < first <= most or slow <= 0:
            raise ValueError(f"expected 0 < first <= most and slow > 0, got {first}, {most}, {slow}")
        self._random = random
        self._first = first
        self._most = most
        self._slow = slow
        self._failures = 0

    def reset(self) -> None:
        """A connection held: begin with short waits again."""
        self._failures = 0

    def after_loss(self) -> float:
        """Seconds to wait after a connection failed or was lost."""
        ceiling = min(self._most, self._first * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return self._random() * ceiling

    def after_refusal(self) -> float:
        """Seconds to wait after the bootstrap said no."""
        return self._slow * (0.5 + self._random() / 2)

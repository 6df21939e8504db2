"""A token bucket with the time as an argument: how often something may happen, with room for a burst."""

from __future__ import annotations

import math

__all__ = ["TokenBucket"]


class TokenBucket:
    """`burst` at once, then `rate` a second. Times are seconds of any clock that only goes forward."""

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        if not (rate > 0 and burst >= 1 and math.isfinite(rate) and math.isfinite(burst)):
            raise ValueError(f"expected a rate above 0 and a burst of at least 1, got {rate} and {burst}")
        self.rate = rate
        self.burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Take a token if there is one."""
        self._fill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def wait(self, now: float) -> float:
        """Seconds until there is a token: 0 when there is one now."""
        self._fill(now)
        return max(0.0, (1 - self._tokens) / self.rate)

    def _fill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
            self._at = now

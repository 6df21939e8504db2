"""Who may call what. The dispatcher asks a policy before it hands anything to a function."""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from rtcrpc import codes, limits
from rtcrpc.service.context import Caller

__all__ = ["Decision", "InvitePolicy", "OpenPolicy", "PinnedPolicy", "Policy"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy decided. `code` and `reason` are sent to a caller that is refused; `code` is one of
    `rtcrpc.codes`.
    """

    allowed: bool
    code: int = codes.PERMISSION_DENIED
    reason: str = ""


ALLOWED = Decision(True)


class Policy(Protocol):
    """Decides. Both methods must be quick, and are called from several threads.

    A caller that is not admitted learns nothing of what is exposed: each of its requests is answered alike.
    Only what a registry holds can be called at all, whatever a policy says.
    """

    def admits(self, caller: Caller) -> bool:
        """Whether `caller` may call anything. `caller.peer_id` None is a peer of level 0, which proved
        nothing.
        """

    def decide(self, caller: Caller, method: str) -> Decision:
        """Whether `caller`, who is admitted, may call `method`, which exists."""


class _EveryMethod:
    """The half that policies share which know callers only."""

    def decide(self, caller: Caller, method: str) -> Decision:
        """Allowed: whoever is admitted may call everything that is exposed."""
        return ALLOWED


class OpenPolicy(_EveryMethod):
    """Admits every peer in the room that proved a key; with `anonymous=True` also peers of level 0, which
    have none.
    """

    def __init__(self, *, anonymous: bool = False) -> None:
        self._anonymous = anonymous

    def admits(self, caller: Caller) -> bool:
        """Whether there is a key, or none is asked for."""
        return self._anonymous or caller.peer_id is not None


class PinnedPolicy(_EveryMethod):
    """Admits peers whose key was known beforehand, and no others: what a peer does that was told nothing
    else.
    """

    def admits(self, caller: Caller) -> bool:
        """Whether the key was pinned."""
        return caller.peer_id is not None and caller.trust == "pinned"


class InvitePolicy(_EveryMethod):
    """Admits whoever presents one of `secrets`, the secrets of invites (protocol section 6.1).

    Only the SHA-256 of a secret's text (UTF-8) is kept, and compared in constant time. Raises `ValueError`
    for a secret that a peer could not present, or for none at all.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        digests = []
        for secret in secrets:
            if not 16 <= len(secret) <= limits.TOKEN_LENGTH:
                raise ValueError(
                    f"secrets: expected texts of 16 to {limits.TOKEN_LENGTH} characters, got one of "
                    f"{len(secret)}; "
                    "make one with secrets.token_urlsafe(16)"
                )
            digests.append(_digest(secret))
        if not digests:
            raise ValueError("secrets: expected at least one, got none; use PinnedPolicy() to let in nobody else")
        self._digests = tuple(digests)
        # A peer shows the same token with each call, so what came out is kept: it tells nothing but whether
        # this very token was shown before.
        self._matches = functools.lru_cache(maxsize=256)(self._compare)

    def admits(self, caller: Caller) -> bool:
        """Whether any of the tokens is one of the secrets."""
        if caller.peer_id is not None:
            for token in caller.tokens:  # a generator for each call would cost more than the rest
                if self._matches(token):
                    return True
        return False

    def _compare(self, token: str) -> bool:
        shown = _digest(token)
        # No early end: the time must not tell which of the secrets came close.
        found = False
        for digest in self._digests:
            found |= hmac.compare_digest(shown, digest)
        return found


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

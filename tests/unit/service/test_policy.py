"""Who is admitted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcrpc import limits
from rtcrpc.service.context import Caller
from rtcrpc.service.policy import InvitePolicy, OpenPolicy, PinnedPolicy

SECRET = "c2VjcmV0LXNlY3JldC1zZQ"
OTHER = "b3RoZXItb3RoZXItb3RoZQ"
KNOWN = Caller("p" * 43, "known", "pinned", "lab")
STRANGER = Caller("q" * 43, "stranger", "anonymous", "lab")
NOBODY = Caller(None, "nobody", "anonymous", "lab")


def test_open() -> None:
    assert OpenPolicy().admits(KNOWN)
    assert OpenPolicy().admits(STRANGER)
    assert not OpenPolicy().admits(NOBODY)
    assert OpenPolicy(anonymous=True).admits(NOBODY)
    assert OpenPolicy().decide(STRANGER, "f").allowed


def test_pinned() -> None:
    assert PinnedPolicy().admits(KNOWN)
    assert not PinnedPolicy().admits(STRANGER)
    assert not PinnedPolicy().admits(replace(KNOWN, trust="tofu"))
    assert not PinnedPolicy().admits(replace(NOBODY, trust="pinned"))


def test_invite() -> None:
    policy = InvitePolicy([SECRET, OTHER])
    for _ in range(2):
        assert not policy.admits(STRANGER)
        assert not policy.admits(KNOWN)
        assert policy.admits(replace(STRANGER, tokens=(SECRET,)))
        assert policy.admits(replace(STRANGER, tokens=("wrong", OTHER)))
        assert not policy.admits(replace(STRANGER, tokens=("wrong", SECRET[:-1], SECRET + "x", "", "\ud800")))
        assert not policy.admits(replace(NOBODY, tokens=(SECRET,)))
    assert policy.decide(replace(STRANGER, tokens=(SECRET,)), "f").allowed


def test_a_policy_does_not_hold_its_secrets() -> None:
    policy = InvitePolicy([SECRET])
    assert SECRET not in repr(vars(policy))


@pytest.mark.parametrize("secret", ["", "short", "x" * 15, "x" * (limits.TOKEN_LENGTH + 1)])
def test_secrets_that_cannot_be(secret: str) -> None:
    with pytest.raises(ValueError, match="expected texts of 16 to"):
        InvitePolicy([secret])


def test_no_secret_at_all() -> None:
    with pytest.raises(ValueError, match="expected at least one"):
        InvitePolicy([])


def test_secrets_at_the_limits() -> None:
    for length in (16, limits.TOKEN_LENGTH):
        assert InvitePolicy(["x" * length]).admits(replace(STRANGER, tokens=("x" * length,)))

"""rtcrpc.mesh.membership: who is meant by a name, and who is forgotten when."""

import pytest

from rtcrpc.core.identity import Identity
from rtcrpc.errors import IdentityMismatch, Unavailable
from rtcrpc.mesh.membership import LinkState, Membership
from rtcrpc.signaling.base import Member

OWN, ROBOT, OTHER, THIRD = (Identity.generate(bytes([n]) * 32).peer_id for n in range(1, 5))


def members(*pairs: tuple[str, str], pins: frozenset[str] = frozenset()) -> Membership:
    membership = Membership(OWN, pins)
    membership.replace([Member(peer_id, name) for peer_id, name in pairs])
    return membership


def test_a_name_and_an_id() -> None:
    membership = members((ROBOT, "robot"), (OTHER, "other"))
    for wanted in ("robot", ROBOT):
        entry = membership.resolve(wanted)
        assert entry is not None
        assert entry.peer_id == ROBOT
    assert membership.resolve("nobody") is None
    assert membership.resolve(THIRD) is None


def test_no_name_means_the_only_one() -> None:
    entry = members((ROBOT, "robot")).resolve(None)
    assert entry is not None
    assert entry.peer_id == ROBOT
    with pytest.raises(Unavailable, match="got 2"):
        members((ROBOT, "robot"), (OTHER, "other")).resolve(None)


def test_no_name_means_the_pinned_one() -> None:
    entry = members((ROBOT, "robot"), (OTHER, "other"), pins=frozenset({OTHER})).resolve(None)
    assert entry is not None
    assert entry.peer_id == OTHER
    assert members((ROBOT, "robot"), pins=frozenset({OTHER})).resolve(None) is None


def test_one_name_twice_is_refused() -> None:
    with pytest.raises(Unavailable, match="pass the peer id"):
        members((ROBOT, "robot"), (OTHER, "robot")).resolve("robot")


def test_a_pinned_key_wins_over_a_squatter() -> None:
    entry = members((OTHER, "robot"), (ROBOT, "robot"), pins=frozenset({ROBOT})).resolve("robot")
    assert entry is not None
    assert entry.peer_id == ROBOT


def test_only_a_squatter_is_an_error_that_names_both_keys() -> None:
    with pytest.raises(IdentityMismatch) as caught:
        members((OTHER, "robot"), pins=frozenset({ROBOT})).resolve("robot")
    assert ROBOT in str(caught.value)
    assert OTHER in str(caught.value)


def test_our_own_entry_is_left_out() -> None:
    membership = members((OWN, "me"))
    assert list(membership) == []


def test_a_connected_peer_outlives_its_presence() -> None:
    membership = members((ROBOT, "robot"))
    membership.set_state(ROBOT, LinkState.CONNECTED)
    membership.remove(ROBOT)
    assert membership.present() == []
    assert membership.resolve("robot") is not None
    membership.set_state(ROBOT, LinkState.DISCONNECTED, "gone")
    assert membership.get(ROBOT) is None


def test_a_linked_peer_need_not_be_present() -> None:
    membership = Membership(OWN)
    entry = membership.set_state(ROBOT, LinkState.CONNECTED, name="robot")
    assert (entry.name, entry.present) == ("robot", False)

"""rtcrpc.mesh.negotiation: one of two offers counts, and each is taken once."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcrpc.mesh.negotiation import Negotiation, OfferVerdict

SMALL, LARGE = "A" * 43, "B" * 43


def test_the_peer_with_the_smaller_id_is_polite() -> None:
    assert Negotiation(SMALL, LARGE).polite
    assert not Negotiation(LARGE, SMALL).polite
    with pytest.raises(ValueError, match="with itself"):
        Negotiation(SMALL, SMALL)


def test_an_offer_out_of_the_blue_is_answered() -> None:
    for ours, theirs in ((SMALL, LARGE), (LARGE, SMALL)):
        negotiation = Negotiation(ours, theirs)
        assert negotiation.receive_offer("one") is OfferVerdict.ANSWER
        assert negotiation.is_current("one")
        assert not negotiation.expects_answer("one")


def test_glare_is_settled_the_same_way_on_both_sides() -> None:
    polite, impolite = Negotiation(SMALL, LARGE), Negotiation(LARGE, SMALL)
    polite.dial("from the small")
    impolite.dial("from the large")
    assert polite.receive_offer("from the large") is OfferVerdict.ANSWER_AND_DROP_OURS
    assert impolite.receive_offer("from the small") is OfferVerdict.IGNORE_GLARE
    assert polite.current == impolite.current == "from the large"
    assert impolite.expects_answer("from the large")
    assert not polite.expects_answer("from the small")


def test_an_offer_is_taken_once() -> None:
    negotiation = Negotiation(SMALL, LARGE)
    assert negotiation.receive_offer("one") is OfferVerdict.ANSWER
    negotiation.settle()
    assert negotiation.receive_offer("one") is OfferVerdict.IGNORE_REPLAY
    assert negotiation.receive_offer("two") is OfferVerdict.ANSWER


def test_our_own_offer_sent_back_is_a_replay() -> None:
    negotiation = Negotiation(LARGE, SMALL)
    negotiation.dial("ours")
    assert negotiation.receive_offer("ours") is OfferVerdict.IGNORE_REPLAY
    assert negotiation.expects_answer("ours")


@given(st.lists(st.sampled_from(["small dials", "large dials", "deliver to small", "deliver to large"]), max_size=30))
def test_two_sides_agree_once_everything_is_delivered(steps: list[str]) -> None:
    """Whatever the order of dials and deliveries, both end on the same attempt (offers are delivered in order)."""
    sides = {"small": Negotiation(SMALL, LARGE), "large": Negotiation(LARGE, SMALL)}
    queues: dict[str, list[str]] = {"small": [], "large": []}
    names = itertools.count()

    def deliver(to: str) -> None:
        if queues[to]:
            sides[to].receive_offer(queues[to].pop(0))

    for step in steps:
        match step.split():
            case [who, "dials"] if sides[who].current is None:  # nobody dials while an attempt is under way
                attempt = f"{who} {next(names)}"
                sides[who].dial(attempt)
                queues["large" if who == "small" else "small"].append(attempt)
            case ["deliver", "to", who]:
                deliver(who)
    while queues["small"] or queues["large"]:
        deliver("small")
        deliver("large")
    assert sides["small"].current == sides["large"].current


def test_what_was_seen() -> None:
    negotiation = Negotiation(SMALL, LARGE)
    negotiation.dial("ours")
    negotiation.receive_offer("theirs")
    assert negotiation.was_seen("ours")
    assert negotiation.was_seen("theirs")
    assert not negotiation.was_seen("to come")

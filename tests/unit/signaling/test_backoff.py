from __future__ import annotations

import pytest

from rtcrpc.signaling.backoff import Backoff


def test_waits_double_up_to_the_most_and_start_again_after_a_reset():
    backoff = Backoff(lambda: 1.0, first=0.5, most=4.0)
    assert [backoff.after_loss() for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    backoff.reset()
    assert backoff.after_loss() == 0.5


def test_the_jitter_is_full():
    assert Backoff(lambda: 0.0).after_loss() == 0.0
    assert Backoff(lambda: 0.25, first=2.0).after_loss() == 0.5


def test_a_refusal_waits_long_and_never_gets_shorter_than_half():
    assert Backoff(lambda: 0.0, slow=60.0).after_refusal() == 30.0
    assert Backoff(lambda: 1.0, slow=60.0).after_refusal() == 60.0


def test_ten_thousand_failures_do_not_overflow():
    backoff = Backoff(lambda: 1.0)
    assert {backoff.after_loss() for _ in range(10_000)} <= {0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0}


@pytest.mark.parametrize("bad", [{"first": 0.0}, {"first": 5.0, "most": 1.0}, {"slow": 0.0}])
def test_senseless_settings_are_refused(bad: dict[str, float]):
    with pytest.raises(ValueError, match="expected"):
        Backoff(lambda: 0.5, **bad)

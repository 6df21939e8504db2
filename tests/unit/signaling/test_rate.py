from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcrpc.signaling.rate import TokenBucket


def test_a_burst_passes_and_then_the_rate_rules():
    bucket = TokenBucket(2.0, 3, 10.0)
    assert [bucket.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait(10.0) == pytest.approx(0.5)
    assert not bucket.take(10.4)
    assert bucket.take(10.5)
    assert not bucket.take(10.5)


def test_an_idle_bucket_holds_no_more_than_the_burst():
    bucket = TokenBucket(100.0, 2, 0.0)
    assert [bucket.take(1e6) for _ in range(3)] == [True, True, False]


def test_a_clock_that_goes_back_gives_nothing():
    bucket = TokenBucket(1.0, 1, 100.0)
    assert bucket.take(100.0)
    assert not bucket.take(0.0)
    assert bucket.wait(0.0) == pytest.approx(1.0)


@given(st.lists(st.floats(0, 1), max_size=60))
def test_no_schedule_gets_more_than_burst_plus_rate(steps: list[float]):
    bucket, now, taken = TokenBucket(3.0, 5, 0.0), 0.0, 0
    for step in steps:
        now += step
        taken += bucket.take(now)
    assert taken <= 5 + 3.0 * now + 1e-6


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1), (-1.0, 1), (1.0, 0), (float("inf"), 1), (float("nan"), 1)])
def test_senseless_settings_are_refused(rate: float, burst: float):
    with pytest.raises(ValueError, match="expected"):
        TokenBucket(rate, burst, 0.0)

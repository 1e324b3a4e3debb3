"""Guards: what a challenger may not lose while it wins."""

import numpy as np
import pytest

from models.guards import (
    Guard,
    answered_guard,
    calibration_guard,
    coverage_guard,
    gap_guards,
    latency_guard,
    segment_guards,
    size_guard,
)
from models.metrics import Interval

RULE = {"resamples": 300, "confidence": 0.95, "seed": 7}
FEW, MANY = np.arange(400) < 100, np.arange(400) >= 100


def metric(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(400)


@pytest.mark.parametrize(
    ("low", "high", "passed"),
    [(-0.3, -0.2, False), (-0.3, -0.1, True), (-0.05, 0.1, True)],  # of a limit of -0.1, which itself passes
)
def test_a_guard_is_breached_by_its_whole_interval_alone(low, high, passed):
    assert Guard("a", (low + high) / 2, low, high, -0.1, None).passed is passed
    assert Guard("a", 0, -high, -low, None, 0.1).passed is passed


def test_a_breach_says_what_was_seen_and_expected():
    guard = Guard("segment new", -0.2, -0.3, -0.15, -0.1, None)
    assert str(guard) == "segment new: -0.2 (-0.3 to -0.15), expected at least -0.1"


def test_a_group_that_loses_what_all_gain_is_seen():
    champion = 1 + metric(1)
    challenger = champion + np.where(FEW, -0.3, 0.2)
    few, many = segment_guards(
        challenger, champion, {"few": FEW, "many": MANY}, loss=0.05, least_users=100, **RULE
    )
    assert (few.name, few.passed, many.passed) == ("segment few", False, True)
    assert few.value == pytest.approx(-0.3)
    assert few.least == pytest.approx(-0.05 * champion[FEW].mean())


def test_small_groups_are_not_guarded():
    groups = {"few": FEW, "many": MANY}
    assert segment_guards(metric(1), metric(2), groups, loss=0, least_users=301, **RULE) == []
    assert gap_guards(metric(1), metric(2), groups, rise=0, least_users=101, **RULE) == []


def test_a_distance_between_groups_that_grows_is_seen():
    champion = metric(1)
    challenger = champion + np.where(FEW, 0.0, 0.3)
    (gap,) = gap_guards(challenger, champion, {"few": FEW}, rise=0.02, least_users=100, **RULE)
    assert not gap.passed
    assert gap.value == pytest.approx(0.3, abs=0.1)
    (same,) = gap_guards(champion, champion, {"few": FEW}, rise=0.02, least_users=100, **RULE)
    assert (same.value, same.passed) == (0, True)
    both = gap_guards(challenger, champion, {"few": FEW, "many": MANY}, rise=0.02, least_users=100, **RULE)
    assert both == [gap], "the rest of the users is as far from them as they are from it"


def test_a_model_that_shows_everybody_the_same_covers_little():
    own = [np.array([user, user + 1]) for user in range(1, 401)]
    same = [np.array([1, 2])] * 400
    guard = coverage_guard(same, own, 500, share=0.5, confidence=0.95)
    assert not guard.passed
    assert guard.value == 2 / 401
    assert guard.name == "coverage (0.4% of the items, the champion 80.2%)"
    assert coverage_guard(own, same, 500, share=0.5, confidence=0.95).passed


def test_the_interval_of_coverage_is_that_of_leaving_out_groups_of_users():
    rng = np.random.default_rng(3)
    first, second = (list(rng.integers(0, 60, (90, 4))) for _ in range(2))  # 0 is padding
    left = []
    for group in range(20):
        kept = [user for user in range(90) if user % 20 != group]
        shown = [
            len(set(np.concatenate([lists[u] for u in kept]).tolist()) - {0}) for lists in (first, second)
        ]
        left.append(shown[0] / shown[1])
    wide = (
        2.0930 * (19 / 20 * sum((each - np.mean(left)) ** 2 for each in left)) ** 0.5
    )  # Student's t, 19 degrees
    guard = coverage_guard(first, second, 60, share=0.5, confidence=0.95)
    assert (guard.high - guard.value, guard.value - guard.low) == pytest.approx((wide, wide), rel=1e-4)


def test_one_user_has_a_coverage_without_an_interval():
    guard = coverage_guard([np.array([1, 2])], [np.array([1, 2, 3])], 9, share=0.5, confidence=0.95)
    assert (guard.low, guard.value, guard.high) == pytest.approx((2 / 3,) * 3)


def test_time_and_size_have_limits_of_their_own():
    assert latency_guard(np.full(10, 0.01), most=0.05, **RULE).passed
    assert not latency_guard(np.full(10, 0.06), most=0.05, **RULE).passed
    assert size_guard(3_000_000, 3.0).passed
    assert not size_guard(3_000_001, 3.0).passed


def test_a_model_that_leaves_users_without_an_answer_or_promises_too_much_is_seen():
    assert answered_guard(np.arange(400) < 399, share=0.99, **RULE).passed
    assert not answered_guard(np.arange(400) < 350, share=0.99, **RULE).passed
    assert calibration_guard(Interval(0.03, 0.01, 0.05), rise=0.02).passed, "it may be noise"
    assert not calibration_guard(Interval(0.04, 0.03, 0.05), rise=0.02).passed
    assert calibration_guard(Interval(-0.2, -0.3, -0.1), rise=0.02).passed

"""Guards: what a challenger may not lose while it wins."""

import numpy as np
import pytest

from models.fairness import Split, split_answers, split_means
from models.guards import (
    Guard,
    answered_guard,
    calibration_guard,
    coverage_guard,
    exposure_guards,
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


def split(challenger: np.ndarray, champion: np.ndarray, **groups: np.ndarray) -> list[dict[str, Split]]:
    """Of the two models the means by group, sampled alike."""
    found = split_means({"challenger": challenger, "champion": champion}, groups, resamples=300, seed=7)
    return [found["challenger"], found["champion"]]


def test_a_group_that_loses_what_all_gain_is_seen():
    champion = 1 + metric(1)
    challenger = champion + np.where(FEW, -0.3, 0.2)
    both = split(challenger, champion, few=FEW)
    few, others = segment_guards(*both, loss=0.05, least_users=100, confidence=0.95)
    assert (few.name, few.passed) == ("segment few", False)
    assert (others.name, others.passed) == ("segment not few", True)
    assert few.value == pytest.approx(-0.3)
    assert few.least == pytest.approx(-0.05 * champion[FEW].mean())


def test_of_an_error_the_group_that_gains_is_what_is_seen():
    champion = 1 + metric(1)
    both = split(champion + np.where(FEW, 0.3, -0.2), champion, few=FEW)
    few, others = segment_guards(*both, loss=0.05, least_users=100, confidence=0.95, least_is_best=True)
    assert (few.least, few.passed, others.passed) == (None, False, True)
    assert few.most == pytest.approx(0.05 * champion[FEW].mean())


def test_small_groups_are_not_guarded():
    both = split(metric(1), metric(2), few=FEW, nobody=np.zeros(400, bool), everybody=np.ones(400, bool))
    assert segment_guards(*both, loss=0, least_users=301, confidence=0.95) == []
    (others,) = segment_guards(*both, loss=0, least_users=101, confidence=0.95)
    assert others.name == "segment not few"
    assert gap_guards(*both, rise=0, least_users=101, confidence=0.95) == []


def test_a_group_of_whom_a_metric_says_nothing_is_not_guarded():
    """Of the few nobody has what the others have: there is no pair to rank."""
    labels, values = np.where(FEW, 0.0, np.arange(400) % 2)[:, None], {"a": metric(3)[:, None]}
    found = split_answers("roc_auc", labels, np.ones((400, 1)), values, {"few": FEW}, 20, seed=1)["a"]
    (others,) = segment_guards(found, found, loss=0, least_users=1, confidence=0.95)
    assert others.name == "segment not few"
    assert gap_guards(found, found, rise=0, least_users=1, confidence=0.95) == []


def test_a_distance_between_groups_that_grows_is_seen():
    champion = metric(1)
    challenger = champion + np.where(FEW, 0.0, 0.3)
    rule = {"rise": 0.02, "least_users": 100, "confidence": 0.95}
    (gap,) = gap_guards(*split(challenger, champion, few=FEW), **rule)
    assert not gap.passed
    assert gap.value == pytest.approx(0.3, abs=0.1)
    (same,) = gap_guards(*split(champion, champion, few=FEW), **rule)
    assert (same.value, same.passed) == (0, True)
    (other,) = gap_guards(*split(challenger, champion, many=MANY), **rule)
    assert other.value == pytest.approx(gap.value), "the rest of the users is as far from them"


def test_a_model_that_shows_a_few_popular_items_is_seen_in_both_kinds_of_exposure():
    """Items 1 and 2 have four fifths of the sessions; 101 to 104 are no candidates."""
    sessions = np.concatenate([[0, 400, 400], np.full(100, 2), np.zeros(4, int)])
    own = [np.array([3 + user % 100, 3 + (user + 1) % 100]) for user in range(400)]
    head = [np.array([1, 2])] * 400
    limits = {"gini_rise": 0.1, "tail_loss": 0.2} | RULE
    gini, tail = exposure_guards(head, own, sessions, **limits)
    assert (gini.passed, tail.passed, tail.value, tail.least) == (False, False, -1, -0.2)
    assert gini.value == pytest.approx((1 - 2 / 102) - 2 / 102, abs=1e-9)
    assert tail.name == "long tail (0.0% of what is shown, the champion 100.0%)"
    assert all(each.passed for each in exposure_guards(own, head, sessions, **limits))
    assert all(each.value == 0 for each in exposure_guards(own, own, sessions, **limits))
    mixed = [np.array([1, 3 + user % 100]) for user in range(400)]
    gini, tail = exposure_guards(mixed, own, sessions, **limits)
    assert (tail.value, gini.low < gini.value < gini.high or gini.low == gini.high) == (-0.5, True)


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

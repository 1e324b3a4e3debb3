"""The gate: paired bootstrap and decision."""

import numpy as np
import pytest

from models.gate import best, decide
from models.guards import Guard
from models.metrics import Sampled, sampled_means

RULE = {"confidence": 0.95}


def users(seed: int, n: int = 400) -> np.ndarray:
    return np.random.default_rng(seed).random(n)


def mean_of(values: np.ndarray) -> Sampled:
    return sampled_means(values[:, None], 1000, seed=7)[0]


def test_pairing_sees_a_small_gain_that_every_user_has():
    """Users differ by far more than the models do; compared user by user the gain is plain."""
    champion = users(1)
    difference = mean_of(champion + 0.01) - mean_of(champion)
    assert tuple(difference.interval(0.95)) == pytest.approx((0.01, 0.01, 0.01))
    assert mean_of(champion).interval(0.95).high - champion.mean() > 0.02


@pytest.mark.parametrize(
    ("gain", "noise", "promote"),
    [
        (0.05, 0.1, True),
        (0.0, 0.1, False),
        (-0.05, 0.1, False),
        (0.005, 0.5, False),  # better on average, but not for certain
        (0.0, 0.0, False),  # the same model again: zero is not above zero
    ],
)
def test_promotes_only_where_the_whole_interval_lies_above_zero(gain, noise, promote):
    champion = users(1)
    challenger = champion + gain + noise * (users(2) - users(2).mean())
    decision = decide("ndcg@10", mean_of(challenger), mean_of(champion), **RULE)
    assert decision.promote is promote
    assert decision.difference is not None
    assert decision.difference.mean == pytest.approx(gain, abs=1e-9)
    assert (decision.difference.low > 0) is promote
    loss = decide("mae", mean_of(-challenger), mean_of(-champion), least_is_best=True, **RULE)
    assert loss.promote is promote, (
        "of an error the difference lies below zero where that of a gain lies above"
    )


def test_the_reason_says_what_was_compared():
    champion = np.array([0.2, 0.3] * 50)
    decision = decide("ndcg@10", mean_of(champion + 0.1), mean_of(champion), **RULE)
    assert decision.reason == (
        "ndcg@10 0.3500 against 0.2500 on 100 users: the difference of +0.1000 "
        "has the 95% interval +0.1000 to +0.1000, which lies above zero"
    )
    worse = decide("mae", mean_of(champion + 0.1), mean_of(champion), least_is_best=True, **RULE)
    assert worse.reason.endswith("which does not lie below zero")


def test_where_there_is_no_champion_the_first_is_taken():
    decision = decide("ndcg@10", mean_of(np.array([0.1, 0.3])), None, **RULE)
    assert (decision.promote, decision.champion, decision.difference) == (True, None, None)
    assert "no champion yet" in decision.reason


def test_the_same_values_give_the_same_decision():
    first, second = (decide("hr@5", mean_of(users(1)), mean_of(users(2)), **RULE) for _ in range(2))
    assert first == second


def test_values_of_other_users_are_refused():
    with pytest.raises(ValueError, match=r"of 3 users less 1000 of 2: .*same users"):
        mean_of(users(1, 3)) - mean_of(users(2, 2))


def test_the_best_has_the_best_value_and_the_first_name_among_equals():
    values = {"b": 0.5, "a": 0.5, "c": 0.1}
    assert (best(values), best(values, least_is_best=True)) == ("a", "c")
    assert best({"b": 0.1, "a": 0.1}, least_is_best=True) == "a"
    with pytest.raises(ValueError, match="nothing to choose from"):
        best({})


def test_a_refresh_of_the_champion_s_configuration_may_lose_a_margin():
    champion = users(1)
    challenger = champion - 0.01 * champion.mean() + 0.001 * (users(2) - 0.5)
    assert not decide("hr@5", mean_of(challenger), mean_of(champion), **RULE).promote
    refresh = decide("hr@5", mean_of(challenger), mean_of(champion), margin=0.02, **RULE)
    assert refresh.promote
    assert "2% below the champion: a refresh of the same" in refresh.reason
    worse = champion - 0.03 * champion.mean()
    assert not decide("hr@5", mean_of(worse), mean_of(champion), margin=0.02, **RULE).promote
    error = {"margin": 0.02, "least_is_best": True} | RULE
    higher = decide("mae", mean_of(1.01 * champion), mean_of(champion), **error)
    assert higher.promote and "2% above the champion: a refresh of the same" in higher.reason
    assert not decide("mae", mean_of(1.03 * champion), mean_of(champion), **error).promote


def test_a_breached_guard_keeps_a_better_one_out_and_is_named():
    champion, breached = users(1), Guard("seconds a user", 2.0, 1.9, 2.1, None, 0.05)
    passed = Guard("megabytes of the model", 2.0, 2.0, 2.0, None, 8.0)
    decision = decide("hr@5", mean_of(champion + 0.1), mean_of(champion), guards=[passed, breached], **RULE)
    assert not decision.promote
    assert decision.reason.endswith(
        "a guard is breached: seconds a user: 2 (1.9 to 2.1), expected at most 0.05"
    )
    assert decide("hr@5", mean_of(champion + 0.1), mean_of(champion), guards=[passed], **RULE).promote

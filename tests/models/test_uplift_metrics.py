"""Metrics of effects, by examples that can be worked out by hand."""

import numpy as np
import pytest

from models.metrics.uplift import error, qini, qini_curve, sampled_uplift, uplift_at

SCORE = np.array([0.1, 0.9, 0.4, 0.5])  # of the example in `qini_curve`, in another order
TREATED = np.array([True, True, False, False])
OUTCOME = np.array([0.0, 1.0, 1.0, 0.0])
RNG = np.random.default_rng(4)


def world(users: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(truth, treated, outcome): a quarter gains one half, by lot."""
    truth = np.where(np.arange(users) % 4 == 0, 0.5, 0.0)
    treated = RNG.random(users) < 0.5
    return truth, treated, (RNG.random(users) < 0.2 + truth * treated).astype(float)


def test_the_curve_is_that_of_its_docstring():
    curve = qini_curve(SCORE, TREATED, OUTCOME)
    assert curve.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.gain.tolist() == [0, 0.5, 0.5, 0.25, 0]
    assert qini(curve) == pytest.approx(0.3125)
    assert uplift_at(curve, 0.75) == pytest.approx(1 - 0.5)
    assert np.isnan(uplift_at(curve, 0.1)), "nobody is held out among the first"


def test_the_end_of_the_curve_is_the_difference_of_the_arms_whatever_their_sizes():
    _, treated, outcome = world(1000)
    treated &= RNG.random(1000) < 0.4  # fewer are treated
    curve = qini_curve(RNG.random(1000), treated, outcome)
    assert curve.gain[-1] == pytest.approx(outcome[treated].mean() - outcome[~treated].mean())
    assert uplift_at(curve, 1.0) == pytest.approx(curve.gain[-1])


def test_who_says_the_same_of_everybody_is_as_good_as_the_lot_in_whatever_order_they_come():
    _, treated, outcome = world(1000)
    curve = qini_curve(np.zeros(1000), treated, outcome)
    assert qini(curve) == pytest.approx(0, abs=1e-12)
    assert uplift_at(curve, 0.1) == pytest.approx(outcome[treated].mean() - outcome[~treated].mean())


def test_users_with_the_score_at_the_edge_count_in_part():
    score, treated = np.array([2.0, 2, 1, 1, 1, 1, 1, 1]), np.tile([True, False], 4)
    outcome = np.array([1.0, 0, 1, 1, 0, 0, 1, 1])
    curve = qini_curve(score, treated, outcome)
    assert uplift_at(curve, 0.25) == pytest.approx(1)
    assert uplift_at(curve, 0.5) == pytest.approx((1 + 2 / 3) / 2 - (2 / 3) / 2)


def test_the_error_is_the_root_of_the_mean_square_and_counts_as_often_as_it_is_told():
    said, truth = np.array([0.1, 0.3]), np.array([0.1, 0.0])
    assert error(said, truth) == pytest.approx(np.sqrt(0.09 / 2))
    assert error(said, truth, np.array([3, 1])) == pytest.approx(np.sqrt(0.09 / 4))


def test_whoever_knows_the_truth_beats_the_lot_and_the_reverse_loses_to_it():
    truth, treated, outcome = world(4000)
    scores = {"truth": truth, "same": np.full(4000, 0.125), "reverse": -truth}
    found = sampled_uplift(scores, treated, outcome, truth, 200, seed=1)
    assert found["truth"]["qini"].interval(0.95).low > 0 > found["reverse"]["qini"].interval(0.95).high
    assert found["truth"]["uplift_at_10"].value == pytest.approx(0.5, abs=0.1)
    assert found["truth"]["error"].value == 0
    assert found["same"]["error"].value == pytest.approx(np.sqrt(0.25 * 0.375**2 + 0.75 * 0.125**2))
    np.testing.assert_allclose(found["same"]["qini"].drawn, 0, atol=1e-12)


def test_a_resample_is_the_metric_of_its_users_and_models_are_paired():
    _, treated, outcome = world(50)
    scores = {"one": RNG.random(50), "same": np.zeros(50)}
    scores["again"] = scores["one"].copy()
    found = sampled_uplift(scores, treated, outcome, None, 3, seed=9)
    users = np.random.default_rng(9).integers(50, size=50)
    by_hand = qini(qini_curve(scores["one"][users], treated[users], outcome[users]))
    assert found["one"]["qini"].drawn[0] == pytest.approx(by_hand)
    assert tuple((found["one"]["qini"] - found["again"]["qini"]).interval(0.95)) == (0, 0, 0)
    assert "error" not in found["one"], "without a truth there is none"

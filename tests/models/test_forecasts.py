"""Forecasts of many series, and how good they are: typed-in weeks, and what an origin may not see."""

import numpy as np
import pytest

from models.forecasts import LEVELS, conformal, last_week, of_buyers, quantiles, scales, smoothing
from models.metrics import Sampled
from models.metrics.forecasts import against, pinball, sampled_forecasts

WEEKS, SERIES, ORIGINS = 30, 40, 7


@pytest.fixture(scope="module")
def units():
    return np.random.default_rng(3).poisson(12.0, (WEEKS, SERIES)).astype(float)


def test_the_seasonal_naive_says_what_the_week_before_had():
    assert last_week(np.array([[1.0], [2.0], [3.0]]), 2).tolist() == [[2.0], [3.0]]


def test_smoothing_follows_a_jump_where_the_past_has_jumped_and_stays_at_the_mean_of_noise():
    rng = np.random.default_rng(1)
    jumps = np.repeat(rng.permutation(np.arange(10.0)), 4)
    noise = 5 + np.tile([1.0, -1.0], 20)
    told = np.concatenate([np.stack([jumps, noise], axis=1), [[50.0, 50.0]]])
    found = smoothing(told, 2)
    assert found[0] == pytest.approx([jumps[-1], 5.0], abs=0.6)
    assert found[1, 0] == pytest.approx(50.0, abs=5), "this series goes where it went last"
    assert found[1, 1] < 10, "and this one has always come back"


def test_expected_buyers_are_scaled_by_what_they_came_to_before_each_origin():
    found = of_buyers(np.array([[10.0], [10.0]]), np.array([[24.0]]), np.array([2.0]))
    assert found[:, 0] == pytest.approx([20.0, 10 * (24 + 20 * 2) / (10 + 20)])


@pytest.mark.parametrize("week", range(ORIGINS - 1))
def test_a_forecast_does_not_see_the_weeks_behind_its_origin(units, week):
    """`week` counts from the first origin: what is sold in it is behind the origins up to that number."""
    moved = units.copy()
    moved[WEEKS - ORIGINS + 1 + week :] += 1000.0
    expected = np.full((ORIGINS, SERIES), 10.0)

    def made(told):
        since = told[-ORIGINS + 1 :]
        points = [
            last_week(told, ORIGINS),
            smoothing(told, ORIGINS),
            of_buyers(expected, since, np.ones(SERIES)),
        ]
        scale = scales(told[: -ORIGINS + 1])
        return [quantiles(each, since, scale, np.zeros(SERIES), 1) for each in points]

    for before, after in zip(made(units), made(moved), strict=True):
        assert np.array_equal(before[:week], after[:week])  # row 0 is of the origin number 1
        assert not np.array_equal(before[week:], after[week:])


def test_the_quantile_of_nine_errors_is_the_one_that_a_tenth_exceeds_once_in_ten_times():
    errors = np.arange(1.0, 10.0)
    assert conformal(errors, 0.9) == 9.0
    assert conformal(errors, 0.5) == 5.0
    assert conformal(errors, 0.1) == 1.0


def test_quantiles_hold_as_often_as_they_say_whatever_the_scale_of_a_series(units):
    times = np.where(np.arange(SERIES) % 2, 10.0, 1.0)
    told = units * times
    since = told[-ORIGINS + 1 :]
    points = np.tile(12.0 * times, (ORIGINS, 1))
    found = quantiles(points, since, scales(told[: -ORIGINS + 1]), np.zeros(SERIES), ORIGINS - 2)[0]
    new = np.random.default_rng(4).poisson(12.0, (2000, SERIES)) * times
    below = (new <= found[:, 2]) & (new >= found[:, 0])
    for scaled in (times == 1.0, times == 10.0):
        assert below[:, scaled].mean() == pytest.approx(0.8, abs=0.07)
    assert np.median(found[:, 1] / times) == pytest.approx(12.0, abs=1.0)


def test_groups_of_series_have_quantiles_of_their_own():
    points, units = np.full((2, 2), 10.0), np.array([[11.0, 30.0]])
    found = quantiles(points, units, np.ones(2), np.array(["a", "b"]), 1)[0]
    assert found.tolist() == [[11.0] * 3, [30.0] * 3]


def test_no_quantile_lies_below_zero():
    found = quantiles(np.full((2, 1), 10.0), np.array([[0.0]]), np.ones(1), np.zeros(1), 1)
    assert found.tolist() == [[[0.0, 0.0, 0.0]]]
    assert (
        quantiles(np.full((3, 1), [[5.0], [9.0], [1.0]]), np.zeros((2, 1)), np.ones(1), np.zeros(1), 2).min()
        == 0
    )


def test_pinball_by_hand():
    assert pinball(np.array([10.0]), np.array([[8.0]]), [0.9]) == pytest.approx([1.8])
    assert pinball(np.array([10.0]), np.array([[13.0]]), [0.9]) == pytest.approx([0.3])
    assert pinball(np.array([10.0]), np.array([[8.0, 10.0, 13.0]]), LEVELS) == pytest.approx(
        [(0.2 + 0 + 0.3) / 3]
    )


def test_metrics_by_hand():
    actual = np.array([[10.0, 0.0], [20.0, 4.0]])  # two weeks of two series
    said = np.array([[[8, 10, 12], [1, 2, 3]], [[10, 16, 19], [1, 2, 5]]], float)
    found = sampled_forecasts(actual, said, LEVELS, 50, 7)
    assert found["mae"].value == pytest.approx((0 + 2 + 4 + 2) / 4)
    assert found["wape"].value == pytest.approx(8 / 34)
    assert found["coverage"].value == pytest.approx(2 / 4)
    assert found["pinball"].value == pytest.approx(pinball(actual, said, LEVELS).mean())
    assert set(found["mae"].drawn.round(9)) == {2.0}, "both series err by two, whichever is drawn"
    assert len(set(found["wape"].drawn.round(9))) == 3


def test_the_better_baseline_is_another_one_for_each_metric_and_coverage_is_as_good_as_it_is_near():
    def of(**values):
        return {name: Sampled(2, value, np.array([value, value])) for name, value in values.items()}

    found = against(
        of(mae=3.0, coverage=0.7), {"one": of(mae=2.0, coverage=0.95), "other": of(mae=4.0, coverage=0.85)}
    )
    assert {name: (baseline, round(each.value, 9)) for name, (baseline, each) in found.items()} == {
        "mae": ("one", 1.0),
        "coverage": ("other", 0.05),
    }

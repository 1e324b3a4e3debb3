"""A metric by group of users: inside, outside, and the gap between."""

import numpy as np
import pytest

from models.fairness import by_label, split_answers, split_means
from models.metrics import mean_and_interval
from models.metrics.answers import of_all, roc_auc

USERS = 60
RNG = np.random.default_rng(5)
FEW = np.arange(USERS) % 3 == 0
VALUES = {"one": RNG.random(USERS), "other": RNG.random(USERS)}


def test_means_are_those_of_the_group_and_of_the_rest_and_the_gap_is_between_them():
    found = split_means(VALUES, {"few": FEW, "nobody": ~FEW & FEW}, 200, seed=1)
    assert list(found["one"]) == ["few"], "of nobody there is nothing to say"
    split = found["one"]["few"]
    assert (split.users, split.others) == (20, 40)
    assert split.inside.value == pytest.approx(VALUES["one"][FEW].mean())
    assert split.outside.value == pytest.approx(VALUES["one"][~FEW].mean())
    assert split.gap.value == pytest.approx(split.inside.value - split.outside.value)
    low, high = split.gap.interval(0.95)[1:]
    assert low < split.gap.value < high
    alone = mean_and_interval(VALUES["one"][FEW], 2000, 0.95, seed=3)
    own = split_means(VALUES, {"few": FEW}, 2000, seed=2)["one"]["few"].inside.interval(0.95)
    assert own == pytest.approx(alone, abs=0.03), "users of the group are drawn as if they were alone"


def test_models_are_drawn_alike_so_that_a_constant_difference_has_no_width():
    found = split_means({"a": VALUES["one"], "b": VALUES["one"] + 0.25}, {"few": FEW}, 50, seed=1)
    difference = (found["b"]["few"].inside - found["a"]["few"].inside).interval(0.95)
    assert difference == pytest.approx((0.25, 0.25, 0.25))
    both = [found[model]["few"].gap for model in ("a", "b")]
    assert np.allclose((both[1] - both[0]).drawn, 0)


def test_a_metric_of_answers_is_that_of_the_users_of_the_group():
    labels, weights = (RNG.random((USERS, 1)) > 0.5).astype(float), np.ones((USERS, 1))
    values = {name: each[:, None] for name, each in VALUES.items()}
    found = split_answers("roc_auc", labels, weights, values, {"few": FEW}, 100, seed=1)
    for name, of_model in values.items():
        split = found[name]["few"]
        assert split.inside.value == of_all(roc_auc, labels[FEW, 0], of_model[FEW, 0])
        assert split.outside.value == of_all(roc_auc, labels[~FEW, 0], of_model[~FEW, 0])
        assert len(split.gap.drawn) == 100 and np.ptp(split.gap.drawn) > 0
    same = split_answers(
        "roc_auc", labels, weights, {"a": values["one"], "b": values["one"] * 2}, {"few": FEW}, 50, 1
    )
    assert np.array_equal(same["a"]["few"].gap.drawn, same["b"]["few"].gap.drawn), "only the order matters"
    nothing = split_answers("roc_auc", np.where(FEW, 0.0, 1.0)[:, None], weights, values, {"few": FEW}, 5, 1)
    assert np.isnan(nothing["one"]["few"].inside.value)


def test_labels_make_a_group_each_and_who_has_none_is_in_none():
    found = by_label({"age": ["young", None, "old", "young"], "town": [None, None, None, "A"]})
    assert {name: member.tolist() for name, member in found.items()} == {
        "age: old": [False, False, True, False],
        "age: young": [True, False, False, True],
        "town: A": [False, False, False, True],
    }

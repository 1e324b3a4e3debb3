"""Ranking facts and metrics against tables typed in, and against every order of the equals."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.metrics import KS, facts, mean_and_interval, per_user, without_seen

INF = np.inf


def judged(scores, candidates, targets, ks):
    """One user's metrics; targets are item indices."""
    row, ranked = np.array([scores], np.float32), np.array(candidates, bool)
    result = per_user(*facts(row, ranked, [np.array(targets)]), np.array([len(targets)]), ks)
    return {name: values[0] for name, values in result.items()}


# items:           0     1     2    3    4    5    6    7
SCORES = np.array([-INF, -INF, -INF, 0.9, 0.5, 0.5, 0.1, 7.0], np.float32)
CANDIDATES = np.array([0, 0, 0, 1, 1, 1, 1, 0], bool)  # item 7 is none, however high its score


@pytest.mark.parametrize(
    ("target", "better", "ties"),
    [
        (3, 0, 1),  # the best
        (4, 1, 2),  # shares its score with 5
        (5, 1, 2),
        (6, 3, 1),
        (7, 4, 0),  # no candidate: below all of them
        (99, 4, 0),  # an item that came later than the model
        (1, 4, 0),  # an unknown item
        (0, -1, 0),  # padding
    ],
)
def test_facts_count_what_scores_better_and_what_the_same(target, better, ties):
    result = facts(SCORES[None], CANDIDATES, np.array([[target]]))
    assert [values.tolist() for values in result] == [[[better]], [[ties]]]


def test_facts_take_one_array_a_user_or_a_padded_matrix():
    ragged = facts(np.stack([SCORES, SCORES]), CANDIDATES, [np.array([6]), np.array([3, 4])])
    padded = facts(np.stack([SCORES, SCORES]), CANDIDATES, np.array([[6, 0], [3, 4]]))
    assert [values.tolist() for values in ragged] == [[[3, -1], [0, 1]], [[1, 0], [1, 2]]]
    assert all(np.array_equal(*pair) for pair in zip(ragged, padded, strict=True))


def test_candidates_without_a_column_come_last_together():
    """An older model has no column for items 6 and 7: it gives them nothing, and nothing is below them."""
    candidates = np.array([0, 0, 0, 1, 1, 1, 1, 1], bool)
    better, ties = facts(SCORES[None, :6], candidates, np.array([[5, 7]]))
    assert (better.tolist(), ties.tolist()) == ([[1, 3]], [[2, 2]])


def test_a_candidate_scored_minus_infinity_shares_the_last_place_with_items_without_a_column():
    better, ties = facts(np.array([[-INF, 1.0]]), np.array([1, 1, 1], bool), np.array([[2]]))
    assert (better.tolist(), ties.tolist()) == ([[1]], [[2]])


def test_a_score_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="not a number"):
        facts(np.array([[0.0, np.nan]]), np.array([True, True]), np.array([[1]]))


def test_users_of_scores_and_targets_must_be_as_many():
    with pytest.raises(ValueError, match="scores of 1 users came with targets of 2"):
        facts(SCORES[None], CANDIDATES, np.array([[3], [3]]))


D = 1 / np.log2(np.arange(2, 30))  # the discount of ranks 1, 2, …


@pytest.mark.parametrize(
    ("better", "ties", "targets", "k", "hr", "recall", "ndcg", "mrr"),
    [
        # No ties: targets on the ranks 2 and 4, one more never found.
        ([1, 3], [1, 1], 3, 5, 1, 2 / 3, (D[1] + D[3]) / D[:3].sum(), 1 / 2),
        ([1, 3], [1, 1], 3, 2, 1, 1 / 3, D[1] / D[:2].sum(), 1 / 2),
        ([1, 3], [1, 1], 3, 1, 0, 0, 0, 0),
        # One target among four equals at the top, k = 2: there in half of the orders.
        ([0], [4], 1, 2, 1 / 2, 1 / 2, (D[0] + D[1]) / 4, (1 + 1 / 2) / 4),
        # Two targets among three equals, k = 1: first with 2/3; on average 2/3 of a target, of two.
        ([0, 0], [3, 3], 2, 1, 2 / 3, 1 / 3, 2 / 3, 2 / 3),
        # The same with k = 2: at least one always; orders TTx TxT xTT.
        ([0, 0], [3, 3], 2, 2, 1, 2 / 3, (2 / 3), (1 + 1 + 1 / 2) / 3),
        # Targets of a lower tie do not come first while a higher one has a target.
        ([0, 2], [2, 5], 2, 3, 1, (1 + 1 / 5) / 2, ((D[0] + D[1]) / 2 + D[2] / 5) / D[:2].sum(), 3 / 4),
        ([], [], 2, 5, 0, 0, 0, 0),
    ],
)
def test_metrics_of_a_typed_in_ranking(better, ties, targets, k, hr, recall, ndcg, mrr):
    result = per_user([np.array(better, int)], [np.array(ties, int)], np.array([targets]), (k,))
    expected = {f"hr@{k}": hr, f"recall@{k}": recall, f"ndcg@{k}": ndcg, f"mrr@{k}": mrr}
    assert {name: result[name][0] for name in expected} == pytest.approx(expected)


def by_brute_force(scores, candidates, targets, k):
    """The mean of each metric over all orders of equal scores, by writing the orders down."""
    items = [item for item, is_one in enumerate(candidates) if is_one]
    groups = [[i for i in items if scores[i] == s] for s in sorted({scores[i] for i in items}, reverse=True)]
    found = []
    for orders in product(*(permutations(group) for group in groups)):
        ranking = [item for order in orders for item in order]
        ranks = sorted(1 + ranking.index(t) for t in targets if t in ranking)
        within = [rank for rank in ranks if rank <= k]
        ideal = sum(1 / np.log2(1 + rank) for rank in range(1, min(k, len(targets)) + 1))
        gain = sum(1 / np.log2(1 + rank) for rank in within)
        first = 1 / within[0] if within else 0
        precisions = sum((place + 1) / rank for place, rank in enumerate(within)) / len(targets)
        found.append((bool(within), len(within) / len(targets), gain / ideal, first, precisions))
    names = [f"{name}@{k}" for name in ("hr", "recall", "ndcg", "mrr", "map")]
    return dict(zip(names, np.mean(found, axis=0), strict=True))


@st.composite
def tiny_rankings(draw):
    size = draw(st.integers(1, 7))
    scores = draw(st.lists(st.sampled_from([-INF, 0.0, 0.5, 1.0]), min_size=size, max_size=size))
    candidates = [False, *draw(st.lists(st.booleans(), min_size=size - 1, max_size=size - 1))]
    targets = draw(st.sets(st.integers(1, size + 1), min_size=1, max_size=5))
    return scores, candidates, sorted(targets), draw(st.integers(1, 8))


@settings(max_examples=200, deadline=None)
@given(tiny_rankings())
def test_metrics_are_the_mean_over_all_orders_of_the_equals(case):
    scores, candidates, targets, k = case
    assert judged(scores, candidates, targets, (k,)) == pytest.approx(by_brute_force(*case))


def test_every_metric_comes_at_every_k():
    names = set(judged(SCORES, CANDIDATES, [3], KS))
    assert names == {f"{name}@{k}" for name in ("hr", "recall", "ndcg", "mrr", "map") for k in (5, 10, 20)}


@pytest.mark.parametrize("n_targets", [0, 1])
def test_fewer_targets_than_facts_are_refused(n_targets):
    with pytest.raises(ValueError, match="leave users without targets out"):
        per_user(np.array([[0, 1]]), np.array([[1, 1]]), np.array([n_targets]))


def test_the_interval_is_that_of_the_normal_approximation_where_there_are_many_users():
    values = np.random.default_rng(0).normal(3, 2, 4000)
    mean, low, high = mean_and_interval(values, 2000, 0.95, seed=7)
    assert mean == pytest.approx(values.mean())
    error = 1.96 * values.std() / np.sqrt(4000)
    assert (low, high) == pytest.approx((mean - error, mean + error), abs=0.1 * error)


def test_the_interval_does_not_depend_on_anything_but_values_and_seed():
    values = np.random.default_rng(0).random(100)
    assert mean_and_interval(values, 500, 0.9, 7) == mean_and_interval(values, 500, 0.9, 7)
    assert mean_and_interval(values, 500, 0.9, 7) != mean_and_interval(values, 500, 0.9, 8)


def test_no_users_have_no_mean():
    with pytest.raises(ValueError, match="no users"):
        mean_and_interval(np.array([]), 100, 0.95, 7)


def test_what_a_user_had_leaves_the_ranking_but_for_the_target():
    scores = np.array([[0, 9, 8, 7, 6], [0, 1, 2, 3, 4]], np.float32)
    left = without_seen(scores, np.array([[1, 3, 0], [4, 0, 0]]), np.array([[3], [2]]))
    assert left.tolist() == [[-INF, -INF, 8, 7, 6], [-INF, 1, 2, 3, -INF]]
    better, ties = facts(left, np.array([False, True, True, True, True]), np.array([[3], [2]]))
    assert (better.tolist(), ties.tolist()) == ([[1], [1]], [[1], [1]])
    assert scores[0, 1] == 9

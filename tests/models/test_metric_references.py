"""Ranking and list metrics against RecTools, on rankings by lot; parts and segments by hand."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from rectools import Columns
from rectools.metrics import MAP, MRR, NDCG, HitRate, IntraListDiversity, MeanInvUserFreq, Recall, Serendipity
from rectools.metrics.distances import PairwiseHammingDistanceCalculator

from models.metrics import activity, by_part, by_segment, facts, mean_and_interval, per_user
from models.metrics import lists as of_lists

V, K = 30, 10


@st.composite
def judged(draw):
    """Scores without ties of 30 items, and one to eight targets, of four users."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    scores = np.stack([rng.permutation(V) for _ in range(4)]).astype(float)
    return scores, [np.sort(rng.choice(np.arange(3, V), rng.integers(1, 9), replace=False)) for _ in range(4)]


def as_tables(scores, targets):
    """What RecTools reads: the first K of each user, and the targets."""
    shown = np.argsort(-scores[:, 3:], axis=1)[:, :K] + 3
    users = {Columns.User: np.repeat(np.arange(4), K), Columns.Item: shown.ravel()}
    reco = pd.DataFrame(users | {Columns.Rank: np.tile(np.arange(1, K + 1), 4)})
    owners = np.repeat(np.arange(4), [len(t) for t in targets])
    return shown, reco, pd.DataFrame({Columns.User: owners, Columns.Item: np.concatenate(targets)})


@settings(max_examples=15, deadline=None)
@given(judged())
def test_ranking_metrics_are_those_of_rectools(case):
    scores, targets = case
    _, reco, truth = as_tables(scores, targets)
    found = per_user(*facts(scores, np.arange(V) >= 3, targets), np.array([len(t) for t in targets]), (K,))
    theirs = {"hr": HitRate, "recall": Recall, "mrr": MRR, "map": MAP}
    for name, metric in theirs.items():
        np.testing.assert_allclose(found[f"{name}@{K}"], metric(K).calc_per_user(reco, truth), atol=1e-9)
    ndcg = NDCG(K, divide_by_achievable=True).calc_per_user(reco, truth)
    np.testing.assert_allclose(found[f"ndcg@{K}"], ndcg, atol=1e-9)


@settings(max_examples=10, deadline=None)
@given(judged(), st.integers(0, 10**6))
def test_list_metrics_are_those_of_rectools(case, seed):
    scores, targets = case
    rng = np.random.default_rng(seed)
    counts = rng.permutation(np.arange(1, V + 1))  # users who had each item: no ties, so that ranks are plain
    shown, reco, truth = as_tables(scores, targets)
    earlier = pd.DataFrame(
        [(100 + user, item) for item in range(3, V) for user in range(counts[item])],
        columns=[Columns.User, Columns.Item],
    )
    users = earlier[Columns.User].nunique()
    novelty = MeanInvUserFreq(K).calc_per_user(reco, earlier).to_numpy()
    np.testing.assert_allclose(of_lists.novelty(shown, counts, users), novelty)
    right = np.array([np.isin(row, t) for row, t in zip(shown, targets, strict=True)])
    serendipity = Serendipity(K).calc_per_user(reco, truth, earlier, list(range(3, V))).to_numpy()
    np.testing.assert_allclose(of_lists.serendipity(shown, right, counts, np.arange(V) >= 3), serendipity)
    category = rng.integers(0, 4, V)
    distance = PairwiseHammingDistanceCalculator(pd.DataFrame({"category": category}))
    diversity = IntraListDiversity(K, distance).calc_per_user(reco).to_numpy()
    traits = sparse.csr_matrix((np.ones(V), (np.arange(V), category)))
    np.testing.assert_allclose(of_lists.intra_list_diversity(shown, traits), diversity)


def test_coverage_and_gini_of_typed_in_lists():
    candidates = np.array([0, 0, 0, 1, 1, 1, 1], bool)
    lists = np.array([[3, 4], [3, 0], [3, 2]])
    assert of_lists.coverage(lists, candidates) == 2 / 4
    # Shown 0, 0, 1 and 3 times: (1 * 1 + 3 * 3) / (4 * 4).
    assert of_lists.gini(lists, candidates) == pytest.approx(10 / 16)
    assert of_lists.gini(np.array([[3, 4, 5, 6]]), candidates) == 0
    assert np.isnan(of_lists.gini(np.zeros((2, 2), int), candidates))


def test_the_long_tail_is_what_is_left_below_the_items_with_four_fifths_of_the_sessions():
    """10 + 6 of 20 are four fifths: 2 and 3 are the head. Of equal ones all are in it, or none is."""
    sessions = np.array([0, 0, 10, 6, 2, 1, 1])
    assert np.flatnonzero(of_lists.long_tail(sessions)).tolist() == [4, 5, 6]
    assert np.flatnonzero(of_lists.long_tail(np.array([0, 5, 5, 5, 5]))).tolist() == []
    assert np.flatnonzero(of_lists.long_tail(np.array([0, 8, 2, 2]))).tolist() == [], "8 of 12 are less"
    lists = np.array([[2, 4, 0], [3, 2, 2], [0, 0, 0]])
    np.testing.assert_array_equal(of_lists.tail_share(lists, of_lists.long_tail(sessions)), [0.5, 0, np.nan])


def test_an_empty_list_has_no_novelty_and_one_item_no_diversity():
    traits = sparse.identity(5, format="csr")
    assert np.isnan(of_lists.novelty(np.array([[0, 0]]), np.ones(5), 3)).all()
    assert np.isnan(of_lists.intra_list_diversity(np.array([[3, 0]]), traits)).all()
    assert of_lists.popularity(np.array([[3, 4]]), np.array([0, 0, 0, 6, 2])).tolist() == [4]


def test_repeated_and_first_time_items_are_judged_by_the_same_list():
    """Ranks: repeated targets 1 and 4, a first-time one 2, another never found; the second user has no repeated one."""
    better, ties = [np.array([0, 3, 1, 9]), np.array([2])], [np.array([1, 1, 1, 0]), np.array([1])]
    repeated = [np.array([True, True, False, False]), np.array([False])]
    found = by_part(better, ties, repeated, (3,))
    discount = 1 / np.log2([2, 3, 4])
    assert found["recall@3/repeated"][0] == 1 / 2 and found["recall@3/first"].tolist() == [1 / 2, 1]
    assert found["ndcg@3/repeated"][0] == pytest.approx(1 / discount[:2].sum())
    assert found["ndcg@3/first"][0] == pytest.approx(discount[1] / discount[:2].sum())
    assert found["mrr@3/first"].tolist() == [1 / 2, 1 / 3]
    assert all(np.isnan(found[name][1]) for name in found if name.endswith("repeated"))


def test_users_of_whom_a_column_says_nothing_are_no_part_of_its_mean_and_interval():
    values = np.random.default_rng(0).normal(3, 2, 500)
    some = np.concatenate([values, np.full(500, np.nan)])
    mean, low, high = mean_and_interval(some, 2000, 0.95, seed=7)
    error = 1.96 * values.std() / np.sqrt(500)
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((mean - error, mean + error), abs=0.15 * error)


def test_segments_have_the_means_of_their_users():
    values = {"ndcg@10": np.array([0.2, 0.4, 0.9, np.nan])}
    found = by_segment(values, ["new", "new", "old", "old"])
    assert found["new"] == {"users": 2, "ndcg@10": pytest.approx(0.3)}
    assert found["old"] == {"users": 2, "ndcg@10": pytest.approx(0.9)}
    assert activity(np.array([1, 4, 5, 49, 50, 900])).tolist() == [
        "1-4",
        "1-4",
        "5-19",
        "20-49",
        "50+",
        "50+",
    ]

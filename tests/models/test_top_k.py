"""The k best by blocks, beside a float64 sort: small whole numbers, exact in both, with many ties."""

import numpy as np
import pytest

from models.top_k import ITEMS, USERS, best_by_scores, best_by_vectors


def sorted_best(scores, k):
    """(users, items) float64 -> indices and scores (users, k): best first, then by index; 0 and -inf behind the last one."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, 1)
    short = [(0, 0), (0, k - order.shape[1])]
    return (
        np.pad(np.where(best > -np.inf, order, 0), short),
        np.pad(best, short, constant_values=-np.inf),
    )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("users", "items", "width", "k"),
    [
        (USERS + 44, 2 * ITEMS + 1, 8, 7),
        (2 * USERS + 1, 3 * ITEMS, 4, 300),
        (10, 3, 4, 5),
        (1, ITEMS + 1, 2, 1),
        (0, 9, 4, 5),
    ],
)
def test_the_best_of_all_are_found_and_ties_go_to_the_lower_index(users, items, width, k, threads):
    random = np.random.default_rng(users)
    queries, vectors = (random.integers(-2, 3, (n, width)).astype(np.float32) for n in (users, items))
    bias = np.where(random.random(items) < 0.1, -np.inf, random.integers(-1, 2, items)).astype(np.float32)
    excluded = random.integers(0, items, (users, 20))
    scores = queries.astype(np.float64) @ vectors.T + bias
    np.put_along_axis(scores, excluded, -np.inf, 1)
    indices, best = sorted_best(scores, k)
    found = best_by_vectors(queries, vectors, bias, k, excluded, threads)
    assert [x.dtype for x in found] == [np.int32, np.float32]
    np.testing.assert_array_equal(found[0], indices)
    np.testing.assert_array_equal(found[1], best)
    np.testing.assert_array_equal(best_by_scores(queries @ vectors.T, bias, k, excluded, threads)[0], indices)


def test_of_real_numbers_the_same_items_are_found_as_in_float64_but_for_ties():
    """Users of one batch, alone, and on two threads; scores are equal to a float's precision."""
    random = np.random.default_rng(0)
    queries, vectors = random.standard_normal((300, 64)), random.standard_normal((5000, 64))
    single = queries.astype(np.float32), vectors.astype(np.float32), np.zeros(5000, np.float32)
    indices, best = sorted_best(single[0].astype(np.float64) @ single[1].astype(np.float64).T, 100)
    found = best_by_vectors(*single, 100, threads=2)
    np.testing.assert_allclose(found[1], best, atol=1e-4)
    differ = found[0] != indices
    gaps = np.abs(np.diff(best, axis=1, prepend=np.inf, append=-np.inf))
    assert (np.minimum(gaps[:, :-1], gaps[:, 1:])[differ] < 1e-4).all(), "only neighbours of equal score swap"
    alone = best_by_vectors(single[0][:1], *single[1:], 100)
    np.testing.assert_allclose(alone[1], found[1][:1], atol=1e-4)


def test_the_two_zeros_are_one_score():
    scores = np.array([[-0.0, 0.0, -0.0, 1.0]], np.float32)
    assert best_by_scores(scores, np.zeros(4, np.float32), 4)[0].tolist() == [[3, 0, 1, 2]]

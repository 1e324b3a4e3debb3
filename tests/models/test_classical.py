"""Classical models against their definitions, written out on a small shop."""

import numpy as np
import pytest

from models.classical import fit, matrix

ROWS = [np.array(row) for row in ([0, 1, 2], [0, 1, 1], [2, 3], [0, 3, 4], [1, 2, 4], [3, 4])]
ITEMS = 6  # nobody had item 5


def test_a_pair_counts_as_often_as_it_is_there():
    had = matrix(ROWS, ITEMS).toarray()
    assert had.shape == (6, ITEMS) and had[1].tolist() == [1, 2, 0, 0, 0, 0]


def test_item_knn_adds_up_the_cosines_of_a_users_items():
    had = matrix(ROWS, ITEMS).toarray()
    length = np.maximum(np.linalg.norm(had, axis=0), 1e-9)
    cosine = had.T @ had / length[:, None] / length
    scores = fit("item_knn", ROWS, ITEMS, neighbours=ITEMS)
    np.testing.assert_allclose(scores(np.arange(6)), had @ cosine, rtol=1e-5)


def test_item_knn_keeps_the_most_similar_items_alone():
    few, all_ = (fit("item_knn", ROWS, ITEMS, neighbours=n)(np.array([0])) for n in (1, ITEMS))
    assert (few <= all_ + 1e-6).all() and few.sum() < all_.sum()


def test_ease_is_the_regression_of_each_item_on_the_others():
    """Each column of its weights is the ridge regression on all other columns, solved on its own."""
    had, penalty = matrix(ROWS, ITEMS).toarray().astype(float), 2.0
    weights = np.zeros((ITEMS, ITEMS))
    for item in range(ITEMS):
        rest = [i for i in range(ITEMS) if i != item]
        x = had[:, rest]
        weights[rest, item] = np.linalg.solve(x.T @ x + penalty * np.eye(len(rest)), x.T @ had[:, item])
    scores = fit("ease", ROWS, ITEMS, regularization=penalty)(np.array([4, 0]))
    np.testing.assert_allclose(scores, had[[4, 0]] @ weights, atol=1e-5)


def test_als_tells_two_groups_apart():
    rng = np.random.default_rng(0)
    rows = [rng.choice(np.arange(10) + 10 * (user % 2), 6, replace=False) for user in range(60)]
    scores = fit("als", rows, 20, factors=2, iterations=10)(np.arange(60))
    assert scores.shape == (60, 20)
    own = np.where(np.arange(60)[:, None] % 2, scores[:, 10:], scores[:, :10]).mean(axis=1)
    other = np.where(np.arange(60)[:, None] % 2, scores[:, :10], scores[:, 10:]).mean(axis=1)
    assert (own > other + 0.3).all()


def test_als_is_the_same_for_the_same_seed():
    one, two = (fit("als", ROWS, ITEMS, factors=2, seed=3)(np.arange(6)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("name", "items", "message"), [("bpr", 6, "no classical model 'bpr'"), ("ease", 4, "give items=")]
)
def test_what_cannot_be_fitted_is_said(name, items, message):
    with pytest.raises(ValueError, match=message):
        fit(name, ROWS, items)

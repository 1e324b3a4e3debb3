"""The linear model: what it is fitted to, its weights beside a dense reference, its scores, and beside an encoder."""

import numpy as np
import pytest
import tensorflow as tf

from conf.schema import Model, Task
from models.export import export, has_products
from models.linear import (
    Linear,
    LinearBaseline,
    Weights,
    examples,
    fit,
    largest,
    most_frequent,
    reach,
)
from models.next_item import NextItemModel
from models.scoring import load
from tests.models.example_sets import random_example_set
from tests.models.horovodrun import assert_ranks_learn_alike
from tests.models.test_next_item import AGES, COUNTS, SMALL, rows

SIZE = 12
EVERY = np.append([0, 0, 0], np.ones(SIZE - 3, int))


def settings(**changed) -> Model:
    return Model(name="linear", **({"linear_decay": 0.5, "regularization": 2.0} | changed))


def random_rows(seed: int, count: int = 40, length: int = 14) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    items, sessions = np.zeros((count, length), np.int32), np.zeros((count, length), np.int32)
    for row in range(count):
        events = int(rng.integers(0, length + 1))
        items[row, :events] = rng.integers(1, SIZE, events)
        sessions[row, :events] = np.cumsum(rng.integers(0, 3, events)) + 1
    return items, sessions


def baskets_of(items, sessions) -> list[set[int]]:
    numbers = sorted({s for i, s in zip(items, sessions, strict=True) if i})
    return [{int(i) for i, s in zip(items, sessions, strict=True) if i and s == n} for n in numbers]


def history_of(baskets: list[set[int]], decay: float) -> np.ndarray:
    """(V,): item by item, basket by basket."""
    found = np.zeros(SIZE)
    for since, basket in enumerate(reversed(baskets)):
        for item in basket - {0, 1, 2}:
            found[item] += decay**since if since < reach(decay) else 0
    return found


def reference(items, sessions, decay: float, regularization: float, last_only: bool) -> np.ndarray:
    """(V, V): the ridge regression, of dense matrices."""
    histories, came = [], []
    for row in zip(items, sessions, strict=True):
        baskets = baskets_of(*row)
        for place in range(1, len(baskets)):
            if not last_only or place == len(baskets) - 1:
                histories.append(history_of(baskets[:place], decay))
                came.append(history_of(baskets[place : place + 1], decay))
    h, y = np.array(histories), np.array(came)
    return np.linalg.solve(h.T @ h + regularization * np.eye(SIZE), h.T @ y)


def dense(linear: Linear) -> np.ndarray:
    found = np.zeros((SIZE, SIZE))
    for item, row in enumerate(linear.row_of.numpy()):
        np.add.at(found[item], linear.items.numpy()[row], linear.values.numpy()[row])
    return found


def a_row_each(items: np.ndarray, values: np.ndarray) -> Weights:
    """Weights of all items, (V, kept) x 2."""
    none = np.zeros((1, items.shape[1]))
    return Weights(
        np.arange(1, 1 + len(items), dtype=np.int32),
        np.concatenate([none, items]).astype(np.int32),
        np.concatenate([none, values]).astype(np.float32),
    )


def in_batches(items, sessions, size: int = 7):
    return [
        {"items": tf.constant(items[at : at + size]), "sessions": tf.constant(sessions[at : at + size])}
        for at in range(0, len(items), size)
    ]


def test_a_history_is_what_was_before_each_basket_the_less_the_longer_ago():
    items = np.array([[5, 7, 6, 8, 0], [9, 9, 0, 0, 0], [3, 1, 4, 0, 0]])
    sessions = np.array([[1, 1, 2, 4, 0], [1, 1, 0, 0, 0], [1, 2, 3, 0, 0]])
    columns = np.arange(SIZE) - 3
    columns[:3] = -1
    histories, came = (each.toarray() for each in examples(items, sessions, columns, 0.5, last_only=False))
    assert came.nonzero()[1].tolist() == [3, 5, 1], "of 6 and 8; what was before 1, which is no item; and 4"
    assert histories.tolist() == [
        [0, 0, 1, 0, 1, 0, 0, 0, 0],
        [0, 0, 0.5, 1, 0.5, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 0, 0],
        [0.5, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    _, came = (each.toarray() for each in examples(items, sessions, columns, 0.5, last_only=True))
    assert came.nonzero()[1].tolist() == [5, 1]


@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_weights_are_those_of_a_dense_ridge_regression(seed, last_only, monkeypatch):
    monkeypatch.setattr("models.linear.CHUNK", 50)
    monkeypatch.setattr("models.linear.COLUMNS", 4)
    items, sessions = random_rows(seed)
    linear = fit(settings(targets="last" if last_only else "all"), EVERY, in_batches(items, sessions))
    expected = reference(items, sessions, 0.5, 2.0, last_only)
    expected = np.maximum(expected, 0)
    np.testing.assert_allclose(dense(linear), expected, atol=1e-6)
    histories = np.array([history_of(baskets_of(*row), 0.5) for row in zip(items, sessions, strict=True)])
    found = linear.score(tf.constant(items), tf.constant(sessions), tf.zeros(items.shape)).numpy()
    np.testing.assert_allclose(found, histories @ expected, atol=1e-5)


def test_baskets_too_long_ago_to_matter_are_not_looked_at():
    assert reach(0.5) == 10 and reach(1.0) == 1000
    linear = Linear(a_row_each(np.full((SIZE, 1), 5), np.ones((SIZE, 1))), 0.5)
    items, sessions = tf.fill((1, 30), 4), tf.range(1, 31)[None]
    score = linear.score(items, sessions, tf.zeros((1, 30))).numpy()
    assert score[0, 5] == pytest.approx(sum(0.5**since for since in range(10))) and score.sum() == score[0, 5]


def test_the_most_frequent_items_have_weights_and_of_these_the_largest_above_zero_stay():
    assert most_frequent(np.array([9, 9, 9, 2, 0, 5, 2, 7]), 3).tolist() == [3, 5, 7]
    weights = np.array([[0.1, -0.9, 0.5], [0.3, 0.2, 0.1], [0.0, 0.0, 0.4]])
    kept = largest(weights, np.array([3, 5, 7]), 8, kept=2)
    of_first = dict(zip(kept.items[1].tolist(), kept.values[1].tolist(), strict=True))
    assert of_first == pytest.approx({3: 0.1, 7: 0.5})
    assert kept.row_of.tolist() == [0, 0, 0, 1, 0, 2, 0, 3] and kept.values.shape == (4, 2)
    assert not kept.values[0].any() and kept.values[3].max() == np.float32(0.4)
    items, sessions = random_rows(9)
    linear = fit(settings(linear_items=4), EVERY, in_batches(items, sessions))
    assert set(np.flatnonzero(dense(linear).any(axis=1))) <= {3, 4, 5, 6}


def test_by_itself_it_ranks_what_nothing_leads_to_by_popularity_and_no_other_items():
    linear = Linear(a_row_each(np.full((6, 1), 3), np.full((6, 1), 0.2)), 0.5)
    model = LinearBaseline(linear, np.array([0, 0, 0, 1, 9, 0]))
    scores = model.score(tf.constant([[4]]), tf.constant([[1]]), tf.zeros((1, 1))).numpy()[0]
    assert np.argsort(-scores)[:2].tolist() == [3, 4] and np.isneginf(scores[[0, 1, 2, 5]]).all()
    assert model.score(tf.constant([[0]]), tf.constant([[0]]), tf.zeros((1, 1))).numpy()[0].argmax() == 4


def test_beside_an_encoder_its_scores_are_added_and_exported(tmp_path):
    rng = np.random.default_rng(3)
    weights = a_row_each(rng.integers(3, 9, (9, 4)), rng.normal(size=(9, 4)))
    linear, task = Linear(weights, 0.7), Task(event_types=["buy"], length=6, positions=6)
    choice = Model(**(SMALL | {"name": "sasrec"}), linear=3.0)
    alone = NextItemModel(choice, task, COUNTS, 1)
    both = NextItemModel(choice, task, COUNTS, 1, linear=linear)
    asked = *rows(6, 3), tf.constant([AGES, AGES])
    expected = alone.score(*asked).numpy() + 3 * linear.score(*asked).numpy()
    np.testing.assert_allclose(both.score(*asked).numpy(), expected, rtol=1e-5)
    assert has_products(alone) and not has_products(both)
    assert len(both.trainable_variables) == len(alone.trainable_variables), "it is fitted, not trained"
    export(
        both,
        {"item_index": np.arange(3, 9), "item_id": [f"p{i}" for i in range(3, 9)]},
        tmp_path / "model",
        k=3,
    )
    given = {name: each.numpy() for name, each in zip(("items", "sessions", "ages"), asked, strict=True)}
    np.testing.assert_allclose(load(tmp_path / "model").scores(given)[:, 3:], expected[:, 3:], rtol=1e-5)


def test_two_ranks_judge_by_the_weights_that_one_has_fitted(tmp_path):
    path = random_example_set(tmp_path / "set", train=[6, 5], validation=[4, 3])
    assert_ranks_learn_alike(path, tmp_path, "linear")

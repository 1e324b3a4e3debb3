"""A second stage: what it looks at, that it begins with the first stage's order, and that it learns what that cannot see."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from conf.schema import Rerank
from models import baselines
from models.example_set import open_example_set
from models.export import export
from models.rerank_training import RerankError, is_learnt, judged, train
from models.reranker import HALF_LIVES, NEVER, Reranker
from models.scoring import best_items, on_shelf
from models.scoring import load as load_model
from models.shelf import EMPTY
from tests.models.example_sets import random_rows, write_example_set

ITEMS = 20
SIZE = 3 + ITEMS
POPULARITY = np.where(np.arange(SIZE) < 3, 0, 100 - np.arange(SIZE))
HISTORY = {
    "items": [[4, 5, 5, 4, 6, 0], [7, 0, 0, 0, 0, 0]],
    "sessions": [[1, 1, 1, 2, 3, 0], [1, 0, 0, 0, 0, 0]],
    "ages": [[9.0, 9.0, 9.0, 5.0, 1.0, 0.0], [2.0, 0, 0, 0, 0, 0]],
}


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> str:
    """Popularity, exported."""
    folder = str(tmp_path_factory.mktemp("first") / "model")
    words = {"item_index": np.arange(3, SIZE), "item_id": [f"item-{i}" for i in range(3, SIZE)]}
    export(baselines.fit("popularity", SIZE, np.arange(SIZE), POPULARITY), words, folder, k=5)
    return folder


def made(first: str, candidates: int = 10) -> Reranker:
    rng = np.random.default_rng(1)
    categories = np.where(np.arange(SIZE) < 3, 0, 1 + np.arange(SIZE) % 3)
    vectors = rng.normal(size=(SIZE, 4)).astype(np.float32)
    return Reranker(tf.saved_model.load(first), vectors, POPULARITY, categories, candidates, 4, seed=2)


def history() -> tuple[tf.Tensor, ...]:
    return tuple(
        tf.constant(HISTORY[name], dtype)
        for name, dtype in (("items", tf.int32), ("sessions", tf.int32), ("ages", tf.float32))
    )


def test_it_begins_with_the_order_of_the_first_stage(first):
    model = made(first)
    scores, anew = model.first_scores(*history()).numpy(), model.score(*history()).numpy()
    assert (np.argsort(-anew, kind="stable") == np.argsort(-scores, kind="stable")).all()
    outside = np.argsort(-scores[0])[10:]
    np.testing.assert_array_equal(anew[0, outside], scores[0, outside])
    assert anew[0, 3:13].min() > scores[0].max() - 10, "candidates lie above all others"


def test_numbers_are_those_of_the_user_and_the_candidate(first):
    model = made(first)
    places, best = tf.constant([[4, 5, 8], [7, 4, 5]]), tf.constant([[3.0, 2.0, 1.0], [1.0, 1.0, -np.inf]])
    found = model.numbers(*history(), places, best).numpy()
    milk, jam, tea = found[0]
    spread = np.sqrt(2 / 3)
    np.testing.assert_allclose(found[0, :, 0], [1 / spread, 0, -1 / spread], rtol=1e-5)
    np.testing.assert_allclose(found[1, :, 0], 0), "two alike, and one that is none"
    np.testing.assert_allclose(found[0, :, 1], np.log1p([0, 1, 2]), rtol=1e-6)
    np.testing.assert_allclose(np.expm1(milk[2:6]), [2, np.expm1(2 / 3), 5, 4], rtol=1e-4)
    (
        np.testing.assert_allclose(np.expm1(jam[[2, 4, 5]]), [1, 9, NEVER], rtol=1e-4),
        "twice in one session is once",
    )
    np.testing.assert_allclose(np.expm1(tea[[2, 4, 5]]), [0, NEVER, NEVER], rtol=1e-4)
    assert milk[6] == pytest.approx(np.log1p(5) - np.log1p(4), rel=1e-4), "due: a day later than usual"
    np.testing.assert_allclose(np.expm1(found[0, :, 7]), POPULARITY[[4, 5, 8]], rtol=1e-4)
    # 4 and 7 are of one category, 5 and 8 of another, 6 of the third: of four firsts 4, 5, 4, 6 two are of milk's.
    np.testing.assert_allclose(found[0, :, 8], [0.5, 0.25, 0.25], rtol=1e-5)
    np.testing.assert_allclose(np.expm1(milk[9:12]), [3, 9, 1], rtol=1e-4), "sessions, tenure and recency"
    np.testing.assert_allclose(
        np.expm1(milk[12:]), [0.5 ** (9 / h) + 0.5 ** (5 / h) for h in HALF_LIVES], rtol=1e-4
    )


def test_attention_looks_at_the_last_events_and_at_nothing_beyond_them(first):
    model = made(first)
    items, _, ages = history()
    places = tf.constant([[4, 5], [4, 5]])
    whole = model.interest(items, ages, places).numpy()
    assert whole.shape == (2, 2, 4)
    other = items.numpy().copy()
    other[0, 0] = 9  # the fifth from the end
    np.testing.assert_allclose(model.interest(tf.constant(other), ages, places), whole, rtol=1e-5)
    other[0, 1] = 9
    assert not np.allclose(model.interest(tf.constant(other), ages, places).numpy()[0], whole[0])
    padded = [tf.pad(x, [[0, 0], [0, 3]]) for x in (items, ages)]
    np.testing.assert_allclose(model.interest(*padded, places), whole, rtol=1e-5)


def rows(count: int, seed: int) -> list[dict]:
    """Users who take next what they had last: popularity does not know that."""
    found = random_rows(count, ITEMS, seed)
    return [{**row, "targets": [int(np.asarray(row["items"])[-1])]} for row in found]


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    vocabulary = {i: (int(POPULARITY[i]), int(POPULARITY[i])) for i in range(3, SIZE)}
    return open_example_set(
        write_example_set(folder, {"train": [rows(10, 3)], "validation": [rows(400, 4)]}, vocabulary)
    )


@pytest.fixture(scope="module")
def trained(first, examples, tmp_path_factory):
    model, told = made(first, candidates=SIZE), []
    settings = Rerank(candidates=SIZE, events=4, epochs=20, patience=5, batch_size=20, learning_rate=1e-2)
    epochs = train(model, examples, settings, "ndcg@10", tmp_path_factory.mktemp("kept"), told.append)
    return model, epochs, told, settings


def test_it_learns_what_the_first_stage_cannot_see(trained, examples):
    model, epochs, told, settings = trained
    assert epochs == told and epochs[0].number == 0 and np.isnan(epochs[0].loss)
    best = [epoch for epoch in epochs if epoch.best][-1]
    assert best.metrics["ndcg@10"] > 0.75 > 0.5 > epochs[0].metrics["ndcg@10"]
    assert judged(model, examples, settings) == pytest.approx(best.metrics), (
        "it has the weights of the best epoch"
    )


def test_exported_it_ranks_as_it_does_and_asks_its_first_stage_itself(trained, examples, tmp_path):
    model, *_ = trained
    export(model, examples.vocabulary, tmp_path / "model", k=5)
    loaded = load_model(str(tmp_path / "model"))
    inputs = {name: each.numpy() for name, each in zip(("items", "sessions", "ages"), history(), strict=True)}
    indices, _ = best_items(on_shelf(loaded, EMPTY), inputs, 5)
    expected = np.argsort(-model.score(*history()).numpy()[:, :], axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(indices, expected)


def test_a_share_of_the_rows_is_learnt_from_whatever_their_order():
    ids = np.arange(20_000)
    chosen = is_learnt(ids, 0.8)
    assert chosen.mean() == pytest.approx(0.8, abs=0.01)
    assert (is_learnt(ids[::-1], 0.8)[::-1] == chosen).all()
    assert (chosen <= is_learnt(ids, 0.9)).all()
    assert is_learnt(ids, 1.0).all()


def test_where_no_target_is_among_the_candidates_that_is_said(first, tmp_path: Path):
    model = made(first, candidates=1)
    rare = [row for row in rows(50, 4) if row["targets"] != [3]]
    vocabulary = {i: (int(POPULARITY[i]), int(POPULARITY[i])) for i in range(3, SIZE)}
    path = write_example_set(tmp_path / "rare", {"train": [rare[:5]], "validation": [rare]}, vocabulary)
    with pytest.raises(RerankError, match=r"no validation row with a target among the first 1 items"):
        train(model, open_example_set(path), Rerank(candidates=1), "ndcg@10", tmp_path, lambda _: None)

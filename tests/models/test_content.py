"""Frozen vectors of items: how they are read, what they add, and that they speak for items that no training saw."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from conf.load import ConfigurationError, load
from conf.schema import Model, Task
from models.content import Content, ContentError, digest_of, dimensions_of, read_content
from models.dropout import Noise
from models.explaining import attributed
from models.export import export
from models.gated_content import GatedContent
from models.next_item import NextItemModel
from models.scoring import best_items, on_shelf, scores_of
from models.scoring import load as loaded_from
from models.shelf import Shelf, shelf_of
from models.warm_weights import Begun, begin
from serving.publication import RULES

WORDS = pa.table(
    {
        "item_index": pa.array([3, 4, 5, 6], pa.int32()),
        "item_id": ["milk", "curd", "rye", "pen"],
        "category": pa.array(["dairy", "dairy", "bread", None], pa.string()),
    }
)
COUNTS = np.array([0, 0, 0, 9, 4, 0, 2])  # rye is known by name alone
VECTORS = {"curd": [4.0, 0.0], "milk": [0.0, 0.0], "rye": [2.0, 3.0], "oats": [2.0, -1.0]}
GATE = 0.5  # of a gate that nothing has opened or closed


def written(folder: Path, rows: dict[str, list[float] | None], name: str = "vectors.parquet") -> str:
    lists = pa.array(list(rows.values()), pa.list_(pa.float32()))
    pq.write_table(pa.table({"item_id": list(rows), "vector": lists}), folder / name)
    return str(folder / name)


def test_vectors_are_centred_and_scaled_by_what_the_training_saw(tmp_path):
    found = read_content(written(tmp_path, VECTORS), WORDS, COUNTS)
    assert found.has.tolist() == [False] * 3 + [True, True, True, False]
    # The mean of milk and curd is (2, 0), and both are 2 away from it.
    np.testing.assert_allclose(found.known, [[0, 0]] * 3 + [[-1, 0], [1, 0], [0, 1.5], [0, 0]])
    assert found.new_ids == ["oats"]
    np.testing.assert_allclose(found.new, [[0, -0.5]])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"tea": [1.0, 2.0]}, "none of the 3 items"),
        ({"milk": [1.0, 2.0], "curd": [1.0]}, "vectors of 1 to 2 numbers"),
        ({"milk": [1.0, 2.0], "curd": None}, "1 nulls"),
        ({"milk": [1.0, float("nan")]}, "no numbers"),
        ({}, "0 rows"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_words(tmp_path, rows, said):
    with pytest.raises(ContentError, match=said):
        read_content(written(tmp_path, rows), WORDS, COUNTS)


def test_a_file_that_is_not_there_or_no_parquet_or_has_an_item_twice_is_refused(tmp_path):
    with pytest.raises(ContentError, match="no such file"):
        read_content(str(tmp_path / "none.parquet"), WORDS, COUNTS)
    with pytest.raises(ContentError, match="no such file"):
        digest_of(str(tmp_path / "none.parquet"))
    (tmp_path / "text").write_text("milk 1 2")
    with pytest.raises(ContentError, match="cannot be read as Parquet"):
        read_content(str(tmp_path / "text"), WORDS, COUNTS)
    pq.write_table(pa.table({"item_id": ["milk", "milk"], "vector": [[1.0], [2.0]]}), tmp_path / "twice")
    with pytest.raises(ContentError, match="twice"):
        read_content(str(tmp_path / "twice"), WORDS, COUNTS)


def test_a_file_is_told_by_what_is_in_it(tmp_path):
    one, same = written(tmp_path, VECTORS), written(tmp_path, VECTORS, "same.parquet")
    other = written(tmp_path, VECTORS | {"tea": [1.0, 1.0]}, "other.parquet")
    assert digest_of(one) == digest_of(same) != digest_of(other)
    assert dimensions_of(one) == 2 and dimensions_of(written(tmp_path, {}, "empty")) == 0


@pytest.mark.parametrize("wrong", ["task=churn", "model.repeat=8"])
def test_content_is_of_tasks_that_rank_by_products(wrong):
    others = [] if wrong.startswith("task") else ["model.loss=sampled_softmax"]
    with pytest.raises(ConfigurationError, match=r"model\.content"):
        load(["model=sasrec", "model.content=vectors.parquet", wrong, *others])


def made(content: Content | None, counts: np.ndarray = COUNTS, seed: int = 1, **changed) -> NextItemModel:
    choice = {"name": "sasrec", "width": 8, "blocks": 1, "heads": 2, "dropout": 0.0} | changed
    task = Task(event_types=["buy"], length=6, positions=6)
    return NextItemModel(Model(**choice), task, counts, seed, content=content)


def test_what_content_adds_goes_through_the_gate(tmp_path):
    content = read_content(written(tmp_path, VECTORS), WORDS, COUNTS)
    gated = GatedContent(content, width=2, share=0.0, seed=1)
    gated.project.assign([[1.0, 2.0], [4.0, 0.0]])
    expected = GATE * np.array([[0, 0]] * 3 + [[-1, -2], [1, 2], [6, 0], [0, 0]])
    np.testing.assert_allclose(gated.added_to_all(), expected)
    np.testing.assert_allclose(gated.added(tf.constant([[5, 3]])), [[expected[5], expected[3]]])
    np.testing.assert_allclose(gated.added_to_new(), [[GATE * -2, 0]])
    gated.gate.assign([-50.0, 50.0])
    np.testing.assert_allclose(gated.added(tf.constant([4])), [[0, 2]], atol=1e-6)


def test_an_item_that_no_training_saw_is_read_and_ranked_by_its_content(tmp_path):
    model = made(read_content(written(tmp_path, VECTORS), WORDS, COUNTS))
    assert model.vectors.read(tf.constant([3, 4, 5, 6, 7])).numpy().tolist() == [3, 4, 5, 6, 1]
    rows, gated = model.vectors.rows(tf.constant([4, 5, 6])).numpy(), model.vectors.content
    own, added = model.vectors.table.numpy()[[4, 5, 6]], gated.added_to_all().numpy()[[4, 5, 6]]
    np.testing.assert_allclose(rows, own + added, rtol=1e-6)
    assert not own[1].any() and not added[2].any()
    np.testing.assert_allclose(model.vectors.matrix().numpy()[[4, 5, 6]], rows, rtol=1e-6)


def test_a_step_takes_the_own_vectors_of_a_share_of_the_items_away_the_same_for_all_its_rows():
    size = 3003
    content = Content(
        np.ones((size, 2), np.float32), np.arange(size) >= 1003, [], np.zeros((0, 2), np.float32)
    )
    gated = GatedContent(content, width=4, share=0.3, seed=1)
    ones, kept = tf.ones((size, 4)), []
    for step in (1, 2):
        for rows in ([1, 2], [5]):
            with gated.taken_away(Noise(tf.constant([7, step]), tf.constant(rows, tf.int64))):
                kept.append(gated.kept(ones).numpy()[:, 0])
                np.testing.assert_array_equal(
                    gated.kept(ones[:2], tf.constant([2000, 3]))[:, 0], kept[-1][[2000, 3]]
                )
    assert (kept[0] == kept[1]).all() and (kept[2] == kept[3]).all() and (kept[0] != kept[2]).any()
    assert kept[0][:1003].all(), "without content there is nothing to be known by"
    np.testing.assert_allclose(1 - kept[0][1003:].mean(), 0.3, atol=0.03)
    with gated.taken_away(None):
        assert gated.kept(ones) is ones
    assert gated.kept(ones) is ones


GROUPS, EACH, NEW = 4, 5, 3  # items of a group follow each other; of each group some come later
SHOP = pa.table(
    {
        "item_index": pa.array(range(3, 3 + GROUPS * EACH), pa.int32()),
        "item_id": [f"{group}-{n}" for group in range(GROUPS) for n in range(EACH)],
        "category": pa.array([None] * (GROUPS * EACH), pa.string()),
    }
)
SEEN = np.r_[np.zeros(3, int), np.full(GROUPS * EACH, 9)]
LATER = [f"{group}-later-{n}" for group in range(GROUPS) for n in range(NEW)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A model that has learnt that users stay within a group, and its export."""
    folder, rng = tmp_path_factory.mktemp("shop"), np.random.default_rng(5)
    is_of = np.eye(GROUPS)
    vectors = {
        item: (is_of[int(item[0])] + 0.05 * rng.standard_normal(GROUPS)).tolist()
        for item in [*SHOP["item_id"].to_pylist(), *LATER]
    }
    content = read_content(written(folder, vectors), SHOP, SEEN)
    model = made(content, SEEN, width=16, loss="softmax", start="normal", content_share=0.5)
    optimizer = tf.keras.optimizers.Adam(0.02)
    group = np.arange(64) % GROUPS
    first = tf.constant(rng.permuted(np.tile(np.arange(EACH), (64, 1)), axis=1)[:, :4], tf.int32)
    items = 3 + EACH * tf.constant(group[:, None], tf.int32) + first
    sessions, ages = tf.tile(tf.constant([[1, 2, 3, 4]]), [64, 1]), tf.zeros((64, 4))
    rows = tf.range(64, dtype=tf.int64)

    @tf.function(autograph=False)
    def step(number: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            noise = Noise(tf.stack([3, number]), rows)
            loss = model.loss(items, sessions, tf.ones(64), None, noise, ages)
            mean = loss.total / loss.weight
        variables = [each for each in model.trainable_variables if each is not None]
        gradients = tape.gradient(mean, variables)
        told = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
        optimizer.apply_gradients(told)
        return mean

    losses = [float(step(tf.constant(number))) for number in range(150)]
    assert losses[-1] < 0.9 * losses[0]
    export(model, SHOP, folder / "model", k=5)
    return model, str(folder / "model")


def asked(group: int) -> dict[str, np.ndarray]:
    items = np.array([[3 + EACH * group, 4 + EACH * group, 0]], np.int32)
    return {"items": items, "sessions": np.array([[1, 2, 0]], np.int32), "ages": np.zeros((1, 3), np.float32)}


def shelf_with(*later: str, boosts: dict[int, float] | None = None) -> Shelf:
    """All items of the vocabulary, and behind them some that came later, each with the index that the shop gave it."""
    ids = np.array(["", "", "", *SHOP["item_id"].to_pylist(), "no name in the file", *later], object)
    factors = np.zeros(len(ids), np.float32)
    for index, boost in (boosts or {}).items():
        factors[index] = boost
    return Shelf(factors, np.full(len(ids), -1, np.int32), (), ids)


def test_new_items_are_ranked_by_their_content_under_the_index_that_the_shop_gave_them(shop):
    _, path = shop
    model, shelf = loaded_from(path), shelf_with("3-later-1", "0-later-0", "2-later-2", "1-later-0")
    scorer, first = on_shelf(model, shelf), 3 + GROUPS * EACH
    later = {"3": first + 1, "0": first + 2, "2": first + 3, "1": first + 4}
    assert scorer.ids[first] == "" and scorer.bias[first] == -np.inf, "nothing is known of it"
    for group in range(GROUPS):
        (found,), (scores,) = best_items(scorer, asked(group), 30)
        ranked = [index for index in found if index in later.values()]
        assert ranked[0] == later[str(group)], (
            "the new item of the user's own group is the best of the new ones"
        )
        assert first not in found
        among = scores_of(scorer, asked(group), np.array(ranked))[0]
        np.testing.assert_allclose(among, [scores[list(found).index(index)] for index in ranked], rtol=1e-5)
    excluded = asked(0) | {"excluded": np.array([[later["0"]]], np.int32)}
    assert later["0"] not in best_items(scorer, excluded, 30)[0]
    blocked = on_shelf(model, shelf_with("0-later-0", boosts={first + 1: -np.inf}))
    assert first + 1 not in best_items(blocked, asked(0), 30)[0]


def test_without_ids_of_the_shelf_no_item_is_new(shop):
    model, shelf = loaded_from(shop[1]), shelf_with("0-later-0")
    assert on_shelf(model, shelf._replace(ids=None)).ids is model.ids
    assert on_shelf(model, shelf_with()).vectors is model.vectors


def test_a_history_of_new_items_is_read_by_their_content(shop):
    _, path = shop
    model, first = loaded_from(path), 3 + GROUPS * EACH
    scorer = on_shelf(model, shelf_with("2-later-0", "2-later-1"))
    history = asked(0) | {"items": np.array([[first + 1, first + 2, 0]], np.int32)}
    (found,), _ = best_items(scorer, history, 5)
    assert {scorer.ids[index][0] for index in found} == {"2"}
    by_id = tf.saved_model.load(path).signatures["by_id"](
        item_ids=tf.constant([["2-later-0", "2-later-1", ""]]),
        sessions=tf.constant(history["sessions"]),
        ages=tf.constant(history["ages"]),
    )
    assert {each.decode()[0] for each in by_id["ids"].numpy()[0]} == {"2"}


def test_the_score_of_a_new_item_is_explained(shop):
    model, first = loaded_from(shop[1]), 3 + GROUPS * EACH
    scorer = on_shelf(model, shelf_with("1-later-0"))
    for index in (first + 1, 3 + EACH):
        told = attributed(scorer, asked(1), np.array([index]), 32)
        score = scores_of(scorer, asked(1), np.array([index]))[0, 0]
        np.testing.assert_allclose(told["score"], score, rtol=1e-4)
        np.testing.assert_allclose(told["attributions"].sum(), score - told["baseline"][0], rtol=0.02)


def test_a_training_that_begins_from_it_says_the_same_of_what_was_known(shop):
    ranker, path = shop
    content = Content(
        ranker.vectors.content.values.numpy(),
        ranker.vectors.content.has.numpy(),
        ranker.vectors.content.new_ids,
        ranker.vectors.content.new,
    )
    settings = {"width": 16, "loss": "softmax", "start": "normal"}
    same = made(content, SEEN, seed=9, **settings)
    assert begin(same, path, SHOP) == Begun(known=GROUPS * EACH, by_category=0, by_all=0)
    history = tuple(tf.constant(each) for each in asked(2).values())
    np.testing.assert_allclose(same.score(*history), ranker.score(*history), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(same.vectors.content.project, ranker.vectors.content.project)
    without = made(None, SEEN, seed=9, **settings)
    begin(without, path, SHOP)
    np.testing.assert_allclose(without.score(*history), ranker.score(*history), rtol=1e-4, atol=1e-4)
    narrow = content._replace(known=content.known[:, :2], new=content.new[:, :2])
    of_another = made(narrow, SEEN, seed=9, **settings)
    begin(of_another, path, SHOP)
    np.testing.assert_allclose(of_another.score(*history), ranker.score(*history), rtol=1e-4, atol=1e-4)


def test_it_is_exported_in_fewer_bits_too(shop, tmp_path):
    ranker, path = shop
    ranker.vectors.keep_as("int8")
    try:
        export(ranker, SHOP, tmp_path / "int8", k=5)
    finally:
        ranker.vectors.compact = None
    shelf = shelf_with("0-later-0", "1-later-0")
    exact, small = (on_shelf(loaded_from(each), shelf) for each in (path, str(tmp_path / "int8")))
    assert (best_items(exact, asked(1), 1)[0] == best_items(small, asked(1), 1)[0]).all()


def test_a_shelf_has_ids_where_it_is_asked_for_them():
    items = WORDS.append_column("out_of_stock", pa.array([False] * 4)).append_column(
        "embargoed", pa.array([False] * 4)
    )
    shelf = shelf_of(items, RULES.empty_table(), date(2026, 11, 2), with_ids=True)
    assert shelf.ids.tolist() == ["", "", "", "milk", "curd", "rye", "pen"]
    assert shelf_of(items, RULES.empty_table(), date(2026, 11, 2)).ids is None

"""Bulk scoring of Arrow batches: every user once, in order, and a bad row costs that user only."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from conf.schema import Model, Task
from models import scoring
from models.baselines import fit
from models.export import export
from models.histories import COPIES, EVENT_BYTES, NO_HISTORY, chunks, unusable
from models.metrics import facts
from models.next_item import NextItemModel
from models.scoring import RANK_FACTS, TOP_K, best_items, on_shelf, rank_facts, top_k
from models.shelf import EMPTY, Shelf

SIZE, K = 40, 5
INDICES = np.arange(3, SIZE)
VOCABULARY = {"item_index": INDICES, "item_id": [f"p{i}" for i in INDICES]}
POPULARITY = np.random.default_rng(0).integers(1, 9, len(INDICES))


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Exported baselines; `old` has the first ten items only."""
    folder = tmp_path_factory.mktemp("exported")
    export(fit("frequency", SIZE, INDICES, POPULARITY), VOCABULARY, folder / "frequency", K)
    export(fit("popularity", SIZE, INDICES, POPULARITY), VOCABULARY, folder / "popularity", K)
    early = {name: values[:10] for name, values in VOCABULARY.items()}
    export(fit("frequency", 13, INDICES[:10], POPULARITY[:10]), early, folder / "old", K)
    return {path.name: str(path) for path in folder.iterdir()}


def batch(users):
    """users: (items, sessions, ages) or (items, sessions, ages, targets), each a list or None"""
    columns = {"user_id": pa.array([f"u{n}" for n in range(len(users))])}
    types = {"items": pa.int32(), "sessions": pa.int32(), "ages": pa.float32(), "targets": pa.int32()}
    for (name, kind), values in zip(types.items(), zip(*users, strict=True), strict=False):
        columns[name] = pa.array(list(values), pa.list_(kind))
    return pa.RecordBatch.from_pydict(columns)


def histories(count, longest, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        length = rng.integers(1, longest + 1)
        sessions = np.sort(rng.integers(1, 20, length))
        yield (
            rng.integers(3, SIZE, length),
            sessions,
            (20.0 - sessions),
            rng.permutation(SIZE - 1)[: rng.integers(1, 9)] + 1,
        )


def test_each_user_gets_the_best_items_in_the_order_of_the_input(paths):
    """Bought once, twice, once; then by popularity. Item 1 is unknown, item 99 of later days."""
    users = [([5], [1], [3.0]), ([7, 8, 7], [1, 1, 2], [9.0, 9.0, 1.0]), ([1, 99], [1, 2], [1.0, 0.0])]
    result = pa.Table.from_batches(top_k(iter([batch(users)]), paths["frequency"], K))
    assert result.schema == TOP_K
    popular = [f"p{i}" for i in sorted(INDICES, key=lambda i: (-POPULARITY[i - 3], i))]
    expected = [
        ["p5", *[p for p in popular if p != "p5"][:4]],
        ["p7", "p8", *[p for p in popular if p not in ("p7", "p8")][:3]],
        popular[:5],
    ]
    assert result["user_id"].to_pylist() == ["u0", "u1", "u2"]
    assert result["ids"].to_pylist() == expected
    assert result["scores"].to_pylist()[1][:2] == [2.0, 1.0]
    assert result["reason"].null_count == 3


def test_neither_padding_nor_batches_nor_memory_change_a_score(paths):
    """Histories of 1 to 300 events: as one batch, in slices of it, and with room for one user at a time."""
    whole = batch([history[:3] for history in histories(60, 300)])
    expected = pa.Table.from_batches(top_k(iter([whole]), paths["frequency"], K))
    assert expected["reason"].null_count == 60
    many = [whole.slice(start, 7) for start in range(0, 60, 7)]
    assert pa.Table.from_batches(top_k(iter(many), paths["frequency"], K)).equals(expected)
    one = pa.Table.from_batches(top_k(iter([whole]), paths["frequency"], K, max_bytes=1))
    assert one.equals(expected)


def test_chunks_pad_to_powers_of_two_and_keep_to_the_memory():
    whole = batch([([3] * n, [1] * n, [0.0] * n) for n in (1, 32, 33, 64, 65, 5000)])
    most = 2 * (4 * COPIES * SIZE + 64 * EVENT_BYTES)  # room for two users of 64 events
    found = [
        (rows.places.tolist(), rows.inputs["items"].shape) for rows in chunks(whole, [None] * 6, SIZE, most)
    ]
    assert found == [([0, 1], (2, 32)), ([2, 3], (2, 64)), ([4], (1, 128)), ([5], (1, 8192))]


GOOD = ([3], [1], [0.0], [4])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (([3, 4], [1], [0.0], [4]), "items, sessions and ages have different lengths"),
        (([3], [1], [], [4]), "items, sessions and ages have different lengths"),
        (([], [], [], [4]), NO_HISTORY),
        ((None, [1], [0.0], [4]), "items is null"),
        (([3], [1], None, [4]), "ages is null"),
        (([3, None], [1, 1], [0.0, 0.0], [4]), "items has a value that is no number"),
        (([3], [1], [float("nan")], [4]), "ages has a value that is no number"),
        (([3], [1], [0.0], []), "no targets"),
        (([3], [1], [0.0], None), "targets is null"),
    ],
)
def test_a_bad_row_costs_that_user_only(paths, bad, reason):
    rows = iter([batch([GOOD, bad, GOOD])])
    result = next(rank_facts(rows, {"m": paths["frequency"]}, INDICES)).to_pylist()
    empty = dict.fromkeys(RANK_FACTS.names) | {"user_id": "u1", "model": "m", "reason": reason}
    assert result[1] == empty
    assert result[0]["better"] == result[2]["better"] != [] and result[0]["reason"] is None
    if "targets" not in reason and reason != NO_HISTORY:
        best = next(top_k(iter([batch([GOOD, bad, GOOD])]), paths["frequency"], K)).to_pylist()
        assert best[1] == {"user_id": "u1", "ids": None, "scores": None, "reason": reason}
        assert best[0]["ids"] == best[2]["ids"] and len(best[0]["ids"]) == K


def test_a_slice_of_a_batch_is_read_as_that_slice():
    whole = batch([([3, None], [1, 1], [0.0, 0.0]), GOOD[:3], ([3], [], [0.0]), GOOD[:3]])
    lengths = "items, sessions and ages have different lengths"
    assert unusable(whole.slice(1)) == [None, lengths, None]
    assert [
        rows.places.tolist() for rows in chunks(whole.slice(1), [None, lengths, None], SIZE, 1 << 20)
    ] == [[0, 2]]


class Broken(tf.Module):
    """Scores that are not numbers for users whose first item is 4, and zeros for the others."""

    vocabulary_size = SIZE

    def score(self, items, sessions, ages):
        user = tf.where(items[:, :1] == 4, np.nan, tf.zeros_like(ages[:, :1]))
        return tf.tile(user, [1, SIZE])


def test_scores_that_are_not_numbers_are_no_predictions_and_no_ranking(tmp_path):
    export(Broken(), VOCABULARY, tmp_path / "broken", K)
    users = batch([GOOD, ([4], [1], [0.0], [5])])
    good, broken = next(top_k(iter([users]), str(tmp_path / "broken"), K)).to_pylist()
    assert good["ids"] == ["p3", "p4", "p5", "p6", "p7"] and good["reason"] is None
    assert broken["ids"] is None and broken["reason"] == "the model's scores are not numbers"
    with pytest.raises(ValueError, match="the model is broken"):
        next(rank_facts(iter([users]), {"broken": str(tmp_path / "broken")}, INDICES))


def test_a_missing_column_stops_everything(paths):
    with pytest.raises(ValueError, match="no column ages: expected user_id, items, sessions, ages"):
        list(top_k(iter([batch([GOOD[:2]])]), paths["frequency"], K))


def test_an_empty_batch_and_no_batch(paths):
    assert list(top_k(iter([]), paths["frequency"], K)) == []
    assert [len(b) for b in top_k(iter([batch([GOOD]).slice(1)]), paths["frequency"], K)] == [0]


def test_facts_are_those_of_the_models_scores(paths):
    """Two models, forty users, some items no candidates; against `facts` of each user alone."""
    users = list(histories(40, 100))
    candidates = INDICES[::2]
    mask = np.isin(np.arange(SIZE), candidates)
    models = {name: paths[name] for name in ("frequency", "popularity")}
    table = pa.Table.from_batches(rank_facts(iter([batch(users)]), models, candidates, max_bytes=20_000))
    assert table.schema == RANK_FACTS
    rows = {(row["user_id"], row["model"]): row for row in table.to_pylist()}
    assert len(rows) == 80
    for name in models:
        ranker = fit(name, SIZE, INDICES, POPULARITY)
        for n, (items, sessions, ages, targets) in enumerate(users):
            scores = ranker.score(np.int32([items]), np.int32([sessions]), np.float32([ages])).numpy()
            better, ties = facts(scores, mask, [targets])
            row = rows[f"u{n}", name]
            assert (row["better"], row["ties"]) == (better[0].tolist(), ties[0].tolist())
            assert row["n_targets"] == len(targets)
            assert row["repeated"] == [target in items for target in targets]


def test_an_older_model_is_judged_on_the_candidates_of_today(paths):
    """Its ten items come first, here by popularity; the other 27 share the last place."""
    result = next(rank_facts(iter([batch([([3], [1], [0.0], [3, 30])])]), {"old": paths["old"]}, INDICES))
    assert result.to_pylist()[0]["better"] == [0, 10]
    assert result.to_pylist()[0]["ties"] == [1, 27]


def test_a_model_is_read_once_a_process(paths):
    assert scoring.load(paths["old"]) is scoring.load(paths["old"])


def ids_of(users, path, shelf=EMPTY, k=K, **more):
    given = pa.Table.from_batches([batch(users)])
    for name, values in more.items():
        given = given.append_column(name, pa.array(values, pa.list_(pa.int32())))
    return pa.Table.from_batches(top_k(iter(given.to_batches()), path, k, shelf)).to_pylist()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """An untrained SASRec whose items above 29 training never saw; every third item is tea, others coffee."""
    counts = np.where((np.arange(SIZE) >= 3) & (np.arange(SIZE) < 30), 5, 0)
    made = NextItemModel(
        Model(name="sasrec", width=16), Task(event_types=["buy"], length=16, positions=4), counts, 7
    )
    category = [None if i == 38 else "tea" if i % 3 == 0 else "coffee" for i in INDICES]
    path = tmp_path_factory.mktemp("encoder") / "model"
    export(made, VOCABULARY | {"category": category}, path, K)
    return SimpleNamespace(path=str(path), vectors=made.vectors.table.numpy(), made=made)


def test_by_vectors_and_by_the_models_own_scores_it_is_the_same(encoder):
    users = [history[:3] for history in histories(50, 30)]
    users = [(np.minimum(items, 29), *rest) for items, *rest in users]
    own = scoring.load(encoder.path)._replace(queries=None, bias=np.zeros(SIZE, np.float32))
    inputs = next(chunks(batch(users), [None] * 50, 0, 1 << 30)).inputs
    by_scores = best_items(on_shelf(own, EMPTY), inputs, 40)
    by_vectors = best_items(on_shelf(scoring.load(encoder.path), EMPTY), inputs, 40)
    np.testing.assert_allclose(by_vectors[1], by_scores[1], atol=1e-5)
    settled = np.abs(np.diff(by_scores[1][:, :27], axis=1)).min(axis=1) > 1e-4
    assert settled.any()
    np.testing.assert_array_equal(by_vectors[0][settled, :27], by_scores[0][settled, :27])


def test_an_item_newer_than_the_model_reads_as_the_mean_of_its_category_or_as_unknown(encoder):
    """45 is tea, 46 wine, of which the model knows nothing; 47 is not even on the shelf."""
    shelf = Shelf(np.zeros(47, np.float32), np.r_[np.full(45, -1), 1, 0].astype(np.int32), ("wine", "tea"))
    scorer = on_shelf(scoring.load(encoder.path), shelf)

    def query(item, of=scorer):
        inputs = next(chunks(batch([([item], [1], [0.0])]), [None], 0, 1 << 30)).inputs
        return best_items(of, inputs, 27)[1]

    tea = [i for i in INDICES if i < 30 and i % 3 == 0]
    vectors = encoder.made.vectors
    np.testing.assert_allclose(vectors.means.numpy()[1], vectors.table.numpy()[tea].mean(axis=0), rtol=1e-5)
    unknown = query(1)
    assert not np.allclose(query(45), unknown)
    np.testing.assert_array_equal(query(45), query(30), "30 is tea that training never saw")
    np.testing.assert_array_equal(query(46), unknown)
    np.testing.assert_array_equal(query(47), unknown)
    np.testing.assert_array_equal(query(38), unknown, "38 has no category")
    np.testing.assert_array_equal(query(-2), unknown, "a number of a category is nobody's item")
    np.testing.assert_array_equal(query(45, on_shelf(scoring.load(encoder.path), EMPTY)), unknown)


def test_rules_and_exclusions_are_part_of_the_answer_whatever_the_model(encoder, paths):
    """Item 3 is blocked, 4 has twice its share, and each user is not shown what the column says."""
    boosts = np.zeros(SIZE, np.float32)
    boosts[[3, 4]] = -np.inf, np.log(1e4)
    shelf = Shelf(boosts, np.full(SIZE, -1, np.int32), ())
    users = [([3, 5], [1, 2], [2.0, 1.0]), ([5], [1], [1.0])]
    for path in (encoder.path, paths["frequency"]):
        plain = ids_of(users, path, k=30)
        ruled = ids_of(users, path, shelf, k=30, excluded=[[5, 6, 0], []])
        for before, after, hidden in zip(plain, ruled, [{"p3", "p5", "p6"}, {"p3"}], strict=True):
            left = [item for item in before["ids"] if item not in hidden and item != "p4"]
            assert [item for item in after["ids"] if item != "p4"][: len(left)] == left
            assert not hidden & set(after["ids"])
            assert after["ids"][0] == "p4"
    (bad, good) = ids_of(users, paths["frequency"], excluded=[None, [7]])
    assert (bad["ids"], bad["reason"]) == (None, "excluded is null")
    assert good["reason"] is None


def test_who_has_no_history_gets_what_is_best_for_everyone_and_that_is_said(encoder, paths):
    popular = [f"p{i}" for i in sorted(INDICES, key=lambda i: (-POPULARITY[i - 3], i))]
    users = [([], [], []), GOOD[:3], ([1], [1], [0.0])]
    nobody, somebody, _ = ids_of(users, paths["frequency"])
    assert (nobody["ids"], nobody["reason"]) == (popular[:K], NO_HISTORY)
    assert (somebody["ids"][0], somebody["reason"]) == ("p3", None)
    assert ids_of(users, encoder.path)[0]["ids"] == [f"p{i}" for i in range(3, 3 + K)], (
        "all alike: the lowest"
    )


def test_a_model_whose_vectors_are_no_numbers_is_refused(encoder, tmp_path):
    encoder.made.vectors.table.scatter_nd_update([[5]], [[np.nan] * 16])
    export(encoder.made, VOCABULARY, tmp_path / "broken", K)
    with pytest.raises(ValueError, match="is broken: not all of its item vectors are numbers"):
        scoring.load(str(tmp_path / "broken"))

"""Bulk scoring of Arrow batches: every user once, in order, and a bad row costs that user only."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from models import scoring
from models.baselines import fit
from models.export import export
from models.metrics import facts
from models.scoring import RANK_FACTS, TOP_K, chunks, rank_facts, top_k, unusable

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
    result = pa.Table.from_batches(top_k(iter([batch(users)]), paths["frequency"]))
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
    expected = pa.Table.from_batches(top_k(iter([whole]), paths["frequency"]))
    assert expected["reason"].null_count == 60
    many = [whole.slice(start, 7) for start in range(0, 60, 7)]
    assert pa.Table.from_batches(top_k(iter(many), paths["frequency"])).equals(expected)
    one = pa.Table.from_batches(top_k(iter([whole]), paths["frequency"], max_bytes=1))
    assert one.equals(expected)


def test_chunks_pad_to_powers_of_two_and_keep_to_the_memory():
    whole = batch([([3] * n, [1] * n, [0.0] * n) for n in (1, 32, 33, 64, 65, 5000)])
    most = 2 * (4 * scoring.COPIES * SIZE + 64 * scoring.EVENT_BYTES)  # room for two users of 64 events
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
        (([], [], [], [4]), "no events"),
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
    if "targets" not in reason:
        best = next(top_k(iter([batch([GOOD, bad, GOOD])]), paths["frequency"])).to_pylist()
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
    good, broken = next(top_k(iter([users]), str(tmp_path / "broken"))).to_pylist()
    assert good["ids"] == ["p3", "p4", "p5", "p6", "p7"] and good["reason"] is None
    assert broken["ids"] is None and broken["reason"] == "the model's scores are not numbers"
    with pytest.raises(ValueError, match="the model is broken"):
        next(rank_facts(iter([users]), {"broken": str(tmp_path / "broken")}, INDICES))


def test_a_missing_column_stops_everything(paths):
    with pytest.raises(ValueError, match="no column ages: expected user_id, items, sessions, ages"):
        list(top_k(iter([batch([GOOD[:2]])]), paths["frequency"]))


def test_an_empty_batch_and_no_batch(paths):
    assert list(top_k(iter([]), paths["frequency"])) == []
    assert [len(b) for b in top_k(iter([batch([GOOD]).slice(1)]), paths["frequency"])] == [0]


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

"""Item vectors in fewer bits: what is left of them, and that an export with them is one model throughout."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from conf.schema import Model, Task
from models.compact import FLOAT16, INT8, Compact
from models.export import export
from models.next_item import NextItemModel
from models.scoring import load
from models.warm_weights import begin

SIZE, WIDTH = 403, 16
WORDS = pa.table(
    {
        "item_index": pa.array(range(3, SIZE), pa.int32()),
        "item_id": [f"item-{n}" for n in range(3, SIZE)],
        "category": pa.array(["dairy", "bread", None, "drinks"] * 100, pa.string()),
    }
)
COUNTS = np.array([0, 0, 0, *([7, 2, 0, 4, 9] * 80)])  # a fifth of the items are new
HISTORY = {
    "items": np.array([[5, 9, 4, 30, 200, 0]], np.int32),  # of 5 nothing but its name is known
    "sessions": np.array([[1, 1, 2, 3, 5, 0]], np.int32),
    "ages": np.array([[9, 9, 6, 4, 1, 0]], np.float32),
}


def made(seed: int = 1, **changed) -> NextItemModel:
    choice = {"name": "sasrec", "width": WIDTH, "blocks": 1, "heads": 2} | changed
    model = NextItemModel(Model(**choice), Task(event_types=["buy"], length=6, positions=6), COUNTS, seed)
    model.vectors.table.assign(model.vectors.table * 3)
    return model


def test_a_row_is_kept_as_127_steps_of_its_largest_value():
    kept = Compact(np.array([[1.27, -0.5, 0.004], [0, 0, 0], [-254, 1, 3]], np.float32), INT8)
    assert kept.codes.numpy().tolist() == [[127, -50, 0], [0, 0, 0], [-127, 0, 2]]
    np.testing.assert_allclose(kept.scales, [0.01, 0, 2])
    np.testing.assert_allclose(kept.all(), [[1.27, -0.5, 0], [0, 0, 0], [-254, 0, 4]], rtol=1e-6)


@pytest.mark.parametrize(("kind", "within"), [(INT8, 0.5 / 127), (FLOAT16, 2**-11)])
def test_no_value_is_further_off_than_half_a_step_of_its_row(kind, within):
    rng = np.random.default_rng(3)
    values = (rng.standard_normal((200, 24)) * 10.0 ** rng.integers(-9, 9, (200, 1))).astype(np.float32)
    kept = Compact(values, kind)
    off = np.abs(kept.all().numpy() - values).max(axis=1) / np.abs(values).max(axis=1)
    assert off.max() <= within * 1.001
    places = np.array([[4, 0], [7, 7]])
    np.testing.assert_array_equal(kept.rows(places), kept.all().numpy()[places])


@pytest.mark.parametrize("temperature", [None, 0.2])
@pytest.mark.parametrize("kind", [INT8, FLOAT16])
def test_all_that_is_exported_answers_by_the_same_vectors(tmp_path, kind, temperature):
    model = made(temperature=temperature)
    model.vectors.keep_as(kind)
    export(model, WORDS, tmp_path / kind, k=5)
    loaded, history = load(str(tmp_path / kind)), tuple(tf.constant(each) for each in HISTORY.values())
    scores = loaded.scores(HISTORY)
    np.testing.assert_allclose(scores[:, 3:], model.score(*history)[:, 3:], rtol=1e-5, atol=1e-5)
    assert loaded.queries is not None and loaded.vectors is not None and loaded.explain is not None
    products = loaded.queries(HISTORY) @ loaded.vectors.T + loaded.bias
    np.testing.assert_allclose(products[:, 3:], scores[:, 3:], rtol=1e-4, atol=1e-5)
    told = loaded.explain(**HISTORY, target=np.array([9], np.int32), steps=np.int32(8))
    np.testing.assert_allclose(told["score"], scores[:, 9], rtol=1e-4)
    model.vectors.keep_as("float32")
    exact = model.score(*history).numpy()[:, 3:]
    assert 0 < np.abs(scores[:, 3:] - exact).max() < (0.2 if kind == INT8 else 0.02)


def test_the_table_of_an_export_takes_a_quarter_of_the_room(tmp_path):
    sizes = {}
    for kind in ("float32", FLOAT16, INT8):
        model = made(width=64)
        model.vectors.keep_as(kind)
        export(model, WORDS, tmp_path / kind, k=5)
        sizes[kind] = next((tmp_path / kind / "variables").glob("*.data*")).stat().st_size
    table = SIZE * 64
    assert sizes["float32"] - sizes[FLOAT16] == pytest.approx(2 * table - 4 * SIZE, abs=200)
    assert sizes["float32"] - sizes[INT8] == pytest.approx(3 * table - 4 * SIZE, abs=200)


def test_a_training_begins_from_the_vectors_of_such_an_export(tmp_path):
    old, new = made(seed=1), made(seed=2)
    old.vectors.keep_as(INT8)
    export(old, WORDS, tmp_path / "old", k=5)
    begin(new, str(tmp_path / "old"), WORDS)
    is_known = COUNTS > 0
    np.testing.assert_allclose(new.vectors.table.numpy()[is_known], old.vectors.matrix().numpy()[is_known])
    np.testing.assert_array_equal(new.encoder.trainable_variables[0], old.encoder.trainable_variables[0])

"""An exported ranker: what its signatures say, and that it needs nothing of ours."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from models.baselines import fit
from models.export import export

SIZE = 12
INDICES = np.array([3, 4, 5, 6, 7, 8, 9, 11])  # 10 is an item of later days: no part of the vocabulary
VOCABULARY = pa.table({"item_index": INDICES, "item_id": [f"p{i}" for i in INDICES[:-1]] + ["größe"]})
POPULARITY = np.array([5, 9, 5, 2, 2, 1, 1, 3])


class Network(tf.Module):
    """A ranker with a Keras model inside, as the encoders are: a sum of item vectors, over all items."""

    def __init__(self, size: int = SIZE):
        super().__init__()
        self.vocabulary_size = size
        self.network = tf.keras.Sequential(
            [tf.keras.layers.Embedding(size, 4), tf.keras.layers.Lambda(lambda x: tf.reduce_sum(x, 1))]
        )
        self.network.add(tf.keras.layers.Dense(size))

    def score(self, items, sessions, ages):
        return self.network(items)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("exported") / "frequency"
    export(fit("frequency", SIZE, INDICES, POPULARITY), VOCABULARY, directory, k=4)
    return directory


@pytest.fixture(scope="module")
def model(directory):
    return tf.saved_model.load(str(directory))


def run(model, signature, items, sessions=None):
    sessions = np.ones(np.shape(items)) if sessions is None else sessions
    name, dtype = ("item_ids", tf.string) if signature == "by_id" else ("items", tf.int32)
    result = model.signatures[signature](
        **{name: tf.constant(items, dtype)},
        sessions=tf.constant(sessions, tf.int32),
        ages=tf.zeros(np.shape(items)),
    )
    return {key: value.numpy() for key, value in result.items()}


def test_the_whole_vocabulary_reads_the_same_by_id_and_by_index(model):
    """One user an item, who bought that item alone: it comes first, whichever way it was said."""
    by_index = run(model, "by_index", INDICES[:, None])
    by_id = run(model, "by_id", [[item_id] for item_id in VOCABULARY["item_id"].to_pylist()])
    assert by_index["indices"][:, 0].tolist() == INDICES.tolist()
    ids = model.item_ids.numpy()
    np.testing.assert_array_equal(ids[by_index["indices"]], by_id["ids"])
    np.testing.assert_array_equal(by_index["scores"], by_id["scores"])
    assert [item_id.decode() for item_id in by_id["ids"][:, 0]] == VOCABULARY["item_id"].to_pylist()


def test_the_best_come_first_and_among_equals_the_lower_index(model):
    result = run(model, "by_index", [[9, 7, 7, 0]], [[1, 1, 2, 0]])
    assert result["indices"].tolist() == [
        [7, 9, 4, 3]
    ]  # bought twice, once, then by popularity 9, 5 (5 waits)
    np.testing.assert_allclose(result["scores"], [[2, 1, -1 / 10, -1 / 6]], rtol=1e-6)
    assert result["indices"].dtype == np.int32 and result["scores"].dtype == np.float32


def test_scores_are_the_rankers_own_over_the_vocabulary(model):
    scores = run(model, "scores", [[5, 5]])["scores"]
    assert scores.shape == (1, SIZE)
    assert np.isneginf(scores[0, [0, 1, 2, 10]]).all()
    assert np.isfinite(scores[0, INDICES]).all()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Another model, to which the special indices make a difference too."""
    directory = tmp_path_factory.mktemp("exported") / "network"
    export(Network(), VOCABULARY, directory, k=4)
    return tf.saved_model.load(str(directory))


@pytest.mark.parametrize("item", [10, 12, 5000, -1])
def test_an_index_outside_the_vocabulary_reads_as_unknown(network, item):
    unknown = run(network, "scores", [[1, 4]])["scores"]
    np.testing.assert_array_equal(run(network, "scores", [[item, 4]])["scores"], unknown)


@pytest.mark.parametrize("item", [0, 2, 3, 11])
def test_any_other_index_does_not(network, item):
    assert not np.array_equal(
        run(network, "scores", [[item, 4]])["scores"], run(network, "scores", [[1, 4]])["scores"]
    )


def test_an_unknown_id_reads_as_unknown_and_an_empty_one_as_padding(network):
    by_id = run(network, "by_id", [["p4", "never heard of", "", "größe"]])
    np.testing.assert_array_equal(by_id["scores"], run(network, "by_index", [[4, 1, 0, 11]])["scores"])


def test_a_history_may_have_any_length_and_a_batch_any_size(model):
    rng = np.random.default_rng(0)
    for batch, length in (1, 1), (3, 700), (2, 8192), (0, 5), (2, 0):
        result = run(model, "by_index", rng.integers(0, SIZE, (batch, length)))
        assert result["indices"].shape == (batch, 4)


@pytest.mark.parametrize("k", [8, 9, 30])
def test_more_predictions_than_items_are_filled_with_padding(tmp_path, k):
    export(fit("popularity", SIZE, INDICES, POPULARITY), VOCABULARY, tmp_path / "model", k)
    model = tf.saved_model.load(str(tmp_path / "model"))
    result = run(model, "by_id", [["p3"]])
    ranking = [b"p4", b"p3", b"p5", "größe".encode(), b"p6", b"p7", b"p8", b"p9"]
    assert result["ids"].tolist() == [ranking + [b""] * (k - 8)]
    assert np.isneginf(result["scores"][0, 8:]).all() and np.isfinite(result["scores"][0, :8]).all()


def test_a_keras_models_scores_are_kept_exactly(tmp_path):
    ranker = Network()
    items = np.random.default_rng(0).choice([0, 1, 2, *INDICES], (5, 9)).astype(np.int32)
    export(ranker, VOCABULARY, tmp_path / "model", k=4)
    scores = run(tf.saved_model.load(str(tmp_path / "model")), "scores", items)["scores"]
    np.testing.assert_allclose(
        scores[:, INDICES], ranker.score(items, None, None).numpy()[:, INDICES], rtol=1e-6
    )


def operations(directory):
    """The names of all operations in the graph and in its functions."""
    saved = SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    functions = [node for function in graph.library.function for node in function.node_def]
    return {node.op for node in [*graph.node, *functions]}


def test_a_model_trained_with_horovods_optimizer_leaves_nothing_of_it(tmp_path, monkeypatch):
    import horovod.tensorflow.keras as hvd

    monkeypatch.setenv("HOROVOD_ELASTIC", "1")  # else a world of one rank has no allreduce to leave behind
    hvd.init()
    ranker = Network()
    optimizer = hvd.DistributedOptimizer(tf.keras.optimizers.Adam(0.1))
    ranker.network.compile(optimizer, tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    ranker.network.fit(np.ones((4, 3), np.int32), np.full(4, 3), verbose=0)
    ranker.network.save(tmp_path / "keras")  # how it would be there
    assert "HorovodAllreduce" in operations(tmp_path / "keras")
    export(ranker, VOCABULARY, tmp_path / "model", k=4)
    assert not [name for name in operations(tmp_path / "model") if "Horovod" in name]
    variables = tf.train.list_variables(str(tmp_path / "model" / "variables" / "variables"))
    assert not [name for name, _ in variables if "optimizer" in name or "moment" in name.lower()]


ELSEWHERE = """
import json, sys
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
history = {"item_ids": tf.constant([["p9"]]), "sessions": tf.constant([[1]]), "ages": tf.zeros([1, 1])}
best = model.signatures["by_id"](**history)
ours = [name for name in sys.modules if name.split(".")[0] in ("models", "horovod", "features", "conf")]
print(json.dumps([[i.decode() for i in best["ids"].numpy()[0]], ours]))
"""


def test_it_loads_in_a_process_without_horovod_and_without_our_code(directory, tmp_path):
    output = subprocess.run(
        [sys.executable, "-I", "-c", ELSEWHERE, str(directory)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(output.stdout.splitlines()[-1]) == [["p9", "p4", "p3", "p5"], []]


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ({"item_index": [3, 12], "item_id": ["a", "b"]}, "item_index 12 is no item .* expected 3 to 11"),
        ({"item_index": [2], "item_id": ["a"]}, "item_index 2 is no item"),
        ({"item_index": [3, 4], "item_id": ["a", "a"]}, "item_id has a value twice"),
        ({"item_index": [3, 3], "item_id": ["a", "b"]}, "item_index has a value twice"),
        ({"item_index": [3], "item_id": [""]}, "stands for padding"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused(tmp_path, vocabulary, message):
    with pytest.raises(ValueError, match=message):
        export(fit("popularity", SIZE, INDICES, POPULARITY), vocabulary, tmp_path / "model", k=4)


def test_nothing_is_overwritten(directory):
    with pytest.raises(FileExistsError, match="expected a new or an empty folder"):
        export(fit("popularity", SIZE, INDICES, POPULARITY), VOCABULARY, directory, k=4)


def test_k_below_one_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"task\.k must be >= 1, got 0"):
        export(fit("popularity", SIZE, INDICES, POPULARITY), VOCABULARY, tmp_path / "model", k=0)

"""Fine-tuning: what is kept, what adapters change, and which users a share has."""

import hashlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import horovod.tensorflow as hvd
import numpy as np
import pytest
import tensorflow as tf

from conf.schema import Config, Model
from models.adapters import PROJECTIONS, adapt, merge
from models.encoders import make_encoder
from models.example_set import ExampleSet, ExampleSetError
from models.export import export, named_variables
from models.few import counted, few, is_chosen
from models.labelled import LabelledModel
from models.next_item import NextItemModel
from models.train import train
from models.trained import FineTuned, Labelled
from models.warm_start import WarmStartError
from models.warm_weights import Begun, begin_encoder
from tests.models.example_sets import LENGTH, POSITIONS
from tests.models.labelled_cases import SPLITS, conf_of, example_set

SMALL = ["model=sasrec", "model.width=8", "model.blocks=1", "train.epochs=1"]


@pytest.fixture(scope="module", autouse=True)
def one_rank() -> None:
    hvd.init()


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> ExampleSet:
    return example_set(tmp_path_factory.mktemp("fine_tuning"), "binary")


def tuned(examples: ExampleSet, *more: str) -> tuple[Config, FineTuned]:
    conf = conf_of("binary", *SMALL, "step=finetune", *more)
    return conf, FineTuned(conf, conf.task, examples)


def of_encoder(model: LabelledModel) -> dict[str, np.ndarray]:
    """The item vectors and the encoder, without adapters, by name."""
    named = {name: variable.numpy() for name, variable in named_variables(model).items()}
    ours = {n: x for n, x in named.items() if n.startswith("encoder.") or n == "vectors.table"}
    return {n.replace(".dense.", "."): x for n, x in ours.items() if not n.endswith((".down", ".up"))}


@pytest.mark.parametrize("mode", [pytest.param("full", marks=pytest.mark.long), "frozen", "adapters"])
def test_a_training_changes_what_its_mode_lets_it_and_keeps_the_rest_bit_for_bit(examples, mode, tmp_path):
    conf, kind = tuned(examples, f"finetune.mode={mode}", "finetune.rank=2")
    model = kind.model
    before = of_encoder(model)
    last, added = (
        model.last.get_weights(),
        [v for v in model.variables if "down" in v.name or "up:" in v.name],
    )
    train(model, examples, conf.train, kind.metric, **kind.judged)
    after = of_encoder(model)
    assert before.keys() == after.keys()
    is_same = all(np.array_equal(before[name], after[name]) for name in before)
    assert is_same == (mode != "full")
    assert not np.array_equal(last[0], model.last.get_weights()[0]), "the head learns in any mode"
    assert len(added) == (2 * len(PROJECTIONS) if mode == "adapters" else 0)
    if mode != "adapters":
        return
    items, sessions = tf.constant([[3, 4, 5], [6, 0, 0]]), tf.constant([[1, 2, 2], [1, 0, 0]])
    said = model.outputs(items, sessions, tf.ones((2, 3)), tf.zeros((2, 1)), None)
    kind.export(tmp_path / "model")
    np.testing.assert_allclose(
        model.outputs(items, sessions, tf.ones((2, 3)), tf.zeros((2, 1)), None), said, rtol=1e-5, atol=1e-6
    )
    plain = Labelled(conf, conf.task, examples).model
    assert named_variables(model).keys() - {"questions.0.calibration.line"} == named_variables(plain).keys()


@pytest.mark.parametrize("name", ["sasrec", "bert4rec"])
def test_merged_adapters_are_the_updates_they_stood_for(name):
    described = Model(name=name, width=8, blocks=2, norm="post" if name == "bert4rec" else "pre")
    encoder = make_encoder(described, POSITIONS)
    rng = np.random.default_rng(3)
    x, taken = (
        tf.constant(rng.normal(size=(3, POSITIONS, 8)), tf.float32),
        tf.sequence_mask([4, 2, 1], POSITIONS),
    )
    before = encoder(x, taken)
    adapt(encoder, rank=2)
    np.testing.assert_allclose(encoder(x, taken), before, atol=1e-6, err_msg="nothing is learnt yet")
    kernels = {}
    for block in encoder.blocks:
        for each in PROJECTIONS:
            layer = getattr(block, each)
            layer.up.assign(rng.normal(size=layer.up.shape))
            whole = layer.dense.kernel.numpy() + layer.down.numpy() @ layer.up.numpy()
            kernels[block.name, each] = whole
    changed = encoder(x, taken)
    assert np.abs(changed - before).max() > 1e-2
    merge(encoder)
    for block in encoder.blocks:
        for each in PROJECTIONS:
            np.testing.assert_allclose(getattr(block, each).kernel, kernels[block.name, each], atol=1e-6)
    np.testing.assert_allclose(encoder(x, taken), changed, atol=1e-5)


def pretrained(examples: ExampleSet, folder: Path, positions: int = POSITIONS) -> tuple[NextItemModel, str]:
    """An encoder that is exported, of weights as no new one has them; its items have other indices."""
    conf = conf_of("binary", *SMALL)
    size = examples.vocabulary_size
    counts = np.where(np.arange(size) < 3, 0, 5)
    model = NextItemModel(conf.model, replace(conf.task, label=None, positions=positions), counts, seed=9)
    rng = np.random.default_rng(4)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    index = np.arange(3, size)
    words = {"item_index": index, "item_id": [f"item-{n}" for n in index[::-1]]}
    export(model, words, folder, k=3)
    return model, str(folder)


def test_an_encoder_begins_with_what_was_pretrained_and_its_items_by_their_id(examples, tmp_path):
    old, saved = pretrained(examples, tmp_path / "old", positions=POSITIONS + 2)
    conf = conf_of("binary", *SMALL, "step=finetune", f"finetune.positions={POSITIONS + 2}")
    model = Labelled(conf, conf.task, examples).model
    assert model.positions == POSITIONS
    adapt(model.encoder, rank=2)
    known = examples.vocabulary_size - 3
    assert begin_encoder(model, saved, examples.vocabulary) == Begun(known, 0, 0)
    np.testing.assert_array_equal(model.vectors.table[3:], old.vectors.table.numpy()[:2:-1])
    items = tf.constant([[3, 4, 5, 6]])
    mirrored, sessions = 2 + examples.vocabulary_size - items, tf.constant([[1, 1, 2, 3]])
    seen, lasts = [], (old.query(mirrored, sessions, tf.zeros((1, 4))).numpy(),)
    model.last.call = lambda x: seen.append(x.numpy()) or x
    model.outputs(items, sessions, tf.zeros((1, 3)), tf.zeros((1, 1)), None)
    np.testing.assert_allclose(seen[0][:, :8], lasts[0], rtol=1e-5)


def test_an_encoder_of_another_width_is_refused_by_name(examples, tmp_path):
    _, saved = pretrained(examples, tmp_path / "old")
    conf = conf_of("binary", *SMALL, "model.width=16")
    with pytest.raises(WarmStartError, match=r"give its model.name.*or begin without: finetune.encoder=none"):
        begin_encoder(Labelled(conf, conf.task, examples).model, saved, examples.vocabulary)


def test_users_of_a_smaller_share_are_among_those_of_a_larger_one():
    digests = [hashlib.sha256(f"user {n}".encode()).digest()[:8] for n in range(20_000)]
    users = np.frombuffer(b"".join(digests), "<i8")
    chosen = [is_chosen(users, share) for share in (0.01, 0.05, 0.2, 1.0)]
    for few_of, more in pairwise(chosen):
        assert not (few_of & ~more).any()
    np.testing.assert_allclose([each.mean() for each in chosen], [0.01, 0.05, 0.2, 1.0], rtol=0.15)


def test_a_share_of_the_users_is_trained_and_validated_on_and_all_are_tested(examples, tmp_path):
    assert few(examples, 1.0, tmp_path) is examples
    found = few(examples, 0.2, tmp_path)
    assert found.splits["test"] == examples.splits["test"]
    counts = counted(found)
    assert counts["train_users"] == counts["train_rows"]
    assert 0.1 < counts["train_rows"] / SPLITS["train"] < 0.3
    assert 0 < counts["train_positives"] < counts["train_rows"]
    assert counted(examples)["validation_rows"] == SPLITS["validation"]
    conf = conf_of("binary", *SMALL)
    kind = Labelled(conf, conf.task, found)
    assert (
        train(kind.model, found, conf.train, kind.metric, **kind.judged).best.rows_seen
        == counts["train_rows"]
    )
    with pytest.raises(
        ExampleSetError, match="leaves no row of train and validation of 300, expected some: set fine"
    ):
        few(examples, 1e-9, tmp_path)
    older = replace(
        examples, spec={**examples.spec, "columns": {"items": {"dtype": "int32", "length": LENGTH}}}
    )
    with pytest.raises(ExampleSetError, match="has no column users"):
        few(older, 0.5, tmp_path)

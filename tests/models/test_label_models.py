"""Models of tasks with labels: trained by the loop of all models, exported, and judged beside their baselines."""

from pathlib import Path

import horovod.tensorflow as hvd
import numpy as np
import pytest
import tensorflow as tf

from models.answers import answers
from models.example_set import ExampleSet
from models.export_labelled import export_labelled
from models.inputs import rows_of_split
from models.judging_labels import exported, said_of
from models.label_baselines import fit
from models.label_metrics import compared
from models.labelled import Alone
from models.train import train
from models.trained import Labelled
from tests.models.example_sets import LENGTH
from tests.models.horovodrun import assert_ranks_learn_alike
from tests.models.labelled_cases import CASES, conf_of, example_set, several_set


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=() if c == "two targets" else pytest.mark.long) for c in CASES]
)
def test_a_model_beats_the_baseline_that_knows_less_and_answers_alike_when_it_is_exported(tmp_path, case):
    hvd.init()
    conf, examples = conf_of(case), example_set(tmp_path, case)
    label, spec = conf.task.label, dict(examples.spec)
    kind = Labelled(conf, conf.task, examples)
    outcome = train(kind.model, examples, conf.train, kind.metric, **kind.judged)
    found = [epoch.metrics[kind.metric] for epoch in outcome.epochs]
    assert outcome.best.metrics[kind.metric] == (min if kind.judged["least_is_best"] else max)(found)
    kind.export(tmp_path / "model")
    baseline = fit(
        label.baseline, label.head, examples.vocabulary_size, answers(examples, "train"), len(CASES[case][1])
    )
    export_labelled(baseline, examples.vocabulary, spec, tmp_path / "naive")
    said = {name: said_of(exported(str(tmp_path / name)), examples, "test") for name in ("naive", "model")}
    _, labels, weights = said["naive"]
    values = {name: each[0] for name, each in said.items()}
    (metric, *_), metrics = label.metrics, label.metrics
    difference = compared(metrics, labels, weights, values, 100, 0.95, seed=1)["model"][metric].difference
    assert (difference.high < 0) if kind.judged["least_is_best"] else (difference.low > 0)
    assert (kind.model.questions[0].calibration is None) == (label.calibration == "none")
    assert_answers_by_id(tmp_path / "model", examples)


def assert_answers_by_id(folder: Path, examples: ExampleSet) -> None:
    """Of raw ids a model says what it says of indices; what it never saw is unknown; padding changes nothing."""
    model = tf.saved_model.load(str(folder))
    targets = examples.lengths()["labels"][1]
    rest = {
        "ages": tf.zeros((1, 3)),
        "features": tf.ones((1, 3)),
        "naive": tf.zeros((1, targets)),
        "sessions": tf.constant([[1, 2, 2]]),
    }
    ids = model.signatures["by_id"](item_ids=tf.constant([["item-4", "item-5", "who"]]), **rest)
    by_index = model.signatures["by_index"](items=tf.constant([[4, 5, 1]]), **rest)
    for name, values in ids.items():
        np.testing.assert_array_equal(values, by_index[name])
    wider = {name: tf.pad(x, [[0, 0], [0, 4]]) for name, x in rest.items() if name in ("ages", "sessions")}
    padded = model.signatures["by_index"](items=tf.constant([[4, 5, 1, 0, 0, 0, 0]]), **(rest | wider))
    np.testing.assert_allclose(padded["value"], ids["value"], rtol=1e-5)
    assert [n.decode() for n in model.names.numpy()] == examples.spec["label"]["names"]


def test_rows_without_an_answer_and_rows_that_fill_up_teach_nothing(tmp_path):
    hvd.init()
    conf, examples = conf_of("two targets"), example_set(tmp_path, "two targets")
    model = Labelled(conf, conf.task, examples).model
    rng = np.random.default_rng(1)
    batch = {
        "items": tf.constant(rng.integers(3, 9, (3, LENGTH)), tf.int32),
        "sessions": tf.ones((3, LENGTH), tf.int32),
        "features": tf.constant(rng.normal(size=(3, 3)), tf.float32),
        "naive": tf.constant(rng.exponential(size=(3, 2)), tf.float32),
        "labels": tf.constant([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
        "label_weights": tf.constant([[1.0, 0.0], [2.0, 1.0], [1.0, 1.0]]),
        "weights": tf.constant([1.0, 1.0, 0.0]),
    }
    total, weight = model.batch_loss(batch, None, None)
    outputs = model.outputs_of(batch)
    losses = model.questions[0].head.loss(outputs, batch["labels"]).numpy()
    assert float(weight) == 4
    assert float(total) == pytest.approx(losses[0, 0] + 2 * losses[1, 0] + losses[1, 1], rel=1e-5)


def test_several_tasks_have_each_its_columns_and_weigh_alike(tmp_path):
    hvd.init()
    conf, examples = conf_of("several"), several_set(tmp_path)
    model = Labelled(conf, conf.task, examples).model
    batch = next(iter(rows_of_split(examples, "train", 4)))
    outputs, labels = model.outputs_of(batch), batch["labels"]
    both = [q.head.loss(*each) for q, *each in zip(
        model.questions, model.apart(outputs), model.by_question(labels), strict=True
    )]  # fmt: skip
    sums = [float(tf.reduce_sum(tf.reduce_mean(each, axis=1))) for each in both]
    assert [each.shape[1] for each in both] == [2, 1], "two categories, one amount"
    total, weight = model.batch_loss(batch, None, None)
    assert float(total) == pytest.approx(sum(sums), rel=1e-5)
    assert float(weight) == 4 * 2
    parts = model.task_losses(batch, None)
    assert [float(part.total) for part in parts] == pytest.approx(sums, rel=1e-5)
    alone = Alone(model, 1).predict(
        batch["items"], batch["sessions"], batch["features"], batch["naive"][:, 2:]
    )
    np.testing.assert_allclose(
        alone["value"], model.questions[1].head.predict(model.apart(outputs)[1])["value"], rtol=1e-6
    )


def test_features_are_crossed_as_in_dcn_v2():
    from models.tower import Cross

    cross, x, first = Cross(), tf.constant([[1.0, 2.0]]), tf.constant([[3.0, -1.0]])
    np.testing.assert_array_equal(cross(x, first), x)  # nothing is crossed before anything is learnt
    cross.mixed.set_weights([np.array([[1.0, 0.0], [2.0, 1.0]]), np.array([0.5, 0.0])])
    np.testing.assert_allclose(cross(x, first), [[3 * (1 + 4 + 0.5) + 1, -1 * 2 + 2]])


@pytest.mark.long
@pytest.mark.parametrize("case", ["several", "surgery"])
def test_ranks_learn_several_tasks_as_one_rank_does(tmp_path, case):
    path = several_set(tmp_path).path
    assert_ranks_learn_alike(path, tmp_path, case)


@pytest.mark.long
def test_ranks_with_parts_of_a_batch_learn_what_one_rank_learns_and_judge_alike(tmp_path):
    path = example_set(tmp_path, "two targets").path
    assert_ranks_learn_alike(path, tmp_path, "labels")

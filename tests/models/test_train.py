import os
import subprocess
import sys
from pathlib import Path

import horovod.tensorflow as hvd
import numpy as np
import pytest
import tensorflow as tf

from conf.schema import Model, Task, Train
from models.example_set import open_example_set
from models.listening import Listener, Several, Step
from models.next_item import NextItemModel
from models.shards import checksum
from models.train import TrainingError, check_rows, cores_of, train, validate
from tests.models.example_sets import LENGTH, POSITIONS, random_example_set
from tests.models.horovodrun import ROOT, horovodrun
from tests.models.train_rank import CASES

TRAIN_FILES = [5, 1, 4, 3]  # 13 rows: no two ranks can have the same number


@pytest.fixture(scope="module")
def examples_path(tmp_path_factory) -> str:
    return random_example_set(
        tmp_path_factory.mktemp("examples") / "set", train=TRAIN_FILES, validation=[3, 2]
    )


@pytest.fixture(scope="module")
def trained(examples_path, tmp_path_factory):
    """What each rank of a training left: 50 epochs of one step with all 13 rows, over 1, 2 or 3 ranks."""

    def run(ranks: int, case: str) -> list[dict[str, np.ndarray]]:
        if (ranks, case) not in done:
            out = tmp_path_factory.mktemp(f"{case}-{ranks}-ranks")
            program = ("-m", "tests.models.train_rank", examples_path, str(out), case)
            ended = horovodrun(ranks, *program)
            assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
            done[ranks, case] = [dict(np.load(out / f"{rank}.npz")) for rank in range(ranks)]
        return done[ranks, case]

    done: dict[tuple[int, str], list[dict[str, np.ndarray]]] = {}
    return run


def weights(rank: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [value for name, value in sorted(rank.items()) if name.startswith("arr_")]


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_every_row_is_read_exactly_once_an_epoch_however_many_ranks(examples_path, trained, ranks):
    files = open_example_set(examples_path).files("train")
    results = trained(ranks, "sgd")
    read = [result["row_ids"].tolist() for result in results]
    assert sorted(i for ids in read for i in ids) == sorted(
        f.first_row_id + i for f in files for i in range(f.rows)
    )
    assert sorted(map(len, read)) == {1: [13], 2: [6, 7], 3: [4, 4, 5]}[ranks]
    assert all(result["rows"].tolist() == [[13, 13]] * 50 for result in results)


def test_the_cores_of_a_host_are_shared_out_among_its_ranks():
    shared = [[list(cores_of(range(5), rank, ranks)) for rank in range(ranks)] for ranks in (1, 2, 5)]
    assert shared == [[[0, 1, 2, 3, 4]], [[0, 1], [2, 3, 4]], [[0], [1], [2], [3], [4]]]
    assert [list(cores_of([4, 7], rank, 3)) for rank in range(3)] == [[4], [4], [7]], "more ranks than cores"


def test_each_thread_of_a_rank_keeps_to_its_cores(trained):
    all_cores = sorted(os.sched_getaffinity(0))
    for ranks in (1, 2):
        for rank, left in enumerate(trained(ranks, "sgd")):
            assert {tuple(each) for each in left["cores"].tolist()} == {
                tuple(cores_of(all_cores, rank, ranks))
            }


USUAL = ("sgd", "lazy adam")
EXACT = (
    "sgd",
    "lazy sgd",
    "dense adam",
    "lazy adam",
    "uniform gru",
    "softmax",
    "bsarec",
    "bert4rec",
    "hstu",
    "repeat",
)


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case in USUAL else pytest.mark.long) for case in EXACT]
)
@pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.long)])
def test_ranks_with_parts_of_a_batch_learn_what_one_rank_learns_with_the_whole(trained, ranks, case):
    (alone,), together = trained(1, case), trained(ranks, case)
    for rank in together:
        for one, other in zip(weights(alone), weights(rank), strict=True):
            np.testing.assert_allclose(one, other, atol=CASES[case].tolerance)
        np.testing.assert_allclose(alone["logits"], rank["logits"], atol=1e-4)
        np.testing.assert_allclose(alone["losses"], rank["losses"], rtol=1e-4)
    assert alone["losses"][-1] < 0.9 * alone["losses"][0]


@pytest.mark.long
@pytest.mark.parametrize("case", ["lazy adam", "dense adam"])
def test_a_batch_in_parts_teaches_what_it_teaches_whole(trained, case):
    (whole,), (parted,) = trained(1, case), trained(1, f"{case} in parts")
    for one, other in zip(weights(whole), weights(parted), strict=True):
        np.testing.assert_allclose(one, other, atol=CASES[case].tolerance)


@pytest.mark.long
def test_gradients_of_16_bits_teach_nearly_the_same(trained):
    exact, halved = trained(2, "sgd")[0], trained(2, "sgd of 16 bits")[0]
    assert not np.array_equal(exact["losses"], halved["losses"])
    np.testing.assert_allclose(exact["losses"], halved["losses"], rtol=5e-3)


@pytest.fixture
def alone():
    """This process as the only rank."""
    hvd.init()
    tf.keras.utils.set_random_seed(1)


def small(examples, name: str, **changes) -> NextItemModel:
    model = Model(name=name, width=16, blocks=1, dropout=0.1, **changes)
    task = Task(event_types=["purchase"], length=LENGTH, positions=POSITIONS)
    return NextItemModel(model, task, examples.counts("validation_sessions"), seed=1)


@pytest.mark.parametrize(("name", "loss"), [("gru", "sampled_softmax"), ("sasrec", "softmax")])
def test_a_model_learns_what_there_is_to_learn(alone, tmp_path, name, loss):
    examples = open_example_set(
        random_example_set(tmp_path / "set", train=[60, 70], validation=[50], items=40)
    )
    settings = Train(batch_size=16, epochs=12, patience=12, learning_rate=1e-2, warmup_steps=5)
    epochs = train(small(examples, name, loss=loss, negatives=20), examples, settings, "ndcg@10").epochs
    assert epochs[-1].loss < 0.6 * epochs[0].loss
    assert max(e.metrics["ndcg@10"] for e in epochs) > max(0.8, epochs[0].metrics["ndcg@10"] + 0.03)


def test_training_stops_after_patience_and_keeps_the_best_weights(alone, tmp_path):
    examples = open_example_set(random_example_set(tmp_path / "set", train=[20], validation=[10]))
    model = small(examples, "gru")
    kept = []

    class Keeper(Listener):
        def ended(self, epoch):
            kept.append([v.numpy() for v in model.trainable_variables])

    outcome = train(
        model,
        examples,
        Train(batch_size=16, epochs=30, patience=2, learning_rate=0.3, warmup_steps=1),
        "ndcg@10",
        Keeper(),
    )
    assert len(outcome.epochs) < 30
    assert outcome.best.number == len(outcome.epochs) - 2
    assert outcome.best.metrics["ndcg@10"] == max(e.metrics["ndcg@10"] for e in outcome.epochs)
    for variable, best in zip(model.trainable_variables, kept[outcome.best.number - 1], strict=True):
        np.testing.assert_array_equal(variable, best)


def test_the_averages_of_the_weights_are_judged_and_kept(alone, tmp_path):
    examples = open_example_set(random_example_set(tmp_path / "set", train=[20], validation=[10]))
    model, settings = small(examples, "gru"), Train(batch_size=10, epochs=1, average=0.6, clip_norm=1e9)
    average = [variable.numpy() for variable in model.trainable_variables]
    optimizer = tf.keras.optimizers.legacy.SGD(0.1)
    after: list[list[np.ndarray]] = []

    class Keeper(Listener):
        def stepped(self, step):
            after.append([variable.numpy() for variable in model.trainable_variables])

    outcome = train(model, examples, settings, "ndcg@10", Keeper(), optimizer=optimizer)
    for step, weights_then in enumerate(after):
        kept = min(0.6, (step + 1) / (step + 10))
        average = [kept * a + (1 - kept) * w for a, w in zip(average, weights_then, strict=True)]
    assert len(after) == 2
    kept_ones = [variable.numpy() for variable in model.trainable_variables]
    for found, expected in zip(kept_ones, average, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert any(np.abs(kept - last).max() > 1e-4 for kept, last in zip(kept_ones, after[-1], strict=True))
    assert validate(tf.function(model.score), examples) == outcome.best.metrics


class Notes(Listener):
    """What a training said, in its order."""

    def __init__(self):
        self.said = []

    def started(self, course, model, optimizer):
        self.said.append(("started", course.resumed))

    def at(self, doing, with_others=False):
        if not doing.startswith("judging"):
            self.said.append((doing, with_others))

    def stepped(self, step):
        self.said.append(step)

    def ended(self, epoch):
        self.said.append(("ended", epoch.number))


def test_every_listener_is_told_each_step_with_its_numbers(alone, examples_path):
    one, other = Notes(), Notes()
    examples = open_example_set(examples_path)
    settings = Train(batch_size=8, epochs=2, patience=2)
    outcome = train(small(examples, "gru"), examples, settings, "ndcg@10", Several(one, other))
    assert one.said == other.said
    steps = [said for said in one.said if isinstance(said, Step)]
    assert [said for said in one.said if not isinstance(said, Step)] == [
        ("started", 0),
        *(
            said
            for epoch in (1, 2)
            for said in (
                (f"taking step 1 of epoch {epoch}", True),
                (f"waiting for the rows of step 2 of epoch {epoch}", False),
                (f"taking step 2 of epoch {epoch}", True),
                (f"waiting for the rows of step 3 of epoch {epoch}", False),
                ("ended", epoch),
            )
        ),
    ]
    assert [(s.epoch, s.number, s.steps, s.of_all, s.rows) for s in steps] == [
        (1, 1, 2, 1, 8),
        (1, 2, 2, 2, 8),
        (2, 1, 2, 3, 8),
        (2, 2, 2, 4, 8),
    ]
    assert all(0 < s.waited < s.seconds for s in steps)
    assert all(np.isfinite(s.loss) and float(s.taken.norm) > 0 for s in steps)
    total = sum(float(s.taken.total) for s in steps[:2])
    assert outcome.epochs[0].loss == pytest.approx(total / sum(float(s.taken.weight) for s in steps[:2]))


def test_rows_that_are_lost_or_read_twice_stop_the_training(alone, examples_path):
    files = open_example_set(examples_path).files("train")
    total = checksum(files)
    assert check_rows(files, 1, 13, total) == 13
    with pytest.raises(TrainingError, match=f"epoch 4 read 12 rows .* {total - 7}, expected 13 and {total}"):
        check_rows(files, 4, 12, total - 7)
    with pytest.raises(TrainingError, match="read 13 rows"):
        check_rows(files, 4, 13, total + 1)


@pytest.mark.parametrize("padding", [0, 5])
def test_a_model_scores_histories_of_any_length(alone, examples_path, padding):
    model = small(open_example_set(examples_path), "sasrec")
    history = [3, 4, 5, 6] * 6  # 24 events, twice as many as the model looks at
    items = tf.constant([history + [0] * padding])
    sessions = tf.constant([[1 + i // 2 for i in range(24)] + [0] * padding])
    scores = model.score(items, sessions, tf.zeros(items.shape)).numpy()
    last = model.score(items[:, 12:24], sessions[:, 12:24], tf.zeros((1, 12))).numpy()
    assert scores.shape == (1, model.vocabulary_size)
    np.testing.assert_allclose(scores[:, 3:], last[:, 3:], atol=1e-5)


def guarded(tmp_path: Path, files: dict[str, str], **environment: str) -> subprocess.CompletedProcess:
    """Runs the guard in a process whose path begins with `files`."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "from models.guard import guard; guard(); print('fine')"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}", "TF_CPP_MIN_LOG_LEVEL": "3"} | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )


KERAS_3 = {  # what TensorFlow 2.15 looks at in Keras 3
    "keras/__init__.py": "__version__ = '3.4.1'",
    "keras/src/__init__.py": "",
    "keras/src/optimizers.py": "",
    "keras/src/layers.py": "class Layer: ...",
    "keras/_tf_keras/__init__.py": "",
    "keras/_tf_keras/keras/__init__.py": "from keras.src import layers",
}


def test_keras_2_may_train(tmp_path):
    assert guarded(tmp_path, {}).stdout == "fine\n"
    assert guarded(tmp_path, {}, TF_USE_LEGACY_KERAS="0").stdout == "fine\n"


@pytest.mark.parametrize(
    ("files", "setting", "reason"),
    [
        (
            KERAS_3,
            "0",
            "tf.keras is Keras 3.4.1, expected 2: with Keras 3 Horovod does not average gradients",
        ),
        ({"keras/__init__.py": "__version__ = '3.4.1'"}, "0", "tf.keras of TensorFlow 2.15.1 cannot be used"),
        ({}, "1", "TF_USE_LEGACY_KERAS=1 asks for the package tf_keras, which is not installed: unset"),
    ],
)
def test_another_keras_is_refused_with_the_reason(tmp_path, files, setting, reason):
    run = guarded(tmp_path, files, TF_USE_LEGACY_KERAS=setting)
    assert run.returncode != 0
    assert f"KerasError: {reason}" in run.stderr

"""The curves of a training: what is written, where, and once only though a training was stopped."""

from pathlib import Path

import horovod.tensorflow as hvd
import numpy as np
import pytest
import tensorflow as tf

from conf.schema import Model, Task, Train
from models.checkpoints import Checkpoints
from models.curves import Curves, norms_of, numbers_of, tensorboard
from models.example_set import open_example_set
from models.listening import Listener, Several, Step, Taken
from models.next_item import NextItemModel
from models.train import train
from tests.models.example_sets import LENGTH, POSITIONS, random_example_set


def step(number: int, total: float, weight: float, norm: float, seconds: float, waited: float) -> Step:
    taken = Taken(*(tf.constant(each) for each in (total, weight, norm)))
    return Step(1, number, 10, number, rows=8, seconds=seconds, waited=waited, taken=taken)


def test_the_numbers_of_some_steps_are_means_over_their_targets_rows_and_seconds():
    assert numbers_of([step(1, 6.0, 2.0, 1.0, 1.5, 0.5), step(2, 2.0, 6.0, 4.0, 0.5, 0.0)]) == {
        "loss": 1.0,
        "gradient_norm": 2.5,
        "rows_per_second": 8.0,
        "waiting_percent": 25.0,
    }


def test_norms_are_those_of_items_that_were_seen():
    np.testing.assert_array_equal(norms_of(tf.Variable([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])), [5.0, 1.0])


@pytest.fixture
def training(tmp_path):
    """Trains 3 epochs of 4 steps, with checkpoints every 3 steps; as one that begins, or goes on where it was stopped."""
    hvd.init()
    examples = open_example_set(random_example_set(tmp_path / "set", train=[9, 6], validation=[5]))
    settings = Train(
        batch_size=4, epochs=3, patience=3, learning_rate=0.1, warmup_steps=4, checkpoint_steps=3
    )

    def run(*listeners: Listener) -> None:
        model = NextItemModel(
            Model(name="gru", width=8, blocks=1, negatives=8),
            Task(event_types=["purchase"], length=LENGTH, positions=POSITIONS),
            examples.counts("validation_sessions"),
            seed=1,
        )
        checkpoints = Checkpoints(tmp_path / "checkpoints", settings.checkpoint_steps)
        train(model, examples, settings, "ndcg@10", Several(*listeners), checkpoints=checkpoints)

    return run


class Notebook:
    """A place that keeps what it is told."""

    def __init__(self):
        self.points: list[tuple[str, int, float]] = []

    def __call__(self, axis, at, numbers):
        self.points += [(f"{axis}/{name}", at, value) for name, value in numbers.items()]

    def of(self, name: str) -> list[tuple[int, float]]:
        return [(at, value) for each, at, value in self.points if each == name]

    @property
    def newest(self) -> dict[str, int]:
        return {name: max(at for each, at, _ in self.points if each == name) for name, *_ in self.points}


def test_every_second_step_and_each_epoch_are_written_to_every_place(training):
    one, other = Notebook(), Notebook()
    training(Curves(2, {}, one, other))
    assert [at for at, _ in one.of("step/loss")] == [2, 4, 6, 8, 10, 12]
    np.testing.assert_allclose(
        [rate for _, rate in one.of("step/learning_rate")], [0.05, 0.1, 0.1, 0.1, 0.1, 0.1], rtol=1e-6
    )
    assert all(0 <= percent <= 100 for _, percent in one.of("step/waiting_percent"))
    assert [at for at, _ in one.of("epoch/ndcg@10")] == [1, 2, 3]
    assert {name for name, *_ in one.points} == {name for name, *_ in other.points}


class Breaker(Listener):
    """Stops a training behind a step."""

    def __init__(self, behind: int):
        self.behind = behind

    def stepped(self, step):
        if step.of_all == self.behind:
            raise KeyboardInterrupt


@pytest.mark.parametrize("behind", [pytest.param(5, marks=pytest.mark.long), 8])
def test_a_training_that_was_stopped_goes_on_in_the_same_log_without_doubled_steps(
    training, tmp_path, behind
):
    """Checkpoints are behind the steps 3, 4 (an epoch's end), 6, 8, 9 …: steps behind the last one are taken again."""
    whole, notes, board = Notebook(), Notebook(), tmp_path / "board"
    with pytest.raises(KeyboardInterrupt):
        training(Curves(1, {}, notes, tensorboard(board, anew=True)), Breaker(behind))
    assert [at for at, _ in notes.of("step/loss")] == list(range(1, behind + 1))
    training(Curves(1, notes.newest, notes, tensorboard(board, anew=False)))
    training_anew(training, tmp_path, whole)
    logged = points_of(board)
    for name in ("step/loss", "step/gradient_norm", "step/item_norm_max", "epoch/loss", "epoch/ndcg@10"):
        np.testing.assert_allclose(logged[name], whole.of(name), rtol=1e-6, err_msg=name)
        assert notes.of(name) == whole.of(name), name
    assert [at for at, _ in logged["epoch/item_norm"]] == [1, 2, 3]


def training_anew(training, tmp_path: Path, whole: Notebook) -> None:
    for file in (tmp_path / "checkpoints").iterdir():
        file.unlink()
    training(Curves(1, {}, whole))


def test_a_log_that_is_begun_anew_has_nothing_of_the_one_before(tmp_path):
    tensorboard(tmp_path / "board", anew=True)("step", 7, {"loss": 1.0})
    tensorboard(tmp_path / "board", anew=True)("step", 2, {"loss": 3.0})
    assert points_of(tmp_path / "board") == {"step/loss": [(2, 3.0)]}


def points_of(board: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard's files have, in the order in which it was written; of a histogram the sum of its counts."""
    points: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(board.glob("events.*"), key=lambda path: path.stat().st_mtime_ns):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                array = tf.make_ndarray(value.tensor)
                number = float(array) if array.ndim == 0 else float(array[:, 2].sum())
                points.setdefault(value.tag, []).append((event.step, number))
    return points

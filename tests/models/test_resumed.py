"""A training that lost a rank and was started again ends as one that never did."""

from pathlib import Path

import numpy as np
import pytest

from models.course import Course, Epoch
from models.example_set import open_example_set
from models.shards import Leg
from tests.models.example_sets import random_example_set
from tests.models.horovodrun import horovodrun

FILES = [5, 1, 7, 4, 3, 6, 2]  # 28 rows: 7 steps of 2 rows on 2 ranks
EPOCHS = 3


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> str:
    return random_example_set(tmp_path_factory.mktemp("examples") / "set", train=FILES, validation=[3, 2])


def run(examples: str, folder: Path, ranks: int, lost: int = 0, batch_size: int = 2) -> int:
    """Trains with these ranks; returns how horovodrun ended."""
    out, checkpoints = folder / f"{ranks} ranks", folder / "checkpoints"
    program = ("-m", "tests.models.interrupted_rank", examples, str(out), str(checkpoints))
    return horovodrun(ranks, *program, str(batch_size), str(lost)).returncode


@pytest.fixture(scope="module")
def undisturbed(examples, tmp_path_factory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(examples, folder, ranks=2) == 0
    return dict(np.load(folder / "2 ranks" / "0.npz"))


@pytest.mark.parametrize(
    "lost",
    [pytest.param(each, marks=pytest.mark.long if each in (2, 7, 15) else ()) for each in (2, 5, 7, 15)],
)
def test_with_the_same_ranks_it_ends_with_the_same_weights(examples, undisturbed, tmp_path, lost):
    assert run(examples, tmp_path, ranks=2, lost=lost) != 0
    assert not list(tmp_path.rglob("*.npz"))
    assert run(examples, tmp_path, ranks=2) == 0
    for rank in range(2):
        again = dict(np.load(tmp_path / "2 ranks" / f"{rank}.npz"))
        assert again.pop("resumed") == 1
        for name, value in again.items():
            np.testing.assert_array_equal(value, undisturbed[name], err_msg=name)


@pytest.mark.long
def test_with_other_ranks_every_row_of_each_epoch_is_read_once(examples, tmp_path):
    assert run(examples, tmp_path, ranks=3, lost=5, batch_size=1) != 0
    assert run(examples, tmp_path, ranks=2, batch_size=1) == 0
    kept = steps_kept(tmp_path / "3 ranks", upto=4)  # what came behind the last checkpoint is read again
    read = np.concatenate([*kept, *steps_kept(tmp_path / "2 ranks", upto=1000)])
    files = open_example_set(examples).files("train")
    rows = sorted(file.first_row_id + number for file in files for number in range(file.rows))
    for epoch in range(1, EPOCHS + 1):
        assert sorted(read[read[:, 0] == epoch][:, 1].tolist()) == rows


def steps_kept(folder: Path, upto: int) -> list[np.ndarray]:
    return [np.load(path) for path in folder.glob("*.npy") if int(path.stem.split("-")[1]) <= upto]


def test_a_course_is_the_same_after_it_was_text():
    epoch = Epoch(1, 0.1, {"ndcg@10": 0.30000000000000004}, 9, 9, 1.5, 1.0, best=True)
    course = Course([Leg(2, 64), Leg(3, 32)], 5, 12, 96, -7, 1 / 3, 12.0, 0.5, [epoch], 2, "a run")
    assert Course.of_text(course.as_text()) == course
    assert Course.of_text(Course().as_text()) == Course()

"""The lines that show how a training goes."""

import pytest

from jobs import progress
from jobs.progress import Progress, lasting
from models.course import Epoch
from models.listening import Step, Taken


def step(number: int, steps: int = 100) -> Step:
    return Step(2, number, steps, number, 64, 0.5, 0.1, Taken(6.0, 4.0, 1.0))


def test_inside_an_epoch_it_says_how_far_how_fast_and_how_long_still(monkeypatch, capsys):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    shown = Progress(epochs=5, rows=6400, ranks=2)
    for number, seconds in [(1, 30.0), (2, 0.5), (3, 0.5), (4, 0.5), (5, 10.5)]:
        now += seconds
        shown.stepped(step(number))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "  2 ranks are up: 6,400 rows an epoch, at most 5 epochs"
    # The first step, in which the graph is made, tells nothing of those to come.
    assert lines[1] == "  epoch 2/5    2%  loss 1.500  128 rows/s  49 s to its end"
    assert lines[2] == "  epoch 2/5    5%  loss 1.500  21 rows/s  5 min to its end"


def test_after_an_epoch_it_says_how_long_at_most(monkeypatch, capsys):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    shown = Progress(epochs=5, rows=6400, ranks=2)
    now = 100.0
    metrics = {"ndcg@10": 0.2, "recall@10": 0.1}
    shown.ended(Epoch(1, 2.0, metrics, 6400, 6400, seconds=100.0, training_seconds=64.0, best=True))
    assert "100 rows/s  100.0 s  best so far  at most 7 min to go" in capsys.readouterr().out


@pytest.mark.parametrize(("seconds", "text"), [(90, "90 s"), (600, "10 min"), (9000, "2 h 30 min")])
def test_a_time_is_said_in_the_unit_that_fits(seconds, text):
    assert lasting(seconds) == text

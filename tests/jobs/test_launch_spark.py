"""Ranks on the executors of Spark."""

import re
import signal
import subprocess
import sys

import psutil
import pytest

from conf.schema import Train
from jobs.executors import run_on_executors
from jobs.launch import RanksFailed
from jobs.rank import Task
from tests.jobs.namespaces import is_with, until
from tests.jobs.standalone import build_wheel, cluster
from tests.jobs.trainings import ROOT, arguments, assert_same_weights, is_to_lose, local, make_shop, trained

pytestmark = pytest.mark.cluster
RANKS = "tests.jobs.ranks"


def start(spark, *arguments: str, ranks: int = 2) -> None:
    run_on_executors(spark.sparkContext, Task(RANKS, arguments), Train(ranks=ranks))


def test_the_first_rank_is_shown_and_nothing_else(spark, capfd):
    start(spark, "well")
    shown = capfd.readouterr()
    assert shown.out == "rank 0 of 2\n"
    assert "noise" not in shown.err


def test_a_rank_that_fails_ends_the_others_and_its_reason_is_told(spark, capfd):
    with pytest.raises(RanksFailed, match=r"^the second has had enough$") as failed:
        start(spark, "second says why")
    assert failed.value.is_said
    assert "Traceback" not in capfd.readouterr().err
    assert not ranks_of(psutil.Process(), RANKS)


def test_a_rank_that_hangs_is_named_and_signals_do_afterwards_what_they_did(spark):
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(
        RanksFailed, match="rank 1 has been waiting for the rows of step 7 of epoch 2"
    ) as failed:
        start(spark, "stuck")
    assert not failed.value.is_said
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before


def test_ranks_for_which_there_are_no_cores_are_refused(spark, monkeypatch):
    monkeypatch.setenv("HOROVOD_SPARK_START_TIMEOUT", "10")
    with pytest.raises(RanksFailed, match=r"had no place for 3 ranks at once") as failed:
        start(spark, "well", ranks=3)
    assert failed.value.is_said


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_rank_outlives_the_driver(tmp_path, how):
    folder = tmp_path / "ranks"
    folder.mkdir()
    code = f"""
from conf.load import load
from conf.schema import Train
from jobs.executors import run_on_executors
from jobs.job import open_lake
from jobs.rank import Task
spark = open_lake(load(["spark.master=local[2]", "lake={tmp_path}/lake"]), "ranks").spark
run_on_executors(spark.sparkContext, Task({RANKS!r}, ["long", {str(folder)!r}]), Train(ranks=2))
"""
    driver = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    assert until(lambda: len([f for f in folder.iterdir() if f.read_text()]) == 2)
    ranks = ranks_of(psutil.Process(driver.pid), RANKS)
    assert len(ranks) == 2
    driver.send_signal(how)
    assert driver.wait() == (128 + how if how == signal.SIGTERM else -how)
    assert until(lambda: not [rank for rank in ranks if rank.is_running()], seconds=60)


@pytest.mark.long
@pytest.mark.parametrize(
    ("victim", "lost"),
    [
        ("jobs.train_rank", "was ended by SIGKILL"),
        ("org.apache.spark.executor.CoarseGrainedExecutorBackend", "was lost with its executor"),
    ],
)
def test_a_training_on_a_cluster_that_lost_a_rank_ends_with_the_weights_of_one_on_this_machine(
    tmp_path, victim, lost
):
    make_shop(tmp_path)
    (tmp_path / "cluster").mkdir()
    wheel, checkpoints = build_wheel(tmp_path), tmp_path / "lake.checkpoints"
    with cluster(tmp_path / "cluster", workers=2) as spark_cluster:
        given = arguments(tmp_path, "spark", "train=spark", "train.ranks=2", "train.checkpoint_steps=1")
        run = spark_cluster.start(wheel, "jobs/train.py", *given)
        said: list[str] = []
        for line in run.stdout:
            said.append(line)
            if is_to_lose(tmp_path, said):
                (*_, one) = ranks_of(psutil.Process(), victim)
                one.kill()
        text = "".join(said)
        assert run.wait() == 0, text
    assert f"{lost}; starting all of them from the last checkpoint" in text
    assert re.search(r"going on behind step [1-9]\d* of epoch \d,", text)
    assert re.search(r"\ntrain: version=1, .* restarts=1, lost=rank ", text)
    version, _ = trained(tmp_path, "spark")
    assert (version.tags["ranks"], version.tags["resumed"]) == ("2", "1")
    assert not list(checkpoints.iterdir())
    subprocess.run(local(tmp_path, "local", "train.ranks=2"), cwd=ROOT, check=True, capture_output=True)
    assert_same_weights(tmp_path, "local", "spark")


def ranks_of(parent: psutil.Process, word: str) -> list[psutil.Process]:
    """The processes below it of whose command line this is a word."""
    return [each for each in parent.children(recursive=True) if is_with(each, word)]

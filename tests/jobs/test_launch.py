import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conf.hosts import Host
from conf.load import load
from jobs.job import InputError
from jobs.launch import RanksFailed, run_ranks
from jobs.launchers import launcher
from jobs.rank import Task

ROOT = Path(__file__).parents[2]
RANKS = "tests.jobs.ranks"


def start(arguments: list[str], ranks: int) -> None:
    run_ranks(Task(RANKS, arguments), [Host("localhost", ranks)])


def test_the_first_rank_is_shown_and_nothing_else(capsys):
    start(["well"], 2)
    shown = capsys.readouterr()
    assert shown.out == "rank 0 of 2\n"
    assert shown.err == ""


def test_a_rank_that_fails_ends_the_others_and_its_reason_is_told():
    began = time.monotonic()
    with pytest.raises(RanksFailed, match=r"^the second has had enough$"):
        start(["second says why"], 2)
    assert time.monotonic() - began < 50


def test_what_all_ranks_say_is_told_once():
    with pytest.raises(RanksFailed, match=r"^no luck anywhere$"):
        start(["all say why"], 2)


def test_what_nobody_expected_is_told_with_its_traceback():
    with pytest.raises(
        RanksFailed, match=r"rank 0 ended with exit code 1:(.|\n)*KeyError: 'nobody expected this'"
    ):
        start(["traceback"], 1)


def test_a_rank_that_hangs_is_named_with_what_it_did_and_may_be_started_again():
    with pytest.raises(
        RanksFailed, match="rank 1 has been waiting for the rows of step 7 of epoch 2 for "
    ) as failed:
        start(["stuck"], 2)
    assert "rank 0" not in failed.value.in_short, "who waits for others says nothing before them"
    assert not failed.value.is_said


def test_a_rank_at_rest_may_take_its_time(capsys):
    start(["rests"], 2)
    assert capsys.readouterr().out == "rank 0 has rested\n"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_rank_outlives_the_launcher(tmp_path, how):
    code = f"from tests.jobs.test_launch import start; start(['long', {str(tmp_path)!r}], 2)"
    launcher = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    pids = wait_for(
        lambda: [int(f.read_text() or 0) for f in tmp_path.iterdir()],
        lambda pids: len(pids) == 2 and all(pids),
    )
    launcher.send_signal(how)
    launcher.wait()
    assert not wait_for(lambda: [pid for pid in pids if is_running(pid)], lambda running: not running)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["train=hosts"], "train.hosts is missing"),
        (["train=hosts", "train.hosts=[one:2]", "lake=s3a://bucket/lake"], "train.checkpoints is missing"),
        (["train=spark", "spark.master=''"], "spark.master is missing"),
    ],
)
def test_a_launcher_says_what_it_lacks_before_it_starts_anything(given, message):
    with pytest.raises(InputError, match=message), launcher(load(given), Task(RANKS)):
        pass


def wait_for(look, enough, seconds: float = 300):
    end = time.monotonic() + seconds
    while not enough(seen := look()) and time.monotonic() < end:
        time.sleep(0.1)
    return seen


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False

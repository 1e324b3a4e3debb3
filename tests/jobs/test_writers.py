"""Jobs that meet at one lake, each a process of its own: the tables are right each time."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from features.lake import Lake
from features.leases import WRITER, Holder, holding, take
from jobs import job
from jobs.job import told
from tests.jobs.nights import DERIVED, TAKEN_IN, contents, night, shop
from tests.jobs.processes import ended, start
from tests.shop import line, write_log

NIGHT = "2026-11-02"


class Shop:
    """A shop whose jobs run as processes."""

    def __init__(self, folder: Path, lake: str):
        self.folder, self.lake = folder, lake
        self.processes: list[subprocess.Popen[str]] = []

    def start(
        self, job: str, *more: str, interrupted: tuple[str, str, str] | None = None
    ) -> subprocess.Popen:
        process = start(self.folder, job, f"ds={NIGHT}", *more, lake=self.lake, interrupted=interrupted)
        self.processes.append(process)
        return process

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def asleep(process: subprocess.Popen, seconds: float = 1200) -> None:
    """Waits until a process has been stopped by its signal."""
    for _ in range(round(seconds * 10)):
        if Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    raise AssertionError(f"it did not stop within {seconds} s")


@pytest.fixture(scope="module")
def landed(spark, tmp_path_factory) -> Path:
    """A shop whose log has landed, and what one night alone makes of it, in `alone`."""
    folder = tmp_path_factory.mktemp("shop")
    write_log(
        folder / "raw",
        NIGHT,
        line("ann", f"{NIGHT}T10:00:00Z", "a1", item_id="milk"),
        line("ann", f"{NIGHT}T10:10:00Z", "a2", item_id="jam"),
        line("bob", f"{NIGHT}T10:00:00Z", "b1", item_id="milk"),
        "not a record",
    )
    night(spark, shop(folder, NIGHT, lake="alone"))
    return folder


@pytest.fixture
def meeting(landed, tmp_path) -> Iterator[Shop]:
    made = Shop(landed, tmp_path.name)
    yield made
    made.end()


def is_undisturbed(spark, meeting: Shop) -> bool:
    """Whether the lake holds what one night alone makes of the log."""
    lakes = (Lake(spark, str(meeting.folder / name)) for name in ("alone", meeting.lake))
    one, other = (contents(lake, *TAKEN_IN, *DERIVED) for lake in lakes)
    return one == other


@pytest.mark.long  # a loaded machine may start the second when the first is done
def test_two_at_once_on_a_lake_that_is_not_there_yet(spark, meeting):
    both = [meeting.start("nightly", "wait=true") for _ in range(2)]
    (first, one), (second, other) = (ended(process) for process in both)
    assert (first, second) == (0, 0), one + other
    assert sorted("done meanwhile" in said for said in (one, other)) == [False, True]
    assert is_undisturbed(spark, meeting)


def test_the_same_job_stops_or_waits_and_another_one_too(spark, meeting):
    first = meeting.start("nightly", interrupted=("SIGSTOP", "before", "sessions"))
    asleep(first)
    same, other = meeting.start("nightly"), meeting.start("sessionize")
    (code, said), (other_code, other_said) = ended(same), ended(other)
    assert (code, other_code) == (2, 2), said + other_said
    assert (
        f"nightly runs already with these arguments: the lease predictions/ds={NIGHT}/task=next_item is"
        in said
    )
    assert f"process {first.pid} on" in said and "Traceback" not in said
    assert "sessionize has to wait: the lease writer is held by nightly" in other_said
    waiting = meeting.start("nightly", "wait=true")
    while "waiting" not in (line := waiting.stdout.readline()):
        assert line, "it ended without a word"
    os.killpg(first.pid, signal.SIGCONT)
    assert ended(first)[0] == 0
    code, said = ended(waiting)
    assert code == 0 and "nightly: done meanwhile by nightly" in said, said
    assert is_undisturbed(spark, meeting)


@pytest.mark.long
def test_a_holder_that_dies_is_followed_at_once(spark, meeting):
    first = meeting.start("nightly", interrupted=("SIGKILL", "after", "sessions"))
    assert ended(first)[0] == -signal.SIGKILL
    code, said = ended(meeting.start("nightly"))
    assert code == 0, said
    assert is_undisturbed(spark, meeting)


@pytest.mark.long
def test_a_holder_that_stalls_past_its_expiry_in_its_last_commit_of_an_ingest_does_not_make_it(
    spark, meeting
):
    first = meeting.start("nightly", "lease_seconds=3", interrupted=("SIGSTOP", "within", "ingested_files"))
    asleep(first)
    time.sleep(3)
    code, said = ended(meeting.start("nightly"))
    assert code == 0, said
    os.killpg(first.pid, signal.SIGCONT)
    code, said = ended(first)
    assert code == 2 and "error: the lease writer was taken by nightly" in said, said
    assert is_undisturbed(spark, meeting)


def test_who_waits_sees_that_the_work_was_done_between_two_looks(spark, tmp_path, monkeypatch, capsys):
    lake, holder = Lake(spark, str(tmp_path / "lake")), Holder("nightly", "", 60)
    at_work = ExitStack()
    at_work.enter_context(holding(take(lake, [WRITER], holder)))
    looks = []

    def take_when_the_other_is_done(*arguments):
        looks.append(1)
        if len(looks) == 2:
            at_work.close()
        return take(*arguments)

    monkeypatch.setattr(job, "take", take_when_the_other_is_done)
    monkeypatch.setattr(job, "POLL", 0)
    conf = shop(tmp_path, NIGHT, "wait=true")
    assert job.awaited(conf, lake, [WRITER], holder) is None
    assert "done meanwhile by nightly" in capsys.readouterr().out
    assert take(lake, [WRITER], holder), "it is free again"


def test_what_is_told_of_a_command_has_no_secrets_and_an_order_of_its_own():
    given = [
        "source=plain",
        "ds=2026-11-02",
        "wait=true",
        "spark.settings.secret=x",
        "registry=postgresql://u:p@h/d",
    ]
    assert told([*given, "raw=s3a://key:secret@logs/raw", "+spark.settings.more=x"]) == (
        "ds=2026-11-02 raw=s3a://logs/raw source=plain"
    )

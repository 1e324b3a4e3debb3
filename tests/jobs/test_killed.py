"""A night that is killed at any of its commits and run again ends like one that was never killed."""

import shutil
import signal
from pathlib import Path

import pytest

from features.lake import Lake
from features.quality import QUALITY
from jobs.job import leased
from jobs.nightly import all_night, nightly
from tests.jobs.nights import DERIVED, TAKEN_IN, contents, night, shop
from tests.jobs.processes import ended, start
from tests.shop import line, write_log

pytestmark = [pytest.mark.slow, pytest.mark.long]
MONDAY, TUESDAY = "2026-11-02", "2026-11-03"
COMMITS = 8
"""Of Tuesday: to events, quarantine, ingested_files, sessions, items, sequences, users and quality."""


@pytest.fixture(scope="module")
def tuesday(spark, tmp_path_factory) -> Path:
    """A shop after Monday's night, with Tuesday's file landed; and in `undisturbed` the lake after Tuesday's night."""
    folder = tmp_path_factory.mktemp("tuesday")
    write_log(
        folder / "raw",
        MONDAY,
        line("ann", f"{MONDAY}T10:00:00Z", "a1", item_id="milk"),
        line("bob", f"{MONDAY}T10:00:00Z", "b1", item_id="milk"),
        "not a record",
    )
    night(spark, shop(folder, MONDAY))
    write_log(
        folder / "raw",
        TUESDAY,
        line("ann", f"{MONDAY}T09:45:00Z", "a0", item_id="jam"),
        line("ann", f"{MONDAY}T10:00:00Z", "a1", item_id="milk"),
        line("cid", f"{TUESDAY}T09:00:00Z", "c1", item_id="tea"),
        line(None, f"{TUESDAY}T09:00:00Z", "no user"),
    )
    shutil.copytree(folder / "lake", folder / "undisturbed")
    again(spark, folder, "undisturbed")
    return folder


def again(spark, folder: Path, lake: str) -> None:
    """Tuesday's night, as the command runs it."""
    conf = shop(folder, TUESDAY, lake=lake)
    at = Lake(spark, conf.lake)
    with leased(conf, at, "nightly", all_night(conf)) as is_mine:
        assert is_mine
        nightly(conf, at)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("where", range(COMMITS))
def test_killed_at_a_commit_and_run_again_is_never_killed(spark, tuesday, when, where):
    lake = f"{when} {where}"
    shutil.copytree(tuesday / "lake", tuesday / lake)
    run = start(tuesday, "nightly", f"ds={TUESDAY}", lake=lake, interrupted=("SIGKILL", when, str(where)))
    code, said = ended(run)
    assert code == -signal.SIGKILL, said
    again(spark, tuesday, lake)
    one, other = (Lake(spark, str(tuesday / name)) for name in ("undisturbed", lake))
    assert contents(one, *TAKEN_IN, *DERIVED, QUALITY) == contents(other, *TAKEN_IN, *DERIVED, QUALITY)


def test_no_commit_is_left_out(tuesday):
    shutil.copytree(tuesday / "lake", tuesday / "counted")
    interrupted = ("SIGKILL", "before", str(COMMITS))
    code, said = ended(start(tuesday, "nightly", f"ds={TUESDAY}", lake="counted", interrupted=interrupted))
    assert code == 0 and f"\n{COMMITS} commits" in said, said

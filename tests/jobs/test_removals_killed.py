"""An erasure, a clean-up, a new key: killed at any of its commits and run again, it ends like one that was never killed."""

import importlib
import json
import shutil
import signal
from pathlib import Path

import pytest

from features.lake import Lake
from features.tables import TABLES
from jobs.job import leased, writer
from jobs.keys import BYTES, key_file, parsed, write
from tests.jobs.nights import contents, night, shop
from tests.jobs.processes import ended, start
from tests.jobs.test_people import write_logins
from tests.shop import line, write_log

pytestmark = [pytest.mark.slow, pytest.mark.long]
MONDAY, TUESDAY, LATER = "2026-11-02", "2026-11-03", "2027-01-01"
ANN = "annabel-17"
COMMITS = {"erase": 8, "retain": 1, "rekey": 7}
"""Of each job: every one changes a table of the lake."""
PLACES = [(job, where) for job, count in COMMITS.items() for where in range(count)]


@pytest.fixture(scope="module")
def shops(spark, tmp_path_factory) -> Path:
    """A shop after two nights, of whose users one is to be erased, who logged in; and the key that is to be its next."""
    folder = tmp_path_factory.mktemp("shops")
    for ds, clock in ((MONDAY, "10:00:00"), (TUESDAY, "11:00:00")):
        write_log(
            folder / "raw",
            ds,
            *(
                line(user, f"{ds}T{clock}Z", f"{user} {ds}", item_id="milk")
                for user in (ANN, "bob", "tablet-20")
            ),
            line(ANN, f"{ds}T{clock}Z", f"odd {ds}", "odd"),
            '{"user_id": "no end',
        )
    login = {"anonymous_id": "tablet-20", "user_id": ANN, "valid_from": f"{TUESDAY}T10:00:00Z"}
    write_logins(folder / "raw", TUESDAY, login)
    for ds in (MONDAY, TUESDAY):
        night(spark, shop(folder, ds, "privacy.ids=keyed"))
    keys = parsed(key_file(shop(folder, MONDAY, "privacy.ids=keyed")).read_text(), "")
    write(folder / "lake.key.next", (*keys, bytes(range(BYTES))))
    (folder / "lake.users").write_text(ANN)
    return folder


def arguments(folder: Path, lake: str) -> list[str]:
    return ["privacy.ids=keyed", f"users={folder / lake}.users", f"ds={LATER}"]


def copied(folder: Path, lake: str) -> None:
    shutil.copytree(folder / "lake", folder / lake)
    for name in ("key", "key.next", "users"):
        shutil.copy(folder / f"lake.{name}", folder / f"{lake}.{name}")


def again(spark, folder: Path, job: str, lake: str) -> dict:
    """Runs the job as its command does; returns what every table then holds."""
    conf = shop(folder, LATER, *arguments(folder, lake), lake=lake)
    at, step = Lake(spark, conf.lake), getattr(importlib.import_module(f"jobs.{job}"), job)
    with leased(conf, at, job, writer(conf)) as is_mine:
        assert is_mine
        step(conf, at)
    certified = [json.loads(path.read_text()) for path in folder.glob(f"{lake}.users.*.json")]
    return contents(at, *TABLES) | {"removed": [each["rows_removed"] for each in certified]}


@pytest.fixture(scope="module")
def undisturbed(spark, shops) -> dict[str, dict]:
    """What each job makes of the lake when nobody kills it."""
    found = {}
    for job in COMMITS:
        copied(shops, job)
        found[job] = again(spark, shops, job, job)
    return found


@pytest.mark.parametrize(("job", "where"), PLACES)
def test_killed_before_a_commit_and_run_again_is_never_killed(spark, shops, undisturbed, job, where):
    lake = f"{job} {where}"
    copied(shops, lake)
    run = start(shops, job, *arguments(shops, lake), lake=lake, interrupted=("SIGKILL", "before", str(where)))
    code, said = ended(run)
    assert code == -signal.SIGKILL, said
    assert again(spark, shops, job, lake) == undisturbed[job]


@pytest.mark.parametrize("job", COMMITS)
def test_no_commit_is_left_out(shops, job):
    lake = f"{job} counted"
    copied(shops, lake)
    run = start(shops, job, *arguments(shops, lake), lake=lake, interrupted=("SIGKILL", "before", "99"))
    code, said = ended(run)
    assert code == 0 and f"\n{COMMITS[job]} commits" in said, said

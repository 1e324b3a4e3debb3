"""The example set of a task with labels, from the raw logs of a shop that is typed in."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from features.examples import set_id_of
from features.lake import Lake
from jobs.examples import examples
from jobs.job import InputError
from models.answers import answers
from models.example_set import open_example_set
from tests.jobs.nights import night, shop
from tests.shop import line, write_log

pytestmark = pytest.mark.long
DS = "2026-11-30"
USERS = 12
SETTINGS = [
    "promote.holdout_days=7",
    "task=churn",
    "task.length=16",
    "task.positions=4",
]
SETTINGS += ["task.label.horizon_days=7", "task.label.snapshots=2"]


def purchases() -> list[dict]:
    """Users with an even number buy each third day of the month, the others only on the 1st and the 4th."""
    return [
        line(
            f"user {user}",
            f"2026-11-{day:02}T{hour_of(user):02}:00:00Z",
            f"{user}-{day}",
            item_id="milk" if day % 2 else f"tea {user}",
            amount=2.0,
        )
        for user in range(USERS)
        for day in range(1, 31 if user % 2 == 0 else 5, 3)
    ]


def hour_of(user: int) -> int:
    return 8 + user


@pytest.fixture(scope="module")
def season(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    conf = shop(folder, DS, *SETTINGS)
    lake = Lake(spark, conf.lake)
    write_log(folder / "raw", DS, *purchases())
    night(spark, conf)
    said, again = examples(conf, lake), examples(conf, lake)
    with pytest.raises(InputError) as too_few:
        examples(replace(conf, promote=replace(conf.promote, holdout_days=6)), lake)
    opened = open_example_set(f"{conf.lake}/examples/{set_id_of(conf)}")
    return SimpleNamespace(**locals())


def test_users_of_each_snapshot_are_rows_with_what_they_did_in_the_horizon_behind_it(season):
    assert {name: season.said[name] for name in ("train", "validation", "test")} == {
        "train": 2 * USERS,
        "validation": USERS,
        "test": USERS,
    }
    spec = season.opened.spec
    assert spec["label"]["snapshots"] == ["2026-11-10T00:00:00+00:00", "2026-11-03T00:00:00+00:00"]
    assert (spec["validation_from"], spec["as_of"]) == (
        "2026-11-17T00:00:00+00:00",
        "2026-11-24T00:00:00+00:00",
    )
    shares = {split: answers(season.opened, split).labels.mean() for split in ("train", "validation", "test")}
    assert shares == {"train": 0.25, "validation": 0.5, "test": 0.5}, "on the 3rd all were still there"
    known = answers(season.opened, "test")
    as_of, expected = datetime(2026, 11, 24, tzinfo=UTC), []
    for user in range(USERS):
        last = datetime(2026, 11, 22 if user % 2 == 0 else 4, hour_of(user), tzinfo=UTC)
        expected.append(((as_of - last).total_seconds() / 86400, float(user % 2)))
    found = zip(known.naive[:, 0].tolist(), known.labels[:, 0].tolist(), strict=True)
    np.testing.assert_allclose(sorted(found), sorted(expected), rtol=1e-5)


def test_an_example_set_that_is_there_is_left_and_a_horizon_that_is_not_over_is_refused(season):
    assert season.again["note"] == "it is there already"
    assert "promote.holdout_days is 6, and a label of churn takes 7 days" in str(season.too_few.value)

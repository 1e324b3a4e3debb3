"""A night of a small lake is watched: before anything is there, with breaches, and once more."""

from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from conf.load import ConfigurationError, load
from features.lake import Lake
from features.monitoring import MONITORING, REALISED, Measure
from features.predictions import PREDICTIONS, to_predictions
from jobs.job import Breached
from jobs.monitor import begun_after, monitor
from models.registry import connect
from tests.jobs.nights import night, shop
from tests.shop import line, rows_of, write_log

LAST = date(2026, 11, 10)
USERS = [f"user {n}" for n in range(8)]
FEW = (
    "least_rows=5",
    "least_users=2",
    "least_nights=1",
    "reference_days=7",
    "days=1",
    "shadow=challenger",
    "new_days=5",
)
ANSWERS = {
    "next_item": [
        (USERS[0], ["milk", "tea"], [1.0, 1.0]),
        (USERS[1], ["jam"], [2.0]),
        (USERS[2], ["milk"], [1.0]),
    ],
    "next_item@challenger": [(USERS[0], ["milk"], [1.0]), (USERS[1], ["milk"], [1.0])],
}
NDCG = (1 + 0.6309297535714575) / 2 / 2  # a tie of two, and nothing


def bought(user: str, day: date) -> dict:
    return line(user, f"{day}T10:00:00Z", f"{user}-{day}", item_id="milk")


def predict(lake: Lake, ds: date, task: str, version: int) -> None:
    rows = [(*answer, None) for answer in ANSWERS[task]]
    frame = lake.spark.createDataFrame(
        rows, "user_id string, ids array<string>, scores array<float>, reason string"
    )
    told = to_predictions(frame, str(ds), task, "gru", version, -1)
    lake.replace_where(PREDICTIONS, told, f"ds = '{ds}' and task = '{task}'", {})


def known_version(conf, as_of: date) -> int:
    """A version in the registry of whose training nothing but its tags is asked."""
    client = connect(conf.registry, conf.artifacts).client
    client.create_registered_model("next_item")
    return int(
        client.create_model_version("next_item", "none", tags={"as_of": f"{as_of}T00:00:00+00:00"}).version
    )


@pytest.fixture(scope="module")
def watched(spark, tmp_path_factory):
    """Eight users each day for eight days; on the ninth three came, of whom two had a prediction. Watched twice."""
    folder = tmp_path_factory.mktemp("watched")
    asked = [f"monitor.{key}" for key in FEW]
    conf = shop(folder, str(LAST), f"report={folder / 'report'}", *asked)
    lake = Lake(spark, conf.lake)
    empty = SimpleNamespace(
        said=monitor(conf, lake), page=Path(conf.report, "monitor_next_item.html").read_text()
    )
    days = [LAST - timedelta(days=n) for n in range(1, 9)]
    old = [bought(user, day) for day in days for user in USERS]
    write_log(folder / "raw", str(LAST), *old, *(bought(user, LAST) for user in (*USERS[:2], "newcomer")))
    night(spark, conf)
    version = known_version(conf, LAST - timedelta(days=99))
    for task in ANSWERS:
        predict(lake, LAST - timedelta(days=1), task, version)
        predict(lake, LAST, task, version)
    before = Measure(
        LAST - timedelta(days=1), "next_item", "realised_ndcg@10", "all", REALISED, "", 0.9, rows=300
    )
    lake.append(MONITORING, spark.createDataFrame([before], MONITORING.schema), {})
    said, versions = [], []
    for _ in range(2):
        with pytest.raises(Breached) as breach:
            monitor(conf, lake)
        said.append(str(breach.value))
        versions.append(lake.version(MONITORING))
    rows = [Measure(*row) for row in lake.read(MONITORING).where(f"ds = '{LAST}'").collect()]
    found = {(row.name, row.segment): row for row in rows}
    return SimpleNamespace(**locals())


@pytest.mark.long
def test_a_lake_in_which_nothing_is_yet_is_green_with_a_note(watched):
    said = watched.empty.said
    assert (said["passed"], said["breached"]) == (0, 0)
    assert "nothing to judge yet" in said["note"]
    assert "A night of next item with nothing to judge yet" in watched.empty.page


@pytest.mark.long
def test_yesterday_s_predictions_are_held_against_today_s_behaviour(watched):
    ndcg, hits, had = (
        watched.found[(f"realised_{name}", "all")] for name in ("ndcg@10", "hr@10", "predicted")
    )
    assert (round(ndcg.value, 6), ndcg.rows, ndcg.model_version) == (round(NDCG, 6), 2, watched.version)
    assert (ndcg.expected, ndcg.passed) == (0.9, False), "far below the night before"
    assert (hits.value, hits.passed) == (0.5, None), "no night before it"
    assert (round(had.value, 6), had.rows) == (0.666667, 3), "nothing was known of the newcomer"
    assert watched.found[("realised_hr@10", "start: warm")].value == 0.5
    assert watched.found[("realised_predicted", "activity: none")].value == 0


@pytest.mark.long
def test_the_challenger_in_the_shadow_stands_beside_the_champion(watched):
    shadow = watched.found[("shadow_ndcg@10", "all")]
    assert (shadow.value, round(shadow.expected, 6), shadow.passed) == (1.0, round(NDCG, 6), None)
    assert watched.found[("shadow_nights", "all")].value == 2


@pytest.mark.long
def test_volume_freshness_and_drift_of_the_night(watched):
    events = watched.found[("volume_events", "all")]
    assert (events.value, events.expected, events.rows, events.passed) == (3 / 8, 8.0, 3, False)
    assert watched.found[("freshness_events", "all")].value == pytest.approx(14 / 24)
    assert watched.found[("freshness_predictions", "all")].value == 0
    assert watched.found[("freshness_champion", "all")][6:11] == (100.0, None, None, 60.0, False)
    assert watched.found[("freshness_quality", "all")].passed is None, "there is none"
    assert watched.found[("drift_event_type", "all")].value is None, "three rows are too few"
    assert watched.found[("drift_history", "all")].rows == 3
    assert not begun_after(watched.lake, LAST - timedelta(days=8))
    assert begun_after(watched.lake, LAST - timedelta(days=9)), "a shop that is younger than its reference"


@pytest.mark.long
def test_a_breach_is_told_and_a_rerun_tells_it_again_and_writes_nothing(watched):
    told = "next_item volume_events [all] is 0.375, expected at least 0.4 and at most 2.5"
    assert told in watched.said[0]
    assert "realised_ndcg@10 [all] is 0.4077, expected at least 0.63" in watched.said[0]
    assert watched.said[0] == watched.said[1]
    assert watched.versions[0] == watched.versions[1]
    assert len(watched.rows) == len(watched.found), "a row a key"
    assert len(rows_of(watched.lake.read(MONITORING).where(f"ds < '{LAST}'"))) == 1, "other nights stay"
    page = Path(watched.conf.report, "monitor_next_item.html").read_text()
    assert "2 of 7 nights" in page and "volume: events" in page


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("monitor.shadow=champion", "monitor.shadow must be another alias"),
        ("monitor.activity=[10,3]", "monitor.activity must be two rising numbers"),
        ("monitor.volume.events.lower=3", "monitor.volume.events.lower must be <= upper"),
        ("+monitor.freshness.leases=3", "a name in monitor.freshness must be one of"),
        ("monitor.drift.hour.of=days", "monitor.drift.hour.of must be one of events, sessions"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_key(given, told):
    with pytest.raises(ConfigurationError, match=told.replace("[", r"\[")):
        load([given])

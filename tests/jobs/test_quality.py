"""The check of a night: what it looks at, what it stops, and how it is put right or overridden."""

import math
from datetime import date, timedelta

import pytest
from pyspark.sql import functions as f

from features.items import ITEMS
from features.lake import Lake
from features.quality import QUALITY
from features.sessions import SESSIONS, mark_sessions, to_sessions
from jobs.examples import examples
from jobs.ingest import ingest
from jobs.job import InputError, Untrusted
from jobs.nightly import nightly
from jobs.quality import drifts, quality
from jobs.score import score
from jobs.train import train
from models.commits import newest_facts
from tests.jobs.nights import shop
from tests.jobs.test_job import command
from tests.shop import at, event, events, line, write_log

MONDAY, TUESDAY, WEDNESDAY = "2026-11-02", "2026-11-03", "2026-11-04"
DEAR = ("quality.expect.amount_most.upper=100", "quality.expect.amount_most.severity=stop")


def sales(day: str, count: int = 3, amount: float = 1.0) -> list[dict]:
    return [
        line(f"user {n}", f"{day}T10:0{n}:00Z", f"{day}-{n}", item_id="milk", amount=amount)
        for n in range(count)
    ]


def held(lake: Lake, ds: str) -> dict[str, tuple]:
    """name -> table, value, passed, rows of a night's expectations."""
    rows = lake.read(QUALITY).where(f.col("ds") == ds).collect()
    return {row.name: (row.table, row.value, row.passed, row.rows) for row in rows}


@pytest.fixture(scope="module")
def three_nights(spark, tmp_path_factory):
    """Monday with a price that cannot be, Tuesday, and Wednesday after it was let pass; what was said each time."""
    folder = tmp_path_factory.mktemp("nights")
    lake = Lake(spark, str(folder / "lake"))
    said = {}

    def checked(ds: str) -> None:
        ingest(shop(folder, ds), lake)  # what is asked of these nights is asked of their events
        try:
            said[ds] = quality(shop(folder, ds, *DEAR), lake)
        except Untrusted as error:
            said[ds] = str(error)

    write_log(folder / "raw", MONDAY, *sales(MONDAY, amount=5000.0), "{")
    conf = shop(folder, MONDAY, *DEAR)
    steps = {"nightly": lambda: nightly(conf, lake), "examples": lambda: examples(conf, lake)}
    steps |= {"score": lambda: score(conf, lake), "train": lambda: train(conf)}
    for name, step in steps.items():
        with pytest.raises(Untrusted) as refused:
            step()
        said[name] = str(refused.value)
    write_log(folder / "raw", TUESDAY, *sales(TUESDAY, 2))
    checked(TUESDAY)
    quality(shop(folder, TUESDAY, *DEAR, "quality.override=true"), lake)
    said["overridden"] = newest_facts(f"{lake.root}/quality")
    said["score after"] = score(shop(folder, TUESDAY, *DEAR), lake)
    write_log(folder / "raw", WEDNESDAY, *sales(WEDNESDAY, 4))
    checked(WEDNESDAY)
    return folder, lake, said


def test_a_night_s_expectations_are_kept_with_what_was_seen(three_nights):
    _, lake, _ = three_nights
    seen = held(lake, MONDAY)
    assert seen["amount_most"] == ("events", 5000.0, False, 3)
    assert seen["quarantined_share"] == ("ingested_files", 0.25, False, 1)
    assert seen["mostly_quarantined"] == ("ingested_files", 0.25, True, 1)
    assert seen["event_ids_repeated"] == ("events", 0.0, True, 3)
    assert seen["session_ids_repeated"] == ("sessions", 0.0, True, 3)
    assert seen["users_out_of_shape"] == ("users", 0.0, True, 3)
    assert seen["item_index_least"] == ("items", 3.0, True, 1)
    assert seen["sequence_users_repeated"] == ("sequences", 0.0, True, 3)
    assert seen["records_against_week"] == ("ingested_files", None, None, 1), "there was no week before"
    assert seen["drift_amount"] == ("sessions", None, None, 3), "too few to tell"


def test_a_breach_marked_stop_says_table_expectation_seen_and_expected(three_nights):
    _, _, said = three_nights
    assert "the check of 2026-11-02" in said["nightly"]
    assert (
        "events: amount_most is 5000, expected at most 100 (largest amount of a new event)" in said["nightly"]
    )
    assert "quality.override=true" in said["nightly"]


def test_neither_examples_nor_training_nor_scoring_go_on_after_it(three_nights):
    _, _, said = three_nights
    assert said["nightly"] == said["examples"] == said["train"] == said["score"]


def test_what_was_stopped_is_looked_at_again_by_the_next_night(three_nights):
    _, lake, said = three_nights
    assert held(lake, TUESDAY)["amount_most"] == ("events", 5000.0, False, 5)
    assert "the check of 2026-11-03" in said[TUESDAY]


def test_what_was_overridden_is_recorded_and_not_looked_at_again(three_nights):
    _, lake, said = three_nights
    assert said["overridden"]["overridden"] is True
    assert len(said["overridden"]["stopped"]) == 1
    assert said["score after"]["predictions"] == 0, "there is no champion yet, and it was asked for one"
    assert held(lake, WEDNESDAY)["amount_most"] == ("events", 1.0, True, 4)
    assert said[WEDNESDAY]["stopped"] == 0
    assert held(lake, WEDNESDAY)["records_against_week"][1] == pytest.approx(4 / 3), (
        "4 by the mean of 4 and 2"
    )


def test_a_check_of_what_has_not_changed_writes_nothing(three_nights):
    folder, lake, _ = three_nights
    before = lake.version(QUALITY)
    again = quality(shop(folder, WEDNESDAY, *DEAR), lake)
    assert again == {"note": "nothing has changed since it was checked"}
    assert "nothing has arrived since" in quality(shop(folder, MONDAY, *DEAR), lake)["note"]
    assert lake.version(QUALITY) == before


def test_a_table_that_lost_what_must_be_there_is_found_by_the_same_night_s_next_check(three_nights, spark):
    folder, lake, _ = three_nights
    repeated = lake.read(ITEMS).withColumn("item_id", f.lit("milk again"))
    lake.append(ITEMS, repeated, {})
    with pytest.raises(Untrusted, match=r"items: item_indices_repeated is 1, expected at most 0"):
        quality(shop(folder, WEDNESDAY, *DEAR), lake)
    lake.delete(ITEMS, "item_id = 'milk again'", {})
    assert quality(shop(folder, WEDNESDAY, *DEAR), lake)["stopped"] == 0
    assert held(lake, WEDNESDAY)["amount_most"] == ("events", 1.0, True, 4), "the same batches as before"


def test_behaviour_that_moves_is_seen(spark, tmp_path):
    """Forty amounts a day, 0 to 39; in the last week 50 to 89, at the same hours."""
    lake = Lake(spark, str(tmp_path / "lake"))
    rows = [
        event(
            "ann",
            at(f"{n % 20:02}:00:00", date(2026, 11, day)),
            f"{day}-{n}",
            amount=n + (50.0 if day > 10 else 0.0),
        )
        for day in (2, 3, 4, 11, 12)
        for n in range(40)
    ]
    lake.append(SESSIONS, to_sessions(mark_sessions(events(spark, *rows), timedelta(minutes=30))), {})
    seen = {each.name: each for each in drifts(shop(tmp_path, "2026-11-12", "quality.least_rows=80"), lake)}
    amount, hour = seen["drift_amount"], seen["drift_hour"]
    in_the_last = (80.5 / 85 - 0.1) * math.log(
        80.5 / 8.5
    )  # of ten bins with a tenth each; the other nine are empty now
    assert amount.value == pytest.approx(in_the_last + 9 * (0.1 - 0.5 / 85) * math.log(8.5 / 0.5))
    assert (amount.passed, amount.rows) == (False, 80)
    assert (hour.value, hour.passed) == (pytest.approx(0, abs=0.01), True)


def test_an_expectation_of_a_shop_that_does_not_fit_its_table_is_named(three_nights):
    folder, lake, _ = three_nights
    conf = shop(folder, WEDNESDAY, "quality.expect.amount_most.value='max(prize)'")
    with pytest.raises(InputError, match=r"^quality.expect.amount_most.value: .*prize"):
        quality(conf, lake)


@pytest.mark.slow
def test_a_check_that_stops_ends_the_command_with_exit_code_3(tmp_path):
    run = command(
        "jobs/quality.py",
        f"ds={MONDAY}",
        f"lake={tmp_path / 'lake'}",
        "quality.expect.item_index_least.value=1",
    )
    assert run.returncode == 3, run.stderr
    assert "error: the check of 2026-11-02 found what must not be" in run.stderr
    assert "Traceback" not in run.stderr

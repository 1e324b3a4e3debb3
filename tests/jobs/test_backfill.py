"""Days of the past, taken in late or anew: the lake is as if they had been taken in rightly on their nights."""

from contextlib import contextmanager

import pytest
from pyspark.sql import functions as f

from features.events import EVENTS
from features.identities import IDENTITIES
from features.ingested_files import INGESTED_FILES
from features.lake import Lake
from features.quarantine import QUARANTINE
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from jobs.backfill import backfill
from jobs.job import InputError
from tests.jobs.nights import DERIVED, contents, night, shop
from tests.jobs.test_people import write_logins
from tests.shop import line, rows_of, write_log

MONDAY, TUESDAY, WEDNESDAY, THURSDAY = "2026-11-02", "2026-11-03", "2026-11-04", "2026-11-05"
FILES = {
    MONDAY: [
        line("ann", f"{MONDAY}T10:00:00Z", "a1", item_id="milk"),
        line("bob", f"{MONDAY}T23:50:00Z", "b1", item_id="bread"),
        line("bob", f"{MONDAY}T12:00:00Z", "m1", "mail"),
    ],
    TUESDAY: [
        line("ann", f"{MONDAY}T10:20:00Z", "a2", item_id="jam"),  # late: of Monday's session
        line("bob", f"{TUESDAY}T00:10:00Z", "b2", item_id="tea"),
        line("bob", "2026-10-31T10:00:00Z", "older"),  # later than two days
        line("cid", f"{TUESDAY}T09:00:00Z", "m2", "mail"),
        "not a record",
    ],
    WEDNESDAY: [
        line("ann", f"{WEDNESDAY}T08:00:00Z", "a3", item_id="milk"),
        line("bob", f"{TUESDAY}T00:10:00Z", "b2", item_id="tea"),  # sent again
    ],
}
RULES = "features.late_days=2"
WRONG = "source.user_id=if(user_id = 'bob', 'robert', user_id)"


def land(folder, *days: str) -> None:
    for day in days:
        write_log(folder / "raw", day, *FILES[day])


def past(folder, start: str, end: str, *more: str):
    return shop(folder, "", f"start={start}", f"end={end}", RULES, *more)


def is_a_rebuild(spark, folder, ds: str = WEDNESDAY, but: tuple[str, ...] = ("batch", "ingest_date")) -> bool:
    """Whether the lake holds what all files make of an empty one."""
    rebuilt = shop(folder, ds, RULES, lake="rebuilt")
    night(spark, rebuilt)
    one, other = Lake(spark, rebuilt.lake), Lake(spark, str(folder / "lake"))
    for table in (EVENTS, QUARANTINE):
        assert rows_of(one.read(table).drop(*but)) == rows_of(other.read(table).drop(*but))
    return contents(one, *DERIVED) == contents(other, *DERIVED)


def test_a_day_that_was_missed_is_taken_in_under_its_own_date_and_no_other_is(spark, tmp_path):
    land(tmp_path, MONDAY, WEDNESDAY)
    for ds in (MONDAY, WEDNESDAY):
        night(spark, shop(tmp_path, ds, RULES))
    land(tmp_path, TUESDAY)
    write_log(tmp_path / "raw", MONDAY, line("dan", f"{MONDAY}T10:00:00Z", "d1"), name="more.json")
    said = backfill(past(tmp_path, TUESDAY, WEDNESDAY), lake := Lake(spark, str(tmp_path / "lake")))
    assert (said["events"], said["files_taken_out"]) == (2, 0)
    assert rows_of(lake.read(EVENTS), "event_id") == [
        (x,) for x in ("a1", "a2", "a3", "b1", "b2", "m1", "m2")
    ]
    assert rows_of(lake.read(SESSIONS).where("user_id = 'ann'"), "event_count") == [(1,), (2,)]
    assert lake.facts(SEQUENCES)["ds"] == WEDNESDAY, "the tables are still those of the newest night"
    assert rows_of(lake.read(QUARANTINE), "reason") == [("not_a_record",), ("too_late",)]
    # Tuesday's b2 was there already, from the file in which it was sent again.
    events = lake.read(EVENTS).where("event_id = 'b2'")
    assert rows_of(events, "arrival_date") == [(events.first().event_date.replace(day=4),)]
    again = backfill(past(tmp_path, TUESDAY, WEDNESDAY), lake)
    assert again["events"] == 0


@pytest.mark.long  # a kill of it, below, is not
def test_days_of_a_wrong_mapping_are_taken_in_anew_with_all_that_is_made_of_them(spark, tmp_path):
    land(tmp_path, *FILES)
    for ds in FILES:
        night(spark, shop(tmp_path, ds, RULES, *([WRONG] if ds != MONDAY else [])))
    lake = Lake(spark, str(tmp_path / "lake"))
    assert ("robert",) in rows_of(lake.read(SEQUENCES), "user_id")
    said = backfill(past(tmp_path, TUESDAY, THURSDAY, "reingest=true"), lake)
    assert said["files_taken_out"] == 2
    assert is_a_rebuild(spark, tmp_path)
    batches = rows_of(lake.read(INGESTED_FILES), "batch")
    assert batches == [(1,), (4,), (4,)]


@pytest.mark.long
def test_logins_of_a_wrong_mapping_are_taken_in_anew_with_the_histories_that_they_join(spark, tmp_path):
    land(tmp_path, MONDAY, TUESDAY)
    for ds, visitor in ((MONDAY, "ann"), (TUESDAY, "cid")):
        login = {"anonymous_id": visitor, "user_id": "bob", "valid_from": f"{ds}T12:00:00Z"}
        write_logins(tmp_path / "raw", ds, login, {**login, "user_id": visitor})
    for ds in (MONDAY, TUESDAY):
        night(spark, shop(tmp_path, ds, RULES, "source.identities.user_id=upper(user_id)"))
    lake = Lake(spark, str(tmp_path / "lake"))
    assert rows_of(lake.read(SESSIONS).select("user_id").distinct()) == [("ANN",), ("bob",)]
    said = backfill(past(tmp_path, MONDAY, WEDNESDAY, "reingest=true"), lake)
    assert said["files_taken_out"] == 4
    assert rows_of(lake.read(SESSIONS).select("user_id").distinct()) == [("bob",)]
    assert rows_of(lake.read(IDENTITIES), "anonymous_id", "user_id") == [("ann", "bob"), ("cid", "bob")]
    assert is_a_rebuild(spark, tmp_path, TUESDAY)


def test_a_file_that_is_gone_keeps_its_rows(spark, tmp_path, capsys):
    land(tmp_path, MONDAY, TUESDAY)
    night(spark, shop(tmp_path, TUESDAY, RULES))
    before = contents(lake := Lake(spark, str(tmp_path / "lake")), *DERIVED)
    (tmp_path / "raw" / "events" / MONDAY / "events.json.gz").unlink()
    said = backfill(past(tmp_path, MONDAY, WEDNESDAY, "reingest=true"), lake)
    assert said["files_taken_out"] == 1
    assert "1 files are not there any more as they came, and stay as they are" in capsys.readouterr().out
    assert contents(lake, *DERIVED) == before


class Killed(Lake):
    """A lake whose writer is stopped just before one of its commits."""

    left = 0

    @contextmanager
    def _committed(self, table, facts):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        with super()._committed(table, facts):
            yield


@pytest.mark.long
@pytest.mark.parametrize("commits", range(14))
def test_a_reingest_that_was_killed_at_any_commit_and_run_again_was_never_killed(spark, tmp_path, commits):
    """Four tables are told, three lose rows, three get them, and four are made anew."""
    land(tmp_path, *FILES)
    night(spark, shop(tmp_path, WEDNESDAY, RULES, WRONG))
    conf = past(tmp_path, MONDAY, THURSDAY, "reingest=true")
    lake = Killed(spark, conf.lake)
    lake.left = commits
    with pytest.raises(KeyboardInterrupt):
        backfill(conf, lake)
    backfill(conf, Lake(spark, conf.lake))
    assert is_a_rebuild(spark, tmp_path)


def test_a_source_whose_paths_have_no_dates_has_no_days_of_the_past(spark, tmp_path):
    conf = past(tmp_path, MONDAY, TUESDAY, "source.path=events/*/*.json")
    with pytest.raises(InputError, match=r"since source.path has no \{ds\}"):
        backfill(conf, Lake(spark, conf.lake))


def test_nothing_to_take_out_is_nothing_to_say(spark, tmp_path):
    land(tmp_path, MONDAY)
    said = backfill(
        past(tmp_path, MONDAY, TUESDAY, "reingest=true"), lake := Lake(spark, str(tmp_path / "lake"))
    )
    assert (said["files_taken_out"], said["events"]) == (0, 3)
    assert lake.read(EVENTS).where(f.col("arrival_date") == MONDAY).count() == 3

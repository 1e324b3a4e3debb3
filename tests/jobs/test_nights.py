"""Two nights of a small shop: what a person may rely on from the raw logs to the sequences."""

import gzip
import shutil
from types import SimpleNamespace

import pytest
from pyspark.sql import functions as f

from features.batches import covered
from features.events import EVENTS
from features.ingested_files import INGESTED_FILES
from features.items import ITEMS
from features.lake import Lake
from features.quarantine import QUARANTINE
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from features.users import USERS
from jobs.ingest import ingest
from jobs.job import InputError
from jobs.sequence import sequence
from jobs.sessionize import sessionize
from tests.jobs.nights import DERIVED, STEPS, contents, night, shop, versions
from tests.shop import at, line, rows_of, write_log

MONDAY, TUESDAY, WEDNESDAY = "2026-11-02", "2026-11-03", "2026-11-04"
BOTS = "features.max_events_per_user_day=5"


def bought(user: str | None, clock: str, event_id: str, item: str | None = None, day: str = MONDAY, **more):
    return line(user, f"{day}T{clock}Z", event_id, item_id=item, **more)


MONDAY_LINES = [
    bought("ann", "10:00:00", "a1", "milk", amount=1.5),
    bought("ann", "10:50:00", "a3", "bread"),
    bought("ann", "10:20:00", "m1", event_type="mail", channel="post"),
    bought("bob", "11:00:00", "b2", "milk"),
    bought("bob", "11:00:00", "b2", "milk"),
    "{",
    "",
    bought(None, "11:00:00", "no user"),
    bought("bob", "11:00:00", "odd", event_type="return"),
    bought("bob", "11:00:00", "late", day="2026-09-01"),
    bought("bob", "02:00:00", "early", day=TUESDAY),
    *(bought("bot", f"12:00:0{n}", f"r{n}", "milk") for n in range(5)),
    bought("eve", "13:00:00", "e1"),
]
BROKEN_LINES = [bought("cid", f"09:00:{n:02}", f"c{n}", "figs", note="x" * n) for n in range(30)]
TUESDAY_LINES = [
    bought("ann", "10:25:00", "a2", "jam", channel="app"),  # late: its session and the next one become one
    bought("bob", "10:45:00", "b1", "tea"),  # late: before the first of its session
    bought("ann", "10:00:00", "a1", "milk"),  # sent again
    bought("bot", "12:00:05", "r5", "milk"),  # late: one more than a person has in a day
    bought("dan", "09:00:00", "d1", "tea", day=TUESDAY),
    bought(None, "11:00:00", "no user", day=TUESDAY),
]


@pytest.fixture(scope="module")
def week(spark, tmp_path_factory):
    """Monday with a file that broke off; Tuesday, when it came whole; and what the lake held after each night."""
    folder = tmp_path_factory.mktemp("week")
    raw, lake = folder / "raw", Lake(spark, str(folder / "lake"))
    (raw / "items").mkdir(parents=True)
    (raw / "items" / "items.json").write_text('{"item_id": "milk", "category": "dairy"}\n')
    write_log(raw, MONDAY, *MONDAY_LINES)
    broken = write_log(raw, MONDAY, *BROKEN_LINES, name="more.json.gz")
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    monday = SimpleNamespace(said=night(spark, shop(folder, MONDAY, BOTS)), **vars(held(lake)))

    broken.write_bytes(whole)
    write_log(raw, TUESDAY, *TUESDAY_LINES)
    shutil.copy(raw / "events" / MONDAY / "events.json.gz", raw / "events" / TUESDAY / "renamed.json.gz")
    tuesday = SimpleNamespace(said=night(spark, shop(folder, TUESDAY, BOTS)), **vars(held(lake)))
    return SimpleNamespace(folder=folder, lake=lake, monday=monday, tuesday=tuesday)


def held(lake: Lake) -> SimpleNamespace:
    """user -> the event ids of each session; session ids; the quarantine; items with their indices."""
    sessions = lake.read(SESSIONS).orderBy("start_ts").collect()
    by_user: dict[str, list[list[str]]] = {}
    for row in sessions:
        by_user.setdefault(row.user_id, []).append([event.event_id for event in row.events])
    return SimpleNamespace(
        sessions=by_user,
        ids={row.session_id: row.user_id for row in sessions},
        refused=[
            (row.reason, row.text) for row in lake.read(QUARANTINE).orderBy("batch", "position").collect()
        ],
        items={row.item_id: row.item_index for row in lake.read(ITEMS).collect()},
        versions=versions(lake),
    )


def test_every_record_is_an_event_a_duplicate_or_in_quarantine(week):
    counts = ("files", "records", "events", "duplicates", "quarantined")
    assert [week.monday.said["ingest"][name] for name in counts] == [2, 18, 10, 1, 7]
    assert [week.tuesday.said["ingest"][name] for name in counts] == [2, 36, 34, 1, 1]
    per_file = rows_of(week.lake.read(INGESTED_FILES), "batch", *counts[1:])
    assert per_file == [(1, 1, 0, 0, 1), (1, 17, 10, 1, 6), (2, 30, 30, 0, 0), (2, 6, 4, 1, 1)]
    events = week.lake.read(EVENTS)
    assert events.count() == events.select("event_id").distinct().count() == 44


def test_a_refused_record_is_kept_with_its_reason_and_its_text(week):
    reasons = [reason for reason, _ in week.monday.refused]
    assert sorted(reasons) == sorted(
        ["not_a_record", "not_a_record", "no_user", "unknown_type", "too_late", "from_future", "broken_file"]
    )
    texts = dict(week.monday.refused)
    assert '"event_id": "no user"' in texts["no_user"]
    assert '"event_id": "late"' in texts["too_late"]
    assert {text for reason, text in week.monday.refused if reason == "not_a_record"} == {"{", ""}
    places = rows_of(week.lake.read(QUARANTINE).where("batch = 1"), "position", "reason")
    assert (5, "not_a_record") in places, "the sixth line of its file"
    assert (-1, "broken_file") in places


def test_a_file_that_breaks_off_is_refused_whole_and_taken_in_when_it_came_whole(week):
    assert "broken off before the end" in dict(week.monday.refused)["broken_file"]
    assert "cid" not in week.monday.sessions
    assert len(week.tuesday.refused) == len(week.monday.refused) + 1
    assert week.lake.read(EVENTS).where("user_id = 'cid'").count() == 30
    assert rows_of(week.lake.read(EVENTS).where("user_id = 'cid'").limit(1), "arrival_date", "batch") == [
        (at("00:00:00").date(), 2)
    ]


def test_a_file_with_another_name_and_the_same_bytes_is_not_taken_in_again(week):
    paths = [row.path for row in week.lake.read(INGESTED_FILES).select("path").collect()]
    assert len(paths) == 4
    assert not any("renamed" in path for path in paths)


def test_a_late_event_joins_the_sessions_on_both_its_sides(week):
    assert week.monday.sessions["ann"] == [["a1"], ["a3"]]
    assert week.tuesday.sessions["ann"] == [["a1", "a2", "a3"]]


def test_an_event_before_the_first_changes_the_session_s_id_and_no_other_s(week):
    assert week.monday.sessions["bob"] == [["b2"]]
    assert week.tuesday.sessions["bob"] == [["b1", "b2"]]

    def ids(night, user: str) -> set[str]:
        return {session_id for session_id, of in night.ids.items() if of == user}

    assert ids(week.monday, "bob").isdisjoint(ids(week.tuesday, "bob"))
    assert ids(week.monday, "eve") == ids(week.tuesday, "eve")
    assert ids(week.tuesday, "ann") < ids(week.monday, "ann"), "the first event is the same"


def test_a_bot_s_day_is_left_out_and_taken_out_again_when_a_late_event_makes_it_one(week):
    assert week.monday.sessions["bot"] == [["r0", "r1", "r2", "r3", "r4"]], "as many as allowed are no bot's"
    assert "bot" not in week.tuesday.sessions
    assert "cid" not in week.tuesday.sessions, "30 a day"
    assert week.tuesday.said["sessionize"]["capped"] == 36
    assert rows_of(week.lake.read(USERS), "user_id") == [("ann",), ("bob",), ("dan",), ("eve",)]
    assert rows_of(week.lake.read(SEQUENCES), "user_id") == [("ann",), ("bob",), ("dan",), ("eve",)]
    assert week.lake.read(EVENTS).where("user_id in ('bot', 'cid')").count() == 36, "events keep them"


def test_active_events_are_in_sessions_or_capped(week):
    for said in (week.monday.said["sessionize"], week.tuesday.said["sessionize"]):
        assert said["active"] == said["in_sessions"] + said["capped"]
    inside = week.lake.read(SESSIONS).agg(f.sum("event_count")).first()[0]
    active = week.lake.read(EVENTS).where("is_active").count()
    capped = week.tuesday.said["sessionize"]["capped"]
    assert (active, inside, capped) == (43, 7, 36)


def test_an_item_keeps_its_index_and_new_ones_are_numbered_on(week):
    assert week.monday.items == {"milk": 3, "bread": 4}
    assert week.tuesday.items == {"milk": 3, "bread": 4, "figs": 5, "jam": 6, "tea": 7}
    columns = ("item_id", "session_count", "category")
    assert rows_of(week.lake.read(ITEMS), *columns) == [
        ("bread", 1, None),
        ("figs", 0, None),
        ("jam", 1, None),
        ("milk", 2, "dairy"),
        ("tea", 2, None),
    ]


def test_a_sequence_holds_the_passive_events_too(week):
    (ann,) = week.lake.read(SEQUENCES).where("user_id = 'ann'").collect()
    assert list(zip(ann.event_types, ann["items"], ann.sessions, strict=True)) == [
        ("purchase", 3, 1),
        ("mail", 0, 0),
        ("purchase", 6, 1),
        ("purchase", 4, 1),
    ]


def test_a_second_run_leaves_every_table_the_same(week, spark):
    night(spark, shop(week.folder, TUESDAY, BOTS))
    assert versions(week.lake) == week.tuesday.versions


def test_an_empty_night_says_so_and_writes_nothing(week, spark):
    said = night(spark, shop(week.folder, WEDNESDAY, BOTS))
    assert said["ingest"]["note"] == f"nothing new has arrived up to {WEDNESDAY}"
    assert said["ingest"]["records"] == 0
    assert all("note" in said[step.__name__] for step in STEPS)
    assert versions(week.lake) == week.tuesday.versions


def test_two_nights_equal_one_rebuild(week, spark):
    rebuilt = shop(week.folder, TUESDAY, BOTS, lake="rebuilt")
    night(spark, rebuilt)
    assert contents(Lake(spark, rebuilt.lake), *DERIVED) == contents(week.lake, *DERIVED)


class Killed(Lake):
    """A lake whose writer is stopped just before it commits to `stop_at`."""

    stop_at = None

    def append(self, table, rows, facts):
        if table is self.stop_at:
            raise KeyboardInterrupt
        super().append(table, rows, facts)

    def insert_new(self, table, rows, facts):
        if table is self.stop_at:
            raise KeyboardInterrupt
        super().insert_new(table, rows, facts)

    def replace_where(self, table, rows, predicate, facts, kept=None):
        if table is self.stop_at:
            raise KeyboardInterrupt
        super().replace_where(table, rows, predicate, facts, kept)


def test_an_ingest_that_was_killed_between_its_commits_and_run_again_was_never_killed(spark, tmp_path):
    write_log(tmp_path / "raw", MONDAY, *MONDAY_LINES[:6])
    conf = shop(tmp_path, MONDAY)
    lake = Killed(spark, conf.lake)
    for lake.stop_at in (QUARANTINE, INGESTED_FILES):
        with pytest.raises(KeyboardInterrupt):
            ingest(conf, lake)
    assert lake.read(EVENTS).count() == 4, "written, and not there yet"
    assert "note" in sessionize(conf, lake)
    assert covered(lake, SESSIONS) == 0
    ingest(conf, Lake(spark, conf.lake))
    assert rows_of(lake.read(EVENTS), "event_id", "batch") == [("a1", 1), ("a3", 1), ("b2", 1), ("m1", 1)]
    assert rows_of(lake.read(QUARANTINE), "position", "reason", "batch") == [(5, "not_a_record", 1)]
    assert rows_of(lake.read(INGESTED_FILES), "records", "events", "duplicates", "quarantined", "batch") == [
        (6, 4, 1, 1, 1)
    ]


@pytest.mark.long
def test_a_night_that_was_killed_between_its_tables_adds_nothing_twice(spark, tmp_path):
    """Each table goes on from what it covered itself: items from both nights' changes, users from one's."""
    write_log(tmp_path / "raw", MONDAY, *MONDAY_LINES[:6])
    write_log(tmp_path / "raw", TUESDAY, *TUESDAY_LINES[:3])
    monday, tuesday = shop(tmp_path, MONDAY), shop(tmp_path, TUESDAY)
    night(spark, monday)
    lake = Killed(spark, tuesday.lake)
    ingest(tuesday, lake)
    sessionize(tuesday, lake)
    for lake.stop_at in (SEQUENCES, USERS):
        with pytest.raises(KeyboardInterrupt):
            sequence(tuesday, lake)
    assert [covered(lake, table) for table in (ITEMS, SEQUENCES, USERS)] == [2, 2, 1]
    sequence(tuesday, Lake(spark, tuesday.lake))
    rebuilt = shop(tmp_path, TUESDAY, lake="rebuilt")
    night(spark, rebuilt)
    assert contents(Lake(spark, rebuilt.lake), *DERIVED) == contents(lake, *DERIVED)


def test_a_night_of_which_nothing_can_be_read_is_in_quarantine_and_the_next_goes_on(spark, tmp_path):
    path = write_log(tmp_path / "raw", MONDAY, bought("ann", "10:00:00", "a"))
    path.write_bytes(path.read_bytes()[:-5])
    said = night(spark, shop(tmp_path, MONDAY))
    assert [said["ingest"][name] for name in ("records", "quarantined")] == [1, 1]
    path.write_bytes(gzip.compress(b"") + gzip.compress(b"no record\n"))
    said = night(spark, shop(tmp_path, TUESDAY))
    assert [said["ingest"][name] for name in ("records", "quarantined")] == [1, 1]
    assert said["sessionize"]["sessions"] == 0


def test_a_catalogue_file_that_breaks_off_costs_its_own_entries_only_and_is_said(spark, tmp_path, capsys):
    write_log(
        tmp_path / "raw",
        MONDAY,
        bought("ann", "10:00:00", "a", "milk"),
        bought("ann", "10:01:00", "b", "jam"),
    )
    entries = {
        "milk": '{"item_id": "milk", "category": "dairy"}\n',
        "jam": '{"item_id": "jam", "category": "spread"}\n',
    }
    (tmp_path / "raw" / "items").mkdir()
    for item, entry in entries.items():
        (tmp_path / "raw" / "items" / f"{item}.json.gz").write_bytes(gzip.compress(entry.encode()))
    broken = tmp_path / "raw" / "items" / "jam.json.gz"
    broken.write_bytes(broken.read_bytes()[:-9])
    lake = Lake(spark, shop(tmp_path, MONDAY).lake)
    night(spark, shop(tmp_path, MONDAY))
    assert "read without" in (said := capsys.readouterr().out) and "jam.json.gz: broken off" in said
    assert rows_of(lake.read(ITEMS), "item_id", "category") == [("jam", None), ("milk", "dairy")]
    broken.write_bytes(gzip.compress(entries["jam"].encode()))
    write_log(tmp_path / "raw", TUESDAY, bought("ann", "10:00:00", "c", "milk", day=TUESDAY))
    night(spark, shop(tmp_path, TUESDAY))
    assert rows_of(lake.read(ITEMS), "item_id", "category") == [("jam", "spread"), ("milk", "dairy")]


def test_a_missing_raw_folder_is_said_with_what_to_do(lake, conf):
    with pytest.raises(
        InputError, match=r"the raw folder .*raw does not exist: set raw= to the folder that events/"
    ):
        ingest(conf, lake)

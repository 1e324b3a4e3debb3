"""A made-up shop as files; and that ingest and sessionize find its truth to the last record."""

import json
import zlib
from datetime import date
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as f

from conf.load import load
from conf.schema import Config
from features.events import EVENTS
from features.ingested_files import INGESTED_FILES
from features.lake import Lake
from features.quarantine import QUARANTINE
from features.sessions import SESSIONS
from features.world import truth
from features.world.disorder import KINDS, OUTCOMES
from jobs.ingest import ingest
from jobs.job import InputError
from jobs.sessionize import sessionize
from jobs.simulate import cut, description, facts_of, folder_of, shop_of, simulate, spread, write_part
from tests.conftest import PLAIN, SPARK
from tests.features.world.worlds import a_world
from tests.jobs.test_job import NO_JAVA, command
from tests.shop import rows_of

DAYS = 6
SHOP = [
    "source=simulated",
    "features.late_days=2",
    "features.max_events_per_user_day=500",
    f"simulate.days={DAYS}",
    "simulate.users=400",
    "simulate.items=60",
    "simulate.categories=6",
    "simulate.bots=2",
    "simulate.bot_views_per_day=350",
    "simulate.anonymous_share=0.6",
    "simulate.lines_per_file=700",
    "simulate.held_back_share=0.2",
    "simulate.held_too_long_share=0.1",
    "simulate.sent_again_share=0.1",
    "simulate.clock_ahead_share=0.1",
    "simulate.clock_far_ahead_share=0.05",
    "simulate.written_twice_share=0.03",
    "simulate.malformed_share=0.04",
]


def shop(folder: Path, *more: str) -> Config:
    return load([*SPARK, PLAIN, *SHOP, f"raw={folder / 'raw'}", f"lake={folder / 'lake'}", *more])


@pytest.fixture(scope="module")
def told(spark, tmp_path_factory):
    """The shop's folder, its lake after two nights, and what `simulate` said."""
    folder = tmp_path_factory.mktemp("simulated")
    lake = Lake(spark, str(folder / "lake"))
    said = simulate(shop(folder), lake)
    for ds in ("2026-01-03", "2026-01-06"):
        for step in (ingest, sessionize):
            step(shop(folder, f"ds={ds}", "source.identities=null"), lake)
    return folder, lake, said


def known(spark, folder: Path, table):
    return spark.read.parquet(str(folder / "raw" / table.name))


def test_ingest_makes_of_every_record_what_the_truth_says(spark, told):
    """By day of arrival: events, duplicates, and the quarantine's reasons."""
    folder, lake, said = told
    must = known(spark, folder, truth.DISORDER).groupBy("arrival_date", "outcome").agg(f.sum("records"))
    events = lake.read(EVENTS).groupBy("arrival_date", f.lit("accepted")).count()
    again = lake.read(INGESTED_FILES).groupBy("arrival_date", f.lit("duplicate")).agg(f.sum("duplicates"))
    refused = lake.read(QUARANTINE).groupBy("arrival_date", "reason").count()
    found = rows_of(events.union(again.where("`sum(duplicates)` > 0")).union(refused))
    assert found == rows_of(must)
    assert {outcome for _, outcome, _ in found} == set(OUTCOMES)
    assert said["records"] == sum(many for _, _, many in found) > 6000


def test_sessionize_makes_exactly_the_true_sessions(spark, told):
    folder, lake, said = told
    columns = ("user_id", "start_ts", "end_ts", "event_count")
    must = rows_of(known(spark, folder, truth.TRUE_SESSIONS), *columns)
    assert rows_of(lake.read(SESSIONS), *columns) == must
    assert len(must) == said["sessions"] > 500


def test_a_bot_over_the_limit_makes_no_sessions_and_one_under_it_does(spark, told):
    _, lake, said = told
    sessions = lake.read(SESSIONS)
    of_bots = lake.read(EVENTS).where("user_id in ('u400', 'u401')").groupBy("user_id").count()
    inside = sessions.where("user_id in ('u400', 'u401')").groupBy("user_id").agg(f.sum("event_count"))
    many = dict(of_bots.collect())
    assert min(many.values()) <= 500 < max(many.values()) == said["capped"]
    assert rows_of(inside) == [(user, events) for user, events in many.items() if events <= 500]


@pytest.mark.long
def test_with_the_identity_map_people_have_their_joined_sessions(spark, told):
    folder, apart, _ = told
    lake = Lake(spark, str(folder / "joined"))
    for ds in ("2026-01-03", "2026-01-06"):
        for step in (ingest, sessionize):
            step(shop(folder, f"ds={ds}"), lake)
    identities = spark.read.json(str(folder / "raw" / "identities" / "*"))
    people = f.broadcast(identities.select("user_id"))
    columns = ("user_id", "start_ts", "end_ts", "event_count")
    must = (
        known(spark, folder, truth.JOINED_SESSIONS).drop("user_id").withColumnRenamed("person_id", "user_id")
    )
    assert rows_of(lake.read(SESSIONS).join(people, "user_id", "left_semi"), *columns) == rows_of(
        must, *columns
    )
    everyone = f.broadcast(people.union(identities.select("anonymous_id")))
    others, the_same = (each.read(SESSIONS).join(everyone, "user_id", "left_anti") for each in (lake, apart))
    assert rows_of(others, *columns) == rows_of(the_same, *columns)
    split = known(spark, folder, truth.TRUE_SESSIONS).join(
        people.withColumnRenamed("user_id", "person_id"), "person_id", "left_semi"
    )
    assert 20 < must.count() < split.count(), "some log in within a session"


def test_the_lake_shows_no_item_before_its_launch_and_no_user_after_leaving(spark, told):
    folder, lake, _ = told
    events = lake.read(EVENTS)
    items, users = (known(spark, folder, table) for table in (truth.TRUE_ITEMS, truth.TRUE_USERS))
    launched = events.join(items.select("item_id", "launch_date"), "item_id")
    assert launched.where("event_date < launch_date").isEmpty()
    assert not launched.where("launch_date > '2026-01-01'").isEmpty()
    assert (
        events.join(users.select("user_id", "churn_date"), "user_id")
        .where("event_date > churn_date")
        .isEmpty()
    )


def bytes_of(raw: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(raw)): path.read_bytes() for path in sorted(raw.rglob("*")) if path.is_file()
    }


def test_the_bytes_are_the_same_on_any_number_of_cores(spark, tmp_path):
    """One task after another here, one for each of Spark's slices there."""
    world = a_world(users=150, days=3, lines_per_file=300, bots=1, bot_views_per_day=100)
    tasks = [(block, day) for block in range(world.blocks) for day in range(3)]
    for task in reversed(tasks):
        write_part(tmp_path / "alone", world, task)
    for slices in (1, 3):
        spread(spark, partial(write_part, tmp_path / str(slices), world), tasks, slices)
    alone = bytes_of(tmp_path / "alone")
    assert alone == bytes_of(tmp_path / "1") == bytes_of(tmp_path / "3")
    assert len([name for name in alone if name.startswith("events/")]) >= 6


def test_a_file_has_at_most_so_many_lines_and_lies_in_its_days_folder(told):
    folder, _, said = told
    files = sorted((folder / "raw" / "events").glob("*/*.json.gz"))
    lines = [zlib.decompress(path.read_bytes(), 31).count(b"\n") for path in files]
    assert len(files) == said["files"]
    assert sum(lines) == said["records"]
    assert max(lines) <= 700
    assert {path.parent.name for path in files} == {f"2026-01-0{n}" for n in range(1, DAYS + 1)}


def test_what_is_there_is_left_as_it_is_and_what_went_comes_back_the_same(told):
    folder, lake, _ = told
    raw = folder / "raw"
    before = bytes_of(raw)
    stamps = {path: path.stat().st_mtime_ns for path in raw.rglob("*.*")}
    assert simulate(shop(folder), lake)["note"] == f"{raw} holds this shop already"
    assert {path: path.stat().st_mtime_ns for path in raw.rglob("*.*")} == stamps
    for name in ("events", "truth/sessions", "truth/users", "items"):
        next((raw / name).rglob("*.*")).unlink()
    assert "records_per_second" in simulate(shop(folder), lake)
    assert bytes_of(raw) == before


def test_a_part_whose_logs_are_not_all_there_counts_as_missing(tmp_path):
    world = a_world(users=50, days=2)
    write_part(tmp_path, world, (0, 1))
    assert facts_of(tmp_path, world, (0, 0)) is None
    facts = facts_of(tmp_path, world, (0, 1))
    assert facts and facts["sessions"] > 5
    log = next(tmp_path.glob("events/*/*"))
    whole = log.read_bytes()
    log.write_bytes(whole[:-1])
    assert facts_of(tmp_path, world, (0, 1)) is None
    write_part(tmp_path, world, (0, 1))
    assert log.read_bytes() == whole


def test_another_shop_or_other_data_in_the_folder_is_refused(told, tmp_path):
    folder, lake, _ = told
    with pytest.raises(InputError, match=r"holds another shop, with simulate.seed=7 \(now 8\): give raw="):
        simulate(shop(folder, "simulate.seed=8"), lake)
    with pytest.raises(InputError, match=r"features.late_days=2 \(now 3\)"):
        simulate(shop(folder, "features.late_days=3"), lake)
    (tmp_path / "raw" / "events").mkdir(parents=True)
    with pytest.raises(InputError, match=r"raw holds other data \(events\): give raw= a new folder"):
        simulate(shop(tmp_path), lake)
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["events"]


def test_rules_that_no_shop_can_follow_are_the_users_to_put_right(tmp_path):
    with pytest.raises(InputError, match=r"session_gap_minutes <= 240, got 300"):
        shop_of(shop(tmp_path, "features.session_gap_minutes=300"))


@pytest.mark.parametrize(
    ("raw", "words"), [([], "raw is var/demo/raw, the demo's folder"), (["raw=s3a://shop/raw"], "got s3a://")]
)
def test_a_folder_of_its_own_is_wanted(raw, words):
    with pytest.raises(InputError, match=words):
        folder_of(load(raw))


def test_all_that_the_bytes_depend_on_is_written_beside_them(told):
    folder, _, _ = told
    held = json.loads((folder / "raw" / "_simulated.json").read_text())
    assert held == description(shop_of(shop(folder)))
    assert (held["simulate.days"], held["simulate.seed"], held["features.late_days"]) == (DAYS, 7, 2)


def test_the_truth_of_the_whole_is_one_row_a_thing(told):
    folder, _, said = told
    read = {table.name: pq.read_table(folder / "raw" / table.name).to_pylist() for table in truth.TRUTH}
    assert len(read["truth/users"]) == said["users"] + said["bots"] == 402
    assert [user["user_id"] for user in read["truth/users"] if user["is_bot"]] == ["u400", "u401"]
    assert len(read["truth/items"]) == 60
    assert len(read["truth/ads"]) == 6 * 3
    (campaign,) = read["truth/campaigns"]
    assert (campaign["sent_date"], campaign["end_date"]) == (date(2026, 1, 2), date(2026, 1, 17))
    arms = [arm for user in read["truth/users"] for _, arm in user["arms"]]
    assert (campaign["treated_users"], campaign["control_users"]) == (
        arms.count("treated"),
        arms.count("control"),
    )
    assert {row["kind"] for row in read["truth/disorder"]} == set(KINDS)
    assert sum(row["event_count"] for row in read["truth/joined_sessions"]) > 50


@pytest.mark.parametrize(
    ("lines", "most", "pieces"), [(0, 3, []), (3, 3, [3]), (4, 3, [2, 2]), (10, 4, [3, 3, 4])]
)
def test_lines_are_cut_into_pieces_of_about_the_same_length(lines, most, pieces):
    text = pa.array([f"{n}\n" for n in range(lines)], pa.string())
    made = [bytes(piece).decode() for piece in cut(text, most)]
    assert [piece.count("\n") for piece in made] == pieces
    assert "".join(made) == "".join(text.to_pylist())


def test_help_and_a_wrong_key_need_no_spark():
    assert command("jobs/simulate.py", "-h", **NO_JAVA).stdout.startswith("Simulate a shop: write its logs")
    wrong = command("jobs/simulate.py", "raw=x", "simulate.days=0", **NO_JAVA)
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "error: simulate.days must be > 0, got 0: set simulate.days\n",
    )

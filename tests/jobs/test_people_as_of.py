"""Visitors and users as they were known at a moment: a login tells nothing of the time before it."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from features.identities import IDENTITIES
from features.lake import Lake
from features.sessions import SESSIONS
from features.user_features import USER_FEATURES
from jobs.examples import examples
from jobs.featurize import featurize
from jobs.ingest import ingest
from jobs.people import sessions_as_of
from jobs.score import sequences_as_of
from jobs.sequence import sequence
from jobs.sessionize import sessionize
from tests.jobs.nights import night, shop
from tests.jobs.test_people import IDS, KNOWN, NIGHTS, RULES, land, lives_of, records, write_logins
from tests.shop import line, rows_of, write_log

MONDAY, TUESDAY, WEDNESDAY = NIGHTS
SUNDAY = "2026-11-01"
TUESDAY_NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


@pytest.mark.long
def test_sessions_as_of_a_moment_are_those_of_a_lake_that_never_heard_of_later_logins(spark, tmp_path):
    lives = KNOWN + [
        [deed for deed in life if not deed.login or is_new(deed.who, deed.login)] for life in lives_of(11)
    ]
    land(tmp_path / "all" / "raw", lives)
    conf = shop(tmp_path / "all", WEDNESDAY, *RULES)
    lake = Lake(spark, conf.lake)
    for step in (ingest, sessionize):
        step(conf, lake)
    moments = sorted(
        datetime.fromisoformat(each["valid_from"]) for _, each in records(lives) if "valid_from" in each
    )
    seen = set()
    for moment in (moments[len(moments) // 3], moments[2 * len(moments) // 3]):
        folder = tmp_path / f"{moment:%H%M%S}"
        land(folder / "raw", lives)
        for path in (folder / "raw" / "identities").rglob("*.json"):
            lines = [text for text in path.read_text().splitlines() if known_before(text, moment)]
            path.write_text("".join(text + "\n" for text in lines))
        without = shop(folder, WEDNESDAY, *RULES)
        other = Lake(spark, without.lake)
        for step in (ingest, sessionize):
            step(without, other)

        def found(rows, own=folder):
            return repr(rows_of(rows)).replace(f"{own}/raw", "raw")

        assert found(sessions_as_of(conf, lake, moment), tmp_path / "all") == found(other.read(SESSIONS))
        seen.add(found(other.read(SESSIONS)))
    assert len(seen | {found(lake.read(SESSIONS), tmp_path / "all")}) == 3


def is_new(who: str, user: str) -> bool:
    """Whether a login leads on, and no cycle can come of it: what is refused as one depends on what else arrived."""
    return IDS.index(who) < IDS.index(user)


def known_before(text: str, moment: datetime) -> bool:
    return datetime.fromisoformat(text.split('"valid_from": "')[1].split('"')[0]) < moment


@pytest.fixture(scope="module")
def shops(spark, tmp_path_factory):
    """A visitor of Monday who logs in on Tuesday at noon, in two shops: one of them never hears of it."""
    made = {}
    for name in ("joined", "apart"):
        folder = tmp_path_factory.mktemp(name)
        write_log(
            folder / "raw",
            MONDAY,
            line("tab", f"{SUNDAY}T09:00:00Z", "t0", item_id="tea", amount=1.0),
            line("ann", f"{SUNDAY}T09:10:00Z", "a0", item_id="jam", amount=2.0),
            line("bob", f"{SUNDAY}T09:00:00Z", "b0", item_id="milk", amount=3.0),
            line("tab", f"{MONDAY}T10:00:00Z", "t1", item_id="milk", amount=1.0),
            line("ann", f"{MONDAY}T10:10:00Z", "a1", item_id="jam", amount=2.0),
            line("bob", f"{MONDAY}T10:00:00Z", "b1", item_id="tea", amount=3.0),
        )
        write_log(
            folder / "raw",
            TUESDAY,
            line("tab", f"{TUESDAY}T11:00:00Z", "t2", item_id="milk", amount=1.0),
            line("ann", f"{TUESDAY}T12:30:00Z", "a2", item_id="jam", amount=2.0),
            line("bob", f"{TUESDAY}T10:00:00Z", "b2", item_id="jam", amount=3.0),
        )
        if name == "joined":
            login = {"anonymous_id": "tab", "user_id": "ann", "valid_from": "2026-11-03T12:00:00Z"}
            write_logins(folder / "raw", TUESDAY, login)
        night(spark, shop(folder, TUESDAY))
        made[name] = SimpleNamespace(folder=folder, lake=Lake(spark, str(folder / "lake")))
    return SimpleNamespace(**made)


def users_of(sessions) -> dict[str, list[str]]:
    """The events of each user, session by session."""
    found: dict[str, list[str]] = {}
    for row in sessions.orderBy("start_ts").collect():
        found.setdefault(row.user_id, []).append(" ".join(event.event_id for event in row.events))
    return found


@pytest.mark.long
def test_a_login_is_known_from_its_moment_on(shops):
    conf, lake = shop(shops.joined.folder, TUESDAY), shops.joined.lake
    joined, bob = {"ann": ["t0 a0", "t1 a1", "t2", "a2"]}, {"bob": ["b0", "b1", "b2"]}
    apart = {"tab": ["t0", "t1", "t2"], "ann": ["a0", "a1", "a2"]}
    assert users_of(lake.read(SESSIONS)) == joined | bob
    assert users_of(sessions_as_of(conf, lake, TUESDAY_NOON)) == apart | bob, "at its moment it is not"
    just_after = TUESDAY_NOON.replace(microsecond=1)
    assert users_of(sessions_as_of(conf, lake, just_after)) == joined | bob


@pytest.mark.long
def test_a_past_night_is_what_it_would_be_if_nobody_had_logged_in_since(shops):
    histories, features = {}, {}
    for name, each in vars(shops).items():
        conf = shop(each.folder, MONDAY)
        users, _ = sequences_as_of(conf, each.lake)
        histories[name] = rows_of(users)
        featurize(conf, each.lake)
        features[name] = rows_of(each.lake.read(USER_FEATURES.table).where(f"ds = '{MONDAY}'"))
    assert histories["joined"] == histories["apart"]
    assert features["joined"] == features["apart"]
    assert [row[0] for row in histories["joined"]] == ["ann", "bob", "tab"]

    conf = shop(shops.joined.folder, TUESDAY)
    assert [row[0] for row in rows_of(sequences_as_of(conf, shops.joined.lake)[0])] == ["ann", "bob"]


@pytest.mark.long
def test_an_example_set_as_of_a_moment_before_a_login_does_not_see_it(shops):
    made = {}
    for name, each in vars(shops).items():
        conf = shop(each.folder, TUESDAY, "promote.holdout_days=1", "task.validation_days=1")
        said = examples(conf, each.lake)
        rows = each.lake.spark.read.format("delta").load(f"{each.lake.root}/examples/{said['set_id']}/rows")
        made[name] = rows_of(rows)
    assert made["joined"] == made["apart"] != []


def test_a_night_after_whose_end_somebody_logs_in_does_not_know_it(spark, tmp_path):
    """Of a clock that is fast: the login is taken in, and is in the tables."""
    write_log(tmp_path / "raw", MONDAY, line("tab", f"{MONDAY}T10:00:00Z", "t1", item_id="milk"))
    login = {"anonymous_id": "tab", "user_id": "ann", "valid_from": "2026-11-03T00:30:00Z"}
    write_logins(tmp_path / "raw", MONDAY, login)
    conf = shop(tmp_path, MONDAY)
    night(spark, conf)
    lake = Lake(spark, conf.lake)
    assert rows_of(lake.read(SESSIONS), "user_id") == [("ann",)]
    assert rows_of(sequences_as_of(conf, lake)[0], "user_id") == [("tab",)]


def test_without_logins_there_is_no_map_to_look_at(spark, tmp_path):
    write_log(tmp_path / "raw", MONDAY, line("tab", f"{MONDAY}T10:00:00Z", "t1", item_id="milk"))
    conf = shop(tmp_path, MONDAY)
    lake = Lake(spark, conf.lake)
    for step in (ingest, sessionize, sequence):
        step(conf, lake)
    assert not lake.exists(IDENTITIES)

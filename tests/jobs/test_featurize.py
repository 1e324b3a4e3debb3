"""Tables of features, night by night."""

from datetime import timedelta

import pytest
from pyspark.sql import functions as f

from features.item_features import ITEM_FEATURES
from features.items import ITEMS, described, unseen
from features.lake import Lake
from features.sessions import SESSIONS, mark_sessions, to_sessions
from features.user_features import USER_FEATURES
from features.user_item_features import USER_ITEM_FEATURES
from jobs.featurize import featurize
from jobs.job import InputError
from tests.jobs.nights import contents, shop
from tests.shop import at, event, events, rows_of

SUNDAY = "2026-11-01"
SECOND = 1 / 86_400  # before the end of the night, in days
TABLES = [family.table for family in (USER_FEATURES, ITEM_FEATURES, USER_ITEM_FEATURES)]
GAP = timedelta(minutes=30)


def store(lake: Lake, *rows: dict) -> None:
    lake.append(SESSIONS, to_sessions(mark_sessions(events(lake.spark, *rows), GAP)), {"job": "test"})


def bought(user: str, days_back: int, item: str) -> dict:
    time = at("23:59:59") - timedelta(days=days_back)
    return event(user, time, f"{user}{days_back}", item_id=item)


@pytest.fixture(scope="module")
def week(spark, tmp_path_factory):
    """A shop with a Sunday night, and what came on Monday too."""
    folder = tmp_path_factory.mktemp("week")
    lake = Lake(spark, str(folder / "lake"))
    store(
        lake,
        bought("ann", 8, "milk"),
        bought("ann", 1, "milk"),
        bought("bob", 2, "jam"),
        bought("bob", 0, "milk"),
    )
    indices = spark.createDataFrame([("milk", 3), ("jam", 4)], "item_id string, item_index int")
    named = spark.createDataFrame(
        [("milk", "Milk", "dairy", {})],
        "item_id string, title string, category string, attributes map<string,string>",
    )
    lake.append(ITEMS, described(unseen(indices), named), {"job": "test"})
    return folder, lake, featurize(shop(folder, SUNDAY), lake)


def test_a_night_has_its_rows_as_of_its_end(week):
    _, lake, said = week
    assert said == {"user_features": 2, "item_features": 2, "user_item_features": 2}
    shown = ("ds", "user_id", "recency", "order_count", "favourite_category")
    users = rows_of(lake.read(USER_FEATURES.table), *shown)
    assert [(str(ds), *rest) for ds, *rest in users] == [
        (SUNDAY, "ann", pytest.approx(SECOND), 2, "dairy"),
        (SUNDAY, "bob", pytest.approx(1 + SECOND), 1, None),
    ]


def test_a_night_that_is_made_again_is_the_same_whatever_came_later_and_other_nights_are_left_alone(week):
    folder, lake, said = week
    table = USER_FEATURES.table
    monday = lake.read(table).withColumn("ds", f.date_add("ds", 1)).where("user_id = 'ann'")
    lake.append(table, lake.spark.createDataFrame(monday.collect(), table.schema), {"job": "test"})
    before = contents(lake, *TABLES)
    store(lake, event("cid", at("00:00:00"), "later", item_id="jam", amount=1e6))
    assert featurize(shop(folder, SUNDAY), lake) == said
    assert contents(lake, *TABLES) == before


def test_a_commit_says_what_it_was_made_from(week):
    _, lake, _ = week
    first = lake.history(USER_FEATURES.table)[0]
    assert (first["job"], first["ds"], first["rows"]) == ("featurize", SUNDAY, 2)
    assert first["as_of"] == "2026-11-02T00:00:00+00:00"
    assert first["tables"] == {"sessions": 1, "items": 1}


def test_a_night_before_everything_is_refused(week):
    folder, lake, _ = week
    with pytest.raises(
        InputError, match=r"^no sessions before 2026-10-02: the oldest begins on 2026-10-25, set ds later"
    ):
        featurize(shop(folder, "2026-10-01"), lake)


def test_a_lake_without_sessions_is_refused(lake, conf):
    with pytest.raises(InputError, match="there are no sessions yet: run ingest and sessionize first"):
        featurize(conf, lake)

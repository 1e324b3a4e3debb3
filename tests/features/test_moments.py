"""Users as of several moments at once are what they are as of each alone."""

from datetime import timedelta

import pytest
from pyspark.sql import functions as f

from conf.load import load
from features.history import history
from features.moments import as_of, at_each, moment_of, told_apart
from features.questions import histories, histories_at
from features.sessions import mark_sessions, to_sessions
from features.user_features import activity_features, user_features
from tests.shop import at, event, events, rows_of

MOMENTS = [at("10:30:00"), at("11:20:00"), at("23:00:00"), at("10:05:00")]
CONF = load(["source=plain", "task.event_types=[purchase]"])


@pytest.fixture(scope="module")
def shop(spark):
    """Ann's two sessions, in one of which is a moment; one of a user with a name like that of a user as of a moment."""
    rows = [
        event("ann", "10:00:00", "1", item_id="milk", amount=1.0),
        event("ann", "10:05:00", "2", item_id="jam", amount=2.0),
        event("ann", "11:10:00", "3", item_id="milk", amount=3.0),
        event("ann", "11:20:00", "4", item_id="jam", amount=4.0),
        event("eve/7", "11:00:00", "5", item_id="jam", amount=5.0),
    ]
    return to_sessions(mark_sessions(events(spark, *rows), timedelta(minutes=30))).persist()


@pytest.fixture(scope="module")
def items(spark):
    return spark.createDataFrame(
        [("milk", 3, "dairy"), ("jam", 4, "spread")], "item_id string, item_index int, category string"
    )


def test_sessions_are_there_as_of_each_moment_with_their_events_before_it(shop):
    told = told_apart(at_each(shop, MOMENTS)).select(
        "user_id", f.date_format("moment", "HH:mm"), "start_ts", f.size("events")
    )
    sizes = sorted((user, moment, size) for user, moment, _, size in rows_of(told))
    assert sizes == [
        ("ann", "10:05", 1),
        ("ann", "10:30", 2),
        ("ann", "11:20", 1),
        ("ann", "11:20", 2),
        ("ann", "23:00", 2),
        ("ann", "23:00", 2),
        ("eve/7", "11:20", 1),
        ("eve/7", "23:00", 1),
    ]


def test_histories_and_features_are_those_of_each_moment_alone(shop, items):
    sessions = at_each(shop, MOMENTS)
    past = history(sessions, moment_of(), CONF.source)
    at_once = (
        histories_at(shop, items, MOMENTS, CONF, CONF.task.length),
        activity_features(past),
        user_features(past, items),
    )
    found = [rows_of(told_apart(frame)) for frame in at_once]
    alone = [[], [], []]
    for moment in MOMENTS:
        then = history(shop, moment, CONF.source)
        frames = (
            histories(shop, items, moment, CONF),
            activity_features(then),
            user_features(then, items),
        )
        for rows, frame in zip(alone, frames, strict=True):
            rows += rows_of(told_apart(as_of(frame, moment)))
    for one, other in zip(found, alone, strict=True):
        assert len(one) == 6, "Ann at four moments, Eve at two"
        assert one == sorted(other, key=repr)

"""Nothing that happens at a moment or after it is in a feature as of that moment, whatever it is."""

from datetime import datetime, timedelta
from functools import reduce

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.load import load
from features.behaviour_features import behaviour_features
from features.history import history
from features.item_features import item_features
from features.normalise import fit
from features.sessions import mark_sessions, to_sessions
from features.user_features import USER_FEATURES, user_features
from features.user_item_features import user_item_features
from tests.shop import at, event, events

NOON = at("12:00:00")
GAP = timedelta(minutes=30)
SOURCE = load(["source=plain", "source.shop_timezone=Asia/Kathmandu"]).source
WORLDS = 30  # shops in one run of Spark, none of which shares a user, an item or a category with another

SPANS = st.one_of(  # seconds: within the session that is going on, within a day, within months
    st.integers(0, 2_400), st.integers(0, 86_400), st.integers(0, 100 * 86_400)
)
DEED = st.tuples(
    st.sampled_from("ab"),  # user
    st.sampled_from(["view", "cart", "purchase"]),
    st.sampled_from([None, "x", "y", "z"]),  # item
    st.sampled_from([None, 0.0, 1.25, 7.0]),  # amount
    st.sampled_from([None, 1.0, 3.0]),  # pieces
)
DEEDS = st.lists(st.tuples(SPANS, DEED), max_size=8)
SHOPS = st.lists(st.tuples(DEEDS, DEEDS, DEEDS), min_size=WORLDS, max_size=WORLDS)


def rows_of_world(world: int, past: list, future: list) -> list[dict]:
    """The past lies a microsecond and more before noon, the future at noon and later."""
    times = [(NOON - timedelta(seconds=span, microseconds=1), deed) for span, deed in past]
    times += [(NOON + timedelta(seconds=span), deed) for span, deed in future]
    return [row(world, number, time, deed) for number, (time, deed) in enumerate(times)]


def row(world: int, number: int, time: datetime, deed: tuple) -> dict:
    user, what, item, amount, pieces = deed
    return event(
        f"{world}{user}",
        time,
        f"{world}-{number}",
        event_type=what,
        item_id=item and f"{world}{item}",
        amount=amount,
        quantity=pieces,
    )


def everything(spark, rows: list[dict]) -> list[str]:
    """All features of all families as of noon, one entity a text."""
    past = history(to_sessions(mark_sessions(events(spark, *rows), GAP)), NOON, SOURCE).persist()
    items = spark.createDataFrame(
        [
            (f"{world}{item}", f"{world}/{'even' if item == 'y' else 'odd'}")
            for world in range(WORLDS)
            for item in "xy"
        ],
        "item_id string, category string",
    )
    families = [
        user_features(past, items),
        item_features(past, items),
        user_item_features(past),
        behaviour_features(past, items),
    ]
    written = [made.select(f.to_json(f.struct("*"), {"ignoreNullFields": "false"})) for made in families]
    texts = sorted(text for (text,) in reduce(DataFrame.unionAll, written).collect())
    past.unpersist()
    return texts


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(SHOPS)
def test_events_that_come_later_change_nothing(spark, shops):
    one = [row for world, (past, future, _) in enumerate(shops) for row in rows_of_world(world, past, future)]
    other = [
        row for world, (past, _, future) in enumerate(shops) for row in rows_of_world(world, past, future)
    ]
    if one and other:
        assert everything(spark, one) == everything(spark, other)


def test_an_event_a_microsecond_before_the_moment_is_seen_and_one_at_it_is_not(spark):
    rows = [event("ann", NOON - timedelta(microseconds=1), "a"), event("ann", NOON, "b")]
    sessions = to_sessions(mark_sessions(events(spark, *rows), GAP))
    assert [row.event_id for row in history(sessions, NOON, SOURCE).collect()] == ["a"]


def test_statistics_of_a_training_window_do_not_know_what_came_after_it(spark):
    before = [
        event("ann", NOON - timedelta(days=9), "a", item_id="x"),
        event("ann", NOON - timedelta(minutes=5), "b", item_id="x"),
        event("bob", NOON - timedelta(days=3), "c", item_id="y", amount=7.0),
    ]
    after = [
        event("ann", NOON, "d", item_id="y", amount=1e6),
        event("ann", NOON + timedelta(minutes=5), "e", item_id="x"),
        event("eve", NOON + timedelta(days=2), "f", item_id="z", amount=3.0),
    ]
    items = spark.createDataFrame([("x", "odd"), ("y", "even")], "item_id string, category string")

    def statistics(moment: datetime, *rows: dict) -> dict:
        past = history(to_sessions(mark_sessions(events(spark, *rows), GAP)), moment, SOURCE).persist()
        return fit(
            user_features(past, items), USER_FEATURES, ["recency", "spend", "price_median", "order_recency"]
        )

    known = statistics(NOON, *before)
    assert statistics(NOON, *before, *after) == known
    assert statistics(NOON + timedelta(days=3), *before, *after) != known

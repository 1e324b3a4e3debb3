"""The features of a small shop, typed in: what each of them comes to."""

import importlib
import pkgutil
from datetime import timedelta
from math import log

import pytest
from pyspark.sql import functions as f

import features
from conf.load import load
from features.behaviour_features import BEHAVIOUR_FEATURES, behaviour_features
from features.clock import price_bucket
from features.feature import Family
from features.history import history, orders, pairs, tastes
from features.item_features import ITEM_FEATURES, item_features
from features.sessions import mark_sessions, to_sessions
from features.user_features import USER_FEATURES, user_features
from features.user_item_features import USER_ITEM_FEATURES, user_item_features
from tests.shop import at, event, events, rows_of
from tools.generate_docs import FAMILIES

GAP = timedelta(minutes=30)
NOON = at("12:00:00")  # Monday, 2026-11-02
SOURCE = load(["source=plain"]).source
CATALOGUE = {"milk": "dairy", "cream": "dairy", "bread": "bakery", "jam": None}


def done(
    user: str,
    days_ago: float,
    what: str,
    item: str | None,
    amount: float | None = None,
    pieces: float | None = None,
):
    """One event so many days before noon; 0.0005 of a day are 43.2 seconds."""
    time = NOON - timedelta(days=days_ago)
    more = {"event_type": what, "item_id": item, "amount": amount, "quantity": pieces}
    return event(user, time, f"{user}{days_ago}{what}{item}", **more)


SHOP = [
    done("ann", 35.0, "view", "milk"),  # Monday, 28 September, 12:00
    done("ann", 34.9997, "cart", "milk"),
    done("ann", 34.9995, "purchase", "milk", 3.0, 2.0),
    done("ann", 15.0, "purchase", "milk", 1.0, 1.0),  # Sunday, 12:00
    done("ann", 14.9995, "view", "jam"),
    done("ann", 4.75, "purchase", "milk", 1.0, 1.0),  # Wednesday, 18:00
    done("ann", 4.7495, "purchase", "bread", 2.0, 1.0),
    done("ann", 0.25, "view", "jam"),  # Monday, 06:00
    done("ann", 0.0, "purchase", "jam", 9.99, 1.0),  # not before the moment
    done("bob", 1.0, "view", "milk"),  # Sunday, 12:00
    done("bob", 0.9995, "cart", "milk"),
    done("cid", 1.0, "purchase", "cream", 0.5, 1.0),
    done("dan", 9.0, "purchase", None, 5.0),
]


@pytest.fixture(scope="module")
def shop(spark):
    return to_sessions(mark_sessions(events(spark, *SHOP), GAP)).persist()


@pytest.fixture(scope="module")
def past(shop):
    return history(shop, NOON, SOURCE).persist()


@pytest.fixture(scope="module")
def items(spark):
    return spark.createDataFrame(list(CATALOGUE.items()), "item_id string, category string").persist()


@pytest.fixture(scope="module")
def users(past, items):
    return {row.user_id: row.asDict() for row in user_features(past, items).collect()}


def close(expected: dict) -> dict:
    return {
        name: pytest.approx(value, abs=1e-5) if isinstance(value, float) else value
        for name, value in expected.items()
    }


ANN = {
    "recency": 0.25,
    "tenure": 35.0,
    "order_recency": 4.75,
    "session_count": 4,
    "session_count_7d": 2,
    "session_count_28d": 3,
    "session_count_90d": 4,
    "active_days": 4,
    "order_count": 3,
    "order_count_7d": 1,
    "order_count_28d": 2,
    "order_count_90d": 3,
    "order_trend": log(3 / 2),  # two orders in the last 28 days, one in the 28 before
    "session_interval_median": 10.2495,  # of 19.9995, 10.2495 and 4.4995
    "order_interval_mean": 15.12475,  # of 19.9995 and 10.25
    "order_interval_median": 15.12475,
    "order_due": 4.75 / 15.12475,
    "spend": 7.0,
    "spend_7d": 3.0,
    "spend_28d": 4.0,
    "spend_90d": 7.0,
    "spend_per_order": 7 / 3,
    "items_per_order": 4 / 3,
    "price_median": 1.25,  # of 1.00, 1.00, 1.50 and 2.00
    "price_bucket": 20,
    "events_per_session": 2.0,
    "session_minutes": 0.54,  # three times 43.2 seconds, and none
    "dwell_median": 34.5,  # of 17 (0.0002 and 0.0003 of a day are 17.28 and 25.92 s), 26, 43 and 43 seconds
    "view_to_cart": 0.5,  # milk, not jam
    "cart_to_purchase": 1.0,
    "view_to_purchase": 0.5,
    "hour_sin": -1 / 8,  # six o'clock once, eighteen o'clock twice
    "hour_cos": -5 / 8,  # noon five times
    "weekend_share": 2 / 8,
    "peak_hour": 12,
    "peak_weekday": 0,
    "item_count": 3,
    "rebuy_share": 2 / 4,
    "item_interval_median": 15.12,
    "due_item_count": 0,
    "category_count": 2,
    "favourite_category": "dairy",
}  # fmt: skip

BOB = {  # looked once, and bought nothing
    "recency": 0.9995,
    "tenure": 1.0,
    "session_count": 1,
    "order_count": 0,
    "order_count_28d": 0,
    "order_trend": 0.0,
    "spend": 0.0,
    "view_to_cart": 1.0,
    "cart_to_purchase": 0.0,
    "view_to_purchase": 0.0,
    "due_item_count": 0,
    "category_count": 1,
    "category_entropy": 0.0,
    "category_affinities": {"dairy": 1.0},
    "favourite_share": 1.0,
    "peak_weekday": 6,
    **dict.fromkeys(
        ["order_recency", "session_interval_median", "order_interval_mean", "order_interval_median", "order_due",
         "spend_per_order", "items_per_order", "price_median", "price_bucket", "rebuy_share", "item_interval_median"]
    ),
}  # fmt: skip

DAN = {  # bought once, without an item
    "order_count": 1,
    "spend": 5.0,
    "items_per_order": 0.0,
    "price_median": 5.0,  # of a line without a number of pieces
    "price_bucket": 24,
    "item_count": 0,
    "category_count": 0,
    **dict.fromkeys(
        ["dwell_median", "view_to_cart", "cart_to_purchase", "category_entropy", "category_affinities", "favourite_category"]
    ),
}  # fmt: skip


@pytest.mark.parametrize(("user", "expected"), [("ann", ANN), ("bob", BOB), ("dan", DAN)])
def test_what_a_user_is_like(users, user, expected):
    assert {name: users[user][name] for name in expected} == close(expected)


def test_every_feature_of_a_user_has_its_example(users):
    shown = {*ANN, *BOB, *DAN}
    assert shown == set(USER_FEATURES.by_name)
    assert set(users) == {"ann", "bob", "cid", "dan"}


def test_a_taste_halves_in_28_days(spark, items):
    rows = [
        done("eve", 28.0, "view", "milk"),
        done("eve", 56.0, "view", "bread"),
        done("eve", 84.0, "view", "bread"),
    ]
    past = history(to_sessions(mark_sessions(events(spark, *rows), GAP)), NOON, SOURCE).persist()
    assert rows_of(tastes(pairs(past), items)) == [("eve", "bakery", 375_000), ("eve", "dairy", 500_000)]
    shown = ("category_affinities", "favourite_share", "category_entropy")
    (eve,) = user_features(past, items).select(*shown).collect()
    assert eve.category_affinities == {"dairy": pytest.approx(4 / 7), "bakery": pytest.approx(3 / 7)}
    assert eve.favourite_share == pytest.approx(4 / 7)
    assert eve.category_entropy == pytest.approx(-(4 / 7) * log(4 / 7) - (3 / 7) * log(3 / 7))


MILK = {
    "age": 35.0,
    "recency": 0.9995,
    "session_count": 4,
    "session_count_7d": 2,
    "session_count_28d": 3,
    "session_count_90d": 4,
    "session_trend": log(4 / 2),
    "order_count": 3,
    "order_count_7d": 1,
    "order_count_28d": 2,
    "order_count_90d": 3,
    "revenue_28d": 2.0,
    "pieces_per_order": 4 / 3,
    "user_count": 2,
    "buyer_count": 1,
    "rebuy_rate": 1.0,
    "repeat_interval_median": 15.12,
    "view_to_cart": 1.0,
    "cart_to_purchase": 0.5,
    "view_to_purchase": 0.5,
    "dwell_median": 43.0,  # of 17, 26, 43, 43 and 43 seconds
    "hour_sin": -1 / 7,
    "hour_cos": -6 / 7,
    "weekend_share": 3 / 7,
    "category": "dairy",
    "price": 1.0,  # of 1.00, 1.00 and 1.50
    "price_bucket": 20,
    "price_rank": 1.0,  # cream, the other of its category, is cheaper
}
JAM = {  # looked at only, before noon, and in no category
    "session_count": 2,
    "order_count": 0,
    "revenue_28d": 0.0,
    "buyer_count": 0,
    "view_to_cart": 0.0,
    "dwell_median": None,
    **dict.fromkeys(
        ["pieces_per_order", "rebuy_rate", "repeat_interval_median", "cart_to_purchase", "category", "price", "price_bucket",
         "price_rank"]
    ),
}  # fmt: skip


def test_what_an_item_is_like(past, items):
    found = {row.item_id: row.asDict() for row in item_features(past, items).collect()}
    assert set(found) == set(CATALOGUE)
    assert set(MILK) == set(ITEM_FEATURES.by_name)
    assert {name: found["milk"][name] for name in MILK} == close(MILK)
    assert {name: found["jam"][name] for name in JAM} == close(JAM)
    assert found["cream"]["price_rank"] == 0.0


def test_what_is_between_a_user_and_an_item(past):
    rows = {(row.user_id, row.item_id): row.asDict() for row in user_item_features(past).collect()}
    assert set(rows) == {("ann", "milk"), ("ann", "jam"), ("ann", "bread"), ("bob", "milk"), ("cid", "cream")}
    milk = {
        "session_count": 3,
        "recency": 4.75,
        "order_count": 3,
        "order_recency": 4.75,
        "interval_mean": 15.12475,
        "interval_median": 15.12475,
        "due": 4.75 / 15.12475,
        "pieces": 4.0,
        "spend": 5.0,
    }
    assert set(milk) == set(USER_ITEM_FEATURES.by_name)
    assert {name: rows["ann", "milk"][name] for name in milk} == close(milk)
    unbought = {"order_count": 0, "order_recency": None, "interval_median": None, "due": None, "spend": 0.0}
    assert {name: rows["ann", "jam"][name] for name in unbought} == unbought


def test_days_between_buys_their_mean_and_their_median(spark):
    """Bought 12, 9, 2 and 1 days ago: 3, 7 and 1 days between; again in the same session, which counts once."""
    rows = [done("ann", days, "purchase", "milk") for days in (12.0, 9.0, 2.0, 1.9999, 1.0)]
    past = history(to_sessions(mark_sessions(events(spark, *rows), GAP)), NOON, SOURCE)
    (pair,) = pairs(past).collect()
    assert (pair.buys, pair.bought_days_ago) == (4, 1.0)
    assert (pair.interval_mean, pair.interval_median) == (pytest.approx(11 / 3), pytest.approx(3.0))
    assert rows_of(orders(past), "days_ago", "interval") == [(1.0, 1.0), (12.0, None), (2.0, 7.0), (9.0, 3.0)]


def test_what_single_events_are_like(past, items):
    rows = {row.event_id: row.asDict() for row in behaviour_features(past, items).collect()}
    assert len(rows) == len(SHOP) - 1
    carted = rows["ann34.9997cartmilk"]
    expected = {
        "age": 34.9997,
        "place": 1,
        "gap": 0.432,  # minutes
        "dwell": 17.28,  # seconds
        "hour": 12,
        "weekday": 0,
        "weekend": 0,
        "hour_sin": 0.0,
        "hour_cos": -1.0,
        "event_type": "cart",
        "category": "dairy",
        "price": None,
        "price_bucket": None,
    }
    assert set(expected) == set(BEHAVIOUR_FEATURES.by_name)
    assert {name: carted[name] for name in expected} == close(expected)
    bought = rows["ann34.9995purchasemilk"]
    assert (bought["price"], bought["price_bucket"], bought["dwell"]) == (1.5, 21, None)
    first, last = rows["ann35.0viewmilk"], rows["ann0.25viewjam"]
    assert (first["gap"], first["place"]) == (None, 0)
    assert last["gap"] == pytest.approx(4.4995 * 24 * 60), "since the session before"
    assert last["dwell"] is None
    assert last["hour_sin"] == pytest.approx(1.0), "six o'clock"


def test_hours_and_weekdays_are_those_of_the_shop_also_where_its_clock_is_put_back(spark, items):
    new_york = load(["source=plain", "source.shop_timezone=America/New_York"]).source
    rows = [event("ann", at("02:30:00") - timedelta(days=back), f"{back}") for back in (0, 1, 2)]
    past = history(to_sessions(mark_sessions(events(spark, *rows), GAP)), NOON, new_york)
    found = {
        row.event_id: (row.hour, row.weekday, row.weekend)
        for row in behaviour_features(past, items).collect()
    }
    assert found == {"2": (22, 4, 0), "1": (22, 5, 1), "0": (21, 6, 1)}, (
        "summer time until Sunday, 1 November"
    )
    peak = f.expr(USER_FEATURES.by_name["peak_hour"].value)
    assert past.agg(peak).first()[0] == 22
    assert past.where("event_id != '2'").agg(peak).first()[0] == 21, "the first of equals"


def test_a_source_says_what_its_views_carts_and_purchases_are(spark, items):
    """Here a cart is as good as a purchase, and there are none that are only carts."""
    own_words = load(
        ["source=plain", "source.purchase_types=[cart,purchase]", "source.cart_types=[mail]"]
    ).source
    rows = [done("ann", 2.0, "view", "milk"), done("ann", 1.0, "cart", "milk", 2.0)]
    past = history(to_sessions(mark_sessions(events(spark, *rows), GAP)), NOON, own_words)
    shown = ("order_count", "spend", "view_to_purchase", "view_to_cart", "cart_to_purchase")
    (ann,) = user_features(past, items).select(*shown).collect()
    assert (ann.order_count, ann.spend, ann.view_to_purchase) == (1, 2.0, 1.0)
    assert (ann.view_to_cart, ann.cart_to_purchase) == (None, None), "mails are passive: in no session"


def test_a_session_that_goes_on_is_cut_at_the_moment(shop):
    at_the_cart = history(shop, NOON - timedelta(days=34.9997), SOURCE).collect()
    assert [(row.event_id, row.dwell) for row in at_the_cart] == [("ann35.0viewmilk", None)]


def test_amounts_that_are_no_numbers_count_as_none(spark):
    odd = [(float("nan"), 1.0), (float("inf"), 1.0), (2.0, float("nan")), (-2.0, 1.0), (2.0, 0.0), (3.0, 2.0)]
    rows = [
        event("ann", at(f"10:00:0{n}"), f"{n}", amount=amount, quantity=pieces)
        for n, (amount, pieces) in enumerate(odd)
    ]
    past = (
        history(to_sessions(mark_sessions(events(spark, *rows), GAP)), NOON, SOURCE)
        .orderBy("place")
        .collect()
    )
    assert [row.money for row in past] == [0, 0, 20_000, -20_000, 20_000, 30_000]
    assert [row.price for row in past] == [None, None, 2.0, None, None, 1.5]


def test_every_family_has_its_chapter_in_the_documentation():
    modules = [
        importlib.import_module(f"features.{found.name}") for found in pkgutil.iter_modules(features.__path__)
    ]
    declared = {
        value.name for module in modules for value in vars(module).values() if isinstance(value, Family)
    }
    assert declared == {family.name for family in FAMILIES}


def test_prices_share_a_bucket_within_a_half_octave(spark):
    cases = [
        (None, None),
        (0.0, 0),
        (1e-9, 1),
        (0.99, 19),
        (1.0, 20),
        (1.41, 20),
        (1.42, 21),
        (2.0, 22),
        (8.0, 26),
        (1e12, 62),
    ]
    frame = spark.createDataFrame([(price,) for price, _ in cases], "price double")
    found = frame.selectExpr(f"{price_bucket('price').value} as bucket").collect()
    assert [row.bucket for row in found] == [bucket for _, bucket in cases]

"""What was sold in each week back from a moment."""

from datetime import timedelta

from conf.load import load
from features.demand import weekly_units
from features.history import history
from tests.shop import at, rows_of

SESSION = "user_id string, session_id string, start_ts timestamp, end_ts timestamp, events " + (
    "array<struct<event_id:string,event_ts:timestamp,event_type:string,item_id:string,quantity:double,amount:double>>"
)
CONF = load(["source=plain", "task=churn"])
NOON = at("12:00:00")


def bought(spark, *lines):
    """Sessions of one purchase each: user, item, days before noon, pieces."""
    rows = []
    for number, (user, item, days, pieces) in enumerate(lines):
        time = NOON - timedelta(days=days)
        rows.append((user, f"s{number}", time, time, [(f"e{number}", time, "purchase", item, pieces, 1.0)]))
    return history(spark.createDataFrame(rows, SESSION), NOON, CONF.source)


def test_units_and_buyers_of_items_and_categories_week_by_week(spark):
    items = spark.createDataFrame(
        [("milk", "dairy"), ("brie", "dairy"), ("gas", None)], "item_id string, category string"
    )
    past = bought(
        spark,
        ("ann", "milk", 1.0, 2.0),
        ("bob", "milk", 7.0, 1.0),
        ("bob", "brie", 2.0, None),
        ("bob", "gas", 7.1, 12_000.0),
        ("bob", "gas", 8.0, 0.0),
    )
    assert rows_of(weekly_units(past, items, 7, 100.0)) == [
        ("category dairy", 0, 4.0, 2),
        ("item brie", 0, 1.0, 1),
        ("item gas", 1, 2.0, 1),
        ("item milk", 0, 3.0, 2),
    ]

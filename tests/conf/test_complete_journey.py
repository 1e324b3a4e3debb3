"""How a record of the demonstration's logs becomes an event, and a product of its catalogue an item."""

import datetime as dt
import json

import pytest

from conf.load import load
from features.catalogue import catalogue
from features.events import parse
from features.formats import with_fields

ARRIVED = {"source_file": "events.json.gz", "arrival_date": dt.date(2017, 1, 1), "ingest_seq": 0}
PURCHASE = {
    "event_id": "p-31198570044-1",
    "type": "purchase",
    "time": "2017-01-01T11:53:26Z",
    "household_id": 900,
    "basket_id": 31198570044,
    "store_id": 330,
    "product_id": 1095275,
    "quantity": 2,
    "sales_value": 0.5,
    "retail_disc": 0,
    "coupon_disc": 0.0,
    "coupon_match_disc": 0.1,
}
REDEMPTION = {
    "event_id": "r-1029-20170101-1",
    "type": "coupon_redeem",
    "time": "2017-01-01T16:58:48Z",
    "household_id": 1029,
    "coupon_upc": 51380041013,
    "campaign_id": 26,
}
CAMPAIGN = {
    "event_id": "c-1-105",
    "type": "campaign_receive",
    "time": "2017-03-03T05:00:00Z",
    "household_id": 105,
    "campaign_id": 1,
    "campaign_type": "Type B",
}
NOTHING = {"item_id": None, "quantity": None, "amount": None}
EVENTS = [
    (
        PURCHASE,
        {
            "event_id": "p-31198570044-1",
            "user_id": "900",
            "event_ts": dt.datetime(2017, 1, 1, 11, 53, 26),
            "event_type": "purchase",
            "item_id": "1095275",
            "quantity": 2.0,
            "amount": 0.5,
            "attributes": {"basket_id": "31198570044", "store_id": "330"},
        },
    ),
    (
        REDEMPTION,
        {
            "event_id": "r-1029-20170101-1",
            "user_id": "1029",
            "event_ts": dt.datetime(2017, 1, 1, 16, 58, 48),
            "event_type": "coupon_redeem",
            "attributes": {"coupon_upc": "51380041013", "campaign_id": "26"},
            **NOTHING,
        },
    ),
    (
        CAMPAIGN,
        {
            "event_id": "c-1-105",
            "user_id": "105",
            "event_ts": dt.datetime(2017, 3, 3, 5),
            "event_type": "campaign_receive",
            "attributes": {"campaign_id": "1", "campaign_type": "Type B"},
            **NOTHING,
        },
    ),
]


@pytest.fixture(scope="module")
def source():
    return load(["source=complete_journey"]).source


def as_text(spark, record: dict):
    return spark.createDataFrame([{**ARRIVED, "text": json.dumps(record)}])


@pytest.mark.parametrize(("record", "event"), EVENTS, ids=lambda value: value["event_id"])
def test_a_record_becomes_an_event(spark, source, record, event):
    [row] = parse(with_fields(as_text(spark, record), source), source).collect()
    assert row["reason"] is None
    assert {name: row[name] for name in event} == event


@pytest.mark.parametrize("kind", ["purchase", "coupon_redeem", "campaign_receive"])
def test_only_purchases_make_sessions(source, kind):
    assert source.event_types[kind] == (kind == "purchase")


def test_a_record_without_its_household_is_refused(spark, source):
    [row] = parse(with_fields(as_text(spark, {**PURCHASE, "household_id": None}), source), source).collect()
    assert row["reason"] == "no_user"


def test_a_product_becomes_an_item_without_what_is_not_known_of_it(spark, source):
    product = {"product_id": 26081, "manufacturer_id": 2, "department": "GROCERY", "brand": "National"}
    ice = {
        **product,
        "product_id": 25671,
        "product_category": "FRZN ICE",
        "product_type": "ICE - CRUSHED/CUBED",
    }
    lines = [as_text(spark, record) for record in (product, {**ice, "package_size": "22 LB"})]
    read = with_fields(lines[0].union(lines[1]), source.items)
    items = {row["item_id"]: row for row in catalogue(read, source.items).collect()}
    known = {"department": "GROCERY", "brand": "National", "manufacturer_id": "2"}
    assert (items["26081"]["category"], items["26081"]["attributes"]) == (None, known)
    assert (items["25671"]["category"], items["25671"]["attributes"]) == (
        "FRZN ICE",
        {**known, "product_type": "ICE - CRUSHED/CUBED", "package_size": "22 LB"},
    )

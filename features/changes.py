"""What sessions that were put in and taken out change in counts that are made of all sessions.

A count adds up: what was put in less what was taken out. A first or last time only widens, unless what was taken out may
have been it: such a key `is_less`, and its times have to be looked up in all sessions. That happens to a bot's day alone.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

ENDS = {"first_seen": f.least, "last_seen": f.greatest}


def difference(put_in: DataFrame, taken_out: DataFrame, key: str, counts: tuple[str, ...]) -> DataFrame:
    """Of each key the counts' differences, the first and last time of what was put in, and whether it `is_less`.

    put_in                         taken_out                 after
    item  first  last   events     item  first  last  events  item  first  last   events  is_less
    milk  10:00  10:00  1          milk  10:00  10:00  1      milk  10:00  10:00  0       false
    jam   10:25  10:25  1          figs  09:00  09:00  1      jam   10:25  10:25  1       false
                                                             figs  null   null   -1      true
    """
    both = put_in.alias("new").join(taken_out.alias("old"), key, "full")
    covers = (f.col("new.first_seen") <= f.col("old.first_seen")) & (
        f.col("new.last_seen") >= f.col("old.last_seen")
    )
    is_less = f.col("old.first_seen").isNotNull() & ~f.coalesce(covers, f.lit(False))
    moved = (
        (f.coalesce(f"new.{name}", f.lit(0)) - f.coalesce(f"old.{name}", f.lit(0))).alias(name)
        for name in counts
    )
    return both.select(key, *moved, *(f"new.{name}" for name in ENDS), is_less.alias("is_less"))


def looked_up(changes: DataFrame, found: DataFrame, key: str) -> DataFrame:
    """The changes, with the times of `found` for keys that are less; null for those of which nothing is left."""
    less = changes.where("is_less").select(key)
    times = found.join(less, key, "left_semi").select(key, f.struct(*ENDS).alias("_found"))
    whole = {name: f.when(f.col("is_less"), f.col(f"_found.{name}")).otherwise(f.col(name)) for name in ENDS}
    return changes.join(times, key, "left").withColumns(whole).drop("_found")


def applied(known: DataFrame, changes: DataFrame, key: str, counts: tuple[str, ...]) -> DataFrame:
    """The rows that are known or changed, with `counts` and times as they are after the changes."""
    told = changes.select(key, f.struct(*counts, *ENDS, "is_less").alias("_change"))
    values = {name: f.coalesce(name, f.lit(0)) + f.coalesce(f"_change.{name}", f.lit(0)) for name in counts}
    for name, widest in ENDS.items():
        times = f.when(f.col("_change.is_less"), f.col(f"_change.{name}"))
        values[name] = times.otherwise(widest(name, f"_change.{name}"))
    return known.join(told, key, "full").withColumns(values).drop("_change")

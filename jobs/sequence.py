"""Bring items, sequences and users up to the newest sessions.

Reads `sessions` and `events`; gives new items their index in `items`, and merges the users who got events into
`sequences` and `users`. It goes on from what the last commit of each table covered. Safe to run again, and after a kill.

    spark-submit jobs/sequence.py ds=2017-12-28 raw=var/demo/raw lake=var/demo/lake
"""

from datetime import date
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame

from conf.schema import Config
from features.batches import Batches, covered, events_of, events_upto
from features.catalogue import catalogue, no_catalogue
from features.items import ITEMS, hand_out_indices, items, to_items
from features.lake import Lake
from features.raw import files_up_to
from features.records import one_split_a_task, records
from features.sequences import SEQUENCES, sequences
from features.sessions import SESSIONS
from features.table import Table
from features.users import USERS, users
from jobs.job import run


def sequence(conf: Config, lake: Lake) -> dict[str, Any]:
    newest = covered(lake, SESSIONS)
    batches = Batches(min(covered(lake, table) for table in (ITEMS, SEQUENCES, USERS)), newest)
    if not batches:
        return {"items": 0, "sequences": 0, "users": 0, "note": "no sessions are new since the last run"}
    items_added = update_items(conf, lake, batches)
    whole = affected(lake, batches, lake.read(SESSIONS)).persist(StorageLevel.DISK_ONLY)
    passive = affected(lake, batches, events_upto(lake, batches.upto).where("not is_active"))
    settings = conf.features
    latest = sequences(whole, passive, lake.read(ITEMS), None, settings.max_length, settings.user_buckets)
    profiles = users(whole, None, settings.user_buckets)
    counts = {"items": items_added, "sequences": merge(conf, lake, SEQUENCES, latest, batches)}
    counts["users"] = merge(conf, lake, USERS, profiles, batches)
    whole.unpersist()
    return counts


def update_items(conf: Config, lake: Lake, batches: Batches) -> int:
    """New items get an index; counts and catalogue entries that changed are replaced. Returns how many are new."""
    known = lake.read(ITEMS).select("item_id", "item_index")
    new = hand_out_indices(events_of(lake, batches), known).persist()
    added = new.count()
    with one_split_a_task(lake.spark):
        described = read_catalogue(conf, lake).persist()
        described.count()
    rows = to_items(known.unionByName(new), items(lake.read(SESSIONS), as_of=None), described)
    lake.overwrite(
        ITEMS, rows.orderBy("item_index"), {"job": "sequence", "ds": conf.ds, **batches.facts(), "new": added}
    )
    new.unpersist()
    described.unpersist()
    return added


def affected(lake: Lake, batches: Batches, frame: DataFrame) -> DataFrame:
    """The rows of the users who got events in `batches`: of all users where all their events are new."""
    if batches.after == 0:
        return frame
    return frame.join(events_of(lake, batches).select("user_id").distinct(), "user_id", "left_semi")


def merge(conf: Config, lake: Lake, table: Table, rows: DataFrame, batches: Batches) -> int:
    rows = rows.persist()
    count = rows.count()
    facts = {"job": "sequence", "ds": conf.ds, **batches.facts(), "merged": count}
    lake.replace(table, old=affected(lake, batches, lake.read(table)), new=rows, facts=facts)
    rows.unpersist()
    return count


def read_catalogue(conf: Config, lake: Lake) -> DataFrame:
    """What the source's catalogue says of items; empty where it has none."""
    source = conf.source.items
    if source is None:
        return no_catalogue(lake.spark)
    files = files_up_to(lake.spark, conf.raw, source.path, date.fromisoformat(conf.ds))
    if not files:
        return no_catalogue(lake.spark)
    arrived = lake.spark.createDataFrame(
        [(x.path, x.arrival_date) for x in files], "source_file string, arrival_date date"
    )
    found = records(lake.spark, [file.path for file in files], source)
    return catalogue(found.join(arrived, "source_file"), source)


if __name__ == "__main__":
    run(sequence)

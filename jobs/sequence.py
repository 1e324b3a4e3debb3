"""Bring items, sequences and users up to the newest sessions.

Follows the changes of `sessions`, and the passive `events` that have arrived: gives new items their index in `items`, and
merges the users for whom something changed into `sequences` and `users`. Each table goes on from what its last commit
covered; one that has covered nothing is made whole. Safe to run again, and after a kill.

    spark-submit jobs/sequence.py ds=2017-12-28 raw=var/demo/raw lake=var/demo/lake
"""

import hashlib
import json
from collections.abc import Callable
from datetime import date
from functools import cache
from typing import Any, NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.batches import Batches, Standing, events_of, events_upto, newest, standing
from features.catalogue import catalogue, no_catalogue
from features.changes import applied, looked_up
from features.identities import IDENTITIES
from features.items import COUNTED, ITEMS, changes_of_items, described, hand_out_indices, items, unseen
from features.lake import Lake
from features.owners import owned, users_of
from features.partitions import partitions_for
from features.raw import RawFile, checked, files_up_to
from features.records import one_split_a_task, records
from features.sequences import SEQUENCES, sequences, session_counts, updated
from features.sessions import SESSIONS, days_of, on_days
from features.table import Table
from features.users import USERS, changes_of_users, users
from features.users import updated as updated_users
from jobs.job import run, settled
from jobs.people import handover, moved_events, owners

Feed = Callable[[Standing], DataFrame]


def sequence(conf: Config, lake: Lake) -> dict[str, Any]:
    upto = newest(lake)
    if upto is None or all(standing(lake, table) == upto for table in (ITEMS, SEQUENCES, USERS)):
        return {"items": 0, "sequences": 0, "users": 0, "note": "no sessions are new since the last run"}

    @cache  # the tables stand alike, as a rule
    def changes_since(since: Standing) -> DataFrame:
        """The sessions that were put in and taken out since, with `_is_in`."""
        return settled(lake.changes(SESSIONS, since.sessions, upto.sessions))

    return {
        "items": update_items(conf, lake, upto, changes_since),
        "sequences": update_sequences(conf, lake, upto, changes_since),
        "users": update_users(conf, lake, upto, changes_since),
    }


def update_items(conf: Config, lake: Lake, upto: Standing, changes_since: Feed) -> int:
    """New items get an index; all are written with their counts as they are now. Returns how many are new."""
    since = standing(lake, ITEMS)
    if since == upto:
        return 0
    stored, sessions = lake.read(ITEMS), lake.read(SESSIONS, upto.sessions)
    arrived = events_of(lake, Batches(since.batch if since else 0, upto.batch))
    new = settled(hand_out_indices(arrived, stored))
    added = new.count()
    before = lake.facts(ITEMS) if since else {}
    files, said = arrived_catalogue(conf, lake, before)
    known = stored if since else unseen(stored)
    if said["catalogue"] != before.get("catalogue"):
        known = described(known.unionByName(unseen(new)), read_catalogue(conf, lake, files))
    elif added:
        known = known.unionByName(described(unseen(new), read_catalogue(conf, lake, files, new)))
    changes = changed_items(sessions, changes_since(since) if since else None)
    rows = applied(known, changes, "item_id", COUNTED)
    facts = {"job": "sequence", "ds": conf.ds, **upto.facts(), "new": added, **said}
    lake.overwrite(ITEMS, rows.hint("rebalance").sortWithinPartitions("item_index"), facts)
    return added


def changed_items(sessions: DataFrame, changed: DataFrame | None) -> DataFrame:
    """What the changed sessions change in `items`; none: the table is made whole, of all sessions."""
    if changed is None:
        return items(sessions, as_of=None).withColumn("is_less", f.lit(False))
    changes = settled(changes_of_items(changed))
    if changes.where("is_less").isEmpty():
        return changes
    return looked_up(changes, items(sessions, as_of=None), "item_id")


def update_sequences(conf: Config, lake: Lake, upto: Standing, changes_since: Feed) -> int:
    """Returns of how many users a sequence was made or changed."""
    since, settings = standing(lake, SEQUENCES), conf.features
    if since == upto:
        return 0
    sessions, known = lake.read(SESSIONS, upto.sessions), lake.read(ITEMS)
    passive = events_upto(lake, upto.batch).where("not is_active")
    people = owners(lake, upto.batch) if lake.exists(IDENTITIES) else None
    passive = passive if people is None else owned(passive, people)
    facts = {"job": "sequence", "ds": conf.ds, **upto.facts()}
    if since is None:
        rows = sequences(sessions, passive, known, None, settings.max_length, settings.user_buckets)
        with partitions_for(lake.spark, sessions.agg(f.sum("event_count")).first()[0] or 0):  # type: ignore[index]
            lake.replace_where(SEQUENCES, rows, "true", facts)
        return lake.rows_written(SEQUENCES)
    changes = changes_since(since)
    batches, table = Batches(since.batch, upto.batch), lake.read(SEQUENCES)
    arrived = passive.where((f.col("batch") > batches.after) & (f.col("batch") <= batches.upto))
    touched = days_of(changes).union(arrived.select("user_id", "event_date"))
    moves = None if people is None else moved_passive(lake, batches, people, table, settings.max_length)
    days = settled((touched.union(moves.days) if moves else touched).distinct())
    dates = [row.event_date for row in days.select("event_date").distinct().collect()]
    whose = days.select("user_id")
    whose = settled((whose.union(moves.cut) if moves else whose).distinct())
    stored = table.join(whose, "user_id", "left_semi")
    rows = updated(
        stored,
        settled(session_counts(stored, changes)),
        on_days(sessions, dates).join(whose, "user_id", "left_semi"),
        passive.where(f.col("event_date").isin(dates)),
        days,
        known,
        settings.max_length,
        settings.user_buckets,
    )
    cut = shortened(stored, changes, settings.max_length)
    cut = settled(cut.union(moves.cut).distinct() if moves else cut)
    if not cut.isEmpty():
        all_sessions, all_passive = (x.join(cut, "user_id", "left_semi") for x in (sessions, passive))
        remade = sequences(all_sessions, all_passive, known, None, settings.max_length, settings.user_buckets)
        rows = rows.join(cut, "user_id", "left_anti").unionByName(remade)
    return renew(lake, SEQUENCES, table, rows, whose, facts)


def shortened(stored: DataFrame, changes: DataFrame, max_length: int) -> DataFrame:
    """The users whose stored sequence is cut, and who lost events of some day: what comes into view is not stored."""
    cut = stored.where(f.col("length") >= max_length).select("user_id")
    more = f.sum(f.when(f.col("_is_in"), f.col("event_count")).otherwise(-f.col("event_count")))
    a_day = (
        changes.join(cut, "user_id", "left_semi").groupBy("user_id", "start_date").agg(more.alias("_more"))
    )
    return a_day.where("_more < 0").select("user_id").distinct()


class Moves(NamedTuple):
    """Passive events that are another's now: on which `days` users lose or gain some; and who is made anew, being `cut`."""

    days: DataFrame
    cut: DataFrame


def moved_passive(
    lake: Lake, batches: Batches, people: DataFrame, stored: DataFrame, max_length: int
) -> Moves | None:
    """What the logins of `batches` change in the `stored` sequences, beside sessions; none where there were none.

    A sequence tells on which days its user has passive events; not one that is cut: the users who lose some of it, and those
    who gain them, are made from all events.
    """
    handed = handover(lake, batches, people)
    if handed is None:
        return None
    losing = settled(users_of(handed.ids, handed.before))
    theirs = stored.join(losing.select("user_id").distinct(), "user_id", "left_semi")
    steps = theirs.select(f.inline(f.arrays_zip("timestamps", "sessions"))).where("sessions = 0")
    days = [row.day for row in steps.select(f.to_date("timestamps").alias("day")).distinct().collect()]
    moved = settled(moved_events(lake, batches.after, days, handed).where("not is_active"))
    cut = losing.join(theirs.where(f.col("length") >= max_length).select("user_id"), "user_id", "left_semi")
    gaining = users_of(cut.select("anonymous_id").distinct(), handed.now)
    return Moves(
        moved.select("was", "event_date").union(moved.select("user_id", "event_date")),
        settled(cut.select("user_id").union(gaining.select("user_id")).distinct()),
    )


def update_users(conf: Config, lake: Lake, upto: Standing, changes_since: Feed) -> int:
    """Returns of how many users the profile was made or changed."""
    since, buckets = standing(lake, USERS), conf.features.user_buckets
    if since == upto:
        return 0
    sessions = lake.read(SESSIONS, upto.sessions)
    facts = {"job": "sequence", "ds": conf.ds, **upto.facts()}
    if since is None:
        lake.replace_where(USERS, users(sessions, None, buckets), "true", facts)
        return lake.rows_written(USERS)
    changes, table = settled(changes_of_users(changes_since(since), buckets)), lake.read(USERS)
    if (
        not changes.where("is_less").isEmpty()
        and not (less := settled(less_and_left(table, changes))).isEmpty()
    ):
        changes = looked_up(
            changes, users(sessions.join(less, "user_id", "left_semi"), None, buckets), "user_id"
        )
    whose = changes.select("user_id")
    rows = updated_users(table.join(whose, "user_id", "left_semi"), changes, buckets)
    return renew(lake, USERS, table, rows.where("session_count > 0"), whose, facts)


def less_and_left(stored: DataFrame, changes: DataFrame) -> DataFrame:
    """The users who lost sessions and have others: `user_id`. Who has none left, as a visitor who logged in, just goes."""
    less = changes.where("is_less").select("user_id", f.col("session_count").alias("_more"))
    return stored.join(less, "user_id").where("session_count + _more > 0").select("user_id")


def renew(
    lake: Lake, table: Table, stored: DataFrame, rows: DataFrame, whose: DataFrame, facts: dict[str, Any]
) -> int:
    """`rows` take the places of the users `whose` they are; the others stay. Returns how many users these are.

    The table is written whole, in one pass: the users of a night are in every file, so that a merge would rewrite them all
    too, after it has looked for them.
    """
    users = whose.count()
    kept = stored.join(whose, "user_id", "left_anti")
    lake.replace_where(table, rows, "true", facts | {"users": users}, kept)
    return users


def arrived_catalogue(
    conf: Config, lake: Lake, before: dict[str, Any]
) -> tuple[list[RawFile], dict[str, Any]]:
    """The files of the source's catalogue that have arrived and are whole, and what a commit says of them.

    `before` is what the last commit said: files that are the same are not checked again.
    """
    source = conf.source.items
    files = files_up_to(lake.spark, conf.raw, source.path, date.fromisoformat(conf.ds)) if source else []
    names = json.dumps([(file.path, file.size, file.modified) for file in files])
    digest = hashlib.sha256(names.encode()).hexdigest()[:16]
    broken = before.get("catalogue_broken", [])
    if source and files and digest != before.get("catalogue"):
        found = (
            checked(lake.spark, [file.path for file in files], source).where("problem is not null").collect()
        )
        broken = sorted(row.path for row in found)
        for row in found:
            print(f"sequence: the catalogue is read without {row.path}: {row.problem}", flush=True)
    whole = [file for file in files if file.path not in broken]
    return whole, {"catalogue": digest, "catalogue_broken": broken}


def read_catalogue(
    conf: Config, lake: Lake, files: list[RawFile], wanted: DataFrame | None = None
) -> DataFrame:
    """What the source's catalogue says of items, of those `wanted` or of all; empty where it has none."""
    source = conf.source.items
    if source is None or not files:
        return no_catalogue(lake.spark)
    arrived = lake.spark.createDataFrame(
        [(x.path, x.arrival_date) for x in files], "source_file string, arrival_date date"
    )
    # Settled: Spark would parse each line again for every condition on a field of it; and sessions, which are read with what
    # comes of it, have a file a day, for each of which a task would be dear.
    with one_split_a_task(lake.spark):
        found = records(lake.spark, [file.path for file in files], source)
        found = settled(found.select("source_file", "ingest_seq", "fields"))
    return catalogue(found.join(arrived, "source_file"), source, wanted)


if __name__ == "__main__":
    run(sequence)

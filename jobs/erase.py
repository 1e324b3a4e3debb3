"""Erase users: from every table, from the files below it, and from what an ingest would bring back.

Reads the ids in the file `users`, one a line, as `source.user_id` gives them. Puts them on the list that each ingest
applies; removes their rows, those in quarantine and predictions too, and those of visitors who were them
(`source.id_attributes`, `identities`); then every file in which they stood. Counts of items go down by them. Prints a
certificate, and writes it beside `users`, of what was removed and of what lies out of reach. Safe to run again, and after a
kill. No other job may run beside it: files go that an older version of a table needs.

    spark-submit jobs/erase.py users=erase.txt source=plain raw=var/shop/raw lake=var/shop/lake
"""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as f

from conf.schema import Config
from features.batches import last_batch
from features.erased_users import ERASED_USERS
from features.events import EVENTS
from features.identities import IDENTITIES
from features.items import ITEMS
from features.keyed_ids import Keys, keyed_id
from features.lake import Lake
from features.predictions import PREDICTIONS
from features.privacy import held_fingerprint, pattern_of, under
from features.quarantine import QUARANTINE
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from features.table import Table
from features.user_features import USER_FEATURES
from features.user_groups import USER_GROUPS
from features.user_item_features import USER_ITEM_FEATURES
from features.users import USERS
from jobs.files import put_json
from jobs.job import InputError, run
from jobs.keys import keys_of, keys_of_erased, matching
from jobs.people import owners
from jobs.sequence import sequence
from models.registry import connect

WHERE = (
    QUARANTINE,
    SESSIONS,
    SEQUENCES,
    USERS,
    USER_FEATURES.table,
    USER_ITEM_FEATURES.table,
    USER_GROUPS,
    PREDICTIONS,
    EVENTS,
    IDENTITIES,
)
"""Every table that has users, in the order in which they leave: what knows visitors to be them comes last."""
OF_USER = {
    EVENTS.name: "old.user_id = new.user_id and coalesce(old.event_ts >= new.since, true) "
    "and coalesce(old.event_ts < new.until, true)",
    IDENTITIES.name: "old.user_id = new.user_id or (old.anonymous_id = new.user_id and new.is_given)",
    QUARANTINE.name: "old.user_id = new.user_id or old.text rlike new.pattern",
    PREDICTIONS.name: "old.entity = new.user_id",
}
"""Which rows are theirs, where it is not `user_id` alone that says so; see `Lake.remove`."""
FORMS = "user_id string, pattern string, is_given boolean, since timestamp, until timestamp"
NEVER_REACHED = (
    "copies and exports of tables, backups, pages of reports",
    "an id inside of an item_id, an event_id or an attribute that source.id_attributes does not name",
    "records of a visitor that name no user, where their raw file is taken in once more",
)


def erase(conf: Config, lake: Lake) -> dict[str, Any]:
    ids = ids_in(conf.users)
    keys = keys_of(conf, lake)
    visits = visits_of(conf, lake, ids, keys)
    hashes = listed(conf, lake, ids, keys)
    whose = forms_of(conf, lake, ids, keys, visits)
    held = {table.name: theirs(lake, table, whose).count() for table in WHERE}
    found = with_those_of_a_killed_run(conf, Found(hashes, held, files_naming(lake, whose)))
    for table in WHERE:
        remove(lake, table, whose)
        if table is SESSIONS:
            counted_anew(conf, lake)
    for table in WHERE:
        if lake.exists(table):
            lake.vacuum(table, hours=0)
    registry = connect(conf.registry, conf.artifacts)
    named = registry.named_sets()
    dropped = [each for each in lake.folders("examples") if each not in named]
    for each in dropped:
        lake.drop(f"examples/{each}")
    return certified(
        conf,
        {
            "erased_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "lake": conf.lake,
            "users": hashes,
            "rows_removed": found.rows,
            "example_sets_removed": dropped,
            "out_of_reach": {
                "raw_files": found.raw_files,
                "example_sets": {each: named[each] for each in lake.folders("examples")},
                "models": [f"{each.task} v{each.version}" for each in registry.all_versions()],
                "further": [f"{conf.users}, the ids themselves", *NEVER_REACHED],
            },
        },
    )


class Found(NamedTuple):
    """What there was of users before any of it was removed: rows of each table, and raw files."""

    users: list[str]  # their hashes
    rows: dict[str, int]
    raw_files: list[str]


def with_those_of_a_killed_run(conf: Config, found: Found) -> Found:
    """What was found, by this run or by one before it that was killed on the way: kept until a certificate tells of it."""
    path = begun(conf)
    if path.exists() and (before := Found(**json.loads(path.read_text()))).users == found.users:
        rows = {name: max(count, before.rows.get(name, 0)) for name, count in found.rows.items()}
        found = Found(found.users, rows, sorted({*found.raw_files, *before.raw_files}))
    put_json(path, found._asdict(), durable=True)
    return found


def begun(conf: Config) -> Path:
    return Path(f"{conf.users}.begun")


def ids_in(path: str) -> list[str]:
    """The ids in a file, one a line."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError as error:
        raise InputError(f"users={path} cannot be read: {error.strerror}") from None
    if not (ids := sorted({line for line in lines if line.strip()})):
        raise InputError(f"users={path} has no id, expected one a line")
    return ids


def listed(conf: Config, lake: Lake, ids: list[str], keys: Keys) -> list[str]:
    """Puts users on the list that each ingest applies, and returns their hashes there."""
    hashes = [keyed_id(each, keys_of_erased(conf, lake, keys)) for each in ids]
    today = datetime.now(UTC).date()
    rows = lake.spark.createDataFrame([(each, today) for each in hashes], ERASED_USERS.schema)
    table = under(ERASED_USERS, keys or matching(conf, held_fingerprint(lake, ERASED_USERS)))
    lake.insert_new(table, rows, {"job": "erase", "users": len(hashes)})
    return hashes


def visits_of(conf: Config, lake: Lake, ids: list[str], keys: Keys) -> list[Row]:
    """When the users were visitors who had not logged in: `anonymous_id`, `since`, `until`.

    Refuses to erase one who logged in as a user who is to stay, and whose history this is.
    """
    if not lake.exists(IDENTITIES):
        return []
    places = [(keyed_id(each, keys), place) for place, each in enumerate(ids, 1)]
    given = f.broadcast(lake.spark.createDataFrame(places, "given string, place int"))
    known = owners(lake, last_batch(lake))
    of_others = known.join(given.select("given"), f.col("user_id") == f.col("given"), "left_anti")
    staying = of_others.join(given, f.col("anonymous_id") == f.col("given")).agg(f.min("place")).first()[0]  # type: ignore[index]
    if staying:
        raise InputError(
            f"users={conf.users}: number {staying} of its ids, sorted, logged in as a user who is not among them: give "
            "that user's id too, or leave this one out"
        )
    return known.join(given, f.col("user_id") == f.col("given"), "left_semi").collect()


def forms_of(conf: Config, lake: Lake, ids: list[str], keys: Keys, visits: list[Row]) -> DataFrame:
    """Users as tables have them, `user_id`, and as a text may: a `pattern` of each spelling, JSON's and a URL's too.

    Whether they are those that were given; and `since` and `until` when an id is theirs, null where there is no limit.
    """
    rows: list[tuple[Any, ...]] = [
        (keyed_id(each, keys), pattern_of(spelled), True, None, None)
        for each in ids
        for spelled in sorted({each, json.dumps(each)[1:-1], quote(each)})
    ]
    rows += [(v.anonymous_id, pattern_of(v.anonymous_id), False, v.since, v.until) for v in visits]
    users = lake.spark.createDataFrame(rows, FORMS)
    for name in conf.source.id_attributes:
        named = f.col("attributes")[name] == f.col("new.user_id")
        records = lake.read(EVENTS).alias("old").join(f.broadcast(users.alias("new")), named, "left_semi")
        visitors = records.select("user_id").distinct().collect()
        rows += [(row.user_id, None, False, None, None) for row in visitors]
    return lake.spark.createDataFrame(rows, FORMS)


def condition_of(table: Table) -> str:
    return OF_USER.get(table.name, "old.user_id = new.user_id")


def theirs(lake: Lake, table: Table, whose: DataFrame) -> DataFrame:
    """The rows of a table that are of the users."""
    same = f.expr(condition_of(table))
    return lake.read(table).alias("old").join(f.broadcast(whose.alias("new")), same, "left_semi")


def files_naming(lake: Lake, whose: DataFrame) -> list[str]:
    """The raw files in which they stand, as far as the lake knows."""
    events, refused = (theirs(lake, table, whose).select("source_file") for table in (EVENTS, QUARANTINE))
    return sorted(row.source_file for row in events.union(refused).distinct().collect())


def remove(lake: Lake, table: Table, whose: DataFrame) -> None:
    """Removes their rows, if any; the commit says what the one before it said: what was covered stays covered."""
    if not theirs(lake, table, whose).isEmpty():
        lake.remove(table, whose, condition_of(table), lake.facts(table) | {"job": "erase"})


def counted_anew(conf: Config, lake: Lake) -> None:
    """Takes what left `sessions` out of items, sequences and users, as a night does, before its files are gone."""
    nights = [ds for table in (ITEMS, SEQUENCES, USERS) if (ds := lake.facts(table).get("ds"))]
    if nights:
        sequence(replace(conf, ds=max(nights)), lake)


def certified(conf: Config, told: dict[str, Any]) -> dict[str, Any]:
    """Writes and prints what was done; returns it in short."""
    stamp = "".join(sign for sign in told["erased_at"] if sign.isalnum())
    path = Path(f"{conf.users}.{stamp}.json")
    put_json(path, told, durable=True)
    begun(conf).unlink()
    print(f"erase: certificate\n{path.read_text()}", end="", flush=True)
    return {"users": len(told["users"])} | told["rows_removed"] | {"certificate": str(path)}


if __name__ == "__main__":
    run(erase, needs=("users",))

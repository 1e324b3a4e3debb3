"""Rotate the key of a lake: whoever has the old one can find nobody by it any more.

Puts a new key behind those in the key file, hashes every id in the lake once more with it, table by table, and deletes the
files with the old hashes. Until it is done each ingest refuses to run. Safe to run again, and after a kill, which it makes
up for. The file keeps the old keys: an id is hashed with each in turn. No other job may run beside it.

    spark-submit jobs/rekey.py source=plain lake=var/shop/lake
"""

import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.erased_users import ERASED_USERS
from features.events import EVENTS
from features.identities import IDENTITIES
from features.items import ITEMS
from features.keyed_ids import Keys, derived, fingerprint
from features.lake import Lake
from features.predictions import PREDICTIONS
from features.privacy import FINGERPRINT, beside, held_fingerprint, keyed, under
from features.quarantine import QUARANTINE
from features.sequences import SEQUENCES, bucket_of
from features.sessions import SESSIONS, to_sessions
from features.table import Table
from features.user_features import USER_FEATURES
from features.user_groups import USER_GROUPS
from features.user_item_features import USER_ITEM_FEATURES
from features.users import USERS
from jobs.job import InputError, run
from jobs.keys import BYTES, key_file, parsed, write
from jobs.retain import is_followed

Hashed = Callable[[DataFrame], DataFrame]


def rekey(conf: Config, lake: Lake) -> dict[str, Any]:
    held, path = held_fingerprint(lake, EVENTS), place_of(conf)
    following = path.with_name(f"{path.name}.next")
    keys = next_keys(path, following, held)
    mark = fingerprint(keys)
    if held != mark:
        check_followed(conf, lake, held, keys)
        lake.describe(replace(EVENTS, properties={FINGERPRINT: under_way(keys)}))
        for table, hashed in passes(conf, keys):
            once_more(lake, table, hashed, mark)
        if lake.exists(ERASED_USERS):
            lake.describe(under(ERASED_USERS, keys))
        lake.describe(under(EVENTS, keys))
    for table, _ in passes(conf, keys):
        if lake.exists(table):
            lake.vacuum(table, hours=0)
    os.replace(following, path)
    return {"keys": len(keys), "fingerprint": mark, "key_file": str(path)}


def place_of(conf: Config) -> Path:
    """The file of the keys."""
    if conf.privacy.ids == "plain" or conf.privacy.key_variable:
        raise InputError(
            "a new key is put into a file: leave out privacy.ids and privacy.key_variable, and set privacy.key_file"
        )
    return key_file(conf)


def next_keys(path: Path, following: Path, held: str | None) -> Keys:
    """The keys with a new one behind them; those of a rotation that was stopped where there is one."""
    if held is None:
        raise InputError("there are no keyed ids in the lake: there is nothing to rotate")
    if not following.exists():
        if not path.exists() or fingerprint(parsed(path.read_text(), str(path))) != held:
            raise InputError(f"{path} does not hold the key with the fingerprint {held}: put it there")
        write(following, (*parsed(path.read_text(), str(path)), secrets.token_bytes(BYTES)))
    return parsed(following.read_text(), str(following))


def under_way(keys: Keys) -> str:
    """What the lake has as its fingerprint until every table is done: that of no key."""
    return f"{fingerprint(keys)}, when jobs/rekey.py is done"


def check_followed(conf: Config, lake: Lake, held: str | None, keys: Keys) -> None:
    if held == under_way(keys):
        return
    if held != fingerprint(keys[:-1]):
        raise InputError(
            f"the lake has the fingerprint {held}, and the key file's is {fingerprint(keys[:-1])}"
        )
    if not is_followed(lake):
        raise InputError("items, sequences or users are behind sessions: run jobs/sequence.py first")


def passes(conf: Config, keys: Keys) -> list[tuple[Table, Hashed]]:
    """Every table that changes, in this order, and how."""
    newest, bucket = keys[-1:], {"user_bucket": bucket_of(conf.features.user_buckets)}
    user = partial(with_hashed, keys=newest, column="user_id")
    return [
        (EVENTS, partial(of_events, conf=conf, keys=newest)),
        (QUARANTINE, partial(of_quarantine, conf=conf, keys=newest)),
        (IDENTITIES, lambda rows: user(with_hashed(rows, newest, "anonymous_id"))),
        (SESSIONS, partial(of_sessions, conf=conf, keys=newest)),
        (ITEMS, lambda rows: rows),
        (SEQUENCES, lambda rows: user(rows).withColumns(bucket)),
        (USERS, lambda rows: user(rows).withColumns(bucket)),
        (USER_FEATURES.table, user),
        (USER_ITEM_FEATURES.table, user),
        (USER_GROUPS, user),
        (PREDICTIONS, partial(with_hashed, keys=newest, column="entity")),
        (ERASED_USERS, partial(with_hashed, keys=derived(newest, "erased"), column="user")),
    ]


def once_more(lake: Lake, table: Table, hashed: Hashed, mark: str) -> None:
    """Writes a table anew, its ids hashed once more; its commit says so, and which version of `sessions` it stands by."""
    facts = lake.facts(table)
    if not lake.exists(table) or facts.get("key") == mark:
        return
    if "sessions_version" in facts:
        facts |= {"sessions_version": lake.version(SESSIONS)}
    rows = hashed(lake.read(table)).select(*(column.name for column in table.columns))
    lake.overwrite(table, rows.hint("rebalance", *table.partition_by), facts | {"job": "rekey", "key": mark})


def with_hashed(rows: DataFrame, keys: Keys, column: str) -> DataFrame:
    return beside(rows, keys).withColumn(column, keyed(f.col(column))).drop("_keys")


def of_events(rows: DataFrame, conf: Config, keys: Keys) -> DataFrame:
    """As an ingest replaces them: users, attributes that are ids, and an `event_id` that is a hash."""
    values = {"user_id": keyed(f.col("user_id"))}
    if conf.source.event_id is None:
        values["event_id"] = keyed(f.col("event_id"))
    if names := conf.source.id_attributes:
        values["attributes"] = f.transform_values(
            "attributes", lambda name, value: f.when(name.isin(names), keyed(value)).otherwise(value)
        )
    return beside(rows, keys).withColumns(values)


def of_quarantine(rows: DataFrame, conf: Config, keys: Keys) -> DataFrame:
    """The text follows the user; where it may hold further hashes, of which nobody knows which these are, it goes."""
    user = keyed(f.col("user_id"))
    text = f.when(f.col("user_id").isNull(), f.col("text")).otherwise(
        f.replace("text", f.col("user_id"), user)
    )
    return beside(rows, keys).withColumns(
        {"user_id": user, "text": f.lit("") if conf.source.id_attributes else text}
    )


def of_sessions(rows: DataFrame, conf: Config, keys: Keys) -> DataFrame:
    """Made from their events anew, since their ids are hashes of users and events."""
    marked = beside(rows, keys).select(
        "_keys", "user_id", f.col("session_id").alias("session"), f.inline("events")
    )
    values = {"user_id": keyed(f.col("user_id"))}
    if conf.source.event_id is None:
        values["event_id"] = keyed(f.col("event_id"))
    return to_sessions(marked.withColumns(values))


if __name__ == "__main__":
    run(rekey, needs=())

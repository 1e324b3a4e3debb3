"""Keep nothing longer than is wanted.

Blanks the text of refused records of which no user could be read, `privacy.unread_days` after their night. Deletes example
sets that no run and no registered version names, files of all other tables that only older versions need, and checkpoints of
trainings that were stopped and never went on, each once `privacy.retention_hours` have passed; an example set that is being
read is named by a run. Safe to run again, and after a kill.

    spark-submit jobs/retain.py ds=2017-12-28 lake=var/demo/lake
"""

import re
import shutil
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

from conf.schema import Config
from features.batches import newest, standing
from features.examples import rows_table, vocabulary_table
from features.items import ITEMS
from features.lake import Lake
from features.quarantine import QUARANTINE, UNREAD
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from features.tables import TABLES
from features.users import USERS
from jobs.job import run
from jobs.places import checkpoints_of
from models.registry import connect

TRAINING = re.compile(r".+-v\d+-\w+-[0-9a-f]{12}")  # as jobs/train_rank.py calls a training's folder


def retain(conf: Config, lake: Lake) -> dict[str, Any]:
    blanked = blank_unread(conf, lake)
    dropped = drop_example_sets(conf, lake)
    waiting = () if is_followed(lake) else (SESSIONS,)
    for table in TABLES:
        if lake.exists(table) and table not in waiting:
            lake.vacuum(table, conf.privacy.retention_hours)
    counts: dict[str, Any] = {
        "texts_blanked": blanked,
        "example_sets_removed": len(dropped),
        "checkpoints_removed": len(drop_checkpoints(conf)),
    }
    if waiting:
        counts["note"] = "older versions of sessions stay until jobs/sequence.py has followed them"
    return counts


def blank_unread(conf: Config, lake: Lake) -> int:
    """Blanks the text of old records of which no user could be read; returns of how many."""
    last = date.fromisoformat(conf.ds) - timedelta(days=conf.privacy.unread_days)
    old = f"ingest_date < '{last}' and {UNREAD}"
    if many := lake.read(QUARANTINE).where(old).count():
        lake.update(QUARANTINE, old, {"text": "''"}, lake.facts(QUARANTINE) | {"job": "retain"})
    return many


def drop_example_sets(conf: Config, lake: Lake) -> list[str]:
    """Deletes example sets that are old enough and that nothing names; returns them."""
    before = datetime.now(UTC) - timedelta(hours=conf.privacy.retention_hours)
    old = [
        each
        for each in lake.folders("examples")
        if all(
            (lake.written_at(table) or before) <= before
            for table in (rows_table(each), vocabulary_table(each))
        )
    ]
    named = connect(conf.registry, conf.artifacts).named_sets() if old else {}
    if not named.keys() & set(lake.folders("examples")):
        return []  # a registry that knows none of them is another lake's, as a rule
    unnamed = [each for each in old if each not in named]
    for each in unnamed:
        lake.drop(f"examples/{each}")
    return unnamed


def drop_checkpoints(conf: Config) -> list[str]:
    """Deletes the folders of checkpoints to which nothing was written for so long; returns their names.

    The folder that they are in may be one of the user's, with other things in it: those are not looked at.
    """
    root = checkpoints_of(conf)
    before = time.time() - conf.privacy.retention_hours * 3600
    old = [
        each
        for each in (root.glob("*/checkpoint") if root else ())
        if TRAINING.fullmatch(each.parent.name) and each.stat().st_mtime <= before
    ]
    for each in old:
        shutil.rmtree(each.parent, ignore_errors=True)
    return sorted(each.parent.name for each in old)


def is_followed(lake: Lake) -> bool:
    """Whether the tables that follow the changes of `sessions`, by files of older versions, have come to the newest."""
    upto = newest(lake)
    behind = (standing(lake, table) for table in (ITEMS, SEQUENCES, USERS))
    return all(each in (upto, None) for each in behind)


if __name__ == "__main__":
    run(retain)

"""Take in the files that arrived on some days of the past, or take them in anew.

Reads the files of the source whose arrival date lies in `[start, end)` and that are not in the lake yet, as a night of that
time would have, and brings `sessions`, `sequences`, `items` and `users` up to them. With `reingest=true`, as after a mapping
that was wrong, the rows of files that are there already are first taken out of `events` and `quarantine`, and all
that is made of events is made anew. Judges, scores and promotes nothing. Safe to run again, and after a kill.

    spark-submit jobs/backfill.py start=2017-11-01 end=2017-12-01 reingest=true source=complete_journey
"""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config, Records
from features.batches import last_batch
from features.events import EVENTS
from features.identities import IDENTITIES, IDENTITY_FILES
from features.ingested_files import INGESTED_FILES
from features.items import ITEMS
from features.lake import Lake
from features.quarantine import QUARANTINE
from features.raw import checked
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from features.table import Table
from features.users import USERS
from jobs.ingest import arrived_files, clear_unfinished, ingest
from jobs.job import InputError, run, say, settled
from jobs.sequence import sequence
from jobs.sessionize import sessionize

DERIVED = (SESSIONS, SEQUENCES, ITEMS, USERS)


def backfill(conf: Config, lake: Lake) -> dict[str, Any]:
    if "{ds}" not in conf.source.path:
        raise InputError(
            f"the files of {conf.source.name} arrive when they are first seen, since source.path has no {{ds}}: "
            "there are no days of the past to take in, run jobs/nightly.py"
        )
    last = (date.fromisoformat(conf.end) - timedelta(days=1)).isoformat()
    then = replace(conf, ds=last)
    # The tables stay those of the newest night.
    now = replace(conf, ds=max(last, lake.facts(SEQUENCES).get("ds", last)))
    taken_out = take_out(then, lake, now.ds) if conf.reingest else 0
    facts = say(ingest, then, lake)
    for step in (sessionize, sequence):
        say(step, now, lake)
    return {"start": conf.start, "end": conf.end, "files_taken_out": taken_out, "events": facts["events"]}


def take_out(conf: Config, lake: Lake, newest: str) -> int:
    """Takes the rows of the range's files out of the lake, but for files that are not there any more. How many these are.

    What is made of events is told first that it has covered nothing, and `ingested_files` comes last: after a kill the
    same files are found again, whatever of them is still there.
    """
    batch = last_batch(lake)
    clear_unfinished(lake, batch + 1)
    files = files_again(conf, lake, conf.source, INGESTED_FILES)
    of_logins = files_again(conf, lake, conf.source.identities, IDENTITY_FILES)
    if count := files.count() + of_logins.count():
        facts = {"job": "backfill", "start": conf.start, "end": conf.end, "ds": newest, "files": count}
        for table in DERIVED:
            lake.tell(table, facts)
        same_file = "old.source_file = new.path and old.batch = new.batch"
        lake.remove(EVENTS, files, same_file, facts)
        lake.remove(IDENTITIES, of_logins, same_file, facts)
        lake.remove(QUARANTINE, files.union(of_logins), "old.checksum = new.checksum", facts)
        lake.remove(IDENTITY_FILES, of_logins, "old.checksum = new.checksum", facts)
        lake.remove(INGESTED_FILES, files, "old.checksum = new.checksum", facts | {"batch": batch})
    return count


def files_again(conf: Config, lake: Lake, source: Records | None, known_files: Table) -> DataFrame:
    """The files of the range that are in the lake, and still there as they came: `checksum`, `path`, `batch`."""
    known = lake.read(known_files).where(f.col("arrival_date").between(conf.start, conf.ds))
    arrived = arrived_files(conf, lake, source) if source and lake.exists(known_files) else []
    if source is None or not arrived:
        return known.select("checksum", "path", "batch").limit(0)
    there = checked(lake.spark, [file.path for file in arrived], source).select("checksum").distinct()
    files = settled(known.join(there, "checksum", "left_semi").select("checksum", "path", "batch"))
    if left := known.count() - files.count():
        print(f"backfill: {left} files are not there any more as they came, and stay as they are", flush=True)
    return files


if __name__ == "__main__":
    run(backfill, needs=("start", "end"))

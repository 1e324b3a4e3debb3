"""Take in the raw log files that have arrived up to a night.

Reads the files of the source below `raw`, writes `events`, `quarantine` and, last, `ingested_files`; before them, where the
source has an identity map and that has new files, `identities` and `identity_files`. A file is taken in
once, whatever its name; a record that cannot be read is set aside with a reason. Ids of users are replaced by keyed hashes
(`privacy.ids`). Safe to run again, and after a kill.

    spark-submit jobs/ingest.py ds=2017-12-28 raw=var/demo/raw lake=var/demo/lake source=complete_journey
"""

from datetime import date
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config, Records
from features.batches import last_batch
from features.erased_users import ERASED_USERS, refuse_erased
from features.events import (
    EVENTS,
    judge_times,
    mark_duplicates,
    number_identical_rows,
    parse,
    repeated_ids,
    to_events,
)
from features.formats import SourceError
from features.identities import IDENTITIES, IDENTITY_FILES
from features.ingested_files import FILES, INGESTED_FILES, NewFile, conserved, counted
from features.keyed_ids import Keys
from features.lake import Lake
from features.privacy import pseudonymous, under
from features.quarantine import QUARANTINE, refused_records
from features.raw import RawFile, checked, files_up_to
from features.records import one_split_a_task, records
from jobs.job import InputError, run, settled
from jobs.keys import keys_of, keys_of_erased
from jobs.logins import take_in_logins

COUNTS = ("records", "events", "duplicates", "quarantined")


def ingest(conf: Config, lake: Lake) -> dict[str, Any]:
    ds = date.fromisoformat(conf.ds)
    batch = last_batch(lake) + 1
    fresh = new_files(conf, lake, conf.source, lake.read(INGESTED_FILES))
    of_logins = new_files_of_logins(conf, lake, batch)
    keys = keys_of(conf, lake)
    clear_unfinished(lake, batch)
    if not fresh and not of_logins:
        return {"files": 0, "note": f"nothing new has arrived up to {ds}"} | dict.fromkeys(COUNTS, 0)
    files = lake.spark.createDataFrame(fresh, FILES)
    with one_split_a_task(lake.spark):
        read = read_records(conf, lake, fresh, files, keys).persist(StorageLevel.DISK_ONLY)
        repeated = settled(repeated_ids(read, stored_on_their_days(lake, read)))
        parsed = mark_duplicates(read, repeated)
        report = counted(files, parsed, conf.source.name, batch).collect()
    counts = conserved(report)
    facts: dict[str, Any] = {"job": "ingest", "ds": conf.ds, "batch": batch, **counts}
    if of_logins:
        facts["identities"] = take_in_logins(conf, lake, of_logins, batch, keys)
    lake.append(under(EVENTS, keys), to_events(parsed, conf.source, batch), facts)
    if counts["quarantined"]:
        lake.insert_new(QUARANTINE, refused_records(parsed, files, ds, batch), facts)
    lake.append(INGESTED_FILES, lake.spark.createDataFrame(report, INGESTED_FILES.schema), facts)
    read.unpersist()
    said = {"identities": facts["identities"]["identities"]} if of_logins else {}
    return {"files": counts.pop("files"), "batch": batch} | counts | said


def clear_unfinished(lake: Lake, batch: int) -> None:
    """Removes what an ingest left behind that was stopped before its last commit."""
    for table in (EVENTS, QUARANTINE, IDENTITIES, IDENTITY_FILES):
        if lake.facts(table).get("batch", 0) >= batch:
            lake.delete(table, f"batch >= {batch}", {"job": "ingest", "cleared": batch})


def arrived_files(conf: Config, lake: Lake, source: Records) -> list[RawFile]:
    """The files of a source that arrived up to `ds`, from `start` on where that is given."""
    try:
        arrived = files_up_to(lake.spark, conf.raw, source.path, date.fromisoformat(conf.ds))
    except FileNotFoundError as error:
        raise InputError(f"{error}: set raw= to the folder that {source.path} is in") from None
    except ValueError as error:
        raise InputError(str(error)) from None
    return [file for file in arrived if file.arrival_date.isoformat() >= conf.start]


def new_files_of_logins(conf: Config, lake: Lake, batch: int) -> list[NewFile]:
    """Those of the source's identity map, where it has one, that no ingest before this `batch` has taken in."""
    if conf.source.identities is None:
        return []
    known = lake.read(IDENTITY_FILES).where(f.col("batch") < batch)
    return new_files(conf, lake, conf.source.identities, known)


def new_files(conf: Config, lake: Lake, source: Records, known_files: DataFrame) -> list[NewFile]:
    """Files of a source that are not in the lake, by content, in the order of their arrival."""
    arrived = arrived_files(conf, lake, source)
    if not arrived:
        return []
    stored = known_files.select("path", "size", "modified", "checksum").collect()
    known, checksums = {row[:3] for row in stored}, {row.checksum for row in stored}
    unseen = [
        file for file in arrived if file.size and (file.path, file.size, file.modified) not in known
    ]  # an empty one has no records, and Spark passes over it
    if not unseen:
        return []
    found = {row.path: row for row in checked(lake.spark, [file.path for file in unseen], source).collect()}
    fresh = []
    for file in unseen:
        checksum, problem = found[file.path].checksum, found[file.path].problem
        if checksum not in checksums:
            fresh.append(NewFile(checksum, file.path, file.size, file.modified, file.arrival_date, problem))
        checksums.add(checksum)
    return fresh


def read_records(conf: Config, lake: Lake, fresh: list[NewFile], files: DataFrame, keys: Keys) -> DataFrame:
    """Every record of the whole files, parsed, with `reason`, and with keyed hashes before anything is kept of it."""
    whole = [file.path for file in fresh if file.problem is None]
    arrival = files.select(f.col("path").alias("source_file"), "arrival_date")
    try:
        found = records(lake.spark, whole, conf.source)
        lines = found.join(f.broadcast(arrival), "source_file", "left")  # loses none
        parsed = judge_times(parse(lines, conf.source), conf.features.late_days)
    except SourceError as error:
        raise InputError(str(error)) from None
    if lake.exists(ERASED_USERS):
        erased = lake.read(ERASED_USERS)
        parsed = refuse_erased(parsed, erased, conf.source, keys_of_erased(conf, lake, keys))
    if conf.source.event_id is None and conf.source.identical_rows == "distinct":
        parsed = number_identical_rows(parsed)
    return pseudonymous(parsed, conf.source, keys) if keys else parsed


def stored_on_their_days(lake: Lake, read: DataFrame) -> DataFrame:
    """The stored events of the days on which the records' events lie."""
    stored = lake.read(EVENTS)
    if not lake.exists(EVENTS):
        return stored
    days = read.where("reason is null").select(f.to_date("event_ts").alias("day")).distinct().collect()
    return stored.where(f.col("event_date").isin([row.day for row in days]))


if __name__ == "__main__":
    run(ingest)

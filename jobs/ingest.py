"""Take in the raw log files that have arrived up to a night.

Reads the files of the source below `raw`, writes `events`, `quarantine` and, last, `ingested_files`. A file is taken in
once, whatever its name; a record that cannot be read is set aside with a reason. Safe to run again, and after a kill.

    spark-submit jobs/ingest.py ds=2017-12-28 raw=var/demo/raw lake=var/demo/lake source=complete_journey
"""

from datetime import date
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as f

from conf.schema import Config
from features.events import (
    EVENTS,
    judge_times,
    mark_duplicates,
    number_identical_rows,
    parse,
    repeated_ids,
    to_events,
)
from features.ingested_files import INGESTED_FILES, counted, last_batch
from features.lake import Lake
from features.quarantine import QUARANTINE, refused_records
from features.raw import ARRIVALS, RawFile, checked, files_up_to
from features.records import one_split_a_task, records
from jobs.job import InputError, run

COUNTS = ("records", "events", "duplicates", "quarantined")


def ingest(conf: Config, lake: Lake) -> dict[str, Any]:
    ds = date.fromisoformat(conf.ds)
    batch = last_batch(lake.read(INGESTED_FILES)) + 1
    clear_unfinished(lake, batch)
    files = new_files(conf, lake, ds)
    if files is None:
        return {"files": 0, "note": f"nothing new has arrived up to {ds}"} | dict.fromkeys(COUNTS, 0)
    with one_split_a_task(lake.spark):
        read = read_records(conf, lake, files).persist(StorageLevel.DISK_ONLY)
        repeated = repeated_ids(read, stored_near(conf, lake, files)).persist()
        repeated.count()  # so that Spark knows how few they are, and sends them to the records
        parsed = mark_duplicates(read, repeated)
        report = counted(files, parsed, conf.source.name, batch).persist()
        counts = check_conserved(report)
    facts = {"job": "ingest", "ds": conf.ds, "batch": batch, **counts}
    lake.append(EVENTS, to_events(parsed, conf.source, batch), facts)
    if counts["quarantined"]:
        lake.insert_new(QUARANTINE, refused_records(parsed, files, ds, batch), facts)
    lake.append(INGESTED_FILES, report, facts)
    for frame in (read, repeated, report, files):
        frame.unpersist()
    return {"files": counts.pop("files"), "batch": batch} | counts


def clear_unfinished(lake: Lake, batch: int) -> None:
    """Removes what an ingest left behind that was stopped before its last commit."""
    for table in (EVENTS, QUARANTINE):
        if lake.facts(table).get("batch", 0) >= batch:
            lake.delete(table, f"batch >= {batch}", {"job": "ingest", "cleared": batch})


def new_files(conf: Config, lake: Lake, ds: date) -> DataFrame | None:
    """Files that are not in the lake, by content: `path`, `size`, `modified`, `arrival_date`, `checksum`, `problem`."""
    try:
        arrived = files_up_to(lake.spark, conf.raw, conf.source.path, ds)
    except FileNotFoundError as error:
        raise InputError(f"{error}: set raw= to the folder that {conf.source.path} is in") from None
    except ValueError as error:
        raise InputError(str(error)) from None
    known = {
        tuple(row) for row in lake.read(INGESTED_FILES).select("path", "size", "modified").toLocalIterator()
    }
    unseen = [file for file in arrived if (file.path, file.size, file.modified) not in known]
    if not unseen:
        return None
    sums = checked(lake.spark, [file.path for file in unseen], conf.source)
    listed = lake.spark.createDataFrame([_row(file) for file in unseen], ARRIVALS).join(sums, "path")
    stored = lake.read(INGESTED_FILES).select("checksum")
    first = f.row_number().over(Window.partitionBy("checksum").orderBy("arrival_date", "path"))
    fresh = (
        listed.join(stored, "checksum", "left_anti")
        .withColumn("_n", first)
        .where("_n = 1")
        .drop("_n")
        .persist()
    )
    return None if fresh.isEmpty() else fresh


def read_records(conf: Config, lake: Lake, files: DataFrame) -> DataFrame:
    """Every record of the whole files among `files`, parsed, with `reason`."""
    whole = [row.path for row in files.where("problem is null").select("path").toLocalIterator()]
    arrival = files.select(f.col("path").alias("source_file"), "arrival_date")
    lines = records(lake.spark, whole, conf.source).join(
        f.broadcast(arrival), "source_file", "left"
    )  # loses none
    parsed = judge_times(parse(lines, conf.source), conf.features.late_days)
    if conf.source.event_id is None and conf.source.identical_rows == "distinct":
        parsed = number_identical_rows(parsed)
    return parsed


def stored_near(conf: Config, lake: Lake, files: DataFrame) -> DataFrame:
    """The stored events of the days that records of `files` can lie in.

    Of this version: a write to a table makes Spark forget what it keeps of the table's newest one, and with it what was
    found to be a duplicate.
    """
    first, last = files.agg(f.min("arrival_date"), f.max("arrival_date")).first()  # type: ignore[misc]
    near = f.col("event_date").between(
        f.date_sub(f.lit(first), conf.features.late_days + 1), f.date_add(f.lit(last), 2)
    )
    return lake.read(EVENTS, lake.version(EVENTS)).where(near)


def check_conserved(report: DataFrame) -> dict[str, int]:
    """The counts of an ingest; refuses to go on where a record is lost or doubled."""
    sums = report.agg(f.count("*").alias("files"), *(f.sum(name).alias(name) for name in COUNTS)).first()
    counts = {name: int(sums[name]) for name in ("files", *COUNTS)}  # type: ignore[index]
    if counts["records"] != counts["events"] + counts["duplicates"] + counts["quarantined"]:
        raise AssertionError(f"records read must be events + duplicates + quarantined: {counts}")
    return counts


def _row(file: RawFile) -> tuple[str, int, int, date]:
    return file.path, file.size, file.modified, file.arrival_date


if __name__ == "__main__":
    run(ingest)

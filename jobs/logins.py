"""The identity map on its way into the lake, as a part of an ingest."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.erased_users import ERASED_USERS, refuse_erased_logins
from features.formats import SourceError
from features.identities import (
    IDENTITIES,
    IDENTITY_FILES,
    between,
    closing,
    mark_known,
    parse_logins,
    pseudonymous_logins,
    refuse_cycles,
    to_identities,
)
from features.ingested_files import FILES, NewFile, conserved, counted
from features.keyed_ids import Keys
from features.lake import Lake
from features.quarantine import QUARANTINE, refused_records
from features.records import one_split_a_task, records
from jobs.job import InputError, settled
from jobs.keys import keys_of_erased


def take_in_logins(conf: Config, lake: Lake, fresh: list[NewFile], batch: int, keys: Keys) -> dict[str, int]:
    """Writes what new files of the identity map say into `identities`, `quarantine` and `identity_files`.

    The batch is there when `ingested_files` says so, after this.
    """
    files = lake.spark.createDataFrame(fresh, FILES)
    stored = lake.read(IDENTITIES)
    with one_split_a_task(lake.spark):
        marked = settled(mark_known(read_logins(conf, lake, fresh, files, keys), stored))
    parsed = without_cycles(marked, stored)
    report = counted(files, parsed, conf.source.name, batch).withColumnRenamed("events", "identities")
    rows = report.collect()
    counts = conserved(rows, "identities")
    facts = {"job": "ingest", "ds": conf.ds, "batch": batch, **counts}
    lake.append(IDENTITIES, to_identities(parsed, batch), facts)
    if counts["quarantined"]:
        refused = refused_records(parsed, files, date.fromisoformat(conf.ds), batch)
        lake.insert_new(QUARANTINE, refused, facts)
    lake.append(IDENTITY_FILES, lake.spark.createDataFrame(rows, IDENTITY_FILES.schema), facts)
    return counts


def read_logins(conf: Config, lake: Lake, fresh: list[NewFile], files: DataFrame, keys: Keys) -> DataFrame:
    """Every login of the whole files, parsed, with `reason`, and with keyed hashes before anything is kept of it."""
    source = conf.source.identities
    assert source is not None
    whole = [file.path for file in fresh if file.problem is None]
    arrival = files.select(f.col("path").alias("source_file"), "arrival_date")
    try:
        found = records(lake.spark, whole, source)
        parsed = parse_logins(found.join(f.broadcast(arrival), "source_file", "left"), source)
    except SourceError as error:
        raise InputError(str(error)) from None
    if lake.exists(ERASED_USERS):
        parsed = refuse_erased_logins(parsed, lake.read(ERASED_USERS), keys_of_erased(conf, lake, keys))
    return pseudonymous_logins(parsed, keys) if keys else parsed


def without_cycles(marked: DataFrame, stored: DataFrame) -> DataFrame:
    """The logins, those refused by which an id would be its own user; few can be, and the driver looks at these."""
    new = marked.where("reason is null and not is_duplicate").select(*stored.columns[:-1])
    logins = (
        stored.drop("batch")
        .withColumn("is_new", f.lit(False))
        .unionByName(new.withColumn("is_new", f.lit(True)))
    )
    if between(new, logins).isEmpty():
        return marked
    in_order = between(logins, logins).orderBy("is_new", "arrival_date", "source_file", "ingest_seq")
    refused = closing((row.anonymous_id, row.user_id) for row in in_order.collect())
    return settled(refuse_cycles(marked, refused))

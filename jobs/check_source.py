"""See what a log format makes of your own files, before anything is taken in.

Reads a sample of a file, or of the files of a folder, and prints the events that it would become, how many records would be
refused and why, and a verdict: ok, ok with refusals, or unusable (exit code 2). Writes nothing.

    spark-submit jobs/check_source.py source=rees46 path=downloads/2019-Oct.csv.gz

source    a format of conf/source, or the path of a YAML file like those: source=shops/mine.yaml
path      a file, or a folder: of it the files that match source.path, else all
sample    how many lines (documents, rows) are read of it, 10000 where nothing is said; of many files from at most 8
ds        the day on which files came that have none in their path; without it nothing is too late

Any other key of the configuration works too: source.delimiter=';' features.session_gap_minutes=20
"""

import sys
import tempfile
from datetime import date, timedelta
from functools import reduce

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from conf.schema import Config
from features.events import judge_times, mark_duplicates, number_identical_rows, parse, repeated_ids
from features.findings import UNUSABLE, Findings, findings
from features.formats import SourceError
from features.raw import checked, files_at
from features.records import one_split_a_task, sampled
from jobs.job import BAD_INPUT, InputError, configure, open_lake, stop
from reports.source_check import show

FILES, WHOLE, ROWS = 8, 64 << 20, 5
"""How many files a sample is taken from; up to how many bytes a file is read to its end; how many events are shown."""


def main() -> None:
    conf = configure(("path", "spark.master"))
    with tempfile.TemporaryDirectory() as nowhere:
        conf.spark.settings["spark.sql.warehouse.dir"] = nowhere  # Spark makes that folder, needed or not
        spark = open_lake(conf, "check_source").spark
        try:
            found = check_source(conf, spark)
            show(found, conf.source, date.today(), conf.features.late_days, conf.features.session_gap_minutes)
        except (InputError, SourceError) as error:
            stop(str(error))
        finally:
            spark.stop()
    sys.exit(exit_code(found.verdict))


def exit_code(verdict: str) -> int:
    return BAD_INPUT if verdict == UNUSABLE else 0


def check_source(conf: Config, spark: SparkSession) -> Findings:
    """What the source makes of a sample of what lies at `conf.path`."""
    files = files_at(spark, conf.path, conf.source.path)
    if not files:
        raise InputError(f"there is no file at {conf.path}: set path= to a file or a folder of them")
    some = [files[len(files) * n // min(FILES, len(files))] for n in range(min(FILES, len(files)))]
    print(f"check_source: {conf.sample:,} lines at most of {len(some)} of {len(files)} files", flush=True)
    try:
        with one_split_a_task(spark):
            refuse_broken(conf, spark, [file.path for file in some if file.size <= WHOLE])
            parsed = read_sample(conf, spark, {file.path: file.arrival_date for file in some}).persist()
            if parsed.isEmpty():
                raise InputError(f"there is no record in {some[0].path}: expected {conf.source.format}")
            gap = timedelta(minutes=conf.features.session_gap_minutes)
            return findings(parsed, conf.source, gap, ROWS)
    except (PySparkException, Py4JError) as error:
        said = str(error).strip().splitlines()[0]
        raise InputError(f"{conf.path} cannot be read as {conf.source.format}: {said}") from None


def refuse_broken(conf: Config, spark: SparkSession, paths: list[str]) -> None:
    """Stops at a file that an ingest would refuse as a whole."""
    if paths and (bad := checked(spark, paths, conf.source).where("problem is not null").first()):
        raise InputError(f"{bad.path} would be refused as a whole, as broken_file: {bad.problem}")


def read_sample(conf: Config, spark: SparkSession, arrivals: dict[str, date | None]) -> DataFrame:
    """The sample's records, parsed and judged: with `reason` and `is_duplicate`."""
    lines = -(-conf.sample // len(arrivals))
    given = date.fromisoformat(conf.ds) if conf.ds else None
    parts = []
    for path, day in arrivals.items():
        arrived = day or given
        records = sampled(spark, path, conf.source, lines).withColumn(
            "arrival_date", f.lit(arrived or date.today())
        )
        parsed = parse(records, conf.source)
        parts.append(judge_times(parsed, conf.features.late_days) if arrived else parsed)
    parsed = reduce(DataFrame.unionByName, parts)
    if conf.source.event_id is None and conf.source.identical_rows == "distinct":
        parsed = number_identical_rows(parsed)
    nothing_stored = spark.createDataFrame([], "event_id string, event_date date")
    return mark_duplicates(parsed, repeated_ids(parsed, nothing_stored))


if __name__ == "__main__":
    main()

"""See what a log format makes of your own files, before anything is taken in.

Reads a sample of a file, or of the files of a folder, and prints the events that it would become, how many records would be
refused and why, and a verdict: ok, ok with refusals, or unusable (exit code 2). The same of the logins, where the source has
an identity map. Writes nothing.

    spark-submit jobs/check_source.py source=rees46 path=downloads/2019-Oct.csv.gz

source    a format of conf/source, or the path of a YAML file like those: source=shops/mine.yaml
path      a file, or a folder: of it the files that match source.path, else all
logins    the same of the identity map; without it, of `path` the files that match source.identities.path
sample    how many lines (documents, rows) are read of each, 10000 where nothing is said; of many files from at most 8
ds        the day on which files came that have none in their path; without it nothing is too late

Any other key of the configuration works too: source.delimiter=';' features.session_gap_minutes=20
"""

import sys
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial, reduce
from typing import TypeVar

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from conf.schema import Config, IdentitySource, Records
from features.events import judge_times, mark_duplicates, number_identical_rows, parse, repeated_ids
from features.findings import UNUSABLE, Findings, LoginFindings, findings, login_findings
from features.formats import SourceError
from features.identities import IDENTITIES, mark_known, parse_logins
from features.raw import FoundFile, checked, files_at
from features.records import one_split_a_task, sampled
from jobs.command import BAD_INPUT, InputError, configure, stop
from jobs.job import open_lake
from jobs.logins import without_cycles
from reports.source_check import show, show_logins

Found = TypeVar("Found", Findings, LoginFindings)
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
            logins = check_logins(conf, spark)
            if logins and conf.source.identities:
                show_logins(logins, conf.source.identities)
        except (InputError, SourceError) as error:
            stop(str(error))
        finally:
            spark.stop()
    sys.exit(exit_code(*(each.verdict for each in (found, logins) if each)))


def exit_code(*verdicts: str) -> int:
    return BAD_INPUT if UNUSABLE in verdicts else 0


def check_source(conf: Config, spark: SparkSession) -> Findings:
    """What the source makes of a sample of what lies at `conf.path`."""
    files = files_at(spark, conf.path, conf.source.path)
    if not files:
        raise InputError(f"there is no file at {conf.path}: set path= to a file or a folder of them")
    gap = timedelta(minutes=conf.features.session_gap_minutes)
    read = partial(read_sample, conf, spark)
    return look_at(
        spark, conf, files, conf.source, read, lambda parsed: findings(parsed, conf.source, gap, ROWS)
    )


def check_logins(conf: Config, spark: SparkSession) -> LoginFindings | None:
    """What the source makes of a sample of its identity map; none: there is none, or no file of it."""
    source = conf.source.identities
    if source is None:
        if conf.logins:
            raise InputError(
                f"source {conf.source.name} has no identities: see docs/sources.md for what to say there"
            )
        return None
    files = files_at(spark, conf.logins or conf.path, source.path, others=bool(conf.logins))
    if conf.logins and not files:
        raise InputError(f"there is no file at {conf.logins}: set logins= to a file or a folder of them")
    if not files:
        return None
    read = partial(read_logins_sample, conf, spark, source)
    return look_at(spark, conf, files, source, read, lambda parsed: login_findings(parsed, ROWS))


def look_at(
    spark: SparkSession,
    conf: Config,
    files: list[FoundFile],
    source: Records,
    read: Callable[[dict[str, date | None]], DataFrame],
    judge: Callable[[DataFrame], Found],
) -> Found:
    """Reads some of the files and judges what was read, or says in a sentence why that cannot be done."""
    some = [files[len(files) * n // min(FILES, len(files))] for n in range(min(FILES, len(files)))]
    print(f"check_source: {conf.sample:,} lines at most of {len(some)} of {len(files)} files", flush=True)
    try:
        with one_split_a_task(spark):
            refuse_broken(spark, source, [file.path for file in some if file.size <= WHOLE])
            parsed = read({file.path: file.arrival_date for file in some}).persist()
            if parsed.isEmpty():
                raise InputError(f"there is no record in {some[0].path}: expected {source.format}")
            return judge(parsed)
    except (PySparkException, Py4JError) as error:
        said = str(error).strip().splitlines()[0]
        raise InputError(f"{some[0].path} cannot be read as {source.format}: {said}") from None


def refuse_broken(spark: SparkSession, source: Records, paths: list[str]) -> None:
    """Stops at a file that an ingest would refuse as a whole."""
    if paths and (bad := checked(spark, paths, source).where("problem is not null").first()):
        raise InputError(f"{bad.path} would be refused as a whole, as broken_file: {bad.problem}")


def read_sample(conf: Config, spark: SparkSession, arrivals: dict[str, date | None]) -> DataFrame:
    """The sample's records, parsed and judged: with `reason` and `is_duplicate`."""
    parts = []
    for path, arrived in arrivals.items():
        parsed = parse(sample_of(conf, spark, conf.source, path, arrived, len(arrivals)), conf.source)
        parts.append(judge_times(parsed, conf.features.late_days) if arrived or conf.ds else parsed)
    parsed = reduce(DataFrame.unionByName, parts)
    if conf.source.event_id is None and conf.source.identical_rows == "distinct":
        parsed = number_identical_rows(parsed)
    nothing_stored = spark.createDataFrame([], "event_id string, event_date date")
    return mark_duplicates(parsed, repeated_ids(parsed, nothing_stored))


def read_logins_sample(
    conf: Config, spark: SparkSession, source: IdentitySource, arrivals: dict[str, date | None]
) -> DataFrame:
    """The same of logins."""
    parts = [
        parse_logins(sample_of(conf, spark, source, path, arrived, len(arrivals)), source)
        for path, arrived in arrivals.items()
    ]
    nothing_stored = spark.createDataFrame([], IDENTITIES.schema)
    return without_cycles(mark_known(reduce(DataFrame.unionByName, parts), nothing_stored), nothing_stored)


def sample_of(
    conf: Config, spark: SparkSession, source: Records, path: str, arrived: date | None, files: int
) -> DataFrame:
    """The first records of one of so many files, with the day on which it came: in its path, `conf.ds`, else today."""
    came = arrived or (date.fromisoformat(conf.ds) if conf.ds else date.today())
    lines = -(-conf.sample // files)
    return sampled(spark, path, source, lines).withColumn("arrival_date", f.lit(came))


if __name__ == "__main__":
    main()

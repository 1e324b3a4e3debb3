"""What every job does around its paragraph: read the configuration, start Spark, say what came of it."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, NoReturn

from conf.load import ConfigurationError, load
from conf.schema import Config
from features.lake import Lake, UnsupportedTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Step = Callable[[Config, Lake], dict[str, Any]]
BAD_INPUT, UNTRUSTED = 2, 3
FEW_ROWS = 100_000


class InputError(ValueError):
    """Something outside the program that its user can put right; shown without a traceback."""


class Untrusted(RuntimeError):
    """Data that does not meet an expectation marked `stop`."""


def run(step: Step, needs: Sequence[str] = ("ds",)) -> None:
    """Runs one step as a command: `spark-submit jobs/STEP.py key=value …`.

    A wrong configuration stops it before Spark starts. Ends with one line of facts; exit code 2 for what the user can
    put right, 3 for data that is not trusted (jobs/quality.py), 1 for anything else that fails.
    """
    conf = configure((*needs, "spark.master"))
    lake = open_lake(conf, step.__name__)
    try:
        with progress(step.__name__, lake):
            say(step, conf, lake)
    except (InputError, UnsupportedTable) as error:
        stop(str(error))
    except Untrusted as error:
        stop(str(error), UNTRUSTED)
    finally:
        lake.spark.stop()


def configure(needs: Sequence[str] = ()) -> Config:
    """The configuration of this command line, or the end of the program with a line that says what is wrong."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print((sys.modules["__main__"].__doc__ or "").strip())
        raise SystemExit(0)
    try:
        return load(sys.argv[1:], needs)
    except ConfigurationError as error:
        stop(str(error))


def stop(message: str, code: int = BAD_INPUT) -> NoReturn:
    """Ends the program with `message` alone."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(code)


def say(step: Step, conf: Config, lake: Lake) -> dict[str, Any]:
    """Runs a step and prints its facts, with the seconds it took."""
    print(f"{step.__name__}: started", flush=True)
    start = time.monotonic()
    facts = step(conf, lake) | {"seconds": round(time.monotonic() - start, 1)}
    print(f"{step.__name__}: " + ", ".join(f"{k}={v}" for k, v in facts.items()), flush=True)
    return facts


@contextmanager
def progress(name: str, lake: Lake, every: float = 5.0) -> Iterator[None]:
    """Within it, a line every few seconds says what Spark is at."""
    tracker, done, start = lake.spark.sparkContext.statusTracker(), Event(), time.monotonic()

    def tell() -> None:
        while not done.wait(every):
            stages = [
                stage for number in tracker.getActiveStageIds() if (stage := tracker.getStageInfo(number))
            ]
            at = ", ".join(
                f"{s.numCompletedTasks} of {s.numTasks} tasks of {s.name.split(' at ')[0]}" for s in stages
            )
            print(f"  {name}: {time.monotonic() - start:.0f} s  {at or 'planning'}", flush=True)

    teller = Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def settled(frame: "DataFrame") -> "DataFrame":
    """The rows of `frame`, computed here and now, on the executors' disks; they go when nothing refers to them any more.

    Unlike a frame that is persisted they stay as they are when a table that they came from is written, and each further use
    is planned from them alone. They cannot be computed anew: an executor that is lost ends the job, which is safe to run
    again. Where they are few, a join sends them to each of its tasks.
    """
    from pyspark import StorageLevel
    from pyspark.sql.functions import broadcast

    kept = frame.localCheckpoint(eager=True, storageLevel=StorageLevel.DISK_ONLY)
    return broadcast(kept) if kept.count() <= FEW_ROWS else kept


def open_lake(conf: Config, name: str) -> Lake:
    """Starts Spark as `conf.spark` says and opens the lake."""
    os.environ["TZ"] = "UTC"  # times that pass through Python are then the same on every machine
    time.tzset()
    from pyspark import SparkContext  # here, so that a job that needs no Spark does not wait for it
    from pyspark.sql import SparkSession

    # PySpark 4.0 sends a wheel of --py-files to the executors, and then leaves it off their path.
    SparkContext.PACKAGE_EXTENSIONS = (*SparkContext.PACKAGE_EXTENSIONS, ".whl")
    builder = SparkSession.builder.appName(f"footfall {name}").master(conf.spark.master)
    settings = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "false",  # one number that does not parse must not end a night
        "spark.sql.shuffle.partitions": conf.spark.shuffle_partitions,
        "spark.sql.execution.arrow.maxRecordsPerBatch": 1024,
        **conf.spark.settings,
    }
    for key, value in settings.items():
        builder = builder.config(key, value)
    return Lake(builder.getOrCreate(), conf.lake)

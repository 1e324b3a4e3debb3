"""What every job does around its paragraph: read the configuration, start Spark, say what came of it."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from conf.schema import Config
from features.lake import Lake, UnsupportedTable
from features.leases import WRITER, Holder, Lease, LeaseHeld, LeaseLost, holding, is_done, release, take
from jobs.command import BREACHED, UNTRUSTED, Breached, InputError, Untrusted, configure, stop
from models.registry_down import RegistryDown, RegistryElsewhere

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Step = Callable[[Config, Lake], dict[str, Any]]
Leases = Callable[[Config], Sequence[str]]
Telling = Callable[[str, Lake], AbstractContextManager[None]]
FEW_ROWS = 100_000
POLL = 2.0  # seconds between two looks at a lease
UNTOLD = re.compile(
    r"[+~]*(wait|lease_seconds|spark|registry|artifacts)\b"
)  # they change nothing, or can hold a secret
USER_OF_URI = re.compile(r"(?<=://)[^/@]*@")


def writer(conf: Config) -> Sequence[str]:
    """The lease of all jobs that write, but for those that write a partition of their own."""
    return [WRITER]


def reader(conf: Config) -> Sequence[str]:
    """No lease: a job that only reads waits for nobody."""
    return []


def run(
    step: Step, needs: Sequence[str] = ("ds",), leases: Leases = writer, telling: Telling | None = None
) -> None:
    """Runs one step as a command: `spark-submit jobs/STEP.py key=value …`.

    A wrong configuration stops it before Spark starts; so does, once it has, another run that holds one of `leases`.
    While it runs, `progress` says what Spark is at, where it has no `telling` of its own. Ends with one line of facts; exit
    code 2 for what the user can put right, 3 for data that is not trusted (jobs/quality.py), 4 for measures outside of their
    limits (jobs/monitor.py), 1 for anything else that fails.
    """
    conf = configure((*needs, "spark.master"))
    lake = open_lake(conf, step.__name__)
    try:
        with leased(conf, lake, step.__name__, leases(conf)) as is_mine:
            if is_mine:
                with (telling or progress)(step.__name__, lake):
                    say(step, conf, lake)
    except (InputError, UnsupportedTable, LeaseLost, RegistryDown, RegistryElsewhere) as error:
        stop(str(error))
    except Untrusted as error:
        stop(str(error), UNTRUSTED)
    except Breached as error:
        stop(str(error), BREACHED)
    finally:
        lake.spark.stop()


@contextmanager
def leased(conf: Config, lake: Lake, job: str, names: Sequence[str]) -> Iterator[bool]:
    """Within it the leases are held; false where another run with the same arguments has done the work meanwhile."""
    if not names:
        yield True
        return
    lease = awaited(conf, lake, names, Holder(job, told(sys.argv[1:]), conf.lease_seconds))
    if lease is None:
        yield False
        return
    with holding(lease):
        yield True


def awaited(conf: Config, lake: Lake, names: Sequence[str], holder: Holder) -> Lease | None:
    """The leases, with `wait` as soon as they are free; none where a run with the same arguments has done the work."""
    other: LeaseHeld | None = None

    def is_done_meanwhile() -> bool:
        if not (other and other.held.is_by_twin(holder) and is_done(lake, other.held)):
            return False
        print(f"{holder.job}: done meanwhile by {other.held}", flush=True)
        return True

    while not is_done_meanwhile():
        try:
            lease = take(lake, names, holder)
            if not is_done_meanwhile():  # between the two looks
                return lease
            release(lease)
            return None
        except LeaseHeld as found:
            if not conf.wait:
                why = "runs already with these arguments" if found.held.is_by_twin(holder) else "has to wait"
                raise InputError(
                    f"{holder.job} {why}: {found}. Run it again when that is done, or give wait=true, and it waits"
                ) from None
            if other is None or other.held.claim != found.held.claim:
                print(f"{holder.job}: waiting, {found}", flush=True)
            other = found
        time.sleep(POLL)
    return None


def told(arguments: Sequence[str]) -> str:
    """A command's arguments as `leases` keeps them: those that say what is done, in an order of their own."""
    return " ".join(sorted(USER_OF_URI.sub("", each) for each in arguments if not UNTOLD.match(each)))


def say(step: Step, conf: Config, lake: Lake) -> dict[str, Any]:
    """Runs a step and prints its facts, with the versions of the tables that it wrote and the seconds it took."""
    print(f"{step.__name__}: started", flush=True)
    start = time.monotonic()
    facts = step(conf, lake)
    if written := lake.versions_written():
        facts["tables"] = " ".join(f"{name}@{version}" for name, version in written.items())
    facts["seconds"] = round(time.monotonic() - start, 1)
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

"""Which batches of events a step has still to take: every one above those that its output's last commit covered."""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from features.events import EVENTS
from features.ingested_files import INGESTED_FILES
from features.lake import Lake
from features.sessions import SESSIONS
from features.table import Table


@dataclass(frozen=True)
class Batches:
    """The batches `(after, upto]`, whatever night they came in."""

    after: int
    upto: int

    def __bool__(self) -> bool:
        return self.upto > self.after

    def facts(self) -> dict[str, int]:
        """What a commit says of them, so that the next run starts behind them."""
        return {"batches_after": self.after, "batches_upto": self.upto}


@dataclass(frozen=True)
class Standing:
    """How far a table that is made of sessions has come: the newest batch in it, and the version of `sessions`."""

    batch: int
    sessions: int

    def facts(self) -> dict[str, int]:
        return {"batches_upto": self.batch, "sessions_version": self.sessions}


def last_batch(lake: Lake) -> int:
    """The number of the newest finished ingest, 0 where there was none."""
    return int(lake.facts(INGESTED_FILES).get("batch", 0))


def pending(lake: Lake, output: Table) -> Batches:
    """The batches that `output` has not covered yet."""
    return Batches(covered(lake, output), last_batch(lake))


def covered(lake: Lake, output: Table) -> int:
    """The newest batch whose events are in `output`, 0 where there is none."""
    return int(lake.facts(output).get("batches_upto", 0))


def newest(lake: Lake) -> Standing | None:
    """What a table made of all sessions will have reached; none before the first."""
    version = lake.version(SESSIONS)
    return None if version is None else Standing(covered(lake, SESSIONS), version)


def standing(lake: Lake, output: Table) -> Standing | None:
    """How far `output` has come; none where it is to be made whole."""
    facts = lake.facts(output)
    if "sessions_version" not in facts:
        return None
    return Standing(facts["batches_upto"], facts["sessions_version"])


def events_of(lake: Lake, batches: Batches) -> DataFrame:
    """The events that came in `batches`."""
    return lake.read(EVENTS).where((f.col("batch") > batches.after) & (f.col("batch") <= batches.upto))


def events_upto(lake: Lake, batch: int) -> DataFrame:
    """The events of every finished ingest up to `batch`."""
    return lake.read(EVENTS).where(f.col("batch") <= batch)

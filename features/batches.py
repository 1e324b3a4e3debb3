"""Which batches of events a step has still to take: every one above those that its output's last commit covered."""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from features.events import EVENTS
from features.ingested_files import INGESTED_FILES, last_batch
from features.lake import Lake
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


def pending(lake: Lake, output: Table, upto: int | None = None) -> Batches:
    """The batches that `output` has not covered yet; `upto` where an input of it has not covered them all."""
    newest = last_batch(lake.read(INGESTED_FILES)) if upto is None else upto
    return Batches(covered(lake, output), newest)


def covered(lake: Lake, output: Table) -> int:
    """The newest batch whose events are in `output`, 0 where there is none."""
    return int(lake.facts(output).get("batches_upto", 0))


def events_of(lake: Lake, batches: Batches) -> DataFrame:
    """The events that came in `batches`."""
    return lake.read(EVENTS).where((f.col("batch") > batches.after) & (f.col("batch") <= batches.upto))


def events_upto(lake: Lake, batch: int) -> DataFrame:
    """The events of every finished ingest up to `batch`."""
    return lake.read(EVENTS).where(f.col("batch") <= batch)

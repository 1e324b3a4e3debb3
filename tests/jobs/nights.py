"""Nights of a small shop: how tests run the chain, and what they compare lakes by."""

from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from conf.load import load
from conf.schema import Config
from features.events import EVENTS
from features.ingested_files import INGESTED_FILES
from features.items import ITEMS
from features.lake import Lake
from features.quarantine import QUARANTINE
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from features.table import Table
from features.users import USERS
from jobs.ingest import ingest
from jobs.sequence import sequence
from jobs.sessionize import sessionize
from tests.conftest import PLAIN, SPARK
from tests.shop import rows_of

STEPS = (ingest, sessionize, sequence)
TAKEN_IN = (EVENTS, QUARANTINE, INGESTED_FILES)
DERIVED = (SESSIONS, SEQUENCES, ITEMS, USERS)


def shop(folder: Path, ds: str, *more: str, lake: str = "lake") -> Config:
    """The configuration of a night of the shop in `folder`."""
    places = [
        f"raw={folder / 'raw'}",
        f"lake={folder / lake}",
        f"registry=sqlite:///{folder / 'mlflow.db'}",
        f"artifacts={folder / 'artifacts'}",
    ]
    return load([*SPARK, "source=plain", PLAIN, f"ds={ds}", *places, *more])


def night(spark: SparkSession, conf: Config) -> dict[str, dict[str, Any]]:
    """Runs a night up to its sequences; step -> what it said."""
    lake = Lake(spark, conf.lake)
    return {step.__name__: step(conf, lake) for step in STEPS}


def contents(lake: Lake, *tables: Table) -> dict[str, list[tuple[Any, ...]]]:
    return {table.name: rows_of(lake.read(table)) for table in tables}


def versions(lake: Lake, *tables: Table) -> dict[str, int | None]:
    return {table.name: lake.version(table) for table in tables or (*TAKEN_IN, *DERIVED)}


def holding(folder: Path, word: str) -> list[str]:
    """The files below a folder in which a word stands, in whatever byte; of Parquet where it is `bare`."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.name for path in files if word.encode() in path.read_bytes())

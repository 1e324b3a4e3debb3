"""What conf/airflow says: the shop that the DAGs serve, their schedules, pools and patience."""

import os
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "conf" / "airflow"
PLACES = ("raw", "lake", "registry", "artifacts")
CHOICE = "FOOTFALL_AIRFLOW"


@dataclass(frozen=True)
class Settings:
    """The keys of conf/airflow/default.yaml, which gives their meanings and all defaults."""

    environment: str
    raw: str
    lake: str
    registry: str
    artifacts: str
    erasures: str
    sources: list[str]
    tasks: list[str]
    arguments: list[str]
    start: str
    end: str | None
    nightly: str
    weekly: str
    maintenance: str
    model: str
    launcher: str
    monitor: bool
    publish: bool
    spark: str
    driver_memory: str | None
    spark_conf: dict[str, str]
    py_files: str | None
    retries: int
    retry_minutes: float
    step_hours: float
    training_hours: float
    patience_hours: float
    look_minutes: float
    night_deadline_hours: float
    retrain_deadline_hours: float
    score_deadline_hours: float
    backfill_days: int

    @property
    def bin(self) -> Path:
        """The folder with the training environment's python and spark-submit."""
        return ROOT / self.environment / "bin"

    @property
    def first(self) -> datetime:
        return day(self.start)

    @property
    def last(self) -> datetime | None:
        """The start of the last interval: the end of the last night is none of them."""
        return day(self.end) + timedelta(days=1) if self.end else None


class SettingsError(ValueError):
    """A key or value of conf/airflow that makes no sense; the text names it and what was expected."""


def load(name: str | None = None) -> Settings:
    """default.yaml, and on top of it the file that `name`, or FOOTFALL_AIRFLOW in the environment, chooses.

    name  of a file in conf/airflow, or the path of one's own, which ends in .yaml
    """
    name = name or os.environ.get(CHOICE, "default")
    told = read(FOLDER / "default.yaml")
    if name != "default":
        told |= read(Path(name) if name.endswith(".yaml") else FOLDER / f"{name}.yaml")
    known = {each.name for each in fields(Settings)}
    if unknown := sorted(told.keys() - known):
        raise SettingsError(f"{name} has {', '.join(unknown)}, expected keys of conf/airflow/default.yaml")
    return Settings(**told)


def read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        there = ", ".join(sorted(each.stem for each in FOLDER.glob("*.yaml")))
        raise SettingsError(f"there is no {path}: set {CHOICE} to one of {there}, or to a file of your own")
    return yaml.safe_load(path.read_text()) or {}


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


SETTINGS = load()

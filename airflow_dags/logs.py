"""Whether the raw logs of a night are there: what a night waits for."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from airflow.sdk import BaseSensorOperator, Context, ObjectStoragePath, PokeReturnValue

from airflow_dags.settings import ROOT, SETTINGS

DAY = re.compile(r"\d{4}-\d\d-\d\d")


class LogsSensor(BaseSensorOperator):
    """Waits for the files of `ds`, without holding a slot. Returns how many there are.

    A night without any is over, with a note, once its folder is there, or that of a later day. Files that come after
    that are taken in by the next night.
    """

    template_fields = ("raw", "ds")

    def __init__(self, *, source: str, raw: str, ds: str, **more: Any) -> None:
        patience, look = timedelta(hours=SETTINGS.patience_hours), timedelta(minutes=SETTINGS.look_minutes)
        super().__init__(**{"mode": "reschedule", "timeout": patience, "poke_interval": look} | more)
        self.source = source
        self.raw = raw
        self.ds = ds

    def poke(self, context: Context) -> PokeReturnValue:
        found = arrived(root_of(self.raw), path_of(self.source), self.ds)
        if found is None:
            self.log.info(
                "waiting: no logs of %s have arrived as %s below %s; looking again every %s, for %s hours in all",
                self.ds,
                path_of(self.source),
                self.raw,
                self.poke_interval,
                SETTINGS.patience_hours,
            )
            return PokeReturnValue(False)
        self.log.info("logs: %s", ", ".join(f"{key}={value}" for key, value in found.items()))
        return PokeReturnValue(True, found)


def root_of(raw: str) -> Any:
    """A folder here, or one of an object store for which Airflow has a provider."""
    return ObjectStoragePath(raw) if "://" in raw else ROOT / raw


def path_of(source: str) -> str:
    """The pattern of a log format's files: `events/{ds}/*.json.gz`."""
    file = ROOT / source if source.endswith(".yaml") else ROOT / "conf" / "source" / f"{source}.yaml"
    return yaml.safe_load(file.read_text())["path"]


def arrived(root: Any, pattern: str, ds: str) -> dict[str, Any] | None:
    """`{"files": 3}`, or 0 and a note where none will come; none where they may still come."""
    if "{ds}" not in pattern:
        return {"files": 0, "note": f"files of {pattern} do not say when they arrived: nothing to wait for"}
    files = sum(1 for _ in root.glob(pattern.format(ds=ds)))
    if files:
        return {"files": files}
    parts = Path(pattern).parts
    dated = next(n for n, part in enumerate(parts) if "{ds}" in part)
    parent = root.joinpath(*parts[:dated])
    if dated < len(parts) - 1 and (parent / parts[dated].format(ds=ds)).is_dir():
        return {"files": 0, "note": f"a night of no data: the folder of {ds} is there and has none"}
    if later := next((day for day in days(parent, parts[dated]) if day > ds), None):
        return {"files": 0, "note": f"a night of no data: logs of {later} are there, and none of {ds}"}
    return None


def days(parent: Any, part: str) -> Iterator[str]:
    """The arrival dates below `parent`, in any order."""
    if not parent.is_dir():
        return
    for each in parent.glob(part.format(ds="*")):
        if found := DAY.search(each.name):
            yield found[0]

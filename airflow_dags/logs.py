"""Whether the raw logs of a night are there: what a night waits for."""

from datetime import timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator, Context, ObjectStoragePath, PokeReturnValue

from airflow_dags.arrivals import arrived, path_of
from airflow_dags.settings import ROOT, SETTINGS


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

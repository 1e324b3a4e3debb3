"""What all DAGs share: assets, retries, time-outs, deadlines."""

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, AsyncCallback, CronDataIntervalTimetable, DeadlineAlert, DeadlineReference
from footfall_alerts import failed

from airflow_dags.nights import nights_of
from airflow_dags.settings import SETTINGS

NIGHT = Asset("footfall_night")
"""The tables as of a night: `ds` and the tables' versions in an event's extra."""
CHAMPION = Asset("footfall_champion")
"""The models in service: `ds`, and task -> version."""
GPU_POOL = "footfall_gpu"
LONG = timedelta(hours=SETTINGS.training_hours)


def policy(**more: Any) -> dict[str, Any]:
    """Arguments of every DAG; a DAG's own come on top."""
    return {
        "catchup": False,
        "max_active_runs": 1,
        "start_date": SETTINGS.first,
        "end_date": SETTINGS.last,
        "tags": ["footfall"],
        "user_defined_macros": {"nights_of": nights_of},
        "default_args": {
            "owner": "footfall",
            "retries": SETTINGS.retries,
            "retry_delay": timedelta(minutes=SETTINGS.retry_minutes),
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": timedelta(hours=1),
            "execution_timeout": timedelta(hours=SETTINGS.step_hours),
            "on_failure_callback": failed,
        },
        **more,
    }


def every(cron: str) -> CronDataIntervalTimetable:
    """A run at the end of each interval [start, end) in UTC; a cron string alone would make empty ones."""
    return CronDataIntervalTimetable(cron, timezone="UTC")


def deadline(hours: float) -> DeadlineAlert:
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=hours),
        callback=AsyncCallback("footfall_alerts.deadline_missed", kwargs={"hours": hours}),
    )

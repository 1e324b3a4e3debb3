"""Alerts go as JSON to a webhook: the Airflow connection `footfall_alerts`, whose host is its address, password its token.

{"kind": "quality", "dag": "footfall_nightly", "task": "simulated.quality", "run": "…", "message": "…", "log": "…"}

Without that connection an alert is a line of the log alone; one that cannot be sent never makes a task fail.
"""

import asyncio
import json
import logging
import urllib.request
from typing import Any

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

CONNECTION = "footfall_alerts"
KINDS = {
    "QualityStop": "quality",
    "Breach": "breach",
    "AirflowSensorTimeout": "late",
    "BadInput": "input",
}
PATIENCE = 10  # seconds
log = logging.getLogger(__name__)


def failed(context: Any) -> None:
    """For `on_failure_callback`: a task failed for good."""
    told = context["ti"]
    error = context.get("exception")
    where = {"dag": told.dag_id, "task": told.task_id, "run": told.run_id}
    alert = {
        "kind": KINDS.get(type(error).__name__, "failure"),
        **where,
        "map_index": told.map_index,
        "message": str(error or "its process ended without a word"),
        "log": getattr(told, "log_url", None),
    }
    try:
        receiver = Connection.get(CONNECTION)
    except AirflowNotFoundException:
        receiver = None
    tell(alert, receiver)


async def deadline_missed(hours: float, context: Any = None) -> None:
    """For a DeadlineAlert: a run is not done so long after it was due to start."""
    run = (context or {}).get("dag_run", {})
    alert = {
        "kind": "deadline",
        "dag": run.get("dag_id"),
        "run": run.get("dag_run_id"),
        "message": f"not done {hours:g} hours after it was queued",
    }
    try:
        receiver = await Connection.async_get(CONNECTION)
    except AirflowNotFoundException:
        receiver = None
    await asyncio.to_thread(tell, alert, receiver)


def tell(alert: dict[str, Any], receiver: Connection | None) -> None:
    log.error("alert: %s", json.dumps(alert))
    if receiver is None:
        log.warning("nobody was told: there is no connection %s (docs/airflow.md)", CONNECTION)
        return
    headers = {"Content-Type": "application/json"}
    if receiver.password:
        headers["Authorization"] = f"Bearer {receiver.password}"
    request = urllib.request.Request(str(receiver.host), json.dumps(alert).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            log.info("the receiver of alerts answered %s", answer.status)
    except OSError:
        log.exception("the receiver of alerts could not be told")

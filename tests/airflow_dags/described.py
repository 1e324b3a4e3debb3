"""Says as JSON what Airflow makes of the DAGs; run by the python of .venv-airflow, which has no pytest.

Commands are those of the night of 2026-02-26: an interval, a run by hand, or an event's, as the DAG is scheduled.
"""

import importlib
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.dag_processing.importers import get_importer_registry
from airflow.sdk import Asset
from airflow.sdk.execution_time.context import MacrosAccessor, VariableAccessor
from airflow.serialization.serialized_objects import DagSerialization

SPARK = "airflow.providers.apache.spark.operators.spark_submit"
ON_CLUSTER = ("footfall_nightly", "complete_journey.ingest")
CLUSTER = '{"conn_type": "spark", "host": "spark://master", "port": 7077}'
GIVEN = {"start": "2026-02-01", "end": "2026-03-01"}
MAPPED = {
    "footfall_score": {"ds": "2026-02-26", "task": "next_item"},
    "footfall_backfill": {"start": "2026-02-01", "end": "2026-03-01"},
    "footfall_maintenance": {"users": "erase.txt"},
}


def main() -> None:
    importlib.import_module(SPARK)  # what is Airflow's own is no work of our files
    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    files = get_importer_registry().list_dag_files(folder)
    said: dict[str, Any] = {"errors": {}, "warnings": {}, "cpu_seconds": {}, "dags": {}}
    for file in files:
        began = time.process_time()
        bag = DagBag(file)
        said["cpu_seconds"][Path(file).name] = time.process_time() - began
        said["errors"] |= bag.import_errors
        said["warnings"] |= bag.captured_warnings
        said["dags"] |= {name: described(dag) for name, dag in bag.dags.items()}
        if ON_CLUSTER[0] in bag.dags:
            task = bag.dags[ON_CLUSTER[0]].get_task(ON_CLUSTER[1])
    os.environ["AIRFLOW_CONN_FOOTFALL_SPARK"] = CLUSTER
    said["on_a_cluster"] = command_of(task)
    json.dump(said, sys.stdout, default=str)


def described(dag: Any) -> dict[str, Any]:
    once = DagSerialization.to_dict(dag)
    again = DagSerialization.from_dict(once)
    condition = getattr(dag.timetable, "asset_condition", None)
    return {
        "doc": dag.doc_md,
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "allowed_run_types": sorted(kind.value for kind in dag.allowed_run_types or []),
        "timetable": type(dag.timetable).__name__,
        "deadline_hours": [alert.interval.total_seconds() / 3600 for alert in dag.deadline or []],
        "params": {name: dag.params.get_param(name).description for name in dag.params},
        "follows": sorted(each.name for each in getattr(condition, "objects", [condition]) if each),
        "tasks": {task.task_id: described_task(task) for task in dag.tasks},
        "tasks_read_back": {task.task_id: sorted(task.downstream_task_ids) for task in again.tasks},
        "pools_read_back": {task.task_id: task.pool for task in again.tasks},
    }


def described_task(task: Any) -> dict[str, Any]:
    timeout, delay = task.execution_timeout, task.retry_delay
    return {
        "downstream": sorted(task.downstream_task_ids),
        "pool": task.pool,
        "retries": task.retries,
        "backoff": task.retry_exponential_backoff,
        "retry_seconds": delay.total_seconds(),
        "timeout_hours": timeout and timeout.total_seconds() / 3600,
        "trigger_rule": str(task.trigger_rule),
        "alerts": bool(task.on_failure_callback),
        "announces": [each.name for each in task.outlets if isinstance(each, Asset)],
        "command": command_of(task),
    }


def command_of(task: Any) -> list[str] | None:
    """The job and its arguments as they are run, with all templates filled in; none of what is no job."""
    from airflow_dags.steps import CommandStep, SparkStep

    dag, night = task.dag, MAPPED.get(task.dag.dag_id)
    if task.is_mapped:
        if not issubclass(task.operator_class, SparkStep):
            return None
        task = task.unmap({"night": night})
    elif not isinstance(task, SparkStep | CommandStep):
        return None
    elif getattr(task, "night", None) is not None:
        task.night = night
    task = task.prepare_for_execution()
    task.render_template_fields(context_of(dag))
    if isinstance(task, SparkStep):
        return [task.application.rsplit("/", 1)[-1], *task._get_hook()._application_args]
    return [f"{task.job}.py", *task.arguments]


def context_of(dag: Any) -> Any:
    from airflow_dags.nights import nights_of
    from airflow_dags.policy import CHAMPION, NIGHT

    event = SimpleNamespace(extra={"ds": "2026-02-26"})
    follows = getattr(dag.timetable, "asset_condition", None)
    return {
        "params": {name: GIVEN.get(name) or dag.params.get_param(name).value for name in dag.params},
        "data_interval_start": datetime(2026, 2, 26, 2, tzinfo=UTC),
        "data_interval_end": datetime(2026, 2, 27, 2, tzinfo=UTC),
        "triggering_asset_events": {NIGHT: [event], CHAMPION: []} if follows else {},
        "var": {"value": VariableAccessor(deserialize_json=False)},
        "macros": MacrosAccessor(),
        "nights_of": nights_of,
    }


if __name__ == "__main__":
    main()

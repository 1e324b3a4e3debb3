"""Runs a DAG in this process, without a scheduler, and says as JSON what came of it; by the python of .venv-airflow.

python -m tests.airflow_dags.tried footfall_nightly '{"ds": "2026-11-02"}'
"""

import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetEvent
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select

MARK = "TRIED: "


def main(name: str, params: str) -> None:
    dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags[name]
    dag.deadline = None  # `dag.test` asks the database for them, which has those of scheduled DAGs alone
    run = dag.test(logical_date=datetime.now(UTC), run_conf=json.loads(params))
    with create_session() as session:
        returned: dict[str, list[Any]] = {}
        of_run = (XComModel.dag_id == name, XComModel.run_id == run.run_id, XComModel.key == "return_value")
        for row in session.scalars(select(XComModel).where(*of_run).order_by(XComModel.map_index)):
            returned.setdefault(row.task_id, []).append(XComModel.deserialize_value(row))
        said = {
            "state": run.state,
            "tasks": {task.task_id: task.state for task in run.get_task_instances(session=session)},
            "returned": returned,
            "events": [event.extra for event in session.scalars(select(AssetEvent).order_by(AssetEvent.id))],
        }
    print(MARK + json.dumps(said, default=str), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

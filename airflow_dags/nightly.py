"""The night: per source ingest, gate, sessionize, sequence, check; then the event that trainings and scores wait for."""

from airflow.sdk import DAG, Param, TaskGroup, chain

from airflow_dags.announce import AnnounceNight
from airflow_dags.arguments import OF_INTERVAL, arguments, place
from airflow_dags.logs import LogsSensor
from airflow_dags.policy import deadline, every, policy
from airflow_dags.settings import SETTINGS
from airflow_dags.steps import SparkStep

DOC = """
What has arrived up to the end of the day `ds` becomes events, sessions, sequences, items and users, and is held against what
is expected of it: the events before anything is made of them (`gate`), and all tables at the end (`quality`). A check that
finds what must not be ends the run red (`QualityStop`): nothing behind it runs, and nothing is trained or scored on it.

Logs that are late are waited for. A night of no data is green, and says so. Backfills and re-runs are safe; a backfill
announces no night.

- `ds`: the night, YYYY-MM-DD; empty: the first day of the run's interval
"""

STEPS = {
    "ingest": "ingest",
    "gate": "quality",
    "sessionize": "sessionize",
    "sequence": "sequence",
    "quality": "quality",
}
"""Task -> its job, in their order."""

with DAG(
    "footfall_nightly",
    schedule=every(SETTINGS.nightly),
    deadline=deadline(SETTINGS.night_deadline_hours),
    doc_md=DOC,
    params={"ds": Param("", type="string", description="the night, YYYY-MM-DD")},
    **policy(),
):
    announce = AnnounceNight(task_id="announce", ds=OF_INTERVAL, arguments=arguments())
    for source in SETTINGS.sources:
        told = arguments(source, ds=OF_INTERVAL)
        with TaskGroup(source):
            logs = LogsSensor(task_id="logs", source=source, raw=place("raw"), ds=OF_INTERVAL)
            steps = [SparkStep(task_id=name, job=job, arguments=told) for name, job in STEPS.items()]
            chain(logs, *steps, announce)

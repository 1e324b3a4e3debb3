"""The predictions: every user scored, for each night and task; watched; published."""

from typing import Any

from airflow.sdk import DAG, Context, Param, task, task_group

from airflow_dags.arguments import arguments
from airflow_dags.nights import nights_of
from airflow_dags.policy import CHAMPION, NIGHT, deadline, policy
from airflow_dags.settings import SETTINGS
from airflow_dags.steps import SparkStep

DOC = """
Runs when a night's tables are there, or another model is in service: for each night that its events name, and each task,
every user is scored; then predictions are published (`publish`) and watched (`monitor`), neither waiting for the other.
What has moved out of its limits ends the run red (`Breach`), and keeps nothing from being published. Without a champion it
is green, and says so. A backfill of this DAG is refused.

- `ds`: the nights, YYYY-MM-DD, several with commas between; empty: those of the events that started the run
"""
RUNS = ("manual", "asset_triggered")


def asked(given: str, events: Any) -> list[dict[str, str]]:
    """`[{"ds": "2026-11-02", "task": "next_item"}]`: nights times tasks."""
    return [{"ds": ds, "task": name} for ds in nights_of(given, events, None) for name in SETTINGS.tasks]


with DAG(
    "footfall_score",
    schedule=NIGHT | CHAMPION,
    deadline=deadline(SETTINGS.score_deadline_hours),
    allowed_run_types=RUNS,
    doc_md=DOC,
    params={"ds": Param("", type="string", description="the nights, YYYY-MM-DD, with commas between")},
    **policy(),
):

    @task
    def nights(**context: Context) -> list[dict[str, str]]:
        return asked(context["params"]["ds"], context["triggering_asset_events"])

    @task_group
    def predictions(night: dict[str, str]) -> None:
        def step(job: str) -> SparkStep:
            return SparkStep(task_id=job, job=job, arguments=arguments(), night=night)

        wanted = {"publish": SETTINGS.publish, "monitor": SETTINGS.monitor}
        step("score") >> [step(job) for job, is_wanted in wanted.items() if is_wanted]

    predictions.expand(night=nights())

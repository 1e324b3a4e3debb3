"""The model: examples, baselines, a training, the gate; then the event that scores wait for."""

from airflow.sdk import DAG, AssetOrTimeSchedule, Context, Param, TaskGroup, task

from airflow_dags.announce import AnnounceChampion
from airflow_dags.arguments import NEWEST, arguments
from airflow_dags.nights import training_of
from airflow_dags.policy import GPU_POOL, LONG, NIGHT, deadline, every, policy
from airflow_dags.settings import SETTINGS
from airflow_dags.steps import CommandStep, SparkStep

DOC = """
Once a week a model is trained from random weights (`pretrain`), after each night one that begins from the champion's
(`finetune`); the gate judges it on days that it has not seen, beside the model in service. One that is kept out is a green
run: `announce` is skipped, with the reason. Several nights that ended meanwhile are one training, as of the newest of them.
No two trainings share the GPUs. A backfill of this DAG is refused.

- `ds`: as of the end of this night, YYYY-MM-DD; empty: the newest of the events, or the interval's last day
- `training`: `pretrain` or `finetune`; `auto`: the first by the clock or by hand, the second after a night
"""
RUNS = ("scheduled", "manual", "asset_triggered")


def training(job_task: str, **given: str) -> CommandStep | SparkStep:
    """Where ranks run on executors, Spark is started for them; else the job's own launcher starts them."""
    told = arguments(ds=NEWEST, model=SETTINGS.model, train=SETTINGS.launcher, **given)
    kind = SparkStep if SETTINGS.launcher == "spark" else CommandStep
    return kind(task_id=job_task, job="train", arguments=told, pool=GPU_POOL, execution_timeout=LONG)


with DAG(
    "footfall_retrain",
    schedule=AssetOrTimeSchedule(timetable=every(SETTINGS.weekly), assets=NIGHT),
    deadline=deadline(SETTINGS.retrain_deadline_hours),
    allowed_run_types=RUNS,
    doc_md=DOC,
    params={
        "ds": Param("", type="string", description="as of the end of this night, YYYY-MM-DD"),
        "training": Param(
            "auto", enum=["auto", "pretrain", "finetune"], description="from random weights, or not"
        ),
    },
    **policy(),
):

    @task.branch(task_id="kind")
    def kind_of_training(group: str, **context: Context) -> str:
        chosen = training_of(context["params"]["training"], context["dag_run"].run_type)
        return f"{group}.{chosen}"

    for name in SETTINGS.tasks:
        told = arguments(ds=NEWEST, task=name)
        with TaskGroup(name):
            examples = SparkStep(task_id="examples", job="examples", arguments=told)
            baselines = CommandStep(task_id="baselines", job="baselines", arguments=told)
            kind = kind_of_training(name)
            trainings = [
                training("pretrain", task=name),
                training("finetune", task=name, **{"train.warm_start": "champion"}),
            ]
            promote = SparkStep(
                task_id="promote",
                job="promote",
                arguments=[*told, "promote.requested_by=airflow"],
                trigger_rule="none_failed_min_one_success",
            )
            announce = AnnounceChampion(
                task_id="announce", ds=NEWEST, decided_by=f"{name}.promote", arguments=arguments(task=name)
            )
            examples >> baselines >> kind >> trainings >> promote >> announce

"""The lake's upkeep: erasure requests, small files, versions beyond the promise, runs that were deleted."""

from pathlib import Path

from airflow.sdk import DAG, Param, task

from airflow_dags.arguments import arguments
from airflow_dags.policy import every, policy
from airflow_dags.settings import ROOT, SETTINGS
from airflow_dags.steps import SPARK_POOL, SparkStep

DOC = """
Erases the users whom the requests in `erasures` of conf/airflow name, puts small files together, and keeps nothing longer
than `privacy.retention_hours` promises: versions of tables, example sets and checkpoints that nothing names.

- `ds`: the night as of which it counts, YYYY-MM-DD; empty: the interval's last day
"""
NIGHT = "{{ params.ds or (data_interval_end - macros.timedelta(days=1)) | ds }}"


def requests_in(folder: Path) -> list[dict[str, str]]:
    """`[{"users": "…/request-7.txt"}]`, in the order of their names."""
    return [{"users": str(file)} for file in sorted(folder.glob("*.txt"))]


with DAG(
    "footfall_maintenance",
    schedule=every(SETTINGS.maintenance),
    allowed_run_types=["scheduled", "manual"],
    doc_md=DOC,
    params={"ds": Param("", type="string", description="the night as of which it counts, YYYY-MM-DD")},
    **policy(),
):

    @task
    def requests() -> list[dict[str, str]]:
        return requests_in(ROOT / SETTINGS.erasures)

    @task(trigger_rule="none_failed")
    def done(files: list[dict[str, str]]) -> int:
        """Moves the requests that were met out of the way; their certificates are beside them."""
        for each in files:
            file = Path(each["users"])
            (file.parent / "done").mkdir(exist_ok=True)
            file.rename(file.parent / "done" / file.name)
        return len(files)

    found = requests()
    told = arguments(ds=NIGHT)
    erase = SparkStep.partial(
        task_id="erase", job="erase", arguments=arguments(), pool=SPARK_POOL, max_active_tis_per_dag=1
    ).expand(night=found)
    optimize = SparkStep(task_id="optimize", job="optimize", arguments=told)
    retain = SparkStep(task_id="retain", job="retain", arguments=told)
    erase >> done(found) >> optimize >> retain

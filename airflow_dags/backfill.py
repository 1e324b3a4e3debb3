"""A range of days of a new source, or after a fault that was put right."""

from airflow.sdk import DAG, Context, Param, task

from airflow_dags.arguments import arguments
from airflow_dags.nights import ranges
from airflow_dags.policy import policy
from airflow_dags.settings import SETTINGS
from airflow_dags.steps import SPARK_POOL, SparkStep

DOC = """
Takes in the files that arrived in `[start, end)` and are not in the lake yet, by a run of the job for each month of it. It
promotes nothing, publishes nothing and raises no event; the next night's check looks at what it brought.

- `start`: the first arrival date, YYYY-MM-DD
- `end`: the day after the last one
- `source`: the log format
- `reingest`: take in anew what is in the lake already, after a mapping that was wrong
"""


with DAG(
    "footfall_backfill",
    schedule=None,
    allowed_run_types=["manual"],
    doc_md=DOC,
    params={
        "start": Param(type="string", format="date", description="the first arrival date"),
        "end": Param(type="string", format="date", description="the day after the last one"),
        "source": Param(SETTINGS.sources[0], type="string", description="the log format"),
        "reingest": Param(False, type="boolean", description="take in anew what is in the lake already"),
    },
    **policy(start_date=None, end_date=None),
):

    @task(task_id="ranges")
    def ranges_of_run(**context: Context) -> list[dict[str, str]]:
        return ranges(context["params"]["start"], context["params"]["end"], SETTINGS.backfill_days)

    told = arguments("{{ params.source }}", reingest="{{ params.reingest | lower }}")
    SparkStep.partial(
        task_id="backfill", job="backfill", arguments=told, pool=SPARK_POOL, max_active_tis_per_dag=1
    ).expand(night=ranges_of_run())

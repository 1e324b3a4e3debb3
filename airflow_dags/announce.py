"""The last task of a DAG that others follow: says what is new by an Asset event."""

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Asset, Context
from airflow.sdk.exceptions import AirflowSkipException

from airflow_dags.policy import CHAMPION, NIGHT
from airflow_dags.steps import CommandStep

BACKFILL = "backfill"


class Announce(CommandStep):
    """Raises an event of an asset, with `ds` and what jobs/versions.py says in its extra."""

    template_fields: Sequence[str] = (*CommandStep.template_fields, "ds")

    def __init__(self, *, ds: str, asset: Asset, **more: Any) -> None:
        super().__init__(job="versions", inlets=[asset], outlets=[asset], **more)
        self.ds = ds
        self.asset = asset

    def execute(self, context: Context) -> dict[str, str]:
        facts = super().execute(context)
        context["outlet_events"][self.asset].extra = {"ds": self.ds, **facts}
        return facts


class AnnounceNight(Announce):
    """The tables are those of a night. A backfill says nothing: nothing is trained, promoted or published for it."""

    def __init__(self, **more: Any) -> None:
        super().__init__(asset=NIGHT, **more)

    def execute(self, context: Context) -> dict[str, str]:
        if context["dag_run"].run_type == BACKFILL:
            raise AirflowSkipException("a backfill announces no night: nothing is trained or scored for it")
        return super().execute(context)


class AnnounceChampion(Announce):
    """Another model is in service than the last event said. Where the gate kept it out it says so, and the run is green."""

    def __init__(self, *, decided_by: str, **more: Any) -> None:
        super().__init__(asset=CHAMPION, **more)
        self.decided_by = decided_by

    def execute(self, context: Context) -> dict[str, str]:
        facts = super().execute(context)
        told = [
            event.extra
            for event in context["inlet_events"][CHAMPION]
            if event.extra.get("task") == facts["task"]
        ]
        if facts["champion"] == "none" or (told and told[-1]["champion"] == facts["champion"]):
            decision = context["ti"].xcom_pull(task_ids=self.decided_by) or {}
            raise AirflowSkipException(
                f"the model in service stays: version {facts['champion']}. The gate said: {decision.get('reasons', '')}"
            )
        return facts

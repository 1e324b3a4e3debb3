"""Airflow's REST interface, as far as the demo and the tests need it."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

DONE = ("success", "failed")


class Airflow:
    """A running Airflow: `airflow.get("/dags")`."""

    def __init__(self, url: str, user: str, password: str):
        self.url = url
        self.token = ""
        self.token = self._ask("POST", f"{url}/auth/token", {"username": user, "password": password})[
            "access_token"
        ]

    def get(self, path: str) -> Any:
        return self._ask("GET", f"{self.url}/api/v2{path}")

    def post(self, path: str, body: Any) -> Any:
        return self._ask("POST", f"{self.url}/api/v2{path}", body)

    def patch(self, path: str, body: Any) -> Any:
        return self._ask("PATCH", f"{self.url}/api/v2{path}", body)

    def put_pool(self, name: str, slots: int) -> None:
        there = {pool["name"] for pool in self.get("/pools")["pools"]}
        if name not in there:
            self.post("/pools", {"name": name, "slots": slots, "include_deferred": False})

    def unpause(self, dag: str) -> None:
        self.patch(f"/dags/{dag}", {"is_paused": False})

    def trigger(self, dag: str, **params: Any) -> str:
        """Starts a run by hand, without an interval; its id."""
        return self.post(f"/dags/{dag}/dagRuns", {"logical_date": None, "conf": params})["dag_run_id"]

    def backfill(self, dag: str, first: str, last: str) -> None:
        """Runs the nights of [first, last], one after the other."""
        self.post(
            "/backfills",
            {
                "dag_id": dag,
                "from_date": f"{first}T00:00:00Z",
                "to_date": f"{last}T23:59:59Z",
                "max_active_runs": 1,
            },
        )

    def runs(self, dag: str = "~") -> list[dict[str, Any]]:
        return self.get(f"/dags/{dag}/dagRuns?order_by=start_date&limit=100")["dag_runs"]

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        return self.get(f"/dags/{dag}/dagRuns/{run}/taskInstances?limit=100")["task_instances"]

    def xcom(self, dag: str, run: str, task: str) -> Any:
        """What a task returned."""
        return self.get(f"/dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value")["value"]

    def wait(
        self, dag: str, runs: int, patience: float, say: Any = lambda line: None
    ) -> list[dict[str, Any]]:
        """The runs of a DAG once there are so many and all are done; each task that ends is said."""
        told, end = set[tuple[Any, ...]](), time.monotonic() + patience
        while True:
            found = self.runs(dag)
            for run in found:
                for task in self.tasks(dag, run["dag_run_id"]):
                    key = (
                        run["dag_run_id"],
                        task["task_id"],
                        task["map_index"],
                        task["try_number"],
                        task["state"],
                    )
                    if (
                        task["state"] in (*DONE, "skipped", "upstream_failed", "up_for_retry")
                        and key not in told
                    ):
                        told.add(key)
                        say(
                            f"{dag}  {night_of(run)}  {task['task_id']}: {task['state']}, {task['duration'] or 0:.0f} s"
                        )
            if len(found) >= runs and all(run["state"] in DONE for run in found):
                return found
            if time.monotonic() > end:
                states = {run["dag_run_id"]: run["state"] for run in found}
                raise TimeoutError(f"{dag} is not done after {patience:.0f} s: {states}")
            time.sleep(10)

    def _ask(self, method: str, url: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {url}: {error.code} {error.read().decode()[:500]}") from None


def night_of(run: dict[str, Any]) -> str:
    """The `ds` of a run: its parameter, else the start of its interval."""
    return (run.get("conf") or {}).get("ds") or (run.get("data_interval_start") or "")[:10]

"""Three nights, a training and a score by Airflow, unattended: what `make airflow-demo` does.

Loads the demo's logs up to 2017-12-27 into a lake of its own; then a backfill of footfall_nightly over three nights,
footfall_retrain and footfall_score by hand. Prints every task as it ends and the table of runs, and leaves
var/airflow/runs.json and a picture of the grid, var/airflow/grid.png.

    python -m tools.airflow_demo
"""

import http.server
import json
import os
import shutil
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tools import devtools
from tools.airflow_api import Airflow, night_of
from tools.airflow_service import HOME, PORT, SHOP, environment, make_shop, ready, running
from tools.chromium import BROWSERS

FIRST, LAST, NIGHTS = "2017-12-28", "2017-12-30", 3
HOUR = 3600
OUT = HOME.parent
LOADING = 180  # seconds that the page is given
SETTLING = 12  # seconds that it is given to draw what it has
SHOWN = "document.body?.innerText.includes('announce')"  # the grid has the names of tasks


def main() -> None:
    clear()
    make_shop()
    told = environment(
        HOME, int(os.environ.get("AIRFLOW_PORT", PORT)), os.environ.get("FOOTFALL_AIRFLOW", "demo")
    )
    with running(told) as airflow:
        ready(airflow)
        say(f"Airflow: {airflow.url}")
        airflow.unpause("footfall_nightly")
        airflow.backfill("footfall_nightly", FIRST, LAST)
        done = airflow.wait("footfall_nightly", NIGHTS, HOUR, say)
        for dag in ("footfall_retrain", "footfall_score"):
            airflow.unpause(dag)
            airflow.trigger(dag, ds=LAST)
            done += airflow.wait(dag, 1, HOUR, say)
        print_runs(airflow, done)
        picture(airflow, OUT / "grid.png")
    if any(run["state"] != "success" for run in done):
        sys.exit("not all runs are green: var/airflow/home/logs has what each task said")


def say(line: str) -> None:
    print(f"[{datetime.now():%H:%M:%S}] {line}", flush=True)


def clear() -> None:
    """Removes what an earlier demo made; the raw logs stay."""
    for path in (HOME, SHOP):
        if path.exists():
            shutil.rmtree(path)


def print_runs(airflow: Airflow, runs: list[dict[str, Any]]) -> None:
    rows = [("DAG", "type", "night", "state", "seconds", "tasks")]
    for run in runs:
        tasks = airflow.tasks(run["dag_id"], run["dag_run_id"])
        states = [task["state"] for task in tasks]
        counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states), key=str))
        seconds = f"{run['duration'] or 0:.0f}"
        rows.append((run["dag_id"], run["run_type"], night_of(run), run["state"], seconds, counts))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    (OUT / "runs.json").write_text(
        json.dumps([dict(zip(rows[0], row, strict=True)) for row in rows[1:]], indent=1)
    )


def picture(airflow: Airflow, file: Path) -> None:
    """The nights' grid, by a Chromium that is on this machine."""
    if devtools.FOUND is None:
        print(f"no picture: none of {', '.join(BROWSERS)} is installed")
        return
    try:
        with door(airflow) as url, devtools.page(url, "1400,800") as page:
            page.until(SHOWN, LOADING)
            time.sleep(SETTLING)
            file.write_bytes(page.picture())
    except (AssertionError, RuntimeError, OSError) as error:
        print(f"no picture: {str(error).splitlines()[0]}")
        return
    print(f"picture: {file.relative_to(OUT.parents[1])}")


class door:
    """A page beside Airflow that logs the browser in and sends it on: cookies of a host count on all its ports."""

    def __init__(self, airflow: Airflow):
        cookie, page = f"_token={airflow.token}; Path=/", f"{airflow.url}/dags/footfall_nightly"

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(302)
                self.send_header("Set-Cookie", cookie)
                self.send_header("Location", page)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_address[1]}/"

    def __exit__(self, *_: Any) -> None:
        self.server.shutdown()


if __name__ == "__main__":
    main()

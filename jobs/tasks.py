"""The tasks with labels, one after the other: examples, the baseline, an encoder, how they compare on held-out days, which
of them the gate makes champion, and what that says of every user on the night `ds`. Of `demand`, which adds its answers up
over users, it is what is sold that is judged.

Works on a lake that is there, as `make demo` leaves one. Writes one JSON a task and `summary.json` into `report`, whose
entries are `<task>.<metric>`, `<task>.baseline.<metric>` and `<task>.difference.<metric>`: mean, low, high. What is made,
trained and decided already is left as it is.

    python -m jobs.tasks ds=2017-12-28 promote.holdout_days=28 report=var/tasks
    python -m jobs.tasks ds=2017-12-28 promote.holdout_days=28 report=var/tasks tasks=churn,spend
"""

import json
import sys
from pathlib import Path
from typing import Any

from jobs.demo import PLAIN, Week
from jobs.job import stop
from jobs.train import NAIVE

TASKS = ("churn", "spend", "next_event", "purchase", "promotion", "demand")
OWN = {"demand": ("promote.holdout_days=56",)}
"""Settings of a task alone: four weeks make its first intervals, and four judge."""

ENCODER = "gru"
SETTINGS = (
    "model.width=32",
    "model.blocks=1",
    "train.batch_size=64",
    "train.epochs=8",
    "train.learning_rate=2e-3",
)
"""Of the encoder: its histories are short, and its rows few."""


def tasks(arguments: list[str]) -> None:
    given = dict(each.partition("=")[::2] for each in arguments)
    chosen = given.pop("tasks", ",".join(TASKS)).split(",")
    if "report" not in given:
        stop("report is missing: give report=… on the command line")
    folder, rest = Path(given["report"]), [each for each in arguments if not each.startswith("tasks=")]
    folder.mkdir(parents=True, exist_ok=True)
    week = Week(folder, [PLAIN, *rest])
    for name in chosen:
        of_task = f"task={name}"
        week.overrides = [PLAIN, *rest, *OWN.get(name, ())]
        week.spark(f"{name}_examples", "examples", of_task)
        week.python(f"{name}_baseline", "train", of_task, f"model={NAIVE}")
        week.python(f"{name}_{ENCODER}", "train", of_task, f"model={ENCODER}", *SETTINGS)
        if name == "demand":
            week.spark(name, name, of_task)
        else:
            week.python(f"{name}_judged", "judge_labels", of_task)
            week.spark(f"{name}_promoted", "promote", of_task)
            week.spark(f"{name}_scored", "score", of_task)
        told = json.loads((folder / f"{name}.json").read_text())
        summary = (
            json.loads((folder / "summary.json").read_text()) if (folder / "summary.json").exists() else {}
        )
        (folder / "summary.json").write_text(json.dumps(summary | summed(told), indent=1) + "\n")


def summed(told: dict[str, Any]) -> dict[str, Any]:
    """What one task's JSON comes to: the encoder, where there is one, beside the baseline."""
    task, models = told["task"], told["models"]
    found: dict[str, Any] = {f"{task}.users": told["users"]} if "users" in told else {}
    for metric, of_encoder in models[ENCODER].items():
        baseline = of_encoder.get("baseline", NAIVE)
        found[f"{task}.{metric}"] = of_encoder["value"]["mean"]
        found[f"{task}.baseline.{metric}"] = models[baseline][metric]["value"]["mean"]
        found[f"{task}.difference.{metric}"] = [
            of_encoder["difference"][end] for end in ("mean", "low", "high")
        ]
    return found


if __name__ == "__main__":
    tasks(sys.argv[1:])

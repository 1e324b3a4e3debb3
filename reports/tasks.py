"""What the tasks of a shop came to beside their baselines, from the JSON that each one's judge leaves."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.label_metrics import LEAST_IS_BEST

NAIVE = "naive"
ENDS = ("mean", "low", "high")
MOST = 5  # inputs that are told of a model
LEAST = (*LEAST_IS_BEST, "wape", "pinball", "error")
"""Metrics that are best low, also behind the name of what is measured, as in `category_mae`."""


def of_folder(folder: Path) -> list[dict[str, Any]]:
    """What jobs/tasks.py left there: of each task how its models stand to its baseline (`reports.facts.TaskStands`)."""
    files = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    files.pop("summary", None)
    return [
        {
            "task": name,
            "as_of": told.get("as_of"),
            "users": told.get("users"),
            "rows": compared(name, told),
            "behind": behind(name, told),
            "worth": worth(told),
        }
        for name, told in files.items()
    ]


def summed(task: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """Flat entries: `<task>.<metric>`, `<task>.baseline.<metric>`, `<task>.difference.<metric>`: mean, low, high."""
    users = {f"{task}.users": told["users"]} if "users" in told else {}
    return users | flat(compared(task, told))


def flat(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries of rows of `compared`."""
    found: dict[str, Any] = {}
    for row in rows:
        found[f"{row['task']}.{row['metric']}"] = row["value"]
        found[f"{row['task']}.baseline.{row['metric']}"] = row["baseline_value"]
        found[f"{row['task']}.difference.{row['metric']}"] = row["difference"]
    return found


def compared(task: str, told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each metric of each encoder beside its baseline, in the judge's order.

    `verdict` is better or worse where the whole interval of the difference is, else equal.
    """
    if task == "segments":
        return of_segments(told)
    found = []
    for model, of_model in told.get("models", {}).items():
        for metric, each in of_model.items():
            baseline = each.get("baseline", NAIVE)
            if not each.get("difference") or model in (baseline, *told.get("baselines", ())):
                continue
            difference = [each["difference"][end] for end in ENDS]
            found.append(
                {
                    "task": task,
                    "metric": metric,
                    "model": model,
                    "value": each["value"]["mean"],
                    "baseline": baseline,
                    "baseline_value": told["models"][baseline][metric]["value"]["mean"],
                    "difference": difference,
                    "verdict": verdict(metric, difference),
                }
            )
    return found


def behind(task: str, told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of `compared` of models that are not better than the baseline for certain by the task's first metric."""
    firsts = {row["model"]: row for row in reversed(compared(task, told))}.values()
    return [row for row in firsts if row["verdict"] != "better"]


def worth(told: Mapping[str, Any]) -> dict[str, float]:
    """The inputs that cost the model the most of the first metric where users exchange them, and how much of it."""
    models = told.get("importance", {}).get("models", {})
    inputs = {name: each["mean"] for of_model in models.values() for name, each in of_model.items()}
    most = sorted(((name, mean) for name, mean in inputs.items() if mean > 0), key=lambda pair: -pair[1])
    return dict(most[:MOST])


def of_segments(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What groups explain of the money spent since, beside fifths of recency, frequency and money."""
    if "explained" not in told:
        return []
    difference = [told["difference"][end] for end in ENDS]
    return [
        {
            "task": "segments",
            "metric": "explained",
            "model": told["model"],
            "value": told["explained"],
            "baseline": "rfm",
            "baseline_value": told["explained_by_rfm"],
            "difference": difference,
            "verdict": verdict("explained", difference),
        }
    ]


def verdict(metric: str, difference: list[float]) -> str:
    """better, worse or equal, by the interval (mean, low, high) of a difference."""
    is_least = any(metric == name or metric.endswith(f"_{name}") for name in LEAST)
    sign = -1 if is_least else 1
    if min(sign * end for end in difference[1:]) > 0:
        return "better"
    return "worse" if max(sign * end for end in difference[1:]) < 0 else "equal"


def of_ledger(task: str, decisions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the gate measured on the held-out days of the baselines and the challenger, as judges of answers tell it.

    decisions  those of a night; the newest counts
    """
    newest = max(decisions, key=lambda decision: (decision["decided_at"], decision["request_id"]))
    rows = [
        row
        for row in newest["judged"]
        if row["question"] == "test" and (row["kind"] == "baseline" or row["model"] == newest["challenger"])
    ]
    best: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if row["kind"] == "baseline" and row["mean"] > best.get(row["metric"], {"mean": -1.0})["mean"]:
            best[row["metric"]] = row
    models: dict[str, dict[str, Any]] = {}
    for row in rows:
        told: dict[str, Any] = {"value": {end: row[end] for end in ENDS}}
        if row["difference"] is not None:
            ends = ("difference", "difference_low", "difference_high")
            told |= {
                "baseline": best[row["metric"]]["model"],
                "difference": {end: row[name] for end, name in zip(ENDS, ends, strict=True)},
            }
        models.setdefault(row["model"], {})[row["metric"]] = told
    return {"task": task, "as_of": rows[0]["as_of"], "users": rows[0]["users"], "models": models}

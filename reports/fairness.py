"""Groups of users on the page: the champion's metric in each, how scores are spread, and which items are shown."""

from collections.abc import Mapping
from typing import Any

from reports.facts import at, number, rows


def fairness(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What `facts` know of it (`reports.facts.Fairness`): tasks with their groups and guards, scores by task, exposure."""
    spread: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows(facts, "fairness", "scores"):
        spread.setdefault(str(row.get("task")), []).append(row)
    tasks = [
        {**task, "groups": [told(row) for row in rows(task, "groups")], "guards": rows(task, "guards")}
        for task in rows(facts, "fairness", "tasks")
    ]
    shown = at(facts, "fairness", "exposure")
    is_told = number(shown, "gini") is not None
    return {"tasks": tasks, "scores": list(spread.items()), "exposure": shown if is_told else None}


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """A group, and whether its gap to everybody else can be told from none."""
    low, high = number(row, "gap_low"), number(row, "gap_high")
    is_apart = low is not None and high is not None and not low <= 0 <= high
    return {**row, "is_apart": is_apart}

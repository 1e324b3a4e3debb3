"""What few labels came to: a table a metric, a row a share of the labels, a column a way to begin."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reports.facts import rows

SUFFIX = ".few.json"
SAID = {
    "scratch": "from scratch",
    "frozen": "pretrained, encoder frozen",
    "full": "pretrained, all tuned",
    "adapters": "pretrained, adapters",
}


def of_folder(folder: Path) -> list[dict[str, Any]]:
    """The last result of each task that jobs/few_labels.py left there (`reports.facts.FewLabels`)."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    return [{name: value for name, value in facts.items() if name != "runs"} for facts in found]


def shown(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a task, with its columns in words and its tables: metric -> a row a share, its counts and cells."""
    table = [
        (str(row.get("metric")), str(row.get("share")), str(row.get("arm")), row)
        for row in rows(facts, "table")
    ]
    arms = list(dict.fromkeys(arm for *_, arm, _ in table))
    tables: dict[str, dict[str, dict[str, Any]]] = {}
    for metric, share, arm, row in table:
        there = tables.setdefault(metric, {}).setdefault(share, {**row, "cells": dict.fromkeys(arms)})
        there["cells"][arm] = row
    told = {metric: list(of_metric.values()) for metric, of_metric in tables.items()}
    return {**facts, "arms": [SAID.get(arm, arm) for arm in arms], "tables": told}

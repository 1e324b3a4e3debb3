"""The page about few labels: `render(facts)`, one file that opens offline; a table a metric, a row a share of the labels."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from reports.page import environment

SAID = {
    "scratch": "from scratch",
    "frozen": "pretrained, encoder frozen",
    "full": "pretrained, all tuned",
    "adapters": "pretrained, adapters",
}


def render(facts: Mapping[str, Any]) -> str:
    """The page of the facts that jobs/few_labels.py gathers."""
    page = environment()
    style, *_ = page.loader.get_source(page, "page.css")  # type: ignore[union-attr]
    arms = list(dict.fromkeys(row["arm"] for row in facts["table"]))
    return page.get_template("few_labels.html.j2").render(
        style=Markup(style), facts=facts, arms=[SAID[arm] for arm in arms], tables=tables(facts, arms)
    )


def tables(facts: Mapping[str, Any], arms: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Metric -> a row a share: its counts, and the cell of each arm."""
    found: dict[str, dict[float, dict[str, Any]]] = {}
    for row in facts["table"]:
        rows = found.setdefault(row["metric"], {})
        there = rows.setdefault(row["share"], {**row, "cells": dict.fromkeys(arms)})
        there["cells"][row["arm"]] = row
    return {metric: list(rows.values()) for metric, rows in found.items()}

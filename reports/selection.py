"""The page about a selection of features: `render(facts)`, one file that opens offline."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from reports import selection_charts as charts
from reports.page import environment

QUESTIONS = {"buys": "who buys again", "spend": "what a user spends", "returns": "who comes back"}


def render(facts: Mapping[str, Any]) -> str:
    """The page of the facts that jobs/select_features.py gathers."""
    page = environment()
    style, *_ = page.loader.get_source(page, "page.css")  # type: ignore[union-attr]
    return page.get_template("selection.html.j2").render(
        style=Markup(style),
        facts=facts,
        question=QUESTIONS[facts["target"]],
        rows=rows(facts),
        path=charts.path(facts["lasso"]),
        importance=charts.importance(facts["forest"], facts["kept"]),
        variance=charts.variance(facts["components"], facts["variance"]),
        correlation=charts.correlation(facts["correlation"]),
    )


def rows(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a feature: the kept ones in their order, then the others by name, each with what was found of it."""
    lasso, forest = facts["lasso"], facts["forest"]
    others = sorted(name for name in facts["reasons"] if name not in facts["kept"])
    return [
        {
            "name": name,
            "kept": name in facts["kept"],
            "reason": facts["reasons"][name],
            "weight": _shown(_largest(lasso, name)),
            **{kind: _shown(forest[kind].get(name)) for kind in ("impurity", "lost", "deviation")},
        }
        for name in (*facts["kept"], *others)
    ]


def _shown(value: float | None) -> float | None:
    """As many digits as are shown, and never a zero with a sign."""
    return None if value is None else round(value, 4) + 0.0


def _largest(lasso: Mapping[str, Any], name: str) -> float | None:
    """The weight at the chosen penalty, of a feature's columns the one that is furthest from 0."""
    own = [
        line[lasso["chosen"]]
        for line, owner in zip(lasso["weights"], lasso["owner"], strict=True)
        if owner == name
    ]
    return max(own, key=abs, default=None)

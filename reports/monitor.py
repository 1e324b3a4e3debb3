"""The page about nights that are over: `render(task, rows)` of rows of the table `monitoring`, one file that opens offline.

It is made of these rows alone, without a clock: the same rows are the same page.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from markupsafe import Markup

from reports import monitor_charts as charts
from reports import words
from reports.monitor_charts import Cell, Line
from reports.page import environment

Row = Mapping[str, Any]
ALL = "all"
KINDS = {"realised": "outcomes", "drift": "drift", "freshness": "freshness", "volume": "volume"}
LISTS = ("ndcg@10", "hr@10")
METRICS = {
    "ndcg@10": "NDCG@10",
    "hr@10": "HR@10",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "accuracy": "accuracy",
    "f1_macro": "macro F1",
    "mae": "mean absolute error",
    "mse": "mean squared error",
    "spearman": "Spearman",
    "r2": "R²",
    "lift": "lift",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "predicted": "had a prediction",
    "calibration": "calibration error",
}
"""What is realised, in the order in which it is shown."""


def render(task: str, rows: Sequence[Row], shadow: str = "") -> str:
    """The page of a task's nights; `rows` in any order, `shadow`: the alias of the model in the shadow."""
    page = environment()
    style, *_ = page.loader.get_source(page, "page.css")  # type: ignore[union-attr]
    nights = sorted({row["ds"] for row in rows})
    newest = [row for row in rows if row["ds"] == nights[-1]] if nights else []
    return page.get_template("monitor.html.j2").render(
        style=Markup(style),
        task=task.replace("_", " "),
        shadow=shadow or "challenger",
        nights=nights,
        newest=nights[-1] if nights else None,
        model=_author(newest, "realised") or _author(newest, "drift"),
        challenger=_author(newest, "shadow"),
        breaches=[shown(row) for row in ordered(newest) if row["passed"] is False],
        judged=sum(row["passed"] is not None for row in newest),
        passed=sum(row["passed"] is True for row in newest),
        tiles=tiles(newest),
        calendar=calendar(nights, rows),
        trends=trends(nights, rows, shadow),
        segments=segments(nights, rows),
        columns=[(name, METRICS[name]) for name in ("predicted", *metrics_of(newest))],
        drift=drift(nights, rows),
        freshness=[
            shown(row) | {"spark": charts.spark(nights, series(rows, row["name"]))}
            for row in ordered(newest)
            if row["kind"] == "freshness"
        ],
        volumes=volumes(nights, rows),
        shadowed=shadowed(newest),
    )


def ordered(rows: Sequence[Row]) -> list[Row]:
    """By name; of a measure all users before the segments."""
    return sorted(rows, key=lambda row: (row["name"], row["segment"] != ALL, row["segment"]))


def series(rows: Sequence[Row], name: str, segment: str = ALL, column: str = "value") -> dict[date, float]:
    """Night -> what a measure was, where it was something."""
    return {
        row["ds"]: row[column]
        for row in rows
        if row["name"] == name and row["segment"] == segment and row[column] is not None
    }


def shown(row: Row) -> dict[str, Any]:
    """A measure in words: its `title`, and its `limits`, empty where it has none."""
    kind, _, what = row["name"].partition("_")
    has_limits = row["lower"] is not None or row["upper"] is not None
    title = METRICS.get(what, what.replace("_", " "))
    standing = {None: "nothing to judge", True: "passed", False: "breach"}[row["passed"]]
    limits = words.limits(row) if has_limits else words.NOTHING
    return {**row, "kind": kind, "title": title, "limits": limits, "standing": standing}


def broken_nights(rows: Sequence[Row], name: str, segment: str = ALL) -> list[date]:
    return [
        row["ds"]
        for row in rows
        if row["name"] == name and row["segment"] == segment and row["passed"] is False
    ]


def metrics_of(rows: Sequence[Row]) -> list[str]:
    """The metrics that are realised, in the order of METRICS: those of lists where there are none."""
    found = {row["name"].partition("_")[2] for row in rows if row["kind"] == "realised"}
    return [name for name in METRICS if name in found - {"predicted", "calibration"}] or [*LISTS]


def tiles(newest: Sequence[Row]) -> list[tuple[str, str, str]]:
    """The key numbers of the newest night: (number, what it is, what else to know)."""
    of_all = {row["name"]: row for row in newest if row["segment"] == ALL}
    cards = []
    for name in (f"realised_{metric}" for metric in metrics_of(newest)[:2]):
        row = of_all.get(name, {})
        usual = f"usually {words.decimals(row.get('expected'))}" if row.get("expected") is not None else ""
        cards.append((words.decimals(row.get("value")), f"realised {METRICS[name.partition('_')[2]]}", usual))
    came = of_all.get("realised_predicted", {})
    cards.append(
        (words.count(came.get("rows")), "users came", "of whom predictions are judged" if came else "")
    )
    psi = [row for row in newest if row["kind"] == "drift" and row["value"] is not None]
    worst = max(psi, key=lambda row: row["value"] / (row["upper"] or 1), default=None)
    cards.append(
        (words.decimals(worst and worst["value"]), "most drift", shown(worst)["title"] if worst else "")
    )
    age = of_all.get("freshness_champion", {}).get("value")
    cards.append((words.NOTHING if age is None else f"{age:.0f} days", "since the model's data end", ""))
    return cards


def calendar(nights: Sequence[date], rows: Sequence[Row]) -> Markup | None:
    """A row a kind, a cell a night: whether all of it that was judged passed."""
    lines = []
    for kind, name in KINDS.items():
        cells = {}
        for night in nights:
            judged = [
                row for row in rows if (row["ds"], row["kind"]) == (night, kind) and row["passed"] is not None
            ]
            broken = sum(not row["passed"] for row in judged)
            told = f"{broken} of {len(judged)} breached" if judged else "nothing to judge"
            cells[night] = Cell(0.5, not broken if judged else None, told)
        lines.append((name, cells, cells[nights[-1]].told if nights else ""))
    return charts.grid(nights, lines) if nights else None


def trends(nights: Sequence[date], rows: Sequence[Row], shadow: str) -> list[Markup]:
    """Realised metrics of all users over nights, of the champion, of its usual, and of its shadow."""
    drawn = []
    for metric in metrics_of(rows)[:2]:
        name = f"realised_{metric}"
        lines = [
            Line("champion", "champion", series(rows, name)),
            Line("usual", "usual", series(rows, name, column="expected")),
            Line(shadow or "challenger", "shadow", series(rows, f"shadow_{metric}")),
        ]
        if any(each.points for each in lines):
            drawn.append(charts.trend(nights, lines, METRICS[metric], broken_nights(rows, name)))
    return drawn


def segments(nights: Sequence[date], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The newest night's realised metrics, a row a segment."""
    newest = [row for row in rows if row["kind"] == "realised" and row["ds"] == nights[-1]] if nights else []
    names = sorted({row["segment"] for row in newest}, key=lambda name: (name != ALL, name))
    first = metrics_of(newest)[0]
    by = {(row["segment"], row["name"].partition("_")[2]): row for row in newest}
    return [
        {
            "segment": "all users" if name == ALL else name,
            "metrics": {metric: by.get((name, metric)) for metric in METRICS},
            "first": by.get((name, first)),
            "spark": charts.spark(nights, series(rows, f"realised_{first}", name)),
        }
        for name in names
    ]


def drift(nights: Sequence[date], rows: Sequence[Row]) -> Markup | None:
    """A row a feature, the index of each night by its limit."""
    lines = []
    for name in sorted({row["name"] for row in rows if row["kind"] == "drift"}):
        of_name = sorted((row for row in rows if row["name"] == name), key=lambda row: row["ds"])
        cells = {
            row["ds"]: Cell(
                (row["value"] or 0) / (row["upper"] or 1),
                row["passed"],
                f"{row['meaning']} {words.value(row['value'])}",
            )
            for row in of_name
        }
        last = of_name[-1]
        told = (
            f"{words.decimals(last['value'])} of {words.value(last['upper'])}"
            if last["ds"] == nights[-1]
            else ""
        )
        lines.append((shown(last)["title"], cells, told))
    return charts.grid(nights, lines) if lines else None


def volumes(nights: Sequence[date], rows: Sequence[Row]) -> list[Markup]:
    """Rows of each night beside those of its weekday before, a chart a table."""
    return [
        charts.volume(
            nights,
            series(rows, name, column="rows"),
            series(rows, name, column="expected"),
            broken_nights(rows, name),
            name.partition("_")[2].replace("_", " "),
        )
        for name in sorted({row["name"] for row in rows if row["kind"] == "volume"})
    ]


def shadowed(newest: Sequence[Row]) -> dict[str, Any]:
    """For how many nights, of how many, the challenger was in the shadow, and its metrics beside the champion's."""
    found = [row for row in ordered(newest) if row["kind"] == "shadow"]
    nights = [row for row in found if row["name"] == "shadow_nights"]
    pairs = [
        shown(row) | {"difference": row["value"] - row["expected"]}
        for row in found
        if row["name"] != "shadow_nights" and None not in (row["value"], row["expected"])
    ]
    return {"nights": nights[0] if nights else None, "pairs": pairs}


def _author(newest: Sequence[Row], kind: str) -> str:
    found = [
        f"{row['model']} v{row['model_version']}" for row in newest if row["kind"] == kind and row["model"]
    ]
    return found[0] if found else ""

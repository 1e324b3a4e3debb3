"""One self-contained page of a run: all inside the file, nothing fetched, readable offline and on paper."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup

from reports import charts, words
from reports.causes import causes
from reports.facts import at, number, rows
from reports.fairness import fairness
from reports.few_labels import shown
from reports.flow import UPRIGHT, WIDE, flow
from reports.svg import ticks

KS = (5, 10, 20)
PARTS = {"repeated": "bought before", "first": "first time"}  # of the targets, judged apart
TABLED = ("hr", "recall", "ndcg", "mrr")  # the metrics that a table has room for
PLAIN = ("ndcg@10", "recall@10")  # the metrics that are drawn and put into sentences
QUESTIONS = {"test": "The test", "validation": "Validation", "night": "The nights held out"}


def render(facts: Mapping[str, Any]) -> str:
    """The page as one HTML file of `facts` (see `reports.facts.Facts`); what is missing reads "not run"."""
    page = environment()
    style, *_ = page.loader.get_source(page, "page.css")  # type: ignore[union-attr]
    return page.get_template("page.html.j2").render(
        style=Markup(style),
        title=at(facts, "title") or "Footfall",
        made_at=at(facts, "made_at"),
        command=at(facts, "command"),
        hardware=hardware(facts),
        total=total_seconds(facts),
        tiles=tiles(facts),
        flow=[
            (kind, flow(at(facts, "flow") or {}, layout))
            for kind, layout in (("wide", WIDE), ("upright", UPRIGHT))
        ],
        reasons=sorted(_numbers(facts, "quarantine_reasons"), key=lambda reason: -reason[1]),
        histograms=histograms(facts),
        trainings=trainings(facts),
        questions=[question(row) for row in rows(facts, "metrics")],
        parts=list(PARTS.values()),
        plain=PLAIN,
        tasks=compared_tasks(facts),
        few=[shown(row) for row in rows(facts, "few_labels")],
        users=[user(row) for row in rows(facts, "users")],
        fairness=fairness(facts),
        promotions=rows(facts, "promotions"),
        nights=rows(facts, "nights"),
        quality=quality(facts),
        steps=steps(facts),
    )


@cache
def environment() -> Environment:
    """Templates in which every value is escaped, and what is not there is empty at any depth."""
    page = Environment(
        loader=PackageLoader("reports", "."),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters.update(
        count=words.count,
        decimals=words.decimals,
        percent=words.percent,
        signed=words.signed,
        duration=words.duration,
        day=words.day,
        minute=words.minute,
        metric=words.metric_name,
        value=words.value,
    )
    return page


def compared_tasks(facts: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Each task, its metrics beside those of its baseline, what is not better, and what it goes by."""
    return [
        (task, rows(task, "rows"), rows(task, "behind"), _numbers(task, "worth"))
        for task in rows(facts, "tasks")
    ]


def hardware(facts: Mapping[str, Any]) -> str:
    """ "2 cores · 24 GB · Some CPU", as far as it is known."""
    cores, memory = number(facts, "hardware", "cores"), number(facts, "hardware", "memory_gb")
    parts = [
        f"{cores:g} core{'' if cores == 1 else 's'}" if cores else "",
        f"{memory:.0f} GB of memory" if memory else "",
        str(at(facts, "hardware", "cpu") or ""),
    ]
    return " · ".join(part for part in parts if part)


def total_seconds(facts: Mapping[str, Any]) -> float | None:
    """The sum of all steps."""
    seconds = [value for _, value in _numbers(facts, "seconds")]
    return sum(seconds) if seconds else None


def tiles(facts: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The key numbers: (number, what it counts, what else to know)."""
    inside, items, sessions, users, predictions = (
        number(facts, "flow", name) for name in ("in_sessions", "items", "sessions", "users", "predictions")
    )
    cards = [
        (words.count(at(facts, "flow", "events")), "events", f"of {items:,.0f} items" if items else ""),
        (words.count(sessions), "sessions", _each(inside, sessions, "events")),
        (words.count(users), "users", _each(sessions, users, "sessions")),
        (words.count(predictions), "users with predictions", ""),
    ]
    if best := best_of_test(facts):
        cards.append((words.decimals(best[0]), "NDCG@10 of the best", best[1]))
    seconds = total_seconds(facts)
    cards.append((words.duration(seconds) if seconds else words.NOTHING, "for all steps", ""))
    return [card if card[0] != words.NOTHING else ("not run", card[1], "") for card in cards]


def _each(parts: float | None, wholes: float | None, name: str) -> str:
    return f"{parts / wholes:.1f} {name} each" if parts and wholes else ""


def best_of_test(facts: Mapping[str, Any]) -> tuple[float, str] | None:
    """The best NDCG@10 of the test, and whose it is."""
    judged = [
        (mean, str(model.get("model")))
        for row in rows(facts, "metrics")
        if row.get("question") == "test"
        for model in rows(row, "models")
        if (mean := number(model, "values", "ndcg@10", "mean")) is not None
    ]
    return max(judged, default=None)


def histograms(facts: Mapping[str, Any]) -> list[tuple[str, Markup | None]]:
    """(heading, chart) of what sessions look like; None where it was not run."""
    hour = f"hour of the session's start, {at(facts, 'sessions', 'zone') or 'UTC'}"
    gap = "until the user's next session begins, logarithmic: hours, then days"
    named: list[tuple[str, str, dict[str, Any]]] = [
        ("How many events", "events_per_session", {"axis": "events in a session"}),
        ("How long", "duration_minutes", {"axis": "minutes from first to last event"}),
        ("At what hour", "hour_of_day", {"axis": hour, "every": 3}),
        ("How long until the next", "gap_hours", {"axis": gap, "at_edges": True}),
    ]
    return [
        (heading, charts.columns(bins, **how) if (bins := histogram(facts, name)) else None)
        for heading, name, how in named
    ]


def histogram(facts: Mapping[str, Any], name: str) -> list[tuple[str, float]]:
    """The bins of one histogram; counts without labels are numbered from 0. Empty if nothing was counted."""
    found = at(facts, "sessions", name)
    pairs = [
        (str(one[0]), one[1]) if isinstance(one, list | tuple) and len(one) == 2 else (str(i), one)
        for i, one in enumerate(found if isinstance(found, list | tuple) else [])
    ]
    bins = [(label, number({"": value}, "") or 0.0) for label, value in pairs]
    return bins if any(n for _, n in bins) else []


def trainings(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each training with its two curves; one measure has one value axis in all of them."""
    found = rows(facts, "training")
    points = [{name: _points(row, name) for name in ("loss", "ndcg@10")} for row in found]
    axes = {name: _axis([value for of in points for _, value in of[name]]) for name in ("loss", "ndcg@10")}
    return [
        {
            **row,
            "loss": charts.curve(of["loss"], "training loss", axes["loss"]) if of["loss"] else None,
            "ndcg": charts.curve(of["ndcg@10"], "validation NDCG@10", axes["ndcg@10"], _best(row))
            if of["ndcg@10"]
            else None,
        }
        for row, of in zip(found, points, strict=True)
    ]


def question(row: Mapping[str, Any]) -> dict[str, Any]:
    """One question: its title, sentences, dots and table."""
    models = rows(row, "models")
    values = [found for model in models if isinstance(found := model.get("values"), Mapping)]
    known = {name for found in values for name in found}
    of_all = [
        (words.METRICS[key], ks)
        for key in TABLED
        if (ks := [(k, f"{key}@{k}") for k in KS if f"{key}@{k}" in known])
    ]
    of_parts = [
        (f"{words.METRICS[key]}, {of}", [(10, metric)])
        for part, of in PARTS.items()
        for key in ("ndcg", "recall")
        if (metric := f"{key}@10/{part}") in known
    ]
    metrics = [metric for _, ks in of_all + of_parts for _, metric in ks]
    return {
        **row,
        "title": QUESTIONS.get(str(row.get("question")), str(row.get("question") or "A question")),
        "verdicts": words.verdicts(row, PLAIN),
        "dots": [charts.whiskers(models, metric) for metric in PLAIN if metric in known],
        "tables": [groups for groups in (of_all, of_parts) if groups],
        "models": models,
        "pairs": pairs(models),
        "best": {metric: _best_mean(models, metric) for metric in metrics},
    }


def pairs(models: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each encoder against each baseline: the differences, of all targets and of parts of them."""
    wanted = [[metric, *(f"{metric}/{part}" for part in PARTS)] for metric in PLAIN]
    return [
        {
            "model": model,
            "baseline": baseline,
            "differences": [[(of.get(each), words.standing(of.get(each))) for each in row] for row in wanted],
        }
        for model in models
        for baseline, of in (model.get("against") or {}).items()
    ]


def user(row: Mapping[str, Any]) -> dict[str, Any]:
    """One user: baskets cut to what can be read, predictions in two parts."""
    baskets = [
        {"date": basket.get("date"), "items": rows(basket, "items")} for basket in rows(row, "baskets")
    ]
    predictions = rows(row, "predictions")
    again = sum(bool(prediction.get("bought_before")) for prediction in predictions)
    name = words.short(str(row.get("user_id", "")))
    found = {"name": name, "baskets": baskets, "predictions": predictions, "again": again}
    return {**row, **found, "causes": causes(rows(row, "explained"))}


def quality(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The newest check: each expectation with its standing and its limits in words, and how many passed."""
    found = []
    for row in rows(facts, "quality", "expectations"):
        passed = row.get("passed")
        standing = "nothing to judge" if passed is None else "passed" if passed else row.get("severity")
        found.append({**row, "standing": standing, "limits": words.limits(row)})
    judged = [row for row in found if row.get("passed") is not None]
    return {
        "ds": at(facts, "quality", "ds"),
        "overridden": bool(at(facts, "quality", "overridden")),
        "expectations": found,
        "judged": len(judged),
        "passed": sum(bool(row.get("passed")) for row in judged),
    }


def steps(facts: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """(step, seconds, percent of the longest step's), as they ran."""
    found = _numbers(facts, "seconds")
    longest = max((value for _, value in found), default=0) or 1
    return [(name, value, 100 * value / longest) for name, value in found]


def _numbers(facts: Mapping[str, Any], name: str) -> list[tuple[str, float]]:
    found = at(facts, name)
    if not isinstance(found, Mapping):
        return []
    return [(str(key), value) for key in found if (value := number(found, key)) is not None]


def _points(training: Mapping[str, Any], name: str) -> list[tuple[int, float]]:
    """(epoch, value) where there is a value."""
    found = [(number(row, "epoch"), number(row, name)) for row in rows(training, "epochs")]
    return [(int(epoch), value) for epoch, value in found if epoch is not None and value is not None]


def _axis(values: list[float]) -> list[float]:
    return ticks(min(values), max(values)) if values else []


def _best(training: Mapping[str, Any]) -> int | None:
    epoch = number(training, "best_epoch")
    return None if epoch is None else int(epoch)


def _best_mean(models: list[Mapping[str, Any]], metric: str) -> float | None:
    means = [mean for model in models if (mean := number(model, "values", metric, "mean")) is not None]
    return max(means, default=None)

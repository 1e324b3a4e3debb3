"""The charts of a page: columns, lines, dots with whiskers. Colours are the style sheet's, light or dark."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from reports.facts import number
from reports.svg import drawing, line, tag, text, tick_labels, ticks
from reports.words import count, decimals, metric_name, share, signed
from reports.words import day as day_of

WIDTH = 420.0
LETTER = 7.0  # mean width of a character of the axis, in units of the drawing


def columns(
    bins: Sequence[tuple[str, float]], axis: str, every: int | None = None, at_edges: bool = False
) -> Markup:
    """A histogram: one column a bin, its share above it, its label below, at its left edge if `at_edges`.

    `every` n-th bin is labelled; None: as many as there is room for.
    """
    height, top, floor = 210.0, 20.0, 160.0
    total, most = sum(n for _, n in bins), max((n for _, n in bins), default=0) or 1
    slot = WIDTH / max(len(bins), 1)
    step = every or _thinned([label for label, _ in bins], slot)
    parts = []
    for i, (label, n) in enumerate(bins):
        x, tall = i * slot, (floor - top) * n / most
        told = f"from {label}" if at_edges else label
        bar = tag(
            "rect", x=x + slot / 10, y=floor - tall, width=slot * 0.8, height=tall, rx=1.5, class_="bar"
        )
        parts.append(tag("g", bar, tag("title", f"{told}: {count(n)} ({share(n, total)})")))
        if slot >= 26 or n == most:
            parts.append(text(x + slot / 2, floor - tall - 5, share(n, total), "value", "middle"))
        if i % step == 0 and not (at_edges and i == 0):  # a label at the outer edge would run into the next
            place = x if at_edges else x + slot / 2
            parts.append(text(place, floor + 17, label, "tick", "middle"))
        if at_edges:
            parts.append(line(x, floor, x, floor + 4, "axis"))
    parts += [line(0, floor, WIDTH, floor, "axis"), text(WIDTH / 2, floor + 38, axis, "name", "middle")]
    return drawing(WIDTH, height, f"Histogram of {axis}", parts)


def curve(
    points: Sequence[tuple[int, float]], name: str, domain: Sequence[float], best: int | None = None
) -> Markup:
    """A line over (epoch, value); `domain`: ticks of the value axis; the point at `best` is marked."""
    height, left, right, top, floor = 220.0, 40.0, WIDTH - 8, 30.0, 172.0
    epochs = [epoch for epoch, _ in points]
    first, last = min(epochs), max(max(epochs), min(epochs) + 1)
    low, high = domain[0], domain[-1]

    def place(epoch: float, value: float) -> tuple[float, float]:
        x = left + 12 + (right - left - 24) * (epoch - first) / (last - first)
        return x, floor - (floor - top) * (value - low) / (high - low)

    parts = []
    for tick, label in zip(domain, tick_labels(domain), strict=True):
        y = place(first, tick)[1]
        parts += [line(left, y, right, y, "grid"), text(left - 7, y + 4, label, "tick", "end")]
    for epoch in epochs[:: max(1, round(len(epochs) / 8))]:
        parts.append(text(place(epoch, low)[0], floor + 18, str(epoch), "tick", "middle"))
    parts += [line(*place(*a), *place(*b), "stroke") for a, b in pairwise(points)]
    for epoch, value in points:
        x, y = place(epoch, value)
        kind, radius = ("dot best", 5) if epoch == best else ("dot", 3)
        dot = tag("circle", cx=x, cy=y, r=radius, class_=kind)
        parts.append(tag("g", dot, tag("title", f"epoch {epoch}: {decimals(value)}")))
        if epoch == best:
            parts.append(text(x, y - 11, decimals(value), "value strong", "middle"))
    parts += [text(0, 12, name, "name left"), text((left + right) / 2, floor + 38, "epoch", "name", "middle")]
    return drawing(WIDTH, height, f"{name} by epoch", parts)


def timeline(days: Sequence[tuple[date, float]]) -> Markup:
    """A bar a day at its place in time, oldest first: above the line what adds, below it what takes away."""
    width, height, top, floor = 2 * WIDTH, 150.0, 8.0, 122.0
    places = [day.toordinal() for day, _ in days]
    first, span = min(places), max(1, max(places) - min(places))
    most = max(0.0, *(value for _, value in days))
    least = min(0.0, *(value for _, value in days))
    unit = (floor - top) / ((most - least) or 1)
    zero, wide = top + unit * most, min(10.0, max(2.0, 0.7 * width / (span + 1)))
    parts = [line(0, zero, width, zero, "axis")]
    for (day, value), place in zip(days, places, strict=True):
        x, tall = (width - wide) * (place - first) / span, unit * abs(value)
        kind = "bar" if value >= 0 else "bar less"
        bar = tag(
            "rect", x=x, y=zero - tall if value >= 0 else zero, width=wide, height=tall, rx=1, class_=kind
        )
        parts.append(tag("g", bar, tag("title", f"{day_of(day.isoformat())}: {signed(value)}")))
    parts.append(text(0, height - 8, day_of(days[0][0].isoformat()), "tick"))
    if len(days) > 1:
        parts.append(text(width, height - 8, day_of(days[-1][0].isoformat()), "tick", "end"))
    return drawing(width, height, "What each day's events add to the score", parts)


def whiskers(models: Sequence[Mapping[str, Any]], metric: str) -> Markup:
    """A dot a model at its mean, a whisker over the interval; baselines hollow, encoders filled."""
    judged = [m for m in models if number(m, "values", metric, "mean") is not None]
    left, right, row, top = 128.0, WIDTH - 48, 30.0, 34.0
    floor = top + row * len(judged)
    ends = [number(m, "values", metric, key) or 0 for m in judged for key in ("mean", "high")]
    domain = ticks(0, max(ends, default=1) or 1, wanted=5)

    def place(value: float) -> float:
        return left + (right - left) * value / domain[-1]

    parts = [text(0, 13, metric_name(metric), "name left")]
    for tick, label in zip(domain, tick_labels(domain), strict=True):
        parts.append(line(place(tick), top - 6, place(tick), floor, "grid"))
        parts.append(text(place(tick), floor + 18, label, "tick", "middle"))
    for i, model in enumerate(judged):
        parts += _whisker(model, metric, top + row * (i + 0.5), place)
    return drawing(WIDTH, floor + 26, f"{metric_name(metric)} of each model with its interval", parts)


def _whisker(model: Mapping[str, Any], metric: str, y: float, place: Any) -> list[Markup]:
    mean, low, high = (number(model, "values", metric, key) for key in ("mean", "low", "high"))
    kind = "hollow" if model.get("kind") == "baseline" else "filled"
    name = str(model.get("model") or "?")
    parts = [text(0, y + 4, name if len(name) <= 18 else name[:17] + "…", f"label {kind}")]
    if mean is not None:
        x = place(mean)
        if low is not None and high is not None:
            parts.append(line(place(low), y, place(high), y, f"whisker {kind}"))
            parts += [line(place(end), y - 4, place(end), y + 4, f"whisker {kind}") for end in (low, high)]
        told = tag("title", f"{name}: {decimals(mean)} ({decimals(low)} to {decimals(high)})")
        parts.append(tag("g", tag("circle", cx=x, cy=y, r=5, class_=f"mean {kind}"), told))
        parts.append(text(WIDTH, y + 4, decimals(mean), f"value {kind}", "end"))
    return parts


def _thinned(labels: Sequence[str], slot: float) -> int:
    """Every how many-th label there is room for."""
    widest = max((len(label) for label in labels), default=1) * LETTER + 6
    return max(1, -int(-widest // slot))

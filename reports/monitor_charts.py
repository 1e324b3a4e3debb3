"""The charts of the page about nights: lines over nights, a grid of nights, columns beside what was expected."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup

from reports.charts import WIDTH
from reports.svg import drawing, line, tag, text, tick_labels, ticks
from reports.words import count, value

Series = Mapping[date, float]
GRID = 860.0  # width of what takes the whole page


class Line(NamedTuple):
    """One line of a `trend`: `kind` is `champion`, `usual` or `shadow` of the style sheet."""

    label: str
    kind: str
    points: Series


class Cell(NamedTuple):
    """One measure of one night: how much of its limit it takes, and whether it passed."""

    share: float
    passed: bool | None
    told: str


def trend(nights: Sequence[date], lines: Sequence[Line], name: str, broken: Sequence[date] = ()) -> Markup:
    """Lines over nights from 0 on; where the first line is `broken` its dot is a breach."""
    height, left, right, top, floor = 216.0, 44.0, WIDTH - 8, 34.0, 176.0
    most = max((found for each in lines for found in each.points.values()), default=1.0)
    domain = ticks(0, most or 1.0)
    place = _days(nights, left + 8, right - 8)

    def high(found: float) -> float:
        return floor - (floor - top) * found / domain[-1]

    parts = [text(0, 12, name, "name left")]
    for tick, label in zip(domain, tick_labels(domain), strict=True):
        parts += [
            line(left, high(tick), right, high(tick), "grid"),
            text(left - 7, high(tick) + 4, label, "tick", "end"),
        ]
    parts += _dates(nights, place, floor + 18)
    for each in reversed(lines):  # the first lies above the others
        known = [(night, each.points[night]) for night in nights if night in each.points]
        parts += [
            line(place(a), high(x), place(b), high(y), f"stroke {each.kind}")
            for (a, x), (b, y) in pairwise(known)
        ]
        if each.kind != "usual":
            parts += [_dot(place(n), high(x), each, n, x, n in broken and each is lines[0]) for n, x in known]
    return drawing(WIDTH, height, f"{name} by night", parts)


def _dot(x: float, y: float, of: Line, night: date, found: float, is_broken: bool) -> Markup:
    kind, radius = (f"dot {of.kind} broken", 5) if is_broken else (f"dot {of.kind}", 2.6)
    told = tag("title", f"{of.label}, {_day(night)}: {value(found)}")
    return tag("g", tag("circle", cx=x, cy=y, r=radius, class_=kind), told)


def grid(nights: Sequence[date], rows: Sequence[tuple[str, Mapping[date, Cell], str]]) -> Markup:
    """A row a measure, a cell a night, the darker the nearer to its limit, or a breach; at the end the newest in words."""
    left, right, top, tall = 168.0, GRID - 118, 8.0, 24.0
    slot = (right - left) / max(len(nights), 7)
    floor = top + tall * len(rows)
    start = right - slot * len(nights)
    parts: list[Markup] = []
    for number, (name, cells, newest) in enumerate(rows):
        y = top + tall * number
        parts += [text(0, y + 15, name, "label"), text(GRID, y + 15, newest, "value", "end")]
        for place, night in enumerate(nights):
            parts.append(_cell(start + slot * place, y, slot, tall, cells.get(night), night))
    place = _days(nights, start + slot / 2, right - slot / 2)
    parts += _dates(nights, place, floor + 18, GRID - left)
    return drawing(GRID, floor + 26, "Measures by night", parts)


def _cell(x: float, y: float, slot: float, tall: float, cell: Cell | None, night: date) -> Markup:
    box: dict[str, str | float] = {
        "x": x + 1,
        "y": y + 2,
        "width": max(slot - 2, 1),
        "height": tall - 4,
        "rx": 2,
    }
    if cell is None:
        return tag("rect", class_="cell none", **box)
    kind = {None: "unjudged", True: "passed", False: "broken"}[cell.passed]
    full = 0.12 + 0.88 * min(max(cell.share, 0.0), 1.0)
    box["fill_opacity"] = "1" if kind != "passed" else f"{full:.2f}"
    told = tag("title", f"{_day(night)}: {cell.told}")
    return tag("g", tag("rect", class_=f"cell {kind}", **box), told)


def volume(
    nights: Sequence[date], rows: Series, expected: Series, broken: Sequence[date], name: str
) -> Markup:
    """A column a night, as high as its rows, with a mark at what its weekday came to before."""
    height, top, floor = 132.0, 26.0, 100.0
    most = max([*rows.values(), *expected.values()], default=1.0) or 1.0
    slot = WIDTH / max(len(nights), 7)
    start = WIDTH - slot * len(nights)
    newest = rows.get(nights[-1]) if nights else None
    parts = [text(0, 12, name, "name left"), text(WIDTH, 12, count(newest), "value", "end")]
    for place, night in enumerate(nights):
        if night not in rows:
            continue
        x, tall = start + slot * place, (floor - top) * rows[night] / most
        kind = "bar broken" if night in broken else "bar"
        told = f"{_day(night)}: {count(rows[night])}"
        bar = tag(
            "rect", x=x + slot * 0.14, y=floor - tall, width=slot * 0.72, height=tall, rx=1, class_=kind
        )
        if (mean := expected.get(night)) is not None:
            told += f", {count(mean)} expected"
            y = floor - (floor - top) * mean / most
            parts.append(line(x + slot * 0.02, y, x + slot * 0.98, y, "mark-line"))
        parts.append(tag("g", bar, tag("title", told)))
    parts.append(line(0, floor, WIDTH, floor, "axis"))
    parts += _dates(nights, _days(nights, start + slot / 2, WIDTH - slot / 2), floor + 17)
    return drawing(WIDTH, height, f"{name} by night", parts)


def spark(nights: Sequence[date], points: Series) -> Markup:
    """A small line beside a number: from the least to the most that was seen."""
    known = [(night, points[night]) for night in nights if night in points]
    if len(known) < 2:
        return Markup("")
    width, height = 110.0, 20.0
    low, high = min(found for _, found in known), max(found for _, found in known)
    place = _days(nights, 3, width - 3)

    def at(found: float) -> float:
        return height - 3 - (height - 6) * (found - low) / ((high - low) or 1)

    parts = [line(place(a), at(x), place(b), at(y), "stroke thin") for (a, x), (b, y) in pairwise(known)]
    parts.append(tag("circle", cx=place(known[-1][0]), cy=at(known[-1][1]), r=2.4, class_="dot"))
    return drawing(width, height, "Its nights before", parts, "spark")


def _days(nights: Sequence[date], left: float, right: float):
    """Where a night stands between `left` and `right`; the only one at the right."""
    whole = (nights[-1] - nights[0]).days if nights else 0
    return lambda night: right - (right - left) * (nights[-1] - night).days / (whole or 1)


def _dates(nights: Sequence[date], place, y: float, width: float = WIDTH) -> list[Markup]:
    """As many dates as there is room for, the newest among them."""
    step = max(1, -(-len(nights) // int(width // 62)))
    shown = list(nights)[::-1][::step]
    return [text(place(night), y, _day(night), "tick", "middle") for night in shown]


def _day(night: date) -> str:
    return f"{night.day} {night:%b}"

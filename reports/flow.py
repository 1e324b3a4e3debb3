"""What became of the records: a flow whose widths are to scale as long as one record is one record.

Records read split into events, duplicates and quarantined; events into active and passive; active ones into
those in sessions and those capped. From there on one row is something else (a session, a user, an example, a
list of predictions): these are stations on a line, without a width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from reports.facts import number
from reports.svg import drawing, line, tag, text
from reports.words import count, decimals

MAIN = ("read", "events", "active", "in_sessions")
SIDES = {"events": ("duplicates", "quarantined"), "active": ("passive",), "in_sessions": ("capped",)}
NAMES = {"read": "records read", "in_sessions": "in sessions"}
LABEL = 26.0  # height of a label of two lines
HAIR = 1.5  # nothing that is there is drawn thinner


@dataclass(frozen=True)
class Layout:
    """Where things go: `along` the flow and `across` it, turned by `point` into x and y."""

    upright: bool
    step: float  # from one split to the next
    start: float  # of the flow, along
    edge: float  # of the band, across
    band: float  # width of all that was read
    side: float  # room between the band and what leaves it
    stride: float  # from one station to the next
    lead: float  # more than that to the first

    def point(self, along: float, across: float) -> tuple[float, float]:
        return (across, along) if self.upright else (along, across)


WIDE = Layout(upright=False, step=150, start=4, edge=62, band=104, side=34, stride=92, lead=20)
UPRIGHT = Layout(upright=True, step=92, start=16, edge=124, band=92, side=26, stride=58, lead=0)


def flow(facts: Mapping[str, Any], layout: Layout) -> Markup:
    """The diagram, lying or upright; empty where nothing was read."""
    main = [(name, n) for name in MAIN if (n := number(facts, name)) is not None]
    whole = max((n for _, n in main), default=0)
    if whole <= 0:
        return Markup("")
    widths = [max(HAIR, layout.band * n / whole) for _, n in main]
    parts: list[Markup] = []
    nodes: list[Markup] = []
    for i, (name, n) in enumerate(main):
        along = layout.start + i * layout.step
        if i + 1 < len(main):
            parts.append(
                _ribbon(layout, along, along + layout.step, 0, widths[i + 1], 0, widths[i + 1], "ribbon main")
            )
            parts += _sides(facts, layout, main[i + 1][0], along, widths[i + 1], layout.band / whole)
        nodes += _node(layout, along, widths[i], NAMES.get(name, name), n)
    end = layout.start + (len(main) - 1) * layout.step
    parts += [*_stations(facts, layout, end, widths[-1]), *nodes]
    length = end + layout.lead + 4 * layout.stride + (44 if layout.upright else 54)
    width, height = layout.point(length, _breadth(facts, layout, layout.band / whole))
    return drawing(width, height, "What became of the records, from read to predictions", parts, "chart flow")


def _breadth(facts: Mapping[str, Any], layout: Layout, scale: float) -> float:
    """Room across for the band, what leaves it, and the labels there."""
    widths = [[scale * (number(facts, name) or 0) for name in names] for names in SIDES.values()]
    if layout.upright:
        return layout.edge + layout.band + layout.side + max(max(group) for group in widths) + 98
    deepest = max(sum(max(width, LABEL) + 18 for width in group) for group in widths)
    return layout.edge + layout.band + layout.side + deepest


def _node(layout: Layout, along: float, width: float, name: str, n: float) -> list[Markup]:
    x, y = layout.point(along, layout.edge)
    long, thick = (width, 3.0) if layout.upright else (3.0, width)
    bar = tag("rect", x=x, y=y, width=long, height=thick, class_="node")
    if layout.upright:
        return [
            bar,
            text(x - 12, y + 5, name, "name", "end"),
            text(x - 12, y + 22, count(n), "number", "end"),
        ]
    return [bar, text(x, y - 28, name, "name left"), text(x, y - 10, count(n), "number")]


def _sides(
    facts: Mapping[str, Any], layout: Layout, target: str, along: float, inner: float, scale: float
) -> list[Markup]:
    """What leaves the band on its way to `target`; upright the outermost leaves first, so that none cross."""
    leaving = [(name, n) for name in SIDES[target] if (n := number(facts, name)) is not None]
    parts: list[Markup] = []
    depth, room = inner + layout.side, layout.step / max(len(leaving), 1)
    start = inner
    order = list(reversed(leaving)) if layout.upright else leaving
    for i, (name, n) in enumerate(order):
        width = max(HAIR, n * scale) if n else 0.0
        if layout.upright:
            end, out = along + room * (len(order) - i) - 18, layout.band + layout.side
        else:
            end, out = along + layout.step * 0.62, depth
            depth += max(width, LABEL) + 18
        if n:
            parts.append(_ribbon(layout, along, end, start, start + width, out, out + width, "ribbon aside"))
        start += width
        x, y = layout.point(end, layout.edge + out)
        label = (x + width + 6, y) if layout.upright else (x + 6, y + width / 2 - 2)
        parts += [text(*label, name, "aside"), text(label[0], label[1] + 15, count(n), "aside number")]
    return parts


def _ribbon(
    layout: Layout, start: float, end: float, a0: float, a1: float, b0: float, b1: float, kind: str
) -> Markup:
    """A band from [a0, a1] at `start` to [b0, b1] at `end`, bending in between."""
    middle, edge = (start + end) / 2, layout.edge
    corners = [
        (start, a0),
        (middle, a0),
        (middle, b0),
        (end, b0),
        (end, b1),
        (middle, b1),
        (middle, a1),
        (start, a1),
    ]
    p = ["{:.1f} {:.1f}".format(*layout.point(along, edge + across)) for along, across in corners]
    return tag("path", d=f"M{p[0]} C{p[1]} {p[2]} {p[3]} L{p[4]} C{p[5]} {p[6]} {p[7]} Z", class_=kind)


def _stations(facts: Mapping[str, Any], layout: Layout, start: float, width: float) -> list[Markup]:
    middle = width / 2
    last = start + layout.lead + 4 * layout.stride
    first = start + layout.stride * (0.62 if layout.upright else 0.7)
    parts = [_ribbon(layout, start, first, 0, width, middle - 1, middle + 1, "ribbon taper")]
    parts.append(
        line(*layout.point(first, layout.edge + middle), *layout.point(last, layout.edge + middle), "thread")
    )
    for i, (name, n, told) in enumerate(_told(facts), start=1):
        x, y = layout.point(start + layout.lead + i * layout.stride, layout.edge + middle)
        parts.append(tag("circle", cx=x, cy=y, r=5, class_="station" if n is not None else "station none"))
        number_ = count(n) if n is not None else "not run"
        if layout.upright:
            left = layout.edge - 12
            parts += [text(left, y - 1, name, "name", "end"), text(left, y + 16, number_, "number", "end")]
            top = y + 11 - 7.5 * len(told)  # of the lines beside the station, their middle at its height
            parts += [text(x + 16, top + 15 * j, part, "aside") for j, part in enumerate(told)]
        else:
            parts += [text(x, y - 34, name, "name", "middle"), text(x, y - 15, number_, "number", "middle")]
            parts += [text(x, y + 24 + 15 * j, part, "aside", "middle") for j, part in enumerate(told)]
    return parts


def _told(facts: Mapping[str, Any]) -> list[tuple[str, float | None, tuple[str, ...]]]:
    """Each station's name, count and what its rows are made of."""
    inside, sessions, users = (number(facts, name) for name in ("in_sessions", "sessions", "users"))
    predictions = number(facts, "predictions")
    train, validation = (number(facts, "examples", split) for split in ("train", "validation"))
    examples = None if train is None and validation is None else (train or 0) + (validation or 0)
    return [
        (
            "sessions",
            sessions,
            (f"{decimals(inside / sessions, 1)} events", "each") if inside and sessions else (),
        ),
        ("users", users, (f"{decimals(sessions / users, 1)} sessions", "each") if sessions and users else ()),
        (
            "examples",
            examples,
            (f"{count(train)} train", f"{count(validation)} validation") if examples else (),
        ),
        ("predictions", predictions, ("one list", "a user") if predictions else ()),
    ]

"""Where a prediction came from: a bar a day, and the items that count most."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from reports import charts
from reports.facts import number
from reports.words import parsed

WAYS = {"attribution": "by integrated gradients", "change": "by what the score loses without each"}
NAMED = 5  # items


def causes(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The causes of one prediction (`reports.facts.Cause`); nothing where there is none.

    `by` in which way they are told, `timeline` a drawing, `items` (name, value, times, percent of the strongest one)
    """
    of = "attribution" if any(number(event, "attribution") is not None for event in events) else "change"
    days: dict[date, float] = {}
    items: dict[str, list[float]] = {}
    for event in events:
        value, moment = number(event, of), parsed(event.get("date"))
        if value is None or moment is None:
            continue
        days[moment.date()] = days.get(moment.date(), 0.0) + value
        items.setdefault(str(event.get("words") or event.get("item_id")), []).append(value)
    sums = sorted(((sum(each), name, len(each)) for name, each in items.items()), key=lambda s: -abs(s[0]))
    if not sums or not sums[0][0]:
        return {}
    return {
        "by": WAYS[of],
        "timeline": charts.timeline(list(days.items())),
        "items": [(name, value, n, 100 * abs(value) / abs(sums[0][0])) for value, name, n in sums[:NAMED]],
    }

"""Measures of some weeks of nights, typed in: plausible numbers, none of them measured."""

import math
from datetime import date, timedelta
from typing import Any

from features.monitoring import DRIFT, FRESHNESS, REALISED, SHADOW, VOLUME, Measure

FIRST = date(2026, 10, 5)
DRIFTS = ("event_type", "hour", "basket", "tenure", "item_category", "history", "top_score", "top_item")
SEGMENTS = (
    "all",
    "users: new",
    "users: old",
    "activity: few",
    "activity: many",
    "start: cold",
    "start: warm",
)


def nights(count: int = 40) -> list[dict[str, Any]]:
    """Rows of `monitoring`: from the 31st night on the hours are others, on the 40th half of the events are missing."""
    return [measure._asdict() for n in range(count) for measure in of_night(n)]


def of_night(n: int) -> list[Measure]:
    ds, task, wave = FIRST + timedelta(days=n), "next_item", math.sin(n * 1.7)
    author = {"model": "frequency_decay", "model_version": 3}
    found = []
    for place, name in enumerate(DRIFTS):
        index = abs(0.06 + 0.05 * math.sin(n * (1 + place / 3))) + (0.3 if name == "hour" and n >= 30 else 0)
        made = Measure(
            ds, task, f"drift_{name}", "all", DRIFT, f"index of {name}", index, rows=9000, **author
        )
        found.append(made.held(upper=0.25, is_enough=n >= 7))
    for place, segment in enumerate(SEGMENTS):
        for name, level in (("ndcg@10", 0.226), ("hr@10", 0.61), ("predicted", 0.97)):
            value = level * (1 - 0.08 * place) * (1 + 0.06 * wave)
            made = Measure(
                ds, task, f"realised_{name}", segment, REALISED, "as told", value, rows=2400 // (place + 1)
            )
            usual = level * (1 - 0.08 * place) if n >= 7 else None
            found.append(made._replace(expected=usual, **author).held(usual and 0.7 * usual))
            if n >= 34 and segment in SEGMENTS[:3] and name != "predicted":
                shade = made._replace(name=f"shadow_{name}", kind=SHADOW, value=value * 1.05, expected=value)
                found.append(shade._replace(model="sasrec", model_version=5))
    if n >= 34:
        told = Measure(
            ds, task, "shadow_nights", "all", SHADOW, "nights", n - 33.0, 7.0, model="sasrec", model_version=5
        )
        found.append(told)
    for name, upper in (("events", 1.25), ("predictions", 1), ("champion", 60)):
        age = 12.0 + n if name == "champion" else 0.1 + 0.05 * wave
        found.append(Measure(ds, task, f"freshness_{name}", "all", FRESHNESS, "days", age).held(upper=upper))
    for name, level in (("events", 52_000), ("sessions", 6_100), ("new_users", 310), ("predictions", 24_690)):
        usual = level * (1 + 0.25 * math.sin(2 * math.pi * ds.weekday() / 7))
        rows = round(usual * (1 + 0.08 * wave) * (0.3 if name == "events" and n == 39 else 1))
        made = Measure(
            ds, task, f"volume_{name}", "all", VOLUME, "rows, by the mean before", rows / usual, rows=rows
        )
        found.append(made._replace(expected=usual if n >= 7 else None).held(0.4, 2.5, is_enough=n >= 7))
    return found

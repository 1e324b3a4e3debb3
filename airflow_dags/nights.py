"""Which nights a run is about, and what is done for them."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any


def nights_of(
    given: str, events: Mapping[Any, Iterable[Any]] | None, interval_end: datetime | None
) -> list[str]:
    """The nights, oldest first: those given, else those of all events that started the run, else the interval's last day.

    given         YYYY-MM-DD, several with commas between; empty: none
    events        asset -> its events, each with `ds` in its extra: a run answers for all that came while it could not start
    """
    if given:
        return sorted({each.strip() for each in given.split(",")})
    told = {event.extra["ds"] for each in (events or {}).values() for event in each}
    if told:
        return sorted(told)
    if interval_end is None:
        raise ValueError("this run has no interval and no events: give ds=YYYY-MM-DD as its parameter")
    return [(interval_end - timedelta(days=1)).date().isoformat()]


def ranges(start: str, end: str, days: int) -> list[dict[str, str]]:
    """`[start, end)` in half-open ranges of so many days at most."""
    first, last = date.fromisoformat(start), date.fromisoformat(end)
    if first >= last:
        raise ValueError(f"start must lie before end, which is not taken in any more, got {start} and {end}")
    cuts = [*(first + timedelta(days=n) for n in range(0, (last - first).days, days)), last]
    return [{"start": a.isoformat(), "end": b.isoformat()} for a, b in pairwise(cuts)]


def training_of(wanted: str, run_type: str) -> str:
    """`pretrain` or `finetune`."""
    if wanted != "auto":
        return wanted
    return "finetune" if run_type == "asset_triggered" else "pretrain"

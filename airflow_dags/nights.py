"""Which nights a run is about."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
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

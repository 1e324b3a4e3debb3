"""`monitoring`: one row a measure of one night; and how a measure is held against its limits."""

import statistics
from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from features.table import Column, Table

ALL = "all"
DRIFT, REALISED, SHADOW, FRESHNESS, VOLUME = "drift", "realised", "shadow", "freshness", "volume"

MONITORING = Table(
    name="monitoring",
    meaning="One measure of one night of a task, and what it was held against.",
    columns=(
        Column("ds", "date", "the night"),
        Column("task", "string", "whose predictions are watched"),
        Column("name", "string", "of the measure: its kind and what of, as `drift_hour`"),
        Column("segment", "string", "of users: `all`, or as `users: new`, `activity: many`, `start: cold`"),
        Column("kind", "string", "drift, realised, shadow, freshness or volume"),
        Column("meaning", "string", "of the value, in words"),
        Column("value", "double", "what was seen; null: there was nothing to see", nullable=True),
        Column("expected", "double", "what the nights or weeks before came to", nullable=True),
        Column("lower", "double", "the least that passes; null: no limit", nullable=True),
        Column("upper", "double", "the most that passes; null: no limit", nullable=True),
        Column("passed", "boolean", "whether it passed; null: there was nothing to judge", nullable=True),
        Column("rows", "bigint", "rows, or users, that were looked at", unit="rows"),
        Column("model", "string", "whose predictions were looked at; null: of none", nullable=True),
        Column("model_version", "int", "its version in the registry", nullable=True),
    ),
    key=("ds", "task", "name", "segment"),
    partition_by=("ds", "task"),
    statistics=("value",),
)


class Measure(NamedTuple):
    """One row of `monitoring`."""

    ds: date
    task: str
    name: str
    segment: str
    kind: str
    meaning: str
    value: float | None
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    passed: bool | None = None
    rows: int = 0
    model: str | None = None
    model_version: int | None = None

    def held(
        self, lower: float | None = None, upper: float | None = None, is_enough: bool = True
    ) -> "Measure":
        """The measure with its limits, and whether it passed; a limit itself passes.

        value  lower  upper  is_enough   passed
        0.5    0.5    2      true        true
        2.1    0.5    2      true        false
        2.1    0.5    2      false       null     too few rows to tell
        null   0.5    2      true        null
        """
        is_judged = self.value is not None and is_enough and not lower is upper is None
        passed = None
        if is_judged:
            passed = (lower is None or self.value >= lower) and (upper is None or self.value <= upper)  # type: ignore[operator]
        return self._replace(lower=lower, upper=upper, passed=passed)

    def __str__(self) -> str:
        """`next_item volume_events [all] is 0.1, expected at least 0.4 and at most 2.5 (rows of a day, by …)`."""
        limits = (("at least", self.lower), ("at most", self.upper))
        expected = " and ".join(f"{word} {limit:.4g}" for word, limit in limits if limit is not None)
        return f"{self.task} {self.name} [{self.segment}] is {self.value:.4g}, expected {expected} ({self.meaning})"


def breached(found: Iterable[Measure]) -> list[Measure]:
    """What did not pass."""
    return [each for each in found if each.passed is False]


def usual(before: Sequence[float], least: int) -> float | None:
    """What a measure came to on the nights before: their mean; none with fewer than `least` of them."""
    return statistics.fmean(before) if len(before) >= least else None


def by_weekday(counts: dict[date, int], ds: date, weeks: int) -> tuple[int, float | None]:
    """The rows of the day `ds`, and the mean of the same weekday in the weeks before; none where none of them has rows.

    counts (ds the 15th, 2 weeks)                   after
    1st 100, 8th 300, 14th 7, 15th 150              150, 200.0
    8th 300, 15th 150                               150, 300.0     the log begins after the 1st
    15th 150                                        150, None

    A day without rows counts as one with 0 where the log has rows before it.
    """
    days = [date.fromordinal(ds.toordinal() - 7 * week) for week in range(1, weeks + 1)]
    first = min((day for day, rows in counts.items() if rows), default=ds)
    before = [counts.get(day, 0) for day in days if day >= first]
    return counts.get(ds, 0), statistics.fmean(before) if any(before) else None

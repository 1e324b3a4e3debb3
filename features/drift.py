"""How far what users do has moved from what they did: the population stability index of single features.

    PSI = sum over bins of (p - q) · ln(p / q)

p is the share of a bin in what is compared, q that in the reference: 0 where nothing has changed, below 0.1 little, above
0.25 much (N. Siddiqi, Credit Risk Scorecards, 2006, chapter 8; the symmetric divergence of H. Jeffreys, 1946). Chance alone
gives about (bins - 1) · (1/n + 1/m) of n and m values (B. Yurdakul, Statistical Properties of Population Stability Index,
2018).
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import NamedTuple

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as f
from pyspark.sql.types import NumericType

from features.formats import understood

BINS = 10  # of numbers
TEXTS = 20  # bins of what is no number, by its hash
DIGITS = 3  # of a number are kept: the driver then holds a few thousand of each feature at most


def compared(frame: DataFrame, day: str, ds: date, days: int, before: int) -> DataFrame:
    """The rows of the `days` up to `ds` and of the `before` days ahead of them, with `is_reference`.

    day (ds the 30th, days 7, before 21)   is_reference
    2nd                                    (left out)
    3rd, 23rd                              true
    24th, 30th                             false
    """
    first = ds - timedelta(days=days - 1)
    within = f.col(day).between(f.lit(first - timedelta(days=before)), f.lit(ds))
    return frame.where(within).withColumn("is_reference", f.col(day) < f.lit(first))


def values(frame: DataFrame, expressions: Mapping[str, str], key: str) -> DataFrame:
    """A row for each row of `frame` and feature, by its SQL: `name`, `is_reference`, and its `value`, or `text` for its bin.

    before                              after
    is_reference  amount  event_type    name    is_reference  value  text
    true          1.2345  view          amount  true          1.23   null     three digits of a number
                                        type    true          null   7        hash of `view`, modulo TEXTS

    Raises `SourceError` for SQL that does not fit the frame, with `key` for the feature's name.
    """
    entries = []
    for name, sql in expressions.items():
        with understood(key.format(name), sql):
            kind = frame.select(f.expr(sql).alias("value")).schema["value"].dataType
        value = f.expr(sql)
        number, text = f.lit(None).cast("double"), f.lit(None).cast("int")
        if isinstance(kind, NumericType):
            number = _shortened(value.cast("double"))
        else:
            text = f.when(
                value.isNotNull(), f.pmod(f.xxhash64(value.cast("string")), f.lit(TEXTS)).cast("int")
            )
        entries.append(f.struct(f.lit(name).alias("name"), number.alias("value"), text.alias("text")))
    return frame.select("is_reference", f.inline(f.array(*entries)))


def _shortened(value: Expression) -> Expression:
    """123456 as 123000, -0.0012345 as -0.00123 (halves to even); null for what is no number."""
    unit = f.pow(f.lit(10.0), f.floor(f.log10(f.abs(value))) - (DIGITS - 1))
    return f.when(value == 0, f.lit(0.0)).when(~f.isnan(value), f.rint(value / unit) * unit)


def counted(values: DataFrame) -> DataFrame:
    """How often each value is there: `name`, `value`, `text`, in the `reference` and `now`."""
    side = {"reference": f.col("is_reference"), "now": ~f.col("is_reference")}
    return values.groupBy("name", "value", "text").agg(*(f.count_if(x).alias(n) for n, x in side.items()))


class Count(NamedTuple):
    """One row of `counted`."""

    name: str
    value: float | None
    text: int | None
    reference: int
    now: int


def bins_of(counts: Iterable[Count]) -> list[tuple[int, int]]:
    """How many values of one feature lie in each of its bins: (in the reference, now).

    value  reference  now      bins
    1.0    10         0        (10, 0)     up to the first decile of the reference, and so on
    2.0    80         40       (80, 40)    several deciles lie here: one bin
    3.0    10         60       (10, 60)
    null   0          7        (0, 7)      a bin of its own; so has each text
    """
    apart: dict[int | None, list[Count]] = {}
    numbers = []
    for count in counts:
        if count.value is None:
            apart.setdefault(count.text, []).append(count)
        else:
            numbers.append(count)
    edges = deciles(numbers)
    groups: list[list[Count]] = [[] for _ in range(len(edges) + 1)]
    for count in numbers:
        groups[bisect_left(edges, count.value)].append(count)  # type: ignore[type-var]
    filled = [group for group in (*groups, *apart.values()) if group]
    return [(sum(c.reference for c in group), sum(c.now for c in group)) for group in filled]


def deciles(numbers: Iterable[Count]) -> list[float]:
    """Where the bins of numbers end: the values with which another tenth of the reference is reached, the last one aside."""
    ordered = sorted((count.value or 0.0, count.reference) for count in numbers)
    whole, reached, edges = sum(reference for _, reference in ordered), 0, []
    for value, reference in ordered:
        before, reached = reached, reached + reference
        if whole and BINS * before // whole < min(BINS * reached // whole, BINS - 1):
            edges.append(value)
    return edges


def stability(bins: Iterable[tuple[int, int]]) -> float:
    """PSI of bins with these many values in the reference and now; each with half a value more, so that none is empty.

    reference  now          PSI
    50, 50     500, 500     0.0
    50, 50     70, 30       0.16
    """
    held = [(reference + 0.5, now + 0.5) for reference, now in bins]
    references, nows = (sum(side) for side in zip(*held, strict=True))
    shares = [(reference / references, now / nows) for reference, now in held]
    return sum((p - q) * math.log(p / q) for q, p in shares)

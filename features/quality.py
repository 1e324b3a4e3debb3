"""`quality`: one row an expectation of one table on one night; and how what is expected is held against what is there."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Expectation
from features.formats import first_named
from features.table import Column, Table

STOP = "stop"

QUALITY = Table(
    name="quality",
    meaning="One expectation of one table on one night, and what was seen.",
    columns=(
        Column("ds", "date", "the night"),
        Column("table", "string", "of what"),
        Column("name", "string", "of the expectation, as in the configuration"),
        Column("meaning", "string", "of the value, in words"),
        Column("value", "double", "what was seen; null: there was nothing to judge", nullable=True),
        Column("lower", "double", "the least that passes; null: no limit", nullable=True),
        Column("upper", "double", "the most that passes; null: no limit", nullable=True),
        Column("passed", "boolean", "whether it passed; null: there was nothing to judge", nullable=True),
        Column("severity", "string", "where it does not: warn, or stop, and nothing is trained or scored"),
        Column("rows", "bigint", "rows that were looked at", unit="rows"),
    ),
    key=("ds", "table", "name"),
    partition_by=("ds",),
    statistics=("value",),
)


class Seen(NamedTuple):
    """One row of `quality`."""

    ds: date
    table: str
    name: str
    meaning: str
    value: float | None
    lower: float | None
    upper: float | None
    passed: bool | None
    severity: str
    rows: int

    def __str__(self) -> str:
        """`sessions: session_ids_repeated is 3, expected at most 0 (sessions with the id of another)`."""
        limits = (("at least", self.lower), ("at most", self.upper))
        expected = " and ".join(f"{word} {limit:g}" for word, limit in limits if limit is not None)
        return f"{self.table}: {self.name} is {self.value:.4g}, expected {expected} ({self.meaning})"


def seen(ds: date, table: str, name: str, value: float | None, rows: int, wanted: Expectation) -> Seen:
    """What was seen, held against its limits; a limit itself passes.

    value  lower  upper  passed
    0.1    0.1    5      true
    5.1    0.1    5      false
    NaN    0.1    5      false
    null   0.1    5      null
    """
    lower, upper = wanted.lower, wanted.upper
    within = value is not None and (lower is None or value >= lower) and (upper is None or value <= upper)
    passed = None if value is None else within
    return Seen(ds, table, name, wanted.meaning, value, lower, upper, passed, wanted.severity, rows)


def breaches(found: Iterable[Seen]) -> list[Seen]:
    """What did not pass, the worst first: what stops before what warns."""
    return sorted((each for each in found if each.passed is False), key=lambda each: each.severity != STOP)


def observed(table: str, rows: DataFrame, expected: Mapping[str, Expectation]) -> DataFrame:
    """All expectations of one table, in one pass over its rows.

    rows                 expected                     after
    item_id  item_index  least: min(item_index)       table  rows  values
    milk     3           twice: count(*) - count(…)   items  2     [3.0, 0.0]
    bread    4

    Raises `SourceError` with the key of the first whose SQL does not fit the table.
    """
    texts = [(f"quality.expect.{name}.value", wanted.value) for name, wanted in expected.items()]
    with first_named(texts, lambda sql: rows.agg(f.expr(sql).cast("double"))):
        numbers = f.array(*(f.expr(sql).cast("double") for _, sql in texts))
        made = rows.agg(f.count("*").alias("rows"), numbers.alias("values"))
    return made.select(f.lit(table).alias("table"), "rows", "values")

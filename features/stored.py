"""A table as it stands in the lake, held against its declaration."""

from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql.types import StructType

from features.table import Column, Table

FORMAT = 5
"""Of the lake's tables. A release whose tables an earlier one would misread has a higher number."""
FORMATTED = "footfall.format"  # the property of a table that says by which it was made; none: before there were numbers
STATISTICS = "delta.dataSkippingStatsColumns"


@dataclass(frozen=True)
class Stored:
    """What Delta says of a table."""

    schema: StructType
    partition_by: tuple[str, ...]
    properties: dict[str, str]

    @property
    def format(self) -> int:
        return int(self.properties.get(FORMATTED, 0))


def properties_of(table: Table) -> dict[str, str]:
    """Every property that a table is made with."""
    own = {"delta.enableDeletionVectors": "false", "delta.columnMapping.mode": "none", FORMATTED: str(FORMAT)}
    if table.statistics:
        own[STATISTICS] = ",".join(table.statistics)
    encodings = {f"parquet.enable.dictionary#{path}": "false" for path in table.without_dictionary}
    return own | encodings | table.properties


def is_newer(stored: Stored) -> bool:
    return stored.format > FORMAT


def absent(table: Table, stored: Stored) -> list[Column]:
    """The columns that are declared, and not stored."""
    return [column for column in table.columns if column.name not in stored.schema.names]


def unknown(table: Table, stored: Stored) -> list[str]:
    """The columns that are stored, and not declared."""
    return [name for name in stored.schema.names if name not in table.schema.names]


def retyped(table: Table, stored: Stored) -> list[tuple[Column, str]]:
    """The columns that are stored as another type, and as which; nulls are not looked at."""
    return [
        (column, kind)
        for column in table.columns
        if column.name in stored.schema.names
        and (kind := stored.schema[column.name].dataType.simpleString()) != column.data_type.simpleString()
    ]


def unlike_in_nulls(table: Table, stored: Stored) -> list[Column]:
    """The columns that may be null in one of the two, and not in the other."""
    return [
        column
        for column in table.columns
        if column.name in stored.schema.names and stored.schema[column.name].nullable != column.nullable
    ]


def differences(table: Table, stored: Stored) -> Iterator[str]:
    """In what rows as declared cannot be read from the table or written to it, in words; nothing where they can."""
    if is_newer(stored):
        yield f"its {FORMATTED} is {stored.format}, and this release knows those up to {FORMAT}"
    for column in absent(table, stored):
        yield f"it has no {column.name}"
    for name in unknown(table, stored):
        yield f"it has {name}, which nothing reads"
    for column, kind in retyped(table, stored):
        yield f"{column.name} is {kind}, expected {column.data_type.simpleString()}"
    if stored.partition_by != table.partition_by:
        yield f"it is partitioned by {_listed(stored.partition_by)}, expected {_listed(table.partition_by)}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "nothing"

"""What a feature is: declared once with its meaning, its unit, how it is computed, and how a model takes it.

The schema of the tables of features and docs/features.md are made from these declarations.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from features.table import Column, Table

ROW, FEATURES = "row", "features"
SCALES = ("standard", "log", "robust")


class UnknownFeature(ValueError):
    """A name that no feature of the family has; the text names the nearest ones."""


@dataclass(frozen=True)
class Numeric:
    """A model takes the number scaled: less the centre, by the spread, both of the training window.

    `scale`: `standard` by mean and standard deviation; `log` likewise after sign(x)·ln(1 + |x|), for what has a long tail;
    `robust` by median and interquartile range. `fill` stands where there is no value: a number, or the `median` or the
    `max` of the training window; with `indicator`, a second input says that it does.
    """

    scale: str = "standard"
    fill: float | str | None = None
    indicator: bool = False

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {self.scale!r}")
        if isinstance(self.fill, str) and self.fill not in ("median", "max"):
            raise ValueError(f"fill must be a number, median or max, got {self.fill!r}")


@dataclass(frozen=True)
class Categorical:
    """A model takes an index below `size`; 0 stands where there is no value.

    Text is hashed to 1, …, size - 1. A whole number is its own index, plus one: it must lie in [0, size - 2].
    """

    size: int


@dataclass(frozen=True)
class Feature:
    """One feature, a column of its family's table.

    `value` is Spark SQL. `over` names the rows that it sums up; `row`: it is of each row as it is; `features`: of the
    features declared before it. `empty` stands for an entity that has no such rows. `absent` says when there is no value.
    """

    name: str
    type: str
    meaning: str
    value: str
    over: str
    to_model: Numeric | Categorical | None
    unit: str = ""
    empty: float | None = None
    absent: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.to_model, Numeric) and bool(self.absent) != (self.to_model.fill is not None):
            raise ValueError(f"{self.name} must have a fill where it may be absent, and only there")

    @property
    def column(self) -> Column:
        meaning = f"{self.meaning}; null: {self.absent}" if self.absent else self.meaning
        return Column(self.name, self.type, meaning, nullable=bool(self.absent), unit=self.unit)


@dataclass(frozen=True)
class Cross:
    """What several categorical features are together, hashed to 1, …, size - 1; 0 where one of them is missing."""

    name: str
    meaning: str
    of: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Family:
    """The features of one kind of entity, which `key` names; `kept`: in a table, by night."""

    name: str
    meaning: str
    key: tuple[Column, ...]
    features: tuple[Feature, ...]
    crosses: tuple[Cross, ...] = ()
    kept: bool = True

    def __post_init__(self) -> None:
        names = (
            self.entity + [feature.name for feature in self.features] + [cross.name for cross in self.crosses]
        )
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{self.name} declares twice: {', '.join(twice)}")
        for cross in self.crosses:
            for name in cross.of:
                if not isinstance(self.named(name).to_model, Categorical):
                    raise ValueError(f"{self.name}.{cross.name} crosses {name}, which is not categorical")

    @property
    def by_name(self) -> dict[str, Feature]:
        return {feature.name: feature for feature in self.features}

    @property
    def entity(self) -> list[str]:
        return [column.name for column in self.key]

    @property
    def table(self) -> Table:
        """The table of the family: its features as of the end of each night for which they were made."""
        night = Column("ds", "date", "the night: made from what had happened before its end")
        return Table(
            name=self.name,
            meaning=self.meaning,
            columns=(night, *self.key, *(feature.column for feature in self.features)),
            key=("ds", *self.entity),
            partition_by=("ds",),
            statistics=(self.features[0].name,),
        )

    def named(self, name: str) -> Feature:
        self.check([name])
        return self.by_name[name]

    def check(self, names: Iterable[str]) -> None:
        """Refuses names that are of no feature and no cross, and says which come nearest."""
        known = [*self.by_name, *(cross.name for cross in self.crosses)]
        wrong = [name for name in names if name not in known]
        if wrong:
            near = {name: get_close_matches(str(name), known, n=3) for name in wrong}
            said = [
                f"{name!r}" + (f" (near: {', '.join(near[name])})" if near[name] else "") for name in wrong
            ]
            raise UnknownFeature(f"{self.name} has no feature {', '.join(said)}")


def computed(family: Family, frames: Mapping[str, DataFrame]) -> DataFrame:
    """The features of a family, one row an entity, from the rows that its features sum up.

    frames["events"]      frames["orders"]      after
    user  days_ago        user  money           user  recency  spend
    ann   2.0             ann   50000           ann   1.0      5.0
    ann   1.0                                   bob   3.0      0.0       none of his own: what `empty` says
    bob   3.0

    Every entity must have a row in the first of `frames`.
    """
    parts = []
    for over, frame in frames.items():
        wanted = [f.expr(each.value).alias(each.name) for each in family.features if each.over == over]
        parts.append(frame.groupBy(*family.entity).agg(*wanted))
    joined = reduce(lambda left, right: left.join(right, family.entity, "left"), parts)
    empty = {
        each.name: f.coalesce(each.name, f.lit(each.empty))
        for each in family.features
        if each.empty is not None
    }
    return _derived(family, joined.withColumns(empty) if empty else joined)


def of_rows(family: Family, rows: DataFrame) -> DataFrame:
    """The features of a family whose entities are rows already."""
    own = [f.expr(each.value).alias(each.name) for each in family.features if each.over == ROW]
    return _derived(family, rows.select(*family.entity, *own))


def _derived(family: Family, frame: DataFrame) -> DataFrame:
    """Adds the features of features, and gives every one its type."""
    for each in family.features:
        if each.over == FEATURES:
            frame = frame.withColumn(each.name, f.expr(each.value))
    typed = (f.col(each.name).cast(each.column.data_type).alias(each.name) for each in family.features)
    return frame.select(*family.entity, *typed)

"""Features as a model takes them: scaled with the statistics of the training window, indexed, crossed, and never missing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from features.feature import Categorical, Cross, Family, Feature, Numeric

DIGITS = 9  # of a statistic: sums of floating-point numbers differ behind them from run to run
ACCURACY = 100_000  # of quantiles: exact up to so many different values
LIMIT = 10.0  # a scaled value lies within ± so many spreads
MISSING = "_missing"  # behind the name of a feature: 1 where it has no value, else 0


@dataclass(frozen=True)
class Scaling:
    """The statistics of one numeric feature: (scaled value - centre) / spread; `fill` stands for a value that is missing."""

    scale: str
    center: float
    spread: float
    fill: float | None = None


def inputs(family: Family, names: Iterable[str] | None = None) -> list[str]:
    """The features and crosses of a family that a model can take: those named, else all."""
    wanted = [each.name for each in family.features if each.to_model] + [each.name for each in family.crosses]
    if names is None:
        return wanted
    chosen = list(names)
    family.check(chosen)
    if wrong := [name for name in chosen if name not in wanted]:
        raise ValueError(f"{', '.join(wrong)} of {family.name} is for people: a model cannot take it")
    return chosen


def columns_of(family: Family, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """The columns of normalised features: the numbers, flags among them, and the categories."""
    numbers: list[str] = []
    categories = []
    for each in _parts(family, names):
        if isinstance(each, Feature) and isinstance(each.to_model, Numeric):
            numbers += [each.name, each.name + MISSING] if each.to_model.indicator else [each.name]
        else:
            categories.append(each.name)
    return numbers, categories


def fit(frame: DataFrame, family: Family, names: Iterable[str] | None = None) -> dict[str, Scaling]:
    """The statistics of the numeric features among `names`, from the rows of a training window.

    before              after
    recency (log)       scale  center                 spread
    1.0                 log    (ln 2 + ln 4) / 2      (ln 4 - ln 2) / 2
    3.0

    Centre and spread are of the values that are there. A feature that never varies has the spread 1.
    """
    numeric = {
        each.name: each.to_model for each in _features(family, names) if isinstance(each.to_model, Numeric)
    }
    wanted = [
        measure.alias(f"{name}.{of}") for name, how in numeric.items() for of, measure in _measures(name, how)
    ]
    if not wanted:
        return {}
    found = frame.agg(*wanted).first()
    assert found is not None
    measured = found.asDict()
    return {
        name: _scaling(how, {of: measured[f"{name}.{of}"] for of, _ in _measures(name, how)})
        for name, how in numeric.items()
    }


def normalised(
    frame: DataFrame,
    family: Family,
    scalings: Mapping[str, Scaling],
    names: Iterable[str] | None = None,
    beside: Iterable[str] = (),
) -> DataFrame:
    """The entities of `frame` and, not one of them null, the inputs of a model.

    before                                     after (recency: log, center 1, spread 0.5)
    user  recency  order_due  peak_hour        user  recency  order_due  order_due_missing  peak_hour
    ann   e - 1    null       10               ann   0.0      …          1.0                11

    Numbers are floats, within ±10; categories and crosses are whole numbers below their size. `beside` names columns that
    come along as they are.
    """
    columns = []
    for each in _parts(family, names):
        if isinstance(each, Cross):
            columns.append(_crossed(each).alias(each.name))
        elif isinstance(each.to_model, Categorical):
            columns.append(_index(each, each.to_model.size).alias(each.name))
        elif isinstance(each.to_model, Numeric):
            columns.append(_scaled(each.name, scalings[each.name]).alias(each.name))
            if each.to_model.indicator:
                columns.append(f.col(each.name).isNull().cast("float").alias(each.name + MISSING))
    return frame.select(*family.entity, *columns, *beside)


def as_record(scalings: Mapping[str, Scaling]) -> dict[str, dict[str, Any]]:
    """The statistics for a file."""
    return {
        name: {"scale": each.scale, "center": each.center, "spread": each.spread}
        | ({} if each.fill is None else {"fill": each.fill})
        for name, each in scalings.items()
    }


def of_record(record: Mapping[str, Mapping[str, Any]]) -> dict[str, Scaling]:
    """The statistics that `as_record` made a file of."""
    return {name: Scaling(**each) for name, each in record.items()}


def _parts(family: Family, names: Iterable[str] | None) -> list[Feature | Cross]:
    crosses = {cross.name: cross for cross in family.crosses}
    return [crosses[name] if name in crosses else family.by_name[name] for name in inputs(family, names)]


def _features(family: Family, names: Iterable[str] | None) -> list[Feature]:
    return [each for each in _parts(family, names) if isinstance(each, Feature)]


def _measures(name: str, how: Numeric) -> list[tuple[str, Expression]]:
    value = _stretched(f.col(name), how.scale)
    if how.scale == "robust":
        quartiles = f.percentile_approx(value, [0.25, 0.5, 0.75], ACCURACY)
        found = [(part, quartiles[place]) for place, part in enumerate(("low", "center", "high"))]
    else:
        found = [("center", f.avg(value)), ("spread", f.stddev_pop(value))]
    if how.fill == "median":
        found.append(("fill", f.percentile_approx(name, 0.5, ACCURACY)))
    elif how.fill == "max":
        found.append(("fill", f.max(name)))
    return found


def _scaling(how: Numeric, measured: dict[str, float | None]) -> Scaling:
    fill = measured["fill"] if isinstance(how.fill, str) else how.fill
    if how.fill is not None:
        fill = _rounded(fill or 0.0)  # a median of nothing is 0
    center = measured["center"]
    if center is None:  # not one value in the training window
        return Scaling(how.scale, 0.0, 1.0, fill)
    if how.scale == "robust":
        spread = float(measured["high"] or 0) - float(measured["low"] or 0)
    else:
        spread = float(measured["spread"] or 0)
    return Scaling(how.scale, _rounded(center), _rounded(spread) or 1.0, fill)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _stretched(value: Expression, scale: str) -> Expression:
    value = value.cast("double")
    return f.signum(value) * f.log1p(f.abs(value)) if scale == "log" else value


def _scaled(name: str, by: Scaling) -> Expression:
    value = f.col(name) if by.fill is None else f.coalesce(f.col(name).cast("double"), f.lit(by.fill))
    scaled = (_stretched(value, by.scale) - by.center) / by.spread
    return f.greatest(f.least(scaled, f.lit(LIMIT)), f.lit(-LIMIT)).cast("float")


def _index(feature: Feature, size: int) -> Expression:
    value = f.col(feature.name)
    if feature.type == "string":
        return _hashed(value, size)
    return f.when(value.between(0, size - 2), value + 1).otherwise(0).cast("int")


def _crossed(cross: Cross) -> Expression:
    """Nothing where a part is nothing, else the hash of the parts; the separator keeps ("1", "23") from ("12", "3")."""
    together = f.concat(*(part for name in cross.of for part in (f.col(name).cast("string"), f.lit("\x1f"))))
    return _hashed(together, cross.size)


def _hashed(value: Expression, size: int) -> Expression:
    """XXH64 with the seed 42, the same on every machine and night."""
    return f.when(value.isNotNull(), f.pmod(f.xxhash64(value), f.lit(size - 1)) + 1).otherwise(0).cast("int")

"""`features.selected.yaml`: which features a model is given, and the statistics by which they are scaled.

Written by jobs/select_features.py, read by whatever trains or scores on features:

    selected = load_selected("var/demo/features.selected.yaml")
    rows = selected.inputs_of(user_features(history(sessions, as_of, source), items))
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from features.feature import Family, Numeric, UnknownFeature
from features.item_features import ITEM_FEATURES
from features.normalise import MISSING, Scaling, as_record, inputs, normalised
from features.user_features import USER_FEATURES
from features.user_item_features import USER_ITEM_FEATURES

FORMAT = 1
FAMILIES = {family.name: family for family in (USER_FEATURES, ITEM_FEATURES, USER_ITEM_FEATURES)}
KEYS = {
    "format": "number of this format",
    "table": "whose features they are",
    "as_of": "nothing that happened at this moment or later had a say",
    "statistics_as_of": "statistics are of what happened before this moment",
    "features": "names of features and crosses, the most telling first",
    "statistics": "name of a numeric feature -> scale, center, spread, fill",
    "components": "principal components of the numeric features, as weights of the scaled values",
    "tables": "versions of the tables that it was made from",
    "configuration": "the keys that decided it",
}
HEAD = "# Features for a model, chosen by jobs/select_features.py; features/selection.py reads it.\n"


class SelectionError(ValueError):
    """A file that is no selection, or that does not fit what is declared; the text says where and what to do."""


@dataclass(frozen=True)
class Component:
    """A principal component: the sum of scaled values, each by its weight, and the offset."""

    name: str
    explained: float
    offset: float
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Selected:
    """A selection; see KEYS."""

    table: str
    as_of: datetime
    statistics_as_of: datetime
    features: tuple[str, ...]
    statistics: Mapping[str, Scaling]
    components: tuple[Component, ...]
    tables: Mapping[str, int]
    configuration: Mapping[str, Any]

    @property
    def family(self) -> Family:
        return FAMILIES[self.table]

    def inputs_of(self, features: DataFrame) -> DataFrame:
        """The chosen features as a model takes them, from rows of their table or function, whatever night these are of."""
        return normalised(features, self.family, self.statistics, self.features)

    def components_of(self, features: DataFrame) -> DataFrame:
        """The principal components in their place: `pc1`, `pc2`, … as float, of uncorrelated numbers."""
        scaled = normalised(features, self.family, self.statistics, list(self.statistics))
        sums = []
        for each in self.components:
            terms = [f.col(name).cast("double") * weight for name, weight in each.weights.items()]
            sums.append(sum(terms, f.lit(each.offset)).cast("float").alias(each.name))
        return scaled.select(*self.family.entity, *sums)


def write_selected(path: Path, selected: Selected) -> None:
    """Writes the file in one step: a reader sees the old one or the new one."""
    record = {
        "format": FORMAT,
        "table": selected.table,
        "as_of": selected.as_of.isoformat(),
        "statistics_as_of": selected.statistics_as_of.isoformat(),
        "features": list(selected.features),
        "statistics": as_record(selected.statistics),
        "components": [
            {
                "name": each.name,
                "explained": each.explained,
                "offset": each.offset,
                "weights": dict(each.weights),
            }
            for each in selected.components
        ],
        "tables": dict(selected.tables),
        "configuration": dict(selected.configuration),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(HEAD + yaml.safe_dump(record, sort_keys=False, allow_unicode=True, width=120))
    draft.replace(path)


def load_selected(path: str | Path) -> Selected:
    """The selection in a file. Raises `SelectionError` where it is none, or no longer fits the features as declared."""
    file = Path(path)
    if not file.is_file():
        raise SelectionError(
            f"{file} is no file: run jobs/select_features.py, or set selection.path to where it is"
        )
    try:
        record = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise SelectionError(f"{file} is no YAML: {' '.join(str(error).split())}") from None
    try:
        return _selected(record)
    except SelectionError as error:
        raise SelectionError(f"{file}: {error}") from None


def _selected(record: Any) -> Selected:
    if not isinstance(record, dict):
        raise SelectionError(f"expected the keys {', '.join(KEYS)}, got {type(record).__name__}")
    _same_keys(record, KEYS, "")
    if record["format"] != FORMAT:
        raise SelectionError(f"format must be {FORMAT}, got {record['format']!r}: select features anew")
    family = FAMILIES.get(record["table"])
    if family is None:
        raise SelectionError(f"table must be one of {', '.join(FAMILIES)}, got {record['table']!r}")
    statistics = {
        str(name): _scaling(name, each, family) for name, each in _mapping(record, "statistics").items()
    }
    selected = Selected(
        table=family.name,
        as_of=_moment(record, "as_of"),
        statistics_as_of=_moment(record, "statistics_as_of"),
        features=_names(record["features"], family),
        statistics=statistics,
        components=tuple(_component(each, family, statistics) for each in _list(record, "components")),
        tables=_mapping(record, "tables"),
        configuration=_mapping(record, "configuration"),
    )
    for name in selected.features:
        if (
            isinstance(getattr(family.by_name.get(name), "to_model", None), Numeric)
            and name not in statistics
        ):
            raise SelectionError(
                f"features has {name}, of which there are no statistics: select features anew"
            )
    return selected


def _names(given: Any, family: Family) -> tuple[str, ...]:
    if not isinstance(given, list) or not given:
        raise SelectionError(f"features must be a list of names, got {given!r}")
    if twice := sorted({str(name) for name in given if given.count(name) > 1}):
        raise SelectionError(f"features names twice: {', '.join(twice)}")
    return tuple(_known(lambda: inputs(family, given)))


def _scaling(name: Any, given: Any, family: Family) -> Scaling:
    _known(lambda: family.check([name]))
    how = getattr(family.by_name.get(name), "to_model", None)
    if not isinstance(how, Numeric):
        raise SelectionError(f"statistics.{name}: {name} is not numeric")
    if not isinstance(given, dict):
        raise SelectionError(f"statistics.{name} must have scale, center and spread, got {given!r}")
    wanted = ["scale", "center", "spread", *(["fill"] if how.fill is not None else [])]
    _same_keys(given, wanted, f"statistics.{name}.")
    if given["scale"] != how.scale:
        raise SelectionError(
            f"statistics.{name}.scale is {given['scale']!r}, but {name} is declared as {how.scale!r}: select features anew"
        )
    numbers = {key: _number(f"statistics.{name}.{key}", given[key]) for key in wanted if key != "scale"}
    if numbers["spread"] <= 0:
        raise SelectionError(f"statistics.{name}.spread must be > 0, got {numbers['spread']}")
    return Scaling(how.scale, numbers["center"], numbers["spread"], numbers.get("fill"))


def _component(given: Any, family: Family, statistics: Mapping[str, Scaling]) -> Component:
    if not isinstance(given, dict):
        raise SelectionError(f"components must have name, explained, offset and weights, got {given!r}")
    _same_keys(given, ("name", "explained", "offset", "weights"), "components.")
    place = f"components.{given['name']}"
    weights = given["weights"]
    if not isinstance(weights, dict) or not weights:
        raise SelectionError(f"{place}.weights must be names and numbers, got {weights!r}")
    for name in weights:
        if str(name).removesuffix(MISSING) not in statistics:
            near = get_close_matches(str(name), list(statistics), n=3)
            raise SelectionError(
                f"{place}.weights has {name!r}, of which there are no statistics (near: {', '.join(near)})"
            )
    return Component(
        str(given["name"]),
        _number(f"{place}.explained", given["explained"]),
        _number(f"{place}.offset", given["offset"]),
        {name: _number(f"{place}.weights.{name}", weight) for name, weight in weights.items()},
    )


def _known(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except UnknownFeature as error:
        raise SelectionError(str(error)) from None
    except ValueError as error:
        raise SelectionError(f"features: {error}") from None


def _same_keys(given: Mapping[Any, Any], wanted: Any, place: str) -> None:
    for key in wanted:
        if key not in given:
            raise SelectionError(f"{place}{key} is missing")
    for key in given:
        if key not in wanted:
            near = get_close_matches(str(key), list(wanted), n=1)
            raise SelectionError(
                f"there is no key {place}{key}" + (f": did you mean {near[0]}?" if near else "")
            )


def _moment(record: Mapping[str, Any], key: str) -> datetime:
    given = record[key]
    try:
        moment = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    except ValueError:
        raise SelectionError(
            f"{key} must be a moment such as 2017-12-01T00:00:00+00:00, got {given!r}"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(place: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise SelectionError(f"{place} must be a number, got {given!r}")
    return float(given)


def _mapping(record: Mapping[str, Any], key: str) -> dict[Any, Any]:
    if not isinstance(record[key], dict):
        raise SelectionError(f"{key} must be names and values, got {record[key]!r}")
    return record[key]


def _list(record: Mapping[str, Any], key: str) -> list[Any]:
    if not isinstance(record[key], list):
        raise SelectionError(f"{key} must be a list, got {record[key]!r}")
    return record[key]

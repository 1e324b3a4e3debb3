"""`rules`: what a shop wants shown more, less, or not at all, and from when to when; and how a file of them is read.

How they act on scores is the subject of models/shelf.py.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import yaml
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Score
from features.table import Column, Table

BOOST, BLOCK = KINDS = ("boost", "block")

RULES = Table(
    name="rules",
    meaning="One rule of what is shown: of an item, or of all items of a category.",
    columns=(
        Column("rule_id", "string", "its name, given by who made it"),
        Column("kind", "string", "boost: shown more, or less; block: not at all"),
        Column("item_id", "string", "of which item; null: of a category", nullable=True),
        Column("category", "string", "of which category's items; null: of an item", nullable=True),
        Column(
            "factor",
            "double",
            "of a boost: its logarithm is added to the score; above 1 is more",
            nullable=True,
        ),
        Column("starts", "date", "the first night on which it is in force"),
        Column("ends", "date", "the last one; null: none is the last", nullable=True),
        Column("reason", "string", "why, for people"),
    ),
    key=("rule_id",),
    statistics=("starts",),
)
NAMES = tuple(column.name for column in RULES.columns)
DAYS = ("starts", "ends")


class RulesError(ValueError):
    """Rules that mean nothing; the text names each, what was expected and what arrived."""


def parsed(text: str, is_csv: bool) -> list[dict[str, Any]]:
    """The rules in a file's text: CSV with a header, or a YAML list of mappings. Raises `RulesError`.

    - {rule_id: r1, kind: boost, category: tea, factor: 2, starts: 2026-11-02, ends: 2026-11-08, reason: tea week}
    - {rule_id: r2, kind: block, item_id: milk, starts: 2026-11-02, reason: called back}
    """
    try:
        found = list(csv.DictReader(io.StringIO(text))) if is_csv else yaml.safe_load(text) or []
    except yaml.YAMLError as error:
        raise RulesError(f"the file is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise RulesError(
            f"the file holds {type(found).__name__}, expected a list of mappings, each with some of {', '.join(NAMES)}"
        )
    faults = [f"rule {number}: {fault}" for number, each in enumerate(found, 1) for fault in faults_of(each)]
    rules = [{name: value_of(each, name) for name in NAMES} for each in found] if not faults else []
    ids = [rule["rule_id"] for rule in rules]
    faults += [
        f"rule_id {name!r} is there more than once" for name in sorted({i for i in ids if ids.count(i) > 1})
    ]
    if faults:
        raise RulesError("; ".join(faults))
    return rules


def faults_of(rule: Mapping[Any, Any]) -> Iterator[str]:
    """What is wrong with one rule of a file."""
    given = {name: rule[name] for name in rule if rule[name] not in (None, "")}
    for name in given:
        if name not in NAMES:
            yield f"there is no {name!r}, expected {', '.join(NAMES)}"
    for name in ("rule_id", "kind", "starts", "reason"):
        if name not in given:
            yield f"{name} is missing"
    if ("item_id" in given) == ("category" in given):
        yield "expected either item_id or category"
    if given.get("kind", BLOCK) not in KINDS:
        yield f"kind is {given['kind']!r}, expected {' or '.join(KINDS)}"
    if (given.get("kind") == BOOST) != ("factor" in given):
        yield "a boost needs a factor, and nothing else has one"
    values = {}
    for name in ("factor", *DAYS):
        try:
            values[name] = value_of(rule, name)
        except ValueError:
            yield f"{name} is {given[name]!r}, expected {'YYYY-MM-DD' if name in DAYS else 'a number'}"
    factor, starts, ends = (values.get(name) for name in ("factor", *DAYS))
    if factor is not None and not (0 < factor < math.inf):
        yield f"factor is {factor}, expected one above 0: to show none of it is a block"
    if starts and ends and ends < starts:
        yield f"ends is {ends}, expected none before starts, {starts}"


def value_of(rule: Mapping[Any, Any], name: str) -> Any:
    """One value as the table has it; raises `ValueError` where it cannot be that."""
    value = rule.get(name)
    if value is None or value == "":
        return None
    if name == "factor":
        return float(str(value))
    return date.fromisoformat(str(value)) if name in DAYS else str(value)


def shown(items: DataFrame, score: Score, ds: str) -> DataFrame:
    """What a shelf is made of: `item_index`, `item_id`, `category`, and whether each is `out_of_stock` and `embargoed`.

    The configuration's expressions are over a row of `items` and the night `ds`.
    """
    return items.withColumn("ds", f.lit(ds).cast("date")).select(
        "item_index",
        "item_id",
        "category",
        *(
            f.coalesce(f.expr(getattr(score, name)), f.lit(False)).alias(name)
            for name in ("out_of_stock", "embargoed")
        ),
    )


def of_no_item(rules: Sequence[Mapping[str, Any]], items: DataFrame) -> int:
    """How many rules name an item or a category that no item has."""
    named = [(rule["item_id"], rule["category"]) for rule in rules]
    if not named:
        return 0
    asked = items.sparkSession.createDataFrame(named, "item_id string, category string")
    known = {row[0] for row in items.join(asked, "item_id", "left_semi").select("item_id").collect()}
    groups = {
        row[0] for row in items.join(asked, "category", "left_semi").select("category").distinct().collect()
    }
    return sum((item not in known) if item else (category not in groups) for item, category in named)

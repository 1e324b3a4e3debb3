"""Writes docs/tables.md, docs/features.md and docs/configuration.md from where tables, features and keys are declared.

    python -m tools.generate_docs        (`make docs`)

A table is a `Table` in a module of features/, a feature is in a `Family` there; a key is a field in conf/schema.py
with its meaning behind it.
"""

import ast
import io
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any, cast, get_origin, get_type_hints

import omegaconf
import yaml

from conf import schema
from conf.load import ABOVE_ZERO, AT_LEAST, CHOICES, load
from features.behaviour_features import BEHAVIOUR_FEATURES
from features.examples import rows_table, vocabulary_table
from features.feature import Categorical, Family, Feature, Numeric
from features.item_features import ITEM_FEATURES
from features.quality import QUALITY
from features.table import Column, Table
from features.tables import TABLES as LASTING
from features.user_features import USER_FEATURES
from features.user_item_features import USER_ITEM_FEATURES
from features.world.truth import TRUTH
from tools.result_table import markdown

FAMILIES = (USER_FEATURES, ITEM_FEATURES, USER_ITEM_FEATURES, BEHAVIOUR_FEATURES)
ROOT = Path(__file__).resolve().parents[1]
GENERATED = "<!-- Made by `make docs` from {}: change it there. -->"
MADE_BEFORE = LASTING.index(QUALITY)
TABLES = (
    *LASTING[:MADE_BEFORE],
    rows_table("<set_id>"),
    vocabulary_table("<set_id>"),
    *LASTING[MADE_BEFORE:],
)
"""In the order of the chain."""
OF_TABLES = (
    "Delta tables in the folder `lake`, in the order in which the steps make them. Times are UTC. A column may be null only "
    "where it says so; a write that does not match this page is refused."
)
OF_TRUTH = (
    "Parquet files that [jobs/simulate.py](simulator.md) writes below `raw`, beside the logs of a made-up shop: what is "
    "known of it. A column may be null only where it says so."
)


class Undocumented(ValueError):
    """A key without its meaning."""


def main() -> None:
    for path, text in pages().items():
        path.write_text(text)
        print(path.relative_to(ROOT))


def pages() -> dict[Path, str]:
    """The generated pages as they should be."""
    return {
        ROOT / "docs/tables.md": tables_page("Tables", OF_TABLES, "features/*.py", TABLES),
        ROOT / "docs/truth.md": tables_page("Truth", OF_TRUTH, "features/world/truth.py", TRUTH),
        ROOT / "docs/features.md": features_page(FAMILIES),
        ROOT / "docs/configuration.md": configuration_page(),
    }


def tables_page(title: str, about: str, made_from: str, tables: Sequence[Table]) -> str:
    """A chapter a table, a row a column."""
    chapters = [f"# {title}", GENERATED.format(made_from), about]
    for table in tables:
        kept = [f"Key: {_codes(table.key)}"]
        if table.partition_by:
            kept.append(f"partitioned by {_codes(table.partition_by)}")
        rows = [row for column in table.columns for row in column_rows(column)]
        chapters += [f"## {_escaped(table.name)}", table.meaning, "; ".join(kept) + "."]
        chapters.append(markdown_table(("column", "type", "null", "unit", "meaning"), rows))
    return "\n\n".join(chapters) + "\n"


def column_rows(column: Column, prefix: str = "") -> Iterator[tuple[str, ...]]:
    """The row of a column, and those of the fields of its structs."""
    nested = not isinstance(column.type, str)
    kind = "array<struct>" if nested else str(column.type)
    null = "yes" if column.nullable else ""
    yield f"`{prefix}{column.name}`", f"`{kind}`", null, column.unit, column.meaning
    if nested:
        for inner in column.type:
            assert isinstance(inner, Column)
            yield from column_rows(inner, f"{prefix}{column.name}[].")


def features_page(families: Sequence[Family]) -> str:
    """A chapter a family, a row a feature; then its crosses."""
    chapters = [
        "# Features",
        GENERATED.format("features/*_features.py"),
        "What is known of users, of items, of both together and of single events before a moment. Nothing that happens "
        "at that moment or after it changes a value. `jobs/featurize.py` writes the tables as of the end of a night; the "
        "functions that are named as the tables give any other moment. Hours and weekdays are those of "
        "`source.shop_timezone`; `source.view_types`, `cart_types` and `purchase_types` say what is a view, a cart and a "
        "purchase.",
        "*Computed* is Spark SQL over the rows named behind it, which [features/history.py](../features/history.py) makes: "
        "`events`; `orders`, the sessions with a purchase; `visits`, a session and an item; `pairs`, a user and an item; "
        "`tastes`, a user and a category; `catalogue`, what that says of the item. `row` is a row as it is, `features` are "
        "those above.",
        "*A model takes* a number scaled by the statistics of its training window: by mean and standard deviation "
        "(`standard`), likewise after the logarithm of 1 + x (`log`), or by median and quartiles (`robust`). Where there is "
        "no value it takes the fill, and where it says *flag* a second number too, 1 then and 0 otherwise. A category is an "
        "index below the size, 0 for none; text and crosses are hashed to it.",
    ]
    for family in families:
        rows = [feature_row(feature) for feature in family.features]
        kept = (
            "Kept by night, under `ds`." if family.kept else "Kept in no table: made where they are wanted."
        )
        chapters += [f"## {family.name}", f"{family.meaning} Key: {_codes(family.entity)}. {kept}"]
        chapters.append(
            markdown_table(("feature", "type", "unit", "meaning", "null", "a model takes", "computed"), rows)
        )
        if family.crosses:
            crossed = [(f"`{x.name}`", _codes(x.of), f"`{x.size}`", x.meaning) for x in family.crosses]
            chapters.append(markdown_table(("cross", "of", "size", "meaning"), crossed))
    return "\n\n".join(chapters) + "\n"


def feature_row(feature: Feature) -> tuple[str, ...]:
    taken, computed = "", f"`{feature.value}` over `{feature.over}`"
    if isinstance(feature.to_model, Numeric):
        fill = "" if feature.to_model.fill is None else f", fill {feature.to_model.fill}"
        taken = f"{feature.to_model.scale}{fill}{', flag' if feature.to_model.indicator else ''}"
    elif isinstance(feature.to_model, Categorical):
        taken = f"category, size {feature.to_model.size}"
    if feature.empty is not None:
        computed += f", {feature.empty:g} without any"
    return (
        f"`{feature.name}`",
        f"`{feature.type}`",
        feature.unit,
        feature.meaning,
        feature.absent,
        taken,
        computed,
    )


def configuration_page() -> str:
    """A chapter a group, a row a key, and what its YAML files set."""
    groups = [item.name for item in fields(schema.Config) if is_dataclass(_hints(schema.Config)[item.name])]
    chapters = [
        "# Configuration",
        GENERATED.format("conf/schema.py and conf/*/*.yaml"),
        "A job's command takes `key=value`, any number of them: `ds=2026-11-02`, `features.session_gap_minutes=20`. A "
        "group takes the name of one of its files: `source=plain`, `model=gru`. The defaults stand in "
        "[conf/config.yaml](../conf/config.yaml). An unknown key, a value of another type or out of range stops the job "
        "before Spark starts, with the key's name and what was expected.",
        "## Of every job",
        keys_table(schema.Config, ""),
    ]
    for group in groups:
        kind = _hints(schema.Config)[group]
        chapters += [f"## {group}", " ".join((kind.__doc__ or "").split()), keys_table(kind, f"{group}.")]
        if (ROOT / "conf" / group).exists():
            chapters.append(choices_table(group))
    return "\n\n".join(chapters) + "\n"


def keys_table(kind: type, prefix: str) -> str:
    return markdown_table(("key", "type", "default", "meaning"), list(key_rows(kind, prefix)))


def key_rows(kind: type, prefix: str) -> Iterator[tuple[str, ...]]:
    """A row for each key of `kind`; the keys of a record inside it come with it, those of a group do not."""
    meanings: dict[str, str] = {}
    for part in kind.__mro__[-2::-1]:  # the fields of the class that it extends, then its own
        meanings |= comments_of(part.__name__)
    for item in fields(kind):
        key, hint = prefix + item.name, _hints(kind)[item.name]
        if is_dataclass(hint):
            if kind is not schema.Config:  # whose own are groups, a chapter each
                yield from key_rows(cast(type, hint), f"{key}.")
            continue
        inner = [part for part in getattr(hint, "__args__", ()) if is_dataclass(part)]
        if inner:
            named = f"{key}.NAME." if get_origin(hint) is dict else f"{key}."
            yield from key_rows(cast(type, inner[0]), named)
            continue
        if item.name not in meanings:
            raise Undocumented(f"{key} has no meaning: write one behind it in conf/schema.py")
        yield f"`{key}`", f"`{_type(hint)}`", default_of(key, item), _with_limits(key, meanings[item.name])


def default_of(key: str, item: "Field[Any]") -> str:
    """The field's own default, else what conf/config.yaml comes to; a log format's keys have none."""
    value = item.default if item.default_factory is NO_DEFAULT else item.default_factory()
    if value == omegaconf.MISSING:
        if key.startswith(("source.", "task.label.")) or ".NAME." in key:
            return "must be given"
        value = load([])
        for name in key.split("."):
            value = getattr(value, name)
    return "none" if value is None else f"`{_as_yaml(value)}`" if value != "" else ""


def _with_limits(key: str, meaning: str) -> str:
    """The meaning, and what `conf.load` allows, where the meaning does not say it."""
    if key in ABOVE_ZERO:
        return f"{meaning} (above 0)"
    if key in AT_LEAST:
        return f"{meaning} (at least {AT_LEAST[key]})"
    choices = CHOICES.get(key, ())
    if len(choices) > 1 and not all(choice in meaning for choice in choices):
        return f"{meaning} (one of {_codes(choices)})"
    return meaning


def choices_table(group: str) -> str:
    """The files of a group, what each is for and, of short ones, what it sets."""
    rows = []
    for path in sorted((ROOT / "conf" / group).glob("*.yaml")):
        lines = path.read_text().splitlines()
        about = " ".join(line.lstrip("# ") for line in _while_comment(lines))
        link = f"[`{group}={path.stem}`](../conf/{group}/{path.name})"
        sets = "its mapping" if group == "source" else _settings(yaml.safe_load(path.read_text()) or {})
        rows.append((link, about, sets))
    return markdown_table(("choice", "what it is", "sets"), rows)


def comments_of(name: str) -> dict[str, str]:
    """Field -> the comment behind it, of one class in conf/schema.py."""
    source = Path(schema.__file__).read_text()
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {
        token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT
    }
    classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    return {
        node.target.id: comments[node.end_lineno]
        for node in classes[name].body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.end_lineno in comments
    }


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown([head, ["---"] * len(head), *([_escaped(cell) for cell in row] for row in rows)])


def _settings(given: Mapping[str, Any]) -> str:
    flat = [f"`{key}: {_as_yaml(value)}`" for key, value in given.items() if not isinstance(value, Mapping)]
    nested = [f"`{key}: …`" for key, value in given.items() if isinstance(value, Mapping)]
    return ", ".join(flat + nested)


def _while_comment(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("#"):
            return
        yield line


def _as_yaml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _type(hint: Any) -> str:
    return hint.__name__ if hint in (str, int, float, bool) else str(hint).replace("typing.", "")


def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _escaped(text: str) -> str:
    """Text for a cell or a heading; in code, which renders as it stands, only the cell's own sign is escaped."""
    parts = text.replace("|", "\\|").split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


if __name__ == "__main__":
    main()

"""`features.selected.yaml`: what is written is what is read, and what does not fit is refused by its place."""

from datetime import UTC, datetime

import pytest
import yaml

from features.normalise import Scaling
from features.selection import Component, Selected, SelectionError, load_selected, write_selected
from features.user_features import USER_FEATURES

SELECTED = Selected(
    table="user_features",
    as_of=datetime(2026, 11, 1, tzinfo=UTC),
    statistics_as_of=datetime(2026, 9, 6, tzinfo=UTC),
    features=("recency", "order_recency", "peak_hour", "favourite_at_price"),
    statistics={
        "recency": Scaling("log", 1.0, 0.5),
        "order_recency": Scaling("log", 2.0, 0.25, fill=60.0),
        "price_median": Scaling("robust", 3.0, 2.0, fill=3.0),
    },
    components=(Component("pc1", 0.75, -1.0, {"recency": 2.0, "price_median": 0.5}),),
    tables={"sessions": 4, "items": 2},
    configuration={"ds": "2026-11-28", "source.name": "plain", "selection.candidates": []},
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "deep" / "features.selected.yaml"
    write_selected(path, SELECTED)
    return path


def changed(file, change) -> str:
    """What is said of the file after a change of its record."""
    record = yaml.safe_load(file.read_text())
    change(record)
    file.write_text(yaml.safe_dump(record))
    with pytest.raises(SelectionError) as refused:
        load_selected(file)
    return str(refused.value)


def test_what_was_written_is_read(file):
    assert load_selected(file) == SELECTED
    assert [path.name for path in file.parent.iterdir()] == ["features.selected.yaml"], "no draft is left"
    assert list(yaml.safe_load(file.read_text()))[:3] == ["format", "table", "as_of"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r["features"].append("order_recensy"),
         "user_features has no feature 'order_recensy' (near: order_recency, "),
        (lambda r: r["features"].append("recency"), "features names twice: recency"),
        (lambda r: r["features"].append("category_affinities"), "category_affinities of user_features is for people"),
        (lambda r: r["features"].append("spend"), "features has spend, of which there are no statistics"),
        (lambda r: r.update(features="recency"), "features must be a list of names, got 'recency'"),
        (lambda r: r.update(format=2), "format must be 1, got 2: select features anew"),
        (lambda r: r.update(table="user_feature"), "table must be one of user_features, item_features, user_item_features"),
        (lambda r: r.update(as_of="yesterday"), "as_of must be a moment such as 2017-12-01T00:00:00+00:00, got 'yesterday'"),
        (lambda r: r.pop("tables"), "tables is missing"),
        (lambda r: r.update(feature=["recency"]), "there is no key feature: did you mean features?"),
        (lambda r: r["statistics"].update(recensy=r["statistics"]["recency"]), "user_features has no feature 'recensy'"),
        (lambda r: r["statistics"].update(peak_hour=r["statistics"]["recency"]),
         "statistics.peak_hour: peak_hour is not numeric"),
        (lambda r: r["statistics"]["recency"].update(scale="robust"),
         "statistics.recency.scale is 'robust', but recency is declared as 'log': select features anew"),
        (lambda r: r["statistics"]["recency"].update(spread=0), "statistics.recency.spread must be > 0, got 0.0"),
        (lambda r: r["statistics"]["recency"].update(center="one"), "statistics.recency.center must be a number, got 'one'"),
        (lambda r: r["statistics"]["recency"].update(center=float("nan")),
         "statistics.recency.center must be a number, got nan"),
        (lambda r: r["statistics"]["order_recency"].pop("fill"), "statistics.order_recency.fill is missing"),
        (lambda r: r["components"][0]["weights"].update(recensy=1.0),
         "components.pc1.weights has 'recensy', of which there are no statistics (near: recency"),
        (lambda r: r["components"][0].pop("offset"), "components.offset is missing"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_its_place(file, change, words):
    said = changed(file, change)
    assert said.startswith(f"{file}: ")
    assert words in said


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(
        SelectionError, match=r"none\.yaml is no file: run jobs/select_features.py, or set selection.path"
    ):
        load_selected(tmp_path / "none.yaml")
    (tmp_path / "text.yaml").write_text("- a\n")
    with pytest.raises(SelectionError, match=r"expected the keys format, table, .* got list"):
        load_selected(tmp_path / "text.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(SelectionError, match=r"broken\.yaml is no YAML"):
        load_selected(tmp_path / "broken.yaml")


def test_a_model_gets_what_was_chosen_and_components_get_what_they_weigh(spark):
    """log1p(e - 1) is 1: no spread from the centre; and 4 is half a spread above 3."""
    columns = ", ".join(
        f"cast(null as {feature.type}) as {feature.name}" for feature in USER_FEATURES.features
    )
    row = spark.sql(f"select 'ann' as user_id, {columns}").selectExpr(
        "user_id", "e() - 1 as recency", "order_recency", "4D as price_median", "10 as peak_hour",
        "'tea' as favourite_category", "price_bucket",
    )  # fmt: skip
    (given,) = SELECTED.inputs_of(row).collect()
    assert given.asDict() == {
        "user_id": "ann",
        "recency": pytest.approx(0.0, abs=1e-6),
        "order_recency": pytest.approx(8.44, abs=0.01),
        "order_recency_missing": 1.0,
        "peak_hour": 11,
        "favourite_at_price": 0,
    }
    (reduced,) = SELECTED.components_of(row).collect()
    assert reduced.asDict() == {"user_id": "ann", "pc1": pytest.approx(-0.75)}

"""From a lake to what others read: scores by rules and exclusions, similar items, and a night that is published."""

import hashlib
import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import duckdb
import numpy as np
import psycopg
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as f

from conf.schema import Model, Task
from features.items import ITEMS
from features.lake import Lake
from features.predictions import PREDICTIONS
from features.rules import RULES
from features.sequences import SEQUENCES
from features.similar_items import SIMILAR_ITEMS
from jobs.job import InputError
from jobs.publish import night_of, publish
from jobs.published_database import TARGETS, into_database, view_of
from jobs.rules import rules
from jobs.score import score, shelf_as_of
from jobs.similar_items import similar_items
from models.export import export
from models.histories import BROKEN, NO_HISTORY
from models.next_item import NextItemModel
from models.registry import CHAMPION, connect
from models.scoring import best_items, load, on_shelf
from tests.jobs.nights import night, shop
from tests.postgresql import PASSWORD, postgresql  # noqa: F401
from tests.shop import line, rows_of, write_log

pytestmark = pytest.mark.long  # a night, its scores and both ways to publish them, in one fixture of minutes

DS = "2026-11-02"
CATEGORIES = {
    "milk": "dairy",
    "cheese": "dairy",
    "brie": "dairy",
    "jam": "sweet",
    "tea": "drink",
    "gin": "drink",
}
BOUGHT = {
    "ann": ["milk", "jam"],
    "bob": ["tea", "milk"],
    "dan": ["cheese"],
    "eve": ["brie"],
    "fay": ["gin", "tea"],
}
NEW = "brie"  # unknown to the model
PAGE = Path("docs/predictions.md")
RULES_OF_NIGHT = """
- {rule_id: more cheese, kind: boost, item_id: cheese, factor: 1000000, starts: 2026-11-01, reason: a test}
- {rule_id: no tea, kind: block, item_id: tea, starts: 2026-11-02, ends: 2026-11-02, reason: a test}
- {rule_id: no sweets later, kind: block, category: sweet, starts: 2026-11-03, reason: a test}
"""


def write_shop(raw: Path) -> None:
    """A night of five users who buy, and of cleo, who only looks; gin is out of stock."""
    (raw / "items").mkdir(parents=True)
    catalogue = [
        {"item_id": item, "category": category, "attributes": {"stock": "0" if item == "gin" else "5"}}
        for item, category in CATEGORIES.items()
    ]
    (raw / "items" / "catalogue.json").write_text("".join(json.dumps(each) + "\n" for each in catalogue))
    bought = [
        line(user, f"{DS}T1{place}:00:00Z", f"{user}-{item}", item_id=item)
        for user, items in BOUGHT.items()
        for place, item in enumerate(items)
    ]
    write_log(raw, DS, *bought, line("cleo", f"{DS}T10:00:00Z", "look", "view", item_id="milk"))


def register_champion(conf, lake, folder):
    """An untrained encoder that knows all items but the new one."""
    known = lake.read(ITEMS).where(f.col("item_id") != NEW).orderBy("item_index").toPandas()
    size = int(lake.read(ITEMS).agg(f.max("item_index")).first()[0]) + 1
    counts = np.zeros(size, np.int64)
    counts[known["item_index"]] = 5
    made = NextItemModel(
        Model(name="sasrec", width=8), Task(event_types=["purchase"], length=16, positions=4), counts, 3
    )
    export(made, known, folder / "model", k=3)
    registry = connect(conf.registry, conf.artifacts)
    with registry.run("sasrec") as run:
        tags = {"model": "sasrec", "kind": "encoder", "set_id": "typed in", "configuration": "none"}
        registry.set_alias(registry.register(run, "next_item", folder / "model", tags), CHAMPION)
    return str(folder / "model"), registry


@pytest.fixture(scope="module")
def shopped(spark, tmp_path_factory, postgresql):  # noqa: F811
    """A night, its champion, its rules, dan's broken row, and all that is made of them."""
    folder = tmp_path_factory.mktemp("shopped")
    dsn_file = folder / "dsn"
    dsn_file.write_text(postgresql + "\n")
    conf = shop(
        folder,
        DS,
        "score.exclude=[bought,out_of_stock]",
        "score.out_of_stock=attributes['stock'] = '0'",
        f"publish.folder={folder / 'published'}",
        f"publish.dsn_file={dsn_file}",
        "task.k=4",
    )
    lake = Lake(spark, conf.lake)
    write_shop(folder / "raw")
    night(spark, conf)
    path, registry = register_champion(conf, lake, folder)
    (folder / "rules.yaml").write_text(RULES_OF_NIGHT)
    ruled = rules(replace(conf, rules=str(folder / "rules.yaml")), lake)
    lake.update(SEQUENCES, "user_id = 'dan'", {"sessions": "array(1, 2, 3)"}, lake.facts(SEQUENCES))
    said = score(conf, lake)
    columns = ("entity", "ids", "scores", "reason")
    rows = {row[0]: row[1:] for row in rows_of(lake.read(PREDICTIONS), *columns)}
    similar = similar_items(conf, lake)
    told = explain(conf, lake)
    published = publish(conf, lake)
    return SimpleNamespace(**locals())


def explain(conf, lake):
    """The night again, with where three users' predictions came from: what is said, and by user."""
    of_three = replace(conf, explain=True, explained=replace(conf.explained, users=3, events=1))
    said = score(of_three, lake)
    rows = {row.entity: row for row in lake.read(PREDICTIONS).collect()}
    score(conf, lake)
    return said, rows


def test_a_night_says_of_some_users_where_their_predictions_came_from(shopped):
    """Of the first three by a hash who have a history: dan's row is broken, and cleo has none."""
    said, rows = shopped.told
    explained = {user: row.explained for user, row in rows.items() if row.explained is not None}
    assert said["explained"] == len(explained) == 3
    assert said["explained_gap"] < 0.01
    for user, events in explained.items():
        bought = BOUGHT[user]
        assert [each.item_id for each in events] == bought, "oldest first, with what is newer than the model"
        assert all(each.attribution is not None for each in events)
        assert [each.change is not None for each in events] == [False] * (len(bought) - 1) + [True]
        assert 0 < events[-1].age < 1
        assert rows[user].ids == shopped.rows[user][0], "predictions are the same"
    assert all(row.explained is None for row in shopped.lake.read(PREDICTIONS).collect()), "not asked for"


def test_every_user_gets_a_row_and_what_became_of_them_is_counted(shopped):
    expected = {"users": 6, "predictions": 5, "without_history": 1, "without_prediction": 1}
    assert shopped.said | expected == shopped.said
    assert shopped.said["champion"].startswith("sasrec v")
    assert sorted(shopped.rows) == ["ann", "bob", "cleo", "dan", "eve", "fay"]


def test_a_broken_row_costs_that_user_only_and_says_why(shopped):
    assert shopped.rows["dan"] == (None, None, BROKEN)


def test_who_has_no_history_gets_what_is_best_for_everyone(shopped):
    ids, _, reason = shopped.rows["cleo"]
    assert reason == NO_HISTORY
    assert ids == ["cheese", *sorted(ids[1:], key=["milk", "jam"].index)] and len(ids) == 3


def test_bought_blocked_and_out_of_stock_items_are_not_shown_and_a_boost_comes_first(shopped):
    for user, items in BOUGHT.items():
        if user != "dan":
            ids, scores, reason = shopped.rows[user]
            assert set(ids) == {"milk", "cheese", "jam"} - set(items), (
                "tea is blocked, gin out of stock, brie new"
            )
            assert ids[0] == "cheese" and scores == sorted(scores, reverse=True) and reason is None


def test_an_item_newer_than_the_model_is_read_as_its_category(shopped):
    """eve bought brie alone: her scores are those of an item of dairy, not of an unknown one."""
    model = load(shopped.path)
    shelf, versions = shelf_as_of(shopped.conf, shopped.lake)
    assert versions == {"items_version": shopped.lake.version(ITEMS), "rules_version": 1}

    def scores(item):
        inputs = {"items": np.int32([[item]]), "sessions": np.int32([[1]]), "ages": np.float32([[0.5]])}
        return best_items(on_shelf(model, shelf), inputs, 3)[1][0].tolist()

    (brie,) = (row.item_index for row in shopped.lake.read(ITEMS).where(f"item_id = '{NEW}'").collect())
    assert model.categories.keys() == {"dairy", "drink", "sweet"}
    np.testing.assert_allclose(shopped.rows["eve"][1], scores(brie), atol=1e-5)
    assert not np.allclose(shopped.rows["eve"][1], scores(1), atol=1e-5)


def test_the_rules_are_those_of_the_file_and_the_commit_says_by_which_it_was_scored(shopped):
    counts = {"rules": 3, "boosts": 1, "blocks": 2, "of_no_item": 0, "version": 1}
    assert shopped.ruled == counts
    assert {row.rule_id for row in shopped.lake.read(RULES).collect()} == {
        "more cheese",
        "no tea",
        "no sweets later",
    }
    facts = shopped.lake.facts(PREDICTIONS)
    assert facts["rules_version"] == 1 and facts["exclude"] == ["bought", "out_of_stock"]


def test_an_expression_that_is_none_is_refused_by_name(shopped):
    bad = replace(shopped.conf, score=replace(shopped.conf.score, out_of_stock="no_such_column > 1"))
    with pytest.raises(
        InputError, match=r"score\.out_of_stock and score\.embargoed must be boolean Spark SQL"
    ):
        score(bad, shopped.lake)


def test_similar_items_are_those_of_the_largest_cosine(shopped):
    model = load(shopped.path)
    unit = model.vectors / np.maximum(np.linalg.norm(model.vectors, axis=1, keepdims=True), 1e-9)
    of = {str(model.ids[i]): unit[i] for i in np.flatnonzero(model.ids != "")}
    found = {row.item_id: row for row in shopped.lake.read(SIMILAR_ITEMS).collect()}
    assert found.keys() == of.keys() == set(CATEGORIES) - {NEW}
    assert shopped.similar["items"] == 5
    for item, row in found.items():
        others = sorted(of.keys() - {item}, key=lambda other: -float(of[item] @ of[other]))
        assert row.neighbours == others
        np.testing.assert_allclose(row.cosine, [of[item] @ of[other] for other in others], atol=1e-5)


def test_a_published_folder_says_what_it_holds_and_its_users_are_found_by_statistics(shopped):
    folder = Path(shopped.conf.publish.folder)
    current = json.loads((folder / "current.json").read_text())
    assert current == {"ds": DS, "task": "next_item", "manifest": f"{DS}/manifest.json"}
    manifest = json.loads((folder / current["manifest"]).read_text())
    assert manifest["counts"] == {"predictions": 6, "sequences": 6, "rules": 3, "items": 6}
    assert manifest["model"]["name"] == "sasrec" and manifest["scored"]["rules_version"] == 1
    for path, file in manifest["files"].items():
        content = (folder / DS / path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    sequences = pq.read_table(folder / DS / "sequences")
    assert sequences["user_id"].to_pylist() == sorted(shopped.rows)
    predictions = pq.read_table(folder / DS / "predictions").to_pylist()
    assert {row["entity"]: row["ids"] for row in predictions} == {
        user: row[0] for user, row in shopped.rows.items()
    }
    group = pq.ParquetFile(folder / DS / "sequences" / "part-00000.parquet").metadata.row_group(0)
    assert group.column(0).statistics.min == "ann" and group.column(0).statistics.max == "fay"


def current_of(dsn, what="predictions", columns="entity, ids"):
    with psycopg.connect(dsn) as connection:
        found = connection.execute(f"select {columns} from footfall_current_{what}").fetchall()
    return sorted((tuple(row) for row in found), key=lambda row: [str(each) for each in row[:2]])


def test_a_published_database_shows_the_current_night(shopped):
    assert current_of(shopped.postgresql) == [(user, row[0]) for user, row in sorted(shopped.rows.items())]
    assert [row[0] for row in current_of(shopped.postgresql, "sequences", "user_id")] == sorted(shopped.rows)
    assert current_of(shopped.postgresql, "rules", "rule_id, factor, ends")[0] == ("more cheese", 1e6, None)
    assert shopped.published["database"] == "6 predictions, 6 sequences, 3 rules"


def test_a_database_of_a_release_that_knew_fewer_columns_gets_them_and_keeps_its_rows(shopped):
    """As if this release had never published there: the columns are gone, with the view that shows them."""
    of, dsn = night_of(shopped.conf, shopped.lake, shopped.registry), shopped.postgresql
    before = current_of(dsn, "sequences", "user_id, channels")
    with psycopg.connect(dsn) as connection:
        connection.execute("drop view footfall_current_sequences")
        connection.execute("alter table footfall_sequences drop column channels")
        connection.execute(view_of(next(target for target in TARGETS if target.name == "sequences")))
        connection.execute("update footfall_current set facts = '{}'")
    into_database(of, dsn, keep=2)
    assert current_of(dsn, "sequences", "user_id, channels") == before


def test_what_was_published_is_not_published_again_and_what_changed_is(shopped):
    conf, lake = shopped.conf, shopped.lake
    again = publish(conf, lake)
    assert (again["folder"], again["database"]) == ("published already", "published already")
    folder = Path(conf.publish.folder)
    (damaged,) = (folder / DS / "predictions").glob("*.parquet")
    damaged.write_bytes(b"")
    assert publish(conf, lake)["folder"] == "4 files"
    assert pq.read_table(folder / DS / "predictions").num_rows == 6
    assert len([path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]) == 2


def test_tasks_have_nights_of_their_own_later_nights_win_and_a_night_that_fails_changes_nothing(shopped):
    """Another task, a later day without fay, an earlier day, and one whose rows are too few."""
    dsn = shopped.postgresql
    of = night_of(shopped.conf, shopped.lake, shopped.registry)
    here = [(user, row[0]) for user, row in sorted(shopped.rows.items())]

    def on(day, task="next_item", without="nobody", users=None):
        rows = (
            of.rows["predictions"]
            .where(f"entity != '{without}'")
            .withColumn("ds", f.lit(day))
            .withColumn("task", f.lit(task))
        )
        said = of.said | {"users": users or rows.count()}
        return replace(of, ds=day, task=task, rows={**of.rows, "predictions": rows}, said=said)

    def current():
        return current_of(dsn, columns="task, entity, ids")

    into_database(on(date(2026, 11, 1), "other", "ann"), dsn, keep=2)
    assert current() == [("next_item", *row) for row in here] + [("other", *row) for row in here[1:]]
    with pytest.raises(AssertionError, match="6 predictions were copied, of 7 users"):
        into_database(on(date(2026, 11, 3), users=7), dsn, keep=2)
    assert [row for row in current() if row[0] == "next_item"] == [("next_item", *row) for row in here]
    into_database(on(date(2026, 11, 3), without="fay"), dsn, keep=2)
    into_database(on(date(2026, 10, 30)), dsn, keep=2)
    assert [row[1:] for row in current() if row[0] == "next_item"] == here[:-1]
    with psycopg.connect(dsn) as connection:
        days = connection.execute("select distinct ds from footfall_predictions order by 1").fetchall()
        tables = connection.execute(
            "select tablename from pg_tables where tablename like 'footfall_%'"
        ).fetchall()
    assert [str(day) for (day,) in days] == ["2026-11-01", "2026-11-02", "2026-11-03"]
    assert len(tables) == 4, "what the one that failed left beside is gone with its second run"


@pytest.mark.parametrize(
    "dsn", ["{}", "host=/nowhere password={}", "postgresql://footfall:{}@/nowhere?host=/nowhere"]
)
def test_a_password_is_in_no_message(shopped, tmp_path, capfd, dsn):
    (tmp_path / "dsn").write_text(dsn.format(PASSWORD))
    settings = replace(shopped.conf.publish, folder="", dsn_file=str(tmp_path / "dsn"))
    with pytest.raises(InputError) as refused:
        publish(replace(shopped.conf, publish=settings), shopped.lake)
    assert PASSWORD not in str(refused.value) + "".join(capfd.readouterr())


def test_there_must_be_somewhere_to_publish_to_and_something_to_publish(shopped):
    nowhere = replace(shopped.conf.publish, folder="", dsn_file="")
    with pytest.raises(InputError, match=r"nowhere to publish to: set publish\.folder"):
        publish(replace(shopped.conf, publish=nowhere), shopped.lake)
    with pytest.raises(InputError, match=r"no predictions of next_item on 2026-10-01 .*: run jobs/score\.py"):
        publish(replace(shopped.conf, ds="2026-10-01"), shopped.lake)


def blocks(language):
    """The pieces of a language on the page, with this lake's place for the page's."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_others_read_predictions_without_our_code_as_the_page_shows(shopped, spark):
    """Each piece of Python on the page leaves `best`, rows of entity and its first item; Spark SQL gives the same."""
    expected = sorted((user, row[0][0]) for user, row in shopped.rows.items() if row[0])
    pieces = [text.replace("var/shop/lake", shopped.conf.lake) for text in blocks("python")]
    assert ["duckdb" in text for text in pieces] == [True, False], "DuckDB and delta-rs"
    for text in pieces:
        names = {}
        exec(text, names)
        assert sorted(tuple(row) for row in names["best"]) == expected, text
    (query,) = blocks("sql")
    query = query.replace("var/shop/lake", shopped.conf.lake)
    assert sorted(tuple(row) for row in spark.sql(query).collect()) == expected
    assert duckdb.__version__

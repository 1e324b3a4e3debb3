"""From an example set to predictions: who becomes champion, and what a night's scores are."""

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
from pyspark.errors import PythonException
from pyspark.sql import functions as f

from conf.schema import Config
from features.examples import rows_table, set_id_of, vocabulary_table
from features.lake import Lake
from features.predictions import PREDICTIONS
from features.promotions import PROMOTIONS, newest
from features.sequences import SEQUENCES
from jobs.examples import examples
from jobs.job import InputError
from jobs.judging import by_index, judge, vocabulary
from jobs.promote import promote
from jobs.rerank import rerank
from jobs.score import ranked, score
from jobs.train import train
from models.example_set import open_example_set
from models.registry import CHALLENGER, CHAMPION, connect
from tests.jobs.nights import night, shop, versions
from tests.shop import at, line, rows_of, write_log

FRIDAY, SATURDAY = "2026-11-13", "2026-11-14"
SETTINGS = ["promote.holdout_days=2", "task.validation_days=3", "promote.resamples=200", "task.length=32"]
USERS = 6
HALVES = "select user_id, if(user_id < 'user 3', 'first', 'second') as user_group from users"
ANSWERS = ("entity", "ids", "scores", "reason", "model", "model_version")


def bought(user: str, day: int, clock: str, item: str) -> dict:
    return line(user, f"2026-11-{day:02}T{clock}Z", f"{user}-{day}-{clock}-{item}", item_id=item)


def taste(user: int, day: int) -> list[str]:
    """A user's items of a day: milk on some; tea of an own kind for five days, then coffee of an own kind."""
    own = f"tea {user}" if day <= 5 else f"coffee {user}"
    return [own, "milk"] if (user + day) % 3 == 0 else [own]


def of_day(day: int) -> list[dict]:
    return [
        bought(f"user {user}", day, f"10:00:0{user}", item)
        for user in range(USERS)
        for item in taste(user, day)
    ]


@pytest.fixture(scope="module")
def season(spark, tmp_path_factory):
    """Two weeks of six users: a first load on Friday, three baselines, the first champion, and Saturday's night."""
    folder = tmp_path_factory.mktemp("season")
    friday, saturday = shop(folder, FRIDAY, *SETTINGS), shop(folder, SATURDAY, *SETTINGS)
    lake = Lake(spark, friday.lake)
    ahead = bought("user 0", 14, "00:20:00", "tea 1")  # a clock that runs ahead: after Friday's end
    write_log(folder / "raw", FRIDAY, *(event for day in range(1, 14) for event in of_day(day)), ahead)
    night(spark, friday)
    without = SimpleNamespace(said=score(friday, lake), version=lake.version(PREDICTIONS))
    set_said = examples(friday, lake)
    with pytest.raises(InputError) as untrained:
        promote(friday, lake)
    for name, half_life in (("popularity", None), ("frequency", None), ("frequency_decay", 1.0)):
        train(of_model(friday, name, half_life))
    promoted = promote(friday, lake)
    scored = score(friday, lake)
    by_table = rows_of(lake.read(PREDICTIONS), *ANSWERS, "sequences_version")
    sequences_version = lake.version(SEQUENCES)
    write_log(folder / "raw", SATURDAY, *of_day(14), bought("newcomer", 14, "12:00:00", "milk"))
    night(spark, saturday)
    return SimpleNamespace(**locals())


def of_model(conf: Config, name: str, half_life: float | None) -> Config:
    return replace(conf, model=replace(conf.model, name=name, half_life_days=half_life))


def test_without_a_champion_nothing_is_scored_and_that_is_said(season):
    assert "next_item has no champion yet: train a model, then run promote" in season.without.said["note"]
    assert season.without.said["predictions"] == 0
    assert season.without.version is None


def test_an_example_set_is_cut_at_its_two_moments_and_can_be_read_by_training(season):
    conf, lake = season.friday, season.lake
    assert season.set_said | {"validation": USERS} == season.set_said
    opened = open_example_set(f"{conf.lake}/examples/{set_id_of(conf)}")
    assert opened.spec["validation_from"] == "2026-11-09T00:00:00+00:00"
    assert opened.spec["as_of"] == "2026-11-12T00:00:00+00:00"
    assert opened.spec["tables"] == {"sessions": 1, "items": 1}
    assert sum(file.rows for file in opened.files("train")) == season.set_said["train"] == USERS
    assert opened.vocabulary["category"].null_count == len(opened.vocabulary), "there is no catalogue"
    words = {
        row.item_id: (row.sessions, row.validation_sessions)
        for row in lake.read(vocabulary_table(set_id_of(conf))).collect()
    }
    assert words["tea 0"] == (5, 5)
    assert words["coffee 0"] == (6, 3)
    assert words["milk"] == (22, 16)
    assert len(words) == opened.vocabulary_size - 3 == 1 + 2 * USERS


def test_an_example_set_that_is_there_is_left_as_it_is(season):
    tables = [table(set_id_of(season.friday)) for table in (rows_table, vocabulary_table)]
    before = versions(season.lake, *tables)
    again = examples(season.friday, season.lake)
    assert again["note"] == "it is there already"
    assert {name: again[name] for name in ("set_id", "train", "validation")} == {
        name: season.set_said[name] for name in ("set_id", "train", "validation")
    }
    assert versions(season.lake, *tables) == before


def test_an_example_set_that_was_stopped_before_its_rows_is_made_as_it_then_is(season):
    conf = replace(season.friday, task=replace(season.friday.task, seed=8))
    season.lake._create(rows_table(set_id_of(conf), {"vocabulary_size": 4, "of": "before the stop"}))
    assert "note" not in examples(conf, season.lake)
    assert open_example_set(f"{conf.lake}/examples/{set_id_of(conf)}").vocabulary_size == 16


def test_a_set_of_a_release_that_knew_no_categories_is_read_by_training_and_by_promotion(season):
    conf, lake, newer = season.friday, season.lake, set_id_of(season.friday)
    folder = Path(conf.lake) / "examples"
    shutil.copytree(folder / newer / "rows", folder / "older" / "rows")
    words = lake.read(vocabulary_table(newer)).drop("category", "price").repartition(1)
    words.write.format("delta").save(str(folder / "older" / "vocabulary"))
    older, same = (open_example_set(str(folder / name)).vocabulary for name in ("older", newer))
    assert older.equals(same)
    assert vocabulary(replace(conf, set_id="older"), lake).num_rows == older.num_rows


def test_before_its_first_sessions_there_is_no_example_set(season):
    early = replace(season.friday, ds="2026-10-20")
    with pytest.raises(
        InputError, match=r"no sessions before 2026-10-19: ingest more, or set promote\.holdout_days"
    ):
        examples(early, season.lake)


def test_the_first_champion_is_the_baseline_that_is_best_on_the_validation_days(season):
    assert f"no version of next_item is registered for {set_id_of(season.friday)}" in str(
        season.untrained.value
    )
    (row,) = newest(season.lake.read(PROMOTIONS)).where(f.col("ds") == FRIDAY).collect()
    assert (row.promoted, row.challenger, row.champion) == (True, "frequency_decay", None)
    assert row.reason.startswith("there is no champion yet: the first is the best baseline")
    validation = {
        judged.model: judged.mean
        for judged in row.judged
        if (judged.question, judged.metric) == ("validation", season.friday.promote.metric)
    }
    assert validation["frequency_decay"] == max(validation.values()) > validation["frequency"]
    assert {(judged.question, judged.model, judged.users) for judged in row.judged} == {
        (question, model, USERS) for question in ("validation", "test") for model in validation
    }
    assert len(validation) == 3
    assert row.tables == {"sessions": 1, "items": 1}
    champion = connect(season.friday.registry, season.friday.artifacts).by_alias("next_item", CHAMPION)
    assert (champion.version, champion.tags["model"]) == (row.challenger_version, "frequency_decay")


def test_a_request_is_decided_once(season):
    registry = connect(season.friday.registry, season.friday.artifacts)
    before = season.lake.version(PROMOTIONS)
    champion = registry.by_alias("next_item", CHAMPION)
    again = promote(season.friday, season.lake)
    assert again["note"] == "this request was decided before"
    assert again["champion"] == season.promoted["champion"] == "frequency_decay"
    assert season.lake.version(PROMOTIONS) == before
    assert registry.by_alias("next_item", CHAMPION).version == champion.version


def test_every_user_with_a_history_gets_the_champion_s_best_items(season):
    assert season.scored["predictions"] == season.scored["users"] == USERS
    assert season.scored["champion"].startswith("frequency_decay v")
    assert [row[0] for row in season.by_table] == [f"user {n}" for n in range(USERS)]
    for number, (_, ids, scores, reason, model, _, version) in enumerate(season.by_table):
        assert ids[0] == f"coffee {number}"
        assert set(ids[1:3]) == {"milk", f"tea {number}"}
        assert len(ids) == len(set(ids)) == len(scores) == 1 + 2 * USERS, "all there are, fewer than k"
        assert scores == sorted(scores, reverse=True)
        assert (reason, model, version) == (None, "frequency_decay", season.sequences_version)


def test_a_past_night_is_scored_as_it_was_and_other_partitions_stay(season):
    lake = season.lake
    others = lake.read(PREDICTIONS).withColumn("task", f.lit("other"))
    lake.replace_where(PREDICTIONS, others, "task = 'other'", {})
    score(season.saturday, lake)

    def partition(ds: str, task: str = "next_item", *more: str) -> list:
        return rows_of(lake.read(PREDICTIONS).where(f"ds = '{ds}' and task = '{task}'"), *ANSWERS, *more)

    saturday = partition(SATURDAY)
    assert [row[0] for row in saturday] == ["newcomer", *(f"user {n}" for n in range(USERS))]
    said = score(season.friday, lake)
    assert said["predictions"] == USERS
    assert partition(FRIDAY, "next_item", "sequences_version") == [(*row[:-1], -1) for row in season.by_table]
    assert partition(SATURDAY) == saturday
    assert len(partition(FRIDAY, "other")) == USERS
    score(season.friday, lake)
    assert partition(FRIDAY) == [row[:-1] for row in season.by_table], "a second time as the first"


def test_a_challenger_that_does_not_beat_the_champion_is_written_down_and_not_promoted(season):
    conf, lake = season.saturday, season.lake
    conf = replace(conf, promote=replace(conf.promote, groups={"half": HALVES}))
    examples(conf, lake)
    train(of_model(conf, "popularity", None))
    said = promote(conf, lake)
    assert (said["decisions"], said["champion"]) == (1, "frequency_decay")
    (row,) = newest(lake.read(PROMOTIONS)).where(f.col("ds") == SATURDAY).collect()
    assert (row.promoted, row.challenger, row.champion) == (False, "popularity", "frequency_decay")
    assert row.difference < 0
    assert row.low <= row.difference <= row.high
    registry = connect(conf.registry, conf.artifacts)
    assert registry.by_alias("next_item", CHAMPION).tags["model"] == "frequency_decay"
    assert registry.by_alias("next_item", CHALLENGER).version == row.challenger_version
    assert {guard.name.split(" (")[0] for guard in row.guards} == {
        "coverage",
        "gini",
        "long tail",
        "seconds a user",
        "megabytes of the model",
    }
    card = registry.client.get_model_version("next_item", str(row.challenger_version)).description
    assert "## Judged on held-out days" in card and "| ndcg@10, half: first |" in card


def test_a_model_that_is_told_of_events_beside_their_items_is_judged_and_scores(season, tmp_path):
    lake = season.lake
    told = ["task.contexts=true", "model=sasrec", "model.inputs=[type,hour,weekday,channel]", "model.width=8"]
    settings = [*SETTINGS, *told, "model.blocks=1", "train.ranks=1", "train.epochs=1"]
    apart = [f"registry=sqlite:///{tmp_path / 'mlflow.db'}", f"artifacts={tmp_path / 'artifacts'}"]
    conf = shop(season.folder, FRIDAY, *settings, *apart)
    assert "note" not in examples(conf, lake)
    train(conf)
    registry = connect(conf.registry, conf.artifacts)
    (version,) = registry.versions("next_item")
    path = registry.saved_model_path(version)
    words = vocabulary(replace(conf, set_id=version.tags["set_id"]), lake)
    days = at("00:00:00", date(2026, 11, 12)), at("00:00:00", date(2026, 11, 14))
    judged = judge(conf, lake, "test", {"ours": path}, by_index(words, "sessions"), *days)
    assert len(judged.users) == USERS and judged.metrics["ours"]["ndcg@10"].value > 0
    sequences = lake.read(SEQUENCES)
    scored = ranked(conf, lake, sequences, version, path).rows.collect()
    assert {row.reason for row in scored} == {None} and all(len(row.ids) > 5 for row in scored)
    with pytest.raises(PythonException, match=r"wants contexts .* set task\.contexts=true"):
        ranked(season.friday, lake, sequences, version, path).rows.collect()
    saved = mlflow.pyfunc.load_model(registry.client.get_model_version("next_item", "1").source)
    asked = pd.DataFrame({"item_ids": [["milk"]], "sessions": [[1]], "ages": [[2.0]]})
    (ids,) = saved.predict(asked.assign(contexts=[[1 | 11 << 8 | 5 << 13]]))["ids"]
    assert "milk" in ids or len(ids) > 5
    with pytest.raises(ValueError, match="there is no column contexts"):
        saved.predict(asked)
    with pytest.raises(InputError, match=r"told of events beside their items \(model\.inputs\)"):
        rerank(replace(conf, rerank=replace(conf.rerank, first="1")))


def test_where_nobody_came_back_there_is_nothing_to_judge_on(season):
    nobody = (at("00:00:00", date(2026, 11, 25)), at("00:00:00", date(2026, 11, 28)))
    with pytest.raises(InputError, match=r"no user has a session from 2026-11-25 to 2026-11-28"):
        judge(season.friday, season.lake, "test", {}, np.array([0, 0, 0, 1]), *nobody)


def test_a_set_is_judged_on_the_days_that_it_was_held_out_of(season):
    conf = replace(season.friday, ds="2026-11-29", set_id=set_id_of(season.friday))
    with pytest.raises(InputError, match=r"would be judged on days from .*: give the ds and"):
        promote(conf, season.lake)

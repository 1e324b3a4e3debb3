"""A task with labels on its way to production: who becomes champion, and what a night's answers are."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as f

from conf.schema import Config
from features.examples import end_of, set_id_of
from features.lake import Lake
from features.monitoring import MONITORING
from features.predictions import PREDICTIONS
from features.promotions import PROMOTIONS, newest
from features.sequences import SEQUENCES, as_model_input
from jobs.examples import examples
from jobs.fairness import fairness
from jobs.job import InputError
from jobs.judge_labels import judge_labels
from jobs.monitor import monitor
from jobs.promote import promote
from jobs.publish import publish
from jobs.score import score
from jobs.train import train
from models.answers import answers
from models.example_set import open_example_set
from models.histories import BROKEN
from models.judging_labels import exported, said_of
from models.label_scoring import answers as label_answers
from models.registry import CHALLENGER, CHAMPION, connect
from tests.jobs.nights import night, shop
from tests.shop import line, rows_of, write_log

pytestmark = pytest.mark.long
EARLIER, MOMENT, LATER = "2026-11-16", datetime(2026, 11, 17, tzinfo=UTC), "2026-11-30"
FIRST = date(2026, 10, 1)
USERS = 12
SETTINGS = [
    "task=churn",
    "task.length=16",
    "task.positions=4",
    "task.label.horizon_days=7",
    "task.label.snapshots=2",
    "task.label.baseline=prior",
    "task.label.beside=[]",
    "task.label.calibration=none",  # it would be all but sure of everybody
    "promote.holdout_days=7",
    "promote.resamples=200",
    "promote.guards.seconds_a_user=10",  # few users share the first call
    "promote.guards.least_users=3",
    "features.late_days=90",
    "model=gru",
    "model.width=8",
    "model.blocks=1",
    "train.ranks=1",
    "train.batch_size=8",
    "train.epochs=2",
    "train.learning_rate=2e-2",
    "train.warmup_steps=2",
]

HALVES = (
    "select user_id, if(cast(substring(user_id, 6) as int) < 6, 'first', 'second') as user_group from users"
)


def days_of(user: int) -> list[date]:
    """Each third day; users with an odd number stay away from Oct 20 or Oct 29 on."""
    last = LATER if user % 2 == 0 else "2026-10-19" if user < 6 else "2026-10-28"
    days = (FIRST + timedelta(days=n) for n in range(0, 61, 3))
    return [day for day in days if day <= date.fromisoformat(last)]


def bought_at(user: int, day: date) -> datetime:
    """At an hour of the user's own."""
    return datetime(day.year, day.month, day.day, 8 + user, tzinfo=UTC)


def purchases() -> list[dict]:
    return [
        line(
            f"user {user}",
            f"{bought_at(user, day):%Y-%m-%dT%H:%M:%SZ}",
            f"{user}-{day}",
            item_id="milk" if day.day % 2 else f"tea {user}",
            amount=2.0,
        )
        for user in range(USERS)
        for day in days_of(user)
    ]


def days_away(user: int) -> float:
    """From the user's last purchase to the moment."""
    last = max(day for day in days_of(user) if bought_at(user, day) < MOMENT)
    return (MOMENT - bought_at(user, last)).total_seconds() / 86400


@pytest.fixture(scope="module")
def season(spark, tmp_path_factory):
    """A load of two months; a judgement of the 17th to the 23rd, scores of two nights, and a judgement a week later."""
    folder = tmp_path_factory.mktemp("labels")
    conf = shop(folder, "2026-11-23", *SETTINGS, f"report={folder / 'report'}")
    conf = replace(conf, promote=replace(conf.promote, groups={"half": HALVES}))
    lake, registry = Lake(spark, conf.lake), connect(conf.registry, conf.artifacts)
    write_log(folder / "raw", LATER, *purchases())
    night(spark, replace(conf, ds=LATER))
    without = score(conf, lake)
    said = examples(conf, lake)
    train(of_model(conf, "naive"))
    train(conf)
    told = judged_by_rows(conf)
    promoted, again = promote(conf, lake), promote(conf, lake)
    champion = registry.by_alias("churn", CHAMPION)
    past = replace(conf, ds=EARLIER)
    scored = score(replace(past, explain=True), lake)
    rows = rows_of(lake.read(PREDICTIONS).drop("ds", "task"))
    fair = fairness(past, lake)
    lake.update(SEQUENCES, "user_id = 'user 3'", {"sessions": "array(1, 2, 3)"}, lake.facts(SEQUENCES))
    tonight = score(replace(conf, ds=LATER), lake)
    later = replace(
        conf, ds=LATER, task=replace(conf.task, label=replace(conf.task.label, features=["recency"]))
    )
    examples(later, lake)
    train(of_model(later, "naive"))
    refused = promote(later, lake)
    told_to = replace(conf, ds=LATER, publish=replace(conf.publish, folder=str(folder / "published")))
    published = publish(told_to, lake)
    return SimpleNamespace(**locals())


def of_model(conf: Config, name: str) -> Config:
    return replace(conf, model=replace(conf.model, name=name))


def judged_by_rows(conf: Config) -> dict:
    return json.loads(Path(judge_labels(conf)["file"]).read_text())


def decision(season, ds: str, number: int):
    of_night = newest(season.lake.read(PROMOTIONS)).where((f.col("ds") == ds) & (f.col("task") == "churn"))
    return of_night.orderBy("request_id").collect()[number]


def test_the_baseline_is_promoted_first_and_an_encoder_that_beats_it_then(season):
    first, second = decision(season, season.conf.ds, 0), decision(season, season.conf.ds, 1)
    assert (first.promoted, first.challenger, first.champion, first.metric) == (
        True,
        "naive",
        None,
        "roc_auc",
    )
    assert (second.promoted, second.challenger, second.champion) == (True, "gru", "naive"), second.reason
    assert (first.challenger_value, second.champion_value) == (0.5, 0.5), "everybody has the same probability"
    assert (first.users, second.users, second.state) == (USERS, USERS, "done")
    assert 0 < second.low <= second.difference <= second.high
    assert {guard.name: guard.passed for guard in second.guards} == dict.fromkeys(
        (
            *(f"segment {which}half: {half}" for half in ("first", "second") for which in ("", "not ")),
            *(f"gap half: {half}" for half in ("first", "second")),
            "users answered",
            "calibration error",
            "seconds a user",
            "megabytes of the model",
        ),
        True,
    ), "of rare users all stay away: there is no pair to rank"
    assert (season.champion.version, season.champion.tags["model"]) == (second.challenger_version, "gru")
    card = season.registry.client.get_model_version("churn", str(season.champion.version)).description
    assert "## Judged on held-out days" in card and "| roc_auc |" in card and "`features`" in card


def test_the_ledger_and_the_report_have_the_metric_of_each_group_and_its_gap(season):
    groups = {(each.model, each.user_group): each for each in decision(season, season.conf.ds, 1).groups}
    assert groups.keys() == {(m, f"half: {half}") for m in ("gru", "naive") for half in ("first", "second")}
    first, second = (groups["gru", f"half: {half}"] for half in ("first", "second"))
    assert (first.metric, first.users, second.users) == ("roc_auc", USERS // 2, USERS // 2)
    assert first.gap == pytest.approx(first.mean - second.mean) == pytest.approx(-second.gap)
    assert first.low <= first.mean <= first.high and first.gap_low <= first.gap <= first.gap_high
    assert groups["naive", "half: first"].mean == 0.5
    card = season.registry.client.get_model_version("churn", str(season.champion.version)).description
    assert "| roc_auc, not half: first |" in card
    (told,) = season.fair["tasks"]
    assert (told["task"], told["model"]) == ("churn", f"gru v{season.champion.version}")
    assert {each["user_group"] for each in told["groups"]} == {"half: first", "half: second"}
    assert len(told["guards"]) == 10
    spread = {each["user_group"]: each for each in season.fair["scores"]}
    assert spread.keys() == {"half: first", "half: second", "not new", "not rare", "rare"}
    assert spread["rare"]["users"] == USERS // 2
    assert spread["rare"]["median"] > spread["not rare"]["median"], (
        "who stays away has the higher probability"
    )
    assert season.fair["exposure"] == {}, "churn shows nothing"


def test_a_request_is_decided_once(season):
    assert season.again["note"] == "this request was decided before"
    assert season.promoted["champion"] == season.again["champion"] == "gru"


def test_the_ledger_has_of_each_model_what_the_rows_held_out_say_of_it(season):
    judged = decision(season, season.conf.ds, 1).judged
    found = {(each.model, each.metric): each["mean"] for each in judged if each.question == "test"}
    for model, metrics in season.told["models"].items():
        for metric, each in metrics.items():
            assert found[model, metric] == pytest.approx(each["value"]["mean"], abs=1e-6), (model, metric)
    assert {each.question for each in judged} == {"validation", "test"}
    differences = {each.metric: each.difference for each in judged if each.kind == "encoder"}
    assert set(differences) == {"roc_auc", "pr_auc", "log_loss", "lift", "calibration_error"}
    assert None not in differences.values()


def test_a_night_s_answers_are_those_of_the_model_to_the_example_rows_of_its_end(season):
    """The lake knows two weeks more by then."""
    opened = open_example_set(f"{season.conf.lake}/examples/{season.said['set_id']}")
    values, *_ = said_of(exported(season.registry.saved_model_path(season.champion)), opened, "test")
    by_days = dict(zip(answers(opened, "test").naive[:, 0].round(3).tolist(), values[:, 0], strict=True))
    assert len(by_days) == USERS
    expected = [by_days[float(np.float32(days_away(user)).round(3))] for user in range(USERS)]
    names = season.lake.read(PREDICTIONS).drop("ds", "task").columns
    found = {row["entity"]: row for row in (dict(zip(names, row, strict=True)) for row in season.rows)}
    np.testing.assert_allclose([found[f"user {user}"]["value"] for user in range(USERS)], expected, atol=1e-5)
    assert min(expected[1::2]) > max(expected[::2]), "who stays away has the higher probability"
    one = found["user 0"]
    assert (one["target"], one["ids"], one["low"], one["reason"]) == ("7_days", None, None, None)
    assert (one["model"], one["model_version"]) == ("gru", season.champion.version)
    assert (season.scored["users"], season.scored["predictions"]) == (USERS, USERS)


def test_answers_are_explained_by_the_purchases_before_them(season):
    names = season.lake.read(PREDICTIONS).drop("ds", "task").columns
    found = {row["entity"]: row for row in (dict(zip(names, row, strict=True)) for row in season.rows)}
    assert season.scored["explained"] == USERS and season.scored["explained_gap"] < 0.02
    looked_at = []
    for user in range(USERS):
        days = [day for day in days_of(user) if bought_at(user, day) < MOMENT]
        events = found[f"user {user}"]["explained"]
        assert [each.item_id for each in events] == ["milk" if d.day % 2 else f"tea {user}" for d in days]
        assert events[-1].age == pytest.approx(days_away(user), abs=1e-3)
        kept = [each.attribution != 0 for each in events]
        assert not any(kept[:-4]), "the model looks at four sessions"
        looked_at.append(all(kept[-4:]))
        assert all(each.change is not None for each in events)
    assert any(looked_at), "of who is certain to stay away, or not to, no purchase moves the probability"


def test_before_there_is_a_champion_nothing_is_scored(season):
    assert season.without["predictions"] == 0 and "no champion yet" in season.without["note"]


def test_a_broken_row_costs_that_user_only(season):
    assert (
        season.tonight | {"users": USERS, "predictions": USERS - 1, "without_prediction": 1} == season.tonight
    )
    mine = season.lake.read(PREDICTIONS).where((f.col("ds") == LATER) & (f.col("task") == "churn"))
    rows = {row.entity: (row.value is None, row.reason) for row in mine.collect()}
    assert rows == {f"user {n}": (n == 3, BROKEN if n == 3 else None) for n in range(USERS)}


def test_a_champion_of_an_earlier_set_answers_with_what_it_was_trained_to_be_given(season):
    assert set_id_of(season.later) != season.champion.tags["set_id"]
    row = decision(season, LATER, 0)
    assert (row.promoted, row.challenger, row.champion) == (False, "naive", "gru")
    assert (row.champion_version, row.users) == (season.champion.version, USERS)
    assert row.champion_value > row.challenger_value == 0.5
    assert season.registry.by_alias("churn", CHAMPION).version == season.champion.version
    assert season.registry.by_alias("churn", CHALLENGER).version == row.challenger_version


def test_a_night_is_published_with_what_the_model_was_given_and_answers_as_it_did(season):
    """From what is published alone, and the histories, the model answers what `predictions` has."""
    place = season.folder / "published" / "churn" / LATER
    assert season.published["folder"] == "2 files" and season.published["predictions"] == USERS
    manifest = json.loads((place / "manifest.json").read_text())
    assert manifest["counts"] == {"predictions": USERS, "inputs": USERS}
    said = pq.read_table(place / "predictions").to_pylist()
    assert (
        {row["model_version"] for row in said} == {manifest["model"]["version"]} == {season.champion.version}
    )
    inputs = pq.read_table(place / "inputs")
    assert inputs["user_id"].to_pylist() == sorted(f"user {n}" for n in range(USERS))
    until = end_of(LATER)
    sequences = season.lake.read(SEQUENCES).where("user_id != 'user 3'")  # whose row is broken
    histories = as_model_input(sequences, ["purchase"], until).toArrow().to_pandas().set_index("user_id")
    numbers = inputs.to_pandas().set_index("user_id").loc[histories.index]
    put = histories.assign(features=numbers["features"], naive=numbers["naive"]).reset_index()
    batch = pa.RecordBatch.from_pandas(put, preserve_index=False)
    (found,) = label_answers(iter([batch]), {"churn": season.registry.saved_model_path(season.champion)})
    again = {row["user_id"]: row["value"][0] for row in found.to_pylist()}
    assert len(again) == USERS - 1
    assert again == pytest.approx({row["entity"]: row["value"] for row in said if row["value"] is not None})


def test_a_night_whose_sessions_have_changed_since_is_not_published(season, monkeypatch):
    monkeypatch.setattr(Lake, "version", lambda lake, table: 99)
    with pytest.raises(InputError, match="from version 1 of sessions, which is at 99 by now"):
        publish(season.told_to, season.lake)


def test_a_horizon_later_a_night_s_answers_are_held_against_what_came_true(season):
    conf, lake = season.conf, season.lake
    page = str(season.folder / "monitor.html")
    settings = replace(conf.monitor, page=page, least_users=3, freshness={}, volume={})
    monitor(replace(conf, monitor=settings), lake)
    rows = {
        (row["name"], row.segment): row
        for row in lake.read(MONITORING).where("task = 'churn' and kind = 'realised'").collect()
    }
    answers_of = {
        row.entity: row.value for row in lake.read(PREDICTIONS).where(f"ds = '{EARLIER}'").collect()
    }
    away = {f"user {n}": float(n % 2) for n in range(USERS)}  # who stay away from the 17th to the 23rd
    told = np.array([(answers_of[user], away[user]) for user in away if answers_of[user] is not None])
    loss = -np.mean(np.log(np.where(told[:, 1] > 0, told[:, 0], 1 - told[:, 0])))
    assert rows["realised_log_loss", "all"].value == pytest.approx(loss, rel=1e-4)
    assert rows["realised_roc_auc", "all"].value == 1.0, "who has been away for long stays away"
    asked = rows["realised_predicted", "all"]
    assert (asked.value, asked.rows) == (len(told) / USERS, USERS)
    assert {segment for _, segment in rows} >= {"all", "users: old"}
    assert "ROC-AUC" in (season.folder / "monitor.html").read_text()
    assert monitor(replace(conf, ds=EARLIER, monitor=settings), lake)["breached"] == 0, (
        "nothing was answered before"
    )

"""What a judgement guards of groups of users and of items, and what it says of them: lists and answers, without a lake."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from conf.load import load
from jobs.judging import Ranked, by_index
from jobs.judging_labels import Answered
from jobs.promote import against_rows, group_rows
from models.fairness import split_answers, split_means
from models.label_metrics import sampled
from models.metrics import sampled_means

USERS = 400
FEW = np.arange(USERS) < 200
AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
HEAD = ("test", AS_OF, AS_OF, [f"user {n}" for n in range(USERS)])
VERSIONS = {
    name: SimpleNamespace(tags={"model": name.split()[0]}, version=int(name[-1]))
    for name in ("gru v2", "old v1")
}
SECONDS = {name: np.full(USERS, 0.001) for name in VERSIONS}


def conf_of(task: str):
    return load([f"task={task}", "promote.resamples=100"])


def ranked(conf) -> Ranked:
    """The challenger is better for the few, and as good for others; it shows the popular item 3 to everybody."""
    rng = np.random.default_rng(1)
    old = rng.random(USERS) * 0.2 + 0.2
    values = {"gru v2": old + 0.1 * FEW, "old v1": old}
    columns = np.column_stack(list(values.values()))
    means = dict(zip(values, sampled_means(columns, 100, 7), strict=True))
    sessions = np.array([0, 0, 0, 1000, *np.full(50, 2)])
    shown = {
        "gru v2": [np.array([3])] * USERS,
        "old v1": [np.array([4 + user % 50]) for user in range(USERS)],
    }
    metric = conf.promote.metric
    return Ranked(
        *HEAD,
        {name: {metric: each} for name, each in means.items()},
        split_means(values, {"rare": FEW}, 100, 7),
        SECONDS,
        {name: {metric: each} for name, each in values.items()},
        shown,
        sessions,
    )


def test_lists_are_guarded_by_group_and_by_what_they_show():
    conf = conf_of("next_item")
    test = ranked(conf)
    strict = replace(conf.promote.guards, gini_rise=0.1, tail_loss=0.2)
    conf.promote = replace(conf.promote, guards=strict)
    guards = {each.name.partition(" (")[0]: each for each in test.guards(conf, "gru v2", "old v1")}
    assert {name: each.passed for name, each in guards.items()} == {
        "segment rare": True,
        "segment not rare": True,
        "gap rare": False,
        "coverage": False,
        "gini": False,
        "long tail": False,
    }
    assert guards["gap rare"].value == pytest.approx(0.1, abs=0.02) and guards["gap rare"].most == 0.02
    assert (guards["gini"].most, guards["long tail"].least) == (0.1, -0.2)
    lenient = replace(strict, gini_rise=1.0, tail_loss=1.0, gap_rise=0.5, coverage_share=0.0)
    conf.promote = replace(conf.promote, guards=lenient)
    assert all(each.passed for each in test.guards(conf, "gru v2", "old v1"))


def test_each_group_is_a_line_of_the_card_and_a_row_of_the_ledger():
    conf = conf_of("next_item")
    test = ranked(conf)
    lines = test.groups(conf, "gru v2")
    assert [(each.what, each.users) for each in lines] == [("ndcg@10, rare", 200), ("ndcg@10, not rare", 200)]
    rows = {row[0]: row for row in group_rows(conf, VERSIONS, test)}
    assert rows["gru"][:5] == ("gru", 2, "ndcg@10", "rare", 200)
    assert rows["gru"][5:8] == tuple(lines[0][2:])
    assert rows["gru"][8] == pytest.approx(lines[0].mean - lines[1].mean)
    assert rows["gru"][9] <= rows["gru"][8] <= rows["gru"][10]


def test_an_encoder_stands_against_each_baseline_in_the_ledger_paired_by_user():
    conf = conf_of("next_item")
    test = ranked(conf)
    kinds = {"gru v2": "encoder", "old v1": "baseline"}
    versions = {
        name: SimpleNamespace(tags=VERSIONS[name].tags | {"kind": kind}, version=VERSIONS[name].version)
        for name, kind in kinds.items()
    }
    (row,) = against_rows(conf, versions, test)
    assert row[:7] == ("test", AS_OF, AS_OF, "gru", 2, "old", 1) and row[7] == "ndcg@10"
    assert row[8] == pytest.approx(0.1 * FEW.mean())
    assert row[9] <= row[8] <= row[10], "the ends of its interval"
    assert row[10] - row[9] < 0.015, "what makes a user easy for both cancels out"
    assert not against_rows(conf, versions | {"gru v2": versions["old v1"]}, test)


@pytest.mark.parametrize(("task", "metric"), [("churn", "roc_auc"), ("spend", "mae")])
def test_answers_are_guarded_by_group_in_the_unit_of_their_metric(task, metric):
    """Of the few the challenger knows nothing, of the others as much as the champion does."""
    conf = conf_of(task)
    assert conf.task.label.metrics[0] == metric
    rng = np.random.default_rng(3)
    labels = (rng.random(USERS) > 0.5).astype(float) * (1 if task == "churn" else 40)
    old = 0.8 * labels + 0.1 * labels.max() * rng.random(USERS)
    new = np.where(FEW, labels.max() * rng.random(USERS), old)
    values = {"gru v2": new[:, None], "old v1": old[:, None]}
    weights = np.ones((USERS, 1))
    splits = split_answers(metric, labels[:, None], weights, values, {"rare": FEW}, 100, 7)
    metrics = sampled([metric], labels[:, None], weights, values, 100, 7)
    answered = dict.fromkeys(VERSIONS, np.ones(USERS, bool))
    test = Answered(*HEAD, metrics, splits, SECONDS, answered)
    guards = {each.name: each for each in test.guards(conf, "gru v2", "old v1")}
    assert {name: each.passed for name, each in guards.items()} == {
        "segment rare": False,
        "segment not rare": True,
        "gap rare": False,
        "users answered": True,
    }
    champion = metrics["old v1"][metric].value
    assert guards["gap rare"].most == pytest.approx(0.02 * (champion if metric == "mae" else 1))
    limit = guards["segment rare"].most if metric == "mae" else -guards["segment rare"].least
    assert limit == pytest.approx(0.05 * splits["old v1"]["rare"].inside.value)


def test_a_number_of_each_item_stands_at_its_index():
    words = {"item_index": np.array([5, 3]), "sessions": np.array([7, 2])}
    columns = {name: SimpleNamespace(to_numpy=lambda each=each: each) for name, each in words.items()}
    assert by_index(columns, "sessions").tolist() == [0, 0, 0, 2, 0, 7]

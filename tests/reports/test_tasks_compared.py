"""How tasks stand to their baselines, from what judges leave."""

import pytest

from reports.tasks import behind, compared, of_ledger, summed, verdict, worth


def interval(mean: float, low: float, high: float) -> dict:
    return {"mean": mean, "low": low, "high": high}


CHURN = {
    "users": 7,
    "models": {
        "naive": {"log_loss": {"value": interval(0.4, 0.3, 0.5), "difference": interval(0, 0, 0)}},
        "gru": {"log_loss": {"value": interval(0.3, 0.2, 0.4), "difference": interval(-0.1, -0.2, -0.05)}},
    },
}


def test_a_summary_has_a_model_its_baseline_and_how_far_they_are_apart():
    assert summed("churn", CHURN) == {
        "churn.users": 7,
        "churn.log_loss": 0.3,
        "churn.baseline.log_loss": 0.4,
        "churn.difference.log_loss": [-0.1, -0.2, -0.05],
    }
    assert [row["verdict"] for row in compared("churn", CHURN)] == ["better"]


def test_a_baseline_that_is_not_the_best_one_is_no_model_of_the_task():
    metric = {"value": interval(0.5, 0.4, 0.6), "difference": interval(0.1, 0, 0.2), "baseline": "naive"}
    told = CHURN | {
        "baselines": ["naive", "bg_nbd"],
        "models": CHURN["models"] | {"bg_nbd": {"log_loss": metric}},
    }
    assert [row["model"] for row in compared("churn", told)] == ["gru"]


def test_a_model_that_is_not_better_by_the_first_metric_is_behind():
    assert behind("churn", CHURN) == []
    first = {"value": interval(0.4, 0.3, 0.5), "difference": interval(0.1, -0.1, 0.2)}
    models = {name: {"roc_auc": first} | of_model for name, of_model in CHURN["models"].items()}
    (row,) = behind("churn", CHURN | {"models": models})
    assert (row["metric"], row["model"], row["verdict"]) == ("roc_auc", "gru", "equal")


def test_of_inputs_those_that_cost_the_most_are_told():
    assert worth(CHURN) == {}
    cost = {"history": 0.1, "naive": 0.3, "order": -0.1, "tenure": 0.2, "a": 0.01, "b": 0.02, "c": 0.03}
    inputs = {name: {"mean": mean, "deviation": 0.0} for name, mean in cost.items()}
    found = worth({"importance": {"models": {"gru": inputs}}})
    assert list(found.items()) == [
        ("naive", 0.3),
        ("tenure", 0.2),
        ("history", 0.1),
        ("c", 0.03),
        ("b", 0.02),
    ]


@pytest.mark.parametrize(
    ("metric", "difference", "said"),
    [
        ("roc_auc", [0.1, 0.05, 0.2], "better"),
        ("roc_auc", [-0.1, -0.2, -0.05], "worse"),
        ("roc_auc", [0.1, -0.05, 0.2], "equal"),
        ("log_loss", [-0.1, -0.2, -0.05], "better"),
        ("category_mae", [0.1, 0.05, 0.2], "worse"),
        ("orders_error", [-0.1, -0.2, -0.05], "better"),
        ("orders_qini", [-0.1, -0.2, -0.05], "worse"),
        ("wape", [-0.1, -0.2, -0.05], "better"),
        ("mae", [0.0, 0.0, 0.0], "equal"),
    ],
)
def test_a_model_is_better_or_worse_where_the_whole_interval_says_so(metric, difference, said):
    assert verdict(metric, difference) == said


def test_an_estimate_without_a_model_has_nothing_to_be_compared():
    assert summed("uplift_observed", {"users": 7, "effects": {"spend": {"mean": 1.0}}}) == {
        "uplift_observed.users": 7
    }


def test_of_lists_the_gate_s_test_question_is_told_beside_the_best_baseline_of_each_metric():
    def row(question, model, kind, metric, mean, *difference):
        ends = difference or (None, None, None)
        names = ("difference", "difference_low", "difference_high")
        head = {
            "question": question,
            "model": model,
            "kind": kind,
            "metric": metric,
            "users": 9,
            "as_of": "Dec",
        }
        return head | interval(mean, mean, mean) | dict(zip(names, ends, strict=True))

    decided = [
        row("validation", "gru", "encoder", "ndcg@10", 0.9, 0.1, 0.1, 0.1),
        row("test", "tifu_knn", "baseline", "ndcg@10", 0.2),
        row("test", "popularity", "baseline", "ndcg@10", 0.1),
        row("test", "sasrec", "encoder", "ndcg@10", 0.15, -0.05, -0.09, -0.01),
        row("test", "gru", "encoder", "ndcg@10", 0.25, 0.05, 0.01, 0.09),
    ]
    of_night = [
        {"judged": [], "challenger": "sasrec", "decided_at": 1, "request_id": "night/up-to-v9/1"},
        {"judged": decided, "challenger": "gru", "decided_at": 2, "request_id": "night/up-to-v10/1"},
        {"judged": [], "challenger": "tifu_knn", "decided_at": 2, "request_id": "night/up-to-v10/0"},
    ]
    told = of_ledger("next_item", of_night)
    assert summed("next_item", told) == {
        "next_item.users": 9,
        "next_item.ndcg@10": 0.25,
        "next_item.baseline.ndcg@10": 0.2,
        "next_item.difference.ndcg@10": [0.05, 0.01, 0.09],
    }
    assert compared("next_item", told)[0]["baseline"] == "tifu_knn"


def test_groups_of_users_stand_beside_fifths_of_recency_frequency_and_money():
    told = {
        "model": "repeat v3",
        "explained": 0.3,
        "explained_by_rfm": 0.2,
        "difference": interval(0.1, 0.05, 0.2),
    }
    assert compared("segments", told)[0] | {"difference": None} == {
        "task": "segments", "metric": "explained", "model": "repeat v3", "value": 0.3,
        "baseline": "rfm", "baseline_value": 0.2, "difference": None, "verdict": "better",
    }  # fmt: skip
    assert compared("segments", {"model": "repeat v3", "note": "has seen later days"}) == []

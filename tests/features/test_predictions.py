"""Answers of tasks with labels as others read them."""

from features.predictions import named_events, of_answers, to_predictions
from tests.shop import rows_of

ANSWERS = "user_id string, value array<float>, low array<float>, high array<float>, reason string"


def test_several_targets_are_named_best_first_and_one_question_has_a_number(spark):
    told = spark.createDataFrame(
        [("ann", [0.25, 0.75, 0.25], None, None, None), ("bob", None, None, None, "broken")], ANSWERS
    )
    assert rows_of(of_answers(told, ["jam", "milk", "bread"])) == [
        ("ann", ["milk", "bread", "jam"], [0.75, 0.25, 0.25], None),
        ("bob", None, None, "broken"),
    ]
    amounts = spark.createDataFrame(
        [
            ("ann", [5.0], [1.0], [9.0], None),
            ("bob", [0.5], None, None, None),
            ("cid", None, None, None, "broken"),
        ],
        ANSWERS,
    )
    assert rows_of(
        of_answers(amounts, [""]), "user_id", "ids", "scores", "value", "low", "high", "reason"
    ) == [
        ("ann", None, None, 5.0, 1.0, 9.0, None),
        ("bob", None, None, 0.5, None, None, None),
        ("cid", None, None, None, None, None, "broken"),
    ]


def test_events_that_a_prediction_came_from_keep_their_order_and_get_their_names(spark):
    """Of ann 4 comes before and after 5; bob's model has no attributions; cid is not explained."""
    told = spark.createDataFrame(
        [
            ("ann", [4, 5, 4], [9.0, 9.0, 2.0], [0.5, -0.25, 0.125], [None, 0.25, 0.5]),
            ("bob", [5], [1.0], [None], [2.0]),
        ],
        "user_id string, items array<int>, ages array<float>, attributions array<float>, changes array<float>",
    )
    items = spark.createDataFrame([(4, "milk"), (5, "jam"), (6, "tea")], "item_index int, item_id string")
    named = named_events(told, items)
    expected = {
        "ann": [("milk", 9.0, 0.5, None), ("jam", 9.0, -0.25, 0.25), ("milk", 2.0, 0.125, 0.5)],
        "bob": [("jam", 1.0, None, 2.0)],
    }
    assert {row.user_id: [tuple(each) for each in row.explained] for row in named.collect()} == expected
    scored = spark.createDataFrame(
        [("ann", ["tea"], [1.0], None), ("cid", ["tea"], [1.0], None)],
        "user_id string, ids array<string>, scores array<float>, reason string",
    )
    rows = to_predictions(
        scored.join(named, "user_id", "left"), "2026-11-02", "next_item", "gru", 1, 1
    ).collect()
    assert {row.entity: row.explained and [tuple(each) for each in row.explained] for row in rows} == {
        "ann": expected["ann"],
        "cid": None,
    }
    plain = to_predictions(scored, "2026-11-02", "next_item", "gru", 1, 1)
    assert [row.explained for row in plain.collect()] == [None, None]

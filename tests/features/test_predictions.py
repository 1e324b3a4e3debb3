"""Answers of tasks with labels as others read them."""

from features.predictions import of_answers
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

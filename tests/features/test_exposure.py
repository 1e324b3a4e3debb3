"""What predictions are to groups of users, and which items they show."""

from datetime import UTC, datetime

from features.fairness import exposure, memberships, scores_by_group
from tests.shop import rows_of

AS_OF = datetime(2026, 11, 30, tzinfo=UTC)


def test_users_are_new_for_some_days_and_rare_with_fewer_sessions_than_half_of_them(spark):
    users = spark.createDataFrame(
        [
            ("ann", datetime(2026, 11, 1, 23, tzinfo=UTC), 2),
            ("bob", datetime(2026, 11, 2, tzinfo=UTC), 9),
            ("cid", datetime(2026, 1, 1, tzinfo=UTC), 5),
        ],
        "user_id string, first_seen timestamp, session_count bigint",
    )
    assert rows_of(memberships(users, AS_OF, 28)) == [
        ("ann", "not new"),
        ("ann", "rare"),
        ("bob", "new"),
        ("bob", "not rare"),
        ("cid", "not new"),
        ("cid", "not rare"),
    ]


def test_scores_are_the_value_or_the_first_of_a_list_and_who_has_none_counts_nowhere(spark):
    predictions = spark.createDataFrame(
        [
            ("next_item", "ann", [4.0, 1.0], None),
            ("next_item", "bob", [2.0], None),
            ("next_item", "cid", None, None),
            ("churn", "ann", None, 0.25),
        ],
        "task string, entity string, scores array<float>, value double",
    )
    groups = spark.createDataFrame(
        [("ann", "new"), ("bob", "new"), ("cid", "new"), ("ann", "rare")], "user_id string, user_group string"
    )
    told = [tuple(row) for row in scores_by_group(predictions, groups).collect()]
    assert told == [
        ("churn", "new", 1, 0.25, 0.25, 0.25),
        ("churn", "rare", 1, 0.25, 0.25, 0.25),
        ("next_item", "new", 2, 2.2, 3.0, 3.8),
        ("next_item", "rare", 1, 4.0, 4.0, 4.0),
    ]


def test_items_that_nobody_is_shown_are_shown_no_times(spark):
    predictions = spark.createDataFrame(
        [(["milk", "jam"],), (["milk"],), (None,), (["gone"],)], "ids array<string>"
    )
    items = spark.createDataFrame(
        [("milk", 7), ("jam", 2), ("tea", 1)], "item_id string, session_count bigint"
    )
    assert rows_of(exposure(predictions, items)) == [("jam", 2, 1), ("milk", 7, 2), ("tea", 1, 0)]

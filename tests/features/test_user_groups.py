"""What sets a group of users apart."""

from features.user_groups import bought_by_group, names_of


def test_users_of_a_group_are_counted_once_a_category(spark):
    grouped = spark.createDataFrame([("ann", 0), ("bob", 0), ("eve", 1)], "user_id string, user_group int")
    bought = [
        ("ann", "milk"),
        ("ann", "milk"),
        ("ann", "cream"),
        ("bob", "milk"),
        ("eve", "jam"),
        ("bob", "jam"),
    ]
    history = spark.createDataFrame(
        [(user, item, True) for user, item in bought] + [("eve", "milk", False)],
        "user_id string, item_id string, bought boolean",
    )
    items = spark.createDataFrame(
        [("milk", "dairy"), ("cream", "dairy"), ("jam", "spread"), ("bag", None)],
        "item_id string, category string",
    )
    rows = {tuple(row) for row in bought_by_group(grouped, history, items).collect()}
    assert rows == {(0, "dairy", 2, 2), (0, "spread", 1, 2), (1, "spread", 1, 2)}


def test_a_group_is_named_by_what_more_of_its_users_bought():
    sizes = {0: 50, 1: 50, 2: 100}
    bought = [
        (0, "nappies", 40, 50),  # 80% of the group, 25% of all
        (0, "milk", 50, 200),  # everybody
        (0, "caviar", 4, 4),  # of too few
        (1, "beer", 25, 50),
        (1, "nappies", 5, 50),
        (2, "milk", 100, 200),
    ]
    assert names_of(bought, sizes) == {0: "nappies x3.2", 1: "beer x2.0", 2: "as all users"}

"""`user_item_features`: what is between a user and an item as of a date."""

from pyspark.sql import DataFrame

from features.feature import FEATURES, ROW, Family, Feature, Numeric, of_rows
from features.history import pairs
from features.table import Column

LONG_TAIL = Numeric("log")
NEVER, ONCE = "never bought", "bought once or never"

USER_ITEM_FEATURES = Family(
    name="user_item_features",
    meaning="What was between one user and one item as of the end of a night.",
    key=(Column("user_id", "string", "who"), Column("item_id", "string", "with which item")),
    features=(
        Feature("session_count", "bigint", "sessions of the user with the item", "sessions", ROW, LONG_TAIL, "sessions"),
        Feature("recency", "double", "since the last event", "days_ago", ROW, LONG_TAIL, "days"),
        Feature("order_count", "bigint", "sessions in which it was bought", "buys", ROW, LONG_TAIL, "orders"),
        Feature("order_recency", "double", "since it was last bought, counted from its first purchase in that session",
                "bought_days_ago", ROW, Numeric("log", fill="max", indicator=True), "days", absent=NEVER),
        Feature("interval_mean", "double", "mean time from a buy to the next", "interval_mean", ROW,
                Numeric("log", fill="median", indicator=True), "days", absent=ONCE),
        Feature("interval_median", "double", "median time from a buy to the next", "interval_median", ROW,
                Numeric("log", fill="median"), "days", absent=ONCE),
        Feature("due", "double", "order_recency by interval_median: above 1, the next buy is overdue",
                "try_divide(order_recency, interval_median)", FEATURES, Numeric("log", fill=1.0), absent=ONCE),
        Feature("pieces", "double", "pieces bought", "pieces / 1e4", ROW, LONG_TAIL, "pieces"),
        Feature("spend", "double", "money spent on it", "money / 1e4", ROW, LONG_TAIL, "the shop's currency"),
    ),
)  # fmt: skip


def user_item_features(history: DataFrame, known: DataFrame | None = None) -> DataFrame:
    """The features of every user and item that meet in a `history`; `known` are its `pairs`, where they are made already.

    before (as of the 11th)        after
    user  day  item                user  item  order_count  order_recency  interval_mean  due
    ann   1st  milk                ann   milk  2            2.0            8.0            0.25
    ann   9th  milk
    """
    return of_rows(USER_ITEM_FEATURES, known or pairs(history))

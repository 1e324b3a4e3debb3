"""`user_features`: what a user is like as of a date."""

from dataclasses import replace

from pyspark.sql import DataFrame

from features.clock import (
    HOUR,
    WEEKDAY,
    WINDOWS,
    conversion,
    dwell_median,
    price_bucket,
    trend,
    usual_times,
    within,
)
from features.feature import FEATURES, Categorical, Cross, Family, Feature, Numeric, computed
from features.history import orders, pairs, tastes
from features.table import Column

NEVER, ONCE, NO_CATEGORY = "never bought", "bought once or never", "no item with a category"
CATEGORIES = 1024
LONG_TAIL = Numeric("log")
AFFINITIES = "slice(array_sort(collect_list(struct(-weight as less, category))), 1, 10)"  # the dearest first
SHARES = "transform(array_sort(collect_list(weight)), x -> x / sum(weight))"

RECENCY = (
    Feature("recency", "double", "since the last event", "min(days_ago)", "events", LONG_TAIL, "days"),
    Feature("tenure", "double", "since the first event", "max(days_ago)", "events", LONG_TAIL, "days"),
    Feature("order_recency", "double", "since the last order began", "min(days_ago)", "orders",
            Numeric("log", fill="max", indicator=True), "days", absent=NEVER),
)  # fmt: skip

FREQUENCY = (
    Feature("session_count", "bigint", "sessions", "count_if(place = 0)", "events", LONG_TAIL, "sessions"),
    *(
        Feature(f"session_count_{n}d", "bigint", f"sessions begun in the last {n} days",
                within(n, "place = 0"), "events", LONG_TAIL, "sessions")
        for n in WINDOWS
    ),
    Feature("active_days", "bigint", "days of the shop's calendar with an event",
            "size(collect_set(to_date(local_ts)))", "events", LONG_TAIL, "days"),
    Feature("order_count", "bigint", "orders: sessions with a purchase", "count(*)", "orders",
            LONG_TAIL, "orders", empty=0),
    *(
        Feature(f"order_count_{n}d", "bigint", f"orders of the last {n} days", within(n), "orders",
                LONG_TAIL, "orders", empty=0)
        for n in WINDOWS
    ),
    Feature("order_trend", "double",
            "logarithm of the last 28 days' orders against those of the 28 before, each with one more",
            trend(), "orders", Numeric(), empty=0),
    Feature("session_interval_median", "double", "median time from a session to the next",
            "percentile(if(place = 0, gap, null), 0.5) / 86400e6", "events",
            Numeric("log", fill="median", indicator=True), "days", absent="one session"),
    Feature("order_interval_mean", "double", "mean time from an order to the next",
            "try_divide(max(days_ago) - min(days_ago), count(*) - 1)", "orders",
            Numeric("log", fill="median", indicator=True), "days", absent=ONCE),
    Feature("order_interval_median", "double", "median time from an order to the next",
            "percentile(interval, 0.5)", "orders", Numeric("log", fill="median", indicator=True), "days", absent=ONCE),
    Feature("order_due", "double", "order_recency by order_interval_median: above 1, the next order is overdue",
            "try_divide(order_recency, order_interval_median)", FEATURES, Numeric("log", fill=1.0), absent=ONCE),
)  # fmt: skip

MONEY = (
    Feature("spend", "double", "money of all purchases", "sum(money) / 1e4", "orders",
            LONG_TAIL, "the shop's currency", empty=0),
    *(
        Feature(f"spend_{n}d", "double", f"money of the orders of the last {n} days",
                f"sum(if(days_ago <= {n}, money, 0)) / 1e4", "orders", LONG_TAIL, "the shop's currency", empty=0)
        for n in WINDOWS
    ),
    Feature("spend_per_order", "double", "mean money of an order", "sum(money) / 1e4 / count(*)", "orders",
            Numeric("log", fill="median", indicator=True), "the shop's currency", absent=NEVER),
    Feature("items_per_order", "double", "mean number of distinct items in an order", "sum(items) / count(*)", "orders",
            Numeric("log", fill="median"), "items", absent=NEVER),
    Feature("price_median", "double", "median price of a piece bought, to the hundredth",
            "percentile(if(bought, round(price, 2), null), 0.5)", "events",
            Numeric("robust", fill="median"), "the shop's currency", absent=NEVER),
    price_bucket("price_median", absent=NEVER),
)  # fmt: skip

BEHAVIOUR = (
    Feature("events_per_session", "double", "mean number of events", "count(*) / count_if(place = 0)", "events",
            LONG_TAIL, "events"),
    Feature("session_minutes", "double", "mean time from the first event of a session to its last",
            "coalesce(sum(dwell), 0) / 60e6 / count_if(place = 0)", "events", LONG_TAIL, "minutes"),
    dwell_median("median time to the next event in the session", absent="no session of two events"),
    conversion("view_to_cart", "viewed", "carted", "share of the items viewed that went into the cart, ever",
               absent="viewed nothing, or the source has no carts"),
    conversion("cart_to_purchase", "carted", "bought", "share of the items put into the cart that were bought, ever",
               absent="put nothing into the cart"),
    conversion("view_to_purchase", "viewed", "bought", "share of the items viewed that were bought, ever",
               absent="viewed nothing"),
    *usual_times("a user's"),
    Feature("peak_hour", "int", "hour of the day with the most events, the first of equals",
            f"mode({HOUR}, true)", "events", Categorical(25), "hours"),
    Feature("peak_weekday", "int", "day of the week with the most events, the first of equals; 0 is Monday",
            f"mode({WEEKDAY}, true)", "events", Categorical(8)),
)  # fmt: skip

ITEMS = (
    Feature("item_count", "bigint", "distinct items", "count(*)", "pairs", LONG_TAIL, "items", empty=0),
    Feature("rebuy_share", "double", "of the orders of each item, the share that were not its first",
            "try_divide(sum(greatest(buys - 1, 0)), sum(buys))", "pairs", Numeric(fill=0.0), absent=NEVER),
    Feature("item_interval_median", "double", "median over the items bought again of their mean interval, to the hundredth",
            "percentile(round(interval_mean, 2), 0.5)", "pairs",
            Numeric("log", fill="median", indicator=True), "days", absent="bought nothing again"),
    Feature("due_item_count", "bigint", "items bought again whose median interval has passed since they last were",
            "count_if(bought_days_ago >= interval_median)", "pairs", LONG_TAIL, "items", empty=0),
)  # fmt: skip

TASTE = (
    Feature("category_count", "bigint", "categories of the items", "count(*)", "tastes", LONG_TAIL, "categories", empty=0),
    Feature("category_entropy", "double", "entropy of the weights of the categories; 0: one alone",
            f"aggregate({SHARES}, 0D, (sum, x) -> sum - x * ln(x))", "tastes",
            Numeric(fill=0.0), "nats", absent=NO_CATEGORY),
    Feature("category_affinities", "map<string,double>", "the ten categories of the most weight and their shares of it, "
            "a behaviour weighing half as much for every 28 days back",
            f"map_from_entries(transform({AFFINITIES}, x -> struct(x.category, -x.less / sum(weight))))",
            "tastes", None, absent=NO_CATEGORY),
    Feature("favourite_category", "string", "the first of them", f"{AFFINITIES}[0].category", "tastes",
            Categorical(CATEGORIES), absent=NO_CATEGORY),
    Feature("favourite_share", "double", "its share", "max(weight) / sum(weight)", "tastes",
            Numeric(fill=0.0), absent=NO_CATEGORY),
)  # fmt: skip

USER_FEATURES = Family(
    name="user_features",
    meaning="What one user was like as of the end of a night.",
    key=(Column("user_id", "string", "who"),),
    features=(*RECENCY, *FREQUENCY, *MONEY, *BEHAVIOUR, *ITEMS, *TASTE),
    crosses=(
        Cross("peak_time", "hour and weekday together", ("peak_weekday", "peak_hour"), 256),
        Cross(
            "favourite_at_price", "what is liked, and how dear", ("favourite_category", "price_bucket"), 4096
        ),
    ),
)

ACTIVITY = replace(USER_FEATURES, features=(*RECENCY, *FREQUENCY, *MONEY), crosses=())
"""Those of them that events and orders alone tell: a small part of the work."""


def activity_features(history: DataFrame) -> DataFrame:
    """The features of ACTIVITY of every user in a `history`."""
    return computed(ACTIVITY, {"events": history, "orders": orders(history)})


def user_features(history: DataFrame, items: DataFrame, known: DataFrame | None = None) -> DataFrame:
    """The features of every user in a `history`; `items` has `item_id` and `category`.

    `known` are the `pairs` of that history, where the caller has made them already.

    before (as of the 11th)                    after
    user  day  item  category  money           user  recency  tenure  order_count  spend  favourite_category
    ann   1st  milk  dairy     1.00            ann   2.0      10.0    2            3.00   dairy
    ann   9th  milk  dairy     2.00
    """
    known = known or pairs(history)
    frames = {"events": history, "orders": orders(history), "pairs": known, "tastes": tastes(known, items)}
    return computed(USER_FEATURES, frames)

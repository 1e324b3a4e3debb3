"""`item_features`: what an item is like as of a date."""

from pyspark.sql import DataFrame

from features.clock import (
    WINDOWS,
    conversion,
    dwell_median,
    price_bucket,
    trend,
    usual_times,
    within,
)
from features.feature import FEATURES, Categorical, Cross, Family, Feature, Numeric, computed
from features.history import pairs, visits
from features.table import Column

CATEGORIES = 1024
LONG_TAIL = Numeric("log")
NO_PRICE = "no event with an amount"
AMONG_ITS_LIKE = (
    "percent_rank() over (partition by coalesce(category, item_id), price is null order by price)"
)

LIFE = (
    Feature("age", "double", "since its first event", "max(days_ago)", "events", LONG_TAIL, "days"),
    Feature("recency", "double", "since its last event", "min(days_ago)", "events", LONG_TAIL, "days"),
)

DEMAND = (
    Feature("session_count", "bigint", "sessions with the item", "count(*)", "visits", LONG_TAIL, "sessions"),
    *(
        Feature(f"session_count_{n}d", "bigint", f"sessions with it in the last {n} days",
                within(n), "visits", LONG_TAIL, "sessions")
        for n in WINDOWS
    ),
    Feature("session_trend", "double",
            "logarithm of the last 28 days' sessions against those of the 28 before, each with one more",
            trend(), "visits", Numeric()),
    Feature("order_count", "bigint", "sessions in which it was bought", "count_if(bought)", "visits", LONG_TAIL, "orders"),
    *(
        Feature(f"order_count_{n}d", "bigint", f"sessions of the last {n} days in which it was bought",
                f"count_if(bought_days_ago <= {n})", "visits", LONG_TAIL, "orders")
        for n in WINDOWS
    ),
    Feature("revenue_28d", "double", "money of its purchases in the last 28 days",
            "sum(if(bought_days_ago <= 28, money, 0)) / 1e4", "visits", LONG_TAIL, "the shop's currency"),
    Feature("pieces_per_order", "double", "mean number bought at a time", "try_divide(sum(pieces) / 1e4, count_if(bought))",
            "visits", Numeric("log", fill="median", indicator=True), "pieces", absent="never bought"),
    Feature("user_count", "bigint", "users with it", "count(*)", "pairs", LONG_TAIL, "users"),
    Feature("buyer_count", "bigint", "users who bought it", "count_if(buys > 0)", "pairs", LONG_TAIL, "users"),
)  # fmt: skip

LOYALTY = (
    Feature("rebuy_rate", "double", "share of its buyers who bought it in more than one session",
            "avg(if(buys > 0, cast(buys > 1 as int), null))", "pairs",
            Numeric(fill=0.0, indicator=True), absent="never bought"),
    Feature("repeat_interval_median", "double",
            "median over the users who bought it again of their mean interval, to the hundredth",
            "percentile(round(interval_mean, 2), 0.5)", "pairs",
            Numeric("log", fill="max", indicator=True), "days", absent="nobody bought it again"),
    conversion("view_to_cart", "viewed", "carted", "share of the users who viewed it that put it into the cart, ever",
               absent="nobody viewed it, or the source has no carts"),
    conversion("cart_to_purchase", "carted", "bought", "share of the users who put it into the cart that bought it, ever",
               absent="in nobody's cart"),
    conversion("view_to_purchase", "viewed", "bought", "share of the users who viewed it that bought it, ever",
               absent="nobody viewed it"),
    dwell_median("median time from its event to the next in the session", absent="always the last of its session"),
    *usual_times("the item's"),
)  # fmt: skip

PRICE = (
    Feature("category", "string", "from the catalogue of now", "max(category)", "catalogue",
            Categorical(CATEGORIES), absent="not in the catalogue"),
    Feature("price", "double", "median price of a piece, to the hundredth", "percentile(round(price, 2), 0.5)", "events",
            Numeric("robust", fill="median", indicator=True), "the shop's currency", absent=NO_PRICE),
    price_bucket("price", absent=NO_PRICE),
    Feature("price_rank", "double", "share of the other items of its category that are cheaper",
            f"if(category is null or price is null, null, {AMONG_ITS_LIKE})", FEATURES,
            Numeric(fill=0.5), absent=f"{NO_PRICE}, or no category"),
)  # fmt: skip

ITEM_FEATURES = Family(
    name="item_features",
    meaning="What one item was like as of the end of a night.",
    key=(Column("item_id", "string", "which"),),
    features=(*LIFE, *DEMAND, *LOYALTY, *PRICE),
    crosses=(Cross("category_at_price", "what it is, and how dear", ("category", "price_bucket"), 4096),),
)


def item_features(history: DataFrame, items: DataFrame, known: DataFrame | None = None) -> DataFrame:
    """The features of every item in a `history`; `items` has `item_id` and `category`.

    `known` are the `pairs` of that history, where the caller has made them already.

    before (as of the 11th)                    after
    user  day  item  category  money           item  age   buyer_count  rebuy_rate  repeat_interval_median
    ann   1st  milk  dairy     1.00            milk  10.0  2            0.5         8.0
    ann   9th  milk  dairy     1.00
    bob   9th  milk  dairy     1.00

    The category is what the catalogue says now: catalogues come without a past.
    """
    frames = {
        "events": history.where("item_id is not null"),
        "visits": visits(history),
        "pairs": known or pairs(history),
        "catalogue": items.select("item_id", "category"),
    }
    return computed(ITEM_FEATURES, frames)

"""Features of single behaviours: made as they are wanted, from the sessions, and kept in no table."""

from pyspark.sql import DataFrame

from features.clock import HOUR, TURN, WEEKDAY, price_bucket
from features.feature import ROW, Categorical, Cross, Family, Feature, Numeric, of_rows
from features.table import Column

LONG_TAIL = Numeric("log")
NO_PRICE = "without an amount"

BEHAVIOUR_FEATURES = Family(
    name="behaviour_features",
    meaning="What one event in a session was like.",
    key=(
        Column("user_id", "string", "who"),
        Column("session_id", "string", "in which session"),
        Column("event_id", "string", "the event"),
    ),
    features=(
        Feature("age", "double", "since the event", "days_ago", ROW, LONG_TAIL, "days"),
        Feature("place", "int", "events before it in its session", "place", ROW, LONG_TAIL, "events"),
        Feature("gap", "double", "since the user's event before, whatever session it was in", "gap / 60e6", ROW,
                Numeric("log", fill="median", indicator=True), "minutes", absent="the user's first"),
        Feature("dwell", "double", "until the next event in the session", "dwell / 1e6", ROW,
                Numeric("log", fill="median", indicator=True), "seconds", absent="the session's last"),
        Feature("hour", "int", "hour of the day", HOUR, ROW, Categorical(25), "hours"),
        Feature("weekday", "int", "day of the week; 0 is Monday", WEEKDAY, ROW, Categorical(8)),
        Feature("weekend", "int", "1 on a Saturday or Sunday, else 0", f"cast({WEEKDAY} >= 5 as int)", ROW, Categorical(3)),
        Feature("hour_sin", "double", "sine of the time of day, a day being a turn; midnight is 0",
                f"sin({TURN})", ROW, Numeric()),
        Feature("hour_cos", "double", "cosine of it; midnight is 1, noon -1", f"cos({TURN})", ROW, Numeric()),
        Feature("event_type", "string", "what it was, in the source's words", "event_type", ROW, Categorical(64)),
        Feature("category", "string", "of its item, from the catalogue of now", "category", ROW,
                Categorical(1024), absent="no item, or not in the catalogue"),
        Feature("price", "double", "of one piece", "price", ROW,
                Numeric("robust", fill="median", indicator=True), "the shop's currency", absent=NO_PRICE),
        price_bucket("price", ROW, absent=NO_PRICE),
    ),
    crosses=(
        Cross("hour_of_week", "hour and weekday together", ("weekday", "hour"), 256),
        Cross("category_at_price", "what it was with, and how dear", ("category", "price_bucket"), 4096),
        Cross("type_in_category", "what was done with what", ("event_type", "category"), 4096),
    ),
    kept=False,
)  # fmt: skip


def behaviour_features(history: DataFrame, items: DataFrame) -> DataFrame:
    """The features of every event of a `history`; `items` has `item_id` and `category`.

    before                          after
    user  session  event_ts         user  session  place  gap   dwell  hour  weekday
    ann   s1       Monday 10:00     ann   s1       0      null  300.0  10    0
    ann   s1       Monday 10:05     ann   s1       1      5.0   null   10    0
    """
    named = history.join(items.select("item_id", "category"), "item_id", "left")
    return of_rows(BEHAVIOUR_FEATURES, named)

"""Features that several families have, each declared here once. The clock is that of the shop's zone."""

from features.feature import FEATURES, Categorical, Feature, Numeric

WINDOWS = (7, 28, 90)  # days before the moment
HOUR, WEEKDAY = "hour(local_ts)", "weekday(local_ts)"
TURN = "2 * pi() * (hour(local_ts) + minute(local_ts) / 60) / 24"  # the time of day as an angle
PRICE_BUCKETS = 64


def within(days: int, condition: str = "") -> str:
    """SQL: the rows of the last `days`; the moment `days` ago is among them."""
    return f"count_if({condition + ' and ' if condition else ''}days_ago <= {days})"


def trend() -> str:
    """SQL: the logarithm of the last 28 days' count against the 28 before, each with one more so that 0 has one."""
    return "ln((count_if(days_ago <= 28) + 1) / (count_if(days_ago > 28 and days_ago <= 56) + 1))"


def mean_of(value: str) -> str:
    """SQL: the mean in millionths, which adds up alike in any order."""
    return f"sum(cast(round({value} * 1e6) as bigint)) / 1e6 / count(*)"


def usual_times(whose: str) -> tuple[Feature, ...]:
    """When the events of a user or an item are."""
    return (
        Feature("hour_sin", "double", f"mean sine of the time of day of {whose} events, a day being a turn; midnight is 0",
                mean_of(f"sin({TURN})"), "events", Numeric()),
        Feature("hour_cos", "double", "mean cosine of it; midnight is 1, noon -1",
                mean_of(f"cos({TURN})"), "events", Numeric()),
        Feature("weekend_share", "double", f"share of {whose} events on a Saturday or Sunday",
                f"count_if({WEEKDAY} >= 5) / count(*)", "events", Numeric()),
    )  # fmt: skip


def dwell_median(meaning: str, absent: str) -> Feature:
    """Half of the times to the next event in the session are shorter."""
    return Feature("dwell_median", "double", f"{meaning}, to the second",
                   "percentile(cast(round(dwell / 1e6) as bigint), 0.5)", "events",
                   Numeric("log", fill="median", indicator=True), "seconds", absent=absent)  # fmt: skip


def conversion(name: str, before: str, after: str, meaning: str, absent: str) -> Feature:
    """Of the pairs of a user and an item that came as far as `before`, the share that came to `after` as well."""
    return Feature(name, "double", meaning, f"avg(if({before}, cast({after} as int), null))", "pairs",
                   Numeric(fill="median", indicator=True), absent=absent)  # fmt: skip


def price_bucket(of: str, over: str = FEATURES, absent: str = "") -> Feature:
    """Prices that differ by less than the square root of 2 share a bucket, in whatever currency, on every night."""
    half_octave = f"cast(floor(2 * log2({of})) as int) + 20"
    value = f"if({of} > 0, least(greatest({half_octave}, 1), {PRICE_BUCKETS - 2}), if({of} = 0, 0, null))"
    meaning = f"half-octave of {of}: 20 from 1.00, 21 from 1.41, 22 from 2.00, …; 0: free"
    return Feature("price_bucket", "int", meaning, value, over, Categorical(PRICE_BUCKETS), absent=absent)

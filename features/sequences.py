"""`sequences`: one row a user, the last behaviours as parallel arrays, as of a date."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, Window, WindowSpec
from pyspark.sql import functions as f

from features.events import EVENTS, USER_ORDER, happened_before
from features.kernels import (
    INPUTS_AT_SCHEMA,
    SEQUENCE_SCHEMA,
    STEPS,
    input_schema,
    model_input,
    model_inputs_at,
    newest_steps,
)
from features.moments import at_moment
from features.sessions import FIELDS
from features.table import Column, Table

NO_ITEM = 0
"""What `items` holds for a behaviour without an item."""

ARRAYS = (
    Column("items", "array<int>", "item_index of each behaviour, 0 where it has no item"),
    Column("event_types", "array<string>", "what each was"),
    Column("timestamps", "array<timestamp>", "when each was", unit="UTC, microseconds", dictionary=False),
    Column(
        "sessions", "array<int>", "number of the user's session it was in, from 1; 0: a passive one, in none"
    ),
    Column(
        "session_starts",
        "array<timestamp>",
        "start of that session, else its own time",
        unit="UTC, microseconds",
        dictionary=False,
    ),
    Column("quantities", "array<double>", "how many", unit="pieces"),
    Column("amounts", "array<double>", "for how much", unit="the shop's currency"),
    Column("channels", "array<string>", "by which way, empty where it is not told"),
)

SEQUENCES = Table(
    name="sequences",
    meaning="One user's last behaviours, oldest first, as of the newest night.",
    columns=(
        Column("user_id", "string", "who", dictionary=False),
        Column("user_bucket", "int", "hash of user_id, modulo features.user_buckets"),
        Column("session_count", "int", "of the user so far: the number of the newest", unit="sessions"),
        Column("length", "int", "behaviours in each array", unit="behaviours"),
        *ARRAYS,
    ),
    key=("user_id", "user_bucket"),
    partition_by=("user_bucket",),
    statistics=("length",),
)

MADE_OF = tuple(column for column, *_ in STEPS.values())
"""The columns of steps that the arrays are made of."""

ORDER_TYPES = {column.name: column.data_type for column in EVENTS.columns if column.name in USER_ORDER[1:]}


def bucket_of(buckets: int) -> Expression:
    return f.pmod(f.xxhash64("user_id"), f.lit(buckets)).cast("int").alias("user_bucket")


def sequences(
    sessions: DataFrame,
    passive: DataFrame | None,
    items: DataFrame,
    as_of: datetime | None,
    max_length: int,
    buckets: int,
) -> DataFrame:
    """The sequences of users as of a moment: what happened before it, the newest `max_length` behaviours.

    Without `as_of`: all that has arrived.

    before (as of 11:30)                           after
    session  user  events                          user  items   event_types    sessions  timestamps
    s1       ann   10:00 milk, 10:05 bread         ann   3 4 0 4  buy buy mail   1 1 0 2   10:00 10:05 10:30 11:00
    s2       ann   11:00 bread, 12:00 jam                        buy
    passive  ann   10:30 a letter

    `sessions` as SESSIONS, `passive` as EVENTS or none, `items` with `item_id` and `item_index`.
    """
    order: tuple[str, ...] = ("start_ts", "place")  # the same order as USER_ORDER, and far less to carry
    if passive is None:
        every = _steps(sessions, ())
    else:
        order = USER_ORDER
        inside = _steps(sessions, USER_ORDER).drop("place")
        every = inside.unionByName(_outside_sessions(passive).select(*inside.columns))
    steps = _indexed(every.where(happened_before(as_of)), items)
    return gathered(steps.withColumn("session_count", f.lit(None).cast("int")), order, max_length, buckets)


def updated(
    stored: DataFrame,
    counts: DataFrame,
    sessions: DataFrame,
    passive: DataFrame,
    days: DataFrame,
    items: DataFrame,
    max_length: int,
    buckets: int,
) -> DataFrame:
    """The sequences of the users for whom something changed on `days`, from those that are `stored`.

    before (the 2nd changed)                        after
    stored    ann  1st milk, 2nd bread, 3rd milk    ann  1st milk, 2nd bread, 2nd jam, 3rd milk
    sessions  ann  2nd bread, 2nd jam               sessions 1 2 3 4

    Behaviours of a day that is not among a user's `days` stay as they are stored; those of the others are made anew.
    The result is that of `sequences`, for users who lost no behaviour or whose stored sequence is not cut. A user without
    a behaviour left has no row.

    stored    rows of SEQUENCES of the users in `days`
    counts    how many sessions each user has now, see `session_counts`
    sessions  those that lie on the days, as SESSIONS; passive: the events that do, as EVENTS
    days      `user_id`, `event_date`, distinct
    """
    fields = f.arrays_zip(*(column.name for column in ARRAYS))
    rest = stored.select("user_id", f.posexplode(fields).alias("place", "_step")).select(
        "user_id",
        f.col("_step.timestamps").alias("event_ts"),
        *(f.lit(None).cast(kind).alias(name) for name, kind in ORDER_TYPES.items() if name != "ingest_seq"),
        f.col("place").cast("bigint").alias("ingest_seq"),
        f.col("_step.event_types").alias("event_type"),
        f.col("_step.items").alias("item_index"),
        (f.col("_step.sessions") > 0).alias("is_active"),
        f.col("_step.session_starts").alias("start_ts"),
        f.col("_step.quantities").alias("quantity"),
        f.col("_step.amounts").alias("amount"),
        f.col("_step.channels").alias("channel"),
    )
    on_day = f.to_date("event_ts").alias("event_date")
    kept = rest.withColumn("event_date", on_day).join(days, ["user_id", "event_date"], "left_anti")
    inside = sessions.select("user_id", f.lit(True).alias("is_active"), "start_ts", f.inline("events"))
    anew = inside.unionByName(_outside_sessions(passive)).withColumn("event_date", on_day)
    anew = _indexed(anew.join(days, ["user_id", "event_date"], "left_semi"), items)
    steps = kept.unionByName(anew.select(*kept.columns)).drop("event_date")
    # Of a user's newest behaviours every later session is known: their numbers count down from the newest.
    counted = steps.join(counts, "user_id", "left")
    return gathered(counted, USER_ORDER, max_length, buckets)


def _steps(sessions: DataFrame, order: tuple[str, ...]) -> DataFrame:
    """The events of sessions as steps of a sequence, with `place` in their session, and with these of their fields too."""
    fields = [name for name in FIELDS if name in (*MADE_OF, "item_id", *order)]
    # Of an array of structs that is exploded Spark reads every field; of these arrays it reads just them.
    arrays = sessions.select("user_id", "start_ts", *(f.col("events")[name].alias(name) for name in fields))
    exploded = arrays.select(
        "user_id", "start_ts", f.posexplode(f.arrays_zip(*fields)).alias("place", "event")
    )
    return exploded.select("user_id", f.lit(True).alias("is_active"), "start_ts", "place", "event.*")


def session_counts(stored: DataFrame, changes: DataFrame) -> DataFrame:
    """How many sessions each user has now: `user_id`, `session_count`.

    stored    rows of SEQUENCES
    changes   `user_id` and `_is_in` of each session that was put in or taken out since
    """
    before = stored.select("user_id", "session_count")
    since = changes.select("user_id", f.when(f.col("_is_in"), 1).otherwise(-1).alias("session_count"))
    total = f.sum("session_count").cast("int").alias("session_count")
    return before.unionByName(since).groupBy("user_id").agg(total)


def _outside_sessions(passive: DataFrame) -> DataFrame:
    """Passive events as steps of a sequence: in no session, which starts with them."""
    return passive.select(
        "user_id", f.lit(False).alias("is_active"), f.col("event_ts").alias("start_ts"), *FIELDS
    )


def _indexed(events: DataFrame, items: DataFrame) -> DataFrame:
    return events.join(items.select("item_id", "item_index"), "item_id", "left")


def gathered(steps: DataFrame, order: tuple[str, ...], max_length: int, buckets: int) -> DataFrame:
    """One row a user: the newest `max_length` of the steps, in `order`; see `newest_steps`."""
    columns = ("user_id", "is_active", "start_ts", "session_count", *MADE_OF)
    made = in_order(steps, order, columns).mapInArrow(
        partial(newest_steps, max_length=max_length), SEQUENCE_SCHEMA
    )
    return made.select("user_id", bucket_of(buckets), "session_count", "length", *(c.name for c in ARRAYS))


def in_order(steps: DataFrame, order: tuple[str, ...], names: Iterable[str]) -> DataFrame:
    """Some columns of the steps, the users each in one place, one behind the other, in `order`. One exchange, one sort."""
    columns = dict.fromkeys(names)
    # Not by user_id itself: Spark leaves such an exchange out above a join by user_id, and nothing tells it that users must
    # stay together when it turns to a broadcast on the way and reads that join's exchange as it lies on each machine.
    by_user = steps.select(*columns, *(name for name in order if name not in columns))
    by_user = by_user.repartition(f.xxhash64("user_id"))
    return by_user.sortWithinPartitions("user_id", *order).select(*columns)


def as_model_input(
    sequences: DataFrame,
    event_types: list[str],
    as_of: datetime | Expression,
    excluded_types: list[str] | None = None,
    zone: str | None = None,
) -> DataFrame:
    """What models take, of the active behaviours of some types before a moment: `user_id`, `items`, `sessions`, `ages`.

    before (as of the 3rd, 10:00)                            after
    user  items  event_types  sessions  session_starts       user  items  sessions  ages
    ann   3 0 4  buy mail buy 1 0 2     1st, 2nd, 2nd 10:00  ann   3 4    1 2       2.0 1.0

    `ages` are days from the start of the behaviour's session to `as_of`, as float. A night's file may hold events from
    after its night (of clocks that run ahead): the table has them, a model does not see them.

    With `excluded_types` everyone is there who was active before the moment, with or without behaviours of `event_types`,
    and `excluded` are the items of the `excluded_types`. A row that is broken has null for all arrays.
    With a `zone`, `contexts` tells of each behaviour its type, its channel and when it was by that zone's clock
    (features/contexts.py).
    """
    until = f.lit(_micros(as_of)) if isinstance(as_of, datetime) else f.unix_micros(as_of)
    arrays = [
        "items",
        "event_types",
        "sessions",
        "session_starts",
        "timestamps",
        *["channels"] * (zone is not None),
    ]
    columns = sequences.select("user_id", until.cast("bigint").alias("until"), *arrays)
    made = partial(
        model_input,
        event_types=list(event_types),
        excluded_types=excluded_types,
        zone=zone,
    )
    return columns.mapInArrow(made, input_schema(zone is not None, excluded_types is not None))


def _micros(moment: datetime) -> int:
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) * 1_000_000 + moment.microsecond


def model_inputs_as_of(
    sessions: DataFrame,
    items: DataFrame,
    moments: Iterable[datetime],
    event_types: list[str],
    max_length: int,
    length: int,
) -> DataFrame:
    """What `as_model_input` makes of the `sequences` as of each moment, of that the newest `length` behaviours; in one pass.

    Users are as in features/moments.py: someone of their own at each moment.
    """
    steps = _indexed(_steps(sessions, ()), items)
    columns = ("user_id", "is_active", "start_ts", "item_index", "event_type", "event_ts")
    made = partial(
        model_inputs_at,
        moments=sorted(map(_micros, moments)),
        max_length=max_length,
        event_types=list(event_types),
        length=length,
    )
    found = in_order(steps, ("start_ts", "place"), columns).mapInArrow(made, INPUTS_AT_SCHEMA)
    return found.withColumn("user_id", at_moment(f.timestamp_micros("until"))).drop("until")


def next_sessions(
    sessions: DataFrame, items: DataFrame, event_types: list[str], start: datetime, end: datetime
) -> DataFrame:
    """The distinct items of each user's first session that starts in `[start, end)`: `user_id`, `targets` (item_index).

    before (from 11:00 to 13:00)          after
    user  start  items                    user  targets
    ann   10:00  milk                     ann   4 5
    ann   11:00  bread, jam, bread
    ann   12:00  milk
    """
    within = sessions.where((f.col("start_ts") >= f.lit(start)) & (f.col("start_ts") < f.lit(end)))
    first = within.withColumn("_n", f.row_number().over(_by_start())).where("_n = 1")
    events = first.select("user_id", f.inline("events")).where(f.col("event_type").isin(event_types))
    indexed = events.join(items.select("item_id", "item_index"), "item_id")
    return indexed.groupBy("user_id").agg(f.array_sort(f.collect_set("item_index")).alias("targets"))


def _by_start() -> WindowSpec:
    return Window.partitionBy("user_id").orderBy("start_ts", "session_id")

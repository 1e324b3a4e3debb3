"""`events`: one row a cleaned behaviour; and the rules by which a raw record becomes one or is refused."""

import re
from datetime import datetime, timedelta

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as f
from pyspark.sql.types import (
    DateType,
    IntegralType,
    NullType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from conf.schema import IdentitySource, Source
from features.formats import SourceError, key_of, selected, understood
from features.table import Column, Table

EVENTS = Table(
    name="events",
    meaning="One cleaned behaviour of one user.",
    columns=(
        Column(
            "event_id", "string", "the source's own id, else a hash of the whole record", dictionary=False
        ),
        Column("user_id", "string", "who"),
        Column("event_ts", "timestamp", "when", unit="UTC, microseconds", dictionary=False),
        Column("event_date", "date", "day of event_ts", unit="UTC"),
        Column("event_type", "string", "what, in the source's words"),
        Column("is_active", "boolean", "whether events of this type open and extend sessions"),
        Column("item_id", "string", "with which item", nullable=True),
        Column("quantity", "double", "how many", nullable=True, unit="pieces"),
        Column("amount", "double", "for how much in all", nullable=True, unit="the shop's currency"),
        Column("channel", "string", "by which way: web, app, shop", nullable=True),
        Column("attributes", "map<string,string>", "anything else the source says"),
        Column("source", "string", "name of the source's configuration"),
        Column(
            "arrival_date", "date", "when the file came: the date in its path, else the day of its ingest"
        ),
        Column("source_file", "string", "the file"),
        Column("ingest_seq", "bigint", "rises with the position in the file", dictionary=False),
        Column(
            "batch",
            "bigint",
            "number of the ingest that brought it; readers use only those in ingested_files",
        ),
    ),
    key=("event_id", "event_date"),  # an id names one event of a day: no other day is searched for it
    partition_by=("event_date",),
    statistics=("event_ts", "batch", "arrival_date"),
)

USER_ORDER = ("event_ts", "arrival_date", "source_file", "ingest_seq", "event_id")
"""The order of one user's events: by time, then by arrival, so that equal times have one order."""

ARRIVAL_ORDER = ("arrival_date", "source_file", "ingest_seq")
"""The order in which records came."""

MAPPED = {
    "user_id": "string",
    "event_ts": "",  # see `in_utc`
    "event_type": "string",
    "item_id": "string",
    "quantity": "double",
    "amount": "double",
    "channel": "string",
    "attributes": "map<string,string>",
}
"""The columns that a source's expressions give, and the types that they are cast to."""

MICROS = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 0.001}
PARSED = [c.name for c in EVENTS.columns if c.name not in ("event_date", "is_active", "batch")]
DATED = r"^\s*[+-]?\d{4,}-\d{1,2}-\d{1,2}"  # Spark reads a bare clock as that of today
ZONED = r"^\s*[^T\s]+[T\s].*[A-Za-z+-]"  # an offset or the name of a zone behind the clock


def happened_before(as_of: datetime | None) -> Expression:
    """The condition of a function as of a moment; none: of all that has arrived."""
    return f.lit(True) if as_of is None else f.col("event_ts") < f.lit(as_of)


def parse(records: DataFrame, source: Source) -> DataFrame:
    """Records with their fields as events, each with the `reason` for which it is refused, if any.

    before                                         after
    fields                            fault        event_id  user_id  event_ts             reason
    {a, ann, 2026-11-02T10:00Z, …}    null         a         ann      2026-11-02 10:00:00  null
    {b, null, 2026-11-02T10:00Z, …}   null         b         null     2026-11-02 10:00:00  no_user
    {null, null, null, …}             no_events    null      null     null                 no_events

    Takes `source_file`, `arrival_date`, `ingest_seq`, `text`, `fields`, `fault`; keeps `text` beside the columns of
    `events`. Raises `SourceError` for an expression of the source that does not fit its fields.
    """
    own = ("source_file", "arrival_date", "ingest_seq", "text")
    of_reader = f.struct(*own, "fault").alias("_record")  # a field of the log may have such a name
    kept = [f.col(f"_record.{name}") for name in own]
    kept += [f.lit(source.name).alias("source"), f.col("_record.fault").alias("_fault")]
    named = selected(records.select(of_reader, "fields.*"), kept, source, _expressions(source))
    typed = named.withColumns(
        {
            "event_ts": in_utc(named, source, "event_ts"),
            "attributes": f.coalesce("attributes", f.expr("map()")),
        }
    )
    return typed.withColumn("reason", _first_reason(source)).drop("_fault")


def _expressions(source: Source) -> dict[str, str]:
    """The columns that a record gives, as Spark SQL, of the types of `events`; `event_ts` as it comes."""
    own_id = source.event_id or "sha2(_record.text, 256)"
    given = {"event_id": own_id} | {name: getattr(source, name) for name in MAPPED}
    types = {"event_id": "string"} | MAPPED
    return {name: f"cast(({sql}) as {types[name]})" if types[name] else sql for name, sql in given.items()}


def in_utc(named: DataFrame, source: Source | IdentitySource, name: str) -> Expression:
    """A column of times as instants.

    time (timezone: Europe/Berlin)       kind                         after
    2026-11-02T10:00:00Z                 text with an offset          2026-11-02 10:00:00
    2026-11-02T10:00:00                  text without one             2026-11-02 09:00:00
    2026-11-02                           date, or local timestamp     2026-11-01 23:00:00
    1793613600                           number, time_unit: s         2026-11-02 10:00:00

    Raises `SourceError` for a number without `time_unit` and for what is no time.
    """
    kind, value = named.schema[name].dataType, f.col(name)
    if isinstance(kind, TimestampType):
        return value
    if isinstance(kind, TimestampNTZType | DateType):
        return f.to_utc_timestamp(value.cast("timestamp"), source.timezone)
    if isinstance(kind, NullType):
        return value.cast("timestamp")
    if isinstance(kind, StringType):
        return _of_text(value, source)
    if isinstance(kind, NumericType) and source.time_unit:
        return _of_number(name, kind, source.time_unit)
    key, unit = key_of(source, name), key_of(source, "time_unit")
    idea = f"say {unit}: s, ms, us or ns" if isinstance(kind, NumericType) else f"change {key}"
    raise SourceError(f"{key} gives a {kind.simpleString()}, expected a timestamp or text: {idea}")


def judge_times(parsed: DataFrame, late_days: int) -> DataFrame:
    """Refuses what lies too far from its file's arrival date.

    arrival_date  event_ts             late_days  reason
    2026-11-02    2026-10-03 00:00:00  30         null
    2026-11-02    2026-10-02 23:59:59  30         too_late
    2026-11-02    2026-11-03 01:00:00  30         null
    2026-11-02    2026-11-03 01:00:01  30         from_future
    """
    arrival = f.col("arrival_date").cast("timestamp")
    return parsed.withColumn(
        "reason",
        f.when(f.col("reason").isNotNull(), f.col("reason"))
        .when(f.col("event_ts") < arrival - f.lit(timedelta(days=late_days)), "too_late")
        .when(is_from_future(f.col("event_ts")), "from_future"),
    )


def is_from_future(time: Expression) -> Expression:
    """Whether it lies behind the end of its file's arrival date, and an hour that a clock may be fast."""
    return time > f.col("arrival_date").cast("timestamp") + f.lit(timedelta(days=1, hours=1))


def number_identical_rows(parsed: DataFrame) -> DataFrame:
    """For sources in which rows alike are several events: the n-th of a file gets an id of its own."""
    alike = Window.partitionBy("source_file", "event_id").orderBy("ingest_seq")
    number = f.row_number().over(alike)
    again = f.sha2(f.concat_ws(":", "event_id", number.cast("string")), 256)
    return parsed.withColumn("event_id", f.when(number > 1, again).otherwise(f.col("event_id")))


def repeated_ids(parsed: DataFrame, stored: DataFrame) -> DataFrame:
    """Of the accepted records, the ids that come more than once on a day or are stored: with `first`, `is_stored`.

    before                              after
    event_id  day  ingest_seq  stored   event_id  event_date  first  is_stored
    a         2nd  0                    a         2nd         0      false
    a         2nd  1                    b         2nd         2      true
    b         2nd  2           b 2nd
    c         2nd  3           c 1st

    `first` is the place of the first to arrive. Few ids, as a rule: what `mark_duplicates` needs, and no more.
    """
    accepted = parsed.where("reason is null").groupBy("event_id", f.to_date("event_ts").alias("event_date"))
    places = accepted.agg(f.count("*").alias("_times"), f.min(f.struct(*ARRIVAL_ORDER)).alias("first"))
    ids = stored.select(*EVENTS.key).distinct().withColumn("is_stored", f.lit(True))
    known = places.join(ids, list(EVENTS.key), "left").fillna(False, ["is_stored"])
    return known.where("is_stored or _times > 1").select(*EVENTS.key, "first", "is_stored")


def mark_duplicates(parsed: DataFrame, repeated: DataFrame) -> DataFrame:
    """Adds `is_duplicate`: an accepted record whose event is stored already, or came earlier among these.

    before                     repeated                          after
    event_id  day  ingest_seq  event_id  day  first  is_stored   event_id  is_duplicate
    a         2nd  0           a         2nd  0      false       a         false
    a         2nd  1           b         2nd  2      true        a         true
    b         2nd  2                                             b         true
    """
    later = f.col("is_stored") | (f.col("first") != f.struct(*ARRIVAL_ORDER))
    is_duplicate = f.col("reason").isNull() & f.coalesce(later, f.lit(False))
    dated = parsed.withColumn("event_date", f.to_date("event_ts"))
    marked = dated.join(repeated, list(EVENTS.key), "left").withColumn("is_duplicate", is_duplicate)
    return marked.drop("first", "is_stored", "event_date")


def is_active(source: Source) -> Expression:
    """Whether an event is of a type that makes sessions."""
    return f.col("event_type").isin([name for name, active in source.event_types.items() if active])


def to_events(parsed: DataFrame, source: Source, batch: int) -> DataFrame:
    """The rows of `events` among parsed records: accepted and not a duplicate."""
    new = parsed.where("reason is null and not is_duplicate").select(*PARSED)
    return new.withColumns(
        {
            "event_date": f.to_date("event_ts"),
            "is_active": is_active(source),
            "batch": f.lit(batch).cast("bigint"),
        }
    )


def _of_text(value: Expression, source: Source | IdentitySource) -> Expression:
    if source.time_format:
        with understood(key_of(source, "time_format"), source.time_format):
            form = f.lit(source.time_format)
            SparkSession.active().sql("select 1").select(f.try_to_timestamp(f.lit("2026"), form)).collect()
        instant = f.try_to_timestamp(value, f.lit(source.time_format))
        zoned = f.lit(bool(re.search("[VzOXxZ]", re.sub("'[^']*'", "", source.time_format))))
    else:
        instant, zoned = f.when(value.rlike(DATED), f.try_to_timestamp(value)), value.rlike(ZONED)
    return f.when(zoned, instant).otherwise(f.to_utc_timestamp(instant, source.timezone))


def _of_number(name: str, kind: NumericType, unit: str) -> Expression:
    """One that is too large for a timestamp is null; a fraction of a microsecond is cut off."""
    value = f.col(name)
    if not isinstance(kind, IntegralType):
        exact = value.cast("decimal(38,9)") * f.lit(MICROS[unit]).cast("decimal(12,4)")
        return f.timestamp_micros(f.floor(exact).try_cast("bigint"))
    if unit == "ns":
        return f.timestamp_micros(f.expr(f"({name} - pmod({name}, 1000)) div 1000"))
    return f.timestamp_micros(f.try_multiply(value.cast("bigint"), f.lit(MICROS[unit])))


def _first_reason(source: Source) -> Expression:
    def blank(name: str) -> Expression:
        return f.trim(f.coalesce(name, f.lit(""))) == ""

    unknown = ~f.col("event_type").isin(list(source.event_types)) | f.col("event_type").isNull()
    return (
        f.when(f.col("_fault").isNotNull(), f.col("_fault"))
        .when(blank("event_id"), "no_id")
        .when(blank("user_id"), "no_user")
        .when(f.col("event_ts").isNull(), "no_time")
        .when(unknown, "unknown_type")
    )

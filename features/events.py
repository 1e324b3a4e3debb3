"""`events`: one row a cleaned behaviour; and the rules by which a raw record becomes one or is refused."""

from dataclasses import asdict
from datetime import datetime, timedelta

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as f
from pyspark.sql.types import StringType, TimestampNTZType

from conf.schema import Source
from features.table import Column, Table

EVENTS = Table(
    name="events",
    meaning="One cleaned behaviour of one user.",
    columns=(
        Column("event_id", "string", "the source's own id, else a hash of the whole record"),
        Column("user_id", "string", "who"),
        Column("event_ts", "timestamp", "when", unit="UTC, microseconds"),
        Column("event_date", "date", "day of event_ts", unit="UTC"),
        Column("event_type", "string", "what, in the source's words"),
        Column("is_active", "boolean", "whether events of this type open and extend sessions"),
        Column("item_id", "string", "with which item", nullable=True),
        Column("quantity", "double", "how many", nullable=True, unit="pieces"),
        Column("amount", "double", "for how much in all", nullable=True, unit="the shop's currency"),
        Column("attributes", "map<string,string>", "anything else the source says"),
        Column("source", "string", "name of the source's configuration"),
        Column(
            "arrival_date", "date", "when the file came: the date in its path, else the day of its ingest"
        ),
        Column("source_file", "string", "the file"),
        Column("ingest_seq", "bigint", "rises with the position in the file"),
        Column(
            "batch",
            "bigint",
            "number of the ingest that brought it; readers use only those in ingested_files",
        ),
    ),
    key=("event_id",),
    partition_by=("event_date",),
    statistics=("event_ts", "batch", "arrival_date"),
)

USER_ORDER = ("event_ts", "arrival_date", "source_file", "ingest_seq", "event_id")
"""The order of one user's events: by time, then by arrival, so that equal times have one order."""

ARRIVAL_ORDER = ("arrival_date", "source_file", "ingest_seq")
"""The order in which records came."""

PARSED = [c.name for c in EVENTS.columns if c.name not in ("event_date", "is_active", "batch")]
DATED = r"^\s*[+-]?\d{4,}-\d{1,2}-\d{1,2}"  # Spark reads a bare clock as that of today
ZONED = r"^\s*[^T\s]+[T\s].*[A-Za-z+-]"  # an offset or the name of a zone behind the clock
ALONE = "coalesce(json_array_length(concat('[', _record.text, ']')), 0) = 1"  # Spark passes over what follows a record


def happened_before(as_of: datetime | None) -> Expression:
    """The condition of a function as of a moment; none: of all that has arrived."""
    return f.lit(True) if as_of is None else f.col("event_ts") < f.lit(as_of)


def parse(records: DataFrame, source: Source) -> DataFrame:
    """Raw JSON lines as events, each with the `reason` for which it is refused, if any.

    before                                           after
    text                                             event_id  user_id  event_ts             reason
    {"id":"a","user":"ann","t":"2026-11-02T10:00Z"}  a         ann      2026-11-02 10:00:00  null
    {"id":"b","t":"2026-11-02T10:00Z"}               b         null     2026-11-02 10:00:00  no_user
    {"id":"c","user":                                null      null     null                 not_a_record

    Takes `source_file`, `arrival_date`, `ingest_seq`, `text`; keeps `text` beside the columns of `events`.
    """
    schema = f"{source.schema}, _not_a_record string"
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "_not_a_record"}
    raw = records.withColumn("_raw", f.from_json("text", schema, options))
    own = [f"_record.{name}" for name in ("source_file", "arrival_date", "ingest_seq", "text")]
    fields = raw.select(f.struct(*records.columns).alias("_record"), "_raw.*")  # a field may have such a name
    columns = {name: f.expr(getattr(source, name)) for name in _mapped(source)}
    own_id = f.expr(source.event_id) if source.event_id else f.sha2("_record.text", 256)
    named = fields.select(
        *own,
        own_id.cast("string").alias("event_id"),
        *(expression.alias(name) for name, expression in columns.items()),
        f.lit(source.name).alias("source"),
        (f.col("_not_a_record").isNotNull() | ~f.expr(ALONE)).alias("_broken"),
    )
    typed = named.withColumns(
        {
            "user_id": f.col("user_id").cast("string"),
            "event_ts": _as_utc(named, "event_ts", source.timezone),
            "event_type": f.col("event_type").cast("string"),
            "item_id": f.col("item_id").cast("string"),
            "quantity": f.col("quantity").cast("double"),
            "amount": f.col("amount").cast("double"),
            "attributes": f.coalesce(f.col("attributes").cast("map<string,string>"), f.expr("map()")),
        }
    )
    return typed.withColumn("reason", _first_reason(source)).drop("_broken")


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
        .when(f.col("event_ts") > arrival + f.lit(timedelta(days=1, hours=1)), "from_future"),
    )


def number_identical_rows(parsed: DataFrame) -> DataFrame:
    """For sources in which rows alike are several events: the n-th of a file gets an id of its own."""
    alike = Window.partitionBy("source_file", "event_id").orderBy("ingest_seq")
    number = f.row_number().over(alike)
    again = f.sha2(f.concat_ws(":", "event_id", number.cast("string")), 256)
    return parsed.withColumn("event_id", f.when(number > 1, again).otherwise(f.col("event_id")))


def repeated_ids(parsed: DataFrame, stored_ids: DataFrame) -> DataFrame:
    """Of the accepted records, the ids that come more than once or are stored: `event_id`, `first`, `stored`.

    before                          after
    event_id  ingest_seq  stored    event_id  first  stored
    a         0                     a         0      false
    a         1                     b         2      true
    b         2           b
    c         3

    `first` is the place of the first to arrive. Few ids, as a rule: what `mark_duplicates` needs, and no more.
    """
    accepted = parsed.where("reason is null").groupBy("event_id")
    places = accepted.agg(f.count("*").alias("_times"), f.min(f.struct(*ARRIVAL_ORDER)).alias("first"))
    stored = stored_ids.select("event_id").distinct().withColumn("stored", f.lit(True))
    known = places.join(stored, "event_id", "left").fillna(False, ["stored"])
    return known.where("stored or _times > 1").select("event_id", "first", "stored")


def mark_duplicates(parsed: DataFrame, repeated: DataFrame) -> DataFrame:
    """Adds `is_duplicate`: an accepted record whose `event_id` is stored already, or came earlier among these.

    before                repeated                    after
    event_id  ingest_seq  event_id  first  stored     event_id  is_duplicate
    a         0           a         0      false      a         false
    a         1           b         2      true       a         true
    b         2                                       b         true
    """
    later = f.col("stored") | (f.col("first") != f.struct(*ARRIVAL_ORDER))
    is_duplicate = f.col("reason").isNull() & f.coalesce(later, f.lit(False))
    marked = parsed.join(repeated, "event_id", "left").withColumn("is_duplicate", is_duplicate)
    return marked.drop("first", "stored")


def to_events(parsed: DataFrame, source: Source, batch: int) -> DataFrame:
    """The rows of `events` among parsed records: accepted and not a duplicate."""
    active = [name for name, is_active in source.event_types.items() if is_active]
    new = parsed.where("reason is null and not is_duplicate").select(*PARSED)
    return new.withColumns(
        {
            "event_date": f.to_date("event_ts"),
            "is_active": f.col("event_type").isin(active),
            "batch": f.lit(batch).cast("bigint"),
        }
    )


def _mapped(source: Source) -> list[str]:
    wanted = ("user_id", "event_ts", "event_type", "item_id", "quantity", "amount", "attributes")
    return [name for name in wanted if name in asdict(source)]


def _as_utc(frame: DataFrame, name: str, timezone: str) -> Expression:
    """The column as an instant: text or local time without an offset or a zone is read in `timezone`."""
    kind, value = frame.schema[name].dataType, f.col(name)
    if isinstance(kind, TimestampNTZType):
        return f.to_utc_timestamp(value.cast("timestamp"), timezone)
    if isinstance(kind, StringType):
        instant = f.when(value.rlike(DATED), f.try_to_timestamp(value))
        return f.when(value.rlike(ZONED), instant).otherwise(f.to_utc_timestamp(instant, timezone))
    return value


def _first_reason(source: Source) -> Expression:
    def blank(name: str) -> Expression:
        return f.trim(f.coalesce(name, f.lit(""))) == ""

    unknown = ~f.col("event_type").isin(list(source.event_types)) | f.col("event_type").isNull()
    return (
        f.when(f.col("_broken"), "not_a_record")
        .when(blank("event_id"), "no_id")
        .when(blank("user_id"), "no_user")
        .when(f.col("event_ts").isNull(), "no_time")
        .when(unknown, "unknown_type")
    )

"""What a source makes of a sample of its records: counts, refusals, times, types, sessions, and a verdict."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as f

from conf.schema import IdentitySource, Records, Source
from features.events import is_active
from features.sessions import mark_sessions

OK, WITH_REFUSALS, UNUSABLE = "ok", "ok with refusals", "unusable"
EVENT, DUPLICATE = "event", "duplicate"  # stand in for a reason
OPTIONAL = ("item_id", "quantity", "amount", "channel", "attributes")
EARLIEST = datetime(1995, 1, 1)
"""Before it nobody logged a shop's clicks: a time in another unit, or none."""


@dataclass(frozen=True)
class Refusal:
    """Why records were refused, how many, and the first of them."""

    reason: str
    count: int
    file: str
    place: int
    text: str


@dataclass(frozen=True)
class Findings:
    """What became of a sample. Times are UTC; `without` is the share of events that lack an optional column."""

    records: int
    events: int
    duplicates: int
    refusals: tuple[Refusal, ...]
    types: dict[str | None, int]
    unknown_types: dict[str | None, int]
    first: datetime | None
    last: datetime | None
    users: int
    items: int
    sessions: int
    without: dict[str, float]
    shown: tuple[Row, ...]

    @property
    def verdict(self) -> str:
        """`ok`; `ok with refusals`; `unusable` where fewer than half of the records are events, new or known."""
        return _verdict(self.events + self.duplicates, self.records)


@dataclass(frozen=True)
class LoginFindings:
    """What became of a sample of an identity map. Times are UTC."""

    records: int
    logins: int
    duplicates: int
    refusals: tuple[Refusal, ...]
    anonymous_ids: int
    users: int
    first: datetime | None
    last: datetime | None
    shown: tuple[Row, ...]

    @property
    def verdict(self) -> str:
        """As of events."""
        return _verdict(self.logins + self.duplicates, self.records)


def _verdict(taken: int, records: int) -> str:
    if not taken or 2 * taken < records:
        return UNUSABLE
    return OK if taken == records else WITH_REFUSALS


def findings(parsed: DataFrame, source: Source, gap: timedelta, rows: int) -> Findings:
    """Judges parsed records with `reason` and `is_duplicate`; the first `rows` of the events are shown as they are."""
    events = parsed.where("reason is null and not is_duplicate")
    fates, facts = _fates(parsed, "event_type"), _facts(events)
    marked = mark_sessions(events.where(is_active(source)), gap)
    return Findings(
        records=sum(fate["count"] for fate in fates),
        events=sum(_types(fates, EVENT).values()),
        duplicates=sum(_types(fates, DUPLICATE).values()),
        refusals=_refusals(fates),
        types=_types(fates, EVENT),
        unknown_types=_types(fates, "unknown_type"),
        first=facts["first"],
        last=facts["last"],
        users=facts["users"],
        items=facts["items"],
        sessions=marked.select("user_id", "session").distinct().count(),
        without={name: facts[name] for name in OPTIONAL},
        shown=tuple(events.orderBy("source_file", "ingest_seq").limit(rows).collect()),
    )


def login_findings(parsed: DataFrame, rows: int) -> LoginFindings:
    """Judges parsed logins with `reason` and `is_duplicate`; the first `rows` of them are shown as they are."""
    logins = parsed.where("reason is null and not is_duplicate")
    fates = _fates(parsed)
    counts = {row["fate"]: row["count"] for row in fates}
    [facts] = logins.agg(
        f.countDistinct("anonymous_id").alias("anonymous_ids"),
        f.countDistinct("user_id").alias("users"),
        f.min("valid_from").alias("first"),
        f.max("valid_from").alias("last"),
    ).collect()
    return LoginFindings(
        records=sum(counts.values()),
        logins=counts.get(EVENT, 0),
        duplicates=counts.get(DUPLICATE, 0),
        refusals=_refusals(fates),
        **facts.asDict(),
        shown=tuple(logins.orderBy("source_file", "ingest_seq").limit(rows).collect()),
    )


def _fates(parsed: DataFrame, *by: str) -> list[Row]:
    """What became of records, by reason and these columns: how many, and the first of them."""
    taken = f.when(f.col("is_duplicate"), DUPLICATE).otherwise(EVENT)
    first = f.min(f.struct("source_file", "ingest_seq", "text")).alias("first")
    grouped = parsed.groupBy(f.coalesce("reason", taken).alias("fate"), *by)
    return grouped.agg(f.count("*").alias("count"), first).collect()


def _types(fates: list[Row], fate: str) -> dict[str | None, int]:
    """Type of event -> how many of that fate, the most frequent first."""
    counts = {row["event_type"]: row["count"] for row in fates if row["fate"] == fate}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0] or "")))


def _refusals(fates: list[Row]) -> tuple[Refusal, ...]:
    """One for each reason, the most frequent first."""
    refusals = []
    for reason in {row["fate"] for row in fates} - {EVENT, DUPLICATE}:
        rows = [row for row in fates if row["fate"] == reason]
        first = min((row["first"] for row in rows), key=lambda row: (row["source_file"], row["ingest_seq"]))
        refusals.append(Refusal(reason, sum(row["count"] for row in rows), *first))
    return tuple(sorted(refusals, key=lambda refusal: (-refusal.count, refusal.reason)))


def _facts(events: DataFrame) -> dict[str, Any]:
    missing = {name: f.col(name).isNull() for name in OPTIONAL} | {"attributes": f.size("attributes") == 0}
    [row] = events.agg(
        f.min("event_ts").alias("first"),
        f.max("event_ts").alias("last"),
        f.countDistinct("user_id").alias("users"),
        f.countDistinct("item_id").alias("items"),
        *(f.coalesce(f.avg(lacks.cast("int")), f.lit(0.0)).alias(name) for name, lacks in missing.items()),
    ).collect()
    return row.asDict()


def advice(refusal: Refusal, found: Findings, source: Source) -> str:
    """What to do about refusals of this kind."""
    if refusal.reason == "not_a_record":
        return _of_format(source)
    if refusal.reason == "unknown_type":
        names = ", ".join(
            f"{name or 'null'} ({count:,})" for name, count in list(found.unknown_types.items())[:8]
        )
        return f"map these to a key of source.event_types, or add them there: {names}"
    return {
        "not_text": f"these bytes are no {source.encoding}: set source.encoding, to windows-1252 for example",
        "no_events": "source.explode gives no element here: if(size(x) > 0, x, array(null)) keeps such a record",
        "no_id": "source.event_id is empty here; leave that key out where records have no id of their own",
        "no_user": "source.user_id is empty here: a record without a user cannot be in a session",
        "no_time": "source.event_ts is empty or no time here: see source.time_format, source.time_unit",
        "too_late": "older than features.late_days before the day of arrival in its path: raise that, or correct the path",
        "from_future": "later than the day of arrival in its path: is source.timezone right, and the path?",
    }[refusal.reason]


def login_advice(refusal: Refusal, source: IdentitySource) -> str:
    """What to do about refused logins of this kind."""
    if refusal.reason == "not_a_record":
        return _of_format(source, "source.identities")
    return {
        "not_text": f"these bytes are no {source.encoding}: set source.identities.encoding, to windows-1252 for example",
        "no_events": "source.identities.explode gives no element here",
        "no_id": "source.identities.anonymous_id is empty here: there is nobody to know again",
        "no_user": "source.identities.user_id is empty here: a login says who somebody is",
        "no_time": "source.identities.valid_from is empty or no time here: see time_format and time_unit beside it",
        "from_future": "later than the day of arrival in its path: is source.identities.timezone right, and the path?",
        "cycle": "both ids are the same, or by this login an id would be its own user through others: take it out",
    }[refusal.reason]


def _of_format(source: Records, key: str = "source") -> str:
    name = source.format
    if name in ("csv", "tsv"):
        return (
            "another number of columns than the header or source.schema, a value that is not of its type, or an open quote: "
            f"see {key}.header, delimiter, quote, escape, multi_line"
        )
    if name == "regex":
        return f"{key}.pattern does not match the whole line, or a group is not of the type that {key}.schema says"
    return f"no JSON object of {key}.schema: broken off, another format, or a value is not of its type (declare it string)"


def notes(found: Findings, today: date, late_days: int) -> list[str]:
    """What is odd about events that were taken, or will be when they are ingested."""
    said: list[str] = []
    if found.first is None or found.last is None:
        return said
    if found.first < EARLIEST or found.last.date() > today + timedelta(days=1):
        said.append(
            "these times are hardly right: see source.time_unit, source.time_format and source.timezone"
        )
    elif (age := (today - found.first.date()).days) > late_days:
        said.append(
            f"the oldest event is {age:,} days old: land the file below the day on which it came, or set "
            f"features.late_days={age + 1}, else it is refused as too_late"
        )
    if found.without["item_id"] == 1:
        said.append("no event has an item: without source.item_id there is nothing to predict")
    if not found.sessions:
        said.append("no event is of an active type, so that there are no sessions: see source.event_types")
    elif found.users == found.events > 1:
        said.append("every event has a user of its own: is source.user_id a visitor, or an event?")
    return said

"""`identities`: one row a login, by which a visitor without an account becomes a user; and what makes a record one.

Who is whose by these rows is the subject of features/owners.py.
"""

from collections.abc import Iterable
from dataclasses import replace

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as f

from conf.schema import IdentitySource
from features.events import ARRIVAL_ORDER, in_utc, is_from_future
from features.formats import selected
from features.ingested_files import INGESTED_FILES
from features.keyed_ids import Keys
from features.privacy import beside, keyed, replaced
from features.table import Column, Table

IDENTITIES = Table(
    name="identities",
    meaning="One login: whose an anonymous id is, and from when on that is known.",
    columns=(
        Column("anonymous_id", "string", "who it was so far, as events have it in user_id"),
        Column("user_id", "string", "who that is"),
        Column("valid_from", "timestamp", "when it became known", unit="UTC, microseconds"),
        Column("arrival_date", "date", "when its file came"),
        Column("source_file", "string", "its file"),
        Column("ingest_seq", "bigint", "rises with the position in the file"),
        Column(
            "batch",
            "bigint",
            "number of the ingest that brought it; readers use only those that ingested_files has reached",
        ),
    ),
    key=("anonymous_id", "user_id", "valid_from"),
    statistics=("valid_from", "batch"),
)

IDENTITY_FILES = replace(
    INGESTED_FILES,
    name="identity_files",
    meaning="One file of the identity map whose records are in identities and quarantine.",
    columns=tuple(
        replace(column, name="identities", meaning="of these, new logins") if column.name == "events"
        else replace(column, meaning="of these, logins that were there already") if column.name == "duplicates"
        else column
        for column in INGESTED_FILES.columns
    ),
)  # fmt: skip

IDS = ("anonymous_id", "user_id")
MAPPED = {"anonymous_id": "string", "user_id": "string", "valid_from": ""}
"""The columns that a source's expressions give, and the types that they are cast to."""


def parse_logins(records: DataFrame, source: IdentitySource) -> DataFrame:
    """Records with their fields as logins, each with the `reason` for which it is refused, if any.

    before                                    after
    fields                        fault       anonymous_id  user_id  valid_from           reason
    {tab, ann, 2026-11-02T10:00Z} null        tab           ann      2026-11-02 10:00:00  null
    {tab, null, 2026-11-02T10:00Z} null       tab           null     2026-11-02 10:00:00  no_user
    {ann, ann, 2026-11-02T10:00Z} null        ann           ann      2026-11-02 10:00:00  cycle

    Takes `source_file`, `arrival_date`, `ingest_seq`, `text`, `fields`, `fault`. Raises `SourceError` for an expression of
    the source that does not fit its fields.
    """
    own = ("source_file", "arrival_date", "ingest_seq", "text")
    of_reader = f.struct(*own, "fault").alias("_record")  # a field of the file may have such a name
    kept = [f.col(f"_record.{name}") for name in own] + [f.col("_record.fault").alias("_fault")]
    sql = {
        name: f"cast(({getattr(source, name)}) as {kind})" if kind else getattr(source, name)
        for name, kind in MAPPED.items()
    }
    named = selected(records.select(of_reader, "fields.*"), kept, source, sql)
    typed = named.withColumn("valid_from", in_utc(named, source, "valid_from"))
    blank = {name: f.trim(f.coalesce(name, f.lit(""))) == "" for name in IDS}
    reason = (
        f.when(f.col("_fault").isNotNull(), f.col("_fault"))
        .when(blank["anonymous_id"], "no_id")
        .when(blank["user_id"], "no_user")
        .when(f.col("valid_from").isNull(), "no_time")
        .when(is_from_future(f.col("valid_from")), "from_future")
        .when(f.col("anonymous_id") == f.col("user_id"), "cycle")
    )
    return typed.withColumn("reason", reason).drop("_fault")


def pseudonymous_logins(parsed: DataFrame, keys: Keys) -> DataFrame:
    """Parsed logins with keyed hashes in place of both ids.

    The text has the user's hash, as in all of `quarantine`, and of the other id only that it was there.
    """
    user = f.struct(f.col("user_id").alias("plain"), keyed(f.col("user_id")).alias("keyed"))
    other = f.struct(f.col("anonymous_id").alias("plain"), f.lit("<anonymous_id>").alias("keyed"))
    pairs = f.array(user, other)
    values = {name: f.when(f.trim(name) != "", keyed(f.col(name))) for name in IDS}
    values["text"] = replaced(f.col("text"), pairs)
    return beside(parsed, keys).withColumns(values).drop("_keys")


def mark_known(parsed: DataFrame, stored: DataFrame) -> DataFrame:
    """Adds `is_duplicate`: an accepted login that is stored already, or came earlier among these."""
    same = Window.partitionBy(*IDENTITIES.key, f.col("reason").isNull()).orderBy(*ARRIVAL_ORDER)
    known = stored.select(*IDENTITIES.key, f.lit(True).alias("_is_stored")).distinct()
    again = (f.col("_n") > 1) | f.col("_is_stored").isNotNull()
    marked = parsed.withColumn("_n", f.row_number().over(same)).join(known, list(IDENTITIES.key), "left")
    return marked.withColumn("is_duplicate", f.col("reason").isNull() & again).drop("_n", "_is_stored")


def between(logins: DataFrame, all_logins: DataFrame) -> DataFrame:
    """The logins that can be part of a cycle: to a user who logs in too, from an id that others log in as."""
    on = {of: all_logins.select(f.col(to).alias(of)).distinct() for of, to in (IDS, IDS[::-1])}
    return logins.join(on["anonymous_id"], "anonymous_id", "left_semi").join(
        on["user_id"], "user_id", "left_semi"
    )


def closing(logins: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of logins (`anonymous_id`, `user_id`) in the order of their arrival, those by which an id would be its own user.

    a -> b, b -> c, c -> a, c -> d: the third, since a is c's by then.
    """
    users: dict[str, set[str]] = {}
    refused = set()
    for anonymous, user in logins:
        seen, ahead = set(), [user]
        while ahead:
            if (each := ahead.pop()) not in seen:
                seen.add(each)
                ahead += users.get(each, ())
        if anonymous in seen:
            refused.add((anonymous, user))
        else:
            users.setdefault(anonymous, set()).add(user)
    return refused


def refuse_cycles(parsed: DataFrame, refused: set[tuple[str, str]]) -> DataFrame:
    """Refuses the new logins that are among those `refused`."""
    pairs = parsed.sparkSession.createDataFrame(sorted(refused), "anonymous_id string, user_id string")
    marked = parsed.join(f.broadcast(pairs.withColumn("_is_closing", f.lit(True))), list(IDS), "left")
    is_new = f.col("reason").isNull() & ~f.col("is_duplicate") & f.col("_is_closing").isNotNull()
    return marked.withColumn("reason", f.when(is_new, "cycle").otherwise(f.col("reason"))).drop("_is_closing")


def to_identities(parsed: DataFrame, batch: int) -> DataFrame:
    """The rows of `identities` among parsed logins: accepted and not a duplicate."""
    new = parsed.where("reason is null and not is_duplicate").withColumn("batch", f.lit(batch).cast("bigint"))
    return new.select(*(column.name for column in IDENTITIES.columns))

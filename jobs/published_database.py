"""A night in a PostgreSQL database: tables by night, and views of the night that is current.

    footfall_predictions  (ds, task, entity, target, …)    footfall_current_predictions, and so on: views
    footfall_sequences    (ds, user_id, …)                 footfall_current (task, ds, facts): what is current
    footfall_rules        (ds, task, rule_id, …)

Workers copy their rows into tables beside those; then one transaction brings them over and switches.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import pyarrow as pa
from psycopg import sql
from pyspark.sql import DataFrame
from pyspark.sql import functions as f
from pyspark.sql.types import ArrayType, DataType, StructField

from conf.schema import Publish
from jobs.job import InputError

if TYPE_CHECKING:
    from jobs.publish import Night

TYPES = {
    "string": "text",
    "int": "integer",
    "bigint": "bigint",
    "double": "double precision",
    "float": "real",
    "date": "date",
    "timestamp": "timestamp with time zone",
    "boolean": "boolean",
}
CURRENT = "footfall_current"
COPIED_SCHEMA = "rows bigint"


class Target(NamedTuple):
    """A table, and which of its rows are of one night: those with the night's values of `scope`."""

    name: str
    key: tuple[str, ...]
    scope: tuple[str, ...]
    of_current: str  # which rows are current, of `t` beside `c`, the rows of footfall_current


TARGETS = (
    Target(
        "predictions",
        ("ds", "task", "entity", "target"),
        ("ds", "task"),
        "(t.ds, t.task) in (select ds, task from c)",
    ),
    Target(
        "sequences",
        ("ds", "user_id"),
        ("ds",),
        "t.ds = (select max(ds) from footfall_sequences where ds in (select ds from c))",
    ),
    Target("rules", ("ds", "task", "rule_id"), ("ds", "task"), "(t.ds, t.task) in (select ds, task from c)"),
)


def dsn_of(settings: Publish) -> str:
    """The connection string; "" where there is to be none. It is in no message, since it may hold a password."""
    if settings.dsn_file and settings.dsn_variable:
        raise InputError(
            "publish.dsn_file and publish.dsn_variable are both given, expected one: leave one out"
        )
    if settings.dsn_file:
        where = f"publish.dsn_file={settings.dsn_file}"
        try:
            dsn = Path(settings.dsn_file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{where} cannot be read: {type(error).__name__}") from None
    elif settings.dsn_variable:
        where, dsn = f"the variable {settings.dsn_variable}", os.environ.get(settings.dsn_variable, "")
    else:
        return ""
    try:
        is_said = bool(psycopg.conninfo.conninfo_to_dict(dsn))
    except psycopg.Error:
        is_said = False
    if not is_said:
        raise InputError(
            f"{where} holds no connection string, expected one as host=… dbname=… user=… or postgresql://…"
        )
    return dsn


def into_database(night: "Night", dsn: str, keep: int) -> str:
    """Publishes the night, and returns what came of it, in words."""
    targets = [target for target in TARGETS if target.name in night.rows]
    try:
        with psycopg.connect(dsn) as connection:
            connection.execute("select pg_advisory_xact_lock(hashtext('footfall'))")
            # Not each time: to replace a view waits for all who read it.
            for target in targets:
                for statement in prepared(night, target, columns_of(connection, target)):
                    connection.execute(statement)
        if is_current(night, dsn):
            return "published already"
        for target in targets:
            copied(night, target, dsn)
        with psycopg.connect(dsn) as connection:
            connection.execute("select pg_advisory_xact_lock(hashtext('footfall'))")
            rows = {target.name: brought_over(connection, night, target) for target in targets}
            switched(connection, night)
            cleared(connection, keep, targets)
    except psycopg.OperationalError as error:
        raise InputError(f"PostgreSQL does not answer as it should: {str(error).strip()}") from None
    return ", ".join(f"{many} {name}" for name, many in rows.items())


def rows_of(night: "Night", target: Target) -> DataFrame:
    """The rows as the database has them: with the night's day and task where they are part of the key."""
    rows = night.rows[target.name]
    given = {"ds": f.lit(night.ds), "task": f.lit(night.task)}
    new = [given[name].alias(name) for name in target.scope if name not in rows.columns]
    return rows.select(*new, *rows.columns)


def prepared(night: "Night", target: Target, there: Sequence[str]) -> Iterator[sql.Composed]:
    """The statements after which the night can be copied, where the view has the columns `there`; none: there is no view."""
    lacking = [field for field in rows_of(night, target).schema if field.name not in there]
    if not there:
        yield from made(night, target)
    elif lacking:
        yield from widened(target, lacking)


def made(night: "Night", target: Target) -> Iterator[sql.Composed]:
    """The statements after which a table and its view are there, and what says which night is current."""
    yield sql.SQL(
        "create table if not exists {} (task text primary key, ds date not null, facts jsonb not null, "
        "published_at timestamp with time zone not null)"
    ).format(sql.Identifier(CURRENT))
    columns = [
        sql.SQL("{} " + type_of(field.dataType) + ("" if field.nullable else " not null")).format(
            sql.Identifier(field.name)
        )
        for field in rows_of(night, target).schema
    ]
    yield sql.SQL("create table {} ({}, primary key ({}))").format(
        table_of(target), sql.SQL(", ").join(columns), listed(target.key)
    )
    yield view_of(target)


def widened(target: Target, lacking: Sequence[StructField]) -> Iterator[sql.Composed]:
    """The statements after which a table of an earlier release has new columns, empty in the nights that it holds."""
    for field in lacking:
        yield sql.SQL("alter table {} add column {} " + type_of(field.dataType)).format(
            table_of(target), sql.Identifier(field.name)
        )
    yield view_of(target)


def view_of(target: Target) -> sql.Composed:
    words = "create or replace view {} as with c as (select * from {}) select t.* from {} t where {}"
    return sql.SQL(words).format(
        sql.Identifier(f"footfall_current_{target.name}"),
        sql.Identifier(CURRENT),
        table_of(target),
        sql.SQL(target.of_current),
    )


def columns_of(connection: psycopg.Connection, target: Target) -> list[str]:
    """The columns of the view of a target; none where it is not there."""
    found = connection.execute(
        "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
        (f"footfall_current_{target.name}",),
    )
    return [name for (name,) in found]


def type_of(kind: DataType) -> str:
    """PostgreSQL's name of a type of Spark."""
    return f"{type_of(kind.elementType)}[]" if isinstance(kind, ArrayType) else TYPES[kind.simpleString()]


def is_current(night: "Night", dsn: str) -> bool:
    """Whether this very night is what readers have."""
    with psycopg.connect(dsn) as connection:
        said = connection.execute(f"select facts from {CURRENT} where task = %s", (night.task,)).fetchone()
    return said is not None and said[0] == json.loads(json.dumps(night.facts))


def copied(night: "Night", target: Target, dsn: str) -> None:
    """Copies the rows into a table beside the target, anew: what a run left that was killed goes."""
    rows = rows_of(night, target)
    with psycopg.connect(dsn) as connection:
        connection.execute(sql.SQL("drop table if exists {}").format(beside(night, target)))
        connection.execute(
            sql.SQL("create unlogged table {} (like {})").format(beside(night, target), table_of(target))
        )
    into = (
        sql.SQL("copy {} ({}) from stdin").format(beside(night, target), listed(rows.columns)).as_string(None)
    )
    rows.mapInArrow(partial(copy, dsn=dsn, into=into), COPIED_SCHEMA).collect()


def copy(batches: Iterator[pa.RecordBatch], dsn: str, into: str) -> Iterator[pa.RecordBatch]:
    """One task's rows, in a transaction of their own."""
    count = 0
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor, cursor.copy(into) as stream:
        for batch in batches:
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                stream.write_row(row)
            count += len(batch)
    yield pa.RecordBatch.from_pydict({"rows": [count]})


def brought_over(connection: psycopg.Connection, night: "Night", target: Target) -> int:
    """Lets the target hold of this night what was copied beside it, and no more; returns how many rows.

    A task that Spark ran twice copied twice: of rows with one key one counts.
    """
    names = [field.name for field in rows_of(night, target).schema]
    rest = [name for name in names if name not in target.key]
    words = {
        "target": table_of(target),
        "beside": beside(night, target),
        "names": listed(names),
        "key": listed(target.key),
        "values": sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in rest
        ),
        "same": sql.SQL(" and ").join(
            sql.SQL("b.{0} = t.{0}").format(sql.Identifier(name)) for name in target.key
        ),
        "scope": sql.SQL(" and ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(getattr(night, name)))
            for name in target.scope
        ),
    }
    connection.execute(
        sql.SQL(
            "delete from {target} t where {scope} and not exists (select 1 from {beside} b where {same})"
        ).format(**words)
    )
    done = connection.execute(
        sql.SQL(
            "insert into {target} ({names}) select distinct on ({key}) {names} from {beside} "
            "on conflict ({key}) do update set {values}"
        ).format(**words)
    )
    connection.execute(sql.SQL("drop table {beside}").format(**words))
    if target.name == "predictions" and done.rowcount != night.said["users"]:
        raise AssertionError(f"{done.rowcount} predictions were copied, of {night.said['users']} users")
    return done.rowcount


def switched(connection: psycopg.Connection, night: "Night") -> None:
    """Lets the night be its task's current one, unless a later one is."""
    connection.execute(
        f"insert into {CURRENT} (task, ds, facts, published_at) values (%s, %s, %s, now()) on conflict (task) "
        "do update set ds = excluded.ds, facts = excluded.facts, published_at = excluded.published_at "
        f"where {CURRENT}.ds <= excluded.ds",
        (night.task, night.ds, json.dumps(night.facts)),
    )


def cleared(connection: psycopg.Connection, keep: int, targets: Sequence[Target]) -> None:
    """Removes all nights but the newest ones, and those that are current."""
    for target in targets:
        connection.execute(
            sql.SQL(
                "delete from {0} where ds not in (select ds from {1}) "
                "and ds not in (select distinct ds from {0} order by ds desc limit {2})"
            ).format(table_of(target), sql.Identifier(CURRENT), sql.Literal(keep))
        )


def table_of(target: Target) -> sql.Identifier:
    return sql.Identifier(f"footfall_{target.name}")


def beside(night: "Night", target: Target) -> sql.Identifier:
    """Where a night's rows are copied to first; of one night and task it is always the same."""
    of = hashlib.sha256(f"{night.task}/{night.ds}".encode()).hexdigest()[:8]
    return sql.Identifier(f"footfall_{target.name}_{of}")


def listed(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))

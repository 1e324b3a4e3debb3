"""How a table of an earlier release becomes one of this: what an absent column holds, and what cannot be had any more.

A release that changes a stored column says here how older rows come to it, and raises `FORMAT` of features/stored.py.

    an absent column    of a table that is made from others: the table is made anew
                        that follows from others of its row (VALUES): computed
                        that may be null: null
                        else: refused
    another type        of a table that is made from others: made anew; a wider one (WIDER): cast; else: refused
    a column too many   that an earlier release had (RETIRED): dropped; else: refused
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from features.demand import DEMAND
from features.events import EVENTS
from features.ingested_files import INGESTED_FILES
from features.item_features import ITEM_FEATURES
from features.items import ITEMS
from features.lake import Facts
from features.sequences import SEQUENCES, bucket_of
from features.sessions import SESSIONS
from features.similar_items import SIMILAR_ITEMS
from features.stored import (
    FORMAT,
    Stored,
    absent,
    differences,
    is_newer,
    properties_of,
    retyped,
    unknown,
    unlike_in_nulls,
)
from features.table import Column, Table
from features.user_features import USER_FEATURES
from features.user_groups import USER_GROUPS
from features.user_item_features import USER_ITEM_FEATURES
from features.users import USERS

FOLLOWERS = (ITEMS, SEQUENCES, USERS)
"""They are brought up by the changes of `sessions`."""
MADE_BY = {
    SESSIONS.name: "the next night, or jobs/sessionize.py",
    **dict.fromkeys((table.name for table in FOLLOWERS), "the next night, or jobs/sequence.py"),
    **dict.fromkeys(
        (family.table.name for family in (USER_FEATURES, ITEM_FEATURES, USER_ITEM_FEATURES)),
        "jobs/featurize.py for each night that is wanted",
    ),
    SIMILAR_ITEMS.name: "jobs/similar_items.py",
    USER_GROUPS.name: "jobs/group_users.py for each night that is wanted",
    DEMAND.name: "jobs/demand.py for each night that is wanted",
}
"""The tables that are made from others, and what makes them."""
VALUES = {
    EVENTS.name: {"event_date": "to_date(event_ts)"},
    INGESTED_FILES.name: {"quarantined": "records - events - duplicates"},
}
"""Table -> column -> SQL over the others of its row."""
RETIRED = {USERS.name: ("item_count",)}
"""Table -> the columns that an earlier release had."""
WIDER = {("int", "bigint"), ("int", "double"), ("float", "double")}
INDICES = {ITEMS.name: ("item_id", "item_index")}
"""Table -> the columns that cannot be made anew: models and example sets hold the indices."""
COVERED = ("batches_after", "batches_upto", "sessions_version", "catalogue", "catalogue_broken")
"""Facts by which a table goes on from what it has covered."""
ANEW_FROM_LOGS = "take the raw logs in anew, into a lake in a folder of its own"


class Step(StrEnum):
    """What is done to a table, the least first."""

    KEPT = "stays as it is"
    DECLARED = "is declared as it is now"
    REWRITTEN = "is written whole"
    ANEW = "is made anew"
    REFUSED = "cannot be brought to this release"


@dataclass(frozen=True)
class Plan:
    """What is done to a table, and why: `found` in words; where it is refused, with what is to be done about it."""

    table: Table
    stored: Stored
    step: Step
    found: tuple[str, ...]

    @property
    def what(self) -> str:
        """`is made anew by the next night, or jobs/sequence.py`."""
        return f"{self.step} by {MADE_BY[self.table.name]}" if self.step is Step.ANEW else str(self.step)


def plan(table: Table, stored: Stored) -> Plan:
    """The least that makes a stored table one of this release."""
    if refused := tuple(refusals(table, stored)):
        return Plan(table, stored, Step.REFUSED, refused)
    other = tuple(differences(table, stored))
    to_declare = tuple(undeclared(table, stored))
    gaps = absent(table, stored)
    is_whole = (
        unknown(table, stored)
        or retyped(table, stored)
        or stored.partition_by != table.partition_by
        or any(not is_null(table, column) for column in gaps)
        or any(not column.nullable for column in unlike_in_nulls(table, stored))
    )
    if table.name in MADE_BY and (gaps or retyped(table, stored)):
        step = Step.ANEW
    elif is_whole:
        step = Step.REWRITTEN
    else:
        step = Step.DECLARED if other or to_declare else Step.KEPT
    return Plan(table, stored, step, other or to_declare)


def refusals(table: Table, stored: Stored) -> Iterator[str]:
    """What cannot be had, in words, each with what to do."""
    if is_newer(stored):
        yield f"its format is {stored.format}, and this release knows none above {FORMAT}: use the newer one that wrote it"
        return
    for name in unknown(table, stored):
        if name not in RETIRED.get(table.name, ()):
            yield f"it has {name}, which no release up to this one had: use the one that wrote it, or take the column out"
    lasting = INDICES.get(table.name, ()) if table.name in MADE_BY else table.schema.names
    for column in absent(table, stored):
        if column.name in lasting and not is_null(table, column) and column.name not in values_of(table):
            yield f"it has no {column.name}, which follows from nothing else: {ANEW_FROM_LOGS}"
    for column, kind in retyped(table, stored):
        if column.name in lasting and (kind, column.data_type.simpleString()) not in WIDER:
            yield (
                f"{column.name} is {kind}, which does not become {column.data_type.simpleString()}: {ANEW_FROM_LOGS}"
            )


def undeclared(table: Table, stored: Stored) -> Iterator[str]:
    """What the declaration says, beyond columns and their types, and the table does not yet."""
    for column in unlike_in_nulls(table, stored):
        yield f"{column.name} {'may' if column.nullable else 'may not'} be null"
    for name, value in properties_of(table).items():
        if (is_now := stored.properties.get(name)) != value:
            yield f"{name} is {is_now or 'not set'}, expected {value}"


def with_followers(plans: Sequence[Plan]) -> list[Plan]:
    """The plans in their order: what follows the changes of `sessions` is made anew where these are written, and first.

    before                     after
    items      stays           items      is made anew
    sessions   is written      sessions   is written

    No follower then takes the rewrite for changes, whenever it is stopped.
    """
    if any(each.table.name == SESSIONS.name and breaks_feed(each) for each in plans):
        followers = [table.name for table in FOLLOWERS]
        plans = [
            anew(each, "the changes of sessions end here") if each.table.name in followers else each
            for each in plans
        ]
    return sorted(plans, key=lambda each: each.table.name == SESSIONS.name)


def breaks_feed(of: Plan) -> bool:
    """Whether the changes of a table cannot be followed from before the plan to after it."""
    own = of.table.properties.items()
    is_other = any(of.stored.properties.get(name) != value for name, value in own)
    return of.step in (Step.REWRITTEN, Step.ANEW) or is_other or bool(unlike_in_nulls(of.table, of.stored))


def anew(of: Plan, why: str) -> Plan:
    """The plan of a table that is made anew for one more reason; a refusal stays one."""
    return of if of.step is Step.REFUSED else replace(of, step=Step.ANEW, found=(*of.found, why))


def brought_up(rows: DataFrame, table: Table) -> DataFrame:
    """Rows of an earlier release as rows of the table.

    before (events)             after
    event_id  event_ts          event_id  event_ts          event_date  amount
    a         2026-11-02 10:00  a         2026-11-02 10:00  2026-11-02  null
    """

    def value(column: Column) -> str:
        return (
            f"`{column.name}`" if column.name in rows.columns else values_of(table).get(column.name, "null")
        )

    return rows.select(*(f.expr(value(c)).cast(c.data_type).alias(c.name) for c in table.columns))


def nulls_in(rows: DataFrame, table: Table) -> list[str]:
    """The columns that are null in some row, and of which the table says that they are not."""
    required = [column.name for column in table.columns if not column.nullable]
    found = rows.agg(*(f.bool_or(f.isnull(name)).alias(name) for name in required)).first()
    return [name for name in required if found and found[name]]


def in_other_buckets(rows: DataFrame, buckets: int) -> bool:
    """Whether users are in other buckets than `features.user_buckets` gives."""
    return not rows.where(f.col("user_bucket") != bucket_of(buckets)).isEmpty()


def uncovered(facts: Facts) -> Facts:
    """Facts of a table that has covered nothing, and is made whole by the next run."""
    return {name: value for name, value in facts.items() if name not in COVERED}


def values_of(table: Table) -> dict[str, str]:
    return VALUES.get(table.name, {})


def is_null(table: Table, column: Column) -> bool:
    """Whether an absent column is null in rows that have none."""
    return column.nullable and column.name not in values_of(table)

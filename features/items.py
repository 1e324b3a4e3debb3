"""`items`: one row an item, with an index that never changes."""

from datetime import datetime
from functools import partial

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as f

from features.changes import difference
from features.events import ARRIVAL_ORDER, happened_before
from features.kernels import PLACES_SCHEMA, item_places
from features.parts import parts
from features.table import Column, Table

COUNTED = ("event_count", "session_count")
FIRST_INDEX = 3
"""Indices below mean: 0 padding, 1 unknown, 2 mask."""

ITEMS = Table(
    name="items",
    meaning="One item that some event names.",
    columns=(
        Column("item_id", "string", "the source's id", dictionary=False),
        Column(
            "item_index",
            "int",
            "immutable number, from 3, in the order in which items first arrived",
            dictionary=False,
        ),
        Column("first_seen", "timestamp", "first event in a session", nullable=True, unit="UTC"),
        Column("last_seen", "timestamp", "last event in a session", nullable=True, unit="UTC"),
        Column("event_count", "bigint", "events in sessions", unit="events"),
        Column("session_count", "bigint", "sessions with the item: its popularity", unit="sessions"),
        Column("title", "string", "what a person would call it, from the catalogue", nullable=True),
        Column("category", "string", "from the catalogue", nullable=True),
        Column("attributes", "map<string,string>", "the rest of what the catalogue says"),
    ),
    key=("item_id",),
    statistics=("item_index",),
)


def hand_out_indices(arrived: DataFrame, known: DataFrame) -> DataFrame:
    """`item_id`, `item_index` of the items that are not known yet, numbered on in the order of arrival.

    arrived             known        after
    item   ingest_seq   item  index  item   index
    jam    0            milk  3      jam    4
    milk   1                         bread  5
    bread  2
    """
    newest = known.agg(f.coalesce(f.max("item_index"), f.lit(FIRST_INDEX - 1))).first()[0]  # type: ignore[index]
    first = (
        arrived.where("item_id is not null")
        .groupBy("item_id")
        .agg(f.min(f.struct(*ARRIVAL_ORDER)).alias("_first"))
    )
    new = first.join(known, "item_id", "left_anti")
    # One task numbers them all: new items only, two narrow columns, sorted on disk where they must be.
    number = f.row_number().over(Window.orderBy("_first", "item_id"))
    return new.select("item_id", (number + newest).cast("int").alias("item_index"))


def items(sessions: DataFrame, as_of: datetime | None, event_types: list[str] | None = None) -> DataFrame:
    """The items seen in sessions before a moment: `item_id`, `first_seen`, `last_seen`, `event_count`, `session_count`.

    Without `as_of`: in all that has arrived. With `event_types`: in events of these types alone.

    before (as of 11:30)                    after
    session  events                         item   first  last   events  sessions
    s1       10:00 milk, 10:05 milk         milk   10:00  11:00  3       2
    s2       11:00 milk, 12:00 jam
    """
    return (
        places(sessions, event_types)
        .where(happened_before(as_of))
        .groupBy("item_id")
        .agg(
            f.min("event_ts").alias("first_seen"),
            f.max("event_ts").alias("last_seen"),
            f.count("*").alias("event_count"),
            f.count_if("is_first").alias("session_count"),
        )
    )


def places(sessions: DataFrame, event_types: list[str] | None = None) -> DataFrame:
    """Where items are in sessions: `item_id`, `event_ts`, and whether it `is_first` of the item in its session.

    To count those is to count sessions, without a second exchange for the distinct ones.
    """
    arrays = sessions.select("events.item_id", "events.event_ts", "events.event_type")
    return arrays.mapInArrow(partial(item_places, event_types=event_types), PLACES_SCHEMA)


def prices(sessions: DataFrame, event_types: list[str], before: datetime) -> DataFrame:
    """What a piece of each item cost in the mean, in sessions before a moment: `item_id`, `price`. Free ones have none.

    before                                  after
    10:00 milk, 2 for 3.00, 10:05 milk 1.20 milk   1.40
    """
    names = ("item_id", "event_ts", "event_type", "quantity", "amount")
    arrays = sessions.select(*(f.col("events")[name].alias(name) for name in names))
    events = arrays.select(f.inline(f.arrays_zip(*names)))
    paid = events.where(happened_before(before) & f.col("event_type").isin(event_types))
    # Whole numbers of parts add up alike in any order.
    cost = paid.where("amount > 0 and quantity > 0").groupBy("item_id")
    return cost.agg((f.sum(parts(f.col("amount"))) / f.sum(parts(f.col("quantity")))).alias("price"))


def changes_of_items(changes: DataFrame) -> DataFrame:
    """What sessions that were put in and taken out (`_is_in`) change in `items`: see `features.changes.difference`."""
    put_in, taken_out = (
        items(changes.where(f.col("_is_in") == is_in), as_of=None) for is_in in (True, False)
    )
    return difference(put_in, taken_out, "item_id", COUNTED)


def unseen(indices: DataFrame) -> DataFrame:
    """Items with their index as rows of `items` of which nothing else is known yet."""
    given = indices.select("item_id", "item_index")
    empty = {"event_count": f.lit(0), "session_count": f.lit(0), "attributes": f.expr("map()")}
    rest = [c for c in ITEMS.columns if c.name not in given.columns]
    return given.select("*", *(empty.get(c.name, f.lit(None)).cast(c.data_type).alias(c.name) for c in rest))


def described(rows: DataFrame, catalogue: DataFrame) -> DataFrame:
    """The rows of `items` with what the catalogue says of them, and nothing where it is silent."""
    none = f.expr("cast(map() as map<string,string>)")
    own = rows.drop("title", "category", "attributes")
    said = catalogue.select("item_id", "title", "category", "attributes")
    return own.join(said, "item_id", "left").withColumn("attributes", f.coalesce("attributes", none))

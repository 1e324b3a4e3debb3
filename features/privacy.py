"""What stands in the lake for the id of a user: a keyed hash, from which nobody without the key finds the id.

The key itself is in no table, no log and no query plan. The lake keeps its fingerprint, as a property of `events`.
"""

import re
from dataclasses import replace

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Source
from features.keyed_ids import DIGITS, Keys, fingerprint
from features.lake import Lake
from features.table import Table

FINGERPRINT = "footfall.key"
WORD = ("(?<![A-Za-z0-9])", "(?![A-Za-z0-9])")  # before and behind a pattern that matches no part of a word
LONG = 6  # characters of an id that is replaced inside of words too
BLOCK = 64  # bytes of SHA-256, to which HMAC fills up its key


def held_fingerprint(lake: Lake, table: Table) -> str | None:
    """Of the keys that a table's ids were made with; none where they are plain, or the table is not there."""
    return lake.properties(table).get(FINGERPRINT) if lake.exists(table) else None


def under(table: Table, keys: Keys) -> Table:
    """The declaration of a table whose ids are made with `keys`."""
    return replace(table, properties=table.properties | {FINGERPRINT: fingerprint(keys)}) if keys else table


def beside(frame: DataFrame, keys: Keys) -> DataFrame:
    """The frame with `_keys` in each row, as `keyed` takes them.

    They come from a table of one row, by a join: Spark writes a literal into plans, and these into its logs.
    """
    padded = [
        tuple(bytearray(byte ^ mask for byte in key.ljust(BLOCK, b"\0")) for mask in (0x36, 0x5C))
        for key in keys
    ]
    row = frame.sparkSession.createDataFrame([(padded,)], "_keys array<struct<inner:binary,outer:binary>>")
    return frame.crossJoin(f.broadcast(row))


def keyed(value: Expression) -> Expression:
    """`keyed_id` of a column, of a frame that has the keys `beside` it; null stays null.

    HMAC is two hashes; as Spark's own they cost a quarter of what a Python worker would.
    """

    def with_key(given: Expression, key: Expression) -> Expression:
        inside = f.unhex(f.sha2(f.concat(key["inner"], given.cast("binary")), 256))
        return f.substring(f.sha2(f.concat(key["outer"], inside), 256), 1, DIGITS)

    return f.aggregate("_keys", value.cast("string"), with_key)


def pseudonymous(parsed: DataFrame, source: Source, keys: Keys) -> DataFrame:
    """Parsed records with keyed hashes in place of ids, and without the text of those that are accepted.

    before                                                        after
    event_id  user_id  attributes  text              reason       user_id  attributes  text                reason
    a         ann      {login: a7} {"user":"ann",…}  null         5f0c…    {login: 9b…} null               null
    b         bob      {}          {"user":"bob",…}  too_late     c31d…    {}           {"user":"c31d…",…}  too_late
    null      null     {}          {"user":"bo       not_a_record null     {}           {"user":"bo         not_a_record

    Attributes are those that `source.id_attributes` names. An `event_id` that is a hash of the record becomes a keyed one:
    without the key nobody can try ids on it.
    """
    found = [f.col("user_id"), *(f.col("attributes")[name] for name in source.id_attributes)]
    pairs = f.array(*(f.struct(each.alias("plain"), keyed(each).alias("keyed")) for each in found))
    values = {
        "user_id": f.when(f.trim("user_id") != "", keyed(f.col("user_id"))),
        "text": f.when(f.col("reason").isNotNull(), replaced(f.col("text"), pairs)),
    }
    if source.id_attributes:

        def of(name: Expression, value: Expression) -> Expression:
            return f.when(name.isin(source.id_attributes), keyed(value)).otherwise(value)

        values["attributes"] = f.transform_values("attributes", of)
    if source.event_id is None:
        values["event_id"] = keyed(f.col("event_id"))
    return beside(parsed, keys).withColumns(values).drop("_keys")


def replaced(text: Expression, pairs: Expression) -> Expression:
    """A text with every `plain` id of `pairs` as its `keyed` hash.

    before                           plain    after
    {"user":"annabel","at":"annabels"}  annabel  {"user":"5f0c…","at":"5f0c…s"}
    {"user":"7","day":17}               7        {"user":"c31d…","day":17}        a short one as a word only
    """

    def without(given: Expression, pair: Expression) -> Expression:
        plain = pair["plain"]
        literal = f.regexp_replace(plain, r"([^A-Za-z0-9])", r"\\$1")
        word = f.concat(f.lit(WORD[0]), literal, f.lit(WORD[1]))
        shorter = f.regexp_replace(given, word, pair["keyed"])
        longer = f.replace(given, plain, pair["keyed"])
        blank = f.coalesce(f.trim(plain), f.lit("")) == ""
        return f.when(blank, given).when(f.length(plain) < LONG, shorter).otherwise(longer)

    return f.aggregate(pairs, text, without)


def pattern_of(plain: str) -> str:
    """A regular expression, as Java reads it, that finds an id in a text by the rule of `replaced`."""
    literal = re.sub("([^A-Za-z0-9])", r"\\\1", plain)
    return literal if len(plain) >= LONG else literal.join(WORD)

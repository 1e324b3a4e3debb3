"""`erased_users`: who was erased, under a hash of its own, so that an ingest does not bring them back.

The hash has other keys than `user_id`: what others keep of the lake, such as predictions, cannot be compared with it.
"""

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Source
from features.keyed_ids import Keys
from features.privacy import beside, keyed
from features.table import Column, Table

ERASED_USERS = Table(
    name="erased_users",
    meaning="One user who was erased, and of whom nothing is taken in any more.",
    columns=(
        Column("user", "string", "keyed hash of the id, by other keys than user_id", unit="128 bits"),
        Column("erased_on", "date", "when"),
    ),
    key=("user",),
    statistics=("erased_on",),
)


def refuse_erased(parsed: DataFrame, erased: DataFrame, source: Source, keys: Keys) -> DataFrame:
    """Refuses the records of erased users, and keeps nothing of what they say.

    before (ann was erased)            after
    user_id  text            reason    user_id  text            reason
    ann      {"user":"ann"…  null      null                     erased
    bob      {"user":"bob"…  null      bob      {"user":"bob"…  null

    Before ids are hashed. A record is a user's as well where one of the source's `id_attributes` says so.
    """
    ids = ("user_id", *(f"attributes.`{name}`" for name in source.id_attributes))
    refused = _refused(parsed, erased, ids, keys)
    attributes = f.when(f.col("_is_erased"), f.expr("map()")).otherwise(f.col("attributes"))
    return refused.withColumn("attributes", attributes).select(*parsed.columns)


def refuse_erased_logins(parsed: DataFrame, erased: DataFrame, keys: Keys) -> DataFrame:
    """Refuses the logins of erased users and of erased anonymous ids, and keeps nothing of what they say."""
    refused = _refused(parsed, erased, ("user_id", "anonymous_id"), keys)
    anonymous = f.when(~f.col("_is_erased"), f.col("anonymous_id"))
    return refused.withColumn("anonymous_id", anonymous).select(*parsed.columns)


def _refused(parsed: DataFrame, erased: DataFrame, ids: Sequence[str], keys: Keys) -> DataFrame:
    """Records with `_is_erased`, where one of the columns `ids` has an erased user; without user and text there."""
    marked = beside(parsed, keys)
    is_erased = f.lit(False)
    for number, found in enumerate(ids):
        known = erased.select(f.col("user").alias(f"_user_{number}"))
        same = keyed(f.col(found)) == f.col(f"_user_{number}")
        marked = marked.join(f.broadcast(known), same, "left")
        is_erased = is_erased | f.col(f"_user_{number}").isNotNull()
    values = {
        "reason": f.when(is_erased, "erased").otherwise(f.col("reason")),
        "user_id": f.when(~is_erased, f.col("user_id")),
        "text": f.when(is_erased, "").otherwise(f.col("text")),
    }
    return marked.withColumns({"_is_erased": is_erased} | values)

"""A question to models: what do users take in their next session, asked as of a moment and answered by what came after."""

from collections.abc import Iterable
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.events import happened_before
from features.items import places, prices
from features.sequences import as_model_input, model_inputs_as_of, next_sessions, sequences


def histories(
    sessions: DataFrame,
    known: DataFrame,
    as_of: datetime,
    conf: Config,
) -> DataFrame:
    """What a model may see of each user with a history before `as_of`: `user_id`, `items`, `sessions`, `ages`.

    `known` has `item_id` and `item_index`; with `task.contexts` there are `contexts`, too.
    Passive events stay out: no task looks at them yet.
    """
    seen = active_sequences(sessions, known, as_of, conf)
    return as_model_input(seen, conf.task.event_types, as_of, zone=zone_of(conf))


def zone_of(conf: Config) -> str | None:
    """By whose clock contexts are told; none: the task has none."""
    return conf.source.shop_timezone if conf.task.contexts else None


def histories_at(
    sessions: DataFrame, known: DataFrame, moments: Iterable[datetime], conf: Config, length: int
) -> DataFrame:
    """The `histories` of users as of each moment (features/moments.py), of each the newest `length` behaviours."""
    settings = conf.features
    return model_inputs_as_of(sessions, known, moments, conf.task.event_types, settings.max_length, length)


def active_sequences(sessions: DataFrame, known: DataFrame, as_of: datetime, conf: Config) -> DataFrame:
    """The rows of `sequences` as of a moment, without passive events."""
    settings = conf.features
    return sequences(sessions, None, known, as_of, settings.max_length, settings.user_buckets)


def ask(
    sessions: DataFrame,
    known: DataFrame,
    as_of: datetime,
    until: datetime,
    conf: Config,
) -> DataFrame:
    """`histories` and beside them `targets`: the distinct items of the first session in `[as_of, until)`, null for none."""
    answers = next_sessions(sessions, known, conf.task.event_types, as_of, until)
    seen = histories(sessions, known, as_of, conf)
    return seen.join(answers, "user_id", "left")


def candidates(
    sessions: DataFrame, known: DataFrame, as_of: datetime, earlier: datetime, conf: Config
) -> DataFrame:
    """What is ranked: the items seen before `as_of`, with `item_index`, `item_id`, `category` and `sessions` that had them.

    `validation_sessions` are those before the `earlier` moment; 0: the item was no candidate then. With `task.contexts`
    there is their `price` until then, which is null else.
    """
    seen = places(sessions, conf.task.event_types).where(happened_before(as_of))
    counts = seen.groupBy("item_id").agg(
        f.count_if("is_first").alias("sessions"),
        f.count_if(f.col("is_first") & happened_before(earlier)).alias("validation_sessions"),
    )
    found = known.select("item_index", "item_id", "category").join(counts, "item_id")
    if not conf.task.contexts:
        return found.withColumn("price", f.lit(None).cast("double"))
    return found.join(prices(sessions, conf.task.event_types, earlier), "item_id", "left")

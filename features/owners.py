"""Whose an event is: the user that the visitor of its anonymous id logged in as.

The first login tells who had been there: all that an anonymous id did before it is that user's too. Who logs in after
somebody else with the same id, as on a shared device, has what happens from then on. A user may log in as another in turn:
the last one has it all. As of a moment, only logins before that moment are known.
"""

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as f

from features.events import ARRIVAL_ORDER


def spans(identities: DataFrame) -> DataFrame:
    """Whose each anonymous id is when: `anonymous_id`, `user_id`, `since`, `until`, null where there is no limit.

    before                           after
    anonymous  user  valid_from      anonymous  user  since  until
    tab        ann   10:00           tab        ann   null   12:00     what was before the first login, too
    tab        bob   12:00           tab        bob   12:00  null
    tab        bob   13:00

    Of logins at the same moment the last to arrive holds.
    """
    by_time = Window.partitionBy("anonymous_id").orderBy("valid_from", *ARRIVAL_ORDER)
    following = f.lead("valid_from").over(by_time)
    lasting = identities.withColumn("_next", following).where("_next is null or _next > valid_from")
    before = f.lag("user_id").over(by_time)
    first = lasting.withColumn("_before", before).where("_before is null or _before != user_id")
    since = f.when(f.col("_before").isNotNull(), f.col("valid_from")).alias("since")
    return first.select("anonymous_id", "user_id", since, following.alias("until"))


def chained(spans: DataFrame) -> DataFrame:
    """The spans whose user logs in as another in turn."""
    return spans.join(spans.select(f.col("anonymous_id").alias("user_id")).distinct(), "user_id", "left_semi")


def followed(spans: DataFrame) -> DataFrame:
    """The spans with the users that their users are, one login further on, or more; the others stay.

    before                           after
    anonymous  user  since  until    anonymous  user  since  until
    tab        ann   null   null     tab        eve   null   11:00
    ann        eve   null   11:00    tab        kim   11:00  null
    ann        kim   11:00  null     ann        eve   null   11:00
                                     ann        kim   11:00  null
    """
    one, other = spans.alias("one"), spans.alias("other")
    meet = _is_before("one.since", "other.until") & _is_before("other.since", "one.until")
    both = one.join(other, (f.col("one.user_id") == f.col("other.anonymous_id")) & meet, "left")
    return both.select(
        f.col("one.anonymous_id"),
        f.coalesce("other.user_id", "one.user_id").alias("user_id"),
        f.greatest("one.since", "other.since").alias("since"),  # null, no limit, only where both are
        f.least("one.until", "other.until").alias("until"),
    )


def owned(events: DataFrame, spans: DataFrame, name: str = "user_id") -> DataFrame:
    """The events with the user whose they are as the column `name`; it is `user_id` itself where that did not log in.

    before                   spans                            after
    user  event_ts           anonymous  user  since  until    user  event_ts
    tab   09:00              tab        ann   null   12:00    ann   09:00
    tab   12:00              tab        bob   12:00  null     bob   12:00
    eve   12:00                                               eve   12:00
    """
    event, span = events.alias("event"), spans.alias("span")
    at = f.col("event.event_ts")
    within = f.coalesce(f.col("span.since") <= at, f.lit(True)) & f.coalesce(
        at < f.col("span.until"), f.lit(True)
    )
    found = event.join(span, (f.col("event.user_id") == f.col("span.anonymous_id")) & within, "left")
    owner = f.coalesce("span.user_id", "event.user_id").alias(name)
    return found.select(*(f.col(f"event.{each}") for each in events.columns if each != name), owner)


def changed(before: DataFrame, now: DataFrame) -> DataFrame:
    """The anonymous ids whose spans are not the same: `anonymous_id`, distinct."""
    differing = before.exceptAll(now).union(now.exceptAll(before))
    return differing.select("anonymous_id").distinct()


def users_of(anonymous: DataFrame, spans: DataFrame) -> DataFrame:
    """Who the anonymous ids are by `spans`, at any time: `anonymous_id`, `user_id`; each itself where it did not log in."""
    theirs = anonymous.join(spans.select("anonymous_id", "user_id"), "anonymous_id", "left")
    return theirs.withColumn("user_id", f.coalesce("user_id", "anonymous_id")).distinct()


def moved(events: DataFrame, before: DataFrame, now: DataFrame) -> DataFrame:
    """The events that are another's by the spans of `now` than by those `before`: with that user, and who it `was`."""
    return owned(owned(events, before, "was"), now).where("was != user_id")


def handed_over(events: DataFrame, moved: DataFrame) -> DataFrame:
    """Events of sessions with the users whose they are now.

    before          moved                after
    user  event_id  event_id  user       user  event_id
    tab   a         a         ann        ann   a
    eve   b                              eve   b
    """
    told = moved.select("event_id", "event_date", f.col("user_id").alias("_user"))
    found = events.withColumn("event_date", f.to_date("event_ts")).join(
        told, ["event_id", "event_date"], "left"
    )
    return found.withColumn("user_id", f.coalesce("_user", "user_id")).select(*events.columns)


def _is_before(start: str, end: str) -> Expression:
    """Whether a span begins before another ends; null is no limit."""
    return f.coalesce(f.col(start) < f.col(end), f.lit(True))

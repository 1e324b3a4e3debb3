"""Groups of the users who are asked something, by what is known of them before: for guards, and what is told by group."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.labels import LabelError, groups_of, past_views
from jobs.job import InputError
from jobs.labelled import Seen
from models.fairness import by_label

NEW_DAYS = 28


def segments(
    conf: Config, known: DataFrame, users: Sequence[str], as_of: datetime, seen: Seen
) -> dict[str, np.ndarray]:
    """Group -> who is in it, bool (users,), in their order.

    new     first seen within NEW_DAYS before the moment;  rare  with fewer sessions than half of the users
    further `promote.groups`, a group for each of their labels

    known  `user_id`, `sessions`, `ages`: histories as of the moment
    """
    told = known.select(
        "user_id", f.array_max("sessions").alias("sessions"), f.array_max("ages").alias("age")
    )
    by_user = told.toArrow().to_pandas().set_index("user_id").loc[list(users)]
    sessions = by_user["sessions"].to_numpy()
    found = {"new": by_user["age"].to_numpy() <= NEW_DAYS, "rare": sessions < np.median(sessions)}
    return found | by_label(labels_of(conf, users, as_of, seen))


def labels_of(conf: Config, users: Sequence[str], as_of: datetime, seen: Seen) -> dict[str, list[str | None]]:
    """What `promote.groups` says of each user as of a moment; none: nothing."""
    if not conf.promote.groups:
        return {}
    views = past_views(*seen, as_of, conf)
    found = {}
    for name, sql in conf.promote.groups.items():
        try:
            rows = groups_of(views, name, sql).toArrow().to_pandas()
        except LabelError as error:
            raise InputError(str(error)) from None
        label = dict(zip(rows["user_id"], rows["user_group"], strict=True))
        found[name] = [label.get(user) for user in users]
    return found

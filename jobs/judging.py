"""Models before the same question: how the jobs that judge ask it of exported models, and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.items import ITEMS
from features.lake import Lake
from features.questions import ask
from jobs.job import InputError, settled
from jobs.people import sessions_as_of
from models.metrics import by_part, per_user
from models.scoring import RANK_FACTS_SCHEMA, rank_facts

NEW_DAYS = 28


@dataclass(frozen=True)
class Judgement:
    """The answers of some models to one question, of the same users in the same order."""

    question: str
    as_of: datetime
    until: datetime
    users: list[str]
    values: dict[
        str, dict[str, np.ndarray]
    ]  # model -> metric -> (users,); `ndcg@10/first`: NaN without such targets
    shown: dict[str, list[np.ndarray]]  # model -> each user's first items, (k,) item indices
    seconds: dict[str, np.ndarray]  # model -> what scoring a user took, (users,)
    segments: dict[str, np.ndarray]  # group of users -> who is in it, bool (users,)


def judge(
    conf: Config,
    lake: Lake,
    question: str,
    models: Mapping[str, str],
    candidates: np.ndarray,
    as_of: datetime,
    until: datetime,
) -> Judgement:
    """Ranks `candidates` with each model (name -> folder of its SavedModel), for users who come back after `as_of`.

    `candidates` are item indices, of those seen before `as_of`. The driver holds them, and a few numbers for each user and
    model; scores stay with the workers. Raises `InputError` where nobody came back.
    """
    sessions, known = sessions_as_of(conf, lake, as_of), lake.read(ITEMS)
    asked = settled(ask(sessions, known, as_of, until, conf).where("targets is not null"))
    rank = partial(rank_facts, models=dict(models), candidates=candidates)
    spread = asked.repartition(conf.spark.shuffle_partitions, "user_id")
    # Sorted here: Spark would rank everything once more, to see between which users to cut.
    facts = spread.mapInArrow(rank, RANK_FACTS_SCHEMA).toArrow().to_pandas().sort_values("user_id")
    unusable = facts[facts["reason"].notna()]
    if len(unusable):
        print(f"judge: {unusable['user_id'].nunique()} users left out, e.g. {unusable['reason'].iloc[0]}")
    facts = facts[~facts["user_id"].isin(set(unusable["user_id"]))]
    if facts.empty:
        raise InputError(
            f"{question}: no user has a session from {as_of:%Y-%m-%d} to {until:%Y-%m-%d} and a history before, expected "
            "some to judge on: ingest those days, or set promote.holdout_days and task.validation_days to others"
        )
    of_models = {name: facts[facts["model"] == name] for name in models}
    values = {}
    for name, rows in of_models.items():
        better, ties = rows["better"].tolist(), rows["ties"].tolist()
        whole = per_user(better, ties, rows["n_targets"].to_numpy())
        parts = by_part(better, ties, rows["repeated"].tolist(), ks=(10,))
        values[name] = whole | {metric: each for metric, each in parts.items() if not np.isnan(each).all()}
    shown = {name: rows["first"].tolist() for name, rows in of_models.items()}
    seconds = {name: rows["seconds"].to_numpy(np.float64) for name, rows in of_models.items()}
    users = sorted(set(facts["user_id"]))
    return Judgement(question, as_of, until, users, values, shown, seconds, segments(asked, users))


def segments(asked: DataFrame, users: list[str]) -> dict[str, np.ndarray]:
    """Groups of `users` by what is known of them before the question: bool (users,) each, in their order.

    new   first seen within NEW_DAYS before it;  rare  with fewer sessions than half of the users
    """
    known = asked.select(
        "user_id", f.array_max("sessions").alias("sessions"), f.array_max("ages").alias("age")
    )
    by_user = known.toArrow().to_pandas().set_index("user_id").loc[users]
    sessions = by_user["sessions"].to_numpy()
    groups = {"new": by_user["age"].to_numpy() <= NEW_DAYS, "rare": sessions < np.median(sessions)}
    return {
        name: each
        for group, member in groups.items()
        for name, each in ((group, member), (f"not {group}", ~member))
    }

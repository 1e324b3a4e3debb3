"""Models before the same question: how the jobs that judge ask it of exported models, and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import numpy as np

from conf.schema import Config
from features.items import ITEMS
from features.lake import Lake
from features.questions import ask
from jobs.job import InputError
from jobs.people import sessions_as_of
from models.metrics import by_part, per_user
from models.scoring import RANK_FACTS_SCHEMA, rank_facts


@dataclass(frozen=True)
class Judgement:
    """The answers of some models to one question, of the same users in the same order."""

    question: str
    as_of: datetime
    until: datetime
    users: list[str]
    values: dict[
        str, dict[str, np.ndarray]
    ]  # model -> metric -> (users,); of `ndcg@10/first` NaN without such a target


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
    asked = ask(sessions, known, as_of, until, conf).where("targets is not null")
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
    values = {}
    for name in models:
        of_model = facts[facts["model"] == name]
        better, ties = of_model["better"].tolist(), of_model["ties"].tolist()
        whole = per_user(better, ties, of_model["n_targets"].to_numpy())
        parts = by_part(better, ties, of_model["repeated"].tolist(), ks=(10,))
        values[name] = whole | {metric: each for metric, each in parts.items() if not np.isnan(each).all()}
    users = sorted(set(facts["user_id"]))
    return Judgement(question, as_of, until, users, values)

"""Models before the same question: how the jobs that judge ask it of exported models, and what comes back.

Here a judgement of any kind, and that of lists of items; jobs/judging_labels.py has that of answers.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.examples import Cut, end_of, vocabulary_table
from features.items import ITEMS
from features.lake import Lake
from features.questions import ask
from jobs.job import InputError, settled
from jobs.people import sessions_as_of
from models.card import Line
from models.guards import Guard, coverage_guard, gap_guards, segment_guards
from models.metrics import Sampled, by_part, mean_and_interval, per_user, sampled_means
from models.registry import Registry, Version
from models.scoring import RANK_FACTS_SCHEMA, rank_facts

NEW_DAYS = 28


@dataclass(frozen=True)
class Judgement(ABC):
    """What some models came to before one question, all asked of the same users."""

    question: str
    as_of: datetime
    until: datetime
    users: list[str]
    metrics: dict[str, dict[str, Sampled]]  # model -> metric -> it, sampled alike
    seconds: dict[str, np.ndarray]  # model -> what scoring a user took, (users,)

    @abstractmethod
    def guards(self, conf: Config, challenger: str, champion: str) -> list[Guard]:
        """What the challenger may not lose to the champion, beside the metric."""

    def groups(self, conf: Config, model: str) -> list[Line]:
        """The metric of the gate by group of users, where there are groups."""
        return []


@dataclass(frozen=True)
class Ranked(Judgement):
    """Of lists of items."""

    values: dict[
        str, dict[str, np.ndarray]
    ]  # model -> metric -> (users,); `ndcg@10/first`: NaN without such targets
    shown: dict[str, list[np.ndarray]]  # model -> each user's first items, (k,) item indices
    segments: dict[str, np.ndarray]  # group of users -> who is in it, bool (users,)
    candidates: int  # items that were ranked

    def guards(self, conf: Config, challenger: str, champion: str) -> list[Guard]:
        limits, metric = conf.promote.guards, conf.promote.metric
        ours, theirs = (self.values[name][metric] for name in (challenger, champion))
        least = limits.least_users
        return [
            *segment_guards(
                ours, theirs, self.segments, loss=limits.segment_loss, least_users=least, **how(conf)
            ),
            *gap_guards(ours, theirs, self.segments, rise=limits.gap_rise, least_users=least, **how(conf)),
            coverage_guard(
                self.shown[challenger],
                self.shown[champion],
                self.candidates,
                share=limits.coverage_share,
                confidence=conf.promote.confidence,
            ),
        ]

    def groups(self, conf: Config, model: str) -> list[Line]:
        metric = conf.promote.metric
        values = self.values[model][metric]
        return [
            Line(f"{metric}, {name}", int(member.sum()), *mean_and_interval(values[member], **how(conf)))
            for name, member in self.segments.items()
            if member.any()
        ]


def how(conf: Config) -> dict[str, Any]:
    """How intervals are made."""
    limits = conf.promote
    return {"resamples": limits.resamples, "confidence": limits.confidence, "seed": limits.seed}


def name_of(version: Version) -> str:
    """How a version is called among those that are judged together."""
    return f"{version.tags['model']} v{version.version}"


def on_validation_days(conf: Config, lake: Lake, registry: Registry, trained: Sequence[Version]) -> Judgement:
    """Baselines as they were fitted before the validation days, encoders as they are: those days chose their epoch."""
    cut, words = Cut.of(conf), vocabulary(conf, lake)
    paths = {
        name_of(v): registry.run_artifact_path(v, "as_of_validation") or registry.saved_model_path(v)
        for v in trained
    }
    seen = words.filter(pc.field("validation_sessions") > 0)["item_index"].to_numpy()
    return judge(conf, lake, "validation", paths, seen, cut.validation_from, cut.as_of)


def on_held_out_days(conf: Config, lake: Lake, registry: Registry, versions: Sequence[Version]) -> Judgement:
    paths = {name_of(v): registry.saved_model_path(v) for v in versions}
    seen = vocabulary(conf, lake)["item_index"].to_numpy()
    return judge(conf, lake, "test", paths, seen, Cut.of(conf).as_of, end_of(conf.ds))


def vocabulary(conf: Config, lake: Lake) -> pa.Table:
    """The items seen before the held-out days, `item_index`, and in how many sessions before the validation days."""
    assert conf.set_id is not None
    words = lake.written(vocabulary_table(conf.set_id))  # an earlier release wrote other columns
    return words.select("item_index", "validation_sessions").toArrow()


def judge(
    conf: Config,
    lake: Lake,
    question: str,
    models: Mapping[str, str],
    candidates: np.ndarray,
    as_of: datetime,
    until: datetime,
) -> Ranked:
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
    metrics = sampled(conf, values)
    groups = segments(asked, users)
    return Ranked(question, as_of, until, users, metrics, seconds, values, shown, groups, len(candidates))


def sampled(conf: Config, values: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, Sampled]]:
    """The mean of each model's each metric, of all users and of the same resamples of them."""
    columns = [each for of_model in values.values() for each in of_model.values()]
    found = iter(sampled_means(np.column_stack(columns), conf.promote.resamples, conf.promote.seed))
    return {model: {metric: next(found) for metric in of_model} for model, of_model in values.items()}


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

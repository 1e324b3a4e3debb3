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

from conf.schema import Config
from features.examples import Cut, end_of, vocabulary_table
from features.lake import Lake
from features.questions import ask
from jobs.groups import segments
from jobs.job import InputError, settled
from jobs.labelled import seen_as_of
from models.card import Line
from models.fairness import Split, split_means
from models.guards import Guard, coverage_guard, exposure_guards, gap_guards, segment_guards
from models.label_metrics import LEAST_IS_BEST
from models.metrics import Sampled, by_part, per_user, sampled_means
from models.registry import Registry, Version
from models.scoring import RANK_FACTS_SCHEMA, rank_facts

TEST = "test"
"""The question that decides, and is told by group of users."""
AMOUNTS = ("mae", "mse")
"""Metrics whose unit is that of the amounts."""


@dataclass(frozen=True)
class Judgement(ABC):
    """What some models came to before one question, all asked of the same users."""

    question: str
    as_of: datetime
    until: datetime
    users: list[str]
    metrics: dict[str, dict[str, Sampled]]  # model -> metric -> it, sampled alike
    splits: dict[
        str, dict[str, Split]
    ]  # model -> group of users -> the metric of the gate, of it and of the rest
    seconds: dict[str, np.ndarray]  # model -> what scoring a user took, (users,)

    @abstractmethod
    def guards(self, conf: Config, challenger: str, champion: str) -> list[Guard]:
        """What the challenger may not lose to the champion, beside the metric."""

    def group_guards(self, conf: Config, challenger: str, champion: str) -> list[Guard]:
        """What no group may lose, and how far none may fall behind."""
        limits, metric = conf.promote.guards, metric_of(conf)
        ours, theirs, confidence = self.splits[challenger], self.splits[champion], conf.promote.confidence
        unit = self.metrics[champion][metric].value if metric in AMOUNTS else 1.0
        return [
            *segment_guards(
                ours,
                theirs,
                loss=limits.segment_loss,
                least_users=limits.least_users,
                confidence=confidence,
                least_is_best=metric in LEAST_IS_BEST,
            ),
            *gap_guards(
                ours,
                theirs,
                rise=limits.gap_rise * unit,
                least_users=limits.least_users,
                confidence=confidence,
            ),
        ]

    def groups(self, conf: Config, model: str) -> list[Line]:
        """The metric of the gate by group of users, where there are groups."""
        metric, found = metric_of(conf), []
        for name, split in self.splits[model].items():
            for which, users, each in (
                (name, split.users, split.inside),
                (f"not {name}", split.others, split.outside),
            ):
                found.append(Line(f"{metric}, {which}", users, *each.interval(conf.promote.confidence)))
        return found


@dataclass(frozen=True)
class Ranked(Judgement):
    """Of lists of items."""

    values: dict[
        str, dict[str, np.ndarray]
    ]  # model -> metric -> (users,); `ndcg@10/first`: NaN without such targets
    shown: dict[str, list[np.ndarray]]  # model -> each user's first items, (k,) item indices
    sessions: np.ndarray  # (any,) int by item index: sessions with each item that was ranked; 0: it was not

    def guards(self, conf: Config, challenger: str, champion: str) -> list[Guard]:
        limits, confidence = conf.promote.guards, conf.promote.confidence
        ours, theirs, many = (
            self.shown[challenger],
            self.shown[champion],
            int(np.count_nonzero(self.sessions)),
        )
        return [
            *self.group_guards(conf, challenger, champion),
            coverage_guard(ours, theirs, many, share=limits.coverage_share, confidence=confidence),
            *exposure_guards(
                ours,
                theirs,
                self.sessions,
                gini_rise=limits.gini_rise,
                tail_loss=limits.tail_loss,
                **how(conf),
            ),
        ]


def metric_of(conf: Config) -> str:
    """What decides."""
    return conf.task.label.metrics[0] if conf.task.label else conf.promote.metric


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
    sessions = by_index(words, "validation_sessions")
    return judge(conf, lake, "validation", paths, sessions, cut.validation_from, cut.as_of)


def on_held_out_days(conf: Config, lake: Lake, registry: Registry, versions: Sequence[Version]) -> Judgement:
    paths = {name_of(v): registry.saved_model_path(v) for v in versions}
    sessions = by_index(vocabulary(conf, lake), "sessions")
    return judge(conf, lake, TEST, paths, sessions, Cut.of(conf).as_of, end_of(conf.ds))


def vocabulary(conf: Config, lake: Lake) -> pa.Table:
    """The items seen before the held-out days, `item_index`, and in how many sessions, also before the validation days."""
    assert conf.set_id is not None
    words = lake.written(vocabulary_table(conf.set_id))  # an earlier release wrote other columns
    return words.select("item_index", "sessions", "validation_sessions").toArrow()


def by_index(words: pa.Table, column: str) -> np.ndarray:
    """A number of each item, (any,) int by item index, 0 where there is none."""
    index = words["item_index"].to_numpy()
    found = np.zeros(index.max(initial=-1) + 1, np.int64)
    found[index] = words[column].to_numpy()
    return found


def judge(
    conf: Config,
    lake: Lake,
    question: str,
    models: Mapping[str, str],
    popularity: np.ndarray,
    as_of: datetime,
    until: datetime,
) -> Ranked:
    """Ranks candidates with each model (name -> folder of its SavedModel), for users who come back after `as_of`.

    popularity  (any,) int by item index: sessions before `as_of` with each item, which is a candidate where there are some
    The driver holds it, and a few numbers for each user and model; scores stay with the workers. Raises `InputError` where
    nobody came back.
    """
    seen = seen_as_of(conf, lake, as_of)
    asked = settled(ask(seen.sessions, seen.items, as_of, until, conf).where("targets is not null"))
    rank = partial(rank_facts, models=dict(models), candidates=np.flatnonzero(popularity))
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
    groups = segments(conf, asked, users, as_of, seen) if question == TEST else {}
    of_gate = {name: of_model[conf.promote.metric] for name, of_model in values.items()}
    splits = split_means(of_gate, groups, conf.promote.resamples, conf.promote.seed)
    metrics = sampled(conf, values)
    return Ranked(question, as_of, until, users, metrics, splits, seconds, values, shown, popularity)


def sampled(conf: Config, values: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, Sampled]]:
    """The mean of each model's each metric, of all users and of the same resamples of them."""
    columns = [each for of_model in values.values() for each in of_model.values()]
    found = iter(sampled_means(np.column_stack(columns), conf.promote.resamples, conf.promote.seed))
    return {model: {metric: next(found) for metric in of_model} for model, of_model in values.items()}

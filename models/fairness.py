"""A metric by group of users: of those inside and of everybody else, sampled together, so that their gap has an interval."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from models.label_metrics import Answered, draws, of_draws
from models.metrics import Sampled, sampled_means

Groups = Mapping[str, np.ndarray]
"""Group of users -> who is in it, bool (users,)."""


class Split(NamedTuple):
    """One metric of one model; a resample draws users, each with their group, and whatever is said of them by each model."""

    inside: Sampled  # of the users in the group
    outside: Sampled  # of everybody else
    users: int  # in the group
    others: int

    @property
    def gap(self) -> Sampled:
        return self.inside - self.outside


def split_means(
    values: Mapping[str, np.ndarray], groups: Groups, resamples: int, seed: int
) -> dict[str, dict[str, Split]]:
    """Model -> group -> the means of values, (users,) by model. Groups of nobody and of everybody have none."""
    told = _told(groups)
    columns = [
        np.where(member == inside, of_model, np.nan)
        for of_model in values.values()
        for member in told.values()
        for inside in (True, False)
    ]
    if not columns:
        return {model: {} for model in values}
    found = iter(sampled_means(np.column_stack(columns), resamples, seed))
    return {
        model: {name: Split(next(found), next(found), *_sizes(member)) for name, member in told.items()}
        for model in values
    }


def split_answers(
    metric: str,
    labels: np.ndarray,
    weights: np.ndarray,
    values: Mapping[str, np.ndarray],
    groups: Groups,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Split]]:
    """The same of a metric of answers, which is no mean: see `models.label_metrics.sampled`. NaN where it has none."""
    told, users = _told(groups), len(labels)
    answered = {model: Answered(labels, each, weights) for model, each in values.items()}
    found: dict[tuple[str, str, bool], list[np.ndarray]] = {}
    for counts in draws(users, resamples, seed):
        for (model, each), (name, member), inside in product(answered.items(), told.items(), (True, False)):
            of_part = each.measured(metric, counts * (member == inside), np.nan)
            found.setdefault((model, name, inside), []).append(of_part)
    return {
        model: {
            name: Split(
                of_draws(users, found[model, name, True]),
                of_draws(users, found[model, name, False]),
                *_sizes(member),
            )
            for name, member in told.items()
        }
        for model in values
    }


def by_label(labels: Mapping[str, Sequence[str | None]]) -> dict[str, np.ndarray]:
    """Groups of labels, (users,) each: `age: 25-34` of the label `25-34` of `age`; who has none is in no group of it."""
    found = {}
    for name, each in labels.items():
        of_users = np.array([label or "" for label in each], object)
        for label in sorted(set(of_users.tolist()) - {""}):
            found[f"{name}: {label}"] = of_users == label
    return found


def _told(groups: Groups) -> dict[str, np.ndarray]:
    return {name: member for name, member in groups.items() if 0 < member.sum() < len(member)}


def _sizes(member: np.ndarray) -> tuple[int, int]:
    return int(member.sum()), int((~member).sum())

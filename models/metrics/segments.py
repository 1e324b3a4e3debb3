"""Metrics by segment: of new and old users, of active ones, of any labels; and of repeated beside first-time items."""

from collections.abc import Mapping, Sequence

import numpy as np

from models.metrics.ranking import KS, NO_TARGET, padded, per_user

PARTS = ("repeated", "first")
"""Targets that the user had before, and those that are new to that user."""


def by_segment(
    values: Mapping[str, np.ndarray], segments: np.ndarray | Sequence[str]
) -> dict[str, dict[str, float]]:
    """The mean of each metric in each segment, with `users`, the number of its users.

    values    metric -> (users,), NaN for a user of whom it says nothing
    segments  (users,) labels, such as `activity` makes

    ndcg@10   segments        segment  users  ndcg@10
    0.2       new             new      2      0.3
    0.4       new             old      1      0.9
    0.9       old
    """
    labels = np.asarray(segments)
    if any(len(of_metric) != len(labels) for of_metric in values.values()):
        raise ValueError(
            f"{len(labels)} segments came with { ({n: len(v) for n, v in values.items()}) } values: one a user"
        )
    found: dict[str, dict[str, float]] = {}
    for label in np.unique(labels):
        inside = labels == label
        found[str(label)] = {"users": float(inside.sum())} | {
            name: mean(of_metric[inside]) for name, of_metric in values.items()
        }
    return found


def mean(values: np.ndarray) -> float:
    """The mean of those that are there; NaN where none is."""
    said = values[~np.isnan(values)]
    return float(said.mean()) if len(said) else float("nan")


def activity(sessions: np.ndarray, edges: Sequence[int] = (5, 20, 50)) -> np.ndarray:
    """(users,) labels by how many sessions a user has had: `1-4`, `5-19`, `20-49`, `50+`."""
    ends = [1, *edges]
    names = [f"{low}-{high - 1}" for low, high in zip(ends, edges, strict=False)] + [f"{ends[-1]}+"]
    return np.array(names)[np.searchsorted(edges, sessions, side="right")]


def by_part(
    better: np.ndarray | Sequence[np.ndarray],
    ties: np.ndarray | Sequence[np.ndarray],
    repeated: np.ndarray | Sequence[np.ndarray],
    ks: Sequence[int] = KS,
) -> dict[str, np.ndarray]:
    """`per_user` of the targets that a user had before alone, and of the others alone: `ndcg@10/repeated`, `ndcg@10/first`.

    better, ties  of all targets, as `facts` gives them;  repeated  bool, alike
    All candidates are ranked in both, so that each part is judged by the list that is shown; ideal is a list with its
    targets on top. As the next-basket literature has it (Li et al., 2023, "A Next Basket Recommendation Reality Check").
    NaN for a user without such a target.
    """
    better, ties, repeated = padded(better, NO_TARGET), padded(ties, 0), padded(repeated, 0).astype(bool)
    result: dict[str, np.ndarray] = {}
    for part, wanted in zip(PARTS, (repeated, ~repeated & (better != NO_TARGET)), strict=True):
        counts = wanted.sum(axis=1)
        some = counts > 0
        found = per_user(
            np.where(wanted, better, NO_TARGET)[some], np.where(wanted, ties, 0)[some], counts[some], ks
        )
        for name, values in found.items():
            result[f"{name}/{part}"] = np.full(len(counts), np.nan)
            result[f"{name}/{part}"][some] = values
    return result

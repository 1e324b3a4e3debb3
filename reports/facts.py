"""The facts that a page is made from: what a run counted, timed and judged.

Every part may be missing: a page then says "not run" in its place. Numbers are plain int and float, times
ISO 8601 in UTC, so that the same facts can be kept as JSON. `at`, `rows` and `number` read them, and find
nothing where there is nothing.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from numbers import Real
from typing import Any, TypedDict

Histogram = list[tuple[str, int]]
"""(label, count), in the order of the axis."""

EVENTS_PER_SESSION = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64)
"""Edges of bins: [1, 2), [2, 3), …, and what is 64 or more; labels by `binned(…, counting=True)`."""

DURATION_MINUTES = (0, 1, 2, 5, 10, 20, 30, 60)
"""Edges likewise; labels by `binned`. A basket rung up at once lasts 0 and lies in the first bin."""

GAP_HOURS = tuple(0.375 * 2**n for n in range(12))
"""Edges likewise, each twice the one before, so that bars of equal width make a logarithmic axis; a gap below
the first edge counts in the first bin."""

GAP_LABELS = ("⅜ h", "¾ h", "1½ h", "3 h", "6 h", "12 h", "1 d", "2 d", "4 d", "8 d", "16 d", "32 d")
"""What stands at those edges."""


class Hardware(TypedDict, total=False):
    """The machine."""

    cpu: str
    cores: int
    memory_gb: float


class Examples(TypedDict, total=False):
    """Rows of the newest example set."""

    train: int
    validation: int


class Flow(TypedDict, total=False):
    """How many there were of each along the chain, over the whole run.

    read = events + duplicates + quarantined; events = active + passive; active = in_sessions + capped.
    """

    read: int
    duplicates: int
    quarantined: int
    events: int
    active: int
    passive: int
    capped: int
    in_sessions: int
    sessions: int
    users: int
    items: int
    examples: Examples
    predictions: int  # users with a list of predictions


class Sessions(TypedDict, total=False):
    """What sessions look like."""

    events_per_session: Histogram
    duration_minutes: Histogram
    hour_of_day: list[int]  # 24 counts of sessions by the hour they start in
    zone: str  # of those hours; UTC where nothing is said
    gap_hours: Histogram  # from the end of a session to the start of its user's next; labels: GAP_LABELS


Epoch = TypedDict("Epoch", {"epoch": int, "loss": float, "ndcg@10": float, "seconds": float}, total=False)


class Training(TypedDict, total=False):
    """One training of one model."""

    model: str
    as_of: str
    ranks: int
    rows_expected: int  # rows of one epoch, by the plan
    rows_seen: int  # rows of one epoch, summed over the ranks
    seconds: float
    best_epoch: int
    epochs: list[Epoch]


class Interval(TypedDict, total=False):
    """A mean over users with its confidence interval."""

    mean: float
    low: float
    high: float


class Difference(TypedDict, total=False):
    """A mean difference of the same users, model minus the other, with its confidence interval."""

    difference: float
    low: float
    high: float


class JudgedModel(TypedDict, total=False):
    """One model's answers to one question. Metrics are called `hr@5`, `recall@10`, `ndcg@10`, `mrr@20`, …"""

    model: str
    kind: str  # baseline | encoder
    version: int | str
    values: dict[str, Interval]
    against_best_baseline: dict[
        str, Difference
    ]  # encoders only; the baseline with the best mean of that metric
    against: dict[str, dict[str, Difference]]  # encoders only; each baseline, such as `tifu_knn v4`


class Question(TypedDict, total=False):
    """Everybody's next session in [as_of, until), and how well it was ranked."""

    question: str  # test | validation | night
    as_of: str
    until: str
    users: int
    models: list[JudgedModel]


class Item(TypedDict, total=False):
    """An item in words, as "Fluid milk, private label, 1 GA"."""

    item_id: str
    words: str


class Basket(TypedDict, total=False):
    """What a user bought in one session."""

    date: str
    items: list[Item]


class Prediction(TypedDict, total=False):
    """One item of a user's list, best first."""

    rank: int
    item_id: str
    words: str
    score: float
    bought_before: bool


class Cause(TypedDict, total=False):
    """A past event, and what the first prediction's score has of it."""

    date: str  # of its session
    item_id: str
    words: str
    attribution: float  # by integrated gradients; none: the model looks at no vectors
    change: float  # what the score loses without it; none: it was not left out


class User(TypedDict, total=False):
    """One user's recent baskets (newest first) beside what is predicted to follow, and where the first of that came from."""

    user_id: str
    baskets: list[Basket]
    predictions: list[Prediction]
    explained: list[Cause]  # oldest first; empty: not asked for
    model: str


class Group(TypedDict, total=False):
    """The gate's metric of one model in a group of users, and its gap to everybody else."""

    user_group: str
    users: int
    mean: float
    low: float
    high: float
    gap: float
    gap_low: float
    gap_high: float


class Guard(TypedDict, total=False):
    """What a challenger may not lose."""

    name: str
    value: float
    low: float
    high: float
    least: float
    most: float
    passed: bool


class TaskGroups(TypedDict, total=False):
    """The champion of a task by group of users, and the guards of the newest decision."""

    task: str
    model: str
    metric: str
    as_of: str  # the night of the decision
    groups: list[Group]
    guards: list[Guard]


class Spread(TypedDict, total=False):
    """How a night's scores are spread in a group: quantiles of 10%, 50% and 90%."""

    task: str
    user_group: str
    users: int
    low: float
    median: float
    high: float


class Exposure(TypedDict, total=False):
    """Which items a night shows."""

    task: str
    items: int  # that are known
    shown: int  # of them, to somebody
    gini: float  # of how often: 0 alike, towards 1 few take all
    tail_items: int  # the less popular ones, with a fifth of all sessions
    tail_share: float  # of what is shown
    tail_share_of_sessions: float


class Fairness(TypedDict, total=False):
    """What predictions are to groups of users, and of items."""

    tasks: list[TaskGroups]
    scores: list[Spread]
    exposure: Exposure


class Promotion(TypedDict, total=False):
    """One decision of the gate."""

    at: str
    task: str
    challenger: str
    champion: str
    promoted: bool
    metric: str
    challenger_value: float
    champion_value: float
    difference: float
    low: float
    high: float
    reason: str


class Night(TypedDict, total=False):
    """One night's work."""

    ds: str
    events: int
    duplicates: int
    quarantined: int
    sessions_new: int
    sessions_replaced: int
    users: int
    predictions: int
    seconds: float


class Expected(TypedDict, total=False):
    """One expectation and what was seen."""

    table: str
    name: str
    meaning: str
    value: float  # none: there was nothing to judge, and so is `passed`
    lower: float
    upper: float
    passed: bool
    severity: str  # warn | stop
    rows: int  # that were looked at


class Compared(TypedDict, total=False):
    """A metric of a task's model beside that of its baseline."""

    metric: str
    model: str
    value: float
    baseline: str
    baseline_value: float
    difference: list[float]  # mean, and the ends of its interval, paired by user
    verdict: str  # better, worse or equal: whether the whole interval is


class TaskStands(TypedDict, total=False):
    """What jobs/tasks.py left of a task."""

    task: str
    as_of: str
    users: int
    rows: list[Compared]
    behind: list[Compared]  # of models that are not better for certain, by the first metric
    worth: dict[str, float]  # of inputs, the most first: what that metric loses where users exchange them


class OfShare(TypedDict, total=False):
    """A metric of a task learnt from a share of its labels, begun in one way."""

    share: float  # of the users
    arm: str  # how it began: scratch, frozen, full or adapters
    metric: str
    seeds: int
    train_users: int
    train_positives: int
    mean: float  # over the seeds
    low: float | None  # ends of its interval; none: of one seed
    high: float | None


class FewLabels(TypedDict, total=False):
    """What jobs/few_labels.py left of a task."""

    task: str
    model: str
    pretext: str
    set_id: str
    table: list[OfShare]


class Quality(TypedDict, total=False):
    """The newest check of the tables."""

    ds: str
    overridden: bool  # whether it goes on in spite of breaches that are marked `stop`
    expectations: list[Expected]  # breaches first


class Facts(TypedDict, total=False):
    """All of a run."""

    title: str
    made_at: str
    hardware: Hardware
    command: str
    flow: Flow
    quarantine_reasons: dict[str, int]
    sessions: Sessions
    training: list[Training]
    metrics: list[Question]
    tasks: list[TaskStands]
    few_labels: list[FewLabels]
    users: list[User]
    promotions: list[Promotion]
    nights: list[Night]
    quality: Quality
    fairness: Fairness
    seconds: dict[str, float]  # by step, in the order in which they ran


def binned(edges: Sequence[float], counting: bool = False) -> list[str]:
    """Labels of the bins between `edges` and of the one above them: "1–2", "2–4", "4+".

    When `counting` whole things the bins are [1, 2), [2, 4), so they read "1", "2–3", "4+".
    """
    labels = []
    for low, above in pairwise(edges):
        high = above - 1 if counting else above
        labels.append(f"{low:g}" if high == low else f"{low:g}–{high:g}")
    return [*labels, f"{edges[-1]:g}+"]


def at(facts: Any, *path: str) -> Any:
    """What lies at `path` in nested facts; None where any step of it is missing."""
    for key in path:
        if not isinstance(facts, Mapping):
            return None
        facts = facts.get(key)
    return facts


def rows(facts: Any, *path: str) -> list[Mapping[str, Any]]:
    """The records of the list at `path`; none where it is missing."""
    found = at(facts, *path)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list | tuple) else []


def number(facts: Any, *path: str) -> float | None:
    """The finite number at `path`, else None."""
    found = at(facts, *path)
    if isinstance(found, bool) or not isinstance(found, Real) or not math.isfinite(found):
        return None
    return float(found)

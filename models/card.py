"""The model card of a registered version: what it is, what it was made from and how good it is, in Markdown.

After Mitchell et al., 2019, "Model Cards for Model Reporting". Made from what is recorded alone; MLflow shows it as the
version's description, which may have 5,000 characters.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

LONGEST = 5000
ABOUT = {
    "kind": "kind",
    "set_id": "example set",
    "example_version": "version of its table",
    "as_of": "trained on what lies before",
    "validation_from": "epoch chosen on the days from",
    "best_epoch": "epoch",
    "ranks": "ranks",
    "rows_per_epoch_seen": "rows an epoch",
    "warm_start": "began from",
    "pretext": "pretrained on",
    "encoder": "version of the pretrained encoder",
    "mode": "fine-tuned",
    "share": "share of the users with labels",
    "train_users": "users with labels",
    "train_positives": "positives",
    "seconds": "seconds of training",
    "configuration": "configuration (hash)",
    "digest": "files (SHA-256)",
    "in_spite_of": "trained in spite of",
}
"""Tag of a version -> how the card calls it."""

USE_OF_LISTS = (
    "Raw ids in, the best items out: `mlflow.pyfunc.load_model` takes `item_ids`, `sessions` and `ages`, and the",
    "SavedModel among its artifacts has the vocabulary inside (signatures `by_id` and `scores`). The resolved",
    "configuration and the environment are among the run's artifacts. Scores are for ranking one user's items; they",
    "are no probabilities, and users without a history get one answer for all.",
)
USE_OF_ANSWERS = (
    "Raw ids and numbers in, answers out: `mlflow.pyfunc.load_model` takes `item_ids`, `sessions`, `ages`, `features`",
    "and `naive`, and the SavedModel among its artifacts has the vocabulary inside (signatures `by_id` and `by_index`).",
    "Features are scaled as `label.statistics` of the example set's spec says. The resolved configuration and the",
    "environment are among the run's artifacts. Answers are probabilities, as far as `calibration` made them such, or",
    "amounts; they are of users with a history.",
)


class Line(NamedTuple):
    """One measured number with its interval."""

    what: str
    users: int
    mean: float
    low: float
    high: float


def model_card(
    task: str,
    tags: Mapping[str, str],
    params: Mapping[str, str],
    judged: Iterable[Line] = (),
    segments: Iterable[Line] = (),
) -> str:
    """The card.

    tags    of the version;  params  of its run, `git_commit` among them
    judged  on the held-out days, of everybody;  segments  likewise, of groups of users
    """
    facts = [(label, tags[name]) for name, label in ABOUT.items() if name in tags]
    facts += [(name, params[name]) for name in ("git_commit",) if name in params]
    text = [f"# {tags.get('model', 'A model')} of {task}", "", *_table(("", ""), facts)]
    for title, lines in (("Judged on held-out days", judged), ("The same by group of users", segments)):
        rows = [
            (line.what, f"{line.mean:.4f} ({line.low:.4f} to {line.high:.4f})", f"{line.users:,}")
            for line in lines
        ]
        if rows:
            text += ["", f"## {title}", "", *_table(("metric", "mean, its interval", "users"), rows)]
    answers = "task.label.head" in params
    text += ["", "## Use", "", *(USE_OF_ANSWERS if answers else USE_OF_LISTS)]
    return "\n".join(text)[:LONGEST]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    cells = [head, ("---",) * len(head), *rows]
    return ["| " + " | ".join(row) + " |" for row in cells]

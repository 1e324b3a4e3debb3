"""Which past events predictions came from: Arrow batches in and out (what `mapInArrow` calls; no Spark in here).

By integrated gradients (models/integrated_gradients.py) where the exported model has the signature `explain`, and by what is
lost without each event, which is a check on these and of other models all there is.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from models.attributions import Inputs, leave_one_out
from models.histories import CONTEXTS, SEQUENCE, together, unusable
from models.label_scoring import INPUTS, is_told, loaded
from models.metrics.answers import of_all, spearman
from models.scoring import Scorer, as_read, best_items, load, on_shelf, read, scores_of
from models.shelf import EMPTY, Shelf

EXPLAINED_SCHEMA = (
    "user_id string, items array<int>, ages array<float>, attributions array<float>, changes array<float>, "
    "agreement float, gap float"
)
EXPLAINED = pa.schema(
    {
        "user_id": pa.string(),
        "items": pa.list_(pa.int32()),
        "ages": pa.list_(pa.float32()),
        "attributions": pa.list_(pa.float32()),
        "changes": pa.list_(pa.float32()),
        "agreement": pa.float32(),
        "gap": pa.float32(),
    }
)
ROWS = 16  # histories that a model is given at a time
LEAST_EVENTS = 3  # of a history in which two orders can be compared
Attributed = dict[str, np.ndarray] | None
"""What the signature `explain` says, of a batch; none: the model has none."""


class Asked(NamedTuple):
    """One user's prediction, as it can be asked again."""

    inputs: Inputs
    scored: Callable[[Sequence[Inputs]], np.ndarray]  # histories -> (users, 1): the score in question
    attributed: Callable[[], Attributed]


def explained_lists(
    batches: Iterator[pa.RecordBatch],
    model_path: str,
    shelf: Shelf = EMPTY,
    *,
    events: int,
    steps: int,
    threads: int = 1,
) -> Iterator[pa.RecordBatch]:
    """Where the first item of each user's list comes from.

    in      as `models.scoring.top_k`
    events  the last ones, without each of which the score is made anew;  steps  of the integrated gradients
    out     EXPLAINED_SCHEMA, of users who have a history that can be read: `items` and `ages` of the last events, those
            that are left out and any earlier one that the model looks at; `attributions`, nulls of a model without them;
            `changes`, what the score loses without the event, null where it is not left out; `agreement`, the correlation of
            ranks of the two, null of fewer than LEAST_EVENTS or where one of them is the same for all; `gap`, by how much
            attributions do not add up to the score less that of a history of unknown items
    """
    scorer = on_shelf(load(model_path, threads), shelf)

    def ask(inputs: Inputs, row: dict[str, Any]) -> Asked | None:
        excluded = np.array(row.get("excluded") or [], np.int32)
        (index,), (score,) = (
            x[0] for x in best_items(scorer, together([inputs | {"excluded": excluded}], (1,)), 1)
        )
        if not np.isfinite(score):
            return None
        of_index = np.array([index])
        return Asked(
            inputs,
            lambda users: scores_of(scorer, together(users, (len(users),)), of_index),
            lambda: attributed(scorer, together([inputs], (1,)), of_index, steps),
        )

    return _explained(batches, ask, events)


def attributed(scorer: Scorer, inputs: Inputs, indices: np.ndarray, steps: int) -> Attributed:
    """Of the score of an item each: inputs (users, length), indices (users,) int."""
    if scorer.model.explain is None:
        return None
    target = read(scorer.reads_as, indices)
    return scorer.model.explain(**as_read(scorer, inputs), target=target, steps=np.int32(steps))


def explained_answers(
    batches: Iterator[pa.RecordBatch], model_path: str, *, events: int, steps: int, threads: int = 1
) -> Iterator[pa.RecordBatch]:
    """Where the largest of each user's answers comes from, which of one question is the answer.

    in, out  as `models.label_scoring.answers` and `explained_lists` have it. Features of the user stay as they are.
    """
    import tensorflow as tf

    model = loaded(model_path, threads)
    names = [name.decode() for name in model.names.numpy()]

    def ask(inputs: Inputs, row: dict[str, Any]) -> Asked | None:
        if not all(is_told(row[name]) for name in INPUTS):
            return None
        beside = {name: np.array([row[name]], np.float32) for name in INPUTS}

        def tensors(users: Sequence[Inputs]) -> dict[str, Any]:
            rows = {name: np.repeat(each, len(users), axis=0) for name, each in beside.items()}
            return {n: tf.constant(x) for n, x in (together(users, (len(users),)) | rows).items()}

        def values(users: Sequence[Inputs]) -> np.ndarray:
            return model.signatures["by_index"](**tensors(users))["value"].numpy()

        answer = values([inputs])[0]
        if not np.isfinite(answer).all():
            return None
        target = min(range(len(names)), key=lambda each: (-answer[each], names[each]))  # as they are ranked

        def attributions() -> Attributed:
            if "explain" not in model.signatures:
                return None
            which = {"target": tf.constant([target]), "steps": tf.constant(steps)}
            found = model.signatures["explain"](**tensors([inputs]), **which)
            return {name: each.numpy() for name, each in found.items()}

        return Asked(inputs, lambda users: values(users)[:, [target]], attributions)

    return _explained(batches, ask, events)


def _explained(
    batches: Iterator[pa.RecordBatch], ask: Callable[[Inputs, dict[str, Any]], Asked | None], events: int
) -> Iterator[pa.RecordBatch]:
    kinds = SEQUENCE | CONTEXTS
    for batch in batches:
        rows = []
        for reason, row in zip(unusable(batch), batch.to_pylist(), strict=True):
            inputs = (
                {n: np.array(row[n], kind) for n, kind in kinds.items() if n in row}
                if reason is None
                else None
            )
            asked = inputs and ask(inputs, row)
            if asked:
                rows.append({"user_id": str(row["user_id"])} | explanation(asked, events))
        yield pa.RecordBatch.from_pylist(rows, schema=EXPLAINED)


def explanation(asked: Asked, events: int) -> dict[str, Any]:
    """The columns of EXPLAINED but for whose they are."""
    inputs = asked.inputs
    count = len(inputs["items"])
    left_out = max(0, count - events)  # the first that is
    _, changes = leave_one_out(lambda users: _in_parts(asked.scored, users), inputs, left_out)
    changes = np.concatenate([np.full(left_out, np.nan), changes[:, 0]])
    found, attributions, gap = asked.attributed(), None, None
    first = left_out
    if found is not None:
        attributions = found["attributions"][0, :count]
        gap = float(abs(attributions.sum() - (found["score"][0] - found["baseline"][0])))
        first = min(left_out, int((attributions != 0).argmax()) if attributions.any() else left_out)
    return {
        "items": inputs["items"][first:],
        "ages": inputs["ages"][first:],
        "attributions": [None] * (count - first) if attributions is None else attributions[first:],
        "changes": [None if np.isnan(each) else each for each in changes[first:].tolist()],
        "agreement": None if attributions is None else agreement(attributions[left_out:], changes[left_out:]),
        "gap": gap,
    }


def agreement(attributions: np.ndarray, changes: np.ndarray) -> float | None:
    """The correlation of ranks of what events are given and what is lost without them, (events,) x 2, where there is one."""
    if len(changes) < LEAST_EVENTS or np.ptp(attributions) == 0 or np.ptp(changes) == 0:
        return None
    return of_all(spearman, attributions, changes)


def _in_parts(scored: Callable[[Sequence[Inputs]], np.ndarray], users: Sequence[Inputs]) -> np.ndarray:
    return np.concatenate([scored(users[start : start + ROWS]) for start in range(0, len(users), ROWS)])

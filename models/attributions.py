"""What a score loses without an event of the past, one after the other: of any model, and a check on other attributions."""

from collections.abc import Callable, Sequence

import numpy as np

from models.histories import of_events

Inputs = dict[str, np.ndarray]
"""Of one user `items`, `sessions`, `ages`, (events,) each, oldest first, and whatever else a model is given of a user."""


def leave_one_out(
    scored: Callable[[Sequence[Inputs]], np.ndarray], inputs: Inputs, first: int
) -> tuple[np.ndarray, np.ndarray]:
    """The scores of a history, (scores,), and what they lose without each event from `first` on, (events - first, scores).

    scored  of users -> (users, scores)
    """
    events = range(first, len(inputs["items"]))
    found = scored([inputs, *(without(inputs, place) for place in events)])
    return found[0], found[0] - found[1:]


def without(inputs: Inputs, place: int) -> Inputs:
    """A user's inputs without one event. All else stays, what is excluded too: the question is about the score alone."""
    return inputs | {name: np.delete(inputs[name], place) for name in of_events(inputs)}

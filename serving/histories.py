"""A user's history: what was published of it, and what happened since, in sessions as the night makes them.

Plain twins of `features.sessions`, `features.sequences.sequences` and `as_model_input` for one user at a time.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from features.contexts import contexts_of

MICROS_A_DAY = 86_400_000_000.0
NO_ITEM, UNKNOWN = 0, 1


class Event(NamedTuple):
    """A new event: the item by its id, if it has one; when in microseconds since 1970; its channel, empty where not told."""

    item_id: str | None
    event_type: str
    at: int
    channel: str = ""


@dataclass(frozen=True)
class History:
    """Behaviours of one user, oldest first, in parallel arrays as those of the table `sequences`."""

    items: np.ndarray  # (events,) int32: item_index, 0 without an item
    types: tuple[str, ...]  # (events,) event types
    timestamps: np.ndarray  # (events,) int64, microseconds
    sessions: np.ndarray  # (events,) int32 from 1, 0: in none
    starts: np.ndarray  # (events,) int64, of the session
    channels: tuple[str, ...]  # (events,), empty where it is not told
    named: Mapping[int, str] = field(default_factory=dict)  # place -> item_id, of items not yet an index

    def indices(self, index_of: Mapping[str, int]) -> np.ndarray:
        """(events,) int32: the items as a model's vocabulary numbers them; unknown where it has none."""
        if not self.named:
            return self.items
        items = self.items.copy()
        for place, item_id in self.named.items():
            items[place] = index_of.get(item_id, UNKNOWN)
        return items


NO_TIMES = np.zeros(0, np.int64)
EMPTY = History(np.zeros(0, np.int32), (), NO_TIMES, np.zeros(0, np.int32), NO_TIMES, ())


def continued(known: History, events: Sequence[Event], is_active: Mapping[str, bool], gap: int) -> History:
    """The history with further events, in the order of time, in sessions anew.

    before (gap: 30 minutes)                  after
    known    10:00 milk, 10:10 bread          milk  bread  jam    letter  tea
    events   10:40 jam, 11:11 tea, 10:50      1     1      1      0       2
             a letter (passive)

    is_active  event type -> whether it makes sessions
    gap        microseconds; a longer one starts a new session, an equal one does not
    """
    if not events:
        return known
    before = len(known.types)
    times = np.concatenate([known.timestamps, np.array([event.at for event in events], np.int64)])
    active = np.concatenate([known.sessions > 0, np.array([is_active[e.event_type] for e in events])])
    new = [NO_ITEM if event.item_id is None else UNKNOWN for event in events]
    items = np.concatenate([known.items, np.array(new, np.int32)])
    order = np.argsort(times, kind="stable")  # what was known comes before what arrived with the same time
    if (order[1:] > order[:-1]).all():
        places: Sequence[int] = range(before, len(order))
    else:
        places = np.argsort(order)[before:].tolist()
    types = (*known.types, *(event.event_type for event in events))
    channels = (*known.channels, *(event.channel for event in events))
    first = known.sessions[known.sessions > 0][:1], known.starts[known.sessions > 0][:1]
    sessions, starts = in_sessions(times[order], active[order], gap, *first)
    return History(
        items[order],
        tuple(types[place] for place in order),
        times[order],
        sessions,
        starts,
        tuple(channels[place] for place in order),
        {place: e.item_id for place, e in zip(places, events, strict=True) if e.item_id is not None},
    )


def in_sessions(
    times: np.ndarray, active: np.ndarray, gap: int, first: np.ndarray, first_start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and starts of the sessions of events in order, (events,) x 2; a passive one is in 0 and starts itself.

    first, first_start  (1,) of the oldest session where it was cut and is known, else (0,)
    """
    at = np.flatnonzero(active)
    sessions, starts = np.zeros(len(times), np.int32), times.copy()
    if len(at):
        opens = np.ones(len(at), bool)
        opens[1:] = np.diff(times[at]) > gap
        number = np.cumsum(opens)
        start = times[at][opens]
        start[:1] = np.minimum(start[:1], first_start) if len(first_start) else start[:1]
        sessions[at] = number + (int(first[0]) - 1 if len(first) else 0)
        starts[at] = start[number - 1]
    return sessions, starts


def model_input(
    history: History,
    index_of: Mapping[str, int],
    event_types: Collection[str],
    until: int,
    zone: str | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What a model is shown, `items`, `sessions`, `ages` of (shown,) each, and the places of these events.

    Active behaviours of some types before a moment (`until`, microseconds); ages are days since the session began. With a
    `zone` there are `contexts`, by its clock and by the places of the types among `event_types`.
    """
    items = history.indices(index_of)
    wanted = (items > NO_ITEM) & (history.sessions > 0) & (history.timestamps < until)
    wanted &= np.fromiter((kind in event_types for kind in history.types), bool, len(history.types))
    places = np.flatnonzero(wanted)
    ages = ((until - history.starts[places]) / MICROS_A_DAY).astype(np.float32)
    shown = {"items": items[places], "sessions": history.sessions[places], "ages": ages}
    if zone is not None:
        place_of = {kind: place for place, kind in enumerate(event_types, 1)}
        types = np.array([place_of[history.types[place]] for place in places], np.int32)
        channels = pa.array([history.channels[place] for place in places], pa.string())
        shown["contexts"] = contexts_of(types, history.timestamps[places], channels, zone)
    return shown, places

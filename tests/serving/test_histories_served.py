"""A history that goes on in real time is the one that the night will make of it."""

import numpy as np
import pyarrow as pa
import pytest

from features.kernels import model_input as nightly_input
from serving.histories import EMPTY, Event, continued, model_input
from serving.users import as_history
from tests.serving.served import ACTIVE, GAP, ITEMS, MIDNIGHT, MINUTE, as_sequences, behaviours

INDEX = {item_id: place + 3 for place, item_id in enumerate(ITEMS)}
PURCHASES = frozenset(["purchase"])


def event(each):
    return Event(None if each.item is None else ITEMS[each.item], each.kind, each.at, each.channel or "")


def test_a_gap_of_exactly_30_minutes_goes_on_with_the_visit_and_a_longer_one_does_not():
    events = [Event("bread", "purchase", at) for at in (0, GAP, 2 * GAP + 1)]
    history = continued(EMPTY, events, ACTIVE, GAP)
    assert history.sessions.tolist() == [1, 1, 2]
    assert history.starts.tolist() == [0, 0, 2 * GAP + 1]


def test_a_letter_is_in_no_visit_and_keeps_none_open():
    events = [
        Event("bread", kind, at)
        for kind, at in (("purchase", 0), ("mail", 20 * MINUTE), ("purchase", GAP + 1))
    ]
    assert continued(EMPTY, events, ACTIVE, GAP).sessions.tolist() == [1, 0, 2]


def test_events_count_in_the_order_of_time_whatever_order_they_come_in():
    events = [
        Event("bread", "purchase", 0),
        Event("soap", "view", 9 * GAP),
        Event("rice", "purchase", MINUTE),
    ]
    assert continued(EMPTY, events, ACTIVE, GAP).named == {0: "bread", 1: "rice", 2: "soap"}
    history = continued(EMPTY, [events[1], events[2], events[0]], ACTIVE, GAP)
    assert history.named == {0: "bread", 1: "rice", 2: "soap"}
    assert history.types == ("purchase", "purchase", "view")
    by_app = continued(history, [Event("rice", "purchase", 2 * MINUTE, "app")], ACTIVE, GAP)
    assert by_app.channels == ("", "", "app", "")


def test_an_item_of_no_vocabulary_reads_as_unknown_and_the_moment_itself_is_not_seen():
    events = [
        Event("never seen", "purchase", 0),
        Event("bread", "purchase", MINUTE),
        Event("rice", "purchase", 5 * MINUTE),
    ]
    inputs, places = model_input(continued(EMPTY, events, ACTIVE, GAP), INDEX, PURCHASES, 5 * MINUTE)
    assert inputs["items"].tolist() == [1, INDEX["bread"]] and places.tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(3))
def test_known_events_and_what_came_since_are_the_nights_own_input(seed):
    """100 users, cut at a random event; their sequences before and after by the kernels that the night runs."""
    rng, users = np.random.default_rng(seed), behaviours(100, seed)
    cuts = {user: int(rng.integers(0, len(done))) for user, done in users.items()}
    before = as_sequences({user: done[: cuts[user]] for user, done in users.items()})
    known = {
        row["user_id"][0].as_py(): as_history(row) for row in (before.slice(n, 1) for n in range(len(before)))
    }
    every = as_sequences(users)
    nightly = every.append_column("until", pa.array([MIDNIGHT] * len(every), pa.int64()))
    types, zone = ["purchase", "view"], "Europe/Berlin"
    expected = pa.Table.from_batches(nightly_input(nightly.to_batches(), types, zone=zone)).to_pylist()
    assert len(expected) > 90 and len(known) > 60
    for row in expected:
        user = row["user_id"]
        since = [event(each) for each in users[user][cuts[user] :]]
        history = continued(known.get(user, EMPTY), since, ACTIVE, GAP)
        inputs, _ = model_input(history, INDEX, types, MIDNIGHT, zone)
        for name in ("items", "sessions", "ages", "contexts"):
            np.testing.assert_array_equal(
                inputs[name], np.array(row[name], inputs[name].dtype), err_msg=f"{user} {name}"
            )

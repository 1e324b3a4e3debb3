"""What goes wrong on the way to the logs, and what must become of it."""

import numpy as np
import pytest

from features.world import disorder
from features.world.behaviour import CAMPAIGN_SEND, events_on
from features.world.disorder import (
    ACCEPTED,
    BROKEN_JSON,
    CLOCK_AHEAD,
    CLOCK_FAR_AHEAD,
    DUPLICATE,
    FROM_FUTURE,
    HELD_BACK,
    HELD_TOO_LONG,
    KINDS,
    NO_USER,
    PLAIN,
    SENT_AGAIN,
    TOO_LATE,
    WRITTEN_TWICE,
    Records,
    disorder_of_days,
    judge,
    send,
    sent_again,
    waits,
    written_twice,
)
from features.world.shape import DAY, HOUR, MINUTE, World
from tests.features.world.worlds import a_world, everyone

OFTEN = {"held_back_share": 0.2, "held_too_long_share": 0.1, "sent_again_share": 0.1, "malformed_share": 0.05}
OFTEN |= {"clock_ahead_share": 0.1, "clock_far_ahead_share": 0.1, "written_twice_share": 0.1}
WORLD = a_world("features.late_days=5", users=8000, days=20, **OFTEN)
USERS = everyone(WORLD)


@pytest.fixture(scope="module")
def records() -> Records:
    """All that users do on day 3."""
    return send(WORLD, USERS, events_on(WORLD, USERS, 3)[0], 3)


def test_user_days_are_disordered_as_often_as_told():
    kind = disorder_of_days(WORLD, USERS, 3)
    shares = np.bincount(kind, minlength=6) / len(kind)
    assert shares == pytest.approx([0.4, 0.2, 0.1, 0.1, 0.1, 0.1], abs=0.02)


def test_records_held_back_come_within_the_late_days_and_those_held_too_long_after_them(records):
    wait = waits(WORLD, USERS, 3)
    kind = disorder_of_days(WORLD, USERS, 3)
    assert {int(days) for days in wait[kind == HELD_BACK]} == {1, 2, 3, 5}
    assert {int(days) for days in wait[kind == HELD_TOO_LONG]} == {6, 14}
    assert {int(days) for days in wait[kind == SENT_AGAIN]} == {1, 5}
    assert set(wait[kind == PLAIN]) == {0}
    held = records.take(records.held)
    assert (held.arrival == 3 + wait[held.events.row]).all()
    assert (held.sent // DAY * DAY == WORLD.midnight(held.arrival)).all()


def test_what_is_held_back_on_the_last_late_day_is_accepted_and_a_day_later_it_is_too_late(records):
    same_day = records.take(records.stamped < WORLD.midnight(4))
    for wait, outcome in ((5, ACCEPTED), (6, TOO_LATE)):
        of = same_day.take((same_day.arrival == 3 + wait) & (same_day.kind < BROKEN_JSON))
        assert len(of) > 50
        assert set(of.outcome) == {outcome}


def test_a_part_of_the_events_of_a_disordered_day_comes_at_once(records):
    kind = disorder_of_days(WORLD, USERS, 3)[records.events.row]
    assert records.held[kind == HELD_BACK].mean() == pytest.approx(disorder.HELD, abs=0.05)


def test_a_fast_clock_is_believed_within_the_hour_and_not_beyond(records):
    ahead = records.stamped - records.events.ts
    some, far = records.kind == CLOCK_AHEAD, records.kind == CLOCK_FAR_AHEAD
    assert (ahead[some] > 0).all()
    assert ahead[some].max() <= 50 * MINUTE
    assert set(records.outcome[some]) == {ACCEPTED}
    assert ahead[far].min() >= 26 * HOUR
    assert set(records.outcome[far]) == {FROM_FUTURE}
    assert (ahead[~some & ~far & (records.kind < BROKEN_JSON)] == 0).all()


def test_what_the_shop_itself_does_is_in_order():
    events = events_on(WORLD, USERS, 1)[0]
    sent = send(WORLD, USERS, events.take(events.type == CAMPAIGN_SEND), 1)
    assert set(sent.arrival) == {1}
    assert set(sent.kind[sent.kind < BROKEN_JSON]) == {PLAIN}


@pytest.mark.parametrize(
    ("stamped", "kind", "outcome"),
    [
        (-5 * DAY, PLAIN, ACCEPTED),
        (-5 * DAY - 1, PLAIN, TOO_LATE),
        (25 * HOUR, PLAIN, ACCEPTED),
        (25 * HOUR + 1, PLAIN, FROM_FUTURE),
        (-9 * DAY, KINDS.index("empty_user"), NO_USER),
    ],
)
def test_time_is_judged_against_the_day_of_arrival_and_form_before_time(stamped, kind, outcome):
    """Milliseconds after the midnight at which the day of arrival begins."""
    arrival = np.array([7])
    judged = judge(WORLD, WORLD.midnight(arrival) + stamped, arrival, np.array([kind]))
    assert judged.tolist() == [outcome]


def test_second_copies_are_of_accepted_records_and_come_within_a_minute(records):
    copies = written_twice(WORLD, records)
    accepted = records.outcome == ACCEPTED
    assert len(copies) / np.count_nonzero(accepted) == pytest.approx(0.1, abs=0.01)
    assert set(copies.kind) == {WRITTEN_TWICE}
    assert set(copies.outcome) == {DUPLICATE}
    first = records.take(accepted & np.isin(records.events.key, copies.events.key))
    after = copies.sent - first.sent
    assert after.min() >= 0
    assert after.max() < MINUTE
    assert (copies.arrival == first.arrival).all()


def test_copies_of_a_day_sent_again_are_never_too_late(records):
    copies = sent_again(WORLD, USERS, records, 3)
    assert len(copies) > 100
    late = WORLD.midnight(copies.arrival - WORLD.late_days)
    assert (copies.stamped >= late).all()
    assert set(copies.arrival) == {4, 8}
    originals = records.take(np.isin(records.events.key, copies.events.key))
    assert not originals.held.any()


def test_one_record_in_so_many_is_spoilt_in_each_way(records):
    spoilt = records.take(records.kind >= BROKEN_JSON)
    assert len(spoilt) / len(records) == pytest.approx(0.05, abs=0.005)
    assert set(spoilt.kind) == set(range(BROKEN_JSON, len(KINDS)))


def test_without_late_days_nothing_is_held_back_within_them_or_sent_again():
    world = a_world("features.late_days=0", users=500, held_back_share=0.3, sent_again_share=0.3)
    assert disorder.possible_waits(world) == [1, 9]
    kinds = set(disorder_of_days(world, everyone(world), 3))
    assert not kinds & {HELD_BACK, SENT_AGAIN}


def test_a_shop_without_disorder_is_in_order():
    world: World = a_world(**dict.fromkeys(OFTEN, 0))
    users = everyone(world)
    calm = send(world, users, events_on(world, users, 3)[0], 3)
    assert (set(calm.kind), set(calm.outcome)) == ({PLAIN}, {ACCEPTED})
    assert not len(written_twice(world, calm))

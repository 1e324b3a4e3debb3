"""Who is there, when they come and when no more."""

import numpy as np
import pytest

from features.world.behaviour import events_on
from features.world.shape import DAWN, DAY
from features.world.users import ALWAYS, NEVER, alive, users_of
from features.world.visits import (
    FADED,
    MOST_VISITS,
    anonymous_until,
    fading,
    poisson,
    rate_on,
    staple_due,
    visits_on,
)
from tests.features.world.worlds import a_world, everyone

WORLD = a_world(users=20_000, days=60, churn_per_week=0.03)
USERS = everyone(WORLD)


def test_a_user_is_the_same_alone_and_in_company():
    alone, together = users_of(WORLD, np.array([17])), USERS.take(np.array([17]))
    assert all((getattr(alone, name) == getattr(together, name)).all() for name in vars(alone))


def test_nobody_comes_before_joining_or_after_leaving():
    for day in (0, 20, 59):
        come = np.unique(visits_on(WORLD, USERS, day).row)
        assert (USERS.joined[come] <= day).all()
        assert (USERS.churned[come] > day).all()
        assert len(come) > 1000


def test_those_who_left_are_silent_from_dawn_on():
    gone = USERS.take(USERS.churned == 30)
    assert len(gone) > 30
    events = events_on(WORLD, gone, 29)[0]
    assert len(events)
    assert events.ts.max() < WORLD.midnight(30) + DAWN
    assert not len(events_on(WORLD, gone, 30)[0])


def test_users_leave_at_their_known_hazard():
    """Over 8 weeks as many of those who were there from the start as the hazards say."""
    there = USERS.take(USERS.joined < 0)
    expected = 1 - np.exp(-there.hazard * 8)
    assert np.mean(there.churned <= 56) == pytest.approx(expected.mean(), abs=0.01)
    risky = there.take(there.hazard > np.quantile(there.hazard, 0.9))
    assert np.mean(risky.churned <= 56) > 2 * np.mean(there.churned <= 56)


def test_users_come_as_often_as_their_pace_says():
    days, steady = range(0, 28), USERS.take((USERS.joined < 0) & (USERS.churned > 200) & (USERS.staple < 0))
    visits = sum(np.bincount(visits_on(WORLD, steady, day).row, minlength=len(steady)) for day in days)
    rate = sum(rate_on(WORLD, steady, day) for day in days)
    assert visits.sum() == pytest.approx(rate.sum(), rel=0.02)
    assert rate.mean() == pytest.approx(4 * steady.visits_per_week.mean(), rel=0.16)  # by the season
    assert np.corrcoef(visits, steady.visits_per_week)[0, 1] > 0.8


def test_visits_become_rare_before_a_user_leaves():
    leaving = USERS.take((USERS.churned == 50) & (USERS.joined < 0))
    assert fading(leaving, 22).max() == 0
    assert fading(leaving, 36).tolist() == [0.5] * len(leaving)
    ratio = rate_on(WORLD, leaving, 49) / rate_on(WORLD, leaving, 21)  # both a Thursday
    assert ratio == pytest.approx(FADED, abs=0.05)


def test_visits_lie_about_the_users_hour():
    visits = visits_on(WORLD, USERS, 3)
    hour = (visits.start - WORLD.midnight(3)) / 3_600_000
    off = np.abs((hour - USERS.peak[visits.row] + 12) % 24 - 12)
    assert np.median(off) < 2
    assert hour.min() >= 4
    assert hour.max() < 26


def test_weekends_are_busier_for_those_who_like_them():
    assert (WORLD.weekday(2), WORLD.weekday(4)) == (5, 0)
    there = USERS.take((USERS.joined <= 2) & (USERS.churned > 4) & (fading(USERS, 4) == 0))
    ratio = rate_on(WORLD, there, 2) / rate_on(WORLD, there, 4)
    assert ratio == pytest.approx(there.weekend, rel=0.01)


def test_a_staple_is_due_about_every_so_many_days():
    often = np.flatnonzero((USERS.staple >= 0) & (USERS.staple_every == 7) & (USERS.churned > 100))
    often = often[USERS.joined[often] < 0]
    due = np.stack([staple_due(WORLD, USERS.take(often), day) for day in range(60)])  # (days, users)
    gaps = np.concatenate([np.diff(np.flatnonzero(column)) for column in due.T])
    assert due.mean() == pytest.approx(0.85 / 7, rel=0.05), "0.15 are left out"
    assert set(gaps[gaps < 10]) == {5, 6, 7, 8, 9}
    assert np.mean(gaps[gaps < 10]) == pytest.approx(7, abs=0.1)


def test_who_logs_in_comes_that_day_and_is_known_from_that_visit_on():
    rows = np.flatnonzero(USERS.login == 10)
    users = USERS.take(rows)
    assert len(users) > 20
    assert alive(users, 10).all()
    visits = visits_on(WORLD, users, 10)
    assert set(visits.row) == set(range(len(users)))
    until = anonymous_until(WORLD, users, 10)
    first = visits.start[visits.number == 0]
    assert (until - first).tolist() == [90_000] * len(users)
    assert (anonymous_until(WORLD, users, 11) == 0).all()
    assert (anonymous_until(WORLD, users, 9) > WORLD.midnight(9) + 10 * DAY).all()


def test_a_quarter_comes_without_an_id_and_a_part_of_them_for_good():
    assert np.mean(USERS.login != ALWAYS) == pytest.approx(0.25, abs=0.01)
    assert np.mean(USERS.login == NEVER) > 0.2 * 0.25


@pytest.mark.parametrize(
    ("rate", "u", "visits"),
    [(0.0, 0.99, 0), (1.0, 0.36, 0), (1.0, 0.37, 1), (1.0, 0.74, 2), (1.0, 0.999, MOST_VISITS)],
)
def test_a_poisson_number_follows_from_its_cumulative_chances(rate, u, visits):
    assert poisson(np.array([rate]), np.array([u])).tolist() == [visits]

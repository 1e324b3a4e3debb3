"""How many users a shop needs to come to a number of records."""

from dataclasses import replace

import numpy as np

from conf.schema import Features, Simulate
from features.world.behaviour import BOT_EVERY, BOT_SPREAD, CAMPAIGN_SEND, arms_of, events_on
from features.world.offers import campaign_days
from features.world.shape import LONGEST_GAP, MINUTE, MOST_PER_DAY, World
from features.world.users import users_of
from features.world.visits import visits_on

SAMPLE, SAMPLED_DAYS = 4096, 14
BOTS = 0.02  # share of the records that are bots', where their number is not given
ONE_BOT = 0.1  # the most that a single bot is given
BUSY = 1.25  # records of a busy day to those of one like another
MOST_USERS = 1 << 27  # a user's number has its place in an event's key (behaviour.key_of)


def world_of(simulate: Simulate, features: Features) -> World:
    """The shop of a configuration, whose truth is told under the rules of `features`.

    Raises `ValueError` for rules under which a day of its users cannot be told alone.
    """
    gap = features.session_gap_minutes * MINUTE
    if gap > LONGEST_GAP:
        raise ValueError(
            f"a simulated shop needs features.session_gap_minutes <= {LONGEST_GAP // MINUTE}, "
            f"got {features.session_gap_minutes}: set it for this job as for ingest and sessionize"
        )
    if features.max_events_per_user_day < MOST_PER_DAY:
        raise ValueError(
            f"a simulated shop needs features.max_events_per_user_day >= {MOST_PER_DAY}, so that people stay below it, "
            f"got {features.max_events_per_user_day}: set it for this job as for sessionize"
        )
    sample = World(simulate, SAMPLE, 0, SAMPLE, gap, features.late_days, features.max_events_per_user_day)
    of_people = records_of_a_user(sample)
    of_a_bot = simulate.bot_views_per_day * np.exp(BOT_SPREAD**2 / 2) * simulate.days / BOT_EVERY
    bots = simulate.bots
    if bots is None:
        bots = max(round(BOTS * simulate.events / of_a_bot), int(of_a_bot <= ONE_BOT * simulate.events))
    people = simulate.users or max(round((simulate.events - bots * of_a_bot) / of_people), 1)
    if people >= MOST_USERS:
        raise ValueError(
            f"a simulated shop has fewer than {MOST_USERS:,} users, got {people:,}: set simulate.events"
        )
    busy_day = BUSY * of_people / simulate.days
    blocks = -(-people // max(int(simulate.lines_per_file / busy_day), 1))
    return replace(sample, people=people, bots=bots, people_per_block=-(-people // blocks))


def records_of_a_user(sample: World) -> float:
    """Records that a user comes to: the visits of a sample of users, times the records of a visit on some of the days."""
    users = users_of(sample, np.arange(SAMPLE))
    visits = np.array([len(visits_on(sample, users, day).row) for day in range(sample.days)])
    some = sorted({n * sample.days // SAMPLED_DAYS for n in range(SAMPLED_DAYS)})
    types = np.concatenate([events_on(sample, users, day)[0].type for day in some])
    of_a_visit = np.count_nonzero(types != CAMPAIGN_SEND) / max(visits[some].sum(), 1)
    sent = sum(np.count_nonzero(arms_of(sample, users, n)) for n in range(len(campaign_days(sample))))
    copies = 1.0 + sample.conf.written_twice_share + sample.conf.sent_again_share
    return (visits.sum() * of_a_visit * copies + sent) / SAMPLE

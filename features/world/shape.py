"""How large a shop is, and the calendar that all its parts share."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar

from conf.schema import Simulate
from features.world.draws import Ints

Day = TypeVar("Day", int, Ints)

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
"""Times are whole milliseconds, since 1970 where they are moments."""

DAWN = 4 * HOUR  # after midnight: when the day of a user begins
LONGEST_VISIT = 2 * HOUR
MOST_AHEAD = 50 * MINUTE  # by which a clock runs ahead and is still believed
MOST_PER_DAY = 450  # active events of a person and UTC day: two days' visits, see visits.MOST_VISITS, behaviour.MOST_VIEWS
LONGEST_GAP = 4 * HOUR  # between two events of a session, so that a day still has room for visits


@dataclass(frozen=True)
class World:
    """A shop, fully determined. Days count from 0, the first arrival date; `gap` is in milliseconds."""

    conf: Simulate
    people: int
    bots: int
    people_per_block: int
    gap: int  # a longer one between two events parts sessions
    late_days: int
    most_events: int  # active events of a user and UTC day: with more of them the day makes no sessions

    @property
    def seed(self) -> int:
        return self.conf.seed

    @property
    def days(self) -> int:
        return self.conf.days

    @property
    def blocks(self) -> int:
        """Users are written block by block: a file holds one block's records of one day."""
        return -(-self.people // self.people_per_block)

    def midnight(self, day: Day) -> Day:
        """The moment at which the UTC day `day` begins, or each of several."""
        return (day + (self.date(0) - date(1970, 1, 1)).days) * DAY

    def dusk(self, day: int) -> int:
        """The moment before which all that users do on `day` is over.

        It lies further from the next dawn than `gap`, whatever clocks say, so that no session reaches over it: a user's day
        can be sessionized alone.
        """
        return self.midnight(day + 1) + DAWN - self.gap - MOST_AHEAD - MINUTE

    def date(self, day: int) -> date:
        return date.fromisoformat(self.conf.first_day) + timedelta(days=day)

    def weekday(self, day: int) -> int:
        """0 is Monday."""
        return self.date(day).weekday()

"""What is told of an event beside its item, as one number: parts of it by name, each some bits.

type     place of the event's type in `task.event_types`, from 1
hour     of the day by the shop's clock, from 1: midnight to one
weekday  by the same clock, from 1: Monday
channel  by which way it came, hashed (`hashed`), so that it means the same in every example set

A part that is 0 is not told.
"""

import zlib
from typing import NamedTuple


class Part(NamedTuple):
    """Where it is in the number."""

    first: int  # bit
    bits: int

    @property
    def values(self) -> int:
        """How many there are, 0 among them."""
        return 1 << self.bits


PARTS = {"type": Part(0, 8), "hour": Part(8, 5), "weekday": Part(13, 3), "channel": Part(16, 8)}


def hashed(word: str | None, values: int) -> int:
    """One of so many values, from 1; 0: there is no word."""
    return 1 + zlib.crc32(word.encode()) % (values - 1) if word else 0

from itertools import pairwise

import numpy as np

from conf.contexts import PARTS
from features.contexts import contexts_of


def moment(text: str) -> int:
    return int(np.datetime64(text, "us").astype(np.int64))


def test_a_context_is_the_type_and_the_clock_of_the_shop():
    times = np.array([moment(t) for t in ("1970-01-01T23:30", "2026-07-05T21:59", "2026-07-05T22:00")])
    berlin = contexts_of(np.array([1, 2, 255]), times, "Europe/Berlin")
    assert berlin.dtype == np.int32
    friday_0, sunday_23, monday_0 = berlin.tolist()
    assert friday_0 == 1 | 1 << 8 | 5 << 13
    assert sunday_23 == 2 | 24 << 8 | 7 << 13, "an hour later in summer"
    assert monday_0 == 255 | 1 << 8 | 1 << 13
    assert contexts_of(np.array([1]), times[:1], "UTC").tolist() == [1 | 24 << 8 | 4 << 13]
    assert contexts_of(np.zeros(0, np.int32), np.zeros(0, np.int64), "UTC").tolist() == []


def test_no_part_of_a_context_reaches_into_another():
    ends = [(part.first, part.first + part.bits) for part in PARTS.values()]
    assert all(end <= first for (_, end), (first, _) in pairwise(ends))
    assert PARTS["hour"].values > 24 and PARTS["weekday"].values > 7 and ends[-1][1] < 32

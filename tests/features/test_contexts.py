import zlib
from itertools import pairwise

import numpy as np
import pyarrow as pa

from conf.contexts import PARTS, hashed
from features.contexts import contexts_of

NOT_TOLD = pa.array([""])


def moment(text: str) -> int:
    return int(np.datetime64(text, "us").astype(np.int64))


def test_a_context_is_the_type_and_the_clock_of_the_shop():
    times = np.array([moment(t) for t in ("1970-01-01T23:30", "2026-07-05T21:59", "2026-07-05T22:00")])
    berlin = contexts_of(np.array([1, 2, 255]), times, pa.array([""] * 3), "Europe/Berlin")
    assert berlin.dtype == np.int32
    friday_0, sunday_23, monday_0 = berlin.tolist()
    assert friday_0 == 1 | 1 << 8 | 5 << 13
    assert sunday_23 == 2 | 24 << 8 | 7 << 13, "an hour later in summer"
    assert monday_0 == 255 | 1 << 8 | 1 << 13
    assert contexts_of(np.array([1]), times[:1], NOT_TOLD, "UTC").tolist() == [1 | 24 << 8 | 4 << 13]
    nothing = np.zeros(0, np.int64)
    assert contexts_of(nothing, nothing, pa.array([], pa.string()), "UTC").tolist() == []


def test_a_channel_means_the_same_whatever_came_beside_it():
    times = np.array([moment("1970-01-01T00:00")] * 4)
    told = contexts_of(np.ones(4), times, pa.array(["app", "", "web", "app"]), "UTC")
    channels = [each >> PARTS["channel"].first for each in told.tolist()]
    assert channels == [1 + zlib.crc32(b"app") % 255, 0, 1 + zlib.crc32(b"web") % 255, channels[0]]
    assert set((told & 0xFFFF).tolist()) == {1 | 1 << 8 | 4 << 13}
    assert hashed(None, 256) == 0 and all(1 <= hashed(str(n), 8) <= 7 for n in range(99))


def test_no_part_of_a_context_reaches_into_another():
    ends = [(part.first, part.first + part.bits) for part in PARTS.values()]
    assert all(end <= first for (_, end), (first, _) in pairwise(ends))
    assert PARTS["hour"].values > 24 and PARTS["weekday"].values > 7 and ends[-1][1] < 32

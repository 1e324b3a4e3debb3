"""The contexts of events, as models are given them: see conf/contexts.py."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from conf.contexts import PARTS

MICROS = pa.timestamp("us", "UTC")


def contexts_of(types: np.ndarray, times: np.ndarray, zone: str) -> np.ndarray:
    """int32 (events,): of each its type, from 1, and when it was, in microseconds; by the clock of `zone`.

    type  event_ts             zone            context
    1     1970-01-01 23:30 Z   Europe/Berlin   1 | 1 << 8 | 5 << 13      half past midnight of a Friday
    """
    local = pa.array(times).cast(MICROS).cast(pa.timestamp("us", zone))
    told = {
        "type": types,
        "hour": pc.hour(local).to_numpy() + 1,
        "weekday": pc.day_of_week(local).to_numpy() + 1,
    }
    contexts = np.zeros(len(types), np.int32)
    for name, part in PARTS.items():
        contexts |= told[name].astype(np.int32) << part.first
    return contexts

"""The contexts of events, as models are given them: see conf/contexts.py."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from conf.contexts import PARTS, hashed

MICROS = pa.timestamp("us", "UTC")


def contexts_of(types: np.ndarray, times: np.ndarray, channels: pa.StringArray, zone: str) -> np.ndarray:
    """int32 (events,): of each its type, from 1, when it was, in microseconds by the clock of `zone`, and its channel.

    type  event_ts             channel  zone            context
    1     1970-01-01 23:30 Z            Europe/Berlin   1 | 1 << 8 | 5 << 13               half past midnight of a Friday
    1     1970-01-01 23:30 Z   app      Europe/Berlin   1 | 1 << 8 | 5 << 13 | 121 << 16
    """
    local = pa.array(times).cast(MICROS).cast(pa.timestamp("us", zone))
    told = {
        "type": types,
        "hour": pc.hour(local).to_numpy() + 1,
        "weekday": pc.day_of_week(local).to_numpy() + 1,
        "channel": channel_values(channels),
    }
    contexts = np.zeros(len(types), np.int32)
    for name, part in PARTS.items():
        contexts |= told[name].astype(np.int32) << part.first
    return contexts


def channel_values(channels: pa.StringArray) -> np.ndarray:
    """int32 (events,): what stands for each; 0 where it is empty."""
    coded = channels.dictionary_encode()
    values = [hashed(each, PARTS["channel"].values) for each in coded.dictionary.to_pylist()]
    return np.array(values, np.int32)[coded.indices.to_numpy()]

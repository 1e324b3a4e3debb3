"""Random numbers that depend on what they are for, and on nothing else.

A draw is a hash of (seed, purpose, keys). Whoever asks for the same one gets the same, in whatever order and process, so
that any day of any user can be made alone, and once more where an event of that day arrives late.
"""

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Bits = NDArray[np.uint64]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mixed(x: Bits) -> Bits:
    """Each number spread over all 64 bits; no two come out alike.

    The finaliser of SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
    """
    x = x ^ (x >> np.uint64(30))
    x *= FIRST
    x ^= x >> np.uint64(27)
    x *= SECOND
    x ^= x >> np.uint64(31)
    return x


def bits(seed: int, purpose: str, *keys: ArrayLike) -> Bits:
    """64 random bits for each element of the keys, whole numbers that are broadcast against each other.

    The first keys should be those with one value, such as a day: they are then mixed in once.
    """
    state: Bits = np.array([_start(seed, purpose)], np.uint64)
    for key in keys:
        state = mixed(state + np.atleast_1d(np.asarray(key)).astype(np.uint64) * GOLDEN)
    return state


def uniform(seed: int, purpose: str, *keys: ArrayLike) -> Floats:
    """Numbers in [0, 1)."""
    return _unit(bits(seed, purpose, *keys))


def normal(seed: int, purpose: str, *keys: ArrayLike) -> Floats:
    """Numbers of the standard normal distribution, by Box and Muller."""
    one = bits(seed, purpose, *keys)
    return np.sqrt(-2.0 * np.log1p(-_unit(one))) * np.cos(2.0 * np.pi * _unit(mixed(one + GOLDEN)))


def exponential(seed: int, purpose: str, *keys: ArrayLike) -> Floats:
    """Numbers of the exponential distribution with mean 1."""
    return -np.log1p(-uniform(seed, purpose, *keys))


def among(chances: Floats, u: Floats) -> Ints:
    """For each of `u` in [0, 1) an index, as likely as its chance; what is left of 1 comes last.

    chances     u                  after
    0.1  0.2    0.05  0.15  0.5    0  1  2
    """
    return np.searchsorted(np.cumsum(chances), u, side="right").astype(np.int64)


def _unit(x: Bits) -> Any:
    return (x >> np.uint64(11)) * 2.0**-53


@lru_cache(maxsize=256)
def _start(seed: int, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{purpose}".encode()).digest()[:8], "little")

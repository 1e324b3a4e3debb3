"""How much worse a model gets as histories are: some of their items dropped, moved, doubled or replaced at random."""

from collections.abc import Callable, Sequence

import numpy as np

RATES = (0.01, 0.05, 0.1, 0.2)


def dropped(items: np.ndarray, rate: float, most: int, rng: np.random.Generator) -> np.ndarray:
    """Each item goes with the chance `rate`; the last one stays where all would."""
    kept = rng.random(len(items)) >= rate
    return items[kept] if kept.any() else items[-1:]


def shuffled(items: np.ndarray, rate: float, most: int, rng: np.random.Generator) -> np.ndarray:
    """Items drawn with the chance `rate` change places among themselves."""
    drawn = np.flatnonzero(rng.random(len(items)) < rate)
    moved = items.copy()
    moved[drawn] = items[rng.permutation(drawn)]
    return moved


def duplicated(items: np.ndarray, rate: float, most: int, rng: np.random.Generator) -> np.ndarray:
    """Each item comes twice with the chance `rate`."""
    return np.repeat(items, 1 + (rng.random(len(items)) < rate))


def replaced(items: np.ndarray, rate: float, most: int, rng: np.random.Generator) -> np.ndarray:
    """Each item is another one, any of `most`, with the chance `rate`."""
    is_other = rng.random(len(items)) < rate
    return np.where(is_other, rng.integers(0, most, len(items)), items).astype(items.dtype)


WAYS: dict[str, Callable[[np.ndarray, float, int, np.random.Generator], np.ndarray]] = {
    each.__name__: each for each in (dropped, shuffled, duplicated, replaced)
}


def worse(histories: Sequence[np.ndarray], way: str, rate: float, most: int, seed: int) -> list[np.ndarray]:
    """Histories, places of items below `most`, that are worse in one of the WAYS; the same for the same seed."""
    rng = np.random.default_rng([seed, list(WAYS).index(way), round(1000 * rate)])
    return [WAYS[way](items, rate, most, rng) for items in histories]

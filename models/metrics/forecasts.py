"""How good forecasts of many series are, by what came; intervals are over series, each with all its weeks."""

from collections.abc import Mapping, Sequence

import numpy as np

from models.metrics.intervals import Sampled, sampled_means

METRICS = ("mae", "wape", "pinball", "coverage")
AIM = 0.8  # of the coverage, from the 10% to the 90% quantile


def pinball(actual: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """The loss whose least is at the quantile: (…), (…, levels) -> (…), the mean over levels (Koenker and Bassett, 1978).

    10 came, 8 was said to be the 90% quantile: 0.9 * 2; 13 was: 0.1 * 3.
    """
    over = actual[..., None] - quantiles
    at = np.asarray(levels)
    return np.maximum(at * over, (at - 1) * over).mean(axis=-1)


def sampled_forecasts(
    actual: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], resamples: int, seed: int
) -> dict[str, Sampled]:
    """Each metric of all series, and of each resample of them: one is drawn with all its weeks (Field and Welsh, 2007).

    actual     (weeks, series);  quantiles  (weeks, series, levels): the first and last level are the interval's ends
    mae        of the middle level
    wape       its absolute errors, added up, by what came, added up
    pinball    mean over the levels;  coverage  how often the interval holds what came
    """
    middle = quantiles[..., len(levels) // 2]
    inside = (quantiles[..., 0] <= actual) & (actual <= quantiles[..., -1])
    each = (np.abs(actual - middle), actual, pinball(actual, quantiles, levels), inside)
    columns = np.stack([values.mean(axis=0) for values in each], axis=1)  # (series, 4)
    mae, volume, loss, coverage = sampled_means(columns, resamples, seed)
    wape = Sampled(mae.users, mae.value / volume.value, mae.drawn / volume.drawn)
    return dict(zip(METRICS, (mae, wape, loss, coverage), strict=True))


def against(
    metrics: Mapping[str, Sampled], baselines: Mapping[str, Mapping[str, Sampled]]
) -> dict[str, tuple[str, Sampled]]:
    """Of each metric the name of the baseline with the best value, and how far one's own lies above it.

    Of the coverage the best is the nearest to what it is to be, and the difference is that of the distances to that.
    """
    found = {}
    for name, own in metrics.items():
        of = {baseline: loss(name, each[name]) for baseline, each in baselines.items()}
        best = min(of, key=lambda baseline: of[baseline].value)
        found[name] = (best, loss(name, own) - of[best])
    return found


def loss(metric: str, sampled: Sampled) -> Sampled:
    """What is the better the smaller it is."""
    if metric != "coverage":
        return sampled
    return abs(Sampled(sampled.users, sampled.value - AIM, sampled.drawn - AIM))

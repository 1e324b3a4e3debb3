"""Every metric, in NumPy over facts of rows; docs/metrics.md has them all in one table.

ranking      where targets stand, and HR, recall, NDCG, MRR, MAP of each user: exact about ties
predictions  labels, probabilities and numbers beside what happened
lists        what users are shown: coverage, popularity bias, novelty, diversity, serendipity
segments     means by segment, and repeated beside first-time items
intervals    means with their bootstrap intervals
"""

from models.metrics.intervals import (
    Interval,
    interval_of,
    mean_and_interval,
    means_and_intervals,
    resampled_means,
)
from models.metrics.ranking import KS, NO_TARGET, PADDING, facts, padded, per_user, without_seen
from models.metrics.segments import activity, by_part, by_segment, mean

__all__ = [
    "KS",
    "NO_TARGET",
    "PADDING",
    "Interval",
    "activity",
    "by_part",
    "by_segment",
    "facts",
    "interval_of",
    "mean",
    "mean_and_interval",
    "means_and_intervals",
    "padded",
    "per_user",
    "resampled_means",
    "without_seen",
]

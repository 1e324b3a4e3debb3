"""Every metric, in NumPy over facts of rows; docs/metrics.md has them all in one table.

ranking    where targets stand, and HR, recall, NDCG, MRR, MAP of each user: exact about ties
lists      what users are shown: coverage, popularity bias, novelty, diversity, serendipity
answers    probabilities, classes and amounts beside what happened: of all rows, and of resamples
segments   means by segment, and repeated beside first-time items
forecasts  of how much comes: errors, and how far quantiles hold
intervals  means with their bootstrap intervals
"""

from models.metrics.intervals import Interval, Sampled, mean_and_interval, sampled_means
from models.metrics.ranking import KS, NO_TARGET, PADDING, facts, padded, per_user, without_seen
from models.metrics.segments import activity, by_part, by_segment, mean

__all__ = [
    "KS",
    "NO_TARGET",
    "PADDING",
    "Interval",
    "Sampled",
    "activity",
    "by_part",
    "by_segment",
    "facts",
    "mean",
    "mean_and_interval",
    "padded",
    "per_user",
    "sampled_means",
    "without_seen",
]

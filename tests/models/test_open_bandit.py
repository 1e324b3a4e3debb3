"""Estimators on Open Bandit's sample (Saito et al., 2020): one week of a fashion shop's page under two policies.

Both showed an item at one of three positions, one by even lot, the other (Bernoulli Thompson sampling) by what had been
clicked. From the log of the lot it is estimated what the other came to, which its own log tells. The sample is a part of the
package `obp`, which is not imported: it wants PyTorch. `make test-open-bandit` fetches it.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.metrics.off_policy import ESTIMATORS, Log, effective_times, off_policy, on_policy

OBP = find_spec("obp")
pytestmark = pytest.mark.skipif(OBP is None, reason="the package obp is not there: make test-open-bandit")
LEANING = 100  # impressions that the mean counts for in an item's rate


def sample(policy: str, campaign: str) -> pd.DataFrame:
    assert OBP is not None and OBP.origin is not None
    path = Path(OBP.origin).parent / "dataset" / "obd" / policy / campaign / f"{campaign}.csv"
    return pd.read_csv(path, usecols=["item_id", "position", "click", "propensity_score"])


def log_of(rows: pd.DataFrame) -> Log:
    """No user is known: each impression is its own."""
    clicks, chances = (rows[name].to_numpy(float) for name in ("click", "propensity_score"))
    return Log(np.arange(len(rows)), rows["item_id"].to_numpy(), clicks, chances)


def rates_by_the_other_half(rows: pd.DataFrame, items: int) -> np.ndarray:
    """(impressions, items): the rate of clicks on each item among the impressions that are not in the same half."""
    half, found = np.arange(len(rows)) % 2, np.empty((len(rows), items))
    for own in (0, 1):
        other = rows[half != own]
        shown, clicked = (np.bincount(other["item_id"], w, items) for w in (None, other["click"]))
        found[half == own] = (clicked + LEANING * other["click"].mean()) / (shown + LEANING)
    return found


@pytest.mark.parametrize(("campaign", "clicks"), [("all", (38, 42)), ("men", (46, 69)), ("women", (46, 46))])
def test_from_the_log_of_the_lot_the_intervals_hold_the_other_policys_own_mean(campaign, clicks):
    lot, other = (sample(policy, campaign) for policy in ("random", "bts"))
    assert (lot["click"].sum(), other["click"].sum()) == clicks
    items = 1 + max(rows["item_id"].max() for rows in (lot, other))
    shares = pd.crosstab(other["position"], other["item_id"], normalize="index")
    policy = shares.reindex(columns=range(items), fill_value=0.0).loc[lot["position"]].to_numpy()
    log, own = log_of(lot), on_policy(log_of(other), 2000, 7)
    found = off_policy(log, policy, rates_by_the_other_half(lot, items), 2000, 7)
    assert len(lot) / 10 < effective_times(log, policy) < len(lot) / 2
    assert found["ips"].value == pytest.approx(
        policy[log.rewards > 0, log.actions[log.rewards > 0]].sum() * items / len(lot)
    )
    for name in ESTIMATORS:
        mean, low, high = found[name].interval(0.95)
        print(
            f"{campaign} {name}: {1000 * mean:.1f} ({1000 * low:.1f} to {1000 * high:.1f}), own {1000 * own.value:.1f}"
        )
        assert low < own.value < high
        assert high - low < 3 * own.value, "an interval that holds anything says nothing"

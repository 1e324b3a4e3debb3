"""Estimators of a policy from another one's log: by hand, and against a bandit whose values are known."""

import numpy as np
import pytest

from features.world.ads import LOOKED_AT, MILLIONTHS, appeals, click_chance, is_favourite, shown_to
from models.bandits import best
from models.metrics.off_policy import ESTIMATORS, Log, effective_times, off_policy, on_policy
from tests.features.world.worlds import a_world, everyone

TWO = Log(np.array([1, 2]), np.array([1, 1]), np.array([1.0, 0.0]), np.array([0.25, 0.25]))
POLICY, EXPECTED = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[0.2, 0.4], [0.2, 0.4]])


def test_estimates_by_hand():
    found = off_policy(TWO, POLICY, EXPECTED, 20, 7)
    assert {name: each.value for name, each in found.items()} == pytest.approx(
        {"ips": 1.0, "snips": 1.0, "dr": 0.85}
    )
    assert effective_times(TWO, POLICY) == 1.0


def test_a_log_is_worth_all_of_itself_to_the_policy_that_made_it():
    policy = np.array([[0.75, 0.25]] * 2)
    assert effective_times(TWO, policy) == 2.0
    found, own = off_policy(TWO, policy, EXPECTED, 20, 7), on_policy(TWO, 20, 7)
    assert found["ips"].value == found["snips"].value == own.value == 0.5
    assert (found["ips"].drawn == own.drawn).all()
    assert effective_times(TWO, np.array([[1.0, 0.0]] * 2)) == 0.0
    assert np.isnan(off_policy(TWO, np.array([[1.0, 0.0]] * 2), EXPECTED, 20, 7)["snips"].value)


def test_the_times_of_a_user_are_drawn_together():
    log = Log(np.array([1, 1]), *TWO[1:])
    assert np.ptp(off_policy(log, POLICY, EXPECTED, 50, 7)["ips"].drawn) == 0
    assert np.ptp(off_policy(TWO, POLICY, EXPECTED, 50, 7)["ips"].drawn) > 0


def test_chances_that_are_none_are_refused():
    with pytest.raises(ValueError, match="chances must lie in"):
        off_policy(TWO._replace(chances=np.array([0.0, 0.5])), POLICY, EXPECTED, 20, 7)
    with pytest.raises(ValueError, match="1 in each row"):
        off_policy(TWO, POLICY * 2, EXPECTED, 20, 7)


class Bandit:
    """Two situations, three actions, and what each is worth in each: (situations, actions)."""

    rewards = np.array([[0.1, 0.3, 0.6], [0.5, 0.2, 0.1]])
    logged = np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]])
    policy = np.array([[0.1, 0.1, 0.8], [0.7, 0.2, 0.1]])

    def __init__(self, times: int, seed: int):
        rng = np.random.default_rng(seed)
        self.of = rng.integers(2, size=times)
        actions = (rng.random(times)[:, None] > np.cumsum(self.logged[self.of], axis=1)).sum(axis=1)
        happened = rng.random(times) < self.rewards[self.of, actions]
        users = np.arange(times) // 4
        self.log = Log(users, actions, happened.astype(float), self.logged[self.of, actions])

    @property
    def value(self) -> float:
        return float((self.policy * self.rewards).sum(axis=1)[self.of].mean())


def held(logs, level: float) -> dict[str, tuple[float, float]]:
    """How often intervals hold the value and how wide they are, of logs with a policy, a model's rewards and the value."""
    found = {name: [] for name in ESTIMATORS}
    for seed, (log, policy, expected, value) in enumerate(logs):
        for name, each in off_policy(log, policy, expected, 200, seed).items():
            _, low, high = each.interval(level)
            found[name].append((low <= value <= high, high - low))
    return {name: tuple(np.mean(each, axis=0)) for name, each in found.items()}


@pytest.mark.parametrize("model", ["right", "wrong"])
def test_intervals_hold_the_value_of_a_bandit_as_often_as_they_say_whatever_the_model_says(model):
    bandits = [Bandit(1000, seed) for seed in range(100)]
    rewards = Bandit.rewards if model == "right" else 1 - Bandit.rewards
    logs = [(each.log, Bandit.policy[each.of], rewards[each.of], each.value) for each in bandits]
    found = held(logs, 0.9)
    for name, (share, _) in found.items():
        assert 0.82 <= share <= 0.98, f"{name} holds {share:.2f}"
    assert all(log.rewards.mean() < value - 0.1 for log, _, _, value in logs), "the log is of another policy"
    if model == "right":
        assert found["dr"][1] < found["snips"][1] < found["ips"][1]


def test_intervals_from_logs_of_the_simulated_shop_hold_the_true_clicks_of_a_policy_as_often_as_they_say():
    """The policy shows an item of a favourite category wherever there is one; its model knows of no favourites."""
    world = a_world(users=800, items=40, categories=6)
    users, logs = everyone(world), []
    row = np.repeat(np.arange(800), 2)
    liked = is_favourite(world, users, row)
    policy = best(liked.astype(float))
    for times in range(100):
        shown = shown_to(world, users, row, np.arange(1600 * times, 1600 * (times + 1), dtype=np.uint64))
        log = Log(row, shown.item, shown.clicked.astype(float), shown.chance / MILLIONTHS)
        expected = appeals(world) * LOOKED_AT[shown.position - 1][:, None]
        truth = click_chance(appeals(world), liked, shown.position[:, None])
        logs.append((log, policy, expected, (policy * truth).sum(axis=1).mean()))
    for name, (share, _) in held(logs, 0.9).items():
        assert 0.82 <= share <= 0.98, f"{name} holds {share:.2f}"
    without = [log.rewards.mean() < value for log, _, _, value in logs]
    assert np.mean(without) > 0.9, "the shop's own clicks are fewer"

"""TIFU-kNN and UP-CF against their definitions, written out a user at a time."""

import numpy as np
import pytest
import tensorflow as tf

from conf.schema import Model
from models.neighbours import basket_weights, fit

V = 9
COUNTS = np.array([0, 0, 0, 9, 4, 4, 2, 1, 0])  # item 8 is no candidate
USERS = [  # baskets, oldest first
    [{3, 4}, {3}, {5}, {3, 6}, {4}],
    [{3, 5}, {5}],
    [{6, 7}],
    [{4, 8}, {3}, {4, 5}, {4}],
]
ASKED = [[{3}, {4}, {3, 4}], [{5, 1}, {7}], []]  # 1: unknown
TIFU = {
    "name": "tifu_knn",
    "neighbours": 2,
    "groups": 3,
    "within_decay": 0.9,
    "group_decay": 0.7,
    "own_share": 0.6,
}
UP = {"name": "up_cf", "neighbours": 3, "recent_sessions": 2, "asymmetry": 0.25, "locality": 2.0}


def batch(users):
    """(users, 12): items and sessions, each item of a basket twice where it is 4, for a line more changes nothing."""
    items, sessions = np.zeros((len(users), 12), np.int32), np.zeros((len(users), 12), np.int32)
    for user, baskets in enumerate(users):
        lines = [
            (i, 3 * n + 1) for n, b in enumerate(baskets) for i in sorted(b) for _ in range(1 + (i == 4))
        ]
        for place, line in enumerate(lines):
            items[user, place], sessions[user, place] = line
    return {"items": tf.constant(items), "sessions": tf.constant(sessions)}


def tifu_profile(baskets):
    """The formula of Hu et al., 2020: groups, newer ones larger; decays within a group, then across groups."""
    groups = min(len(baskets), TIFU["groups"])
    profile, start = np.zeros(V), 0
    for group in range(groups):
        size = len(baskets) // groups + (group >= groups - len(baskets) % groups)
        for place, basket in enumerate(baskets[start : start + size]):
            weight = TIFU["within_decay"] ** (size - 1 - place) / size
            for item in basket - {1}:
                profile[item] += weight * TIFU["group_decay"] ** (groups - 1 - group) / groups
        start += size
    return profile


def up_profile(baskets):
    recent = baskets[-UP["recent_sessions"] :]
    return np.array([sum(i in b for b in recent) / max(1, len(recent)) for i in range(V)]) * (
        np.arange(V) > 2
    )


def tifu(baskets):
    own, others = tifu_profile(baskets), [tifu_profile(user) for user in USERS]
    nearest = sorted(others, key=lambda other: np.sum((own - other) ** 2))[: TIFU["neighbours"]]
    return TIFU["own_share"] * own + (1 - TIFU["own_share"]) * np.mean(nearest, axis=0)


def up_cf(baskets):
    had, score, alike = set().union(*baskets) - {1}, up_profile(baskets), []
    for user in USERS:
        theirs = set().union(*user)
        shared = len(had & theirs) / (len(had) ** UP["asymmetry"] * len(theirs) ** (1 - UP["asymmetry"]) or 1)
        alike.append((shared, up_profile(user)))
    for similarity, profile in sorted(alike, key=lambda pair: -pair[0])[: UP["neighbours"]]:
        score = score + similarity ** UP["locality"] * profile
    return score


@pytest.mark.parametrize(("settings", "expected"), [(TIFU, tifu), (UP, up_cf)])
def test_scores_are_those_of_the_paper_and_below_them_popularity(settings, expected):
    ranker, asked = fit(Model(**settings), COUNTS, [batch(USERS)]), batch(ASKED)
    scores = ranker.score(asked["items"], asked["sessions"], tf.zeros((3, 12))).numpy()
    assert np.all(scores[:, COUNTS == 0] == -np.inf)
    for row, baskets in zip(scores[:2], ASKED[:2], strict=True):
        wanted = expected(baskets)
        wanted = np.where(wanted > 0, wanted, -1 / (1 + COUNTS))
        np.testing.assert_allclose(row[COUNTS > 0], wanted[COUNTS > 0], rtol=1e-5)


def test_neighbours_that_come_in_several_batches_are_the_same():
    asked = batch(ASKED)
    one = fit(Model(**UP), COUNTS, [batch(USERS)])
    two = fit(Model(**UP), COUNTS, [batch(USERS[:3]), batch([*USERS[3:], []])])
    np.testing.assert_array_equal(
        *(r.score(asked["items"], asked["sessions"], tf.zeros((3, 12))) for r in (one, two))
    )


def test_no_more_neighbours_are_held_than_are_wanted():
    ranker = fit(Model(**TIFU | {"most_neighbours": 3}), COUNTS, iter([batch(USERS[:2]), batch(USERS[2:])]))
    assert ranker.norms.shape == (3,)


@pytest.mark.parametrize(("baskets", "sizes"), [(2, [1, 1]), (7, [2, 2, 3]), (8, [2, 3, 3]), (9, [3, 3, 3])])
def test_groups_are_of_equal_size_and_the_newer_take_what_is_left(baskets, sizes):
    alike = Model(**TIFU | {"within_decay": 1.0, "group_decay": 1.0})
    weights = basket_weights(
        tf.range(baskets, dtype=tf.int64), tf.fill([baskets], tf.constant(baskets, tf.int64)), alike
    )
    np.testing.assert_allclose(weights, np.concatenate([np.full(s, 1 / s / len(sizes)) for s in sizes]))


def test_a_baseline_without_histories_is_refused():
    with pytest.raises(ValueError, match="without a history"):
        fit(Model(**TIFU), COUNTS, [])

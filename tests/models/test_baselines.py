"""Baselines score what their docstrings say, ties included."""

import numpy as np
import pytest

from models.baselines import fit

V = 9
ITEMS, SESSIONS = np.array([3, 4, 5, 6, 7]), np.array([9, 4, 4, 1, 0])  # item 7 is no candidate, 8 not listed
INF = np.inf


def scores(name, items, sessions, ages, half_life_days=None, size=V):
    ranker = fit(name, size, ITEMS, SESSIONS, half_life_days)
    rows = np.array(items, np.int32), np.array(sessions, np.int32), np.array(ages, np.float32)
    return ranker.score(*rows).numpy()


#       one user: sessions 1 (ages 240), 2 (120), 3 (0); item 6 twice in session 1, item 1 unknown; padding
HISTORY = ([[6, 6, 1, 4, 6, 5, 0, 0]], [[1, 1, 1, 2, 2, 3, 0, 0]], [[240, 240, 240, 120, 120, 0, 0, 0]])


@pytest.mark.parametrize(
    ("name", "half_life", "expected"),
    #                                0     1     2    3      4     5    6     7     8
    [
        ("popularity", None, [-INF, -INF, -INF, 9, 4, 4, 1, -INF, -INF]),
        ("frequency", None, [-INF, -INF, -INF, -1 / 10, 1, 1, 2, -INF, -INF]),
        ("frequency_decay", 120, [-INF, -INF, -INF, -1 / 10, 0.5, 1, 0.75, -INF, -INF]),
    ],
)
def test_scores_of_a_typed_in_history(name, half_life, expected):
    result = scores(name, *HISTORY, half_life)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, [np.float32(expected)], rtol=1e-6)


def test_a_session_counts_once_for_an_item_however_many_lines_it_has():
    once, often = [[4, 5]], [[4, 4, 4, 5]]
    np.testing.assert_array_equal(
        scores("frequency", once, [[1, 1]], [[0, 0]]),
        scores("frequency", often, [[1, 1, 1, 1]], [[0, 0, 0, 0]]),
    )


@pytest.mark.parametrize("name", ["popularity", "frequency"])
def test_padding_and_the_other_users_of_the_batch_change_nothing(name):
    alone = [scores(name, [row], [[1] * len(row)], [[5] * len(row)])[0] for row in ([3, 4], [4, 4, 6], [])]
    batch = scores(
        name, [[3, 4, 0], [4, 4, 6], [0, 0, 0]], [[1, 1, 0], [1, 1, 1], [0, 0, 0]], np.full((3, 3), 5)
    )
    np.testing.assert_array_equal(batch, alone)


def test_a_user_without_a_history_gets_what_is_popular():
    result = scores("frequency_decay", [[0]], [[0]], [[0]], 120)
    assert np.argsort(-result[0], kind="stable")[:4].tolist() == [3, 4, 5, 6]


def test_items_bought_long_ago_stay_above_all_never_bought():
    """After 200 half-lives a weight is no float32 above 0 any more."""
    result = scores("frequency_decay", [[6]], [[1]], [[24_000]], 120)[0]
    assert result[6] == 0 > result[3:6].max()


def test_session_numbers_may_be_as_large_as_they_come():
    top = np.iinfo(np.int32).max
    result = scores(
        "frequency", [[5, 6, 5], [6, 6, 4]], [[1, top - 1, top], [top - 1, top, top]], np.zeros((2, 3))
    )
    assert result[0, 5:7].tolist() == [2, 1] and result[1, [4, 6]].tolist() == [1, 2]


def test_items_bought_in_the_same_sessions_tie_to_the_last_bit():
    """Forty sessions at odd ages, each with the items in another order; all items are in all sessions."""
    rng = np.random.default_rng(0)
    ages = np.sort(rng.random(40) * 400)[::-1].repeat(4)
    items = np.concatenate([rng.permutation([3, 4, 5, 6]) for _ in range(40)])
    bought = scores("frequency_decay", [items], [np.arange(1, 41).repeat(4)], [ages], 120)[0, 3:7]
    assert len(set(bought.tolist())) == 1
    assert bought[0] == pytest.approx((0.5 ** (ages[::4] / 120)).sum())


def test_equal_counts_are_equal_scores_at_any_popularity():
    """-1 / (1 + n) in float32 keeps neighbouring counts apart and equal ones together, to 4 million."""
    counts = np.array([4_000_000, 4_000_001, 4_000_001])
    never = fit("frequency", 6, np.array([3, 4, 5]), counts).score(*np.zeros((3, 1, 1), np.int32)).numpy()[0]
    assert never[3] < never[4] == never[5]


def test_against_a_plain_count_on_random_histories():
    rng = np.random.default_rng(1)
    items = rng.integers(0, V, (20, 50))
    sessions = np.sort(rng.integers(1, 12, (20, 50)), axis=1)
    ages = 100.0 - sessions
    result = scores("frequency_decay", items, sessions, ages, 30)
    for user in range(20):
        for item in (3, 4, 5, 6):
            with_item = set(sessions[user][items[user] == item])
            weight = sum(0.5 ** ((100 - s) / 30) for s in with_item)
            expected = weight if with_item else -1 / (1 + SESSIONS[item - 3])
            assert result[user, item] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "half_life", "message"),
    [
        ("gru", None, "expected one of the baselines"),
        ("frequency_decay", None, "needs one"),
        ("popularity", 120.0, "needs one"),
        ("frequency_decay", 0.0, "must be > 0"),
    ],
)
def test_a_baseline_that_is_none_is_refused(name, half_life, message):
    with pytest.raises(ValueError, match=message):
        fit(name, V, ITEMS, SESSIONS, half_life)

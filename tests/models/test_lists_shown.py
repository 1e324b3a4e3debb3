"""What kind of lists a ranker shows: the lists themselves, and their metrics on a small catalogue."""

import numpy as np
import pytest
import scipy.sparse as sparse

from models.leave_one_out import Sequences
from models.lists_shown import K, best, kinds_of


def test_a_list_has_the_best_candidates_the_lowest_index_first_among_equals():
    scores = np.array([[9.0, 9, 9, 0.5, 0.7, 0.7, 0.1], [0, 0, 0, -np.inf, 1, 2, 3]])
    candidates = np.array([0, 0, 0, 1, 1, 1, 1], bool)
    found = best(np.pad(scores, ((0, 0), (0, K)), constant_values=-np.inf), np.pad(candidates, (0, K)))
    assert found[:, :5].tolist() == [[4, 5, 3, 6, 0], [6, 5, 4, 0, 0]]


def test_what_was_had_is_told_by_index_and_only_up_to_a_moment():
    sequences = Sequences([np.array([3, 4, 3, 5, 6]), np.array([5, 4, 3])], ["a", "b", "c", "d"])
    assert sequences.had(-2).toarray().tolist() == [[0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 0]]


def test_lists_are_told_by_how_wide_new_alike_and_surprising_they_are():
    """Four items, of which all four users had 3, two had 4, one had 5 and none 6."""
    had = np.zeros((4, 7))
    had[:, 3], had[:2, 4], had[3, 5] = 1, 1, 1
    lists = np.zeros((2, K), int)
    lists[0, :2], lists[1, :1] = [5, 3], [5]
    found = kinds_of(lists, np.array([[5], [3]]), sparse.csr_matrix(had))
    assert found["coverage@10"] == 0.5
    assert found["popularity@10"] == np.mean([2.5, 1])
    assert found["novelty@10"] == np.mean([(2 + 0) / 2, 2])
    assert found["intra_list_diversity@10"] == pytest.approx(1 - 1 / 2)  # of one user 5 has, and 3 of four
    # The first user's target is first, and third of four by popularity: (1 - (1 - 2 / 4)) over a list of two.
    assert found["serendipity@10"] == np.mean([0.5 / 2, 0])
    assert found["gini@10"] == pytest.approx((-3 * 0 - 1 * 0 + 1 * 1 + 3 * 2) / (4 * 3))

"""Groups of users by their vectors."""

import numpy as np
import pyarrow as pa

from models.user_vectors import NEAREST, VECTORS, grouped, nearest


def three_ways(users: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    vectors = np.eye(3, 8, dtype=np.float32)[np.arange(users) % 3] + rng.normal(0, 0.1, (users, 8)).astype(
        np.float32
    )
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_as_many_groups_are_found_as_fit_best():
    vectors = three_ways(120)
    middles, fits = grouped(vectors, 2, 6, seed=7)
    assert max(fits, key=fits.get) == 3 == len(middles)
    assert set(fits) == {2, 3, 4, 5, 6}


def test_everybody_goes_to_the_group_whose_middle_points_the_same_way():
    vectors = three_ways(9)
    table = pa.table([[f"u{n}" for n in range(9)], list(vectors)], schema=VECTORS)
    middles = np.eye(3, 8, dtype=np.float32) * [[1], [5], [0.1]]  # their length does not matter
    (found,) = nearest(iter(table.to_batches()), middles)
    assert found.schema == NEAREST
    assert found["user_group"].to_pylist() == [0, 1, 2] * 3
    expected = [vectors[user, user % 3] for user in range(9)]
    np.testing.assert_allclose(found["cosine"].to_numpy(), expected, rtol=1e-6)

"""Draws: the same for whoever asks, and evenly spread."""

import numpy as np
import pytest

from features.world.draws import among, bits, exponential, mixed, normal, uniform

MANY = np.arange(200_000)


def test_a_draw_is_the_same_alone_and_in_company():
    together = uniform(7, "visits", 3, MANY)
    assert uniform(7, "visits", 3, np.array([4711]))[0] == together[4711]
    assert (uniform(7, "visits", np.full(3, 3), MANY[:3]) == together[:3]).all()


@pytest.mark.parametrize(
    "other", [(8, "visits", 3), (7, "starts", 3), (7, "visits", 4), (7, "visits", -3)], ids=str
)
def test_another_seed_purpose_or_key_is_another_draw(other):
    one, two = uniform(7, "visits", 3, MANY), uniform(*other, MANY)
    assert (one != two).all()
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.01


def test_what_a_seed_comes_to_never_changes():
    """Or a shop that is half written would go on as another: `RELEASE` of jobs/simulate.py goes up with these."""
    assert [hex(n) for n in bits(7, "visits", 3, np.arange(2))] == [
        "0x3ff275773252e8aa",
        "0x38a0fbf9ccc7774b",
    ]


def test_uniform_numbers_fill_the_unit_evenly():
    u = uniform(1, "a", MANY)
    assert (u >= 0).all()
    assert (u < 1).all()
    assert np.histogram(u, 10, (0, 1))[0] == pytest.approx(20_000, rel=0.03)
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 0.01


def test_normal_and_exponential_numbers_have_their_moments():
    z, e = normal(1, "a", MANY), exponential(1, "b", MANY)
    assert (z.mean(), z.std()) == pytest.approx((0, 1), abs=0.01)
    assert np.mean(np.abs(z) < 1.96) == pytest.approx(0.95, abs=0.005)
    assert (e.mean(), np.median(e)) == pytest.approx((1, np.log(2)), rel=0.01)


def test_no_two_numbers_are_mixed_into_one():
    assert len(np.unique(mixed(MANY.astype(np.uint64)))) == len(MANY)


def test_among_gives_each_index_its_chance_and_the_rest_the_last():
    assert among(np.array([0.1, 0.2]), np.array([0.05, 0.15, 0.5])).tolist() == [0, 1, 2]

import numpy as np
import pytest
import tensorflow as tf

from models.heads.negatives import Negatives

NO_ITEMS = tf.zeros((0,), tf.int32)
COUNTS = np.r_[0, 0, 0, 1000, 300, 100, [10] * 40, [1] * 60]


def share(power: float) -> np.ndarray:
    weights = np.where(COUNTS > 0, COUNTS.astype(float) ** power, 0)
    return weights / weights.sum()


@pytest.mark.parametrize("sampling", ["popularity", "uniform"])
def test_a_sample_has_no_item_twice_and_depends_on_the_seed_alone(sampling):
    negatives = Negatives(COUNTS, sampling, 50)
    samples = [negatives(tf.constant([7, step]), NO_ITEMS).items.numpy() for step in (1, 1, 2)]
    assert np.all(np.diff(samples[0]) > 0)
    assert COUNTS[samples[0]].min() > 0
    assert np.array_equal(samples[0], samples[1])
    assert set(samples[0]) != set(samples[2])


@pytest.mark.parametrize(("sampling", "power"), [("popularity", 0.75), ("uniform", 0.0)])
def test_an_item_is_sampled_as_often_as_its_probability_says(sampling, power):
    negatives = Negatives(COUNTS, sampling, 20)
    draw, draws = tf.function(negatives), 4000
    times, said = np.zeros(len(COUNTS)), np.zeros(len(COUNTS))
    for step in range(draws):
        sample = draw(tf.constant([1, step]), NO_ITEMS)
        times[sample.items.numpy()] += 1
        said[sample.items.numpy()] = np.exp(sample.log_probability.numpy())
    np.testing.assert_allclose(said, 1 - (1 - share(power)) ** 20, rtol=1e-4)
    for group in (1000, 300, 100, 10, 1):
        alike = group == COUNTS
        expected = said[alike].mean()
        spread = np.sqrt(expected * (1 - expected) / (draws * alike.sum()))
        assert times[alike].mean() / draws == pytest.approx(expected, abs=4 * spread)


def test_a_sample_of_the_batch_is_its_items_by_how_often_the_training_saw_them():
    items = tf.constant([[4, 3, 4, 50, 0], [3, 1, 0, 0, 0]])  # five events of items; unknown is none
    sample = Negatives(COUNTS, "batch", 20)(tf.constant([1, 2]), items)
    assert sample.items.numpy().tolist() == [3, 4, 50]
    expected = np.log(1 - (1 - share(1.0)[[3, 4, 50]]) ** 5)
    np.testing.assert_allclose(sample.log_probability, expected, rtol=1e-4)


def test_a_sample_of_everything_is_everything_for_certain():
    sample = Negatives(np.array([0, 0, 0, 5, 0, 2]), "popularity", 50)(tf.constant([1, 2]), NO_ITEMS)
    assert sample.items.numpy().tolist() == [3, 5]
    assert sample.log_probability.numpy().tolist() == [0, 0]


def test_an_item_among_millions_keeps_its_probability():
    counts = np.r_[0, 0, 0, np.ones(3_000_000, int)]
    sample = Negatives(counts, "uniform", 1000)(tf.constant([1, 2]), NO_ITEMS)
    assert 990 <= len(sample.items) <= 1000
    np.testing.assert_allclose(np.exp(sample.log_probability), 1000 / 3e6, rtol=1e-3)

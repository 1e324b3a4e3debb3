"""The hand-written layers beside the same in NumPy, position by position."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import erf

from conf.schema import Model
from models.encoders.filter import FrequencyFilter
from models.encoders.hstu import Unit
from models.encoders.packed import Packed
from models.encoders.transformer import Block, Transformer, by_distance
from models.gaps import KINDS, GapVectors, kinds_of

WIDTH, HEADS, POSITIONS, TAKEN = 6, 2, 7, 5
PART = WIDTH // HEADS


def filled_in(layer, *inputs) -> dict[str, np.ndarray]:
    """The layer's weights by name, each drawn anew: zeros and ones would hide what they multiply."""
    layer(*inputs)
    rng = np.random.default_rng(3)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return {
        weight.name.removeprefix(f"{layer.name}/").split(":")[0]: weight.numpy() for weight in layer.weights
    }


def row() -> tuple[np.ndarray, tf.Tensor, tf.Tensor]:
    """A row of which TAKEN positions are, and who sees whom in it."""
    x = np.random.default_rng(1).normal(size=(POSITIONS, WIDTH)).astype(np.float32)
    taken = np.arange(POSITIONS) < TAKEN
    seen = np.tril(np.ones((POSITIONS, POSITIONS), bool)) & taken
    return x, tf.constant(x[None]), tf.constant(seen[None])


def normed(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-6) * gamma + beta


def dense(layer, x: np.ndarray) -> np.ndarray:
    y = x @ layer.kernel.numpy() + (layer.bias.numpy() if layer.use_bias else 0)
    return y * (1 + erf(y / np.sqrt(2))) / 2 if layer.activation is tf.keras.activations.gelu else y


def norm(layer, x: np.ndarray) -> np.ndarray:
    return normed(x, layer.gamma.numpy(), layer.beta.numpy())


def attended(block: Block, x: np.ndarray, place: int) -> np.ndarray:
    """What attention gives one place of x, (TAKEN, WIDTH), head by head: (WIDTH,)."""
    mixed = []
    for head in range(HEADS):
        part, others = slice(head * PART, head * PART + PART), range(place + 1 if block.causal else len(x))
        query = dense(block.query, x[place])[part]
        scores = [
            query @ dense(block.key, x[other])[part] / np.sqrt(PART)
            + (block.bias.numpy()[place - other, head] if block.relative else 0)  # ahead: from the end
            for other in others
        ]
        weights = np.exp(scores) / np.exp(scores).sum()
        mixed.append(sum(w * dense(block.value, x[o])[part] for o, w in zip(others, weights, strict=True)))
    return dense(block.out, np.concatenate(mixed))


def by_hand(block: Block, x: np.ndarray) -> np.ndarray:
    """A block of x, (TAKEN, WIDTH), place by place."""
    share, found = block.share, []
    inner = x if block.post else norm(block.norm_attention, x)
    if share:
        beside = np.zeros((1, POSITIONS, WIDTH), np.float32)
        beside[0, :TAKEN] = x if block.post else norm(block.norm_filter, x)
        low = block.filter(tf.constant(beside)).numpy()[0]
    for place in range(TAKEN):
        told = attended(block, inner, place)
        if block.post:
            y = norm(block.norm_attention, x[place] + told)
            if share:
                y = share * norm(block.norm_filter, x[place] + low[place]) + (1 - share) * y
            found.append(norm(block.norm_forward, y + dense(block.narrow, dense(block.widen, y))))
        else:
            y = x[place] + (share * low[place] + (1 - share) * told if share else told)
            found.append(y + dense(block.narrow, dense(block.widen, norm(block.norm_forward, y))))
    return np.array(found, np.float32)


@pytest.mark.parametrize(
    ("choice", "causal"),
    [
        ({"norm": "pre", "places": "back"}, True),  # as in the demo
        ({"norm": "pre", "places": "relative", "filter_share": 0.4, "filter_frequencies": 2}, True),
        ({"norm": "post", "places": "relative", "filter_share": 0.7, "filter_frequencies": 2}, True),
        ({"norm": "post", "places": "back", "forward": 4}, True),
        ({"norm": "post", "places": "relative"}, False),  # bert4rec
        ({"norm": "pre", "places": "back", "start": "normal"}, False),
    ],
)
def test_a_transformer_is_its_places_its_blocks_and_its_norms(choice, causal):
    model = Model(name="sasrec", width=WIDTH, heads=HEADS, blocks=2, dropout=0.5, **choice)
    encoder = Transformer(model, POSITIONS, causal)
    x, batch, _ = row()
    taken = tf.sequence_mask([TAKEN], POSITIONS)
    filled_in(encoder, batch, taken)
    y = x[:TAKEN]
    if encoder.counts_back:
        y = y + encoder.back.numpy()[TAKEN - 1 - np.arange(TAKEN)]
    y = norm(encoder.norm, y) if encoder.post else y
    for block in encoder.blocks:
        y = by_hand(block, y)
    y = y if encoder.post else norm(encoder.norm, y)
    found = encoder(batch, taken)
    np.testing.assert_allclose(found[0, :TAKEN], y, atol=1e-4)
    assert not found[0, TAKEN:].numpy().any()
    np.testing.assert_allclose(encoder(batch, taken, at=tf.constant([3]))[0], y[3], atol=1e-4)


def test_the_filter_gives_each_position_what_the_fourier_transform_gives_the_last_of_its_prefix():
    layer = FrequencyFilter(POSITIONS, 3)
    x, batch, _ = row()
    beta = filled_in(layer, batch)["beta"]
    for count in range(1, POSITIONS + 1):
        aligned = np.zeros_like(x)  # as the paper has it: at the right, zeros before
        aligned[POSITIONS - count :] = x[:count]
        spectrum = np.fft.rfft(aligned, axis=0)
        spectrum[3:] = 0
        low = np.fft.irfft(spectrum, POSITIONS, axis=0)[-1]
        expected = low + beta**2 * (x[count - 1] - low)
        np.testing.assert_allclose(layer(batch)[0, count - 1], expected, atol=1e-5)


def test_a_filter_that_looks_both_ways_is_that_of_the_fourier_transform():
    layer = FrequencyFilter(POSITIONS, 2, causal=False)
    x, batch, _ = row()
    beta = filled_in(layer, batch)["beta"]
    spectrum = np.fft.rfft(x, axis=0)
    spectrum[2:] = 0
    low = np.fft.irfft(spectrum, POSITIONS, axis=0)
    np.testing.assert_allclose(layer(batch)[0], low + beta**2 * (x - low), atol=1e-5)


def test_biases_go_by_how_far_back_and_where_it_looks_both_ways_by_how_far_ahead():
    bias = tf.constant([[0.0], [1.0], [2.0], [-2.0], [-1.0]])
    assert by_distance(bias, 3, causal=False)[0].numpy().tolist() == [[0, -1, -2], [1, 0, -1], [2, 1, 0]]
    assert np.tril(by_distance(bias[:3], 3, causal=True)[0]).tolist() == [[0, 0, 0], [1, 0, 0], [2, 1, 0]]


def test_a_unit_of_pointwise_attention_with_biases_of_distance_and_time():
    unit = Unit(Model(name="hstu", width=WIDTH, heads=HEADS, dropout=0.5), POSITIONS, name="unit")
    x, batch, seen = row()
    ages = tf.constant([[90.0, 30.0, 29.9, 7.0, 0.5, 0.0, 0.0]])
    gaps = kinds_of(ages[:, None, :] - ages[:, :, None])
    seen, packed = tf.cast(seen, tf.float32), Packed(tf.sequence_mask([TAKEN], POSITIONS))
    filled_in(unit, packed.pack(batch), packed, seen, gaps)
    found = unit(packed.pack(batch), packed, seen, gaps)
    silu = lambda y: y / (1 + np.exp(-y))  # noqa: E731
    into = normed(x, unit.norm_in.gamma.numpy(), unit.norm_in.beta.numpy())
    gate, value, query, key = np.split(silu(into @ unit.project.kernel.numpy()), 4, axis=1)
    for place in range(TAKEN):
        mixed = np.zeros(WIDTH)
        for head in range(HEADS):
            part = slice(head * PART, head * PART + PART)
            for other in range(place + 1):
                score = query[place, part] @ key[other, part] + unit.bias.numpy()[place - other, head]
                score += unit.bias_of_gap.numpy()[gaps[0, place, other], head]
                mixed[part] += silu(score) / POSITIONS * value[other, part]
        told = normed(mixed, unit.norm_attended.gamma.numpy(), unit.norm_attended.beta.numpy()) * gate[place]
        expected = x[place] + told @ unit.out.kernel.numpy() + unit.out.bias.numpy()
        np.testing.assert_allclose(found[place], expected, atol=1e-4)


def test_gaps_are_told_apart_by_their_ratio_from_an_hour_on():
    hours = [-5.0, 0.0, 1.4, 1.6, 2.3, 100.0, 1000.0, 1e9]
    assert kinds_of(tf.constant(hours) / 24).numpy().tolist() == [0, 0, 0, 1, 2, 11, 17, KINDS - 1]


def test_a_basket_is_given_the_vector_of_the_gap_before_it_and_the_first_one_of_its_own():
    vectors = GapVectors(2)
    vectors.table.assign(
        tf.range(2.0 * (KINDS + 1))[:, None][: 2 * (KINDS + 1) : 2] * tf.constant([[1.0, -1.0]])
    )
    added = vectors(tf.constant([[100.0, 100 - 2.3 / 24, 0.0]]))[0, :, 0].numpy() / 2
    assert added.tolist() == [KINDS, 2, int(np.log((100 - 2.3 / 24) * 24) / np.log(1.5))]

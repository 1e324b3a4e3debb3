from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from conf.schema import Model
from models.dropout import Noise
from models.encoders import encoded_at, make_encoder
from models.encoders.gru import Gru
from models.encoders.packed import Packed
from models.encoders.transformer import Transformer

WIDTH, POSITIONS = 8, 5
FILTERED = {"norm": "post", "start": "normal", "places": "relative", "filter_share": 0.7, "forward": 4}
MEMBERS = {name: {"members": 2} for name in ("sasrec members", "gru members")}
CHOICES = {"bsarec": FILTERED, "bert4rec": FILTERED, "sasrec relative": {"places": "relative"}, **MEMBERS}
CAUSAL = ["gru", "lstm", "sasrec", "bsarec", "hstu"]
ENCODERS = [*CAUSAL, "bert4rec"]


def encoder(name: str, dropout: float = 0.0):
    tf.keras.utils.set_random_seed(1)
    model = Model(
        name=name.split()[0], width=WIDTH, blocks=2, heads=2, dropout=dropout, **CHOICES.get(name, {})
    )
    made = make_encoder(model, POSITIONS)
    made(tf.zeros((1, POSITIONS, WIDTH)), tf.ones((1, POSITIONS), tf.bool))
    for weight in made.trainable_weights:  # zeros would hide what they multiply
        weight.assign(tf.random.stateless_normal(weight.shape, (1, weight.shape.num_elements()), stddev=0.3))
    return made


def vectors(*counts: int):
    x = tf.random.stateless_normal((len(counts), POSITIONS, WIDTH), (2, 3))
    taken = tf.sequence_mask(counts, POSITIONS)
    return tf.where(taken[:, :, None], x, 0.0), taken


@pytest.mark.parametrize("name", ENCODERS)
def test_the_output_has_the_shape_of_the_input_and_zeros_where_no_position_is(name):
    x, taken = vectors(5, 3, 0)
    y = encoder(name)(x, taken).numpy()
    assert y.shape == (3, POSITIONS, WIDTH)
    assert np.any(y != 0, axis=2).tolist() == taken.numpy().tolist()


@pytest.mark.parametrize("name", [*ENCODERS, "sasrec relative", "sasrec members", "gru members"])
def test_one_position_of_each_row_alone_is_that_of_all(name):
    x, taken = vectors(5, 3, 1, 0)
    at = tf.constant([4, 2, 0, 0])
    made = encoder(name)
    whole = tf.gather(made(x, taken), at, batch_dims=1)
    np.testing.assert_allclose(encoded_at(made, x, taken, at, None), whole, atol=1e-6)


@pytest.mark.parametrize("name", CAUSAL)
def test_a_position_sees_nothing_later_than_itself(name):
    x, taken = vectors(5)
    changed = tf.concat([x[:, :3], -x[:, 3:]], axis=1)
    made = encoder(name)
    before, after = made(x, taken).numpy(), made(changed, taken).numpy()
    np.testing.assert_allclose(before[:, :3], after[:, :3], atol=1e-6)
    assert np.all(np.abs(before[:, 3:] - after[:, 3:]).max(axis=2) > 1e-3)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_position_sees_every_earlier_one(name):
    made = encoder(name)
    x, taken = vectors(5)
    x = tf.Variable(x)
    with tf.GradientTape() as tape:
        last = tf.reduce_sum(made(x, taken)[:, -1] * tf.range(1.0, WIDTH + 1))
    assert np.all(np.abs(tape.gradient(last, x)).max(axis=2) > 1e-6)


@pytest.mark.parametrize("name", ENCODERS)
def test_what_lies_in_padding_does_not_matter(name):
    x, taken = vectors(3)
    made = encoder(name)
    filled = tf.where(taken[:, :, None], x, 7.0)
    np.testing.assert_allclose(made(x, taken), made(filled, taken), atol=1e-6)


@pytest.mark.parametrize("name", ENCODERS)
def test_dropout_works_in_training_only(name):
    x, taken = vectors(5)
    made = encoder(name, dropout=0.5)
    assert np.array_equal(made(x, taken), made(x, taken))
    dropped = [
        made(x, taken, noise=Noise(tf.constant([7, step]), tf.constant([3], tf.int64))) for step in (1, 1, 2)
    ]
    assert np.array_equal(dropped[0], dropped[1])
    assert not np.array_equal(dropped[0], dropped[2])
    assert not np.array_equal(dropped[0], made(x, taken))


@pytest.mark.parametrize("name", ENCODERS)
def test_a_row_loses_the_same_whatever_else_is_in_its_batch(name):
    x, taken = vectors(5, 3, 4)
    made, seed = encoder(name, dropout=0.5), tf.constant([7, 1])
    together = made(x, taken, noise=Noise(seed, tf.constant([10, 11, 12], tf.int64)))
    alone = made(x[1:2], taken[1:2], noise=Noise(seed, tf.constant([11], tf.int64)))
    np.testing.assert_allclose(together[1:2], alone, atol=1e-6)


def test_bert4rec_sees_what_comes_later():
    x = tf.Variable(vectors(5)[0])
    with tf.GradientTape() as tape:
        first = tf.reduce_sum(encoder("bert4rec")(x, vectors(5)[1])[:, 0] * tf.range(1.0, WIDTH + 1))
    assert np.all(np.abs(tape.gradient(first, x)).max(axis=2) > 1e-6)


@pytest.mark.parametrize("name", CAUSAL)
def test_a_row_cut_to_its_length_gives_what_it_gives_with_padding(name):
    x, taken = vectors(3)
    made = encoder(name)
    np.testing.assert_allclose(made(x[:, :3], taken[:, :3]), made(x, taken)[:, :3], atol=1e-5)


def test_sasrec_learns_where_a_position_stands_counted_from_the_last():
    made = encoder("sasrec")
    taken = tf.sequence_mask([2], POSITIONS)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(made(tf.ones((1, POSITIONS, WIDTH)), taken) * tf.range(1.0, WIDTH + 1))
    gradient = tf.convert_to_tensor(tape.gradient(loss, made.back)).numpy()
    assert np.any(gradient != 0, axis=1).tolist() == [True, True, False, False, False]


def test_a_gru_adds_the_mean_of_the_positions_so_far():
    made = Gru(WIDTH, 1, 0.0)
    x, taken = vectors(5)
    made(x, taken)
    for weight in made.layers[0].trainable_weights:
        weight.assign(tf.zeros(weight.shape))  # a recurrence that says nothing
    means = tf.stack([tf.reduce_mean(x[:, : place + 1], axis=1) for place in range(POSITIONS)], axis=1)
    np.testing.assert_allclose(made(x, taken), made.norm(made.norm_usual(means)), atol=1e-5)


def test_a_new_sasrec_block_adds_the_mean_of_what_a_position_sees():
    block = Transformer(Model(name="sasrec", width=WIDTH, blocks=1, heads=2, dropout=0.0), POSITIONS)
    x, taken = vectors(4)
    block(x, taken)
    (block,) = block.blocks
    block.query.kernel.assign(tf.zeros((WIDTH, WIDTH)))
    seen = tf.linalg.band_part(tf.ones((POSITIONS, POSITIONS), tf.bool), -1, 0)[None] & taken[:, None]
    normed = block.norm_attention(x[0]).numpy()
    expected = [x[0, place] + normed[: place + 1].mean(axis=0) for place in range(4)]
    packed = Packed(taken)
    np.testing.assert_allclose(block(packed.pack(x), packed, seen), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["sasrec", "hstu"])
def test_what_a_block_adds_is_left_out_of_some_rows_and_never_in_a_prediction(name):
    tf.keras.utils.set_random_seed(1)
    described = Model(name=name, width=WIDTH, blocks=1, heads=2, dropout=0.0, start="normal")
    plain = make_encoder(described, POSITIONS)
    deep = make_encoder(replace(described, stochastic_depth=0.5), POSITIONS)
    x, taken = vectors(*[4] * 24)
    for made in (plain, deep):
        made(x, taken)
    for weight in plain.weights:
        weight.assign_add(
            tf.random.stateless_normal(weight.shape, (1, weight.shape.num_elements()), stddev=0.3)
        )
    deep.set_weights(plain.get_weights())
    np.testing.assert_array_equal(deep(x, taken), plain(x, taken))
    given = x
    if name == "sasrec":  # with the vectors of places, which count back
        given = x + tf.pad(tf.gather(plain.back, [3, 2, 1, 0]), [[0, 1], [0, 0]])
    normed = plain.norm(tf.reshape(given, (-1, WIDTH))).numpy().reshape(given.shape)
    nothing = normed * taken.numpy()[:, :, None]
    left = deep(x, taken, noise=Noise(tf.constant([1, 2]), tf.range(24, dtype=tf.int64))).numpy()
    is_left = np.isclose(left, nothing, atol=1e-5).all(axis=(1, 2))
    assert (
        (2 <= is_left.sum() <= 12) if name == "sasrec" else (5 <= is_left.sum() <= 19)
    )  # of two additions, or of one
    others = ~is_left
    assert (np.abs(left - nothing)[others].max(axis=2)[:, :4] > 1e-4).all(), "at each position of a row"


def test_an_encoder_that_is_none_is_named():
    with pytest.raises(ValueError, match=r"model\.name must be one of gru, .*hstu.*, got 'rnn'"):
        make_encoder(Model(name="rnn"), POSITIONS)

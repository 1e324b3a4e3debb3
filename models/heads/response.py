"""A learned function of what a user's history tells of one thing, and of the user's state."""

import numpy as np
import tensorflow as tf


class Response(tf.Module):
    """One hidden layer, W₂ GELU(W₁ x + S h + …), which at first is 0 whatever it is given.

    features  what is told of a pair;  width  of the encoder's states;  hidden  units
    """

    def __init__(self, features: int, width: int, hidden: int, seed: int):
        super().__init__()
        start = np.random.default_rng(seed).standard_normal((features, hidden), np.float32) * features**-0.5
        self.widen = tf.Variable(start, name="widen")  # (features, hidden)
        self.of_state = tf.Variable(tf.zeros((width, hidden)), name="of_state")
        self.offset = tf.Variable(tf.zeros(hidden), name="offset")
        self.narrow = tf.Variable(tf.zeros((hidden, 1)), name="narrow")

    def __call__(
        self, told: tf.Tensor, states: tf.Tensor, where: tf.Tensor, beside: tf.Tensor | float = 0.0
    ) -> tf.Tensor:
        """told (pairs, features), states (batch, moments, width), where (pairs, 3): row, moment, … -> (pairs,).

        beside  (pairs, hidden): what else goes into the hidden layer
        """
        of_state = tf.gather_nd(states @ self.of_state, where[:, :2])  # (pairs, hidden)
        hidden = tf.nn.gelu(told @ self.widen + of_state + self.offset + beside)
        return (hidden @ self.narrow)[:, 0]

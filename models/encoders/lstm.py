"""A recurrent encoder with memory cells.

After Hochreiter and Schmidhuber, 1997, "Long Short-Term Memory".
"""

import tensorflow as tf

from models.encoders.gru import Gru


class Lstm(Gru):
    """As `Gru`, of LSTM layers."""

    kind = tf.keras.layers.LSTM

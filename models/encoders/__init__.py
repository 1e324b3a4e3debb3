"""Encoders: (batch, positions, width) vectors, (batch, positions) bool of those taken -> vectors alike.

With `noise`, what dropout is drawn from, they drop; without it they do not.

Positions are right-padded, and the output at a position depends on that position and earlier ones only.
"""

import tensorflow as tf

from conf.schema import Model
from models.encoders.gru import Gru
from models.encoders.sasrec import SasRec


def make_encoder(model: Model, positions: int) -> tf.keras.layers.Layer:
    """The encoder that `model.name` names."""
    if model.name == "gru":
        return Gru(model.width, model.blocks, model.dropout)
    if model.name == "sasrec":
        return SasRec(model.width, model.blocks, model.heads, model.dropout, positions)
    raise ValueError(f"model.name must be gru or sasrec, got {model.name!r}")

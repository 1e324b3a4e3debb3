"""Encoders: (batch, length, width) vectors, (batch, length) bool of those taken -> vectors alike.

With `noise`, what dropout is drawn from, they drop; without it they do not.

Positions are right-padded, at most `positions` of them. The output at a position depends on that position and earlier ones
only, but for `bert4rec`, which looks both ways.
"""

from dataclasses import replace
from typing import Any

import tensorflow as tf

from conf.schema import ENCODERS, Model
from models.dropout import Noise
from models.encoders.gru import Gru
from models.encoders.hstu import Hstu
from models.encoders.lstm import Lstm
from models.encoders.members import Members
from models.encoders.transformer import Transformer


def make_encoder(model: Model, positions: int) -> tf.keras.layers.Layer:
    """The encoder that `model.name` names, or several of it."""
    if model.members > 1:
        part = replace(model, members=1, width=model.width // model.members)
        return Members([make_encoder(part, positions) for _ in range(model.members)])
    match model.name:
        case "gru" | "repeat":
            return Gru(model.width, model.blocks, model.dropout)
        case "lstm":
            return Lstm(model.width, model.blocks, model.dropout)
        case "sasrec" | "bsarec":
            return Transformer(model, positions)
        case "bert4rec":
            return Transformer(model, positions, causal=False)
        case "hstu":
            return Hstu(model, positions)
    raise ValueError(f"model.name must be one of {', '.join(ENCODERS)}, got {model.name!r}")


def encoded_at(
    encoder: tf.keras.layers.Layer,
    x: tf.Tensor,
    taken: tf.Tensor,
    at: tf.Tensor,
    noise: Noise | None,
    **beside: Any,
) -> tf.Tensor:
    """An encoder's output at one position of each row, (batch,) int32: (batch, width), without what that can do without."""
    if encoder.can_do_one:
        return encoder(x, taken, noise=noise, at=at, **beside)
    return tf.gather(encoder(x, taken, noise=noise, **beside), at, batch_dims=1)

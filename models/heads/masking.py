"""Which positions of a row are told, as events with the positions that the head of the next item takes.

An event's position says that the one before it tells the event. Moved on by one, it is told at its own position, of which
the encoder is shown nothing but a mask: Devlin et al., 2019; Sun et al., 2019, "BERT4Rec".
"""

import tensorflow as tf

from models.baskets import ABSENT, Events
from models.dropout import Dropout, Noise


class Masking(tf.Module):
    """Draws the positions that a step hides: a share of each row's, and the last where that is none.

    place  what it is drawn for: two that hide for different ends hide different positions
    """

    def __init__(self, share: float, place: str = "mask"):
        super().__init__()
        self.share, self.lot = share, Dropout(share, place)

    def __call__(self, count: tf.Tensor, positions: int, noise: Noise | None, last_only: bool) -> tf.Tensor:
        """(batch,) int32 -> (batch, positions) bool; `last_only`, or without noise: the last."""
        place = tf.range(positions)
        last = place == count[:, None] - 1
        if noise is None or last_only:
            return last
        drawn = ~self.lot.keeps(self.lot.bits(noise, positions))
        drawn &= place < count[:, None]
        return drawn | (last & ~tf.reduce_any(drawn, axis=1, keepdims=True))


def told_at_last(events: Events) -> Events:
    """Only the events of the last position are to be told."""
    is_last = events.positions == events.count[:, None] - 1
    return events._replace(positions=tf.where(is_last, events.positions, ABSENT))


def told_at_own(events: Events, masked: tf.Tensor) -> Events:
    """The events of masked positions, (batch, positions) bool, are to be told there."""
    own = tf.maximum(events.positions, 0)
    told = (events.positions >= 0) & tf.gather(masked, own, batch_dims=1)
    return events._replace(positions=tf.where(told, events.positions + 1, ABSENT))

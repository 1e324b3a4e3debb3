"""Other ways to look at a row: what two views of it have in common is what it says of its user.

Xie et al., 2022, "Contrastive Learning for Sequential Recommendation" (CL4SRec). What is drawn follows from the step's
seed and the row alone, as dropout does.
"""

from collections.abc import Sequence

import tensorflow as tf

from models.baskets import ItemVectors
from models.dropout import Dropout, Noise
from models.indices import MASK


class Views(tf.Module):
    """Of each row one of the kinds, drawn for it.

    dropout  the row as it is: views differ by what the encoder drops
    crop     `share` of its baskets, in one piece
    mask     about `share` of its baskets, a mask in the place of each other
    reorder  `share` of its baskets as they are, and the others, in one piece, in another order
    """

    def __init__(self, kinds: Sequence[str], share: float, vectors: ItemVectors):
        super().__init__()
        self.kinds, self.share, self.vectors = list(kinds), share, vectors
        self.lots = Dropout(0.0, "views")

    def __call__(
        self, baskets: tf.Tensor, count: tf.Tensor, noise: Noise | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """(batch, positions, width), (batch,) int32 -> alike; without noise the row as it is."""
        if noise is None or self.kinds == ["dropout"]:
            return baskets, count
        positions = baskets.shape[1]
        bits = tf.bitwise.right_shift(self.lots.bits(noise, positions + 2), tf.constant(8, tf.uint32))
        lots = tf.cast(bits, tf.float32) / 2**24  # (batch, positions + 2), in [0, 1)
        kind = tf.cast(lots[:, 0] * len(self.kinds), tf.int32)  # (batch,)
        made = [getattr(self, each)(baskets, count, lots[:, 1], lots[:, 2:]) for each in self.kinds]
        seen = tf.stack([each for each, _ in made], axis=1)  # (batch, kinds, positions, width)
        counts = tf.stack([each for _, each in made], axis=1)  # (batch, kinds)
        return tf.gather(seen, kind, batch_dims=1), tf.gather(counts, kind, batch_dims=1)

    def dropout(
        self, baskets: tf.Tensor, count: tf.Tensor, lot: tf.Tensor, lots: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return baskets, count

    def crop(
        self, baskets: tf.Tensor, count: tf.Tensor, lot: tf.Tensor, lots: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        kept = self._part(count, self.share)
        place = _start(count, kept, lot)[:, None] + tf.range(baskets.shape[1])  # (batch, positions)
        moved = tf.gather(baskets, tf.minimum(place, baskets.shape[1] - 1), batch_dims=1)
        return moved, kept

    def mask(
        self, baskets: tf.Tensor, count: tf.Tensor, lot: tf.Tensor, lots: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.where((lots < self.share)[:, :, None], baskets, self.vectors(tf.constant(MASK))), count

    def reorder(
        self, baskets: tf.Tensor, count: tf.Tensor, lot: tf.Tensor, lots: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        moved = self._part(count, 1 - self.share)
        start, place = _start(count, moved, lot)[:, None], tf.range(baskets.shape[1])
        inside = (place >= start) & (place < start + moved[:, None])  # (batch, positions)
        # Those inside sort by lot, between those before and behind them, which sort by place.
        rank = tf.where(inside, tf.cast(start, tf.float32) + lots * 0.5, tf.cast(place, tf.float32))
        return tf.gather(baskets, tf.argsort(rank, axis=1), batch_dims=1), count

    @staticmethod
    def _part(count: tf.Tensor, share: float) -> tf.Tensor:
        """Of so many baskets this share, one at least: (batch,) int32."""
        part = tf.cast(tf.round(tf.cast(count, tf.float32) * share), tf.int32)
        return tf.minimum(tf.maximum(part, 1), count)


def _start(count: tf.Tensor, part: tf.Tensor, lot: tf.Tensor) -> tf.Tensor:
    """Where a piece of so many begins, by lot: (batch,) int32."""
    return tf.cast(lot * tf.cast(count - part + 1, tf.float32), tf.int32)

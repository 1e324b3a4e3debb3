"""Several encoders of one kind side by side, each with its part of the width: it looks at no other part.

After Lakshminarayanan et al., 2017, "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles": networks
that began from other weights err on other rows, and their mean errs less than each of them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from models.dropout import Noise

APART = 0x3C6EF372  # between the seeds of two members: no small seed of a training is another one's member


class Members(tf.keras.layers.Layer):
    """Encoders of which each is given its part of the vectors, and drops what no other one drops."""

    def __init__(self, members: Sequence[tf.keras.layers.Layer]):
        super().__init__(name="members")
        self.members = list(members)

    @property
    def can_do_one(self) -> bool:
        return self.members[0].can_do_one

    @property
    def blocks(self) -> list[tf.keras.layers.Layer]:
        """Those of all members, where they have any."""
        return [block for member in self.members for block in getattr(member, "blocks", [])]

    def call(self, x: tf.Tensor, taken: tf.Tensor, noise: Noise | None = None, **beside: Any) -> tf.Tensor:
        """(batch, length, width), (batch, length) bool -> as the first; with `at`, (batch, width)."""
        encoded = [
            member(part, taken, noise=own, **beside)
            for member, part, own in zip(
                self.members, parts(x, len(self.members)), self.noises(noise), strict=True
            )
        ]
        return tf.concat(encoded, axis=-1)

    def noises(self, noise: Noise | None) -> Iterable[Noise | None]:
        """One for each; that of the first is the one given."""
        for number in range(len(self.members)):
            yield noise and noise._replace(seed=noise.seed + tf.constant([number, 0]) * APART)


def parts(x: tf.Tensor, members: int) -> list[tf.Tensor]:
    """What each member has of vectors: (…, width) -> (…, width / members), so many."""
    return tf.split(x, members, axis=-1) if members > 1 else [x]

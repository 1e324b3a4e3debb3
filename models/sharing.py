"""What the questions of a task share behind the encoder, where it asks several: shared bottom, MMoE or PLE.

All take (batch, inputs) and give each question its outputs, one's behind the other's: (batch, outputs).

bottom  nothing of its own but the last layer (Caruana, 1997, "Multitask Learning")
mmoe    experts that all share, mixed by a gate of each question (Ma et al., 2018, "Modeling Task Relationships in
        Multi-task Learning with Multi-gate Mixture-of-Experts")
ple     likewise, and experts of each question's own among them (Tang et al., 2020, "Progressive Layered Extraction (PLE)"),
        one level of extraction
"""

import numpy as np
import tensorflow as tf

KINDS = ("bottom", "mmoe", "ple")


class Experts(tf.keras.layers.Layer):
    """Questions that mix `experts` they share, and `own` that are each one's alone, of this width.

    start  (outputs,): the biases of the last layer, whose weights start as zeros
    asked  (outputs,) int: of which question each output is
    """

    def __init__(self, asked: np.ndarray, start: np.ndarray, width: int, experts: int, own: int):
        super().__init__()
        questions = int(asked.max()) + 1
        self.questions, self.width, self.count, self.own_count = questions, width, experts, own
        self.asked = tf.constant(asked, tf.int32)
        self.shared = tf.keras.layers.Dense(experts * width, activation="relu")
        self.own = tf.keras.layers.Dense(questions * own * width, activation="relu") if own else None
        self.gates = tf.keras.layers.Dense(questions * (own + experts))
        self.start = start

    def build(self, shape: tf.TensorShape) -> None:
        self.kernel = self.add_weight("kernel", (len(self.start), self.width), initializer="zeros")
        self.bias = self.add_weight(
            "bias", (len(self.start),), initializer=tf.constant_initializer(self.start)
        )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """(batch, inputs) -> (batch, outputs)."""
        shared = tf.reshape(self.shared(x), (-1, 1, self.count, self.width))
        experts = tf.repeat(shared, self.questions, axis=1)  # (batch, questions, experts, width)
        if self.own is not None:
            own = tf.reshape(self.own(x), (-1, self.questions, self.own_count, self.width))
            experts = tf.concat([own, experts], axis=2)  # (batch, questions, own + experts, width)
        gates = tf.nn.softmax(tf.reshape(self.gates(x), (-1, self.questions, self.own_count + self.count)))
        mixed = tf.einsum("bqe,bqew->bqw", gates, experts)
        of_outputs = tf.gather(mixed, self.asked, axis=1)  # (batch, outputs, width)
        return tf.reduce_sum(of_outputs * self.kernel, axis=2) + self.bias


def make_sharing(
    kind: str, asked: np.ndarray, start: np.ndarray, width: int, experts: int
) -> tf.keras.layers.Layer:
    """The layers of this kind behind the encoder; `asked` and `start` as in `Experts`."""
    if kind == "bottom":
        biases = tf.constant_initializer(start)
        return tf.keras.layers.Dense(len(start), kernel_initializer="zeros", bias_initializer=biases)
    return Experts(asked, start, width, experts, own=1 if kind == "ple" else 0)


class Uncertainty(tf.Module):
    """Losses of several questions, each by a weight that is learnt: exp(-s) * loss + s / 2.

    s is the logarithm of a variance; the best one of a question is that of twice its loss. After Kendall, Gal and Cipolla,
    2018, "Multi-Task Learning Using Uncertainty to Weigh Losses".
    """

    def __init__(self, questions: int):
        super().__init__()
        self.logarithm = tf.Variable(tf.zeros(questions), name="log_variance")

    def __call__(self, losses: tf.Tensor) -> tf.Tensor:
        """(batch, questions) -> likewise."""
        return tf.exp(-self.logarithm) * losses + self.logarithm / 2

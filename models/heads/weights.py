"""What the targets of a row weigh against each other."""

import tensorflow as tf

from models.baskets import Events

SHORTEST, LONGEST = 0.02, 28.0  # days before a session that count


def of_events(events: Events, ages: tf.Tensor, by_session: float, by_gap: float) -> tf.Tensor:
    """(days since the session before) ** by_gap / (events of the session) ** by_session: (batch, length) float32.

    ages        (batch, positions) float32, days, of sessions
    by_session  0: each event weighs alike; 1: each session does, as in metrics, which are means over questions
    by_gap      0: likewise; 1: as questions that come at any time, of which the longer a gap is the more fall in it
    """
    sizes = tf.reduce_sum(tf.one_hot(events.positions, ages.shape[1]), axis=1)  # (batch, positions)
    gaps = tf.clip_by_value(tf.pad(ages[:, :-1] - ages[:, 1:], [[0, 0], [1, 0]]), SHORTEST, LONGEST)
    weights = gaps**by_gap / tf.maximum(sizes, 1.0) ** by_session
    return tf.gather(weights, tf.maximum(events.positions, 0), batch_dims=1)

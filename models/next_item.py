"""The next-item model: item vectors, baskets, an encoder and the next-item head. It is a Ranker."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from conf.schema import Model, Task
from models.baskets import Events, ItemVectors, basket_means, filled, last_events, number_positions
from models.compact import FLOAT32
from models.content import Content
from models.dropout import Noise
from models.encoders import encoded_at, make_encoder
from models.event_dropout import EventDropout
from models.export import NewItems
from models.gaps import GapVectors
from models.gated_content import GatedContent
from models.heads.masking import Masking, told_at_last, told_at_own
from models.heads.negatives import Negatives, Sample
from models.heads.next_item import Loss, NextItem
from models.heads.repeat import Repeat
from models.heads.slots import session_ages
from models.heads.weights import of_events
from models.indices import MASK
from models.linear import Linear
from models.side_inputs import SideInputs


class NextItemModel(tf.Module):
    """Predicts a user's next basket from the last `task.positions` sessions of the last `task.length` events.

    counts       (vocabulary_size,) int: sessions with each item that the training sees; 0: reads as unknown
    category_of  (vocabulary_size,) int32: of each item, from 1; 0: none
    content      of the items, beside their own vectors; none: there is none
    side         what it is told of events beside their items; none: nothing
    linear       whose scores, times `model.linear`, are added; none: there is none
    """

    def __init__(
        self,
        model: Model,
        task: Task,
        counts: np.ndarray,
        seed: int,
        category_of: np.ndarray | None = None,
        content: Content | None = None,
        side: SideInputs | None = None,
        linear: Linear | None = None,
    ):
        super().__init__()
        tf.keras.utils.set_random_seed(seed)
        self.vocabulary_size = len(counts)
        self.length, self.positions = task.length, task.positions
        self.full = model.loss == "softmax"
        self.is_masked, self.last_only = model.name == "bert4rec", model.targets == "last"
        self.is_timed = model.name == "hstu"
        self.by_session, self.by_gap = model.by_session, model.by_gap
        self.earlier_share = model.earlier_share
        self.side = side
        self.linear, self.linear_share = linear, model.linear
        self.gaps = GapVectors(model.width) if model.gaps else None
        # What is predicted takes a place of its own, which a prediction has no basket for.
        self.context = task.positions - (self.is_masked or self.last_only)
        self.mask, self.some_events = Masking(model.mask_share), EventDropout(model.dropout_events)
        gated = content and GatedContent(content, model.width, model.content_share, seed)
        deviation = 0.02 if model.start == "normal" else (model.width // model.members) ** -0.5
        self.vectors = ItemVectors(counts, model.width, seed, deviation, gated)
        self.encoder = make_encoder(model, task.positions)
        self.head = NextItem(self.vectors, counts, model)
        category_of = np.zeros(len(counts), np.int32) if category_of is None else category_of
        self.repeat = Repeat(self.head, model.repeat, category_of, seed) if model.repeat else None
        self.samples_batch = not self.full and model.sampling == "batch"
        self.negatives = None if self.full else Negatives(counts, model.sampling, model.negatives)
        self.encoder(
            tf.zeros((1, task.positions, model.width)), tf.ones((1, task.positions), tf.bool)
        )  # makes weights

    @property
    def tables(self) -> tuple[tf.Variable, ...]:
        """The weights with a row an item."""
        return self.vectors.table, self.head.bias

    def sample(self, items: tf.Tensor, seed: tf.Tensor) -> Sample | None:
        """The items that a step tells its targets from; none: all.

        items  (batch, length) int32 of the rows of all ranks;  seed  (2,) int32, of the step
        """
        return self.negatives and self.negatives(seed, self.vectors.read(items))

    def batch_loss(self, batch: Mapping[str, tf.Tensor], sample: Sample | None, noise: Noise | None) -> Loss:
        """`loss` of the rows of an example set."""
        of_events = batch["ages"], batch.get("contexts")
        return self.loss(batch["items"], batch["sessions"], batch["weights"], sample, noise, *of_events)

    def loss(
        self,
        items: tf.Tensor,
        sessions: tf.Tensor,
        weights: tf.Tensor,
        sample: Sample | None,
        noise: Noise | None,
        ages: tf.Tensor | None = None,
        contexts: tf.Tensor | None = None,
    ) -> Loss:
        """(batch, length) int32 x 2, weights (batch,), ages (batch, length) float32, contexts int32 -> sums over targets."""
        items, sessions, ages, contexts = self.some_events(items, sessions, ages, contexts, noise=noise)
        with self.vectors.some_by_content(noise):
            if self.head.consistency and noise is not None:
                items, sessions, weights = (tf.concat([x, x], axis=0) for x in (items, sessions, weights / 2))
                ages, contexts = (x if x is None else tf.concat([x, x], axis=0) for x in (ages, contexts))
                noise = Noise(noise.seed, tf.concat([noise.rows, ~noise.rows], axis=0))
            positions = min(self.positions, items.shape[1])
            events = number_positions(self.vectors.read(items), sessions, positions)
            vectors = self.vectors(events.items)  # (batch, length, width): as inputs and as targets
            baskets, aged = self._baskets(self._told(vectors, items, contexts), events, positions, ages)
            count = events.count
            if self.is_masked:
                hidden_ones = self.mask(count, positions, noise, self.last_only)  # (batch, positions) bool
                baskets = tf.where(hidden_ones[:, :, None], self.vectors(tf.constant(MASK)), baskets)
                events = told_at_own(events, hidden_ones)
            elif self.last_only:
                events, count = told_at_last(events), count - 1
            hidden = self._encode(baskets, filled(count, positions), noise, aged)
            since = None if ages is None else session_ages(ages, events.positions, positions)
            if since is not None and (self.by_session or self.by_gap):
                weights = weights[:, None] * of_events(events, since, self.by_session, self.by_gap)
            if sample is None:
                return self.head.softmax(hidden, events, vectors, weights, is_twice=noise is not None)
            if self.repeat is not None and since is not None:
                return self.repeat.sampled_softmax(hidden, events, since, vectors, weights, sample, noise)
            return self.head.sampled_softmax(hidden, events, vectors, weights, sample)

    @property
    def takes_contexts(self) -> bool:
        """See `models.export.Ranker`."""
        return self.side is not None and self.side.take_contexts

    def score(
        self, items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor, contexts: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The Ranker's scores: (batch, any length) x 4 -> (batch, vocabulary); ages matter to `hstu`, `gaps`, `repeat`."""
        scores = self._by_encoder(items, sessions, ages, contexts)
        if self.linear is None:
            return scores
        return scores + self.linear_share * self.linear.score(items, sessions, ages)

    def _by_encoder(
        self, items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor, contexts: tf.Tensor | None
    ) -> tf.Tensor:
        hidden, last, events = self._encoded(items, sessions, ages, contexts)
        scores = self.head.scores(last)
        if self.repeat is None or hidden is None:
            return scores
        whose, _, ages = last_events(items, sessions, ages, self.length)
        # An item that the training never saw may be one that a user has all the time.
        inside = (whose >= 0) & (whose < self.vocabulary_size)
        whose = tf.where(inside & (events.positions >= 0), whose, 0)
        return self.repeat.scores(scores, hidden, events._replace(items=whose), ages)

    def query(
        self,
        items: tf.Tensor,
        sessions: tf.Tensor,
        ages: tf.Tensor,
        contexts: tf.Tensor | None = None,
        *,
        presence: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """What item vectors are multiplied with: (batch, any length) x 4 -> (batch, width).

        presence  (batch, any length) float32: what the vector of each event is multiplied by; none: 1
        """
        return self.head.query(self._encoded(items, sessions, ages, contexts, presence)[1])

    def _encoded(
        self,
        items: tf.Tensor,
        sessions: tf.Tensor,
        ages: tf.Tensor,
        contexts: tf.Tensor | None,
        presence: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor | None, tf.Tensor, Events]:
        """The encoder's output, (batch, positions, width), for `repeat` alone; its last, (batch, width); and the events."""
        if presence is not None:
            *_, presence = last_events(items, sessions, presence, self.length)
        if contexts is not None:
            *_, contexts = last_events(items, sessions, contexts, self.length)
        items, sessions, ages = last_events(items, sessions, ages, self.length)
        events = number_positions(self.vectors.read(items), sessions, self.context)
        positions, count = self.positions if self.is_masked else self.context, events.count
        vectors = self._told(self.vectors(events.items), items, contexts)  # (batch, length, width)
        if presence is not None:
            vectors *= presence[:, :, None]
        baskets, aged = self._baskets(vectors, events, positions, ages)
        if self.repeat is not None:
            hidden = self._encode(baskets, filled(count, positions), None, aged)
            return hidden, tf.gather(hidden, tf.maximum(count - 1, 0), batch_dims=1), events
        last = self._behind(count, baskets, aged)
        if self.earlier_share:
            earlier = self._behind(tf.maximum(count - 1, tf.minimum(count, 1)), baskets, aged)
            last = (last + self.earlier_share * earlier) / (1 + self.earlier_share)
        return None, last, events

    def _behind(self, count: tf.Tensor, baskets: tf.Tensor, aged: tf.Tensor | None) -> tf.Tensor:
        """The encoder's output behind the first `count` baskets of each row, (batch,) int32: (batch, width)."""
        positions = baskets.shape[1]
        if self.is_masked:
            next_one = tf.one_hot(count, positions, True, False, dtype=tf.bool)
            baskets = tf.where(next_one[:, :, None], self.vectors(tf.constant(MASK)), baskets)
            count += 1
        taken, at = filled(count, positions), tf.maximum(count - 1, 0)
        return encoded_at(self.encoder, baskets, taken, at, None, **self._timed(aged))

    @property
    def has_products(self) -> bool:
        """See `models.export.VectorRanker`: with `repeat` or a linear model, a score depends on more than two vectors."""
        return self.repeat is None and self.linear is None

    @property
    def item_vectors(self) -> tf.Variable:
        """As they are multiplied; of cosines and with content a copy, as they are now. Of compact ones the codes."""
        if self.vectors.compact is not None:
            return self.vectors.compact.codes
        if self.head.temperature is None and self.vectors.content is None:
            return self.vectors.table
        return tf.Variable(self.head.item_vectors(), trainable=False, name="item_directions")

    @property
    def item_scales(self) -> tf.Variable | None:
        """What the rows of compact item vectors are multiplied with; of cosines that which makes them of length 1."""
        compact = self.vectors.compact
        if compact is None or self.head.temperature is None:
            return compact and compact.scales
        lengths = tf.norm(tf.cast(compact.codes, tf.float32), axis=1)
        return tf.Variable(tf.math.divide_no_nan(1.0, lengths), trainable=False, name="direction_scales")

    @property
    def item_bias(self) -> tf.Variable:
        return self.head.bias

    @property
    def is_known(self) -> tf.Tensor:
        return self.vectors.is_known

    def read_by_category(self, category_of: np.ndarray, categories: int) -> None:
        """See `models.export.VectorRanker`. Of content alone an item has the mean bias of those that are learnt."""
        self.vectors.read_by_category(category_of, categories)
        if self.vectors.content is not None:
            if self.vectors.compact is None:
                self.vectors.keep_as(FLOAT32)  # one table, without the content that it was made with
            is_told = self.vectors.content.has.numpy() & ~self.vectors.is_learnt
            self.head.bias.assign(np.where(is_told, self._mean_bias, self.head.bias.numpy()))

    @property
    def _mean_bias(self) -> np.float32:
        return self.head.bias.numpy()[self.vectors.is_learnt].mean()

    @property
    def new_items(self) -> NewItems | None:
        """See `models.export.VectorRanker`."""
        content = self.vectors.content
        if content is None or not content.new_ids:
            return None
        vectors = self.head.asked(tf.constant(content.added_to_new())).numpy()
        return NewItems(content.new_ids, vectors, np.full(len(vectors), self._mean_bias, np.float32))

    def _told(self, vectors: tf.Tensor, items: tf.Tensor, contexts: tf.Tensor | None) -> tf.Tensor:
        """The vectors of events as inputs, with what is told of them: (batch, length, width), (batch, length) int32 x 2."""
        return vectors if self.side is None else vectors + self.side(items, contexts)

    def _baskets(
        self, vectors: tf.Tensor, events: Events, positions: int, ages: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """The vector of each basket, (batch, positions, width), and where it matters its age, (batch, positions) float32."""
        baskets = basket_means(vectors, events.positions, positions)
        if ages is None or not (self.is_timed or self.gaps):
            return baskets, None
        aged = basket_means(ages[:, :, None], events.positions, positions)[:, :, 0]
        return (baskets + self.gaps(aged) if self.gaps else baskets), aged

    def _encode(
        self, baskets: tf.Tensor, taken: tf.Tensor, noise: Noise | None, ages: tf.Tensor | None
    ) -> tf.Tensor:
        return self.encoder(baskets, taken, noise=noise, **self._timed(ages))

    def _timed(self, ages: tf.Tensor | None) -> dict[str, tf.Tensor | None]:
        """What an encoder is given beside baskets, where it looks at times."""
        return {"ages": ages} if self.is_timed else {}

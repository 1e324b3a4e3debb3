"""What models of tasks with labels say of the rows of a split, while they are trained and when they are exported."""

from collections.abc import Callable, Mapping

import horovod.tensorflow as hvd
import numpy as np
import tensorflow as tf

from conf.schema import Label
from models.calibration import fit
from models.example_set import VALIDATION, ExampleSet
from models.inputs import dataset
from models.label_metrics import EXCESS, measured
from models.labelled import LabelledModel
from models.shards import Order, epoch_of, plan, steps
from models.trainable import Judge

ROWS = 256  # of a batch
Answer = Callable[[dict[str, tf.Tensor]], tf.Tensor]
"""A batch of an example set -> what is said of its rows, (batch, width)."""


def judge_of(model: LabelledModel, examples: ExampleSet, label: Label) -> Judge:
    """The judge of a training: the metrics over the validation rows of all ranks, calibrated as an export would be."""
    say, head = tf.function(model.outputs_of, autograph=False), model.questions[0].head

    def judge(report: Callable[[], None]) -> dict[str, float]:
        own = said_of(say, examples, VALIDATION, hvd.rank(), hvd.size(), report)
        # Every rank has all rows, in the same order, and so the same metrics to the last bit.
        outputs, labels, weights = (hvd.allgather(tf.constant(each)).numpy() for each in own)
        calibration = fit(label.calibration, label.head, outputs, labels, weights)
        values = calibration(outputs) if calibration else head.predict(outputs)["value"]
        return measured(label.metrics, labels, values.numpy(), weights)

    return judge


def judge_of_several(model: LabelledModel, examples: ExampleSet, labels: Mapping[str, Label]) -> Judge:
    """The judge of a training of several tasks, whose `labels` are those of the model's questions, in their order.

    Finds `<task>.<metric>` of each, and EXCESS.
    """
    outputs = tf.function(model.outputs_of, autograph=False)

    def judge(report: Callable[[], None]) -> dict[str, float]:
        own = said_of(outputs, examples, VALIDATION, hvd.rank(), hvd.size(), report)
        said, came, weights = (hvd.allgather(tf.constant(each)) for each in own)
        columns = model.apart(said), model.by_question(came), model.by_question(weights)
        found: dict[str, float] = {}
        excess = []
        for (task, label), question, *of_question in zip(
            labels.items(), model.questions, *columns, strict=True
        ):
            values, answers, by = of_question
            told = (answers.numpy(), question.head.predict(values)["value"].numpy(), by.numpy())
            found |= {f"{task}.{name}": value for name, value in measured(label.metrics, *told).items()}
            loss = tf.reduce_sum(question.head.loss(values, answers) * by) / tf.reduce_sum(by)
            excess.append((float(loss) - question.plain_loss) / abs(question.plain_loss))
        return {EXCESS: float(np.mean(excess))} | found

    return judge


def said_of(
    say: Answer,
    examples: ExampleSet,
    split: str,
    rank: int = 0,
    ranks: int = 1,
    report: Callable[[], None] = lambda: None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is said of a rank's rows of a split, (rows, width), and beside it labels and weights, (rows, targets)."""
    pieces = plan(examples.files(split), rank, ranks, may_be_empty=True)
    layout, found = examples.lengths(split), []
    batches = steps(sum(p.rows for p in pieces), 1, ROWS)
    for batch in dataset(epoch_of(pieces, 0, Order(shuffled=False)), layout, ROWS, batches):
        report()
        real = batch["weights"].numpy() > 0
        each = (say(batch), batch["labels"], batch["label_weights"])
        found.append([values.numpy()[real] for values in each])
    if not found:  # a rank without a row has the columns all the same
        nobody = {n: tf.zeros((1, length), tf.as_dtype(kind)) for n, (kind, length) in layout.items()}
        found.append([x.numpy()[:0] for x in (say(nobody), nobody["labels"], nobody["label_weights"])])
    values, labels, weights = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return values, labels, weights


def exported(path: str) -> Answer:
    """The `value` of an exported model."""
    model = tf.saved_model.load(path)

    def say(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        inputs = ("items", "sessions", "ages", "features", "naive")
        return model.signatures["by_index"](**{name: batch[name] for name in inputs})["value"]

    say.model = model  # type: ignore[attr-defined]  # which must live as long as its signature
    return say

"""The code that MLflow keeps with a registered model: raw ids in, the best items out.

MLflow copies this file beside the SavedModel and runs it where the model is loaded: it uses nothing of ours.

one row a user                                                  one row a user
item_ids         sessions   ages                                ids              scores
[p7, p9, p7]     [1, 1, 2]  [30.5, 30.5, 2.0]            ->     [p7, p9, p3, …]  [1.9, 0.9, …]

oldest event first; `sessions` numbers the sessions from 1; `ages`: days since the session began. A model that is told of
events beside their items wants `contexts`, too.
"""

import numpy as np
import pandas as pd
import tensorflow as tf
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class NextItem(PythonModel):
    """Calls the signature `by_id` of the SavedModel among the artifacts."""

    def load_context(self, context: PythonModelContext) -> None:
        self.model = tf.saved_model.load(context.artifacts["saved_model"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict | None = None
    ) -> pd.DataFrame:
        by_id = self.model.signatures["by_id"]
        contexts = {}
        if "contexts" in by_id.structured_input_signature[1]:
            if "contexts" not in model_input:
                raise ValueError(
                    "this model is told of events beside their items, and there is no column contexts: of each event a "
                    "number, type | (hour + 1) << 8 | weekday << 13 | channel << 16: its type's place in task.event_types, "
                    "from 1; weekdays from 1, Monday; of a channel 1 + crc32 % 255; 0 where one is not told"
                )
            contexts = {"contexts": tf.constant(_padded(model_input["contexts"], 0, np.int32))}
        best = by_id(
            item_ids=tf.constant(_padded(model_input["item_ids"], "", object), tf.string),
            sessions=tf.constant(_padded(model_input["sessions"], 0, np.int32)),
            ages=tf.constant(_padded(model_input["ages"], 0.0, np.float32)),
            **contexts,
        )
        rows = [
            (
                [item_id.decode() for item_id, score in zip(ids, scores, strict=True) if score > -np.inf],
                [float(score) for score in scores if score > -np.inf],
            )
            for ids, scores in zip(best["ids"].numpy(), best["scores"].numpy(), strict=True)
        ]
        return pd.DataFrame(rows, columns=["ids", "scores"])


def _padded(rows: pd.Series, fill: object, dtype: type) -> np.ndarray:
    """(users, longest): the users' arrays, with `fill` on the right."""
    matrix: np.ndarray = np.full((len(rows), max(map(len, rows), default=0)), fill, dtype)
    for row, values in zip(matrix, rows, strict=True):
        row[: len(values)] = values
    return matrix


set_model(NextItem())

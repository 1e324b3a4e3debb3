"""The code that MLflow keeps with a registered model of a task with labels: raw ids and features in, answers out.

MLflow copies this file beside the SavedModel and runs it where the model is loaded: it uses nothing of ours.

one row a user                                                              one row a user
item_ids         sessions   ages               features     naive           value
[p7, p9, p7]     [1, 1, 2]  [30.5, 30.5, 2.0]  [0.3, -1.1]  [2.0]    ->     [0.13]

`features` and `naive` are those of the example set's spec, in its order; of a task of classes `value` has all of them.
"""

import numpy as np
import pandas as pd
import tensorflow as tf
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class Labelled(PythonModel):
    """Calls the signature `by_id` of the SavedModel among the artifacts."""

    def load_context(self, context: PythonModelContext) -> None:
        self.model = tf.saved_model.load(context.artifacts["saved_model"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict | None = None
    ) -> pd.DataFrame:
        answers = self.model.signatures["by_id"](
            item_ids=tf.constant(_padded(model_input["item_ids"], "", object), tf.string),
            sessions=tf.constant(_padded(model_input["sessions"], 0, np.int32)),
            ages=tf.constant(_padded(model_input["ages"], 0.0, np.float32)),
            features=tf.constant(np.stack(model_input["features"]).astype(np.float32)),
            naive=tf.constant(np.stack(model_input["naive"]).astype(np.float32)),
        )
        return pd.DataFrame({name: list(map(list, each.numpy())) for name, each in answers.items()})


def _padded(rows: pd.Series, fill: object, dtype: type) -> np.ndarray:
    """(users, longest): the users' arrays, with `fill` on the right."""
    matrix: np.ndarray = np.full((len(rows), max(map(len, rows), default=0)), fill, dtype)
    for row, values in zip(matrix, rows, strict=True):
        row[: len(values)] = values
    return matrix


set_model(Labelled())

"""Refuses to train with a Keras that Horovod would not average gradients for.

Horovod 0.28 knows Keras 2. Under Keras 3 its optimizer trains every rank on its own and says nothing. Nothing
here imports Keras or TensorFlow before the first check, so that the reason is the first thing to be seen.
"""

import importlib
import importlib.util
import os

SETTING = "TF_USE_LEGACY_KERAS"
SET_UP_ANEW = "make the environment anew from requirements/runtime.txt (`make setup`)"


class KerasError(RuntimeError):
    """The Keras of this environment cannot be trained with."""


def guard() -> None:
    """Returns where `tf.keras` is Keras 2; else raises `KerasError`, which says why and what to do."""
    setting = os.environ.get(SETTING)
    legacy = setting is not None and setting.lower() in ("1", "true")
    if legacy and importlib.util.find_spec("tf_keras") is None:
        raise KerasError(
            f"{SETTING}={setting} asks for the package tf_keras, which is not installed: unset {SETTING} "
            "(TensorFlow 2.15 has Keras 2 of its own)"
        )
    import tensorflow as tf

    try:
        package = tf.keras.layers.Layer.__module__.split(".")[
            0
        ]  # keras or tf_keras: whichever is behind tf.keras
        version = str(importlib.import_module(package).__version__)
    except (ImportError, AttributeError) as error:
        raise KerasError(
            f"tf.keras of TensorFlow {tf.__version__} cannot be used ({error}; {SETTING}={setting}): "
            f"{SET_UP_ANEW}"
        ) from None
    if not version.startswith("2."):
        raise KerasError(
            f"tf.keras is Keras {version}, expected 2: with Keras 3 Horovod does not average gradients, and "
            f"says nothing (TensorFlow {tf.__version__}, {SETTING}={setting}): {SET_UP_ANEW}; beside "
            f"TensorFlow 2.16 or later, install tf_keras and set {SETTING}=1"
        )

"""Refuses to train where the environment lacks what that takes, and says what: before an hour's work, not behind it.

First of all a Keras that Horovod averages gradients for. Horovod 0.28 knows Keras 2; under Keras 3 its optimizer trains
every rank on its own and says nothing. Nothing here imports Keras or TensorFlow before that check, so that the reason is
the first thing to be seen.
"""

import importlib
import importlib.util
import os

SETTING = "TF_USE_LEGACY_KERAS"
SET_UP_ANEW = "make the environment anew from requirements/runtime.txt (`make setup`)"


class SetUpError(RuntimeError):
    """The environment lacks something that the configuration asks for; the text says what, and what to do."""


class KerasError(SetUpError):
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


def guard_wandb(mode: str) -> None:
    """Raises `SetUpError` where Weights & Biases is asked for and not installed."""
    if mode == "off":
        return
    try:
        from wandb import init  # noqa: F401  a folder `wandb` of its files can be imported too, and has none
    except ImportError:
        raise SetUpError(
            f"train.wandb={mode} needs the package wandb, which is not installed: "
            "`pip install 'footfall[wandb]'`, or set train.wandb=off"
        ) from None


def guard_gpus(gpus: int, local_ranks: int, has_nccl: bool) -> None:
    """Raises `SetUpError` where the ranks of this host cannot each have a GPU of their own.

    gpus  that TensorFlow sees here; has_nccl: whether Horovod adds up gradients on GPUs
    """
    if not gpus:
        raise SetUpError(
            "train.device=gpu, but TensorFlow sees no GPU on this host: install NVIDIA's driver and `footfall[gpu]` "
            "in place of tensorflow-cpu (docs/gpu.md; `nvidia-smi` shows what the driver sees), or set train.device=cpu"
        )
    if not has_nccl:
        raise SetUpError(
            "train.device=gpu, but this Horovod was compiled without NCCL, and would copy every gradient to the "
            "CPU and back: compile it with HOROVOD_GPU_OPERATIONS=NCCL (docs/gpu.md), or set train.device=cpu"
        )
    if local_ranks > gpus:
        raise SetUpError(
            f"train.device=gpu, but {local_ranks} ranks on this host have {gpus} GPUs between them, expected one for each: "
            f"set train.ranks to the number of GPUs"
        )

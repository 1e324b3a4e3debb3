"""Trainings of a small example set as a user starts them, and the weights that came of them."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import tensorflow as tf

from models.checkpoints import COURSE
from models.course import Course
from models.registry import Version, connect
from tests.jobs.namespaces import until
from tests.models.example_sets import random_example_set

ROOT = Path(__file__).parents[2]
SMALL = [
    "model=gru",
    "model.width=8",
    "model.negatives=8",
    "train.batch_size=4",
    "train.epochs=3",
    "set_id=small",
]


def make_shop(folder: Path) -> None:
    """A lake that has one example set, `small`."""
    random_example_set(folder / "lake" / "examples" / "small", train=[80, 70, 63], validation=[7])


def arguments(shop: Path, registry: str, *more: str) -> list[str]:
    """Of jobs/train.py, for a registry of this name: a second one knows of no training that was before."""
    places = [f"lake={shop}/lake", f"registry=sqlite:///{shop}/{registry}.db", f"artifacts={shop}/{registry}"]
    return [*places, *SMALL, *more]


def local(shop: Path, registry: str, *more: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "jobs/train.py", *arguments(shop, registry, *more)]


def is_to_lose(shop: Path, said: Sequence[str]) -> bool:
    """Once, with a checkpoint each step: in the middle of an epoch after the first, of which the newest line tells."""
    if not said[-1].startswith("  epoch 1/") or "loss" not in said[-1]:
        return False
    if any("from the last checkpoint" in line for line in said):
        return False
    return until(lambda: 2 <= step_of(shop) < 10)


def step_of(shop: Path) -> int:
    """Steps of its epoch in the newest checkpoint, which may be replaced meanwhile."""
    (folder,) = (shop / "lake.checkpoints").glob("small-*")
    with suppress(tf.errors.OpError, ValueError):
        newest = tf.train.latest_checkpoint(str(folder))
        return Course.of_text(tf.train.load_variable(newest, COURSE).decode()).step
    return 0


def trained(shop: Path, registry: str) -> tuple[Version, set[tuple]]:
    """The one version of the registry, and its weights: their shapes and bytes, since a SavedModel has them in any order."""
    store = connect(f"sqlite:///{shop}/{registry}.db", f"{shop}/{registry}")
    (version,) = store.versions("next_item")
    kept = tf.train.load_checkpoint(f"{store.saved_model_path(version)}/variables/variables")
    arrays = [kept.get_tensor(name) for name in kept.get_variable_to_shape_map()]
    return version, {
        (each.shape, each.tobytes()) for each in arrays if getattr(each, "dtype", None) == np.float32
    }


def assert_same_weights(shop: Path, one: str, other: str) -> None:
    """Bit for bit."""
    (_, first), (_, second) = trained(shop, one), trained(shop, other)
    assert len(first) > 5
    assert first == second

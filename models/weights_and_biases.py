"""Weights & Biases as a place for curves; its package `wandb` is an extra, `footfall[wandb]`."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from models.curves import EPOCH, STEP, Number, Place
from models.guard import SetUpError

OFF, OFFLINE = "off", "offline"


@contextmanager
def weights_and_biases(
    mode: Any, folder: Path | None, run_id: str, name: str, configuration: str
) -> Iterator[Place]:
    """Its run, which has the id of MLflow's, so that a training that goes on does so there as well.

    mode    online, or offline: files in `folder` alone, which `wandb sync` sends some day
    folder  none: where it likes
    """
    if mode == OFFLINE:  # its reports of crashes would go out all the same; read when it is imported
        os.environ["WANDB_ERROR_REPORTING"] = "false"
    import wandb

    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    try:
        run = wandb.init(
            project="footfall",
            id=run_id,
            name=name,
            mode=mode,
            resume="allow" if mode != OFFLINE else None,
            dir=str(folder) if folder else None,
            config=yaml.safe_load(configuration),
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
        )
    except wandb.errors.Error as error:
        raise SetUpError(
            f"train.wandb={mode}, but Weights & Biases said: {error}: run `wandb login`, or set train.wandb=offline"
        ) from None
    for axis in (STEP, EPOCH):
        run.define_metric(axis, hidden=True)
        run.define_metric(f"{axis}/*", step_metric=axis)
    if mode == OFFLINE:
        print(f"  Weights & Biases: wandb sync {Path(run.dir).parent}", flush=True)

    def write(axis: str, at: int, numbers: Mapping[str, Number]) -> None:
        drawn = {
            f"{axis}/{name}": wandb.Histogram(x.tolist()) if isinstance(x, np.ndarray) else x
            for name, x in numbers.items()
        }
        run.log({axis: at, **drawn})

    with run:  # which ends it, as failed where something was raised
        yield write

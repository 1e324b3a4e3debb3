"""What a run records: its parameters, the configuration, the examples, what it was made with, and its curves."""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from conf.schema import Config
from models.curves import EPOCH, Curves, Number, Place, tensorboard
from models.environment import UNKNOWN, environment, git_commit, packages
from models.example_set import ExampleSet
from models.registry import Registry, Run
from models.weights_and_biases import OFF, weights_and_biases

PASSWORD = re.compile(r"(?<=://)[^/\s@]+(?=@)")  # in a URI, with the user's name
SECRET = re.compile(r"(?i)secret|password|token|credential|access.?key")  # a setting's name
HIDDEN = "(not recorded)"


@contextmanager
def recorded(
    registry: Registry,
    conf: Config,
    examples: ExampleSet,
    begun: str | None = None,
    hosts: Sequence[str] = (),
    parent: str | None = None,
) -> Iterator[Run]:
    """A run that has its parameters, and as artifacts the whole `configuration` and the `environment`.

    begun, parent  see `Registry.run`
    hosts          of each rank the name
    """
    params = {
        "model": asdict(conf.model),
        "task": asdict(conf.task),
        "train": asdict(conf.train),
        **({conf.step: asdict(getattr(conf, conf.step))} if conf.step != "train" else {}),
        "examples": {"set_id": examples.set_id, "version": examples.version},
        "git_commit": git_commit() or UNKNOWN,
    }
    with tempfile.TemporaryDirectory() as folder, registry.run(conf.model.name, params, begun, parent) as run:
        texts = {
            "configuration/configuration.yaml": configuration(conf),
            "environment/environment.yaml": yaml.safe_dump(environment(hosts), sort_keys=False),
            "environment/requirements.txt": "\n".join(packages()) + "\n",
        }
        for name, text in texts.items():
            Path(folder, name).parent.mkdir(exist_ok=True)
            Path(folder, name).write_text(text)
        run.log_artifacts(folder, "")
        yield run


def configuration(conf: Config) -> str:
    """All of it as YAML, without the passwords that URIs and settings of Spark may have in them."""
    return OmegaConf.to_yaml(OmegaConf.create(_without_secrets(asdict(conf))))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if SECRET.search(str(name)) else _without_secrets(each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(each) for each in value]
    return PASSWORD.sub(HIDDEN, value) if isinstance(value, str) else value


@contextmanager
def curves(conf: Config, run: Run, board: Path | None, wandb: Path | None) -> Iterator[Curves]:
    """What writes a training's curves into its run, TensorBoard and Weights & Biases.

    board  folder of this training's TensorBoard log, which is the run's artifact `tensorboard` in the end; none: no log
    wandb  folder in which Weights & Biases keeps its files; none: where it likes
    """
    known = {_of_mlflow(name): step for name, step in run.newest_steps().items()}
    places: list[Place] = [_in_run(run)]  # first: what it has is not written again anywhere
    if board:
        places.append(tensorboard(board, anew=not known))
        print(f"  curves: tensorboard --logdir {board.parent}", flush=True)
    with ExitStack() as stack:
        if conf.train.wandb != OFF:
            opened = weights_and_biases(conf.train.wandb, wandb, run.id, conf.model.name, configuration(conf))
            places.append(stack.enter_context(opened))
        yield Curves(conf.train.log_steps, known, *places)
    if board:
        run.log_artifacts(board, "tensorboard")


def _in_run(run: Run) -> Place:
    """MLflow has no histograms; an epoch's numbers have their plain names there."""

    def write(axis: str, at: int, numbers: Mapping[str, Number]) -> None:
        prefix = "" if axis == EPOCH else f"{axis}/"
        run.log_metrics({prefix + name: x for name, x in numbers.items() if isinstance(x, float)}, at)

    return write


def _of_mlflow(name: str) -> str:
    """`ndcg_at_10` -> `epoch/ndcg@10`; `step/loss` as it is."""
    return name if "/" in name else f"{EPOCH}/{name.replace('_at_', '@')}"

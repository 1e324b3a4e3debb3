"""What a run records besides its numbers: the configuration, the examples and the code it came from."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from omegaconf import OmegaConf

from conf.schema import Config
from models.course import Epoch
from models.example_set import ExampleSet
from models.listening import Listener
from models.registry import Registry, Run


@contextmanager
def recorded(
    registry: Registry, conf: Config, examples: ExampleSet, begun: str | None = None
) -> Iterator[Run]:
    """A run that has its parameters, and the whole configuration as its artifact `configuration`; `begun`: see `run`."""
    params = {
        "model": asdict(conf.model),
        "task": asdict(conf.task),
        "train": asdict(conf.train),
        "examples": {"set_id": examples.set_id, "version": examples.version},
        "git_commit": git_commit() or "none",
    }
    with tempfile.TemporaryDirectory() as folder, registry.run(conf.model.name, params, begun) as run:
        Path(folder, "configuration.yaml").write_text(OmegaConf.to_yaml(OmegaConf.structured(conf)))
        run.log_artifacts(folder, "configuration")
        yield run


class Recorder(Listener):
    """Logs the numbers of a training in its run."""

    def __init__(self, run: Run):
        self.run = run

    def ended(self, epoch: Epoch) -> None:
        numbers = {"loss": epoch.loss, "seconds": epoch.seconds, **epoch.metrics}
        self.run.log_metrics(numbers, epoch.number)


def git_commit() -> str | None:
    """The commit of the code, with `+` where files differ from it; none where it is no checkout."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout

    try:
        return git("rev-parse", "HEAD").strip() + (
            "+" if git("status", "--porcelain", "-uno").strip() else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None

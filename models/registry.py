"""The model registry: MLflow, with one registered model a task and the aliases `champion` and `challenger`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True)
class Version:
    """One registered version."""

    task: str  # the registered model's name
    version: int
    run_id: str
    tags: dict[str, str]
    aliases: tuple[str, ...]


class Run:
    """An open MLflow run; see `Registry.run`."""

    id: str

    def log_params(self, params: Mapping[str, Any]) -> None: ...
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """`ndcg@10` is logged as `ndcg_at_10` (MLflow refuses the sign)."""

    def log_artifacts(self, directory: str | Path, folder: str) -> None: ...


class Registry:
    """A connection; made by `connect`."""

    @contextmanager
    def run(self, name: str, params: Mapping[str, Any] | None = None) -> Iterator[Run]:
        """An MLflow run around a `with` block; marked failed where the block raises."""
        raise NotImplementedError

    def register(self, run: Run, task: str, saved_model: str | Path, tags: Mapping[str, Any]) -> Version:
        """Logs the SavedModel directory in the run as a pyfunc model, and registers it as a new version of `task`."""
        raise NotImplementedError

    def versions(self, task: str, set_id: str | None = None) -> list[Version]:
        """All versions of `task`, oldest first (of one example set, where given); [] where there is none yet."""
        raise NotImplementedError

    def by_alias(self, task: str, alias: str) -> Version | None: ...
    def set_alias(self, version: Version, alias: str) -> None: ...
    def find(self, task: str, set_id: str, configuration: str) -> Version | None:
        """The newest version with these tags: what a job run again finds instead of training twice."""

    def saved_model_path(self, version: Version) -> str:
        """A local directory with the version's SavedModel: the store itself where it is a local folder."""
        raise NotImplementedError

    def run_artifact_path(self, version: Version, folder: str) -> str | None:
        """A local directory with a folder of the version's run (`as_of_validation`), or none where there is none."""


def connect(registry_uri: str, artifacts: str, experiment: str = "footfall") -> Registry:
    """Opens the store (sqlite:///…, http://…), making the experiment with its artifacts in `artifacts` if needed."""
    raise NotImplementedError


def configuration_hash(configuration: Mapping[str, Any]) -> str:
    """Twelve hex digits of a nested dict, whatever the order of its keys."""
    raise NotImplementedError

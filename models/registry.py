"""The model registry: MLflow, one registered model a task, with the aliases `champion` and `challenger`."""

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import packages_distributions
from importlib.metadata import version as installed_version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlparse
from urllib.request import url2pathname, urlopen

# MLflow is to say nothing of its own accord, and to tell nobody: read when it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow
import pandas as pd
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types.schema import Array, ColSpec, DataType, Schema
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from models.card import Line, model_card
from models.registry_down import RegistryDown, RegistryElsewhere

CHAMPION, CHALLENGER = "champion", "challenger"
MODEL_CODE = Path(__file__).with_name("registered_model.py")
LABELLED_CODE = Path(__file__).with_name("registered_labelled.py")
SAVED_MODEL = "artifacts/saved_model"  # inside a logged model
SQLITE = "sqlite:///"
ANSWERS_WITHIN = 30  # seconds
PAGE = 1000  # versions, models or runs asked for at a time
PARAMS_AT_ONCE = 100  # the most that MLflow takes
TENSORFLOW = packages_distributions()["tensorflow"][0]  # tensorflow or tensorflow-cpu
HISTORY = [
    ColSpec(Array(DataType.string), "item_ids"),
    ColSpec(Array(DataType.long), "sessions"),
    ColSpec(Array(DataType.double), "ages"),
]
SIGNATURE = ModelSignature(
    inputs=Schema([*HISTORY, ColSpec(Array(DataType.long), "contexts", required=False)]),
    outputs=Schema([ColSpec(Array(DataType.string), "ids"), ColSpec(Array(DataType.double), "scores")]),
)
LABELLED_SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            *HISTORY,
            ColSpec(Array(DataType.double), "features"),
            ColSpec(Array(DataType.double), "naive"),
        ]
    ),
    outputs=Schema([ColSpec(Array(DataType.double), "value")]),
)
EXAMPLE = pd.DataFrame({"item_ids": [["a", "b", "a"]], "sessions": [[1, 1, 2]], "ages": [[30.5, 30.5, 2.0]]})


@dataclass(frozen=True)
class Version:
    """One registered version."""

    task: str  # the registered model's name
    version: int
    run_id: str
    tags: dict[str, str]
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """An open MLflow run, made by `Registry.run`."""

    id: str
    client: mlflow.MlflowClient

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Parameters, once a run; of a nested mapping each leaf, as `model.width`."""
        leaves = [Param(name, str(value)) for name, value in _leaves(params)]
        for first in range(0, len(leaves), PARAMS_AT_ONCE):
            self.client.log_batch(self.id, params=leaves[first : first + PARAMS_AT_ONCE])

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Numbers of a step, at once; `ndcg@10` becomes `ndcg_at_10`, as MLflow wants it."""
        now = int(time.time() * 1000)
        numbers = [
            Metric(name.replace("@", "_at_"), float(value), now, step) for name, value in metrics.items()
        ]
        self.client.log_batch(self.id, numbers)

    def newest_steps(self) -> dict[str, int]:
        """Of each metric, by MLflow's name, the last step of which the run has it."""
        names = self.client.get_run(self.id).data.metrics
        return {
            name: max(point.step for point in self.client.get_metric_history(self.id, name)) for name in names
        }

    def log_artifacts(self, directory: str | Path, folder: str) -> None:
        """All files of a local directory, into a folder of the run's artifacts; "": beside its folders."""
        self.client.log_artifacts(self.id, str(directory), folder or None)


@dataclass(frozen=True)
class Registry:
    """A connection, made by `connect`."""

    client: mlflow.MlflowClient
    experiment_id: str

    @contextmanager
    def run(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        begun: str | None = None,
        parent: str | None = None,
    ) -> Iterator[Run]:
        """An MLflow run around a `with` block; marked as failed where the block raises.

        begun   the id of one that was stopped, which goes on where it is known; it has its parameters
        parent  the id of one that this one is a part of
        """
        known = begun if begun and self._goes_on(begun) else None
        tags = {MLFLOW_PARENT_RUN_ID: parent} if parent else {}
        run_id = known or self.client.create_run(self.experiment_id, run_name=name, tags=tags).info.run_id
        run = Run(run_id, self.client)
        try:
            if not known:
                run.log_params(params or {})
            yield run
        except BaseException:
            self.client.set_terminated(run.id, "FAILED")
            raise
        self.client.set_terminated(run.id, "FINISHED")

    def register(
        self,
        run: Run,
        task: str,
        saved_model: str | Path,
        tags: Mapping[str, Any],
        labelled: Mapping[str, int] | None = None,
    ) -> Version:
        """Logs a SavedModel directory in the run as a pyfunc model, and makes it a new version of `task`.

        labelled  of one of models/export_labelled.py, how many numbers it takes of a user, as `features` and `naive`; none:
                  it is a ranker of models/export.py
        The version has its tags from its first moment: who reads the registry finds it whole or not at all.
        """
        packages = ("mlflow", "numpy", "pandas", TENSORFLOW)
        example = EXAMPLE.assign(**{name: [[0.0] * many] for name, many in (labelled or {}).items()})
        with TemporaryDirectory() as folder, mlflow.start_run(run_id=run.id):
            # MLflow keeps an artifact under its folder's own name, and follows no link.
            named = shutil.copytree(saved_model, Path(folder) / Path(SAVED_MODEL).name)
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(LABELLED_CODE if labelled else MODEL_CODE),
                artifacts={"saved_model": str(named)},
                signature=LABELLED_SIGNATURE if labelled else SIGNATURE,
                input_example=example,
                pip_requirements=[f"{name}=={installed_version(name)}" for name in packages],
            )
        with _tolerating("RESOURCE_ALREADY_EXISTS"):
            self.client.create_registered_model(task)
        told = {name: str(value) for name, value in tags.items()} | {"digest": digest(saved_model)}
        version = self.client.create_model_version(
            task,
            logged.model_uri,
            run_id=run.id,
            tags=told,
            description=model_card(task, told, self._params(run.id)),
            model_id=logged.model_id,
        )
        return Version(task, int(version.version), run.id, dict(version.tags), ())

    def versions(self, task: str, set_id: str | None = None) -> list[Version]:
        """All versions of `task`, oldest first (of one example set, where given); [] where there is none."""
        aliases: dict[int, list[str]] = {}
        for alias, number in self._aliases(task).items():
            aliases.setdefault(number, []).append(alias)
        found = [
            Version(
                task,
                int(entry.version),
                entry.run_id,
                dict(entry.tags),
                tuple(sorted(aliases.get(int(entry.version), []))),
            )
            for entry in self._search(task)
        ]
        wanted = [version for version in found if set_id is None or version.tags.get("set_id") == set_id]
        return sorted(wanted, key=lambda version: version.version)

    def all_versions(self) -> list[Version]:
        """The versions of every task."""
        tasks = sorted(model.name for model in self._pages(self.client.search_registered_models))
        return [version for task in tasks for version in self.versions(task)]

    def named_sets(self) -> dict[str, list[str]]:
        """Example set -> the runs, whether they are done or not, and the registered versions that name it."""
        named: dict[str, list[str]] = {}
        for run in self._pages(partial(self.client.search_runs, [self.experiment_id])):
            if set_id := run.data.params.get("examples.set_id"):
                named.setdefault(set_id, []).append(f"run {run.info.run_id}")
        for version in self.all_versions():
            if set_id := version.tags.get("set_id"):
                named.setdefault(set_id, []).append(f"{version.task} v{version.version}")
        return named

    def version(self, task: str, number: int) -> Version:
        """The version of this number; raises `ValueError` where there is none."""
        found = next((version for version in self.versions(task) if version.version == number), None)
        if found is None:
            raise ValueError(f"{task} has no version {number} any more: it was deleted from the registry")
        return found

    def describe(self, version: Version, judged: Iterable[Line], segments: Iterable[Line]) -> None:
        """Writes the version's card anew, with what it was judged by."""
        card = model_card(version.task, version.tags, self._params(version.run_id), judged, segments)
        self.client.update_model_version(version.task, str(version.version), card)

    def by_alias(self, task: str, alias: str) -> Version | None:
        """The version that has the alias, or None."""
        return next((version for version in self.versions(task) if alias in version.aliases), None)

    def set_alias(self, version: Version, alias: str) -> None:
        """Gives the alias to this version, and takes it from the one that had it, in one step."""
        self.client.set_registered_model_alias(version.task, alias, str(version.version))

    def find(self, task: str, set_id: str, configuration: str) -> Version | None:
        """The newest version with these tags: what a job that is run again finds, and does not train anew."""
        found = [v for v in self.versions(task, set_id) if v.tags.get("configuration") == configuration]
        return found[-1] if found else None

    def metrics(self, version: Version) -> dict[str, list[tuple[int, float]]]:
        """What the version's run logged: metric -> (step, value) in the order of steps; `ndcg@10` by that name."""
        found = {}
        for name in self.client.get_run(version.run_id).data.metrics:
            logged = self.client.get_metric_history(version.run_id, name)
            found[name.replace("_at_", "@")] = sorted((point.step, point.value) for point in logged)
        return found

    def saved_model_path(self, version: Version) -> str:
        """A local directory with the version's SavedModel: the store itself where that is a local folder."""
        uri = self.client.get_model_version_download_uri(version.task, str(version.version))
        return _local(f"{uri.rstrip('/')}/{SAVED_MODEL}")

    def run_artifact_path(self, version: Version, folder: str) -> str | None:
        """A local directory with a folder of the version's run's artifacts, or None where it has no such."""
        if not self.client.list_artifacts(version.run_id, folder):
            return None
        return _local(f"{self.client.get_run(version.run_id).info.artifact_uri.rstrip('/')}/{folder}")

    def _params(self, run_id: str) -> dict[str, str]:
        return dict(self.client.get_run(run_id).data.params)

    def _goes_on(self, run_id: str) -> bool:
        """Whether there is such a run; it is then under way again."""
        try:
            self.client.update_run(run_id, status="RUNNING")
        except MlflowException:
            return False
        return True

    def _aliases(self, task: str) -> dict[str, int]:
        with _tolerating("RESOURCE_DOES_NOT_EXIST"):
            aliases = self.client.get_registered_model(task).aliases
            return {alias: int(number) for alias, number in aliases.items()}
        return {}

    def _search(self, task: str) -> list[Any]:
        return self._pages(partial(self.client.search_model_versions, f"name='{task}'"))

    def _pages(self, search: Callable[..., Any]) -> list[Any]:
        """All that a search finds."""
        pages = [search(max_results=PAGE)]
        while pages[-1].token:
            pages.append(search(max_results=PAGE, page_token=pages[-1].token))
        return [entry for page in pages for entry in page]


def connect(registry_uri: str, artifacts: str, experiment: str = "footfall") -> Registry:
    """Opens the store, and makes in it the experiment that keeps its artifacts in `artifacts`.

    registry_uri  sqlite:///FILE (made where missing, which takes some seconds), http://HOST:PORT, …
    artifacts     a folder, or a URI that MLflow knows
    Raises `RegistryElsewhere` where the experiment is there already with other artifacts, and `RegistryDown` where a server
    does not answer: at once, and not after the minutes for which MLflow goes on trying.
    """
    if registry_uri.startswith(("http://", "https://")):
        _check_answers(registry_uri)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)  # that pip itself is not installed
    if registry_uri.startswith(SQLITE):
        Path(registry_uri.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(registry_uri)
    mlflow.set_registry_uri(registry_uri)
    client = mlflow.MlflowClient(registry_uri, registry_uri)
    location = artifacts if urlparse(artifacts).scheme else Path(artifacts).resolve().as_uri()
    with _tolerating("RESOURCE_ALREADY_EXISTS"):
        if client.get_experiment_by_name(experiment) is None:
            client.create_experiment(experiment, artifact_location=location)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    if found.artifact_location.rstrip("/") != location.rstrip("/"):
        raise RegistryElsewhere(
            f"artifacts is {location}, but the experiment {experiment} in {registry_uri} "
            f"keeps its artifacts in {found.artifact_location}: give that, or another registry"
        )
    return Registry(client, found.experiment_id)


def digest(directory: str | Path) -> str:
    """SHA-256 over the names and the bytes of all files below a directory."""
    whole = hashlib.sha256()
    for path in sorted(path for path in Path(directory).rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.relative_to(directory).as_posix()} {content}\n".encode())
    return whole.hexdigest()


def configuration_hash(configuration: Mapping[str, Any]) -> str:
    """Twelve hex digits of a nested mapping of plain values, whatever the order of its keys."""
    text = json.dumps(configuration, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _leaves(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """{"model": {"width": 64}} -> ("model.width", 64)"""
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _local(uri: str) -> str:
    """A local path of an artifact folder: itself where it is local, else a copy that is made once."""
    parsed = urlparse(uri)
    if parsed.scheme in ("", "file"):
        return url2pathname(parsed.path)
    key = hashlib.sha256(f"{mlflow.get_tracking_uri()} {uri}".encode()).hexdigest()[:24]
    copy = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "footfall" / "models" / key
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=copy.parent) as partial:
            whole = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=partial)
            with suppress(OSError):  # another process was first
                os.rename(whole, copy)
    return str(copy)


def _check_answers(uri: str) -> None:
    shown = urlparse(uri)._replace(netloc=urlparse(uri).netloc.rpartition("@")[2]).geturl().rstrip("/")
    try:
        urlopen(f"{shown}/health", timeout=ANSWERS_WITHIN).close()
    except HTTPError:
        pass  # it does answer: MLflow's client has its own way with passwords
    except OSError as error:
        raise RegistryDown(
            f"the registry {shown} does not answer ({error}), and nothing was changed: start it (make services), or give "
            "another by registry=…"
        ) from None


@contextmanager
def _tolerating(code: str) -> Iterator[None]:
    """Passes over MLflow's errors of one code."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != code:
            raise

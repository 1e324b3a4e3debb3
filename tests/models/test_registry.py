"""The registry: an MLflow store of its own for these tests, and a server on it."""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import mlflow
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from models.baselines import fit
from models.export import export
from models.registry import CHALLENGER, CHAMPION, configuration_hash, connect
from models.registry_down import RegistryElsewhere

TAGS = {"model": "frequency", "kind": "baseline", "set_id": "demo", "configuration": "abc", "ranks": 2}
INDICES = np.array([3, 4, 5, 6])


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    directory = tmp_path_factory.mktemp("exported") / "any name"
    vocabulary = {"item_index": INDICES, "item_id": ["a", "b", "c", "d"]}
    export(fit("frequency", 7, INDICES, np.array([9, 5, 3, 1])), vocabulary, directory, k=3)
    return directory


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """(registry, artifacts): a new SQLite store; making its tables takes seconds, so the tests share it."""
    folder = tmp_path_factory.mktemp("store with a blank")
    return f"sqlite:///{folder}/below/mlflow.db", str(folder / "artifacts")


@pytest.fixture
def registry(store):
    return connect(*store)


@pytest.fixture
def register(registry, saved_model):
    def register(task, **tags):
        with registry.run(task) as run:
            return registry.register(run, task, saved_model, TAGS | tags)

    return register


def test_a_set_is_named_by_runs_done_or_not_and_by_versions(tmp_path, saved_model):
    registry = connect(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
    assert registry.named_sets() == {}
    with registry.run("gru", {"examples": {"set_id": "one"}}) as run:
        assert registry.named_sets() == {"one": [f"run {run.id}"]}
        version = registry.register(run, "next_item", saved_model, TAGS | {"set_id": "other"})
    assert registry.named_sets() == {"one": [f"run {run.id}"], "other": ["next_item v1"]}
    assert registry.all_versions() == [version]


def test_a_version_has_its_tags_and_its_run(registry, register):
    version = register("tags")
    assert registry.versions("tags") == [version]
    assert version.version == 1 and version.aliases == ()
    digest = version.tags.pop("digest")
    assert version.tags == {name: str(value) for name, value in TAGS.items()}
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert registry.client.get_run(version.run_id).info.status == "FINISHED"


def test_versions_are_found_by_example_set_and_configuration(registry, register):
    for set_id, configuration in [("one", "x"), ("one", "y"), ("two", "x"), ("one", "x")]:
        register("found", set_id=set_id, configuration=configuration)
    assert [version.version for version in registry.versions("found")] == [1, 2, 3, 4]
    assert [version.version for version in registry.versions("found", set_id="one")] == [1, 2, 4]
    found = registry.find("found", "one", "x")
    assert found is not None and found.version == 4  # the newest
    assert registry.find("found", "two", "y") is None


def test_a_task_that_nobody_registered_has_no_versions(registry):
    assert registry.versions("nothing") == []
    assert registry.by_alias("nothing", CHAMPION) is None
    assert registry.find("nothing", "demo", "abc") is None


def test_an_alias_is_one_versions_at_a_time(registry, register):
    first, second = register("alias"), register("alias")
    registry.set_alias(first, CHAMPION)
    registry.set_alias(second, CHALLENGER)
    assert registry.by_alias("alias", CHAMPION).version == first.version
    registry.set_alias(second, CHAMPION)
    assert [version.aliases for version in registry.versions("alias")] == [(), (CHALLENGER, CHAMPION)]


def test_the_saved_model_is_read_where_it_lies(registry, register, store):
    path = registry.saved_model_path(register("path"))
    assert path.startswith(store[1]) and path.endswith("artifacts/saved_model")
    assert tf.saved_model.load(path).item_ids.numpy().tolist() == [b"", b"", b"", b"a", b"b", b"c", b"d"]


def test_a_folder_of_the_run_is_found_again(registry, saved_model):
    with registry.run("folder") as run:
        run.log_artifacts(saved_model, "as_of_validation")
        version = registry.register(run, "folder", saved_model, TAGS)
    path = registry.run_artifact_path(version, "as_of_validation")
    assert sorted(os.listdir(path)) == sorted(os.listdir(saved_model))
    assert registry.run_artifact_path(version, "something_else") is None


def test_a_run_keeps_parameters_and_metrics(registry):
    with registry.run("numbers", {"model": {"name": "gru", "width": 64}, "seed": 7}) as run:
        run.log_metrics({"ndcg@10": 0.25, "loss": 3.0})
        for epoch, loss in enumerate([2.0, 1.0], start=1):
            run.log_metrics({"loss": loss}, step=epoch)
    data = registry.client.get_run(run.id).data
    assert data.params == {"model.name": "gru", "model.width": "64", "seed": "7"}
    assert data.metrics == {"ndcg_at_10": 0.25, "loss": 1.0}
    history = registry.client.get_metric_history(run.id, "loss")
    assert sorted((entry.step, entry.value) for entry in history) == [(0, 3.0), (1, 2.0), (2, 1.0)]


def test_a_run_whose_block_raises_is_marked_as_failed(registry):
    with pytest.raises(KeyError), registry.run("broken") as run:
        raise KeyError("x")
    assert registry.client.get_run(run.id).info.status == "FAILED"


def test_artifacts_elsewhere_than_the_store_has_them_are_refused(store, tmp_path):
    with pytest.raises(RegistryElsewhere, match=r"keeps its artifacts in .*: give that, or another registry"):
        connect(store[0], str(tmp_path))


def test_the_registry_says_nothing(registry, register, capfd, caplog):
    with caplog.at_level(logging.INFO):
        registry.set_alias(register("silent"), CHAMPION)
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.startswith(("mlflow", "alembic"))] == []


def test_the_configurations_hash_does_not_depend_on_the_order_of_keys():
    first = configuration_hash({"model": {"name": "gru", "width": 64}, "seed": 7})
    assert first == configuration_hash({"seed": 7, "model": {"width": 64, "name": "gru"}})
    assert first != configuration_hash({"seed": 7, "model": {"width": 65, "name": "gru"}})
    assert len(first) == 12 and int(first, 16) >= 0


@pytest.fixture
def server(tmp_path, store):
    """An MLflow server on the store, which keeps artifacts itself: what is registered goes through it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store[0], "--workers", "1"]
    command += [
        "--artifacts-destination",
        str(tmp_path / "served"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    quick = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # half the time to start
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=quick, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 120
        while not answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None and time.monotonic() < deadline, (
                tmp_path / "server.log"
            ).read_text()
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # its own group: itself and its workers
        process.wait(30)


def answers(url):
    try:
        return urlopen(url, timeout=5).status == 200
    except (URLError, OSError):
        return False


ELSEWHERE = """
import json, sys
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/served@champion")
users = pd.DataFrame(
    {"item_ids": [["c", "d", "d"], []], "sessions": [[1, 1, 2], []], "ages": [[9.5, 9.5, 1.0], []]}
)
ours = [name for name in sys.modules if name.split(".")[0] in ("models", "horovod", "features", "conf")]
print(json.dumps([model.predict(users).ids.tolist(), ours]))
"""


def test_the_champion_is_loaded_from_a_server_without_our_code(
    server, saved_model, tmp_path, monkeypatch, capfd
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    registry = connect(server, "mlflow-artifacts:/footfall", experiment="served")
    with registry.run("served") as run:
        version = registry.register(run, "served", saved_model, TAGS)
    registry.set_alias(version, CHAMPION)
    command = [sys.executable, "-I", "-c", ELSEWHERE, server]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(output.stdout.splitlines()[-1]) == [[["d", "c", "a"], ["a", "b", "c"]], []]

    path = registry.saved_model_path(version)
    assert Path(path).is_relative_to(tmp_path / "cache")
    inode = os.stat(path).st_ino
    assert registry.saved_model_path(version) == path and os.stat(path).st_ino == inode  # fetched once
    assert tf.saved_model.load(path).item_ids.shape == (7,)
    assert capfd.readouterr() == ("", "")


def test_the_registered_model_predicts_from_raw_ids(registry, register):
    registry.set_alias(register("next_item"), CHAMPION)
    model = mlflow.pyfunc.load_model("models:/next_item@champion")
    users = pd.DataFrame({"item_ids": [["b"], ["new"]], "sessions": [[1], [1]], "ages": [[0.5], [1.0]]})
    predicted = model.predict(users)
    assert predicted["ids"].tolist() == [["b", "a", "c"], ["a", "b", "c"]]
    assert predicted["scores"].tolist()[0] == pytest.approx([1.0, -1 / 10, -1 / 4])

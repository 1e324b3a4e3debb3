"""MLflow's server on PostgreSQL, as `make services` starts it: a model goes in, into service, and back."""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

import pytest
import tensorflow as tf

from models.registry import CHAMPION, connect
from tests.jobs.standalone import free_port
from tools.postgresql import binary
from tools.services import services

try:
    binary("postgres")
except FileNotFoundError as error:
    pytest.skip(str(error), allow_module_level=True)

LOAD = """
import sys, mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/next_item@champion")
history = pd.DataFrame({"item_ids": [["a"]], "sessions": [[1]], "ages": [[2.0]]})
assert "models" not in sys.modules and "jobs" not in sys.modules
print(model.predict(history)["ids"][0])
"""


class Echo(tf.Module):
    """The smallest model with the signature that a registered one has."""

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None), tf.string, "item_ids"),
            tf.TensorSpec((None, None), tf.int32, "sessions"),
            tf.TensorSpec((None, None), tf.float32, "ages"),
        ]
    )
    def by_id(self, item_ids, sessions, ages):
        return {"ids": item_ids, "scores": ages}


@pytest.fixture(scope="module")
def folder():
    made = Path(mkdtemp(prefix="sv"))  # short: the path of a socket may have 107 bytes
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_a_model_goes_into_service_and_is_loaded_without_code_of_ours(folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    saved, echo = folder / "saved_model", Echo()
    tf.saved_model.save(echo, str(saved), signatures={"by_id": echo.by_id})
    with services(folder / "kept", free_port()) as address:
        registry = connect(address, "mlflow-artifacts:/")
        with registry.run("echo", {"git_commit": "abc"}) as run:
            version = registry.register(run, "next_item", saved, {"model": "echo", "set_id": "small"})
        registry.set_alias(version, CHAMPION)
        path = registry.saved_model_path(version)
        assert Path(path, "saved_model.pb").exists()
        card = registry.client.get_model_version("next_item", "1").description
        assert card.startswith("# echo of next_item") and "| example set | small |" in card
        loaded = subprocess.run(
            [sys.executable, "-c", LOAD, address], cwd="/", capture_output=True, text=True, timeout=300
        )
        assert loaded.stdout == "['a']\n", loaded.stderr
    with services(folder / "kept", free_port()) as address:  # what they had is there again
        found = connect(address, "mlflow-artifacts:/").by_alias("next_item", CHAMPION)
        assert found is not None and found.version == 1
    assert (folder / "kept" / "password").stat().st_mode & 0o077 == 0

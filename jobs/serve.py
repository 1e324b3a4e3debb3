"""Answer in real time, by the champion of each task: an HTTP service, until it is stopped (Ctrl-C or SIGTERM).

Reads champions from the registry, and users and rules from the folder that jobs/publish.py writes; takes up what is new of
both while it answers. Needs no Spark. docs/serving.md says how to ask.

    python jobs/serve.py publish.folder=var/shop/published lake=var/shop/lake registry=http://mlflow:5000
"""

import gc
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import uvicorn

from conf.load import load
from conf.schema import Config, Task
from features.keyed_ids import Keys
from jobs.command import InputError, configure, stop
from jobs.key_files import key_file, parsed
from models.registry import connect
from serving.app import make_app
from serving.asking import Answering, Asked, Best, Rules
from serving.batcher import Batcher
from serving.champions import batch_sizes
from serving.guard import LOOPBACK, KeyFile, Limits
from serving.metrics import Metrics
from serving.service import Service
from serving.watch import Places, Watch

TURN = 5e-4  # seconds for which a thread, of models or of HTTP, may keep the other from Python; ten times that is usual
NEVER = 2**31 - 1  # searches of what is younger until the next one of all
PATIENCE = 30  # seconds for which answers that are under way are waited for at the end
# A registry that is down is asked again at the next look; MLflow itself would try for minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


def main() -> None:
    conf = configure()
    try:
        limits, service = limits_of(conf), service_of(conf, tasks_of(conf, sys.argv[1:]))
    except (InputError, ValueError) as error:
        stop(str(error))
    without_pauses()
    print(f"serve: listens on http://{conf.serve.host}:{conf.serve.port}", flush=True)
    uvicorn.run(
        make_app(service, limits),
        host=conf.serve.host,
        port=conf.serve.port,
        http="httptools",
        access_log=False,  # ids of users are in paths
        server_header=False,
        log_level="info",
        timeout_graceful_shutdown=PATIENCE,
    )


def without_pauses() -> None:
    """Settles how this process takes turns and looks for garbage.

    A search keeps all who ask waiting: half a second where it looks through TensorFlow's modules, which live as long as the
    service, and a tenth of that for a champion. So what is there now is left out of it, and of the rest what is old is
    looked through when a champion takes another's place (serving/watch.py), not again and again.
    """
    import tensorflow  # noqa: F401  # so that it is there now

    sys.setswitchinterval(TURN)
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, NEVER)


def tasks_of(conf: Config, arguments: list[str]) -> dict[str, Task]:
    """The tasks that are answered, by name: each as its file in conf/task and this command line have it."""
    if not conf.serve.tasks:
        return {conf.task.name: conf.task}
    others = [each for each in arguments if not each.startswith("task=")]
    tasks = [load([*others, f"task={choice}"]).task for choice in conf.serve.tasks]
    return {task.name: task for task in tasks}


def service_of(conf: Config, tasks: dict[str, Task]) -> Service:
    """The service, with its parts put together."""
    settings, metrics, exclude = conf.serve, Metrics(), conf.score.exclude
    places = Places(
        connect=partial(connect, conf.registry, conf.artifacts),
        published=Path(conf.publish.folder) if conf.publish.folder else None,
        exclude=list(exclude),
    )
    watch = Watch(places, tasks, batch_sizes(settings.batch), settings.threads, metrics)
    rules = Rules(
        keys=keys_of(conf),
        is_active=dict(conf.source.event_types),
        gap=conf.features.session_gap_minutes * 60_000_000,
        zone=conf.source.shop_timezone,
        max_events=settings.max_events,
        explained=settings.explained,
        exclude_bought="bought" in exclude,
        purchase_types=frozenset(conf.source.purchase_types or ["purchase"]),
        seconds=settings.timeout_seconds,
    )
    batcher = Batcher(best_of, settings.batch, settings.queue, metrics.batch)
    return Service(watch, batcher, rules, metrics, settings.poll_seconds)


def best_of(champion: Answering, asked: Sequence[Asked]) -> list[Best]:
    """What the batcher calls."""
    return champion.best(asked)


def limits_of(conf: Config) -> Limits:
    """Refuses to listen on an address that others reach without an API key."""
    settings = conf.serve
    is_own = settings.host in LOOPBACK
    if not settings.key_file and not is_own:
        raise InputError(
            f"serve.host is {settings.host}, which others can reach, and there is no serve.key_file: "
            "give a file of API keys, or serve.host=127.0.0.1"
        )
    keys = KeyFile(Path(settings.key_file)) if settings.key_file else None
    return Limits(settings.max_bytes, settings.timeout_seconds, keys, only_loopback=is_own and keys is None)


def keys_of(conf: Config) -> Keys:
    """The keys that the lake's ids were made with; none where they are plain, or where no user is known by name."""
    if conf.privacy.ids == "plain" or not conf.publish.folder:
        return ()
    if name := conf.privacy.key_variable:
        return parsed(os.environ.get(name, ""), f"the variable {name}")
    path = key_file(conf)
    if not path.exists():
        raise InputError(
            f"there is no {path}, expected the key of the ids in {conf.lake}: put it there, set privacy.key_file, "
            "or privacy.ids=plain for a lake whose ids are plain"
        )
    return parsed(path.read_text(), str(path))


if __name__ == "__main__":
    main()

"""Takes up new champions and published nights while the service answers with those of before."""

import gc
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

from conf.schema import Task
from models.registry import CHAMPION, Registry, Version
from models.scoring import load, on_shelf, opened
from serving.asking import Answering
from serving.champions import Champion
from serving.labelled import LabelChampion
from serving.metrics import Metrics
from serving.publication import Night, Told, indices_of, newest, newest_told, shelf_before

LOG = logging.getLogger(__name__)


class State(NamedTuple):
    """What questions are answered from: replaced as a whole, so that an answer is of one state."""

    champions: Mapping[str, Answering]  # in the order of the tasks
    night: Night | None
    told: Mapping[str, Told]  # of tasks with labels that were published


@dataclass(frozen=True)
class Places:
    """Where champions and users come from."""

    connect: Callable[[], Registry]  # to the registry
    published: Path | None  # the folder of jobs/publish.py; none: questions bring all their events
    exclude: list[str]  # see models.shelf.EXCLUDABLE


class Watch:
    """A thread that looks at the registry and the published night every few seconds.

    A look that fails leaves all as it is: a registry that is down takes nobody's champion away.
    """

    def __init__(
        self,
        places: Places,
        tasks: Mapping[str, Task],
        sizes: tuple[int, ...],
        threads: int,
        metrics: Metrics,
    ):
        self.places, self.tasks, self.sizes, self.threads = places, tasks, sizes, threads
        self.metrics, self.state = metrics, State({}, None, {})
        self.registry: Registry | None = None
        self.over = Event()
        self.thread: Thread | None = None

    def start(self, seconds: float) -> None:
        self.thread = Thread(target=self._go_on, args=(seconds,), name="watch", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.over.set()

    def _go_on(self, seconds: float) -> None:
        while not self.over.is_set():
            self.look()
            self.over.wait(seconds)

    def look(self) -> None:
        """Takes up what is new."""
        night, told, champions = self.state.night, dict(self.state.told), dict(self.state.champions)
        if self.places.published:
            with self._tolerating("night"):
                night = newest(self.places.published, night)
                for name in (task.name for task in self.tasks.values() if task.label):
                    if found := newest_told(self.places.published / name, told.get(name)):
                        told[name] = found
        with self._tolerating("registry"):
            self.registry = self.registry or self.places.connect()
            for task in self.tasks.values():
                if champion := self._champion(self.registry, task, night, told.get(task.name)):
                    champions[task.name] = champion
        new = State({name: champions[name] for name in self.tasks if name in champions}, night, told)
        is_new = any(
            champion is not self.state.champions.get(name) for name, champion in new.champions.items()
        )
        self._take_up(new)
        if is_new:
            gc.collect()  # the champion of before; see jobs.serve.without_pauses

    @contextmanager
    def _tolerating(self, of: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.metrics.failures.labels(of).inc()
            LOG.error("%s: all stays as it is: %s", of, error)
        else:
            self.metrics.last_seen.labels(of).set(time.time())

    def _champion(
        self, registry: Registry, task: Task, night: Night | None, told: Told | None
    ) -> Answering | None:
        """The task's champion before what was published, warm; the one in service where nothing has changed."""
        found, before = registry.by_alias(task.name, CHAMPION), self.state.champions.get(task.name)
        if found is None:
            return before  # an alias that was taken away leaves nobody without an answer
        is_same = before is not None and before.version == found.version and night is self.state.night
        if task.label:
            if told is None or night is None or told.version != found.version:
                return before  # what was published is of another version: until a night comes with this one
            if is_same and told is self.state.told.get(task.name):
                return before
            champion: Answering = self._answering(registry, task, found, night, told)
        elif is_same:
            return before
        else:
            champion = self._ranking(registry, task, found, night)
        champion.warm()
        return champion

    def _ranking(self, registry: Registry, task: Task, found: Version, night: Night | None) -> Champion:
        before = self.state.champions.get(task.name)
        if isinstance(before, Champion) and before.version == found.version:
            model = before.scorer.model
        else:  # not the cache of bulk scoring, which holds on to its last models for the life of the process
            model = load.__wrapped__(registry.saved_model_path(found), self.threads)
        shelf, index_of = shelf_before(model, night, self.places.exclude)
        scorer = on_shelf(model, shelf)
        id_of = {index: item_id for item_id, index in index_of.items()}
        name = found.tags.get("model", "model")
        return Champion(task, name, found.version, scorer, index_of, id_of, self.sizes, self.threads)

    def _answering(
        self, registry: Registry, task: Task, found: Version, night: Night, told: Told
    ) -> LabelChampion:
        before = self.state.champions.get(task.name)
        if isinstance(before, LabelChampion) and before.version == found.version:
            model = before.model
        else:
            model = opened(registry.saved_model_path(found), self.threads)
        index_of = indices_of(night)
        id_of = {index: item_id for item_id, index in index_of.items()}
        names = [each.decode() for each in model.names.numpy()]
        name = found.tags.get("model", "model")
        return LabelChampion(task, name, found.version, model, names, told, index_of, id_of, self.sizes)

    def _take_up(self, state: State) -> None:
        for task, champion in state.champions.items():
            before = self.state.champions.get(task)
            if before is None or before.version != champion.version:
                LOG.info("%s: %s v%d is in service", task, champion.name, champion.version)
                self.metrics.champion.labels(task).set(champion.version)
                self.metrics.changes.labels(task).inc()
        if state.night and state.night is not self.state.night:
            LOG.info("users and rules are those of %s", state.night.ds)
            self.metrics.day.set(datetime.fromisoformat(state.night.ds).replace(tzinfo=UTC).timestamp())
        self.state = state

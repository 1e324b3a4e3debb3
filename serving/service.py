"""The service behind the routes: from a question to histories, by the batcher to the champions, and back."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from conf.schema import Task
from features.keyed_ids import keyed_id
from models.attributions import Inputs, leave_one_out
from serving import wire
from serving.asking import Answering, Asked, Rules, Whom
from serving.batcher import Batcher
from serving.guard import Refused
from serving.histories import EMPTY, Event, History, continued
from serving.metrics import Metrics
from serving.watch import State, Watch
from serving.wire import Answer, Ask, Doubt, Explained, Explanation, Past, Prediction, Question, Timeline

AHEAD = 3_600_000_000  # microseconds by which a clock may be fast, as at ingest
MOST_USERS = 200  # listed at a time
EXPLAINING = 2  # explanations that may wait or be at work: each asks a model as often as it has events


class Service:
    """What routes ask. Everything an answer is made from is of one `State`, taken at its beginning."""

    def __init__(self, watch: Watch, batcher: Batcher, rules: Rules, metrics: Metrics, poll_seconds: float):
        self.watch, self.batcher, self.rules, self.metrics = watch, batcher, rules, metrics
        self.poll_seconds, self.explaining = poll_seconds, 0
        metrics.watch_queue(lambda: len(batcher.waiting))

    def start(self) -> None:
        self.watch.start(self.poll_seconds)

    def stop(self) -> None:
        """Answers what is waiting; the server has closed its door by then."""
        self.watch.stop()
        self.batcher.stop()

    async def predictions(self, question: Question) -> Answer:
        state = self._state(question.task)
        whom = await self._whom(state, question)
        wanted = self._champions(state, question.task)
        asked = [
            Asked((await each.inputs_of(whom, self.rules))[0], question.k or each.task.k) for each in wanted
        ]
        answers = await asyncio.gather(
            *(self.batcher.ask(c, a, self.rules.seconds) for c, a in zip(wanted, asked, strict=True))
        )
        predictions = [
            # without checking again what was made here
            Prediction.model_construct(
                task=champion.task.name,
                reason=best.reason,
                events=len(each.inputs["items"]),
                model=champion.name,
                model_version=champion.version,
                **champion.said(best),
            )
            for champion, each, best in zip(wanted, asked, answers, strict=True)
        ]
        ds = state.night.ds if state.night else None
        return Answer.model_construct(predictions=predictions, known_user=whom.is_known, ds=ds)

    async def explanations(self, doubt: Doubt) -> Explanation:
        state = self._state(doubt.task)
        champion = self._champions(state, doubt.task)[0]
        whom = await self._whom(state, doubt)
        if self.explaining >= EXPLAINING:
            raise Refused(
                503,
                "overloaded",
                f"{EXPLAINING} explanations are being made: ask again in 1 s",
                **{"retry-after": "1"},
            )
        self.explaining += 1
        try:
            inputs, places = await champion.inputs_of(whom, self.rules)
            return await asyncio.to_thread(self._explanation, champion, whom, doubt, inputs, places)
        finally:
            self.explaining -= 1

    def _explanation(
        self, champion: Answering, whom: Whom, doubt: Doubt, inputs: Inputs, places: np.ndarray
    ) -> Explanation:
        names = champion.explainable(doubt.items, inputs)
        indices = list(names.values())
        first = max(0, len(places) - self.rules.explained)
        scored = partial(champion.scores_of, indices=np.array(indices, np.int64))
        scores, changes = leave_one_out(scored, inputs, first)  # (items,), (events, items)
        return Explanation(
            task=champion.task.name,
            events=self._past(champion, whom.history, places[first:]),
            items=[
                Explained(item_id=name, score=float(scores[n]), changes=changes[:, n].tolist())
                for n, name in enumerate(names)
            ],
            model=champion.name,
            model_version=champion.version,
        )

    async def some_users(self, limit: int) -> list[str]:
        night = self.watch.state.night
        if night is None:
            return []
        return await asyncio.to_thread(night.users.some, max(1, min(limit, MOST_USERS)))

    async def timeline(self, entity: str) -> Timeline:
        state = self._state(None)
        history = await self._known(state, entity)
        if history is None or state.night is None:
            raise Refused(
                404, "no_user", "nobody is known by this entity: see /v1/users, or name a user by user_id"
            )
        champion = next(iter(state.champions.values()))
        return Timeline(
            entity=entity,
            events=self._past(champion, history, np.arange(len(history.types))),
            ds=state.night.ds,
        )

    def about(self) -> dict[str, Any]:
        state = self.watch.state
        return {
            "ds": state.night.ds if state.night else None,
            "event_types": self.rules.is_active,
            "session_gap_minutes": self.rules.gap // 60_000_000,
            "tasks": [
                {
                    "task": name,
                    "event_types": champion.task.event_types,
                    "model": champion.name,
                    "model_version": champion.version,
                    **champion.about(),
                }
                for name, champion in state.champions.items()
            ],
        }

    def is_well(self) -> bool:
        return self.batcher.thread.is_alive()

    def missing(self) -> list[str]:
        """What is still missing before questions are answered."""
        state = self.watch.state
        tasks, folder = self.watch.tasks, self.watch.places.published
        missing = [self._missing(task, state) for name, task in tasks.items() if name not in state.champions]
        if folder and state.night is None:
            missing.append(f"nothing was published in {folder} yet")
        return missing if self.batcher.is_open else ["shutting down"]

    def _missing(self, task: Task, state: State) -> str:
        """Why a task has no champion in service."""
        folder, told = self.watch.places.published, state.told.get(task.name)
        if task.label and not folder:
            return f"{task.name} has labels, and answers by what was published: set publish.folder"
        if task.label and told is None:
            return f"{task.name} was not published in {folder} yet: run jobs/publish.py with task={task.name}"
        if told is not None:
            return f"{task.name} was published with version {told.version}, which is no champion: publish it anew"
        return f"{task.name} has no champion yet"

    def _state(self, task: str | None) -> State:
        state = self.watch.state
        if task is not None and task not in self.watch.tasks:
            raise Refused(
                404, "no_task", f"there is no task {task!r}: expected one of {', '.join(self.watch.tasks)}"
            )
        if not state.champions or (task and task not in state.champions):
            raise Refused(
                503,
                "not_ready",
                f"{task or 'no task'} has no champion yet: ask again in 5 s",
                **{"retry-after": "5"},
            )
        return state

    def _champions(self, state: State, task: str | None) -> list[Answering]:
        return [state.champions[task]] if task else list(state.champions.values())

    async def _whom(self, state: State, ask: Ask) -> Whom:
        """The history that a question is about, and its moment."""
        if len(ask.events) > self.rules.max_events:
            raise Refused(
                422,
                "invalid",
                f"{len(ask.events)} events, expected {self.rules.max_events} at most: send the newest",
            )
        known = entity = None
        if ask.entity is not None or ask.user_id is not None:
            if state.night is None:
                raise Refused(
                    404, "no_user", "no users are published: send all recent events in place of a name"
                )
            entity = ask.entity or keyed_id(str(ask.user_id), self.rules.keys)
            known = await self._known(state, entity)
        now = wire.micros(ask.as_of) if ask.as_of else time.time_ns() // 1000
        events = [self._event(each, now, state) for each in ask.events]
        if ask.as_of is None and events:
            now = max(now, max(event.at for event in events) + 1)
        history = continued(known or EMPTY, events, self.rules.is_active, self.rules.gap)
        return Whom(history, now, known is not None, entity)

    async def _known(self, state: State, entity: str) -> History | None:
        assert state.night is not None
        return await state.night.users.found_or_read(entity)

    def _event(self, event: wire.Event, now: int, state: State) -> Event:
        kind = event.event_type or next(iter(state.champions.values())).task.event_types[0]
        if kind not in self.rules.is_active:
            raise Refused(
                422,
                "invalid",
                f"event_type {kind!r} is unknown: expected one of {', '.join(self.rules.is_active)}",
            )
        at = now if event.at is None else wire.micros(event.at)
        if at > now + AHEAD:
            raise Refused(
                422,
                "invalid",
                f"an event is at {wire.moment(at).isoformat()}, more than an hour ahead: send UTC",
            )
        return Event(event.item_id, kind, at, event.channel or "")

    def _past(self, champion: Answering, history: History, places: Sequence[int] | np.ndarray) -> list[Past]:
        indices, id_of = history.indices(champion.index_of), champion.id_of
        return [
            Past.model_construct(
                item_id=history.named.get(place) or id_of.get(int(indices[place]), ""),
                event_type=history.types[place],
                at=wire.moment(history.timestamps[place]),
                session=int(history.sessions[place]),
            )
            for place in map(int, places)
        ]

"""Micro-batches: what was asked while the last batch was answered is the next batch.

Nobody waits for a batch to fill up: alone a question is answered at once, and the more there are, the larger batches get.
The event loop takes questions in; one thread answers them, since models let go of Python's lock while they compute.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import Any, NamedTuple

LOG = logging.getLogger(__name__)


class Overloaded(RuntimeError):
    """The queue is full: to be asked again later."""


class Stopped(RuntimeError):
    """Nothing is answered any more."""


class Waiting(NamedTuple):
    """A question in the queue."""

    model: Any  # questions of one batch have the same
    question: Any
    answer: asyncio.Future
    late: float  # monotonic time from which on nobody waits for the answer


class Batcher:
    """The queue and its thread.

    answer   a model and questions -> an answer each, in their order
    largest  questions in a batch;  longest: questions that may wait
    """

    def __init__(
        self,
        answer: Callable[[Any, Sequence[Any]], Sequence[Any]],
        largest: int,
        longest: int,
        seen: Callable[[int, float], None] = lambda rows, seconds: None,
    ):
        self.answer, self.largest, self.longest, self.seen = answer, largest, longest, seen
        self.waiting: deque[Waiting] = deque()
        self.changed, self.is_open = Condition(), True
        self.thread = Thread(target=self._work, name="batcher", daemon=True)
        self.thread.start()

    async def ask(self, model: Any, question: Any, seconds: float) -> Any:
        """The answer of `model`. Raises `Overloaded` at once where too many wait already."""
        future = asyncio.get_running_loop().create_future()
        with self.changed:
            if not self.is_open:
                raise Stopped("the service is shutting down")
            if len(self.waiting) >= self.longest:
                raise Overloaded(f"{len(self.waiting)} questions are waiting already")
            self.waiting.append(Waiting(model, question, future, time.monotonic() + seconds))
            self.changed.notify()
        return await future

    def stop(self, seconds: float = 10.0) -> None:
        """Answers what is in the queue, and takes nothing more."""
        with self.changed:
            self.is_open = False
            self.changed.notify()
        self.thread.join(seconds)

    def _work(self) -> None:
        while batch := self._take():
            began = time.monotonic()
            results = self._answered(batch)
            self.seen(len(batch), time.monotonic() - began)
            batch[0].answer.get_loop().call_soon_threadsafe(_deliver, batch, results)

    def _take(self) -> list[Waiting]:
        """The oldest question and others of its model, without those that nobody waits for; [] at the end."""
        with self.changed:
            while True:
                now = time.monotonic()
                while self.waiting and (self.waiting[0].late < now or self.waiting[0].answer.done()):
                    self.waiting.popleft()
                if self.waiting:
                    return self._of_one_model()
                if not self.is_open:
                    return []
                self.changed.wait()

    def _of_one_model(self) -> list[Waiting]:
        batch, rest = [self.waiting.popleft()], list[Waiting]()
        while self.waiting and len(batch) < self.largest:
            each = self.waiting.popleft()
            (batch if each.model is batch[0].model else rest).append(each)
        self.waiting.extendleft(reversed(rest))
        return batch

    def _answered(self, batch: Sequence[Waiting]) -> Sequence[Any]:
        """An answer each, or the exception in its place: one question that cannot be answered costs no other."""
        try:
            return self.answer(batch[0].model, [each.question for each in batch])
        except Exception as error:
            if len(batch) == 1:
                return [error]
            LOG.warning("a batch of %d failed, each is asked alone: %r", len(batch), error)
            return [self._answered([each])[0] for each in batch]


def _deliver(batch: Sequence[Waiting], results: Sequence[Any]) -> None:
    for each, result in zip(batch, results, strict=True):
        if each.answer.done():
            continue
        if isinstance(result, Exception):
            each.answer.set_exception(result)
        else:
            each.answer.set_result(result)

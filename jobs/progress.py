"""Shows how a training goes: a line an epoch, and one in between where an epoch takes long."""

import time
from typing import Any

from models.course import Course, Epoch
from models.listening import Listener, Step

EVERY = 10.0  # seconds between lines inside an epoch
OF_RANKING = ("ndcg@10", "recall@10")  # of the many metrics of a ranking, those that are said


class Progress(Listener):
    """Prints to standard output, which a launcher may read line by line."""

    def __init__(self, epochs: int, rows: int, ranks: int):
        self.epochs, self.rows = epochs, rows
        self.began = self.said = time.monotonic()
        self.done = 0
        self.since: float | None = None
        print(f"  {ranks} ranks are up: {rows:,} rows an epoch, at most {epochs} epochs", flush=True)

    def started(self, course: Course, model: Any, optimizer: Any) -> None:
        if course.resumed:
            self._say(
                f"  going on behind step {course.step} of epoch {course.epoch}, from the last checkpoint"
            )

    def stepped(self, step: Step) -> None:
        now = time.monotonic()
        if self.since is None:  # an epoch's first step opens files, the very first makes the graph as well
            self.since, self.steps = now, 0
            return
        self.steps += 1
        if now - self.said >= EVERY and step.number < step.steps:
            seconds = (now - self.since) / self.steps  # a step
            self._say(
                f"  epoch {step.epoch}/{self.epochs}  {step.number / step.steps:4.0%}  loss {step.loss:.3f}  "
                f"{step.rows / seconds:,.0f} rows/s  {lasting(seconds * (step.steps - step.number))} to its end"
            )

    def ended(self, epoch: Epoch) -> None:
        self.done += 1
        self.since = None
        left = (time.monotonic() - self.began) / self.done * (self.epochs - epoch.number)
        shown = [name for name in OF_RANKING if name in epoch.metrics] or list(epoch.metrics)
        metrics = "".join(f"{name} {epoch.metrics[name]:.4f}  " for name in shown)
        self._say(
            f"  epoch {epoch.number}/{self.epochs}  loss {epoch.loss:.3f}  {metrics}"
            f"{self.rows / epoch.training_seconds:,.0f} rows/s  {epoch.seconds:.1f} s  "
            f"{'best so far' if epoch.best else 'no better'}"
            + (f"  at most {lasting(left)} to go" if epoch.number < self.epochs else "")
        )

    def best(self, epoch: Epoch) -> None:
        """At the end."""
        self._say(f"  kept epoch {epoch.number}: exporting and registering")

    def _say(self, text: str) -> None:
        self.said = time.monotonic()
        print(text, flush=True)


def lasting(seconds: float) -> str:
    """90 -> `90 s`, 600 -> `10 min`, 9000 -> `2 h 30 min`"""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"

"""A week in the life of the nightly job, on a year of real purchases.

Lands the logs, loads all before 2017-12-28, trains and judges the first models, runs the five nights to 2018-01-01 one by
one, trains the best encoder once more, has it judged, trains and judges five tasks with labels from one pretrained encoder,
and writes `var/demo/report.html` and `var/demo/summary.json`. Starts from nothing each time (the raw logs stay), so that two
runs tell the same.

    python -m jobs.demo
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jobs.job import configure
from models.registry import CHALLENGER, connect

FIRST_LOAD = "2017-12-27"
NIGHTS = ("2017-12-28", "2017-12-29", "2017-12-30", "2017-12-31", "2018-01-01")
FIRST_HOLDOUT, LAST_HOLDOUT = 27, 5
TASKS_HOLDOUT = 32
"""Days up to the last night: the tasks are asked as of 2017-12-01, as the first models are."""
SMALL = ("model.width=32", "model.blocks=1", "train.batch_size=64")
FAST, CAREFUL = "train.learning_rate=2e-3", "train.learning_rate=5e-4"
PRETRAINED = ("model=sasrec", *SMALL, FAST)
"""The encoder that all tasks begin from."""
MODELS = {
    "repeat": ("train.batch_size=16", FAST, "train.average=0.99"),
    "sasrec": (*SMALL, FAST),
}
"""The encoders and how they are trained: chosen by the validation days of November, the test unseen."""
FIRST = {
    "repeat": ("train.epochs=5",),
    "sasrec": ("train.warm_start=pretrained", "train.epochs=2"),
}
AGAIN = "train.epochs=1"
"""From the weights of the first training, which has seen all but the newest four weeks."""
TUNED = ("model=sasrec", *SMALL, CAREFUL, "train.epochs=6")
"""How the tasks are trained: carefully, as the encoder and the baseline know much already."""
PLAIN = "privacy.ids=plain"  # the data is public
# A step of half a minute is over before a second compiler pays; one alone needs a larger cache than it gets.
QUICK_START = (
    "--driver-java-options",
    "-XX:+UseParallelGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m",
)
BIN = Path(sys.executable).parent


def demo() -> None:
    conf = configure()
    week = Week(Path(conf.report), [PLAIN, *sys.argv[1:]])
    week.clear(conf.lake, conf.registry, conf.artifacts)
    week.python("land", "land_complete_journey")
    week.spark("first_load", "nightly", f"ds={FIRST_LOAD}", options=())
    judged = (f"ds={FIRST_LOAD}", f"promote.holdout_days={FIRST_HOLDOUT}")
    week.spark("examples", "examples", *judged)
    week.python("train_baselines", "baselines", *judged)
    week.python("pretrain", "pretrain", *judged, *PRETRAINED, "train.epochs=6")
    for model, settings in MODELS.items():
        week.python(f"train_{model}", "train", *judged, f"model={model}", *settings, *FIRST[model])
    week.spark("promote", "promote", *judged)
    for ds in NIGHTS:
        explain = ("explain=true",) if ds == NIGHTS[-1] else ()
        week.spark(f"night_{ds}", "nightly", f"ds={ds}", *explain)
    best = connect(conf.registry, conf.artifacts).by_alias(conf.task.name, CHALLENGER)
    assert best is not None, "the first judgement leaves a challenger"
    again = (f"ds={NIGHTS[-1]}", f"promote.holdout_days={LAST_HOLDOUT}")
    week.spark("examples_again", "examples", *again)
    model, begun = best.tags["model"], f"train.warm_start={best.version}"
    week.python("train_again", "train", *again, f"model={model}", *MODELS[model], begun, AGAIN)
    week.spark("promote_again", "promote", *again)
    asked = (f"ds={NIGHTS[-1]}", f"promote.holdout_days={TASKS_HOLDOUT}", f"report={conf.report}/tasks")
    week.spark("tasks", "tasks", *asked, *TUNED, "serve_tasks=false", "explained.permutations=2", options=())
    week.spark("report", "report", f"ds={NIGHTS[-1]}", "report_command=make demo")
    week.done()


class Week:
    """Runs the steps as the commands that they are, and keeps how long each took."""

    def __init__(self, folder: Path, overrides: list[str]):
        self.folder, self.overrides = folder, overrides
        self.seconds: dict[str, float] = {}
        self.console = Console(highlight=False)

    def clear(self, lake: str, registry: str, artifacts: str) -> None:
        """Removes the lake and the registry of an earlier demo."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "seconds.json").unlink(missing_ok=True)
        for path in (Path(lake), Path(artifacts)):
            if path.exists():
                self.console.print(f"removing {path}, from an earlier demo")
                shutil.rmtree(path)
        if registry.startswith("sqlite:///"):
            Path(registry.removeprefix("sqlite:///")).unlink(missing_ok=True)

    def spark(self, step: str, job: str, *arguments: str, options: tuple[str, ...] = QUICK_START) -> None:
        self.run(step, [str(BIN / "spark-submit"), *options, f"jobs/{job}.py", *arguments])

    def python(self, step: str, job: str, *arguments: str) -> None:
        self.run(step, [sys.executable, f"jobs/{job}.py", *arguments])

    def run(self, step: str, command: list[str]) -> None:
        """One step; the demo ends with it where it fails."""
        command = [*command, *self.overrides]
        shown = " ".join([Path(command[0]).name, *command[1:]])
        self.console.rule(f"[bold]{step}[/]  {shown}", align="left", style="dim")
        began = time.monotonic()
        quiet = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"}
        code = subprocess.run(command, env=quiet).returncode
        if code:
            self.console.print(
                f"[bold red]{step} failed with exit code {code}[/]; to run it alone:\n  {shown}"
            )
            raise SystemExit(code)
        self.seconds[step] = round(time.monotonic() - began, 1)
        (self.folder / "seconds.json").write_text(json.dumps(self.seconds, indent=1) + "\n")
        self.console.print(
            f"{step}: {self.seconds[step]:.0f} s, {sum(self.seconds.values()):.0f} s so far", style="dim"
        )

    def done(self) -> None:
        """Says what came of it, and where to look."""
        summary_file = self.folder / "summary.json"
        summary = json.loads(summary_file.read_text())
        summary |= {f"seconds.{step}": seconds for step, seconds in self.seconds.items()}
        summary_file.write_text(json.dumps(summary, indent=1) + "\n")
        table = Table("model", "recall@10", "NDCG@10", title="the next session, as of 2017-12-01")
        for name in sorted({key.split(".")[1] for key in summary if key.startswith("metrics.")}):
            table.add_row(name, *(f"{summary[f'metrics.{name}.{m}']:.4f}" for m in ("recall@10", "ndcg@10")))
        self.console.print(table)
        self.console.print(
            f"{sum(self.seconds.values()):.0f} s in all. Look at {self.folder / 'report.html'}; `make ui` opens MLflow."
        )


if __name__ == "__main__":
    demo()

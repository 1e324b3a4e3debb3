"""A step is a job of jobs/ as a command in the training environment, by spark-submit or by its python.

A step ends with the job's line of facts in its log, and returns them as its XCom. One that fails names the job, its likely
cause and the command that runs it by hand; what a retry cannot put right is not retried.
"""

import ctypes
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_dags.facts import Heard
from airflow_dags.settings import ROOT, SETTINGS

BAD_INPUT, UNTRUSTED, BREACHED = 2, 3, 4  # exit codes of jobs/command.py
SPARK_POOL = "footfall_spark"  # a slot for each driver that this machine has memory for
KILLED = {signal.SIGKILL, signal.SIGTERM}
SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h
LIBC = ctypes.CDLL(None)


class BadInput(AirflowFailException):
    """What a person has to put right; a retry would meet it again."""


class QualityStop(AirflowFailException):
    """Data that does not meet an expectation marked `stop`."""


class Breach(AirflowFailException):
    """A measure of a night that is outside of its limits."""


class JobFailed(AirflowException):
    """Anything else; it is tried again."""


def end_with_parent() -> None:
    """In a child before it becomes the job: a task that is killed takes its job along, and a retry finds none at work."""
    LIBC.prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def environment() -> dict[str, str]:
    """What makes a command one of the training environment: Spark and its workers run that Python, and this code."""
    python = str(SETTINGS.bin / "python")
    return {
        "PATH": f"{SETTINGS.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYSPARK_PYTHON": python,
        "PYSPARK_DRIVER_PYTHON": python,
        "PYTHONPATH": str(ROOT),
        "SPARK_HOME": "",  # that of the training environment, found by its spark-submit
    }


def failure(command: Sequence[str], code: int | None, words: Sequence[str]) -> AirflowException:
    """The exception for a job that ended with `code`: what it was, why that may be, and the command to run by hand."""
    job = next(word for word in command if word.endswith(".py")).rsplit("/", 1)[-1]
    by_hand = shlex.join(command).replace(f"{ROOT}/", "")
    kind, cause = JobFailed, "an error of the job or of the machine: its log has the traceback"
    if code == BAD_INPUT:
        kind, cause = (
            BadInput,
            "a configuration or an input that a person has to put right, as its last line says",
        )
    elif code == UNTRUSTED:
        kind, cause = QualityStop, "tables that do not meet what is expected of them (docs/runbook.md)"
    elif code == BREACHED:
        kind, cause = (
            Breach,
            "something has moved out of its limits (docs/monitoring.md); nothing was stopped",
        )
    elif code is not None and (-code in KILLED or code - 128 in KILLED):
        cause = "it was killed: by hand, by a time-out, or by the system for want of memory"
    said = "\n".join(words)
    return kind(
        f"{job} ended with exit code {code}. Likely: {cause}. By hand, from {ROOT}:\n  {by_hand}\nIts last words:\n{said}"
    )


class Submit(SparkSubmitHook):
    """spark-submit in this project's folder, which is heard, and ends with the task."""

    heard: Heard

    def submit(self, application: str = "", **more: Any) -> str | None:
        return super().submit(application, cwd=ROOT, preexec_fn=end_with_parent, **more)

    def _process_spark_submit_log(self, lines: Iterator[Any]) -> None:
        super()._process_spark_submit_log(self.heard.listen(lines))


class SparkStep(SparkSubmitOperator):
    """A job by spark-submit, where the Airflow connection `spark` of conf/airflow says; its master overrules the job's own.

    night  the night and task, of a mapped step: `{"ds": …, "task": …}`, behind `arguments`
    """

    template_fields = (*SparkSubmitOperator.template_fields, "night")

    def __init__(
        self, *, job: str, arguments: Sequence[str], night: dict[str, str] | None = None, **more: Any
    ) -> None:
        more = {"pool": SPARK_POOL, "conn_id": SETTINGS.spark, "durable": False} | more
        super().__init__(
            application=f"{ROOT}/jobs/{job}.py",
            application_args=list(arguments),
            name=f"footfall {job}",
            env_vars=environment(),
            driver_memory=SETTINGS.driver_memory,
            conf=SETTINGS.spark_conf,
            py_files=SETTINGS.py_files,
            **more,
        )
        self.night = night
        self.heard = Heard()

    def _get_hook(self) -> SparkSubmitHook:
        hook = Submit(
            conf=self.conf,
            conn_id=self._conn_id,
            name=self.name,
            env_vars=self.env_vars,
            driver_memory=self._driver_memory,
            py_files=self.py_files,
        )
        hook.heard = self.heard
        hook._application_args = [*self.job_arguments(), *where(hook._connection["master"])]
        return hook

    def job_arguments(self) -> list[str]:
        return [
            *(self.application_args or ()),
            *(f"{key}={value}" for key, value in (self.night or {}).items()),
        ]

    def execute(self, context: Context) -> dict[str, str]:
        try:
            super().execute(context)
        except AirflowException as error:
            process = getattr(self._hook, "_submit_sp", None)
            command = ["spark-submit", self.application, *self.job_arguments()]
            raise failure(command, process and process.returncode, self.heard.words) from error
        return self.heard.facts


def where(master: str) -> list[str]:
    """A connection's master as keys of the job, which sets its own: `local[2]`, `spark://host:7077`, `yarn`, `k8s://…`."""
    return (
        [f"spark.master={master}"]
        if master.startswith("local")
        else ["spark=standalone", f"spark.master={master}"]
    )


class CommandStep(BaseOperator):
    """A job by the training environment's python: trainings, whose launcher the configuration names, and small ones."""

    template_fields: Sequence[str] = ("arguments",)

    def __init__(self, *, job: str, arguments: Sequence[str], **more: Any) -> None:
        super().__init__(**more)
        self.job = job
        self.arguments = list(arguments)
        self.process: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> dict[str, str]:
        heard = Heard()
        command = ["python", f"{ROOT}/jobs/{self.job}.py", *self.arguments]
        self.log.info("%s", shlex.join(command))
        self.process = subprocess.Popen(
            [str(SETTINGS.bin / "python"), *command[1:]],
            cwd=ROOT,
            env=os.environ | environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=end_with_parent,
        )
        assert self.process.stdout is not None
        for line in heard.listen(self.process.stdout):
            self.log.info("%s", line.rstrip())
        if code := self.process.wait():
            raise failure(command, code, heard.words)
        return heard.facts

    def on_kill(self) -> None:
        """Told to end, a launcher ends its ranks."""
        if self.process and self.process.poll() is None:
            self.process.terminate()

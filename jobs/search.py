"""Look for better hyperparameters of an encoder: an Optuna study over `search.space`, judged by the validation alone.

Reads `examples/<set_id>`. Each trial trains as jobs/train.py does and tells the study each epoch's metric, which ends those
that fall behind. Writes an MLflow run with one below it for each trial, and search.json and pictures into `report`. It
registers nothing and never reads the test. The study is in `search.storage`: killed and run again it goes on, in the middle
of a training too, until there are `search.trials`. Several may work on one study at once.

    python jobs/search.py ds=2017-12-27 model=sasrec search.trials=30
    python jobs/search.py ds=2017-12-27 model=gru +search.space.model.negatives=[64,256] '~search.space.train.batch_size'
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from omegaconf import OmegaConf
from optuna.study import MaxTrialsCallback, Study
from optuna.trial import FrozenTrial, TrialState

from conf.load import load
from conf.schema import ENCODERS, Config, Model, Train
from conf.search_space import Span, leaves
from jobs.command import InputError, configure
from jobs.files import put
from jobs.launch import RanksFailed
from jobs.launchers import run_until_done
from jobs.places import on_disk
from jobs.rank import Task
from jobs.train import attempt, in_spite_of, set_id_of, unlike_default
from models.example_set import ExampleSet, open_example_set
from models.label_metrics import LEAST_IS_BEST, choosing
from models.registry import Run, configuration_hash, connect

FOUND = "found"
"""A trial's attribute: what its best epoch came to, and its run."""
RUN = "run"
"""A study's attribute: the id of its MLflow run."""
BEAT = 20  # seconds between two signs of life of a trial; without one for twice that it is begun again
DONE = (TrialState.COMPLETE, TrialState.PRUNED)


def search(conf: Config, arguments: Sequence[str]) -> dict[str, Any]:
    """Makes the study whole; `arguments`: what `conf` was read from. Returns the best trial's metric and settings."""
    if conf.model.name not in ENCODERS:
        raise InputError(f"model is {conf.model.name}, which has nothing to search for: expected an encoder")
    conf = replace(conf, set_id=conf.set_id or set_id_of(conf))
    in_spite = in_spite_of(conf)
    examples = open_example_set(f"{conf.lake}/examples/{conf.set_id}")
    conf = named(conf, examples)
    study = opened(conf)
    registry = connect(conf.registry, conf.artifacts)
    params = {"search": {**asdict(conf.search), "storage": ""}, "examples": {"set_id": conf.set_id}}
    with registry.run(f"search {conf.model.name}", params, study.user_attrs.get(RUN)) as run:
        study.set_user_attr(RUN, run.id)
        if (left := conf.search.trials - len(study.get_trials(states=DONE))) > 0:
            print(f"search: {conf.search.study}, {left} of {conf.search.trials} trials to go", flush=True)
            objective = partial(tried, conf=conf, arguments=arguments, examples=examples, run=run)
            enough = MaxTrialsCallback(conf.search.trials, states=DONE)
            study.optimize(objective, callbacks=[enough, said])
        told = result(study, conf, examples)
        if told["trials"]["complete"]:
            keep(study, told, Path(conf.report), run)
    return shown(told) | in_spite


def metric_of(conf: Config) -> str:
    return choosing(conf.task.label.metrics) if conf.task.label else conf.promote.metric


def named(conf: Config, examples: ExampleSet) -> Config:
    """With the storage and the name of the study, which is another one for another question."""
    asked = conf.search
    lake = on_disk(conf.lake)
    if not asked.storage and lake is None:
        raise InputError(
            f"search.storage is missing: the lake {conf.lake} is no folder beside which a file could be"
        )
    what = {
        "model": unlike_default(conf.model, Model(name="")),
        "train": unlike_default(conf.train, Train()),
        "space": asked.space,
        "metric": metric_of(conf),
        "version": examples.version,
    }
    name = asked.study or f"{conf.set_id}-{conf.model.name}-{configuration_hash(what)}"
    storage = asked.storage or f"sqlite:///{lake}.studies.db"
    return replace(conf, search=replace(asked, storage=storage, study=name))


def opened(conf: Config) -> Study:
    """The study, made where it is not there. A trial whose process is gone is begun again, with the same settings."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    asked = conf.search
    if asked.storage.startswith("sqlite:///"):
        Path(asked.storage.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    again = optuna.storages.RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)
    return optuna.create_study(
        study_name=asked.study,
        storage=optuna.storages.RDBStorage(
            asked.storage, heartbeat_interval=BEAT, heartbeat_stale_trial_callback=again
        ),
        sampler=optuna.samplers.TPESampler(seed=asked.seed, n_startup_trials=asked.startup),
        pruner=optuna.pruners.MedianPruner(asked.startup, n_warmup_steps=asked.least_epochs),
        direction="minimize" if metric_of(conf) in LEAST_IS_BEST else "maximize",
        load_if_exists=True,
    )


def tried(
    trial: optuna.Trial, conf: Config, arguments: Sequence[str], examples: ExampleSet, run: Run
) -> float:
    """One training; the metric of its best epoch. Raises `TrialPruned` where it fell behind, or could not be."""
    values = {key: drawn(trial, key, of) for key, of in leaves(conf.search.space).items()}
    print(f"search: trial {trial.number}: {overrides(values)}", flush=True)
    try:
        mine = load([*arguments, *overrides(values).split()])
        mine = replace(mine, set_id=conf.set_id, search=conf.search)
        text = OmegaConf.to_yaml(OmegaConf.structured(mine))
        run_until_done(
            mine, Task("jobs.search_rank", [str(examples.version), str(trial._trial_id), run.id], text)
        )
    except (ValueError, RanksFailed) as error:  # heads that do not divide a width; no room in memory
        if isinstance(error, RanksFailed) and not error.is_said:
            raise
        trial.set_user_attr("refused", str(error).splitlines()[0])
        print(f"search: trial {trial.number} cannot be: {error}", flush=True)
        raise optuna.TrialPruned from None
    found = trial.study.get_trials(deepcopy=False)[trial.number].user_attrs[FOUND]
    if found["pruned"]:
        raise optuna.TrialPruned
    return found["value"]


def drawn(trial: optuna.Trial, key: str, of: list[Any] | Span) -> Any:
    if isinstance(of, list):
        return trial.suggest_categorical(key, of)
    if of.is_whole:
        return trial.suggest_int(key, int(of.low), int(of.high), step=int(of.step or 1), log=of.log)
    return trial.suggest_float(key, of.low, of.high, step=of.step, log=of.log)


def overrides(values: dict[str, Any]) -> str:
    """As on a command line; of a number so many digits that it is the same."""
    return " ".join(f"{key}={value!r}".replace("'", "") for key, value in values.items())


def said(study: Study, trial: FrozenTrial) -> None:
    """A line after each trial."""
    value = "" if trial.value is None else f" {trial.value:.4f}"
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    best = f", best so far {study.best_value:.4f} of trial {study.best_trial.number}" if complete else ""
    print(f"search: trial {trial.number} {trial.state.name.lower()}{value}{best}", flush=True)


def result(study: Study, conf: Config, examples: ExampleSet) -> dict[str, Any]:
    """What the study found, as search.json has it."""
    trials = study.get_trials(deepcopy=False)
    counts = {state.name.lower(): sum(t.state == state for t in trials) for state in TrialState}
    told: dict[str, Any] = {
        "study": study.study_name,
        "set_id": conf.set_id,
        "example_version": examples.version,
        "model": conf.model.name,
        "metric": metric_of(conf),
        "direction": study.direction.name.lower(),
        "trials": {name: count for name, count in counts.items() if count},
        "every_trial": [
            {
                "number": t.number,
                "state": t.state.name.lower(),
                "value": t.value,
                "params": t.params,
                **t.user_attrs,
            }
            for t in trials
        ],
    }
    told["trials"].setdefault("complete", 0)
    if told["trials"]["complete"]:
        best = study.best_trial
        told["best"] = {"number": best.number, "value": best.value, **best.user_attrs[FOUND]}
        told["overrides"] = overrides(best.params)
    return told


def keep(study: Study, told: dict[str, Any], report: Path, run: Run) -> None:
    """search.json and pictures, in `report` and with the study's run."""
    from models.study_pictures import pictures

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "search.json").write_text(json.dumps(told, indent=1, default=str) + "\n")
        pictures(study, told["metric"], Path(folder))
        run.log_artifacts(folder, "search")
        run.log_metrics({f"best/{told['metric']}": told["best"]["value"]})
        report.mkdir(parents=True, exist_ok=True)
        for path in Path(folder).iterdir():
            put(report / path.name, path.read_bytes())


def shown(told: dict[str, Any]) -> dict[str, Any]:
    """The job's last line."""
    counts = {name: count for name, count in told["trials"].items() if count or name == "complete"}
    if "best" not in told:
        return {"study": told["study"], **counts, "note": "no trial came to its end: see why above"}
    best = told["best"]
    return {
        "study": told["study"],
        **counts,
        "best": f"trial {best['number']}",
        told["metric"]: round(best["value"], 4),
        "epoch": best["epoch"],
        "with": told["overrides"],
    }


if __name__ == "__main__":
    conf = configure()
    attempt(partial(search, arguments=sys.argv[1:]), conf, "search")

"""Train a model on a public data set, and judge it as papers do: leave one out, the whole catalogue ranked.

Reads a file of `user item item …` lines, oldest first; writes one JSON object to `out`, whole or not at all, and prints it.
Of each user the last item is tested on, the one before validates: the epoch is chosen by that alone, and the test is read
once, at the end. With `refit` a model is trained anew for as many epochs, which learns what validated too: `test` is of it,
and `test_before_refit` of the one that has not. With `held_back=1` nothing reads a user's last item, and `test` is what
validates else, asked as the test is: behind an item that no model has learned. Settings can be compared by it.
Among equal scores a metric is its expectation over all their orders. Encoders train as in jobs/train.py, in this process;
killed and run again, it goes on from its last checkpoint, beside `out`: `resumed` says how often, and `seconds` and
`peak_gib` are those of the last process alone.

    python jobs/benchmark.py data=Beauty.txt model=bsarec seed=1 out=beauty-bsarec-1.json
    python jobs/benchmark.py data=carts.txt model=sasrec exclude_seen=false train.epochs=20 out=carts-sasrec.json
"""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

from conf.schema import CLASSICAL, ENCODERS, Config
from jobs.files import put_json
from jobs.job import InputError, configure, stop
from models.guard import KerasError, guard

LENGTH = 50  # items that a prediction looks back on, as in the papers


def benchmark(conf: Config) -> dict[str, Any]:
    """Trains and judges what `conf` says; the result."""
    from models.example_set import open_example_set
    from models.leave_one_out import read_sequences, write_examples
    from models.train import start

    began = time.monotonic()
    if conf.refit and conf.model.name not in ENCODERS:
        raise InputError(
            f"refit=true trains an encoder anew, got model={conf.model.name}: set refit=false, or an encoder as model"
        )
    if conf.robustness and conf.model.name in CLASSICAL:
        raise InputError(
            f"robustness=true asks a model of the histories it is given, got model={conf.model.name}, which is fitted on "
            "them: set robustness=false"
        )
    sequences = read_sequences(conf.data, conf.held_back)
    print(f"benchmark: {len(sequences.items):,} users, {len(sequences.ids):,} items", flush=True)
    start(conf.train.seed, conf.train.device)
    task = replace(conf.task, length=LENGTH + 1, positions=LENGTH + 1)
    with tempfile.TemporaryDirectory() as folder:
        if conf.model.name in CLASSICAL:
            found = classical(conf, sequences)
        else:
            prefixes = conf.model.targets == "last"
            seed = conf.train.seed if conf.robustness else None
            made = partial(write_examples, sequences=sequences, length=task.length, prefixes=prefixes)
            conf = replace(conf, task=task)
            examples = open_example_set(
                made(Path(folder, "set"), exclude_seen=conf.exclude_seen, worse_seed=seed)
            )
            if conf.model.name not in ENCODERS:
                found = baseline(conf, examples, sequences)
            elif conf.refit:
                more = made(Path(folder, "refit"), exclude_seen=conf.exclude_seen, worse_seed=seed, until=-1)
                found = refitted(conf, examples, open_example_set(more), sequences)
            else:
                found = encoder(conf, examples, sequences)
    return {
        "data": Path(conf.data).name,
        "model": conf.model.name,
        "seed": conf.train.seed,
        "exclude_seen": conf.exclude_seen,
        "refit": conf.refit,
        "held_back": conf.held_back,
        "users": len(sequences.items),
        "items": len(sequences.ids),
        "interactions": sum(map(len, sequences.items)),
        **found,
        "seconds": round(time.monotonic() - began, 1),
        "peak_gib": round(getrusage(RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "configuration": {"model": asdict(conf.model), "train": told(conf)},
    }


def encoder(conf: Config, examples: Any, sequences: Any) -> dict[str, Any]:
    model, outcome, checkpoints = trained(conf, examples, conf.promote.metric)
    found = tested(conf, model, examples, outcome, sequences)
    checkpoints.clear()
    return found


def refitted(conf: Config, examples: Any, more: Any, sequences: Any) -> dict[str, Any]:
    """Trained on `examples` to find the epoch, and then anew on `more`, so many epochs; the second one is tested."""
    from models.leave_one_out import TEST

    first, outcome, checkpoints = trained(conf, examples, conf.promote.metric)
    before = rounded(score_of(conf, first, examples)(split=TEST))
    epochs = outcome.best.number
    again = replace(conf, train=replace(conf.train, epochs=epochs, patience=epochs))
    model, _, checkpoints_again = trained(
        again, more, "ended_at", judge=lambda report: {"ended_at": time.time()}
    )
    found = tested(conf, model, more, outcome, sequences)
    for each in (checkpoints, checkpoints_again):
        each.clear()
    return found | {"test_before_refit": before}


def trained(conf: Config, examples: Any, metric: str, judge: Any = None) -> tuple[Any, Any, Any]:
    """The model with the weights of its best epoch, how it came about, and its checkpoints."""
    from jobs.progress import Progress
    from models.checkpoints import Checkpoints
    from models.example_set import TRAIN
    from models.train import train
    from models.trained import Ranking

    model = Ranking(conf, conf.task, examples).model
    progress = Progress(conf.train.epochs, sum(file.rows for file in examples.files(TRAIN)), 1)
    place = checkpoints_of(conf).with_suffix(f".{metric.partition('@')[0]}.checkpoints")
    checkpoints = Checkpoints(place, conf.train.checkpoint_steps)
    outcome = train(model, examples, conf.train, metric, progress, checkpoints=checkpoints, judge=judge)
    return model, outcome, checkpoints


def score_of(conf: Config, model: Any, examples: Any) -> Callable[..., dict[str, float]]:
    """What the model comes to on a `split` of the examples."""
    import tensorflow as tf

    from models.train import validate

    return partial(
        validate, tf.function(model.score, autograph=False), examples, by_length=conf.train.by_length
    )


def tested(conf: Config, model: Any, examples: Any, outcome: Any, sequences: Any) -> dict[str, Any]:
    """What is told of a model whose epoch the validation of `outcome` has chosen; reads the test."""
    from models.export_costs import export_costs
    from models.leave_one_out import TEST

    score = score_of(conf, model, examples)
    return {
        "parameters": sum(variable.shape.num_elements() for variable in model.trainable_variables),
        "epochs": len(outcome.epochs),
        "best_epoch": outcome.best.number,
        "resumed": outcome.resumed,
        "epoch_seconds": round(sum(e.training_seconds for e in outcome.epochs) / len(outcome.epochs), 1),
        "valid": rounded(outcome.best.metrics),
        "test": rounded(score(split=TEST)),
        "lists": lists_of(model.score, examples, sequences),
        **robustness(score, examples),
        "exports": export_costs(model, examples, TEST),
    }


def lists_of(score: Callable[..., Any], examples: Any, sequences: Any) -> dict[str, float]:
    """What kind of lists a ranker shows when it is tested."""
    import tensorflow as tf

    from models.leave_one_out import TEST
    from models.lists_shown import kinds_of, lists_of_split

    lists, targets = lists_of_split(tf.function(score, autograph=False), examples, TEST)
    return kinds_of(lists, targets, sequences.had(-2))


def baseline(conf: Config, examples: Any, sequences: Any) -> dict[str, Any]:
    import tensorflow as tf

    from jobs.train import baseline_of
    from models.example_set import VALIDATION
    from models.leave_one_out import TEST
    from models.train import validate

    fitted = baseline_of(conf.model, examples)("validation_sessions")
    score = partial(validate, tf.function(fitted.score, autograph=False), examples)
    valid, test = (rounded(score(split=split)) for split in (VALIDATION, TEST))
    found = {"parameters": 0, "epochs": 0, "valid": valid, "test": test}
    return found | {"lists": lists_of(fitted.score, examples, sequences)} | robustness(score, examples)


def robustness(score: Callable[..., dict[str, float]], examples: Any) -> dict[str, Any]:
    """NDCG@10 of the test with worse histories: way -> rate -> value; nothing where there are no such splits."""
    from models.leave_one_out import worse_split
    from models.robustness import RATES, WAYS

    if worse_split(next(iter(WAYS)), RATES[0]) not in examples.splits:
        return {}
    found = {
        way: {str(rate): round(score(split=worse_split(way, rate))["ndcg@10"], 6) for rate in RATES}
        for way in WAYS
    }
    return {"robustness": found}


def classical(conf: Config, sequences: Any) -> dict[str, Any]:
    """Fitted anew for the test, with the items that validated: what an encoder's histories have then, too."""
    import numpy as np

    from models.classical import fit
    from models.indices import FIRST_ITEM
    from models.leave_one_out import judged
    from models.lists_shown import best, kinds_of

    model, items = conf.model, len(sequences.ids)
    lists: list[np.ndarray] = []

    def found(at: int, looked_at: Any) -> dict[str, float]:
        histories = sequences.before(at)
        scores = fit(
            model.name,
            histories,
            items,
            neighbours=model.neighbours,
            regularization=model.regularization,
            factors=model.width,
            seed=conf.train.seed,
        )
        targets = sequences.last(at)
        return rounded(judged(scores, histories, targets, items, conf.exclude_seen, looked_at))

    valid = found(-2, lambda scores, candidates: None)
    test = found(-1, lambda scores, candidates: lists.append(best(scores, candidates)))
    wanted = (sequences.last(-1) + FIRST_ITEM)[:, None]
    kinds = kinds_of(np.concatenate(lists), wanted, sequences.had(-2))
    return {"parameters": 0, "epochs": 0, "valid": valid, "test": test, "lists": kinds}


def rounded(metrics: Any) -> dict[str, float]:
    """One target a user: recall is the hit rate, and left out."""
    return {name: round(value, 6) for name, value in metrics.items() if not name.startswith("recall")}


def told(conf: Config) -> dict[str, Any]:
    """The settings of a training that decide what comes of it."""
    from jobs.train import KEEPING, LAUNCHING

    return {name: value for name, value in asdict(conf.train).items() if name not in KEEPING + LAUNCHING}


def checkpoints_of(conf: Config) -> Path:
    """Beside `out`, another folder for another data set or other settings."""
    what = [
        Path(conf.data).read_bytes(),
        json.dumps(
            [asdict(conf.model), told(conf), conf.exclude_seen, conf.held_back, conf.promote.metric]
        ).encode(),
    ]
    name = hashlib.sha256(b"\n".join(what)).hexdigest()[:12]
    return Path(f"{conf.out}.{name}.checkpoints").absolute()


def main() -> None:
    conf = configure(("data", "out"), groups={"train": "benchmark", "model": "bsarec"})
    if conf.seed is not None:
        conf = replace(conf, train=replace(conf.train, seed=conf.seed))
    try:
        guard()  # before anything is imported that needs Keras
    except KerasError as error:
        stop(str(error))
    from models.content import ContentError
    from models.example_set import ExampleSetError
    from models.leave_one_out import SequenceError
    from models.train import TrainingError

    try:
        result = benchmark(conf)
    except (ContentError, ExampleSetError, InputError, SequenceError, TrainingError) as error:
        stop(str(error))
    put_json(Path(conf.out), result)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()

"""Prints what jobs/benchmark.py found as Markdown: a row a model, means over seeds, with what each cost.

python -m tools.benchmark_table [FOLDER]     of docs/results, unless told otherwise
python -m tools.benchmark_table --write      puts it into docs/benchmarks-models.md, between its two marks, and what is
                                             shorter into README.md
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

from conf.load import load
from tools.result_table import between_marks, markdown

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "benchmarks-models.md"
MARKS = ("<!-- results: python -m tools.benchmark_table --write -->", "<!-- end of results -->")
METRICS = {
    "hr@5": "HR@5",
    "ndcg@5": "NDCG@5",
    "hr@10": "HR@10",
    "ndcg@10": "NDCG@10",
    "hr@20": "HR@20",
    "ndcg@20": "NDCG@20",
}
README_MARKS = ("<!-- costs: python -m tools.benchmark_table --write -->", "<!-- end of costs -->")
COSTS = ("parameters", "s an epoch", "epochs", "GiB at most")


def main(arguments: list[str]) -> None:
    folder = Path(next((each for each in arguments if each != "--write"), ROOT / "docs" / "results"))
    read = (json.loads(path.read_text()) for path in sorted(folder.glob("*.json")))
    results = [each for result in read for each in lines_of(result)]
    if not results:
        raise SystemExit(
            f"{folder} has no results: run jobs/benchmark.py with out={folder}/DATA-MODEL-SEED.json"
        )
    tables = [of_data(data, results) for data in sorted({result["data"] for result in results})]
    text = "\n\n".join(
        filter(None, [*tables, commands(results), of_lists(results), robust(results), smaller(results)])
    )
    if "--write" in arguments:
        PAGE.write_text(between_marks(PAGE.read_text(), text, MARKS))
        README.write_text(between_marks(README.read_text(), in_short(results), README_MARKS))
    else:
        print(text)


def lines_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    """A result, and where a model was trained anew with what validated the one before it, which had not learned that."""
    if "test_before_refit" not in result:
        return [result]
    before = {name: value for name, value in result.items() if name not in ("exports", "robustness")}
    return [before | {"test": result["test_before_refit"], "refit": False}, result]


def in_short(results: Sequence[Mapping[str, Any]]) -> str:
    """Of each model what it is worth and what it costs, in one table: by data, the best last."""
    lines = [["data", "model", "HR@10", "NDCG@10", *COSTS], ["---", "---", *["--:"] * (2 + len(COSTS))]]
    for data, name, runs in of_seeds(results):
        values = [spread(runs, metric) for metric in ("hr@10", "ndcg@10")]
        lines.append([data, f"`{name}`", *values, *costs(runs)])
    return markdown(lines)


def of_data(data: str, results: Iterable[Mapping[str, Any]]) -> str:
    """The models on one file, the best in NDCG@10 last."""
    ordered = by_model(data, results)
    first = ordered[0][1][0]
    lines = [
        ["model", "seeds", *METRICS.values(), *COSTS],
        ["---", *["--:"] * (1 + len(METRICS) + len(COSTS))],
    ]
    lines += [
        [f"`{name}`", str(len(runs)), *(spread(runs, m) for m in METRICS), *costs(runs)]
        for name, runs in ordered
    ]
    head = (
        f"**{data.removesuffix('.txt')}**: {first['users']:,} users, {first['items']:,} items, "
        f"{first['interactions']:,} interactions; the test, read once."
    )
    return f"{head}\n\n" + markdown(lines)


def by_model(data: str, results: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """The results on one file by the model's name, the best in NDCG@10 last."""
    models: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        if result["data"] == data:
            models.setdefault(named(result), []).append(result)
    for name, runs in models.items():
        if len(recipes := {arguments(run) for run in runs}) > 1:
            raise SystemExit(
                f"{data}, {name}: results of several recipes ({'; '.join(recipes)}), expected seeds of one"
            )
    return sorted(models.items(), key=lambda item: mean_of(item[1], "ndcg@10"))


def named(result: Mapping[str, Any]) -> str:
    """The model, and what of it another recipe has otherwise."""
    model = result.get("configuration", {}).get("model", {})
    members = model.get("members", 1)
    recipe = (
        f"{members} members" if members > 1 else "",
        "prefixes as rows" if model.get("targets") == "last" else "",
        f"{model['dropout_events']:.0%} of events left out" if model.get("dropout_events") else "",
        "a linear model beside" if model.get("linear") else "",
        "asked without the newest item, too" if model.get("earlier_share") else "",
        f"temperature {model['temperature']}" if model.get("temperature") else "",
        "what validated learned too" if result.get("refit") else "",
        f"{result['held_back']} held back" if result.get("held_back") else "",
    )
    return ", ".join(filter(None, (str(result["model"]), *recipe)))


def arguments(result: Mapping[str, Any]) -> str:
    """What jobs/benchmark.py was told beside the data and the seed."""
    usual = usual_of(str(result["model"]))
    own = {"exclude_seen": "true", "refit": "false", "held_back": "0"}
    told = [f"model={result['model']}"]
    told += [
        f"{group}.{key}={as_word(value)}"
        for group, settings in result.get("configuration", {}).items()
        for key, value in settings.items()
        if key != "seed" and key in usual[group] and usual[group][key] != value
    ]
    asked = [(name, as_word(result.get(name, default))) for name, default in own.items()]
    return " ".join([*told, *(f"{name}={value}" for name, value in asked if value != own[name])])


@cache
def usual_of(model: str) -> dict[str, Any]:
    """The configuration of a benchmark that is told the model's name alone."""
    return asdict(load([f"model={model}", "train=benchmark"]))


def as_word(value: Any) -> str:
    """As Hydra reads it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def commands(results: Sequence[Mapping[str, Any]]) -> str:
    """The arguments by which each row was made."""
    lines = [["data", "model", "arguments"], ["---", "---", "---"]]
    lines += [[data, f"`{name}`", f"`{arguments(runs[0])}`"] for data, name, runs in of_seeds(results)]
    return (
        "What jobs/benchmark.py was told of each, beside `data`, `seed` and `out`; a training ends at `train.epochs`, or\n"
        "where `train.patience` epochs were no better\n\n" + markdown(lines)
    )


def of_lists(results: Sequence[Mapping[str, Any]]) -> str:
    """What kind of lists models show when they are tested, of the results that say so; "": of none."""
    told = [result for result in results if "lists" in result]
    if not told:
        return ""
    names = list(told[0]["lists"])
    lines = [["data", "model", "seeds", *names], ["---", "---", *["--:"] * (1 + len(names))]]
    lines += [
        [
            data,
            f"`{name}`",
            str(len(runs)),
            *(f"{mean(run['lists'][each] for run in runs):.4g}" for each in names),
        ]
        for data, name, runs in of_seeds(told)
    ]
    return "What kind of lists they show ([the metrics](metrics.md#lists-listspy))\n\n" + markdown(lines)


def robust(results: Sequence[Mapping[str, Any]]) -> str:
    """How much of the test's NDCG@10 is left as histories are worse, of the results that were asked for it; "": of none."""
    asked = [result for result in results if "robustness" in result]
    if not asked:
        return ""
    rates = list(next(iter(asked[0]["robustness"].values())))
    head = ["data", "model", "seeds", "items of a history are", *(f"{float(rate):.0%}" for rate in rates)]
    lines = [head, ["---", "---", "--:", "---", *["--:"] * len(rates)]]
    for data, name, runs in of_seeds(asked):
        for way in runs[0]["robustness"]:
            left = [
                mean(run["robustness"][way][rate] / run["test"]["ndcg@10"] for run in runs) for rate in rates
            ]
            lines.append([data, f"`{name}`", str(len(runs)), way, *(f"{share:.1%}" for share in left)])
    return "Of the test's NDCG@10 is left where so many\n\n" + markdown(lines)


def smaller(results: Sequence[Mapping[str, Any]]) -> str:
    """Size, time and quality of exports by the bits of their item vectors, of the results that have them; "": of none."""
    lines = [
        [
            "data",
            "model",
            "seeds",
            "item vectors",
            "MB",
            "of weights",
            "ms an answer",
            "NDCG@10",
            "of `float32`",
        ],
        ["---", "---", "--:", "---", *["--:"] * 5],
    ]
    for data, name, runs in of_seeds([result for result in results if "exports" in result]):
        whole = mean(run["exports"]["float32"]["ndcg@10"] for run in runs)
        for kind in runs[0]["exports"]:
            of_kind = [run["exports"][kind] for run in runs]
            middle, low, high = zip(*(each["milliseconds"] for each in of_kind), strict=True)
            ndcg = mean(each["ndcg@10"] for each in of_kind)
            lines.append(
                [
                    data,
                    f"`{name}`",
                    str(len(runs)),
                    f"`{kind}`",
                    *(f"{mean(each[size] for each in of_kind):.1f}" for size in ("megabytes", "of_weights")),
                    f"{mean(middle):.1f} ({min(low):.1f} to {max(high):.1f})",
                    f"{ndcg:.4f}".lstrip("0"),
                    f"{ndcg / whole - 1:+.2%}",
                ]
            )
    if len(lines) == 2:
        return ""
    return (
        "Exports (`train.item_vectors`); an answer is the 10 best items of one user, by TensorFlow\n\n"
        + markdown(lines)
    )


def of_seeds(results: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, list[Mapping[str, Any]]]]:
    """The data, the model and the results of all its seeds."""
    for data in sorted({result["data"] for result in results}):
        for name, runs in by_model(data, results):
            yield data.removesuffix(".txt"), name, runs


def mean_of(runs: Sequence[Mapping[str, Any]], metric: str) -> float:
    return mean(run["test"][metric] for run in runs)


def spread(runs: Sequence[Mapping[str, Any]], metric: str) -> str:
    """`.0589`, and of several seeds `.0589 (.0581 to .0596)`: the mean, the least and the most."""
    values = [run["test"][metric] for run in runs]
    shown = [f"{value:.4f}".lstrip("0") for value in (mean(values), min(values), max(values))]
    return shown[0] if len(runs) == 1 else f"{shown[0]} ({shown[1]} to {shown[2]})"


def costs(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Means; `best epoch of all`."""
    known = [run.get("peak_gib") for run in runs if run.get("peak_gib") is not None]
    trained = all(run["epochs"] for run in runs)
    return [
        f"{runs[0]['parameters']:,}",
        f"{mean(run['epoch_seconds'] for run in runs):.0f}" if trained else "",
        f"{mean(run['best_epoch'] for run in runs):.0f} of {mean(run['epochs'] for run in runs):.0f}"
        if trained
        else "",
        f"{max(known):.1f}" if known else "",
    ]


if __name__ == "__main__":
    main(sys.argv[1:])

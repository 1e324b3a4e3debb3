"""Prints what a demo measured as Markdown: models against baselines, the machine, the seconds of each step.

python -m tools.result_table [facts.json summary.json]     of var/demo, unless told otherwise
python -m tools.result_table --write                       puts it into README.md, between its two marks
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reports.page import PARTS, PLAIN

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
MARKS = ("<!-- results: python -m tools.result_table --write -->", "<!-- end of results -->")
METRICS = ("recall@10", "ndcg@10", "hr@10", "mrr@10")
NAMES = {"recall": "recall", "ndcg": "NDCG", "hr": "HR", "mrr": "MRR"}


def main(arguments: list[str]) -> None:
    files = [name for name in arguments if name != "--write"] or [
        "var/demo/facts.json",
        "var/demo/summary.json",
    ]
    facts, summary = (json.loads(Path(name).read_text()) for name in files)
    text = "\n\n".join([judged(facts), *apart(facts), timed(facts, summary)])
    if "--write" in arguments:
        README.write_text(between_marks(README.read_text(), text, MARKS))
    else:
        print(text)


def judged(facts: Mapping[str, Any], decisive: str = "ndcg@10") -> str:
    """The first test question: a row a model, the best value of each metric in bold."""
    question = next(each for each in facts["metrics"] if each["question"] == "test")
    means = {m["model"]: [m["values"][name]["mean"] for name in METRICS] for m in question["models"]}
    best = [max(column) for column in zip(*means.values(), strict=True)]
    head = ["model", *map(title, METRICS), f"{title(decisive)} less the best baseline's"]
    lines = [head, ["---", *["--:"] * (len(head) - 1)]]
    for model in question["models"]:
        cells = [
            f"**{mean:.4f}**" if mean == most else f"{mean:.4f}"
            for mean, most in zip(means[model["model"]], best, strict=True)
        ]
        lines.append([f"`{model['model']}`", *cells, against(model, decisive)])
    asked = (
        f"Means over the {question['users']:,} users with a next session in [{question['as_of'][:10]}, "
        f"{question['until'][:10]}); in brackets the 95% interval, by a paired bootstrap over users."
    )
    return markdown(lines) + f"\n\n{asked}"


def apart(facts: Mapping[str, Any], metrics: Sequence[str] = PLAIN) -> Iterator[str]:
    """The best encoder of the first test question less each baseline; nothing of a release that did not keep these."""
    question = next(each for each in facts["metrics"] if each["question"] == "test")
    encoders = [model for model in question["models"] if model.get("against")]
    if not encoders:
        return
    best = max(encoders, key=lambda model: model["values"][metrics[0]]["mean"])
    columns = [(title(metric), metric) for metric in metrics]
    columns += [
        (f"{title(metric)}, {of}", f"{metric}/{part}") for part, of in PARTS.items() for metric in metrics
    ]
    lines = [[f"`{best['model']}` less", *(name for name, _ in columns)], ["---", *["--:"] * len(columns)]]
    for rival, differences in best["against"].items():
        name = rival.rpartition(" v")[0]
        lines.append([f"`{name}`", *(between(differences.get(metric)) for _, metric in columns)])
    yield markdown(lines)


def timed(facts: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """The machine and how long the demo took on it, step by step; nights alike are one entry."""
    machine = facts["hardware"]
    seconds = {
        key.removeprefix("seconds."): value for key, value in summary.items() if key.startswith("seconds.")
    }
    nights = [value for step, value in seconds.items() if step.startswith("night_")]
    parts = [
        f"{step.replace('_', ' ')} {value:.0f} s" for step, value in seconds.items() if step[:6] != "night_"
    ]
    if nights:
        parts.append(f"{len(nights)} nights {min(nights):.0f} to {max(nights):.0f} s each")
    minutes, rest = divmod(round(sum(seconds.values())), 60)
    where = f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_gb']} GB"
    return f"On {where}, the demo took {minutes} min {rest} s: {', '.join(parts)}."


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table, its head and the line under it included."""
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def between_marks(page: str, text: str, marks: tuple[str, str]) -> str:
    """The page with `text` in place of what stands between two lines."""
    before, _, rest = page.partition(marks[0])
    _, found, after = rest.partition(marks[1])
    if not found:
        raise SystemExit(f"the page has no line {marks[0]} with {marks[1]} after it")
    return f"{before}{marks[0]}\n{text}\n{marks[1]}{after}"


def title(metric: str) -> str:
    name, k = metric.split("@")
    return f"{NAMES[name]}@{k}"


def against(model: Mapping[str, Any], metric: str) -> str:
    """The paired difference with its interval; of an encoder alone."""
    return between(model.get("against_best_baseline", {}).get(metric))


def between(found: Mapping[str, float] | None) -> str:
    return f"{found['difference']:+.4f} ({found['low']:+.4f} to {found['high']:+.4f})" if found else ""


if __name__ == "__main__":
    main(sys.argv[1:])

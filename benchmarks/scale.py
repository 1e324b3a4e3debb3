"""What a shop of any size needs for a night and a training, from what one event, user and row cost: `make scale`.

Writes docs/scale.md. Each number on it is a measured constant (benchmarks/scale.json, which
`python -m benchmarks.scale_measured` writes), an assumption that stands below, or computed from these.

    python -m benchmarks.scale
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from conf.load import load

ROOT = Path(__file__).resolve().parents[1]
PAGE, FACTS = ROOT / "docs/scale.md", ROOT / "benchmarks/scale.json"
HOUR = 3600


@dataclass(frozen=True)
class Shop:
    name: str
    users: float
    events_a_day: float
    items: float


SHOPS = (Shop("large", 10e6, 100e6, 1e6), Shop("a hundred times that", 1e9, 10e9, 10e6))


class Assumed(NamedTuple):
    value: float
    unit: str
    meaning: str


ASSUMED = {
    "window_hours": Assumed(6, "hours", "that a night may take, and a training"),
    "kept_days": Assumed(365, "days", "of events and sessions that the lake keeps"),
    "executors": Assumed(32, "executors", "of the fleet whose limits are looked at"),
    "cores": Assumed(8, "cores", "of an executor, each as fast as the measured one"),
    "cores_used": Assumed(
        0.7, "share", "of the cores' time in which they work on the job, not wait or collect garbage"
    ),
    "task_gb": Assumed(4, "GB", "of memory that a task may fill; one task is taken to write a bucket"),
    "gpus": Assumed(8, "GPUs", "of the fleet whose limits are looked at, a rank each"),
    "gpu_factor": Assumed(
        50, "cores", "that a GPU is worth in training and scoring: no GPU has been measured"
    ),
    "gpu_gb": Assumed(80, "GB", "of memory of a GPU"),
    "ranks_efficiency": Assumed(
        0.9, "share", "of the ranks' sum that many ranks reach: two at most have been measured"
    ),
    "network": Assumed(
        3.1, "GB/s", "of each executor and each GPU's host, of 25 Gbit/s; half of it for storage's reads"
    ),
    "epochs": Assumed(3, "epochs", "of a training, of one example a user"),
}
COPIES = 4  # of the item vectors on a rank: weights, gradient and Adam's two moments
NUMBER = 4  # bytes


class Limit(NamedTuple):
    """One part of the fleet: what is needed, by what there is."""

    part: str
    need: float
    limit: float
    unit: str
    change: str

    @property
    def share(self) -> float:
        return self.need / self.limit


def main() -> None:
    PAGE.write_text(page())
    print(PAGE.relative_to(ROOT))


def needs(shop: Shop, constants: Mapping[str, float]) -> dict[str, float]:
    """Core seconds, bytes and GPU seconds of a night and a training of `shop`."""
    conf, c, a = load(["model=sasrec"]), constants, {name: each.value for name, each in ASSUMED.items()}
    kept = min(conf.features.max_length, a["kept_days"] * shop.events_a_day / shop.users)  # events a sequence
    fuller = kept / c["events_a_sequence"]  # how much longer a sequence is than a measured one
    sequences = shop.users * c["sequences_bytes_a_row"] * fuller
    longer = conf.task.length / c["train_length"]  # an example than a measured one
    score = shop.users * (c["score_cpu_a_user"] * longer + shop.items * c["score_cpu_a_user_and_item"])
    ranks = a["gpus"]
    steps = a["epochs"] * shop.users / (ranks * conf.train.batch_size)
    vectors = shop.items * conf.model.width * NUMBER
    return {
        "kept": kept,
        "raw": shop.events_a_day * c["raw_bytes_an_event"],
        "ingest": shop.events_a_day * c["ingest_cpu_an_event"],
        "sessionize": shop.events_a_day * c["sessionize_cpu_an_event"],
        "sequence": shop.users * kept * c["sequence_cpu_a_kept_event"],
        "score": score,
        "score_gpu": score / a["gpu_factor"],
        "events": a["kept_days"] * shop.events_a_day * c["events_bytes_a_row"],
        "sessions": a["kept_days"] * shop.events_a_day / c["events_a_session"] * c["sessions_bytes_a_row"],
        "sequences": sequences,
        "users": shop.users * c["users_bytes_a_row"],
        "items": shop.items * c["items_bytes_a_row"],
        "predictions": a["kept_days"] * shop.users * c["predictions_bytes_a_row"],
        "examples": shop.users * conf.task.length * 3 * NUMBER,
        "shuffle": shop.events_a_day * c["shuffle_bytes_an_event"],
        "steps": steps,
        "vectors": vectors,
        "train": a["epochs"] * shop.users * c["train_cpu_a_row"] * longer,
        "allreduce": steps * 2 * vectors * (ranks - 1) / ranks / (a["network"] * 1e9),
    }


def limits(shop: Shop, need: Mapping[str, float]) -> list[Limit]:
    """The parts of the fleet, the one that breaks first at the head."""
    conf, a = load(["model=sasrec"]), {name: each.value for name, each in ASSUMED.items()}
    window, network = a["window_hours"], a["network"] * 1e9
    cores = a["executors"] * a["cores"] * a["cores_used"]
    night = (need["ingest"] + need["sessionize"] + need["sequence"]) / cores / HOUR
    compute = need["train"] / a["gpu_factor"] / a["gpus"] / a["ranks_efficiency"] / HOUR
    rewritten = 2 * need["sequences"] / (a["executors"] * network / 2) / HOUR
    bucket = need["sequences"] / conf.features.user_buckets / 1e9
    partition = need["shuffle"] / conf.spark.shuffle_partitions / 1e9
    parts = [
        Limit(
            "cores of the night",
            night,
            window,
            "hours",
            "more executors, and `spark.shuffle_partitions` with them",
        ),
        Limit(
            "`sequences` read and written whole", rewritten, window, "hours", "`features.max_length` shorter"
        ),
        Limit(
            "a bucket of `sequences`, in a task", bucket, a["task_gb"], "GB", "`features.user_buckets` higher"
        ),
        Limit(
            "a partition of the shuffle, in a task",
            partition,
            a["task_gb"],
            "GB",
            "`spark.shuffle_partitions` higher",
        ),
        Limit(
            "scores of all users by the GPUs",
            need["score_gpu"] / a["gpus"] / HOUR,
            window,
            "hours",
            "more GPUs: no key makes it less",
        ),
        Limit(
            "training, the work of the GPUs",
            compute,
            window,
            "hours",
            "more `train.ranks`, or `task.length` shorter",
        ),
        Limit(
            "training, gradients of the item vectors between ranks",
            need["allreduce"] / HOUR,
            window,
            "hours",
            "`train.batch_size` larger, for fewer steps, or `model.width` smaller",
        ),
        Limit(
            "item vectors, gradient and moments on a rank",
            COPIES * need["vectors"] / 1e9,
            a["gpu_gb"],
            "GB",
            "`model.width` smaller",
        ),
    ]
    return sorted(parts, key=lambda part: -part.share)


def page() -> str:
    facts = json.loads(FACTS.read_text())
    constants = {name: each["value"] for name, each in facts["constants"].items()}
    wanted = [needs(shop, constants) for shop in SHOPS]
    machine = facts["machine"]
    return (
        "\n\n".join(
            [
                "# Scale",
                "<!-- Made by `make scale` from benchmarks/scale.py and benchmarks/scale.json: change it there. -->",
                "What a shop of 10 million users and 100 million events a day needs, and one a hundred times as "
                "large. Nothing of that size has been run: each number is a measured constant, an assumption, or "
                "computed from these two.",
                "## Constants",
                f"Measured on {machine['cores']} cores ({machine['processor']}), {machine['memory_gb']} GB, beside other "
                "work; CPU seconds of one core, what a step costs whatever it reads included. "
                "`python -m benchmarks.scale_measured` measures them anew.",
                table(
                    ("constant", "value", "unit", "command"),
                    [constant(*each) for each in facts["constants"].items()],
                ),
                "## Assumptions",
                table(
                    ("assumption", "value", "unit", "meaning"),
                    [(f"`{name}`", short(a.value), a.unit, a.meaning) for name, a in ASSUMED.items()],
                ),
                "## What is needed",
                table(("", *(shop.name for shop in SHOPS)), [*rows_of(wanted)]),
                "Cores, executors and GPUs are those that do it within the window. The night's hours are computed from "
                "what each event of the night costs and from what each user costs whose sequence is written: all of "
                "them. An encoder's work is taken to grow with the length of an example.",
                *(chapter(shop, need) for shop, need in zip(SHOPS, wanted, strict=True)),
            ]
        )
        + "\n"
    )


def rows_of(wanted: list[dict[str, float]]) -> list[tuple[str, ...]]:
    a = {name: each.value for name, each in ASSUMED.items()}
    window = a["window_hours"] * HOUR

    def row(name: str, values: list[float], unit: str) -> tuple[str, ...]:
        return (name, *(f"{short(value)} {unit}" for value in values))

    night = [each["ingest"] + each["sessionize"] + each["sequence"] for each in wanted]
    storage = ("events", "sessions", "sequences", "users", "items", "predictions", "examples")
    gpus = [each["train"] / a["gpu_factor"] / a["ranks_efficiency"] / window for each in wanted]
    executors = [up(each / window / a["cores"] / a["cores_used"]) for each in night]
    moved = [(each["raw"] + each["shuffle"] + 2 * each["sequences"]) / window for each in wanted]
    return [
        row("users", [shop.users for shop in SHOPS], ""),
        row("events a day", [shop.events_a_day for shop in SHOPS], ""),
        row("items (assumed)", [shop.items for shop in SHOPS], ""),
        row("raw logs a day, compressed", [each["raw"] / 1e9 for each in wanted], "GB"),
        *(row(f"storage, `{name}`", [each[name] / 1e12 for each in wanted], "TB") for name in storage),
        row("storage in all", [sum(each[name] for name in storage) / 1e12 for each in wanted], "TB"),
        *(
            row(f"night, `{step}`", [each[step] / HOUR for each in wanted], "core hours")
            for step in ("ingest", "sessionize", "sequence")
        ),
        row("night, executors", executors, ""),
        row(
            "night, hours on the fleet",
            [each / HOUR / (a["executors"] * a["cores"] * a["cores_used"]) for each in night],
            "hours",
        ),
        row("night, network over all executors", [each / 1e9 for each in moved], "GB/s"),
        row("scores, every user and item", [each["score"] / HOUR for each in wanted], "core hours"),
        row("scores, GPUs", [up(each["score_gpu"] / window) for each in wanted], ""),
        row("training", [each["train"] / HOUR for each in wanted], "core hours"),
        row("training, GPUs by work alone", [up(each) for each in gpus], ""),
        row("training, gradients of a step on a rank", [2 * each["vectors"] / 1e9 for each in wanted], "GB"),
    ]


def chapter(shop: Shop, need: Mapping[str, float]) -> str:
    parts = limits(shop, need)
    rows = [
        (
            p.part,
            f"{short(p.need)} {p.unit}",
            f"{short(p.limit)} {p.unit}",
            f"{short(p.share)}×",
            p.change if p.share > 1 else "",
        )
        for p in parts
    ]
    broken = sum(part.share > 1 for part in parts)
    said = (
        f"What breaks first: {parts[0].part}."
        if broken
        else f"Nothing breaks; nearest to it: {parts[0].part}."
    )
    return "\n\n".join(
        [
            f"## {shop.name.capitalize()}: what breaks first",
            f"{said} Of the assumed fleet and the configuration's defaults, {broken} of {len(parts)} parts do not hold.",
            table(("part", "need", "limit", "need by limit", "what changes then"), rows),
        ]
    )


def constant(name: str, fact: Mapping[str, Any]) -> tuple[str, ...]:
    return f"`{name}`", short(fact["value"]), fact["unit"], f"`{fact['command']}`"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.strip() for cell in line) + " |" for line in lines)


def short(value: float) -> str:
    """Three digits."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:.10f}".rstrip("0").rstrip(".")


def up(value: float) -> float:
    return float(-(-value // 1))


if __name__ == "__main__":
    main()

"""Items that no training saw, by the text of the catalogue: `make bench-new-items`.

On the lake that `make demo` leaves. A Transformer learns what was bought before November, with vectors of the items' text
behind a gate (`model.content`) and without. Asked are then the households who buy items first sold in the four weeks from a
cut: where do these stand among all items first sold then, as of the cut? November chooses the share of items that a step
knows by their text alone, December is the test, read once. Beside it what else could be said of a new item:

    category_popularity   sessions with its category
    own_categories        the household's own sessions with its category, of half the weight every 120 days; then the former
    text_neighbours       the cosine of its text and the mean text of what the household bought, weighed likewise
    category_mean         the model without text, to which it is the mean of its category's items

    python -m benchmarks.new_items [LAKE [VECTORS]]
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from rich.console import Console
from rich.table import Table

from conf.load import load
from features.kernels import model_input
from jobs.files import put_json
from jobs.progress import Progress
from models.content import Content, read_content
from models.example_set import TRAIN, ExampleSet, open_example_set
from models.export import export
from models.histories import together
from models.metrics import facts, mean_and_interval, per_user
from models.next_item import NextItemModel
from models.scoring import load as loaded_from
from models.scoring import on_shelf, read, scores_of
from models.shelf import EMPTY, Shelf
from models.train import start, train

LAKE, VECTORS = "var/demo/lake", "var/demo/item_vectors.parquet"
NOVEMBER, DECEMBER, END = (
    datetime(2017, month, day, tzinfo=UTC) for month, day in ((11, 1), (12, 1), (12, 28))
)
SHARES = (0.1, 0.3, 0.5)
METRICS = ("hr@10", "recall@10", "ndcg@10")
HALF_LIFE, RESAMPLES, SEED, USERS = 120.0, 2000, 7, 256
CONF = load(
    [
        "model=sasrec",
        "model.width=32",
        "model.blocks=1",
        "train.batch_size=64",
        "train.learning_rate=2e-3",
        "train.epochs=12",
        "train.patience=3",
        "train.average=0.99",
    ]
)


class Asked(NamedTuple):
    """Households who buy new items from a cut on, and what is known of them before it."""

    new: pd.DataFrame  # item_id, item_index, category of the items first sold in these weeks
    histories: list[dict[str, np.ndarray]]  # of each household items, sessions, ages: (events,)
    targets: np.ndarray  # (households, most) places in `new`, from 1; 0: padding


def main(lake: str, vectors: str) -> None:
    start(SEED)
    console = Console(highlight=False, width=140)
    examples, items = newest_set(lake), DeltaTable(f"{lake}/items").to_pandas()
    november, december = (asked_at(lake, items, *weeks) for weeks in ((NOVEMBER, DECEMBER), (DECEMBER, END)))
    for month, asked in (("November", november), ("December", december)):
        bought, many = np.count_nonzero(asked.targets), len(asked.histories)
        console.print(
            f"{month}: {len(asked.new):,} items first sold, of which {many:,} households buy {bought:,}"
        )
    content = read_content(vectors, examples.vocabulary, examples.counts("validation_sessions"))
    with TemporaryDirectory() as folder:
        plain, of_plain = trained_to(Path(folder, "plain"), None, 0.0, examples)
        by_share = {share: trained_to(Path(folder, str(share)), content, share, examples) for share in SHARES}
        chosen_by = {
            share: judged(by_text(path, november, items), november) for share, (path, _) in by_share.items()
        }
        share = max(SHARES, key=lambda each: chosen_by[each]["ndcg@10"].mean())
        scores = others(december, items, vectors) | {
            "category_mean": by_category_mean(plain, december, examples),
            "text": by_text(by_share[share][0], december, items),
        }
    found = {name: judged(each, december) for name, each in scores.items()}
    best = max((name for name in found if name != "text"), key=lambda name: found[name]["ndcg@10"].mean())
    less = {m: found["text"][m] - found[best][m] for m in METRICS}
    told = {
        "cores": len(os.sched_getaffinity(0)),
        "households": len(december.histories),
        "new_items": len(december.new),
        "bought": int(np.count_nonzero(december.targets)),
        "november": {str(each): shown(metrics) for each, metrics in chosen_by.items()},
        "content_share": share,
        "known_items_ndcg@10": {"plain": of_plain}
        | {str(each): known for each, (_, known) in by_share.items()},
        "test": {name: shown(metrics) for name, metrics in found.items()},
        "best_other": best,
        "text_less_best_other": shown(less),
    }
    console.print(as_table(told))
    place = put_json(Path("var/bench/new_items.json"), told)
    console.print(f"of known items, NDCG@10 in November: {told['known_items_ndcg@10']}; written to {place}")


def newest_set(lake: str) -> ExampleSet:
    """The examples of the demo as of December."""
    found = sorted(Path(lake, "examples").glob(f"next_item-{DECEMBER:%Y-%m-%d}-*"))
    if not found:
        raise SystemExit(
            f"error: {lake} has no examples of next_item as of {DECEMBER:%Y-%m-%d}, expected those of `make demo`"
        )
    return open_example_set(str(found[-1]))


def asked_at(lake: str, items: pd.DataFrame, cut: datetime, end: datetime) -> Asked:
    first = items["first_seen"]
    new = (
        items[(first >= cut) & (first < end)]
        .sort_values("item_index")[["item_id", "item_index", "category"]]
        .reset_index(drop=True)
    )
    place_of = dict(zip(new["item_index"], range(1, 1 + len(new)), strict=True))
    columns = ["user_id", "items", "event_types", "sessions", "session_starts", "timestamps"]
    sequences = DeltaTable(f"{lake}/sequences").to_pyarrow_dataset().to_table(columns=columns)
    until = pa.array([int(cut.timestamp()) * 1_000_000] * len(sequences), pa.int64())
    told = pa.Table.from_batches(
        model_input(sequences.append_column("until", until).to_batches(), ["purchase"])
    )
    known = {row["user_id"]: row for row in told.to_pylist()}
    histories, targets = [], []
    for row in sequences.select(["user_id", "items", "timestamps"]).to_pylist():
        bought = {
            place_of[item]
            for item, at in zip(row["items"], row["timestamps"], strict=True)
            if item in place_of and cut <= at < end
        }
        if bought and row["user_id"] in known:
            history = known[row["user_id"]]
            kinds = {"items": np.int32, "sessions": np.int32, "ages": np.float32}
            histories.append({name: np.array(history[name], kind) for name, kind in kinds.items()})
            targets.append(np.array(sorted(bought), np.int32))
    padded = np.zeros((len(targets), max(map(len, targets))), np.int32)
    for row, each in zip(padded, targets, strict=True):
        row[: len(each)] = each
    return Asked(new, histories, padded)


def trained_to(
    folder: Path, content: Content | None, share: float, examples: ExampleSet
) -> tuple[str, float]:
    """The folder of a model's export, and its NDCG@10 of November's next sessions among the items that it was trained on."""
    length, positions = examples.spec["columns"]["items"]["length"], examples.spec["positions"]
    task, settings = (
        replace(CONF.task, length=length, positions=positions),
        replace(CONF.model, content_share=share),
    )
    counts = examples.counts("validation_sessions")
    model = NextItemModel(settings, task, counts, SEED, examples.category_of(), content)
    listener = Progress(CONF.train.epochs, sum(file.rows for file in examples.files(TRAIN)), 1)
    outcome = train(model, examples, CONF.train, "ndcg@10", listener)
    export(model, examples.vocabulary, folder, k=10)
    return str(folder), round(outcome.best.metrics["ndcg@10"], 4)


def by_text(path: str, asked: Asked, items: pd.DataFrame) -> np.ndarray:
    """(households, new items): scores of an exported model, to which the shop's shelf brings the new items."""
    size = int(items["item_index"].max()) + 1
    ids, category = np.full(size, "", object), np.full(size, None, object)
    ids[items["item_index"]], category[items["item_index"]] = items["item_id"], items["category"]
    group, names = pd.factorize(category)
    shelf = Shelf(np.zeros(size, np.float32), group.astype(np.int32), tuple(names), ids)
    scorer = on_shelf(loaded_from(path), shelf)
    return in_parts(asked, lambda batch: scores_of(scorer, batch, asked.new["item_index"].to_numpy()))


def by_category_mean(path: str, asked: Asked, examples: ExampleSet) -> np.ndarray:
    """Likewise of a model without text: a new item is the mean of the items of its category that were learnt, or of all."""
    scorer, words = on_shelf(loaded_from(path), EMPTY), examples.vocabulary.to_pandas()
    learnt = words[words["validation_sessions"] > 0]
    assert scorer.vectors is not None and scorer.model.queries is not None
    known = pd.DataFrame(scorer.vectors[learnt["item_index"]])
    means = known.groupby(learnt["category"].to_numpy()).mean()
    vectors = means.reindex(asked.new["category"]).fillna(known.mean()).to_numpy(np.float32)  # (new, width)

    def score(batch: dict[str, np.ndarray]) -> np.ndarray:
        assert scorer.model.queries is not None
        return scorer.model.queries(batch | {"items": read(scorer.reads_as, batch["items"])}) @ vectors.T

    return in_parts(asked, score)


def in_parts(asked: Asked, score: Callable[[dict[str, np.ndarray]], np.ndarray]) -> np.ndarray:
    """Scores of some households at a time, put together."""
    some = (asked.histories[start : start + USERS] for start in range(0, len(asked.histories), USERS))
    return np.concatenate([score(together(each, (len(each),))) for each in some])


def others(asked: Asked, items: pd.DataFrame, vectors: str) -> dict[str, np.ndarray]:
    """What needs no model: name -> (households, new items). All of it is of what was bought before the cut."""
    size = int(items["item_index"].max()) + 1
    categories, names = pd.factorize(items.set_index("item_index")["category"].reindex(range(size)))
    of_new = categories[asked.new["item_index"]]
    table = pq.read_table(vectors).to_pandas().set_index("item_id")["vector"]
    dimensions = len(table.iloc[0])
    text: np.ndarray = np.zeros((size, dimensions), np.float32)
    has = items["item_id"].isin(table.index)
    text[items["item_index"][has]] = np.stack(table.loc[items["item_id"][has]].to_list())
    text /= np.maximum(np.linalg.norm(text, axis=1, keepdims=True), 1e-9)
    popularity, own, near = np.zeros(len(names) + 1), [], []
    for history in asked.histories:
        weight = 0.5 ** (history["ages"].astype(np.float64) / HALF_LIFE)
        group = categories[history["items"]]
        once = pd.DataFrame({"group": group, "session": history["sessions"], "weight": weight})
        once = once[once["group"] >= 0].drop_duplicates(["group", "session"])
        popularity[:-1] += np.bincount(once["group"], minlength=len(names))
        own.append(np.bincount(once["group"], once["weight"], len(names) + 1))
        near.append(text[asked.new["item_index"]] @ (weight @ text[history["items"]]))
    per_category = popularity[of_new]  # of the last, which has none, 0
    shares = per_category / (1 + per_category.max()) * 1e-6  # decides among equals
    return {
        "by lot": np.zeros((len(own), len(of_new))),
        "category_popularity": np.tile(per_category, (len(own), 1)),
        "own_categories": np.array(own)[:, of_new] + shares,
        "text_neighbours": np.array(near),
    }


def judged(scores: np.ndarray, asked: Asked) -> dict[str, np.ndarray]:
    """Metrics of each household, (households,), among the new items; what has equal scores is in any order."""
    columns = np.pad(scores, ((0, 0), (1, 0)))  # places begin at 1
    is_candidate = np.arange(columns.shape[1]) > 0
    found = per_user(*facts(columns, is_candidate, asked.targets), np.count_nonzero(asked.targets, axis=1))
    return {metric: found[metric] for metric in METRICS}


def shown(found: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    """Mean and 95% interval of each metric."""
    return {m: rounded(mean_and_interval(values, RESAMPLES, 0.95, SEED)) for m, values in found.items()}


def rounded(interval: Sequence[float]) -> list[float]:
    return [round(float(each), 4) for each in interval]


def as_table(told: Mapping[str, Any]) -> Table:
    table = Table(
        title=f"new items of December, {told['households']:,} households, {told['new_items']:,} items"
    )
    for column in ("", *METRICS):
        table.add_column(column)
    for name, metrics in told["test"].items():
        table.add_row(name, *("{:.4f} ({:.4f} to {:.4f})".format(*metrics[m]) for m in METRICS))
    less = told["text_less_best_other"]
    table.add_row(
        f"text less {told['best_other']}", *("{:+.4f} ({:+.4f} to {:+.4f})".format(*less[m]) for m in METRICS)
    )
    return table


if __name__ == "__main__":
    given = sys.argv[1:]
    main(given[0] if given else LAKE, given[1] if len(given) > 1 else VECTORS)

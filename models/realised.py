"""What published predictions came to: the lists of users beside the items they then took. Arrow batches in and out."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from models.metrics import per_user

KS = (10,)
METRICS = tuple(f"{name}@{k}" for name in ("hr", "ndcg") for k in KS)
SEGMENTS = ("users", "activity", "start")
REALISED_SCHEMA = ", ".join(
    ["entity string", *(f"`{name}` double" for name in METRICS), *(f"{name} string" for name in SEGMENTS)]
)


def realised(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The metrics of each user, null where nothing was predicted.

    entity  targets   ids        scores       ->   entity  hr@10  ndcg@10
    ann     jam tea   milk jam   1.0 1.0           ann     1.0    0.5 = (1 + 0.63)/2 / 1.63
    bob     milk      null       null              bob     null   null

    Items with equal scores count with the mean over their orders. Of what stands behind the end of the list nothing is
    known: it is ranked as not found, whatever its score.
    """
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        has_list = np.array([ids is not None for ids in rows["ids"].to_pylist()], bool)
        told = rows.filter(pa.array(has_list)).select(["targets", "ids", "scores"]).to_pylist()
        places = [_places(**row) for row in told]
        columns: dict[str, list | pa.ChunkedArray] = {"entity": rows["entity"]}
        values = per_user(
            [better for better, _ in places],
            [ties for _, ties in places],
            np.array([len(row["targets"]) for row in told], int),
            KS,
        )
        for name in METRICS:
            full = np.full(len(has_list), np.nan)
            full[has_list] = values[name]
            columns[name] = pa.array(full, pa.float64(), mask=~has_list)
        columns |= {name: rows[name] for name in SEGMENTS}
        yield from pa.table(columns).to_batches()


def _places(
    targets: Sequence[str], ids: Sequence[str], scores: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """How many listed items score better than each target and how many the same, itself included; 0: it is not listed."""
    ranked = np.asarray(scores, np.float64)
    at = {item: place for place, item in enumerate(ids)}
    better = np.full(len(targets), len(ids))
    ties = np.zeros(len(targets), int)
    for number, item in enumerate(targets):
        if (place := at.get(item)) is not None:
            better[number] = np.count_nonzero(ranked > ranked[place])
            ties[number] = np.count_nonzero(ranked == ranked[place])
    return better, ties

"""What a model knows of users, as vectors, and which of them are alike: Arrow batches for `mapInArrow`, and NumPy."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from models.histories import chunks, of_events, unusable
from models.scoring import load

VECTORS_SCHEMA = "user_id string, vector array<float>"
VECTORS = pa.schema({"user_id": pa.string(), "vector": pa.list_(pa.float32())})
NEAREST_SCHEMA = "user_id string, user_group int, cosine float"
NEAREST = pa.schema({"user_id": pa.string(), "user_group": pa.int32(), "cosine": pa.float32()})
MAX_BYTES = 256 << 20
JUDGED = 5_000  # vectors that say how well a number of groups fits: each is compared with each


def user_vectors(batches: Iterator[pa.RecordBatch], model_path: str) -> Iterator[pa.RecordBatch]:
    """The query that an exported model makes of each history, scaled to length 1.

    in   user_id, items, sessions, ages: histories, as `models.scoring.top_k` has them
    out  user_id, vector list<float> (width,) (VECTORS_SCHEMA); users whose history cannot be read are left out
    """
    model = load(model_path)
    assert model.queries is not None, "the model has no vectors"
    for batch in batches:
        for rows in chunks(batch, unusable(batch), 0, MAX_BYTES):
            queries = model.queries(of_events(rows.inputs))
            whose = batch.column("user_id").take(pa.array(rows.places)).cast(pa.string())
            vectors = pa.array(list(_directions(queries)), VECTORS.field("vector").type)
            yield pa.RecordBatch.from_arrays([whose, vectors], schema=VECTORS)


def nearest(batches: Iterator[pa.RecordBatch], middles: np.ndarray) -> Iterator[pa.RecordBatch]:
    """The group whose middle, (groups, width), points most the way of each vector: VECTORS -> NEAREST."""
    for batch in batches:
        vectors = (
            np.stack(batch.column("vector").to_numpy(zero_copy_only=False)) if len(batch) else middles[:0]
        )
        cosines = vectors @ _directions(middles).T  # (users, groups)
        group = cosines.argmax(axis=1)
        best = cosines[np.arange(len(group)), group]
        columns = [batch.column("user_id"), pa.array(group, pa.int32()), pa.array(best, pa.float32())]
        yield pa.RecordBatch.from_arrays(columns, schema=NEAREST)


def grouped(vectors: np.ndarray, least: int, most: int, seed: int) -> tuple[np.ndarray, dict[int, float]]:
    """The middles of the groups that fit best, (groups, width), and how each number of groups from `least` to `most` fits.

    vectors  (users, width) of length 1, more of them than `most`
    By k-means, whose distance of vectors of one length goes by their cosine; the fit is the mean silhouette (Rousseeuw,
    1987), over JUDGED users at most. Among equal fits fewer groups.
    """
    fits: dict[int, float] = {}
    middles: dict[int, np.ndarray] = {}
    for count in range(least, most + 1):
        found = KMeans(count, n_init=4, random_state=seed).fit(vectors)
        judged = slice(None, JUDGED)
        few = len(set(found.labels_[judged].tolist())) < 2
        fits[count] = -1.0 if few else float(silhouette_score(vectors[judged], found.labels_[judged]))
        middles[count] = found.cluster_centers_.astype(np.float32)
    best = max(fits, key=lambda count: (fits[count], -count))
    return middles[best], fits


def _directions(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

"""Exact top-k over a whole catalogue, beside NumPy used plainly and faiss: `make bench-score`.

Queries and item vectors are random, so that no order of the items helps. Each contestant has the same cores and answers the
same users in a process of its own: `models.top_k`; NumPy's matrix product and `argpartition`, on a thread a core, of as many
users at a time as 256 MB hold; faiss `IndexFlatIP`. Shown are users per second, the largest memory beside the vectors, and
whether the items are those of float64 but for ties. One more run has 20 times the users, for its memory.

    python -m benchmarks.score [ITEMS [USERS]]        1,000,000 items and 5,000 users where nothing is said
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.measured import measure, ready

FOLDER = Path("var/bench")
WIDTH, K, MANY = 64, 100, 20
AT_ONCE = 256 << 20  # bytes of scores that NumPy, used plainly, has at one time
CHECKED = 50  # users whose items are compared with those of float64
CLOSE = 1e-4  # scores that a float32 product cannot tell apart
CONTESTANTS = ("footfall", "numpy", "faiss")


def main(items: int, users: int) -> None:
    console = Console(highlight=False)
    cores = len(os.sched_getaffinity(0))
    page = Table(
        "",
        "users",
        "users a second",
        "CPU s",
        "memory, GB",
        "as float64",
        title=f"{items:,} items, {cores} cores",
    )
    found = []
    for name, count in [*((name, users) for name in CONTESTANTS), ("footfall", MANY * users)]:
        took = measure(
            [sys.executable, "-m", "benchmarks.score", "run", name, str(items), str(count), str(cores)]
        )
        said = json.loads((FOLDER / "score" / "said.json").read_text())
        row = {"name": name, "items": items, "users": count, "cores": cores, **said}
        row |= {
            "users_per_second": count / took.seconds,
            "seconds": took.seconds,
            "cpu_seconds": took.cpu_seconds,
        }
        row |= {"beside_vectors_gb": round(took.peak_gb - said["before_gb"], 3)}
        found.append(row)
        page.add_row(
            name,
            f"{count:,}",
            f"{row['users_per_second']:.0f}",
            f"{took.cpu_seconds:.1f}",
            f"{row['beside_vectors_gb']:.2f}",
            "yes" if said["as_float64"] else "NO",
        )
        console.print(f"{name}: {count:,} users in {took.seconds:.1f} s")
    console.print(page)
    (FOLDER / "score.json").write_text(json.dumps(found, indent=1) + "\n")
    console.print(f"written to {FOLDER / 'score.json'}")


def run_one(name: str, items: int, users: int, cores: int) -> None:
    """One contestant, as a process of its own."""
    import psutil

    random = np.random.default_rng(7)
    vectors = random.standard_normal((items, WIDTH), np.float32)
    queries = random.standard_normal((users, WIDTH), np.float32)
    search = {"footfall": with_footfall, "numpy": with_numpy, "faiss": with_faiss}[name](vectors, cores)
    search(queries[:2])  # what is made once is made
    before = psutil.Process().memory_info().rss / 1e9
    with ready():
        indices = search(queries)
    (FOLDER / "score").mkdir(parents=True, exist_ok=True)
    said = {"before_gb": before, "as_float64": is_as_float64(indices, queries, vectors)}
    (FOLDER / "score" / "said.json").write_text(json.dumps(said))


Search = Callable[[np.ndarray], np.ndarray]
"""Queries (users, width) -> indices (users, K), the best first."""


def with_footfall(vectors: np.ndarray, cores: int) -> Search:
    from models.top_k import best_by_vectors

    bias = np.zeros(len(vectors), np.float32)
    return lambda queries: best_by_vectors(queries, vectors, bias, K, threads=cores)[0]


def with_numpy(vectors: np.ndarray, cores: int) -> Search:
    """Users divided among threads, as above; each thread's matrix product is its own."""
    from concurrent.futures import ThreadPoolExecutor

    from threadpoolctl import threadpool_limits

    at_once = max(1, AT_ONCE // cores // (4 * len(vectors)))

    def some(queries: np.ndarray) -> np.ndarray:
        scores = queries @ vectors.T
        best = np.argpartition(scores, -K, axis=1)[:, -K:]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
        return np.take_along_axis(best, order, 1)

    def search(queries: np.ndarray) -> np.ndarray:
        parts = [queries[first : first + at_once] for first in range(0, len(queries), at_once)]
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores) as pool:
            return np.concatenate(list(pool.map(some, parts)))

    return search


def with_faiss(vectors: np.ndarray, cores: int) -> Search:
    import faiss

    faiss.omp_set_num_threads(cores)
    index = faiss.IndexFlatIP(WIDTH)
    index.add(vectors)
    return lambda queries: index.search(queries, K)[1]


def is_as_float64(indices: np.ndarray, queries: np.ndarray, vectors: np.ndarray) -> bool:
    """Whether the users' items have the scores of the best by float64, in their order, but for ties; of some users."""
    some = np.linspace(0, len(queries) - 1, min(CHECKED, len(queries))).astype(int)
    for user in some:
        scores = vectors @ queries[user].astype(np.float64)
        best = -np.sort(-np.partition(scores, -K)[-K:])
        if len(set(indices[user])) < K or not np.allclose(scores[indices[user]], best, atol=CLOSE):
            return False
    return True


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run_one(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        main(*(int(str(each).replace(",", "")) for each in (*sys.argv[1:], 1_000_000, 5_000)[:2]))

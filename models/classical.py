"""Classical collaborative filtering by libraries, beside which sequence models are judged: ItemKNN, EASE and ALS.

None of them looks at the order of a user's items. They come from `rectools` and `implicit`.
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sparse

from conf.schema import CLASSICAL

Scores = Callable[[np.ndarray], np.ndarray]
"""Users, (some,) int: rows of what was fitted -> scores of every item, float32 (some, items)."""


def fit(
    name: str,
    interactions: Sequence[np.ndarray] | sparse.csr_matrix,
    items: int | None = None,
    *,
    neighbours: int = 100,
    regularization: float | None = None,
    factors: int = 64,
    iterations: int = 15,
    seed: int = 7,
) -> Scores:
    """Fits the model `name` and gives the function that scores the whole catalogue for users.

    interactions    one array of item indices from 0 a user, or a matrix (users, items); pairs count as often as they come
    items           in the catalogue; none: the highest index and one more
    neighbours      of ItemKNN: the most similar items that each keeps, by cosine (Sarwar et al., 2001)
    regularization  of EASE, on the squares of its weights (Steck, 2019), by default 500; of ALS, by default 0.01
    factors, iterations, seed  of ALS (Hu, Koren and Volinsky, 2008)

    Give users in blocks: a call holds its scores, 4 bytes an item and user. EASE holds 8 bytes a pair of items while it is
    fitted: 1 GB for 11,000 items.
    """
    if name not in CLASSICAL:
        raise ValueError(f"there is no classical model {name!r}: expected one of {', '.join(CLASSICAL)}")
    had = matrix(interactions, items)
    if name == "item_knn":
        return _item_knn(had, neighbours)
    if name == "ease":
        return _ease(had, 500.0 if regularization is None else regularization)
    return _als(had, factors, 0.01 if regularization is None else regularization, iterations, seed)


def matrix(interactions: Sequence[np.ndarray] | sparse.csr_matrix, items: int | None) -> sparse.csr_matrix:
    """(users, items) float32: how often each user had each item."""
    if isinstance(interactions, sparse.spmatrix | sparse.sparray):
        return sparse.csr_matrix(interactions, dtype=np.float32)
    columns = np.concatenate([np.asarray(row, int) for row in interactions] or [np.zeros(0, int)])
    size = items if items is not None else int(columns.max(initial=-1)) + 1
    if len(columns) and (columns.min() < 0 or columns.max() >= size):
        raise ValueError(
            f"items lie between {columns.min()} and {columns.max()}, expected indices from 0 to {size - 1}: give items="
        )
    rows = np.repeat(np.arange(len(interactions)), [len(row) for row in interactions])
    ones = np.ones(len(columns), np.float32)
    return sparse.csr_matrix((ones, (rows, columns)), (len(interactions), size))


def _item_knn(had: sparse.csr_matrix, neighbours: int) -> Scores:
    from implicit.nearest_neighbours import CosineRecommender

    model = CosineRecommender(K=neighbours)
    model.fit(had, show_progress=False)
    similar = model.similarity.tocsr().astype(np.float32)  # (items, items), the item itself included
    return lambda users: (had[users] @ similar).toarray()


def _ease(had: sparse.csr_matrix, regularization: float) -> Scores:
    import pandas as pd
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import EASEModel

    pairs = had.tocoo()
    rows = pd.DataFrame({Columns.User: pairs.row, Columns.Item: pairs.col, Columns.Weight: pairs.data})
    known = Dataset.construct(rows.assign(**{Columns.Datetime: pd.Timestamp(0)}))
    model = EASEModel(regularization=regularization)
    model.fit(known)
    theirs = known.item_id_map.external_ids  # of its columns: the items that somebody had
    weights = np.zeros((had.shape[1], had.shape[1]), np.float32)
    weights[np.ix_(theirs, theirs)] = model.weight
    return lambda users: np.asarray(had[users] @ weights)


def _als(had: sparse.csr_matrix, factors: int, regularization: float, iterations: int, seed: int) -> Scores:
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors, regularization, iterations=iterations, random_state=seed, num_threads=1
    )
    model.fit(had, show_progress=False)
    of_users, of_items = model.user_factors, model.item_factors
    return lambda users: of_users[users] @ of_items.T

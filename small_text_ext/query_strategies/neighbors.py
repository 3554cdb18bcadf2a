"""What the strategies share that search neighbours in frozen embeddings."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from small_text.query_strategies import QueryStrategy
from small_text.vector_indexes import VectorIndex

from small_text_ext._random import Seed
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.pool.roots import root_rows
from small_text_ext.pool.search import IndexName, PoolSearch
from small_text_ext.query_strategies.context import Indices, QueryContext, check_at_least_one
from small_text_ext.query_strategies.subpool import SubpoolQueryStrategy


class NeighborQueryStrategy(SubpoolQueryStrategy):
    """Choose the subpool among neighbours in a frozen embedding space.

    Parameters
    ----------
    base_query_strategy : small_text.query_strategies.QueryStrategy
        Any strategy.
    embeddings : PoolEmbeddings or array_like, shape (n, d)
        One vector for each text of the root dataset, in its order.
    num_neighbors : int
        Neighbours of each query vector.
    subpool_size : int
        As for the template.
    index : {"exact", "hnsw"} or VectorIndex
        How neighbours are found.
    seed : int, numpy.random.Generator or None
        As for the template.
    """

    def __init__(
        self,
        base_query_strategy: QueryStrategy,
        embeddings: PoolEmbeddings | ArrayLike,
        num_neighbors: int,
        subpool_size: int,
        index: IndexName | VectorIndex,
        seed: Seed,
    ) -> None:
        super().__init__(base_query_strategy, subpool_size, seed)
        check_at_least_one(num_neighbors=num_neighbors)
        if not isinstance(embeddings, PoolEmbeddings):
            embeddings = PoolEmbeddings.from_array(embeddings)
        self.embeddings = embeddings
        self.num_neighbors = int(num_neighbors)
        self._search = PoolSearch(embeddings, index)

    def check(self, context: QueryContext) -> None:
        """Check that the embeddings belong to the dataset.

        Parameters
        ----------
        context : QueryContext
            The query.

        Raises
        ------
        ValueError
            If they do not.
        """
        self.rows(context)

    def rows(self, context: QueryContext) -> NDArray[np.int64]:
        """Return the row of the embeddings for every position of the queried dataset.

        Parameters
        ----------
        context : QueryContext
            The query.

        Returns
        -------
        numpy.ndarray of int64
            Rows.

        Raises
        ------
        ValueError
            If the embeddings belong to another dataset, or the indices are outside of it.
        """
        rows = root_rows(context.dataset, self.embeddings)
        both = np.concatenate([context.unlabeled, context.labeled])
        if both.size and (both.min() < 0 or both.max() >= len(rows)):
            raise ValueError(
                f"indices reach from {both.min()} to {both.max()}, the dataset has {len(rows)} "
                "items: pass indices into the dataset that is queried."
            )
        return rows

    def mask(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return a mask over the embeddings.

        Parameters
        ----------
        rows : numpy.ndarray of int64
            Rows to mark.

        Returns
        -------
        numpy.ndarray of bool, shape (n,)
            True for the given rows.
        """
        mask = np.zeros(len(self.embeddings), dtype=bool)
        mask[rows] = True
        return mask


def positions_of(found: NDArray[np.int64], unlabeled: Indices, rows: NDArray[np.int64]) -> Indices:
    """Turn rows of the embeddings back into indices of the queried dataset.

    Parameters
    ----------
    found : numpy.ndarray of int64
        Rows of the embeddings.
    unlabeled : numpy.ndarray of int64
        Unlabelled indices of the queried dataset.
    rows : numpy.ndarray of int64
        The row of every position of that dataset.

    Returns
    -------
    numpy.ndarray of int64
        The index for each of ``found`` that is an unlabelled text of that dataset, in order.
    """
    index_of = np.full(int(max(rows.max(initial=-1), found.max(initial=-1))) + 1, -1)
    index_of[rows[unlabeled]] = unlabeled
    indices = index_of[found]
    return indices[indices >= 0]

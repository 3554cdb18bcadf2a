"""SEALS: the neighbours of everything labelled so far, as published."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import ArrayLike, NDArray
from small_text.query_strategies import QueryStrategy
from small_text.vector_indexes import VectorIndex

from small_text_ext._random import Seed
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.pool.search import IndexName
from small_text_ext.query_strategies.context import (
    Indices,
    QueryContext,
    check_at_least_one,
    seed_to_show,
)
from small_text_ext.query_strategies.neighbors import NeighborQueryStrategy, positions_of
from small_text_ext.query_strategies.subpool import QueryRecord

# States of so many queries are kept: enough for a few learners that share the strategy.
_STATES = 16
# Number of labels, hash of their rows in order, hash of the rows of the queried dataset: a view of
# other items (a learner on a part of the pool, a wrapper's subset) has neighbours of its own.
_State = tuple[int, str, str]


class SEALS(NeighborQueryStrategy):
    """Similarity search for efficient active learning: the neighbours of what is labelled.

    The first query searches the neighbours of all labelled texts, each later one those of the
    texts labelled since; their union, less what was labelled, is the subpool. It grows with every
    batch, so later queries cost more, and its share of a rare class falls: this is the baseline
    that AnchorAL is compared with.

    Parameters
    ----------
    base_query_strategy : small_text.query_strategies.QueryStrategy
        Any strategy; it sees subpool and labelled texts only.
    embeddings : PoolEmbeddings or array_like, shape (n, d)
        One vector for each text of the root dataset, in its order.
    num_neighbors : int, default=50
        Neighbours of each labelled text (50 in AnchorAL's comparison, 100 in SEALS' own paper).
    subpool_size : int, default=10000
        The pool size up to which nothing is filtered; no limit to the subpool.
    max_subpool_size : int or None, default=None
        If given, a random part of so many texts is offered where the union is larger.
    index : {"exact", "hnsw"} or VectorIndex, default="exact"
        How neighbours are found.
    seed : int, numpy.random.Generator or None, default=None
        The same seed gives the same picks.

    Notes
    -----
    Differences from the code published with AnchorAL: none in the algorithm (``max_subpool_size``
    is ours, off by default). What was found is kept by labelled texts and queried dataset, so that
    learners may share the strategy, and a label that is taken back drops what followed it; with no
    state to go on from (under small-text's wrappers, which show another subset every time), all
    labelled texts are searched, as in a first query. small-text's own ``SEALS`` never removes
    labelled texts, confuses positions after the first query, and stops with numpy 2.4.

    References
    ----------
    C. Coleman et al., "Similarity Search for Efficient Active Learning and Search of Rare
    Concepts", AAAI 2022; as a baseline in P. Lesci and A. Vlachos, "AnchorAL", NAACL 2024.

    Examples
    --------
    >>> from small_text import LeastConfidence
    >>> str(SEALS(LeastConfidence(), np.eye(8), seed=0))  # doctest: +ELLIPSIS
    "SEALS(base_query_strategy=LeastConfidence(), num_neighbors=50, subpool_size=10000, ..."
    """

    def __init__(
        self,
        base_query_strategy: QueryStrategy,
        embeddings: PoolEmbeddings | ArrayLike,
        *,
        num_neighbors: int = 50,
        subpool_size: int = 10_000,
        max_subpool_size: int | None = None,
        index: IndexName | VectorIndex = "exact",
        seed: Seed = None,
    ) -> None:
        super().__init__(base_query_strategy, embeddings, num_neighbors, subpool_size, index, seed)
        if max_subpool_size is not None:
            check_at_least_one(max_subpool_size=max_subpool_size)
        self.max_subpool_size = max_subpool_size
        self.seed = seed_to_show(seed, self._seed)
        self._found: dict[_State, NDArray[np.int64]] = {}  # oldest first

    def choose(self, context: QueryContext, record: QueryRecord) -> Indices:
        """Search the neighbours of what was labelled since, and join them to those found before.

        Parameters
        ----------
        context : QueryContext
            The query.
        record : QueryRecord
            Where anchors, counts and times are noted.

        Returns
        -------
        numpy.ndarray of int64
            The subpool, in row order.
        """
        rows = self.rows(context)
        labeled = rows[context.labeled]
        universe = _digest(rows)
        start, known = self._known(labeled, universe)
        record.anchors = context.labeled[start:]
        with record.timed("search"):
            live = self.mask(rows[context.unlabeled])
            queries = self.embeddings[labeled[start:]]
            found, _ = self._search.nearest(queries, self.num_neighbors, live)
        union = np.union1d(known, found)
        self._remember(labeled, universe, union)
        subpool = positions_of(union, context.unlabeled, rows)
        record.num_retrieved = len(subpool)
        if not len(labeled):
            return self.generator(context).choice(context.unlabeled, context.n, replace=False)
        if self.max_subpool_size is None:
            return subpool
        size = max(self.max_subpool_size, context.n)  # what is picked comes from the candidates
        if len(subpool) <= size:
            return subpool
        return self.generator(context).choice(subpool, size, replace=False)

    def _known(self, labeled: NDArray[np.int64], universe: str) -> tuple[int, NDArray[np.int64]]:
        """Return how many of the labels were searched already, and what was found for them."""
        fitting = [
            state
            for state in self._found
            if state == (state[0], _digest(labeled[: state[0]]), universe)
        ]
        if not fitting:
            return 0, np.empty(0, dtype=np.int64)
        longest = max(fitting)
        return longest[0], self._found[longest]

    def _remember(
        self, labeled: NDArray[np.int64], universe: str, found: NDArray[np.int64]
    ) -> None:
        self._found[len(labeled), _digest(labeled), universe] = found
        while len(self._found) > _STATES:
            del self._found[next(iter(self._found))]

    def __str__(self) -> str:
        return (
            f"SEALS(base_query_strategy={self.base_query_strategy}, "
            f"num_neighbors={self.num_neighbors}, subpool_size={self.subpool_size}, "
            f"max_subpool_size={self.max_subpool_size}, index={self._search}, seed={self.seed})"
        )


def _digest(rows: NDArray[np.int64]) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows).data).hexdigest()

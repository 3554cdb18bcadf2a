"""One index over the pool, kept in step with what is unlabelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from small_text.vector_indexes import VectorIndex

from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.pool.indexes import ExactIndex, HNSWIndex, LiveIndex

IndexName = Literal["exact", "hnsw"]


class PoolSearch:
    """Search the unlabelled part of the pool, through whichever index.

    Every call says which rows are live; the index is brought into step by the difference to the
    last call. So items that return to the pool are found again, and one strategy can serve
    several learners.

    Parameters
    ----------
    embeddings : PoolEmbeddings
        The pool.
    index : {"exact", "hnsw"} or VectorIndex, default="exact"
        A name makes the index at the first search: where the embeddings have a folder, the HNSW
        graph is kept beside them under their fingerprint and opened again by later processes. An
        index of small-text's own works too: it is built anew where items return to the pool (it
        cannot restore them), and its ids are trusted, but not its distances.

    Raises
    ------
    ValueError, TypeError
        If ``index`` is neither a known name nor an index.
    """

    def __init__(
        self, embeddings: PoolEmbeddings, index: IndexName | VectorIndex = "exact"
    ) -> None:
        if isinstance(index, str) and index not in ("exact", "hnsw"):
            raise ValueError(f"index is {index!r}: pass 'exact', 'hnsw' or a VectorIndex.")
        if not isinstance(index, str | VectorIndex):
            raise TypeError(f"index is {index!r}: pass 'exact', 'hnsw' or a VectorIndex.")
        self.embeddings = embeddings
        self.given = index
        self._index: VectorIndex | None = None
        self._live = np.zeros(0, dtype=bool)

    def nearest(
        self, queries: NDArray[np.float32], k: int, live: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the k nearest live rows of each query.

        Parameters
        ----------
        queries : numpy.ndarray of float32, shape (q, d)
            Unit rows.
        k : int
            Neighbours of each.
        live : numpy.ndarray of bool, shape (n,)
            Which rows of the embeddings may be found.

        Returns
        -------
        rows : numpy.ndarray of int64, shape (q, min(k, live rows))
            Rows of the embeddings.
        distances : numpy.ndarray of float32, same shape
            Cosine distances in [0, 2].
        """
        k = min(k, int(live.sum()))
        if k == 0 or len(queries) == 0:
            shape = (len(queries), 0)
            return np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32)
        index = self._in_step(live)
        if isinstance(index, LiveIndex):
            rows, distances = index.search(queries, k, return_distance=True)
            return rows, distances
        rows = np.asarray(index.search(queries, k=k)).astype(np.int64)
        similarities = np.einsum("qd,qkd->qk", queries, self._vectors(rows))
        return rows, np.clip(1 - similarities, 0, 2)

    def _vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.embeddings[rows.ravel()].reshape(*rows.shape, -1)

    def _in_step(self, live: NDArray[np.bool_]) -> VectorIndex:
        if len(self._live) != len(live):  # the first search, or the pool has grown
            self._index = None
        if self._index is None:
            self._index = self._make(live)
        returned = np.flatnonzero(live & ~self._live)
        if returned.size and isinstance(self._index, LiveIndex):
            self._index.restore(returned)
        elif returned.size:
            self._index.build(self.embeddings[np.flatnonzero(live)], np.flatnonzero(live))
            self._live = live
        if (gone := np.flatnonzero(self._live & ~live)).size:
            self._index.remove(gone)
        self._live = live.copy()
        return self._index

    def _make(self, live: NDArray[np.bool_]) -> VectorIndex:
        """Make the index with all rows in it (one of small-text's own: with the live ones)."""
        index = self._by_name() if isinstance(self.given, str) else self.given
        self._live = np.ones(len(live), dtype=bool)
        if not isinstance(index, LiveIndex):
            self._live = live
            index.build(self.embeddings[np.flatnonzero(live)], np.flatnonzero(live))
        elif index.index is None:
            index.build(self.embeddings)
        else:
            self._check_built_from_pool(index)
            index.restore(np.arange(len(live)))
        return index

    def _by_name(self) -> LiveIndex:
        if self.given == "exact":
            return ExactIndex()
        folder = self._hnsw_folder()
        if folder is not None and (folder / "index.json").exists():
            return HNSWIndex.load(folder, fingerprint=self.embeddings.fingerprint)
        index = HNSWIndex()
        index.build(self.embeddings)
        if folder is not None:
            index.save(folder)
        return index

    def _hnsw_folder(self) -> Path | None:
        path = self.embeddings.path
        return None if path is None else path / f"hnsw-{self.embeddings.fingerprint[:16]}"

    def _check_built_from_pool(self, index: LiveIndex) -> None:
        if index.fingerprint != self.embeddings.fingerprint:
            raise ValueError(
                f"The given index was built from vectors with fingerprint {index.fingerprint}, the "
                f"embeddings have {self.embeddings.fingerprint}: build it again with "
                "index.build(embeddings)."
            )

    def __getstate__(self) -> dict[str, Any]:
        # An index that was made by name can be made, or opened, again.
        state = dict(self.__dict__)
        if isinstance(self.given, str):
            state.update(_index=None, _live=np.zeros(0, dtype=bool))
        return state

    def __str__(self) -> str:
        return repr(self.given) if isinstance(self.given, str) else str(self.given)

"""One index over the pool, kept in step with what is unlabelled."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from small_text.vector_indexes import VectorIndex

from small_text_ext._extras import require_extra
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.pool.indexes import ExactIndex, HNSWIndex, LiveIndex

IndexName = Literal["exact", "hnsw"]

# Less than one in so many rows live: they are searched by themselves.
_FEW = 20


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
    MissingExtraError
        If it is "hnsw", and hnswlib is not installed.
    """

    def __init__(
        self, embeddings: PoolEmbeddings, index: IndexName | VectorIndex = "exact"
    ) -> None:
        if isinstance(index, str) and index not in ("exact", "hnsw"):
            raise ValueError(f"index is {index!r}: pass 'exact', 'hnsw' or a VectorIndex.")
        if not isinstance(index, str | VectorIndex):
            raise TypeError(f"index is {index!r}: pass 'exact', 'hnsw' or a VectorIndex.")
        if index == "hnsw":  # not at the first search, which may come hours later
            require_extra("hnswlib", "hnsw")
        self.embeddings = embeddings
        self.given = index
        self._index: VectorIndex | None = None
        self._num_rows = 0  # of the pool when the index was made
        self._live = np.zeros(0, dtype=bool)  # in an index that does not know this itself

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
        if live.sum() * _FEW < len(live):
            return self._nearest_of_few(queries, k, np.flatnonzero(live))
        index = self._in_step(live)
        if isinstance(index, LiveIndex):
            return index.search(queries, k, return_distance=True)
        rows = np.asarray(index.search(queries, k=k)).astype(np.int64)
        similarities = np.einsum("qd,qkd->qk", queries, self._vectors(rows))
        return rows, np.clip(1 - similarities, 0, 2)

    def _vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.embeddings[rows.ravel()].reshape(*rows.shape, -1)

    def _nearest_of_few(
        self, queries: NDArray[np.float32], k: int, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Search a small part (a wrapper's subset) by itself, and leave the index as it is.

        Hiding nearly all of the pool costs more than searching what is left, and a graph that
        is nearly all hidden is slow.
        """
        part = ExactIndex()
        part.build(self.embeddings[rows], rows)
        return part.search(queries, k, return_distance=True)

    def _in_step(self, live: NDArray[np.bool_]) -> VectorIndex:
        if self._index is None or self._num_rows != len(live):  # the pool may have grown
            self._index = self._make(live)
            self._num_rows = len(live)
        index = self._index
        if isinstance(index, LiveIndex):
            # It may serve other strategies too: what it says is live is what counts.
            index.restore(np.flatnonzero(live & ~index.live))
            index.remove(np.flatnonzero(index.live & ~live))
        elif (live & ~self._live).any():
            index.build(self.embeddings[np.flatnonzero(live)], np.flatnonzero(live))
        elif (gone := np.flatnonzero(self._live & ~live)).size:
            index.remove(gone)
        self._live = live.copy()
        return index

    def _make(self, live: NDArray[np.bool_]) -> VectorIndex:
        """Make the index with all rows in it (one of small-text's own: with the live ones)."""
        if isinstance(self.given, str):
            return self._by_name()
        index = self.given
        if not isinstance(index, LiveIndex):
            index.build(self.embeddings[np.flatnonzero(live)], np.flatnonzero(live))
            self._live = live
        elif index.index is None or self._num_rows:  # empty, or built here when there was less
            index.build(self.embeddings)
        else:
            self._check_built_from_pool(index)
        return index

    def _by_name(self) -> LiveIndex:
        folder = self._hnsw_folder() if self.given == "hnsw" else None
        if folder is None:
            index = ExactIndex() if self.given == "exact" else HNSWIndex()
            index.build(self.embeddings)
            return index
        if not (folder / "index.json").exists():
            self._build_beside(folder)
        return HNSWIndex.load(folder, fingerprint=self.embeddings.fingerprint)

    def _hnsw_folder(self) -> Path | None:
        path = self.embeddings.path
        return None if path is None else path / f"hnsw-{self.embeddings.fingerprint[:16]}"

    def _build_beside(self, folder: Path) -> None:
        """Build the graph in a folder of its own, and put it in place unless another has."""
        index = HNSWIndex()
        index.build(self.embeddings)
        own = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
        try:
            index.save(own)
            # Whoever comes second finds the first one's, which was built from the same vectors.
            with contextlib.suppress(OSError):
                own.rename(folder)
        finally:
            shutil.rmtree(own, ignore_errors=True)
        for outdated in folder.parent.glob("hnsw-*"):
            if outdated != folder:  # of the pool before it grew
                shutil.rmtree(outdated, ignore_errors=True)

    def _check_built_from_pool(self, index: LiveIndex) -> None:
        if not np.array_equal(index.ids, np.arange(len(self.embeddings))):
            raise ValueError(
                "The given index has ids of its own: build it with index.build(embeddings), "
                "without ids."
            )
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
            state.update(_index=None, _num_rows=0, _live=np.zeros(0, dtype=bool))
        return state

    def __str__(self) -> str:
        return repr(self.given) if isinstance(self.given, str) else str(self.given)

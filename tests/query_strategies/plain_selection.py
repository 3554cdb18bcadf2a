"""Greedy selection in the plainest form, all distances and one loop: what fast forms must equal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.pool.storage import ChunkStore

Matrix = NDArray[np.float64]
Score = Callable[[Matrix, list[int]], Matrix]


def squared_distances(pool: PoolEmbeddings) -> Matrix:
    """Return all squared distances, equal ones made equal."""
    rows = np.array(pool, dtype=np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    products = [[float(np.dot(a, b)) for b in rows] for a in rows]
    return np.maximum(np.round(2 - 2 * np.array(products), 11), 0)


def greedy(
    squared: Matrix, n: int, selected: list[int], score: Score, order: NDArray[np.int64]
) -> list[int]:
    """Pick the row of the best score, of equals the first in an order."""
    members, picks = list(selected), []
    for _ in range(n):
        nearest = squared[:, members].min(axis=1) if members else np.full(len(squared), 4.0)
        with np.errstate(divide="ignore"):  # of a distance of 0, under a negative strength
            scores = score(nearest, members)
        rest = [row for row in range(len(squared)) if row not in members]
        best = max(rest, key=lambda row: (scores[row], -order[row]))
        picks.append(best)
        members.append(best)
    return picks


def spread_of(squared: Matrix, members: list[int]) -> float:
    """Return the sum of squared distances of members to their nearest other member."""
    if len(members) < 2:
        return 0.0
    among = squared[np.ix_(members, members)] + np.diag(np.full(len(members), np.inf))
    return float(among.min(axis=1).sum())


def random_pool(generator: np.random.Generator, with_ties: bool = False) -> PoolEmbeddings:
    """Return a few vectors: in general position, or on a coarse grid, where many are equal."""
    num_rows, num_columns = int(generator.integers(4, 60)), int(generator.integers(2, 6))
    if not with_ties:
        return PoolEmbeddings.from_array(generator.normal(size=(num_rows, num_columns)))
    grid = generator.integers(-1, 2, size=(num_rows, num_columns))
    grid[~grid.any(axis=1), 0] = 1
    return PoolEmbeddings.from_array(grid)


def in_chunks(
    pool: PoolEmbeddings, folder: Path, chunk_size: int, dtype: str = "float32"
) -> PoolEmbeddings:
    """Return the same embeddings from a folder of memory-mapped chunks."""
    description: dict[str, Any] = {
        "format": 1,
        "model": None,
        "precision": "float32",
        "storage_dtype": dtype,
        "chunk_size": chunk_size,
        "chunks": [],
    }
    store = ChunkStore(description, folder)
    store.announce(len(pool))
    for start in range(0, len(pool), chunk_size):
        part = pool[start : start + chunk_size].astype(dtype)
        store.store(part, [str(row) for row in range(start, start + len(part))])
    return PoolEmbeddings.open(folder)

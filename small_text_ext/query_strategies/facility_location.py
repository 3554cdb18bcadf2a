"""Facility location: picks that the rest of the pool is near to, by lazy greedy on a kNN graph."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from small_text_ext._random import Seed, derived_generator, resolve_seed
from small_text_ext.pool.distances import RowBlocks
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.pool.indexes import ExactIndex
from small_text_ext.query_strategies.joint_scores import Weight, weight_product
from small_text_ext.query_strategies.selection_tasks import Rows, SelectionTask, selection_task

# Queries searched at a time.
_QUERIES = 1_024


class NeighborGraph(NamedTuple):
    """The nearest of some rows to each of them, itself included.

    Attributes
    ----------
    neighbors : numpy.ndarray of int64, shape (m, k)
        Positions among the rows.
    similarities : numpy.ndarray of float64, shape (m, k)
        Cosine similarities, negative ones as zero; 1 with itself.
    """

    neighbors: Rows
    similarities: NDArray[np.float64]


def facility_location(
    embeddings: PoolEmbeddings | ArrayLike,
    n: int,
    selected: ArrayLike | None = None,
    weights: ArrayLike | Weight | Sequence[Weight] | None = None,
    *,
    candidates: ArrayLike | None = None,
    num_neighbors: int = 64,
    device: str | None = None,
    seed: Seed = 0,
) -> Rows:
    """Pick rows one by one, each the one that brings the others nearest to what is selected.

    What is maximised is the sum, over all candidates, of the similarity to the most similar
    selected row. Unlike `k_center_greedy`, which goes for the odd ones out, this represents dense
    regions by a row in their middle.

    Parameters
    ----------
    embeddings : PoolEmbeddings or array_like, shape (n_rows, d)
        Vectors, scaled to length one.
    n : int
        Picks, at least 1.
    selected : array_like of int, or None, default=None
        Rows that are selected already: what is near them is represented.
    weights : array_like of shape (n_rows,), Weight, sequence of Weight, or None, default=None
        At least 0 (after the strength). What a row gains is multiplied by its own weight.
    candidates : array_like of int, or None, default=None
        Rows to pick from, and to represent. None: all that are not selected.
    num_neighbors : int, default=64
        A candidate represents those that have it among so many nearest. The number of candidates
        gives the exact function; small numbers are cheaper, and see only what is near.
    device : str or None, default=None
        A torch device on which neighbours are searched. None computes with numpy.
    seed : int, numpy.random.Generator or None, default=0
        Decides between equal gains.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        Rows, in the order of the picks; the first k are those that k would have given.

    Raises
    ------
    TypeError, ValueError
        If arguments are unusable, see `k_center_greedy`.

    Notes
    -----
    Gains only fall while picks are made, so that a gain which is out of date is an upper bound: the
    best by bounds is computed again until it stays the best. Memory is that of the graph,
    ``num_neighbors`` numbers and positions a candidate, and of two copies of the candidates'
    vectors in single precision, never a matrix of all pairs; the search of the neighbours takes the
    time of one matrix product of the candidates with themselves.

    References
    ----------
    M. Minoux, "Accelerated greedy algorithms for maximizing submodular set functions", 1978.
    K. Wei, R. Iyer and J. Bilmes, "Submodularity in Data Subset Selection and Active Learning",
    ICML 2015.

    Examples
    --------
    >>> angles = np.radians([0, 10, 20, 170])
    >>> vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> facility_location(vectors, 2).tolist()
    [1, 3]
    """
    task = selection_task(embeddings, n, selected, weights, candidates)
    factors = weight_product(task.weights, task.candidates)
    if (factors < 0).any():
        raise ValueError(
            f"weights reach down to {factors.min()} after their strength: pass weights of at least "
            "0, under which gains cannot rise."
        )
    if num_neighbors < 1:
        raise ValueError(f"num_neighbors is {num_neighbors}: pass at least 1.")
    graph = neighbor_graph(task.pool, task.candidates, num_neighbors, device)
    order = derived_generator(resolve_seed(seed)).permutation(len(task.pool))[task.candidates]
    return task.candidates[_picks(graph, _covered(task, device), factors, order, int(n))]


def neighbor_graph(
    pool: PoolEmbeddings, rows: Rows, num_neighbors: int, device: str | None = None
) -> NeighborGraph:
    """Find the nearest of some rows to each of them.

    Parameters
    ----------
    pool : PoolEmbeddings
        Unit rows.
    rows : numpy.ndarray of int64, shape (m,)
        Which.
    num_neighbors : int
        Neighbours of each, itself included; all where there are fewer.
    device : str or None, default=None
        As for `ExactIndex`.

    Returns
    -------
    NeighborGraph
        The graph.

    Examples
    --------
    >>> pool = PoolEmbeddings.from_array([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    >>> neighbor_graph(pool, np.arange(3), 2).neighbors.tolist()
    [[0, 2], [1, 2], [2, 1]]
    """
    k = min(num_neighbors, len(rows))
    vectors = pool[rows]
    index = ExactIndex(device=device)
    index.build(vectors)
    neighbors = np.empty((len(rows), k), dtype=np.int64)
    similarities = np.empty((len(rows), k))
    for start in range(0, len(rows), _QUERIES):
        part = slice(start, min(start + _QUERIES, len(rows)))
        found, distances = index.search(vectors[part], k, return_distance=True)
        _put_own_first(found, distances, np.arange(part.start, part.stop))
        neighbors[part], similarities[part] = found, np.maximum(1.0 - distances, 0.0)
    return NeighborGraph(neighbors, similarities)


def _put_own_first(found: Rows, distances: NDArray[np.float32], own: Rows) -> None:
    """Put each row in front of its neighbours: duplicates may stand there, or have displaced it."""
    is_own = found == own[:, None]
    place = np.where(is_own.any(axis=1), is_own.argmax(axis=1), found.shape[1] - 1)
    everyone = np.arange(len(found))
    found[everyone, place], distances[everyone, place] = found[:, 0], distances[:, 0]
    found[:, 0], distances[:, 0] = own, 0.0


def _covered(task: SelectionTask, device: str | None) -> NDArray[np.float64]:
    """Return the similarity of each candidate to the most similar row that is selected already."""
    covered = np.zeros(len(task.candidates))
    if len(task.selected):
        blocks = RowBlocks(task.pool, task.candidates, device=device)
        for start in range(0, len(task.selected), _QUERIES):
            others = task.pool[task.selected[start : start + _QUERIES]]
            covered = np.maximum(covered, 1 - blocks.nearest_squared(others) / 2)
    return covered


def _picks(
    graph: NeighborGraph,
    covered: NDArray[np.float64],
    factors: NDArray[np.float64],
    order: Rows,
    n: int,
) -> Rows:
    """Pick greedily, with bounds from gains that were computed for an earlier selection."""
    m, k = graph.neighbors.shape
    by_candidate = np.argsort(graph.neighbors, axis=None, kind="stable")
    bounds = np.searchsorted(graph.neighbors.ravel()[by_candidate], np.arange(m + 1))
    represented, similar = by_candidate // k, graph.similarities.ravel()[by_candidate]
    gains = np.maximum(graph.similarities - covered[:, None], 0.0).ravel()
    first = np.bincount(graph.neighbors.ravel(), gains, minlength=m) * factors
    queue = list(zip((-first).tolist(), order.tolist(), range(m), [0] * m, strict=True))
    heapq.heapify(queue)
    picks: list[int] = []
    while len(picks) < n:
        _, rank, best, known_at = heapq.heappop(queue)
        mine = slice(bounds[best], bounds[best + 1])
        if known_at == len(picks):
            picks.append(best)
            covered[represented[mine]] = np.maximum(covered[represented[mine]], similar[mine])
        else:
            gain = np.maximum(similar[mine] - covered[represented[mine]], 0.0).sum() * factors[best]
            heapq.heappush(queue, (-float(gain), rank, best, len(picks)))
    return np.array(picks, dtype=np.int64)

"""TypiClust: the typical text of every cluster, for budgets at which uncertainty means nothing."""

from __future__ import annotations

import heapq
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning

from small_text_ext._random import Seed, derived_generator, resolve_seed
from small_text_ext.pool.distances import squared_of
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.query_strategies.joint_scores import Weight, weight_product
from small_text_ext.query_strategies.selection_tasks import Rows, selection_task

# As published: the number of clusters up to which k-means sees all texts in every step.
_SMALL_NUMBER_OF_CLUSTERS = 50
_BATCH = 5_000
# Neighbours are searched among so many of a cluster: density orders the same on a sample.
_REFERENCES = 5_000
_QUERIES = 1_024
# The distance of duplicates, which would be infinitely typical.
_SMALLEST_DISTANCE = 1e-5


def typiclust(
    embeddings: PoolEmbeddings | ArrayLike,
    n: int,
    selected: ArrayLike | None = None,
    weights: ArrayLike | Weight | Sequence[Weight] | None = None,
    *,
    candidates: ArrayLike | None = None,
    num_neighbors: int = 20,
    max_clusters: int = 500,
    min_cluster_size: int = 5,
    seed: Seed = 0,
) -> Rows:
    """Pick the most typical rows of clusters in which least is selected.

    Selected rows and candidates are clustered together, into as many clusters as will have been
    selected in the end. Each pick is from the cluster with the fewest selected rows, of those
    from the largest, and is its candidate with the nearest neighbours.

    Parameters
    ----------
    embeddings : PoolEmbeddings or array_like, shape (n_rows, d)
        Vectors, scaled to length one.
    n : int
        Picks, at least 1.
    selected : array_like of int, or None, default=None
        Rows that are selected already.
    weights : array_like of shape (n_rows,), Weight, sequence of Weight, or None, default=None
        Typicality is multiplied by them, so that they decide within clusters.
    candidates : array_like of int, or None, default=None
        Rows to pick from. None: all that are not selected.
    num_neighbors : int, default=20
        Neighbours that typicality is the inverse mean distance to, at most half of the cluster.
    max_clusters : int, default=500
        With more picks than clusters, several are made in each.
    min_cluster_size : int, default=5
        Smaller clusters, mostly outliers, come last.
    seed : int, numpy.random.Generator or None, default=0
        The same seed gives the same clusters.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        Rows, in the order of the picks. (For another n there are other clusters.)

    Raises
    ------
    TypeError, ValueError
        If arguments are unusable, see `k_center_greedy`.

    Notes
    -----
    Selected rows and candidates are held in memory, as 32-bit floats. Differences from the
    authors' code: the cluster is chosen anew for each pick, not in turns, which matters where there
    are more picks than clusters; k-means starts once (the code left that to scikit-learn, which at
    the time started 10 times, or 3 in batches); typicality is the inverse of mean distances, as in
    the paper (the code has squared ones), is not computed again without what was picked, and in
    clusters of more than 5,000 is from the distances to 5,000 of them; small clusters come last
    instead of never, and one of ``min_cluster_size`` is not small.

    References
    ----------
    G. Hacohen, A. Dekel and D. Weinshall, "Active Learning on a Budget: Opposite Strategies Suit
    High and Low Budgets", ICML 2022.

    Examples
    --------
    >>> angles = np.radians([0, 2, 3, 6, 20, 90, 92, 93, 96, 99, 101])
    >>> vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> typiclust(vectors, 2, num_neighbors=2).tolist()
    [6, 1]
    """
    task = selection_task(embeddings, n, selected, weights, candidates)
    for name, value in (("num_neighbors", num_neighbors), ("max_clusters", max_clusters)):
        if value < 1:
            raise ValueError(f"{name} is {value}: pass at least 1.")
    generator = derived_generator(resolve_seed(seed))
    first = len(task.selected)
    vectors = task.pool[np.concatenate([task.selected, task.candidates])]
    clusters = _clusters(vectors, min(first + int(n), max_clusters), generator)
    factors = weight_product(task.weights, task.candidates)

    def ranked(members: Rows) -> list[int]:
        """Return the positions of candidates, the best last."""
        typical = typicality(vectors[first + members], num_neighbors, generator)
        best_last = np.argsort(-typical * factors[members], kind="stable")[::-1]
        return [int(member) for member in members[best_last]]

    return task.candidates[_picks(clusters, first, int(n), min_cluster_size, ranked)]


def _picks(
    clusters: NDArray[np.int64],
    first: int,
    n: int,
    min_cluster_size: int,
    ranked: Callable[[Rows], list[int]],
) -> list[int]:
    """Go from cluster to cluster; candidates stand behind ``first`` selected rows."""
    sizes = np.bincount(clusters)
    counts = np.bincount(clusters[:first], minlength=len(sizes))
    queue = [
        (
            int(sizes[cluster] < min_cluster_size),
            int(counts[cluster]),
            -int(sizes[cluster]),
            cluster,
        )
        for cluster in np.unique(clusters[first:]).tolist()
    ]
    heapq.heapify(queue)
    left: dict[int, list[int]] = {}
    picks: list[int] = []
    while len(picks) < n:
        small, count, size, cluster = heapq.heappop(queue)
        if cluster not in left:
            left[cluster] = ranked(np.flatnonzero(clusters[first:] == cluster))
        picks.append(left[cluster].pop())
        if left[cluster]:
            heapq.heappush(queue, (small, count + 1, size, cluster))
    return picks


def typicality(
    vectors: NDArray[np.float32], num_neighbors: int = 20, seed: Seed = 0
) -> NDArray[np.float64]:
    """Return how near the neighbours of each vector are: the inverse of their mean distance.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (m, d)
        Unit rows.
    num_neighbors : int, default=20
        Neighbours, at most half of the vectors.
    seed : int, numpy.random.Generator or None, default=0
        Draws the 5,000 vectors that neighbours are searched among, where there are more.

    Returns
    -------
    numpy.ndarray of float64, shape (m,)
        Above 0; 1 where there is one vector alone.

    Examples
    --------
    >>> typicality(np.array([[1, 0], [0, 1], [0, 1]], dtype=np.float32)).round(2).tolist()
    [0.71, 100000.0, 100000.0]
    """
    if len(vectors) < 2:
        return np.ones(len(vectors))
    references = np.arange(len(vectors))
    if len(vectors) > _REFERENCES:
        generator = derived_generator(resolve_seed(seed))
        references = generator.choice(len(vectors), _REFERENCES, replace=False)
    k = min(num_neighbors, len(references) // 2)
    mean = np.empty(len(vectors))
    for start in range(0, len(vectors), _QUERIES):
        products = vectors[start : start + _QUERIES] @ vectors[references].T
        own = references == np.arange(start, start + len(products))[:, None]
        products[own] = -np.inf
        nearest = np.partition(products, -k, axis=1)[:, -k:]
        mean[start : start + len(products)] = np.sqrt(squared_of(nearest)).mean(axis=1)
    return np.asarray(1 / np.maximum(mean, _SMALLEST_DISTANCE))


def _clusters(
    vectors: NDArray[np.float32], num_clusters: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    seed = int(generator.integers(2**31))
    number = min(num_clusters, len(vectors))
    if number <= _SMALL_NUMBER_OF_CLUSTERS:
        model = KMeans(number, n_init=1, random_state=seed)
    else:
        model = MiniBatchKMeans(number, batch_size=_BATCH, n_init=1, random_state=seed)
    with warnings.catch_warnings():
        # Duplicates leave clusters empty, which is no harm here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.asarray(model.fit_predict(vectors)).astype(np.int64)

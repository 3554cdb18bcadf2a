"""What a query costs on frozen vectors: ours against small-text's own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from scipy.special import softmax
from small_text import AnchorSubsampling, Classifier, LeastConfidence, QueryStrategy, SklearnDataset
from small_text.vector_indexes import HNSWIndex as HostHNSWIndex
from small_text.vector_indexes import VectorIndexFactory

from benchmarks.perf.shared import REPEATS_HEADING, make_table, ratios, spread
from small_text_ext import AnchorAL, ExactIndex, HNSWIndex, PoolEmbeddings
from small_text_ext.pool.vectors import unit_rows

# The host's defaults, given to both sides.
NUM_ANCHORS, NUM_NEIGHBORS, SUBPOOL_SIZE, NUM_QUERIED = 10, 50, 500, 25
NUM_LABELED, PREVALENCE = 100, 0.02

MakeStrategy = Callable[["Pool"], QueryStrategy]


class FrozenClassifier(Classifier):
    """A linear classifier on frozen vectors whose embeddings cost nothing.

    It flatters the host, which embeds and scores the whole pool at every query: with a real
    encoder that would be minutes.

    Parameters
    ----------
    weights : numpy.ndarray, shape (d, 2)
        The linear map.
    """

    num_classes = 2
    multi_label = False

    def __init__(self, weights: NDArray[np.float32]) -> None:
        self.weights = weights

    def fit(self, train_set: Any, weights: Any = None) -> FrozenClassifier:  # noqa: ANN401
        """Do nothing: the map is given."""
        return self

    def predict(self, data_set: Any, return_proba: bool = False) -> Any:  # noqa: ANN401
        """Return the likeliest classes."""
        proba = self.predict_proba(data_set)
        labels = proba.argmax(axis=1)
        return (labels, proba) if return_proba else labels

    def predict_proba(self, data_set: Any) -> NDArray[np.float64]:  # noqa: ANN401
        """Return probabilities of shape (n, 2)."""
        return np.asarray(softmax(np.asarray(data_set.x) @ self.weights, axis=1))

    def embed(self, data_set: Any) -> NDArray[np.float32]:  # noqa: ANN401
        """Return the vectors themselves."""
        return np.asarray(data_set.x)


@dataclass(frozen=True)
class Pool:
    """Clustered unit vectors with a rare class, and the first labels."""

    vectors: NDArray[np.float32]
    embeddings: PoolEmbeddings
    dataset: SklearnDataset
    truth: NDArray[np.int64]
    labeled: NDArray[np.int64]
    clf: FrozenClassifier


@dataclass
class Timing:
    """Seconds of the queries of each repeat."""

    name: str
    queries: list[list[float]] = field(default_factory=list)

    def totals(self) -> list[float]:
        """Return the seconds of all queries, the index included, by repeat."""
        return [sum(seconds) for seconds in self.queries]

    def later(self) -> list[float]:
        """Return the mean seconds of a query after the first, by repeat."""
        return [statistics.mean(seconds[1:]) for seconds in self.queries]


def make_pool(num_texts: int, num_columns: int, seed: int) -> Pool:
    """Make a pool of clustered vectors.

    Parameters
    ----------
    num_texts : int
        Rows.
    num_columns : int
        Dimensions.
    seed : int
        Seed of the vectors and labels.

    Returns
    -------
    Pool
        The pool; two per cent of it are of the rare class, which has clusters of its own.
    """
    generator = np.random.default_rng(seed)
    num_clusters = max(num_texts // 200, 10)
    centers = generator.normal(size=(num_clusters, num_columns)).astype(np.float32)
    cluster = generator.integers(num_clusters, size=num_texts)
    noise = generator.normal(size=(num_texts, num_columns)).astype(np.float32)
    vectors = unit_rows(centers[cluster] + 0.7 * noise)
    truth = (cluster < max(int(PREVALENCE * num_clusters), 1)).astype(np.int64)
    positives = generator.permutation(np.flatnonzero(truth == 1))[:5]
    negatives = generator.permutation(np.flatnonzero(truth == 0))[: NUM_LABELED - len(positives)]
    weights = generator.normal(size=(num_columns, 2)).astype(np.float32)
    return Pool(
        vectors,
        PoolEmbeddings.from_array(vectors),
        SklearnDataset(vectors, truth, target_labels=np.arange(2)),
        truth,
        np.concatenate([positives, negatives]),
        FrozenClassifier(weights),
    )


def ours(index: Any) -> MakeStrategy:  # noqa: ANN401
    """Return a maker of AnchorAL with the host's parameters.

    Parameters
    ----------
    index : callable
        Makes the index.

    Returns
    -------
    callable
        Takes the pool.
    """
    return lambda pool: AnchorAL(
        LeastConfidence(),
        pool.embeddings,
        num_anchors=NUM_ANCHORS,
        num_neighbors=NUM_NEIGHBORS,
        subpool_size=SUBPOOL_SIZE,
        index=index(),
        seed=0,
    )


def theirs(index: type[Any]) -> MakeStrategy:
    """Return a maker of small-text's AnchorSubsampling.

    Parameters
    ----------
    index : type
        The index class.

    Returns
    -------
    callable
        Takes the pool.
    """
    return lambda _: AnchorSubsampling(
        LeastConfidence(),
        subsample_size=SUBPOOL_SIZE,
        vector_index_factory=VectorIndexFactory(index),
        num_anchors=NUM_ANCHORS,
        k=NUM_NEIGHBORS,
    )


# Threads, m, ef and ef_construction as the host's index has them.
_OUR_HNSW = ours(lambda: HNSWIndex(m=64, ef_construction=200, ef=200, num_threads=-1))
_OUR_EXACT = ours(ExactIndex)
CONTESTANTS: dict[str, MakeStrategy] = {
    "AnchorAL, exact": _OUR_EXACT,
    "AnchorAL, HNSW": _OUR_HNSW,
    "AnchorSubsampling, HNSW (its default)": theirs(HostHNSWIndex),
    "AnchorSubsampling, our exact index put in": theirs(ExactIndex),
}
PAIRS = (
    ("AnchorAL, exact", "AnchorSubsampling, HNSW (its default)"),
    ("AnchorAL, HNSW", "AnchorSubsampling, HNSW (its default)"),
    ("AnchorAL, exact", "AnchorSubsampling, our exact index put in"),
)


def time_queries(make: MakeStrategy, pool: Pool, rounds: int) -> list[float]:
    """Time the queries of one run; the first includes whatever index is built.

    Parameters
    ----------
    make : callable
        Makes the strategy; its making is timed with the first query.
    pool : Pool
        The pool.
    rounds : int
        Queries.

    Returns
    -------
    list of float
        Seconds of each query.
    """
    labeled, seconds = pool.labeled, []
    strategy: QueryStrategy | None = None
    for _ in range(rounds):
        unlabeled = np.setdiff1d(np.arange(len(pool.vectors)), labeled)
        y = pool.truth[labeled]
        start = time.perf_counter()
        strategy = strategy or make(pool)
        picks = strategy.query(pool.clf, pool.dataset, unlabeled, labeled, y, n=NUM_QUERIED)
        seconds.append(time.perf_counter() - start)
        labeled = np.concatenate([labeled, picks])
    return seconds


def measure(
    pool: Pool, rounds: int, repeats: int, report: Callable[[str], object]
) -> dict[str, Timing]:
    """Time every contestant, in turn within each repeat.

    Parameters
    ----------
    pool : Pool
        The pool.
    rounds : int
        Queries of a run.
    repeats : int
        Runs of each.
    report : callable
        Told what is being timed.

    Returns
    -------
    dict of str to Timing
        By contestant.
    """
    warm_up = make_pool(2000, pool.vectors.shape[1], seed=1)
    timings = {name: Timing(name) for name in CONTESTANTS}
    for make in CONTESTANTS.values():
        time_queries(make, warm_up, 2)
    for repeat in range(repeats):
        for name, make in CONTESTANTS.items():
            report(f"repeat {repeat + 1} of {repeats}: {name}")
            timings[name].queries.append(time_queries(make, pool, rounds))
    return timings


def contestant_table(timings: Mapping[str, Timing], title: str) -> Table:
    """Return the seconds of each contestant."""
    rows = [
        (
            timing.name,
            spread([seconds[0] for seconds in timing.queries]),
            spread(timing.later()),
            spread(timing.totals()),
        )
        for timing in timings.values()
    ]
    columns = ("strategy", "first query, s", "a later query, s", "all queries, s")
    return make_table(f"{title}: {REPEATS_HEADING}", columns, rows)


def pair_ratios(timings: Mapping[str, Timing]) -> list[dict[str, Any]]:
    """Divide the peer's seconds by ours, repeat by repeat.

    Parameters
    ----------
    timings : mapping of str to Timing
        By contestant.

    Returns
    -------
    list of dict
        For each pair the ratios over all queries and over later ones, one per repeat.
    """
    rows = []
    for mine, peer in PAIRS:
        a, b = timings[mine], timings[peer]
        total, later = ratios(b.totals(), a.totals()), ratios(b.later(), a.later())
        rows.append({"ours": mine, "peer": peer, "total": total, "later": later})
    return rows


def ratio_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the ratios of each pair."""
    cells = [(r["ours"], r["peer"], spread(r["total"]), spread(r["later"])) for r in rows]
    columns = ("ours", "peer", "all queries", "later queries")
    return make_table(f"peer's seconds / ours: {REPEATS_HEADING}", columns, cells)

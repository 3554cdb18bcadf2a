"""AnchorAL: class-balanced anchors, their nearest unlabelled texts, a small subpool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix, issparse
from scipy.special import entr, softmax
from sklearn.cluster import kmeans_plusplus
from small_text.query_strategies import QueryStrategy
from small_text.vector_indexes import VectorIndex

from small_text_ext._random import Seed
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.pool.search import IndexName
from small_text_ext.protocols import dense_proba
from small_text_ext.query_strategies.context import (
    Indices,
    QueryContext,
    check_at_least_one,
    seed_to_show,
)
from small_text_ext.query_strategies.neighbors import NeighborQueryStrategy, positions_of
from small_text_ext.query_strategies.subpool import QueryRecord

AnchorSelector = Literal["kmeans++", "random", "entropy", "all"]
# The class of texts that carry no label, in multi-label tasks.
NO_LABEL = -1


def score_candidates(
    neighbor_ids: ArrayLike, distances: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Score each retrieved text by its mean similarity to the anchors that retrieved it.

    The mean is over those anchors alone: a text that one anchor found at distance 0.20 ranks
    before one that five anchors found at a mean distance of 0.25.

    Parameters
    ----------
    neighbor_ids : array_like of int, shape (A, K)
        For each anchor its neighbours.
    distances : array_like of float, shape (A, K)
        Their cosine distances, in [0, 2].

    Returns
    -------
    ids : numpy.ndarray of int64, shape (m,)
        Distinct ids, best first, ties by id.
    scores : numpy.ndarray of float64, shape (m,)
        ``1 - mean distance``, in [-1, 1].

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    P. Lesci and A. Vlachos, "AnchorAL", NAACL 2024, section 3.

    Examples
    --------
    >>> ids, scores = score_candidates([[7, 3], [9, 3]], [[0.2, 0.1], [0.4, 0.5]])
    >>> ids.tolist(), scores.round(2).tolist()
    ([7, 3, 9], [0.8, 0.7, 0.6])
    """
    ids, far = np.asarray(neighbor_ids, dtype=np.int64), np.asarray(distances, dtype=np.float64)
    if ids.shape != far.shape:
        raise ValueError(f"neighbor_ids has shape {ids.shape}, distances {far.shape}: pass equal.")
    unique, places = np.unique(ids, return_inverse=True)
    counts = np.bincount(places.ravel(), minlength=len(unique))
    scores = 1 - np.bincount(places.ravel(), far.ravel(), minlength=len(unique)) / counts
    order = np.lexsort((unique, -scores))
    return unique[order], scores[order]


def label_groups(
    y: NDArray[np.int64] | csr_matrix,
) -> dict[int, NDArray[np.int64]]:
    """Group labelled items by class.

    Parameters
    ----------
    y : numpy.ndarray of int64, shape (n,), or scipy.sparse.csr_matrix, shape (n, C)
        Labels.

    Returns
    -------
    dict of int to numpy.ndarray of int64
        For each class that occurs, in rising order, the positions in ``y``. In multi-label tasks
        an item is in the group of each of its labels; items without any form the group -1, which
        is the majority there.

    Examples
    --------
    >>> {label: group.tolist() for label, group in label_groups(np.array([1, 0, 1])).items()}
    {0: [1], 1: [0, 2]}
    """
    if not issparse(y):
        return {int(label): np.flatnonzero(y == label) for label in np.unique(y)}
    marked = csr_matrix(y).astype(bool).toarray()
    groups = {NO_LABEL: np.flatnonzero(~marked.any(axis=1))}
    groups.update({label: np.flatnonzero(column) for label, column in enumerate(marked.T)})
    return {label: group for label, group in groups.items() if len(group)}


def prediction_entropy(proba: NDArray[np.float64], multi_label: bool) -> NDArray[np.float64]:
    """Return the entropy of predictions, in nats.

    Parameters
    ----------
    proba : numpy.ndarray of float64, shape (n, C)
        Dense probabilities.
    multi_label : bool
        Whether labels are independent: then it is the sum of their binary entropies.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        Entropies, at least 0.

    Examples
    --------
    >>> prediction_entropy(np.array([[0.5, 0.5], [1.0, 0.0]]), multi_label=False).round(3).tolist()
    [0.693, 0.0]
    """
    entropy = entr(proba).sum(axis=1)
    if multi_label:
        entropy = entropy + entr(1 - proba).sum(axis=1)
    return np.asarray(entropy, dtype=np.float64)


class AnchorAL(NeighborQueryStrategy):
    """Active learning for rare classes in large pools: query near class-balanced anchors.

    At every query, up to ``num_anchors`` labelled texts of each class become anchors, the
    ``num_neighbors`` unlabelled texts nearest to each are retrieved in a frozen embedding space,
    and the base strategy picks among them. As every class has as many anchors, the subpool (and
    what is picked) is far more balanced than the pool; as anchors are drawn anew each time, the
    search does not overfit on the first decision boundary; and since the classifier scores the
    subpool alone, its share of a query does not grow with the pool (the exact search is one
    matrix product, linear in it).

    Few anchors and neighbours keep the subpool pure: the published ablation finds both more
    anchors and more neighbours slower and no better. With ``num_neighbors`` and ``subpool_size``
    as large as the pool the method is its base strategy.

    Parameters
    ----------
    base_query_strategy : small_text.query_strategies.QueryStrategy
        Any strategy; it sees subpool and labelled texts only. RandomSampling too stays inside.
    embeddings : PoolEmbeddings or array_like, shape (n, d)
        One vector for each text of the root dataset, in its order, from an encoder that active
        learning does not touch.
    num_anchors : int, default=10
        Anchors of each class that has labels; a class with fewer labels gives them all.
    num_neighbors : int, default=50
        Neighbours of each anchor.
    subpool_size : int, default=10000
        The best so many candidates are kept. It rarely binds (candidates number at most
        ``classes * num_anchors * num_neighbors``); it also is the pool size up to which nothing is
        filtered, as published: lower it to use AnchorAL on small pools.
    anchor_selector : {"kmeans++", "random", "entropy", "all"}, default="kmeans++"
        How anchors of a class are chosen: spread by k-means++ seeding; at random; those that the
        classifier is least sure of (one more pass over the labelled texts); or all.
    minority_classes : sequence of int or None, default=None
        The classes for which ``minority_anchor_selector`` holds.
    minority_anchor_selector : same choices or None, default=None
        A selector of their own for the minority classes.
    seed_anchors : dict of int to (str, sequence of str, or array_like), or None, default=None
        Texts or vectors that stand for a class as long as it has fewer than ``num_anchors``
        labels: a random start finds nothing of a class of 0.1 %, a sentence that describes it
        does. Texts are encoded once by the model of the embeddings.
    index : {"exact", "hnsw"} or VectorIndex, default="exact"
        "hnsw" is the published search (extra ``hnsw``); exact search is faster over a whole run
        unless queries are very many, loses no neighbour, and needs no build.
    sample_subpool : bool, default=False
        Draw the subpool with probabilities softmax(score) instead of keeping the best: the
        authors' sampling variant. Differs only where candidates outnumber ``subpool_size``.
    seed : int, numpy.random.Generator or None, default=None
        The same seed gives the same picks.

    Notes
    -----
    Differences from the authors' code: ``minority_anchor_selector`` works (there the classes never
    reach the strategy, so the majority's selector serves all); "all" can be chosen; the default
    search is exact; random draws follow from the seed and the number of labels, not from earlier
    calls; a query is topped up with random texts where there are fewer than ``n`` candidates
    (there it labels nothing). As there, a pool of at most ``subpool_size`` is not filtered, with
    no label at all (and no seed anchors) the subpool is ``n`` random texts, and with fewer labels
    than ``num_anchors`` in all, all are anchors. k-means++ may return fewer than ``num_anchors``
    distinct anchors where texts repeat. Multi-label tasks are ours: every label has anchors, and
    the texts without any label have theirs, as the majority class has in the published method.

    Unlike small-text's ``AnchorSubsampling``, which embeds the whole pool with the current
    classifier and scores it at every query, it works on vectors that are computed once and asks
    the classifier about the subpool only.

    References
    ----------
    P. Lesci and A. Vlachos, "AnchorAL: Computationally Efficient Active Learning for Large and
    Imbalanced Datasets", NAACL 2024, arXiv:2404.05623.

    Examples
    --------
    A class of one per cent is 17 per cent of what the classifier is shown:

    >>> from small_text import LeastConfidence, SklearnDataset
    >>> from small_text_ext import MLPClassification, MLPModelArguments
    >>> rng = np.random.default_rng(0)
    >>> y = (np.arange(3000) % 100 == 0).astype(int)
    >>> vectors = rng.normal(size=(3000, 16)) + 2 * y[:, None]
    >>> dataset = SklearnDataset(vectors, y, target_labels=np.arange(2))
    >>> labeled, unlabeled = np.arange(0, 1000, 25), np.arange(1001, 3000)
    >>> clf = MLPClassification(MLPModelArguments(), 2, seed=0).fit(dataset[labeled].clone())
    >>> strategy = AnchorAL(LeastConfidence(), vectors, num_neighbors=10, subpool_size=500, seed=0)
    >>> picks = strategy.query(clf, dataset, unlabeled, labeled, y[labeled], n=5)
    >>> subpool = strategy.last_query.subpool
    >>> len(subpool), round(float(y[subpool].mean()), 2)
    (115, 0.17)
    """

    def __init__(
        self,
        base_query_strategy: QueryStrategy,
        embeddings: PoolEmbeddings | ArrayLike,
        *,
        num_anchors: int = 10,
        num_neighbors: int = 50,
        subpool_size: int = 10_000,
        anchor_selector: AnchorSelector = "kmeans++",
        minority_classes: Sequence[int] | None = None,
        minority_anchor_selector: AnchorSelector | None = None,
        seed_anchors: Mapping[int, str | Sequence[str] | ArrayLike] | None = None,
        index: IndexName | VectorIndex = "exact",
        sample_subpool: bool = False,
        seed: Seed = None,
    ) -> None:
        super().__init__(base_query_strategy, embeddings, num_neighbors, subpool_size, index, seed)
        check_at_least_one(num_anchors=num_anchors)
        _check_selector("anchor_selector", anchor_selector)
        if (minority_classes is None) != (minority_anchor_selector is None):
            raise ValueError(
                f"minority_classes is {minority_classes!r}, minority_anchor_selector is "
                f"{minority_anchor_selector!r}: pass both or neither."
            )
        if minority_anchor_selector is not None:
            _check_selector("minority_anchor_selector", minority_anchor_selector)
        self.num_anchors = int(num_anchors)
        self.anchor_selector = anchor_selector
        self.minority_classes = (
            None if minority_classes is None else tuple(int(label) for label in minority_classes)
        )
        self.minority_anchor_selector = minority_anchor_selector
        self.sample_subpool = bool(sample_subpool)
        self.seed = seed_to_show(seed, self._seed)
        self._seed_vectors = {
            int(label): self.embeddings.vectors_of(examples, f"seed_anchors[{label}]")
            for label, examples in sorted((seed_anchors or {}).items())
        }

    def choose(self, context: QueryContext, record: QueryRecord) -> Indices:
        """Retrieve the neighbours of the anchors and keep the best.

        Parameters
        ----------
        context : QueryContext
            The query.
        record : QueryRecord
            Where anchors, counts and times are noted.

        Returns
        -------
        numpy.ndarray of int64
            The subpool, best first; in the order drawn where it is sampled.
        """
        rows = self.rows(context)
        generator = self.generator(context)
        with record.timed("anchors"):
            groups = label_groups(context.y)
            anchors = self._anchors(groups, context, rows, generator)
            examples = self._examples(groups)
        record.anchors, record.num_seed_anchors = context.labeled[anchors], len(examples)
        queries = np.concatenate([self.embeddings[rows[record.anchors]], examples])
        if not len(queries):
            return generator.choice(context.unlabeled, context.n, replace=False)
        with record.timed("search"):
            live = self.mask(rows[context.unlabeled])
            found, distances = self._search.nearest(queries, self.num_neighbors, live)
        candidates, scores = score_candidates(found, distances)
        record.num_retrieved = len(candidates)
        kept = self._keep(candidates, scores, generator)
        return positions_of(kept, context.unlabeled, rows)

    def _anchors(
        self,
        groups: Mapping[int, NDArray[np.int64]],
        context: QueryContext,
        rows: NDArray[np.int64],
        generator: np.random.Generator,
    ) -> NDArray[np.int64]:
        """Choose anchors, as positions in the labels."""
        if len(context.labeled) < self.num_anchors:
            return np.arange(len(context.labeled))
        chosen = [
            self._anchors_of_class(label, group, context, rows, generator)
            for label, group in groups.items()
        ]
        # In multi-label tasks a text may be the anchor of several labels: it is searched once.
        return np.unique(np.concatenate(chosen))

    def _anchors_of_class(
        self,
        label: int,
        group: NDArray[np.int64],
        context: QueryContext,
        rows: NDArray[np.int64],
        generator: np.random.Generator,
    ) -> NDArray[np.int64]:
        selector = self._selector_of(label)
        if selector == "all" or len(group) <= self.num_anchors:
            return group
        if selector == "random":
            return generator.choice(group, self.num_anchors, replace=False)
        if selector == "entropy":
            if context.clf is None:
                raise ValueError(
                    "anchor_selector is 'entropy', but there is no classifier yet: initialise the "
                    "learner with labels, or use 'kmeans++'."
                )
            proba = dense_proba(context.clf, context.dataset[context.labeled[group]])
            entropy = prediction_entropy(proba, context.clf.multi_label)
            return group[np.argsort(-entropy, kind="stable")[: self.num_anchors]]
        vectors = self.embeddings[rows[context.labeled[group]]]
        state = int(generator.integers(2**31))
        _, spread = kmeans_plusplus(vectors, self.num_anchors, random_state=state)
        return np.asarray(group[spread])

    def _selector_of(self, label: int) -> AnchorSelector:
        if self.minority_classes is not None and label in self.minority_classes:
            assert self.minority_anchor_selector is not None  # checked with the classes
            return self.minority_anchor_selector
        return self.anchor_selector

    def _examples(self, groups: Mapping[int, NDArray[np.int64]]) -> NDArray[np.float32]:
        """Return the seed anchors of classes that have too few labels of their own."""
        parts = [
            vectors[: max(self.num_anchors - len(groups.get(label, ())), 0)]
            for label, vectors in self._seed_vectors.items()
        ]
        return np.concatenate([np.empty((0, self.embeddings.shape[1]), np.float32), *parts])

    def _keep(
        self,
        candidates: NDArray[np.int64],
        scores: NDArray[np.float64],
        generator: np.random.Generator,
    ) -> NDArray[np.int64]:
        if len(candidates) <= self.subpool_size:
            return candidates
        if self.sample_subpool:
            weights = softmax(scores)
            return generator.choice(candidates, self.subpool_size, replace=False, p=weights)
        return candidates[: self.subpool_size]

    def __str__(self) -> str:
        return (
            f"AnchorAL(base_query_strategy={self.base_query_strategy}, "
            f"num_anchors={self.num_anchors}, num_neighbors={self.num_neighbors}, "
            f"subpool_size={self.subpool_size}, anchor_selector={self.anchor_selector!r}, "
            f"minority_classes={self.minority_classes}, "
            f"minority_anchor_selector={self.minority_anchor_selector!r}, "
            f"seed_anchors={list(self._seed_vectors)}, index={self._search}, "
            f"sample_subpool={self.sample_subpool}, seed={self.seed})"
        )


def _check_selector(name: str, value: Any) -> None:  # noqa: ANN401
    if value not in get_args(AnchorSelector):
        raise ValueError(f"{name} is {value!r}: pass one of {list(get_args(AnchorSelector))}.")

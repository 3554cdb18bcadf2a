"""Texts in the middle of clusters of the classifier's own vectors: FT-BERT-KM."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from small_text_ext._random import Seed, derived_generator, preserved_global_state, resolve_seed
from small_text_ext.protocols import EmbeddingClassifier
from small_text_ext.query_strategies.context import (
    ContextQueryStrategy,
    Indices,
    QueryContext,
    seed_to_show,
)

Nearest = Literal["distance", "product"]


def cluster_representatives(
    vectors: ArrayLike, n: int, nearest: Nearest = "distance", seed: Seed = 0
) -> Indices:
    """Pick one row near each centre of ``n`` clusters.

    Columns are standardised first, so that each counts alike. Where two centres are nearest to one
    row, the second takes its next nearest: there are always ``n`` picks.

    Parameters
    ----------
    vectors : array_like, shape (m, d)
        Finite rows, at least ``n``.
    n : int
        Clusters, and picks.
    nearest : {"distance", "product"}, default="distance"
        What is near a centre: a small Euclidean distance, or, as in the published code, a large
        product with it, which favours rows far out in its direction.
    seed : int, numpy.random.Generator or None, default=0
        Of k-means.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        Distinct rows, in the order of the centres.

    Raises
    ------
    ValueError
        If ``nearest`` is unknown, there are fewer than ``n`` rows, or one is not finite.

    Examples
    --------
    >>> rows = [[0.0, 0.1], [0.0, -0.1], [0.0, 0.0], [5.0, 0.1], [5.0, -0.1], [5.0, 0.0]]
    >>> sorted(cluster_representatives(rows, 2).tolist())
    [2, 5]
    """
    _check_nearest(nearest)
    rows = np.asarray(vectors, dtype=np.float64)
    if len(rows) < n:
        raise ValueError(f"n is {n}, but vectors has {len(rows)} rows: ask for as many at most.")
    if not np.isfinite(rows).all():
        raise ValueError(
            "vectors are not finite: the classifier that made them has diverged. Lower its "
            "learning rate."
        )
    scaled = StandardScaler().fit_transform(rows)
    centers = _centers(scaled, n, resolve_seed(seed))
    closeness = centers @ scaled.T
    if nearest == "distance":
        closeness -= 0.5 * np.einsum("ij,ij->i", scaled, scaled)
    return _distinct_best(closeness)


def _check_nearest(nearest: str) -> None:
    if nearest not in get_args(Nearest):
        raise ValueError(f"nearest is {nearest!r}: pass 'distance' or 'product'.")


def _centers(rows: NDArray[np.float64], n: int, seed: int) -> NDArray[np.float64]:
    state = int(derived_generator(seed).integers(2**31))
    with warnings.catch_warnings():
        # Of duplicates there are fewer clusters than asked for, which changes nothing here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(n_clusters=n, n_init=1, random_state=state).fit(rows)
    return np.asarray(found.cluster_centers_, dtype=np.float64)


def _distinct_best(closeness: NDArray[np.float64]) -> Indices:
    """Return for each row of a matrix the column of its largest value that is still free."""
    picks = np.empty(len(closeness), dtype=np.int64)
    for center, values in enumerate(closeness):
        picks[center] = values.argmax()
        closeness[:, picks[center]] = -np.inf
    return picks


class ClassifierVectorStrategy(ContextQueryStrategy):
    """Pick texts by the vectors of the present classifier, all of those that are offered.

    Parameters
    ----------
    seed : int, numpy.random.Generator or None
        The same seed gives the same picks.
    """

    def __init__(self, seed: Seed) -> None:
        self._seed = resolve_seed(seed)
        self.seed = seed_to_show(seed, self._seed)

    @abstractmethod
    def choose(
        self,
        clf: EmbeddingClassifier,
        texts: Any,  # noqa: ANN401 - a dataset of small-text
        n: int,
        generator: np.random.Generator,
    ) -> Indices:
        """Return the positions of ``n`` distinct texts, fewer than there are."""

    def check_labels(self, y: Any) -> None:  # noqa: ANN401
        """Raise a ValueError where the strategy has no answer for these labels; here it has."""

    def pick(self, context: QueryContext) -> Indices:
        """Pick by the classifier's vectors of all unlabelled texts.

        Parameters
        ----------
        context : QueryContext
            The query.

        Returns
        -------
        numpy.ndarray of int64, shape (context.n,)
            Distinct members of ``context.unlabeled``.

        Raises
        ------
        TypeError
            If there is no classifier, or it has no vectors.
        ValueError
            If the labels are of a task that the strategy has no answer for.
        """
        clf, unlabeled = context.clf, context.unlabeled
        if not isinstance(clf, EmbeddingClassifier):
            raise TypeError(
                f"{type(self).__name__} works on the classifier's own vectors, and {clf!r} has "
                "none: initialise the learner with a classifier that has embed, such as "
                "TransformerClassification."
            )
        self.check_labels(context.y)
        if len(unlabeled) == context.n:
            return unlabeled
        generator = derived_generator(self._seed, len(context.labeled))
        return unlabeled[self.choose(clf, context.dataset[unlabeled], context.n, generator)]


class FineTunedKMeans(ClassifierVectorStrategy):
    """Pick a text near the centre of each of ``n`` clusters of the classifier's own vectors.

    FT-BERT-KM: the vectors are those of the present, fine-tuned model, so that clusters follow what
    it has learnt to tell apart; uncertainty has no part in it. It embeds every text that it is
    offered: inside AnchorAL, SEALS or a random subset that is a subpool.

    Parameters
    ----------
    nearest : {"distance", "product"}, default="distance"
        What is near a centre, see `cluster_representatives`; "product" repeats the published runs.
    seed : int, numpy.random.Generator or None, default=None
        The same seed gives the same picks.

    Notes
    -----
    Differences from the authors' code: any classifier with ``embed`` will do, where theirs takes
    the last layer's first token of BERT; the nearest row is the nearest by default, where theirs
    has the largest product with the centre; and there are always ``n`` picks, where theirs returns
    fewer if two centres share one, and none at all if the pool has no more than ``n`` texts.

    References
    ----------
    M. Yuan, H.-T. Lin and J. Boyd-Graber, "Cold-start Active Learning through Self-supervised
    Language Modeling", EMNLP 2020, where it is a baseline; P. Lesci and A. Vlachos, "AnchorAL:
    Computationally Efficient Active Learning for Large and Imbalanced Datasets", NAACL 2024.

    Examples
    --------
    >>> str(FineTunedKMeans(seed=0))
    "FineTunedKMeans(nearest='distance', seed=0)"
    """

    def __init__(self, nearest: Nearest = "distance", *, seed: Seed = None) -> None:
        _check_nearest(nearest)
        super().__init__(seed)
        self.nearest: Nearest = nearest

    def choose(
        self,
        clf: EmbeddingClassifier,
        texts: Any,  # noqa: ANN401
        n: int,
        generator: np.random.Generator,
    ) -> Indices:
        """Return the positions of the texts nearest the centres."""
        with preserved_global_state(torch=True):
            vectors = clf.embed(texts)
        return cluster_representatives(vectors, n, self.nearest, generator)

    def __str__(self) -> str:
        return f"FineTunedKMeans(nearest={self.nearest!r}, seed={self.seed})"

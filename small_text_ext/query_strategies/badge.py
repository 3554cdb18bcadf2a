"""BADGE: texts whose gradients are large and far from each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from small_text_ext._random import Seed, derived_generator, resolve_seed
from small_text_ext.protocols import EmbeddingClassifier, vectors_and_probabilities
from small_text_ext.query_strategies.context import Indices
from small_text_ext.query_strategies.kmeans import ClassifierVectorStrategy


def gradient_seeds(vectors: ArrayLike, probabilities: ArrayLike, n: int, seed: Seed = 0) -> Indices:
    """Pick rows by k-means++ on the gradients of a classifier's last layer.

    The gradient of a text is the outer product of its vector and of what its predicted label would
    change: probabilities less one at the predicted class. It is large where the classifier is
    unsure, and its direction tells texts apart. Inner products of outer products are products of
    inner products, so that the gradients themselves, of vector length times classes, are never
    made.

    Parameters
    ----------
    vectors : array_like, shape (m, d)
        The classifier's vectors.
    probabilities : array_like, shape (m, C)
        Its class probabilities.
    n : int
        Picks, at most m.
    seed : int, numpy.random.Generator or None, default=0
        Of the draws. The first pick is the largest gradient, whatever the seed.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        Distinct rows, in the order of the picks.

    Raises
    ------
    ValueError
        If shapes disagree, there are fewer than ``n`` rows, or a number is not finite.

    Examples
    --------
    >>> vectors = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    >>> unsure = [[0.5, 0.5], [0.9, 0.1], [0.6, 0.4]]
    >>> gradient_seeds(vectors, unsure, 2).tolist()
    [0, 2]
    """
    rows, change = _checked(vectors, probabilities, n)
    change[np.arange(len(change)), change.argmax(axis=1)] -= 1
    squares = np.einsum("ij,ij->i", rows, rows) * np.einsum("ij,ij->i", change, change)
    generator = derived_generator(resolve_seed(seed))
    picks = np.empty(n, dtype=np.int64)
    picks[0] = squares.argmax()
    nearest = np.full(len(rows), np.inf)
    for number in range(1, n):
        last = picks[number - 1]
        inner = (rows @ rows[last]) * (change @ change[last])
        np.minimum(nearest, np.maximum(squares + squares[last] - 2 * inner, 0), out=nearest)
        nearest[picks[:number]] = 0
        picks[number] = _drawn(nearest, picks[:number], generator)
    return picks


def _checked(
    vectors: ArrayLike, probabilities: ArrayLike, n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = np.asarray(vectors, dtype=np.float64)
    proba = np.array(probabilities, dtype=np.float64)
    if rows.ndim != 2 or proba.ndim != 2 or len(rows) != len(proba):
        raise ValueError(
            f"vectors has shape {rows.shape}, probabilities {proba.shape}: pass (m, d) and (m, C)."
        )
    if not 1 <= n <= len(rows):
        raise ValueError(f"n is {n}, but there are {len(rows)} rows: pass 1 to {len(rows)}.")
    if not (np.isfinite(rows).all() and np.isfinite(proba).all()):
        raise ValueError(
            "vectors or probabilities are not finite: the classifier that made them has diverged. "
            "Lower its learning rate."
        )
    return rows, proba


def _drawn(squares: NDArray[np.float64], taken: Indices, generator: np.random.Generator) -> int:
    """Draw a row in proportion to its squared distance; among duplicates, any that is left."""
    total = squares.sum()
    if total > 0:
        return int(generator.choice(len(squares), p=squares / total))
    return int(generator.choice(np.setdiff1d(np.arange(len(squares)), taken)))


class BADGE(ClassifierVectorStrategy):
    """Pick texts whose gradients are large and far from each other.

    Uncertainty and diversity in one: k-means++ on the gradients that the predicted labels would
    have in the last layer. It embeds every text that it is offered, in one pass: inside AnchorAL,
    SEALS or a random subset that is a subpool.

    Parameters
    ----------
    seed : int, numpy.random.Generator or None, default=None
        The same seed gives the same picks.

    Notes
    -----
    Differences from small-text's BADGE: it takes a seed (that one draws from the operating system,
    so that no run repeats itself), needs no number of classes, and never makes the matrix of all
    gradients, of 1.5 GB for 10,000 texts, 768 dimensions and 25 classes. As in the authors' code
    the first pick is the largest gradient, where small-text draws it, too.

    References
    ----------
    J. T. Ash et al., "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds",
    ICLR 2020.

    Examples
    --------
    >>> str(BADGE(seed=0))
    'BADGE(seed=0)'
    """

    def __init__(self, *, seed: Seed = None) -> None:
        super().__init__(seed)

    def check_labels(self, y: Any) -> None:  # noqa: ANN401
        """Raise a ValueError in a multi-label task, where a text has no one predicted class."""
        if issparse(y):
            raise ValueError(
                "BADGE needs one predicted class a text, and y is multi-label: take another "
                "strategy, such as FineTunedKMeans."
            )

    def choose(
        self,
        clf: EmbeddingClassifier,
        texts: Any,  # noqa: ANN401
        n: int,
        generator: np.random.Generator,
    ) -> Indices:
        """Return the positions of seeds among the gradients, in the order of the picks."""
        num_classes = int(clf.num_classes)  # type: ignore[attr-defined]
        vectors, proba = vectors_and_probabilities(clf, texts, num_classes)
        return gradient_seeds(vectors, proba, n, generator)

    def __str__(self) -> str:
        return f"BADGE(seed={self.seed})"

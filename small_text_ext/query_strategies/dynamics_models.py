"""Cheap models that carry what training made of the labelled texts over to the unlabelled ones.

Each is a linear model of scikit-learn on one vector per text, with targets from the map of the last
fit. Vectors are centred on the labelled ones and scaled to a mean squared length of one, so that a
penalty means the same for a sentence encoder as for the states of a fine-tuned model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression, RidgeCV

from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.pool.roots import root_rows
from small_text_ext.protocols import (
    DynamicsMap,
    EmbeddingClassifier,
    checked_positions,
    dynamics_of,
)
from small_text_ext.query_strategies.context import Indices, QueryContext

# Rows that are read, cast and multiplied at a time: some tens of megabytes.
_BLOCK = 16_384
# Of vectors with a mean squared length of one: from a fit by heart to the mean of the target.
_PENALTIES = np.logspace(-3, 3, 13)
_SHUFFLES = 19

Vectors = NDArray[np.float64]
Predictor = Callable[[Vectors], NDArray[np.float64]]


@dataclass(frozen=True)
class LabeledMap:
    """The map of the last fit, with its items found among the labelled ones.

    Attributes
    ----------
    dynamics : DynamicsMap
        The map.
    items : numpy.ndarray of int64
        For each row of the map, the index into the queried dataset.
    """

    dynamics: DynamicsMap
    items: Indices

    @classmethod
    def of(cls, context: QueryContext) -> Self:
        """Find the items of the classifier's map.

        small-text trains on ``dataset[indices_labeled]`` in that order, and wrappers keep it, so
        the ids of the map are positions in ``indices_labeled``. Some labelled items may be missing:
        those that were split off for validation.

        Parameters
        ----------
        context : QueryContext
            The query.

        Returns
        -------
        LabeledMap
            The map.

        Raises
        ------
        TypeError
            If the classifier has no map.
        ValueError
            If its ids are no positions of labelled items, or its labels not theirs.
        """
        dynamics = dynamics_of(context.clf)
        positions = checked_positions(dynamics, context.y, len(context.labeled))
        return cls(dynamics, context.labeled[positions])


class Representations:
    """One vector per text: frozen ones where they are given, else the classifier's own.

    Parameters
    ----------
    context : QueryContext
        The query.
    embeddings : PoolEmbeddings or None
        Frozen vectors; None asks ``clf.embed``, one forward pass over what is asked for.

    Raises
    ------
    TypeError
        If there are no embeddings and the classifier has no ``embed``.
    ValueError
        If the embeddings belong to another dataset.
    """

    def __init__(self, context: QueryContext, embeddings: PoolEmbeddings | None) -> None:
        if embeddings is None and not isinstance(context.clf, EmbeddingClassifier):
            raise TypeError(
                f"{type(context.clf).__name__} has no embed, and there are no frozen vectors: pass "
                "embeddings, or use a classifier of this package."
            )
        self._context = context
        self._embeddings = embeddings
        self._rows = None if embeddings is None else root_rows(context.dataset, embeddings)

    def of(self, items: Indices) -> NDArray[Any]:
        """Return the vectors of some items.

        Parameters
        ----------
        items : numpy.ndarray of int64, shape (m,)
            Indices into the queried dataset.

        Returns
        -------
        numpy.ndarray of float, shape (m, d)
            Vectors.
        """
        if self._embeddings is not None:
            assert self._rows is not None
            return self._embeddings[self._rows[items]]
        return np.asarray(self._context.clf.embed(self._context.dataset[items]))

    def predict(self, predictor: Predictor, scale: Scale, items: Indices) -> NDArray[np.float64]:
        """Apply a model to many items, block by block.

        Parameters
        ----------
        predictor : callable
            Takes scaled vectors (m, d), returns an array of m rows.
        scale : Scale
            What its vectors were scaled by.
        items : numpy.ndarray of int64, shape (m,)
            Indices into the queried dataset; at least one.

        Returns
        -------
        numpy.ndarray of float64
            m rows.
        """
        return np.concatenate([predictor(scale(self.of(block))) for block in _blocks(items)])


def _blocks(items: Indices) -> Iterator[Indices]:
    return (items[start : start + _BLOCK] for start in range(0, len(items), _BLOCK))


@dataclass(frozen=True)
class Scale:
    """Centres vectors on those it was made from, and divides by their spread.

    Attributes
    ----------
    centre : numpy.ndarray of float64, shape (d,)
        Their mean.
    spread : float
        The root of their mean squared distance to it; 1 where they are all the same.

    Examples
    --------
    >>> Scale.of([[1.0, 0.0], [3.0, 0.0]])([[4.0, 1.0]]).tolist()
    [[2.0, 1.0]]
    """

    centre: NDArray[np.float64]
    spread: float

    @classmethod
    def of(cls, vectors: ArrayLike) -> Self:
        """Measure vectors.

        Parameters
        ----------
        vectors : array_like, shape (n, d)
            At least one.

        Returns
        -------
        Scale
            Theirs.
        """
        rows = np.asarray(vectors, dtype=np.float64)
        centre = rows.mean(axis=0)
        spread = float(np.sqrt(((rows - centre) ** 2).sum(axis=1).mean()))
        return cls(centre, spread if spread > 1e-9 else 1.0)

    def __call__(self, vectors: ArrayLike) -> Vectors:
        """Return vectors, (m, d), on this scale."""
        scaled = np.asarray(vectors, dtype=np.float64) - self.centre
        scaled /= self.spread
        return scaled


def fit_coordinate(vectors: Vectors, target: NDArray[np.float64]) -> tuple[Predictor | None, float]:
    """Fit a ridge regression of a coordinate of the map, its penalty chosen by leave-one-out.

    The best of several penalties predicts noise better than chance half of the time. So the target
    is shuffled nineteen times, always in the same ways, and the regression counts where it predicts
    left-out items better than each of them: by chance that is one time in twenty.

    Parameters
    ----------
    vectors : numpy.ndarray of float64, shape (n, d)
        Scaled vectors.
    target : numpy.ndarray of float64, shape (n,)
        Confidence or variability.

    Returns
    -------
    predictor : callable or None
        Vectors (m, d) to predictions (m,): one matrix product. None where the shuffled targets are
        predicted as well, or left-out items no better than by the mean of the others.
    skill : float
        The share of the variance of left-out items that it explains, at most 1.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> predictor, skill = fit_coordinate(x, 0.5 + 0.4 * x[:, 0])
    >>> predictor(np.array([[0.5]])).round(2).tolist(), skill > 0.99
    ([0.7], True)
    >>> fit_coordinate(x, np.tile([0.2, 0.8, 0.8, 0.2], 5))[0] is None
    True
    """
    rng = np.random.default_rng(len(target))
    shuffled = [rng.permutation(target) for _ in range(_SHUFFLES)]
    # One decomposition for all of them.
    ridge = RidgeCV(alphas=_PENALTIES, alpha_per_target=True)
    model = ridge.fit(vectors, np.stack([target, *shuffled], axis=1))
    # The error of each item by the mean of the others, as the model's is of the others alone.
    left_out = target.var() * (len(target) / (len(target) - 1)) ** 2
    skills = 1 + model.best_score_ / left_out
    if skills[0] <= max(0.0, float(skills[1:].max())):
        return None, float(skills[0])
    weights, offset = model.coef_[0], model.intercept_[0]

    def predicted(rows: Vectors) -> NDArray[np.float64]:
        return np.asarray(rows @ weights + offset)

    return predicted, float(skills[0])


def fit_hard(vectors: Vectors, hard: NDArray[np.bool_], C: float) -> Predictor:
    """Fit a balanced logistic regression of what is hard.

    Parameters
    ----------
    vectors : numpy.ndarray of float64, shape (n, d)
        Scaled vectors.
    hard : numpy.ndarray of bool, shape (n,)
        The target; of both values at least one.
    C : float
        Inverse penalty, as in scikit-learn.

    Returns
    -------
    callable
        Vectors (m, d) to the probability of being hard (m,).
    """
    model = LogisticRegression(C=C, class_weight="balanced", max_iter=1000).fit(vectors, hard)

    def probability(rows: Vectors) -> NDArray[np.float64]:
        return np.asarray(model.predict_proba(rows)[:, 1])

    return probability


def fit_distributions(
    vectors: Vectors,
    targets: NDArray[np.float64],
    multi_label: bool,
    C: float,
) -> Predictor:
    """Fit logistic regression to soft labels.

    It minimises ``C`` times the sum over items of KL(target || prediction), plus half the squared
    norm of the weights (of the one weight vector where there are two classes).

    Parameters
    ----------
    vectors : numpy.ndarray of float64, shape (n, d)
        Scaled vectors.
    targets : numpy.ndarray of float64, shape (n, classes)
        A distribution for each item; in a multi-label task a probability for each class.
    multi_label : bool
        Whether each class has a model of its own.
    C : float
        Inverse penalty, as in scikit-learn.

    Returns
    -------
    callable
        Vectors (m, d) to probabilities (m, classes).

    Examples
    --------
    Equal distributions of opposite items leave nothing to tell them by:

    >>> predictor = fit_distributions(np.array([[1.0], [-1.0]]), np.full((2, 2), 0.5), False, 1.0)
    >>> predictor(np.array([[1.0]])).round(3).tolist()
    [[0.5, 0.5]]
    """
    if not multi_label:
        return _soft_logistic(vectors, targets, C)
    models = [_soft_logistic(vectors, np.stack([1 - p, p], axis=1), C) for p in targets.T]

    def probabilities(rows: Vectors) -> NDArray[np.float64]:
        return np.stack([model(rows)[:, 1] for model in models], axis=1)

    return probabilities


def _soft_logistic(vectors: Vectors, targets: NDArray[np.float64], C: float) -> Predictor:
    """Fit to each item once per class, weighted by its target: the same loss but for a constant."""
    num_items, num_classes = targets.shape
    copies = np.repeat(vectors, num_classes, axis=0)
    labels = np.tile(np.arange(num_classes), num_items)
    model = LogisticRegression(C=C, max_iter=1000).fit(copies, labels, targets.ravel())

    def probabilities(rows: Vectors) -> NDArray[np.float64]:
        return np.asarray(model.predict_proba(rows))

    return probabilities

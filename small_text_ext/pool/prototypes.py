"""Class prototypes: the mean direction of the vectors of each class, and what is near to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

# What a class that was never seen gets, shared with all others; it changes no prediction.
_SMOOTHING = 1e-3


def class_prototypes(
    vectors: NDArray[np.float32],
    held: NDArray[np.bool_],
    weights: NDArray[Any] | None = None,
) -> NDArray[np.float32]:
    """Return the mean direction of each class.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (n, d)
        Unit rows.
    held : numpy.ndarray of bool, shape (n, num_classes)
        Which items are of which class.
    weights : numpy.ndarray of float, shape (n, num_classes), or None, default=None
        How much an item counts in the mean; None counts all alike.

    Returns
    -------
    numpy.ndarray of float32, shape (num_classes, d)
        Unit rows; NaN for a class without items.

    Examples
    --------
    >>> held = np.array([[True, False], [True, False]])
    >>> class_prototypes(np.eye(2, dtype=np.float32), held).round(2)
    array([[0.71, 0.71],
           [ nan,  nan]], dtype=float32)
    """
    factors = np.where(held, 1.0 if weights is None else weights, 0.0).astype(np.float64)
    sums = factors.T @ vectors
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    known = np.asarray(held.any(axis=0))
    return np.where(known[:, None], sums / np.maximum(lengths, 1e-12), np.nan).astype(np.float32)


def held_classes(labels: NDArray[Any], num_classes: int) -> NDArray[np.bool_]:
    """Return labels as a matrix that says which items are of which class.

    Parameters
    ----------
    labels : numpy.ndarray, shape (n,) of int, or (n, num_classes) of zeros and ones
        Labels.
    num_classes : int
        Classes.

    Returns
    -------
    numpy.ndarray of bool, shape (n, num_classes)
        One True in each row, unless multi-label.

    Examples
    --------
    >>> held_classes(np.array([1, 0]), 3).astype(int).tolist()
    [[0, 1, 0], [1, 0, 0]]
    """
    return labels > 0 if labels.ndim == 2 else labels[:, None] == np.arange(num_classes)


@dataclass(frozen=True, eq=False)
class PrototypeModel:
    """Probabilities by class prototypes: a softmax over the cosines with the mean of each class.

    In a multi-label task, a sigmoid of how much closer the mean of the texts with a label is than
    that of those without, with one half where it is halfway between what it is on average for both.

    Parameters
    ----------
    prototypes : numpy.ndarray of float32, shape (num_classes, d)
        The mean directions; NaN for a class that does not occur.
    others : numpy.ndarray of float32, shape (num_classes, d), or None
        In a multi-label task, the mean direction of the texts without each label.
    offsets : numpy.ndarray of float64, shape (num_classes,)
        Added to each class's scaled cosine.
    scale : float
        Cosines are multiplied by it. A small one makes all classes alike, a large one leaves the
        nearest prototype alone.
    """

    prototypes: NDArray[np.float32]
    others: NDArray[np.float32] | None
    offsets: NDArray[np.float64]
    scale: float

    @classmethod
    def of(
        cls,
        vectors: NDArray[np.float32],
        labels: NDArray[Any],
        num_classes: int,
        *,
        weights: NDArray[Any] | None = None,
        scale: float = 16.0,
    ) -> Self:
        """Compute the means.

        Parameters
        ----------
        vectors : numpy.ndarray of float32, shape (n, d)
            Unit rows, at least one.
        labels : numpy.ndarray, shape (n,) of int, or (n, num_classes) of zeros and ones
            Labels.
        num_classes : int
            Classes; not all need to occur.
        weights : numpy.ndarray of float, of the shape of ``labels``, or None, default=None
            How much each label counts. The mean weight of a class is a factor of its odds: how
            often a class occurs is not.
        scale : float, default=16.0
            As above.

        Returns
        -------
        PrototypeModel
            Theirs.

        Examples
        --------
        >>> model = PrototypeModel.of(np.eye(2, dtype=np.float32), np.array([0, 1]), 2)
        >>> model.proba(np.array([[1.0, 1.0], [1.0, 0.0]], dtype=np.float32)).round(2).tolist()
        [[0.5, 0.5], [1.0, 0.0]]
        """
        held = held_classes(labels, num_classes)
        given = np.ones(labels.shape) if weights is None else weights
        factors = np.broadcast_to(given.reshape(len(labels), -1), held.shape)
        prototypes = class_prototypes(vectors, held, factors)
        offsets = np.log(_mean_weights(factors, held))
        if labels.ndim == 1:
            return cls(prototypes, None, offsets, scale)
        others = class_prototypes(vectors, ~held, factors)
        offsets -= np.log(_mean_weights(factors, ~held))
        offsets -= scale * _middle(vectors @ (prototypes - others).T, held)
        return cls(prototypes, others, offsets, scale)

    def proba(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities.

        Parameters
        ----------
        vectors : numpy.ndarray of float32, shape (m, d)
            Unit rows.

        Returns
        -------
        numpy.ndarray of float64, shape (m, num_classes)
            Probabilities; rows sum to one, unless multi-label.
        """
        classes = len(self.prototypes)
        logits = self.scale * (vectors @ self.prototypes.T).astype(np.float64)
        if self.others is None:
            known = np.nan_to_num(logits + self.offsets, nan=-np.inf)
            shares = np.asarray(softmax(known, axis=1)) if len(known) else known
            return np.asarray((shares + _SMOOTHING / classes) / (1 + _SMOOTHING))
        logits += self.offsets - self.scale * (vectors @ self.others.T)
        # Without a text on one side, all are on the other.
        logits = np.where(np.isnan(self.others[:, 0]), np.inf, logits)
        logits = np.where(np.isnan(self.prototypes[:, 0]), -np.inf, logits)
        return np.asarray((expit(logits) + _SMOOTHING / 2) / (1 + _SMOOTHING))


def _mean_weights(factors: NDArray[Any], held: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean weight of the items of each class, NaN where there are none."""
    sums = np.where(held, factors, 0.0).sum(axis=0, dtype=np.float64)
    counts = held.sum(axis=0).astype(np.float64)
    means = np.full(len(counts), np.nan)
    return np.asarray(np.divide(sums, counts, out=means, where=counts > 0))


def _middle(closer: NDArray[np.float32], held: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return, for each label, what is halfway between texts with it and texts without."""
    counts = np.stack([held.sum(axis=0), (~held).sum(axis=0)])
    sums = np.stack([(closer * held).sum(axis=0), (closer * ~held).sum(axis=0)])
    return np.asarray((sums / np.maximum(counts, 1)).mean(axis=0), dtype=np.float64)

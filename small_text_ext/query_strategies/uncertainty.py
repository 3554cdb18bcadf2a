"""How unsure a classifier is of each text: weights in [0, 1], to be joined with other scores."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

UncertaintyMeasure = Literal["margin", "entropy", "least_confidence"]


def uncertainty_weights(
    probabilities: ArrayLike, measure: UncertaintyMeasure = "margin", multi_label: bool = False
) -> NDArray[np.float64]:
    """Return how unsure each prediction is, from 0, sure.

    Parameters
    ----------
    probabilities : array_like of float, shape (m, num_classes)
        Class probabilities, in [0, 1].
    measure : {"margin", "entropy", "least_confidence"}, default="margin"
        "margin": one minus the difference of the two largest. "entropy": of the distribution, as a
        share of the largest possible. "least_confidence": one minus the largest; at most
        ``1 - 1 / num_classes``.
    multi_label : bool, default=False
        Whether classes are independent: then the measures of the binary tasks are averaged.

    Returns
    -------
    numpy.ndarray of float64, shape (m,)
        Weights in [0, 1].

    Raises
    ------
    ValueError
        If the measure is unknown, or the probabilities are none.

    References
    ----------
    B. Settles, "Active Learning Literature Survey", 2009, section 3.1.

    Examples
    --------
    >>> uncertainty_weights([[0.75, 0.25], [0.5, 0.5]]).tolist()
    [0.5, 1.0]
    """
    if measure not in get_args(UncertaintyMeasure):
        raise ValueError(
            f"uncertainty is {measure!r}: pass one of {list(get_args(UncertaintyMeasure))}."
        )
    known = np.asarray(probabilities, dtype=np.float64)
    # A sum that is one but for rounding leaves single probabilities outside by as much.
    if known.ndim != 2 or not ((known >= -1e-6) & (known <= 1 + 1e-6)).all():
        raise ValueError(
            f"probabilities have the shape {known.shape}, or values outside of [0, 1]: pass one "
            "row a text, one column a class."
        )
    known = np.clip(known, 0.0, 1.0)
    if multi_label:
        binary = np.stack([known, 1 - known], axis=-1).reshape(-1, 2)
        return np.asarray(_measured(binary, measure).reshape(known.shape).mean(axis=1))
    return _measured(known, measure)


def _measured(probabilities: NDArray[np.float64], measure: str) -> NDArray[np.float64]:
    num_classes = probabilities.shape[1]
    if num_classes < 2:
        return np.zeros(len(probabilities))  # of one class, every prediction is sure
    if measure == "entropy":
        entropies = -xlogy(probabilities, probabilities).sum(axis=1) / np.log(num_classes)
        return np.asarray(np.clip(entropies, 0.0, 1.0))
    ordered = np.partition(probabilities, -2, axis=1)
    if measure == "margin":
        return np.asarray(1 - (ordered[:, -1] - ordered[:, -2]))
    return np.asarray(1 - ordered[:, -1])

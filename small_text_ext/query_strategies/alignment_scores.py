"""What a text's place among labelled ones says: how far it is from what is known, and how odd."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

PrototypeMeasure = Literal["novelty", "margin"]
Scores = NDArray[np.float64]

# Of a text that the classifier finds impossible for a class, a divergence would be infinite.
_SMALLEST = 1e-12


def prototype_scores(
    vectors: ArrayLike, prototypes: ArrayLike, measure: PrototypeMeasure = "novelty"
) -> Scores:
    """Return how far texts are from the prototypes of all classes, or how much between two.

    Parameters
    ----------
    vectors : array_like of float, shape (m, d)
        Unit rows.
    prototypes : array_like of float, shape (num_classes, d)
        Unit rows, as `class_prototypes` returns them; rows of NaN are left out.
    measure : {"novelty", "margin"}, default="novelty"
        "novelty": one minus the largest cosine, in [0, 2]; what is far from every class may be of
        none that is known. "margin": minus the difference of the two largest, in [-2, 0]; zero is
        halfway between two classes. With fewer than two prototypes no text is between any: all
        have the least score, -2.

    Returns
    -------
    numpy.ndarray of float64, shape (m,)
        Scores.

    Raises
    ------
    ValueError
        If the measure is unknown, shapes do not fit, or there is no prototype.

    Examples
    --------
    >>> vectors = [[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]]
    >>> prototype_scores(vectors, np.eye(2)).round(2).tolist()
    [0.0, 0.2, 1.0]
    >>> prototype_scores(vectors, np.eye(2), "margin").round(2).tolist()
    [-1.0, -0.2, -1.0]
    """
    if measure not in get_args(PrototypeMeasure):
        raise ValueError(f"measure is {measure!r}: pass one of {list(get_args(PrototypeMeasure))}.")
    known, means = np.asarray(vectors), np.asarray(prototypes)
    if known.ndim != 2 or means.ndim != 2 or known.shape[1] != means.shape[1]:
        raise ValueError(
            f"vectors have the shape {known.shape}, prototypes {means.shape}: pass one row a text "
            "and one row a class, of one dimension."
        )
    means = means[~np.isnan(means).any(axis=1)]
    if len(means) == 0:
        raise ValueError("prototypes hold no class: label at least one text first.")
    cosines = np.clip((known @ means.T).astype(np.float64), -1.0, 1.0)
    if measure == "novelty":
        return np.asarray(1.0 - cosines.max(axis=1))
    if len(means) == 1:
        return np.full(len(known), -2.0)
    ordered = np.partition(cosines, -2, axis=1)
    return np.asarray(ordered[:, -2] - ordered[:, -1])


def contrastive_scores(
    neighbors: NDArray[np.int64],
    labeled_probabilities: ArrayLike,
    probabilities: ArrayLike,
    multi_label: bool = False,
) -> Scores:
    """Return how differently the classifier predicts a text and its labelled neighbours.

    Texts that look alike to the model, of which it says different things, lie at its decision
    boundary: the score of contrastive active learning.

    Parameters
    ----------
    neighbors : numpy.ndarray of int64, shape (m, k)
        Of each text, its neighbours, as rows of ``labeled_probabilities``.
    labeled_probabilities : array_like of float, shape (n, num_classes)
        The classifier's probabilities for the labelled texts, not their labels.
    probabilities : array_like of float, shape (m, num_classes)
        Its probabilities for the texts to rate.
    multi_label : bool, default=False
        Whether classes are independent: then the divergences of the binary tasks are summed.

    Returns
    -------
    numpy.ndarray of float64, shape (m,)
        The mean over neighbours of ``KL(neighbour || text)`` in nats, never negative.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Notes
    -----
    A probability of the text below 1e-12 counts as that. The mean divergence is one of a linear
    function of the neighbours' probabilities, so that nothing of shape (m, k, num_classes) is made.

    References
    ----------
    K. Margatina et al., "Active Learning by Acquiring Contrastive Examples", EMNLP 2021.

    Examples
    --------
    >>> contrastive_scores(np.array([[0], [0]]), [[1.0, 0.0]], [[1.0, 0.0], [0.5, 0.5]]).round(3)
    array([0.   , 0.693])
    """
    known = np.asarray(labeled_probabilities, dtype=np.float64)
    present = np.asarray(probabilities, dtype=np.float64)
    fits = known.ndim == present.ndim == neighbors.ndim == 2 and known.shape[1] == present.shape[1]
    if not fits or len(neighbors) != len(present) or neighbors.shape[1] == 0:
        raise ValueError(
            f"neighbors have the shape {neighbors.shape}, labeled_probabilities {known.shape}, "
            f"probabilities {present.shape}: pass at least one neighbour of each text, and the "
            "same classes."
        )
    if multi_label:
        known, present = (np.hstack([p, 1.0 - p]) for p in (known, present))
    negative_entropies = _cross(known, known)
    scores, mean = np.zeros(len(present)), np.zeros(present.shape)
    for column in neighbors.T:
        scores += negative_entropies[column] / neighbors.shape[1]
        mean += known[column] / neighbors.shape[1]
    # Equal distributions leave a rounding error of either sign.
    return np.asarray(np.maximum(scores - _cross(mean, present), 0.0))


def _cross(weights: NDArray[np.float64], probabilities: NDArray[np.float64]) -> Scores:
    """Return the sum of the logarithms of each row's probabilities, weighted."""
    logarithms = np.log(np.maximum(probabilities, _SMALLEST))
    return np.asarray(np.einsum("ij,ij->i", weights, logarithms))

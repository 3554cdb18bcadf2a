"""What the votes of nearest neighbours say of an encoder before it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from small_text_ext.pool.neighbors import (
    Metric,
    Votes,
    checked_matrix,
    knn_votes,
    nearest_neighbors,
)


@dataclass(frozen=True, eq=False)
class KNNEvaluation:
    """What nearest neighbours know of the labels.

    Parameters
    ----------
    accuracy : float
        The share of items whose labels, all of them if multi-label, are predicted.
    micro_f1, macro_f1 : float
        F1 over all labels together, which is the accuracy unless multi-label; and its mean over the
        classes that occur.
    predictions : numpy.ndarray, shape (n,) of int64, or (n, num_classes) of zeros and ones
        What was predicted.
    """

    accuracy: float
    micro_f1: float
    macro_f1: float
    predictions: NDArray[np.int64]


def knn_evaluate(
    embeddings: ArrayLike | Sequence[ArrayLike],
    labels: Any,  # noqa: ANN401 - an array, or a csr_matrix
    k: int = 5,
    leave_one_out: bool = True,
    *,
    metric: Metric = "cosine",
    votes: Votes = "soft",
    break_ties: bool = True,
) -> KNNEvaluation:
    """Predict every item of a labelled set by its neighbours in it: how well an encoder fits.

    Nothing is trained, so that encoders, poolings and layers are compared in seconds.

    Parameters
    ----------
    embeddings : array-like of float, shape (n, d), or a list of several
        Vectors of the items: what `frozen_embeddings` returns, or a `PoolEmbeddings`. Those of
        several encoders are put beside each
        other, by `concatenated`.
    labels : numpy.ndarray or scipy.sparse.csr_matrix
        Class ids (n,), or zeros and ones (n, num_classes).
    k : int, default=5
        Neighbours that vote.
    leave_one_out : bool, default=True
        Whether an item is not its own neighbour. With False it is, and votes for its own label:
        results are too good, and those of ``k=1`` perfect.
    metric : {"cosine", "euclidean"}, default="cosine"
        As in `nearest_neighbors`.
    votes : {"soft", "hard"}, default="soft"
        As in `knn_votes`; soft votes are of cosines.
    break_ties : bool, default=True
        As in `knn_votes`.

    Returns
    -------
    KNNEvaluation
        Accuracy, F1 and predictions.

    Raises
    ------
    ValueError
        If there are fewer than two items to leave one out of, shapes do not fit, or soft votes of
        Euclidean distances are asked for.

    Notes
    -----
    The published tables of the reference are those of ``leave_one_out=False, metric="euclidean",
    votes="hard", break_ties=False``, as far as can be told: an encoder that is not trained has
    results there that only an item's own vote explains. They are not comparable with the default.
    What is compared there is ``frozen_embeddings(model, texts, pooling="cls")``, ``"mean"``, and
    the latter with ``layer_mean=True``, of one encoder or of several in a list.

    The same text twice is two items, which find each other: take duplicates out before.

    Examples
    --------
    >>> vectors = [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]
    >>> knn_evaluate(vectors, np.array([0, 0, 1, 1]), k=1).accuracy
    1.0
    """
    if metric == "euclidean" and votes == "soft":
        raise ValueError(
            "votes is 'soft', which weighs cosines, and metric 'euclidean': pass votes='hard'."
        )
    vectors = concatenated(embeddings)
    known = np.asarray(labels.toarray() if issparse(labels) else labels)
    if known.ndim not in (1, 2) or len(known) != len(vectors):
        raise ValueError(
            f"labels have the shape {known.shape} for {len(vectors)} items: pass class ids (n,), "
            "or zeros and ones (n, num_classes)."
        )
    if known.ndim == 1 and (len(known) == 0 or known.min() < 0 or np.any(known != known // 1)):
        raise ValueError("labels are missing or negative: pass the class ids of labelled items.")
    if known.ndim == 2 and not np.all(np.isfinite(known) & (known >= 0)):
        raise ValueError("labels are negative or not finite: leave items that were ignored out.")
    known = (known > 0).astype(np.int64) if known.ndim == 2 else known.astype(np.int64)
    classes = known.shape[1] if known.ndim == 2 else int(known.max()) + 1
    found = nearest_neighbors(vectors, vectors, k, metric=metric, leave_self_out=leave_one_out)
    proba = knn_votes(found, known, classes, votes=votes, break_ties=break_ties)
    predictions = (proba > 0.5).astype(np.int64) if known.ndim == 2 else proba.argmax(axis=1)
    return _evaluated(known, predictions)


def concatenated(embeddings: ArrayLike | Sequence[ArrayLike]) -> NDArray[np.float32]:
    """Put the vectors of several encoders beside each other, each as it is.

    An encoder of longer vectors counts more: scale rows to length one before to count all alike.

    Parameters
    ----------
    embeddings : array-like of float, shape (n, d), or a list of several
        Vectors of one encoder, which are returned as they are, or of several: two-dimensional
        arrays in a list or tuple.

    Returns
    -------
    numpy.ndarray of float32, shape (n, sum of d)
        One row for each item.

    Raises
    ------
    ValueError
        If the numbers of rows differ, or a part is not two-dimensional.

    Examples
    --------
    >>> concatenated([np.zeros((3, 2)), np.ones((3, 1))]).shape
    (3, 3)
    """
    if isinstance(embeddings, list | tuple) and not embeddings:
        raise ValueError("embeddings are an empty list: pass vectors of one encoder or more.")
    if not isinstance(embeddings, list | tuple) or np.ndim(embeddings[0]) != 2:
        return checked_matrix(embeddings, "embeddings")
    parts = [checked_matrix(part, f"embeddings[{place}]") for place, part in enumerate(embeddings)]
    rows = [len(part) for part in parts]
    if len(set(rows)) != 1:
        raise ValueError(f"embeddings have {rows} rows: pass vectors of the same items.")
    return np.concatenate(parts, axis=1)


def _evaluated(labels: NDArray[np.int64], predictions: NDArray[np.int64]) -> KNNEvaluation:
    from sklearn.metrics import accuracy_score, f1_score

    occurring = np.flatnonzero(labels.any(axis=0)) if labels.ndim == 2 else np.unique(labels)
    macro = f1_score(labels, predictions, labels=occurring, average="macro", zero_division=0)
    return KNNEvaluation(
        accuracy=float(accuracy_score(labels, predictions)),
        micro_f1=float(f1_score(labels, predictions, average="micro", zero_division=0)),
        macro_f1=float(macro),
        predictions=predictions,
    )

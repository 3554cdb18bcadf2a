"""Votes of nearest neighbours, and what they say of an encoder before it is trained.

Distances are exact, and computed in blocks of rows; labelled sets are too small to need an index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from small_text_ext.classifiers.base import check_positive_integer

Metric = Literal["cosine", "euclidean"]
Votes = Literal["soft", "hard"]

_BLOCK_BYTES = 64 * 2**20
# Half of it, a quarter, and so on: less than any vote, and seen in float32.
_TIE_BREAK = 1e-3


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The nearest references of each query, the nearest first.

    Parameters
    ----------
    ids : numpy.ndarray of int64, shape (n, k)
        Rows of the references.
    similarities : numpy.ndarray of float32, shape (n, k)
        Cosines, or distances times -1 if Euclidean.
    """

    ids: NDArray[np.int64]
    similarities: NDArray[np.float32]


def nearest_neighbors(
    queries: ArrayLike,
    references: ArrayLike,
    k: int = 5,
    *,
    metric: Metric = "cosine",
    leave_self_out: bool = False,
    block_bytes: int = _BLOCK_BYTES,
) -> Neighbors:
    """Find the nearest references of each query, exactly.

    Parameters
    ----------
    queries : array-like of float, shape (n, d)
        Vectors.
    references : array-like of float, shape (m, d)
        Vectors, at least one.
    k : int, default=5
        Neighbours of each; all references if there are fewer.
    metric : {"cosine", "euclidean"}, default="cosine"
        "cosine" compares directions; a row of zeros has the cosine 0 with all. "euclidean" compares
        vectors as they are.
    leave_self_out : bool, default=False
        Whether query i is not to find reference i; both are then the same rows.
    block_bytes : int, default=64 MiB
        What a block of the matrix of similarities takes at most.

    Returns
    -------
    Neighbors
        Of equally near references, those of lower rows.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, or there is no reference to be found.

    Examples
    --------
    >>> nearest_neighbors([[1.0, 0.1]], [[0.0, 1.0], [3.0, 0.0]], k=1).ids
    array([[1]])
    """
    check_positive_integer("k", k)
    if metric not in get_args(Metric):
        raise ValueError(f"metric is {metric!r}: pass one of {get_args(Metric)}.")
    left, right = _matrix(queries, "queries"), _matrix(references, "references")
    if left.shape[1] != right.shape[1]:
        raise ValueError(
            f"queries have {left.shape[1]} dimensions, and references {right.shape[1]}: pass "
            "vectors of one encoder."
        )
    if leave_self_out and len(left) != len(right):
        raise ValueError(
            f"leave_self_out with {len(left)} queries and {len(right)} references: pass the same "
            "rows for both."
        )
    available = len(right) - leave_self_out
    if available < 1:
        raise ValueError("references hold no row to be found: pass at least one other row.")
    if metric == "cosine":
        left, right = _unit(left), _unit(right)
    ids = np.empty((len(left), min(k, available)), np.int64)
    similarities = np.empty(ids.shape, np.float32)
    for rows in _blocks(len(left), right.itemsize * len(right), block_bytes):
        block = _similarities(left[rows], right, metric)
        if leave_self_out:
            block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = -np.inf
        ids[rows] = _largest(block, ids.shape[1])
        similarities[rows] = np.take_along_axis(block, ids[rows], axis=1)
    return Neighbors(ids, similarities)


def knn_votes(
    neighbors: Neighbors,
    labels: NDArray[Any],
    num_classes: int,
    *,
    votes: Votes = "soft",
    temperature: float = 0.1,
    smoothing: float = 1e-3,
    weights: NDArray[Any] | None = None,
    break_ties: bool = True,
) -> NDArray[np.float64]:
    """Turn the labels of neighbours into probabilities.

    Parameters
    ----------
    neighbors : Neighbors
        Of each query, in the order of ``labels``.
    labels : numpy.ndarray, shape (m,) of int, or (m, num_classes) of zeros and ones
        Of the references.
    num_classes : int
        Classes; those that no reference has get what ``smoothing`` leaves them.
    votes : {"soft", "hard"}, default="soft"
        "soft" weighs a neighbour by ``exp((similarity - 1) / temperature)``, so that one far away
        hardly counts; "hard" weighs all alike.
    temperature : float, default=0.1
        Of soft votes. A small one leaves the nearest neighbour alone to vote.
    smoothing : float, default=1e-3
        One more vote of so much weight, for all classes alike (in a multi-label task, half for and
        half against each label). It keeps probabilities above zero, changes no prediction, and with
        soft votes makes a query that is far from everything uncertain.
    weights : numpy.ndarray of float, of the shape of ``labels``, or None, default=None
        Factors of the votes.
    break_ties : bool, default=True
        With hard votes: whether of equally many votes those of nearer neighbours win, by less than
        a thousandth of a vote. Otherwise they stay equal, and the lowest class id is predicted.

    Returns
    -------
    numpy.ndarray of float64, shape (n, num_classes)
        Probabilities; rows sum to one, unless multi-label.

    Raises
    ------
    ValueError
        If an option is unknown or out of range.

    Examples
    --------
    >>> found = nearest_neighbors([[1.0, 0.0]], np.eye(2), k=2)
    >>> knn_votes(found, np.array([1, 0]), 2, votes="hard", smoothing=0).round(3)
    array([[0.5, 0.5]])
    >>> knn_votes(found, np.array([1, 0]), 2).round(3)
    array([[0.001, 0.999]])
    """
    if votes not in get_args(Votes):
        raise ValueError(f"votes is {votes!r}: pass one of {get_args(Votes)}.")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}: pass a number above 0.")
    if not smoothing >= 0:
        raise ValueError(f"smoothing is {smoothing}: pass a number of at least 0.")
    similarities = neighbors.similarities.astype(np.float64)
    if votes == "soft":
        strength = np.exp((similarities - 1) / temperature)
    else:
        ranks = np.arange(1, similarities.shape[1] + 1)
        strength = np.broadcast_to(1 + break_ties * _TIE_BREAK * 0.5**ranks, similarities.shape)
    factors = np.ones(labels.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if labels.ndim == 1:
        return _class_shares(neighbors.ids, strength, labels, factors, num_classes, smoothing)
    strengths = strength[:, :, None] * factors[neighbors.ids]
    held = (strengths * (labels[neighbors.ids] > 0)).sum(axis=1)
    return np.asarray((held + smoothing / 2) / (strengths.sum(axis=1) + smoothing))


def _class_shares(
    ids: NDArray[np.int64],
    strength: NDArray[np.float64],
    labels: NDArray[Any],
    factors: NDArray[np.float64],
    num_classes: int,
    smoothing: float,
) -> NDArray[np.float64]:
    cells = np.arange(len(ids))[:, None] * num_classes + labels[ids]
    counted = np.bincount(
        cells.ravel(), (strength * factors[ids]).ravel(), minlength=len(ids) * num_classes
    )
    shares = counted.reshape(len(ids), num_classes) + smoothing / num_classes
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


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
        return _matrix(embeddings, "embeddings")
    parts = [_matrix(part, f"embeddings[{place}]") for place, part in enumerate(embeddings)]
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


def _matrix(vectors: Any, name: str) -> NDArray[np.float32]:  # noqa: ANN401
    array = np.asarray(vectors, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} have the shape {array.shape}: pass one vector per item, (n, d).")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} hold NaN or infinity: embed these items again, or drop them.")
    return array


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to length one, and leave rows of zeros as they are."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), dtype=np.float32)


def _similarities(
    queries: NDArray[np.float32], references: NDArray[np.float32], metric: Metric
) -> NDArray[np.float32]:
    if metric == "cosine":
        return np.asarray(queries @ references.T)
    from scipy.spatial.distance import cdist

    # By differences, not by products: those of long vectors that are close would be lost.
    return np.asarray(-cdist(queries, references), dtype=np.float32)


def _blocks(num_rows: int, row_bytes: int, block_bytes: int) -> Iterator[slice]:
    size = max(1, block_bytes // max(1, row_bytes))
    for start in range(0, num_rows, size):
        yield slice(start, min(start + size, num_rows))


def _largest(values: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the columns of the k largest values of each row, of equal ones the first, in order."""
    columns = np.argpartition(-values, k - 1, axis=1)[:, :k]
    least = np.take_along_axis(values, columns, axis=1).min(axis=1, keepdims=True)
    # Which of several equal ones a partition takes is anybody's guess.
    tied = np.flatnonzero((values >= least).sum(axis=1) > k)
    columns[tied] = np.argsort(-values[tied], axis=1, kind="stable")[:, :k]
    columns.sort(axis=1)
    found = np.take_along_axis(values, columns, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.asarray(np.take_along_axis(columns, order, axis=1), dtype=np.int64)

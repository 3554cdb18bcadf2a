"""Nearest neighbours among labelled vectors, and what their labels say.

Distances are exact, and computed in blocks of rows; labelled sets are too small to need an index.
Strategies and classifiers both build on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    _check_neighbors(k)
    if metric not in get_args(Metric):
        raise ValueError(f"metric is {metric!r}: pass one of {get_args(Metric)}.")
    left, right = checked_matrix(queries, "queries"), checked_matrix(references, "references")
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
        left, right = unit_or_zero_rows(left), unit_or_zero_rows(right)
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
        half against each label). It keeps probabilities above zero and with soft votes makes a
        query that is far from everything uncertain. It changes no prediction, unless votes are too
        small to count beside it: ``exp(-1 / temperature)`` of neighbours at a right angle.
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


def checked_matrix(vectors: Any, name: str) -> NDArray[np.float32]:  # noqa: ANN401
    """Return vectors as a matrix of finite numbers, or say what is wrong with them.

    Parameters
    ----------
    vectors : array-like of float, shape (n, d)
        Vectors.
    name : str
        How the error message calls them.

    Returns
    -------
    numpy.ndarray of float32, shape (n, d)
        The same numbers.

    Raises
    ------
    ValueError
        If they are no matrix, or a value is not finite.
    """
    array = np.asarray(vectors, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} have the shape {array.shape}: pass one vector per item, (n, d).")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} hold NaN or infinity: embed these items again, or drop them.")
    return array


def unit_or_zero_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to length one, and leave rows of zeros as they are.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (n, d)
        Finite vectors, such as a classifier's, which may be zero.

    Returns
    -------
    numpy.ndarray of float32, shape (n, d)
        Unit rows, and rows of zeros.

    Examples
    --------
    >>> unit_or_zero_rows(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32))
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """
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


def _check_neighbors(k: Any) -> None:  # noqa: ANN401
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise TypeError(f"k is {k!r}: pass an integer.")
    if k < 1:
        raise ValueError(f"k is {k}: pass an integer of at least 1.")

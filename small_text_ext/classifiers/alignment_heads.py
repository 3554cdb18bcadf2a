"""Heads on aligned embeddings: from the vectors and labels of a training set to probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from small_text_ext.classifiers.knn import Votes, knn_votes, nearest_neighbors

HeadName = Literal["knn", "prototypes", "logistic"]

# What a class that was never seen gets, shared with all others; it changes no prediction.
_SMOOTHING = 1e-3


@dataclass(frozen=True, eq=False)
class LabeledVectors:
    """The training set as the heads see it.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (n, d)
        Unit rows.
    labels : numpy.ndarray, shape (n,) of int64, or (n, num_classes) of zeros and ones
        Labels.
    weights : numpy.ndarray of float32, of the shape of ``labels``
        Class and sample weights in one.
    num_classes : int
        Classes; not all need to occur.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[Any]
    weights: NDArray[np.float32]
    num_classes: int


class AlignmentHead(Protocol):
    """What every head can do."""

    def fit(self, train: LabeledVectors) -> None:
        """Take over a training set of at least one item."""

    def proba(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities, shape (n, num_classes), of unit rows."""


@dataclass
class KNNHead:
    """The votes of the nearest training texts.

    Parameters
    ----------
    k : int, default=5
        Neighbours that vote.
    votes : {"soft", "hard"}, default="soft"
        As in `small_text_ext.classifiers.knn.knn_votes`.
    temperature : float, default=0.1
        Of soft votes.
    """

    k: int = 5
    votes: Votes = "soft"
    temperature: float = 0.1
    _train: LabeledVectors | None = field(default=None, init=False, repr=False)

    def fit(self, train: LabeledVectors) -> None:
        """Keep the training set."""
        self._train = train

    def proba(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities; see `AlignmentHead`."""
        train = self._train
        assert train is not None
        return knn_votes(
            nearest_neighbors(vectors, train.vectors, self.k),
            train.labels,
            train.num_classes,
            votes=self.votes,
            temperature=self.temperature,
            weights=train.weights,
        )


@dataclass
class PrototypeHead:
    """A softmax over the cosines with the mean of each class.

    In a multi-label task, a sigmoid of how much closer the mean of the texts with a label is than
    that of those without, with one half where it is halfway between what it is on average for both.

    Parameters
    ----------
    scale : float, default=16.0
        Cosines are multiplied by it; as in the prototype loss.

    Notes
    -----
    The mean weight of a class is a factor of its odds: how often a class occurs is not.
    """

    scale: float = 16.0
    prototypes: NDArray[np.float32] | None = field(default=None, init=False, repr=False)
    _others: NDArray[np.float32] | None = field(default=None, init=False, repr=False)
    _log_odds: NDArray[np.float64] | None = field(default=None, init=False, repr=False)

    def fit(self, train: LabeledVectors) -> None:
        """Compute the means; of a class that does not occur they are NaN."""
        labels, classes = train.labels, np.arange(train.num_classes)
        held = labels > 0 if labels.ndim == 2 else labels[:, None] == classes
        weights = np.broadcast_to(train.weights.reshape(len(labels), -1), held.shape)
        self.prototypes, size = _means(train.vectors, held, weights)
        self._others, self._log_odds = None, np.log(size)
        if labels.ndim == 2:
            self._others, others = _means(train.vectors, ~held, weights)
            self._log_odds -= np.log(others) + self.scale * self._middle(train.vectors, held)

    def _middle(self, vectors: NDArray[np.float32], held: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return, for each label, what is halfway between texts with it and texts without."""
        assert self.prototypes is not None
        assert self._others is not None
        closer = vectors @ (self.prototypes - self._others).T
        counts = np.stack([held.sum(axis=0), (~held).sum(axis=0)])
        sums = np.stack([(closer * held).sum(axis=0), (closer * ~held).sum(axis=0)])
        return np.asarray((sums / np.maximum(counts, 1)).mean(axis=0), dtype=np.float64)

    def proba(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities; see `AlignmentHead`."""
        assert self.prototypes is not None
        assert self._log_odds is not None
        classes = len(self.prototypes)
        logits = self.scale * (vectors @ self.prototypes.T).astype(np.float64)
        if self._others is None:
            known = np.nan_to_num(logits + self._log_odds, nan=-np.inf)
            shares = np.asarray(softmax(known, axis=1)) if len(known) else known
            return np.asarray((shares + _SMOOTHING / classes) / (1 + _SMOOTHING))
        logits += self._log_odds - self.scale * (vectors @ self._others.T)
        # Without a text on one side, all are on the other.
        logits = np.where(np.isnan(self._others[:, 0]), np.inf, logits)
        logits = np.where(np.isnan(self.prototypes[:, 0]), -np.inf, logits)
        return np.asarray((expit(logits) + _SMOOTHING / 2) / (1 + _SMOOTHING))


@dataclass
class LogisticHead:
    """Logistic regression on the vectors, one for each label in a multi-label task.

    Parameters
    ----------
    inverse_penalty : float, default=10.0
        scikit-learn's ``C``: more of it fits the labels more closely.
    """

    inverse_penalty: float = 10.0
    _columns: list[_LogisticColumn] = field(default_factory=list, init=False, repr=False)
    _num_classes: int = field(default=0, init=False, repr=False)
    _multi_label: bool = field(default=False, init=False, repr=False)

    def fit(self, train: LabeledVectors) -> None:
        """Fit the regression."""
        self._multi_label = train.labels.ndim == 2
        self._num_classes = train.num_classes
        targets = train.labels.T if self._multi_label else [train.labels]
        weights = train.weights.T if self._multi_label else [train.weights]
        self._columns = [
            _LogisticColumn.of(train.vectors, target.astype(np.int64), weight, self.inverse_penalty)
            for target, weight in zip(targets, weights, strict=True)
        ]

    def proba(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities; see `AlignmentHead`."""
        if self._multi_label:
            held = [column.proba(vectors, 2)[:, 1] for column in self._columns]
            return np.asarray((np.stack(held, axis=1) + _SMOOTHING / 2) / (1 + _SMOOTHING))
        shares = self._columns[0].proba(vectors, self._num_classes)
        return np.asarray((shares + _SMOOTHING / self._num_classes) / (1 + _SMOOTHING))


@dataclass(frozen=True)
class _LogisticColumn:
    """A regression, or the one class that there is."""

    model: Any
    classes: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        vectors: NDArray[np.float32],
        target: NDArray[np.int64],
        weights: NDArray[np.float32],
        inverse_penalty: float,
    ) -> _LogisticColumn:
        from sklearn.linear_model import LogisticRegression

        classes = np.unique(target)
        if len(classes) == 1:
            return cls(None, classes)
        model = LogisticRegression(C=inverse_penalty, max_iter=1000)
        double = vectors.astype(np.float64)
        return cls(model.fit(double, target, sample_weight=weights), classes)

    def proba(self, vectors: NDArray[np.float32], num_classes: int) -> NDArray[np.float64]:
        shares = np.zeros((len(vectors), num_classes))
        if len(vectors):
            double = vectors.astype(np.float64)
            known = 1.0 if self.model is None else self.model.predict_proba(double)
            shares[:, self.classes] = known
        return shares


def _means(
    vectors: NDArray[np.float32], held: NDArray[np.bool_], weights: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return each class's mean direction, and the mean weight of its items; NaN of no items."""
    factors = np.where(held, weights, 0).astype(np.float64)
    sums = factors.T @ vectors
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    counts = held.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        directions = np.where(counts[:, None] > 0, sums / np.maximum(lengths, 1e-12), np.nan)
        return directions.astype(np.float32), factors.sum(axis=0) / counts


_HEADS: Mapping[str, Any] = {"knn": KNNHead, "prototypes": PrototypeHead, "logistic": LogisticHead}
_ARGUMENTS = {"num_neighbors": "k", "votes": "votes"}


def described_head(head: Any) -> Any:  # noqa: ANN401
    """Return name and options of a head of this module, as JSON; another head as it is."""
    for name, kind in _HEADS.items():
        if type(head) is kind:
            options = {part.name: getattr(head, part.name) for part in fields(head) if part.init}
            return {"name": name, **options}
    return head


def restored_head(description: Mapping[str, Any], changes: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return an unfitted head.

    Parameters
    ----------
    description : mapping of str to Any
        What `described_head` returned.
    changes : mapping of str to Any
        Arguments of the classifier that replace those of nearest neighbours.

    Returns
    -------
    AlignmentHead
        The head.
    """
    options = dict(description)
    name = options.pop("name")
    for argument, option in _ARGUMENTS.items():
        if name == "knn" and argument in changes:
            options[option] = changes[argument]
    return _HEADS[name](**options)

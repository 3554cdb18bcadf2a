"""Heads on aligned embeddings: from the vectors and labels of a training set to probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from small_text_ext.pool.neighbors import Votes, knn_votes, nearest_neighbors
from small_text_ext.pool.prototypes import PrototypeModel

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
    _model: PrototypeModel | None = field(default=None, init=False, repr=False)

    @property
    def prototypes(self) -> NDArray[np.float32] | None:
        """The mean directions, NaN for a class that does not occur; None before a fit."""
        return None if self._model is None else self._model.prototypes

    def fit(self, train: LabeledVectors) -> None:
        """Compute the means."""
        self._model = PrototypeModel.of(
            train.vectors,
            train.labels,
            train.num_classes,
            weights=train.weights,
            scale=self.scale,
        )

    def proba(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities; see `AlignmentHead`."""
        assert self._model is not None
        return self._model.proba(vectors)


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

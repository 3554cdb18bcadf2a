"""One fit, judged on the test set as it is, on a development set, and by a second label.

A second label is what else is known of a text: of political bias, which the classifier learns, the
publisher, which correlates with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.frozen_evaluation import draw_development

Labels = NDArray[np.int64]
Rows = NDArray[np.int64]
Vectors = NDArray[np.float32]

SECOND_TASK: Final = "second_task"
"""The parameter of a classifier that also learns, or unlearns, the second label."""


@dataclass(frozen=True)
class SingleFitSettings:
    """How much is held out, and who votes for second labels.

    Parameters
    ----------
    development_share : float, default=0.0
        Share of the pool that is drawn as a development set, and not trained on.
    k : int, default=5
        Neighbours that vote for a second label.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    development_share: float = 0.0
    k: int = 5

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.development_share < 1:
            raise ValueError(
                f"development_share is {self.development_share}: pass a share of at least 0 and "
                "below 1."
            )
        if self.k < 1:
            raise ValueError(f"k is {self.k}: pass at least 1.")

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> SingleFitSettings:
        """Make settings of a method's parameters."""
        return cls(**params)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The pool of a unit, divided into what is trained on and a development set.

    Parameters
    ----------
    pool_set : small_text.data.Dataset
        The pool with its true labels.
    labels : numpy.ndarray of int64, shape (pool,)
        These labels.
    second : numpy.ndarray of int64, shape (pool,), or None
        The second ones.
    train, development : numpy.ndarray of int64
        Sorted positions in the pool.
    """

    pool_set: Any
    labels: Labels
    second: Labels | None
    train: Rows
    development: Rows

    @classmethod
    def drawn(
        cls,
        pool_set: Any,  # noqa: ANN401 - a dataset of small-text
        labels: Labels,
        second: Labels | None,
        share: float,
        seed: int,
    ) -> HeldOut:
        """Draw the development set."""
        return cls(pool_set, labels, second, *draw_development(len(labels), share, seed))

    @property
    def train_set(self) -> Any:  # noqa: ANN401 - a dataset of small-text
        """What is trained on, as a dataset."""
        return self.pool_set[self.train].clone()

    @property
    def development_set(self) -> Any:  # noqa: ANN401 - a dataset of small-text
        """The development set, as a dataset."""
        return self.pool_set[self.development].clone()

    @property
    def train_second(self) -> Labels | None:
        """Second labels of what is trained on."""
        return None if self.second is None else self.second[self.train]


def fit_metrics(
    classifier: Any,  # noqa: ANN401 - a classifier of small-text
    held: HeldOut,
    test_set: Any,  # noqa: ANN401 - a dataset of small-text
    test_labels: Labels,
    settings: SingleFitSettings,
) -> dict[str, float | None]:
    """Judge a fitted classifier.

    Parameters
    ----------
    classifier : small_text.classifiers.Classifier
        Fitted on the training part.
    held : HeldOut
        Both parts.
    test_set : small_text.data.Dataset
        The test set.
    test_labels : numpy.ndarray of int64, shape (test,)
        Its labels.
    settings : SingleFitSettings
        Neighbours.

    Returns
    -------
    dict of str to float
        ``test_accuracy``: of the classifier on the test set as it is, as papers report it, where
        ``accuracy`` of a record is weighed to the mixture of the pool. Where there is a development
        set, ``development_accuracy``; where there are also second labels and the classifier embeds,
        ``second_accuracy``: of the votes of neighbours, equal ones of the nearest training texts by
        cosine, for the second label; ``second_within_accuracy``: the same, where only texts of the
        right class vote; and ``second_floor``: of always the most common second label of the class,
        which is what the former falls to where nothing of the second label is left in the vectors.
        What lies between the two is what they still tell.
    """
    found = {"test_accuracy": _accuracy(classifier, test_set, test_labels)}
    if not len(held.development):
        return found
    truth = held.labels[held.development]
    found["development_accuracy"] = _accuracy(classifier, held.development_set, truth)
    if held.second is None or not hasattr(classifier, "embed"):
        return found
    train = np.asarray(classifier.embed(held.train_set), dtype=np.float32)
    vectors = np.asarray(classifier.embed(held.development_set), dtype=np.float32)
    return {**found, **_second_accuracies(train, vectors, held, held.second, settings.k)}


def _accuracy(classifier: Any, data_set: Any, labels: Labels) -> float | None:  # noqa: ANN401
    return float((np.asarray(classifier.predict(data_set)) == labels).mean())


def _second_accuracies(
    train: Vectors, development: Vectors, held: HeldOut, second: Labels, k: int
) -> dict[str, float | None]:
    known, truth = second[held.train], second[held.development]
    within, floor = np.zeros(len(truth), dtype=bool), np.zeros(len(truth), dtype=bool)
    for label in np.unique(held.labels[held.development]):
        asked = held.labels[held.development] == label
        own = held.labels[held.train] == label
        if own.any():
            votes = _voted(development[asked], train[own], known[own], k)
            within[asked] = votes == truth[asked]
            floor[asked] = np.bincount(known[own]).argmax() == truth[asked]
    return {
        "second_accuracy": float((_voted(development, train, known, k) == truth).mean()),
        "second_within_accuracy": float(within.mean()),
        "second_floor": float(floor.mean()),
    }


def _voted(queries: Vectors, references: Vectors, labels: Labels, k: int) -> Labels:
    from small_text_ext.pool.neighbors import knn_votes, nearest_neighbors

    found = nearest_neighbors(queries, references, k)
    votes = knn_votes(found, labels, int(labels.max()) + 1, votes="hard", break_ties=False)
    return np.asarray(votes.argmax(axis=1), dtype=np.int64)

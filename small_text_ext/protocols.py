"""What strategies may ask of a classifier, as typing Protocols.

Strategies never import classifiers: whatever has these methods will do, small-text's own
classifiers included.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse

from small_text_ext._random import preserved_global_state


@runtime_checkable
class ProbabilisticClassifier(Protocol):
    """A classifier that gives class probabilities."""

    num_classes: int
    multi_label: bool

    def predict_proba(self, data_set: Any, multi_label_threshold: float = 0.5) -> Any:  # noqa: ANN401
        """Return probabilities: dense, or in multi-label tasks sparse above the threshold."""
        ...


@runtime_checkable
class EmbeddingClassifier(Protocol):
    """A classifier that gives one vector per text."""

    def embed(self, data_set: Any, return_proba: bool = False) -> Any:  # noqa: ANN401
        """Return vectors of shape (n, d), and probabilities where asked for."""
        ...


@runtime_checkable
class DynamicsMap(Protocol):
    """What training made of each item it saw: the part of `TrainingDynamics` strategies read."""

    @property
    def ids(self) -> NDArray[Any]:
        """The items: positions in the training set."""
        ...

    @property
    def labels(self) -> NDArray[Any]:
        """Their labels: class ids (items,), or zeros and ones (items, classes)."""
        ...

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        ...

    @property
    def multi_label(self) -> bool:
        """Whether labels are a matrix."""
        ...

    def metrics(self) -> Any:  # noqa: ANN401
        """Return the coordinates, one column a metric, one row an item."""
        ...

    def mean_probabilities(self) -> NDArray[np.float64]:
        """Return the mean predicted distribution of each item, (items, classes)."""
        ...


def dynamics_of(clf: Any) -> DynamicsMap:  # noqa: ANN401
    """Return the training dynamics of a classifier's last fit.

    Parameters
    ----------
    clf : small_text.classifiers.Classifier
        With ``dynamics_`` (a cartography classifier), or with a ``recorder`` that has ``dynamics``
        (any classifier of this package, given a `DynamicsRecorder`).

    Returns
    -------
    DynamicsMap
        The map; its ids are positions in the training set.

    Raises
    ------
    TypeError
        If there is no classifier, or it records no dynamics.
    ValueError
        If its recorder was not told of a fit.
    """
    if clf is None:
        raise TypeError(
            "There is no classifier yet, so nothing is known of its training: initialise the "
            "learner with labels first."
        )
    dynamics = getattr(clf, "dynamics_", None)
    if dynamics is None:
        dynamics = getattr(getattr(clf, "recorder", None), "dynamics", None)
    if dynamics is None and getattr(clf, "classifier_", clf) is None:
        raise ValueError(f"This {type(clf).__name__} is not fitted: call fit first.")
    if dynamics is None:
        raise TypeError(
            f"{type(clf).__name__} has recorded no training dynamics: give a classifier of this "
            "package recorder=DynamicsRecorder(), or wrap its factory in a "
            "CartographyClassificationFactory."
        )
    known: DynamicsMap = dynamics
    return known


def checked_positions(dynamics: DynamicsMap, y: Any, num_labeled: int) -> NDArray[np.int64]:  # noqa: ANN401
    """Return where the items of a map are among the labelled ones, or say why they are not.

    Parameters
    ----------
    dynamics : DynamicsMap
        The map of a fit on what is labelled; some items may be missing, others not.
    y : numpy.ndarray or scipy.sparse.csr_matrix
        The present labels.
    num_labeled : int
        Their number.

    Returns
    -------
    numpy.ndarray of int64
        A position for each item of the map.

    Raises
    ------
    ValueError
        If its ids are no positions, or its labels not the present ones.
    """
    positions = _positions(dynamics, num_labeled)
    _check_labels(dynamics, y, positions)
    return positions


def _positions(dynamics: DynamicsMap, num_labeled: int) -> NDArray[np.int64]:
    ids = np.asarray(dynamics.ids)
    if not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(
            f"The training dynamics have ids of type {ids.dtype}: strategies need those of the fit "
            "that made the classifier, where ids are positions in the training set."
        )
    if len(ids) and (ids.min() < 0 or ids.max() >= num_labeled):
        raise ValueError(
            f"The training dynamics have ids up to {ids.max()}, but {num_labeled} items are "
            "labelled: the classifier was fitted on other labels. Fit it again after labels are "
            "taken back (retrain=True)."
        )
    return ids.astype(np.int64)


def _check_labels(dynamics: DynamicsMap, y: Any, positions: NDArray[np.int64]) -> None:  # noqa: ANN401
    """Compare labels: ids that are shifted, by a custom validation set, show in nothing else."""
    if issparse(y) != dynamics.multi_label:
        raise ValueError(
            f"multi_label is {dynamics.multi_label} for the training dynamics and {issparse(y)} "
            "for the labels: they belong to different tasks."
        )
    if issparse(y):
        theirs = np.zeros((len(positions), dynamics.num_classes), dtype=bool)
        theirs[:, : y.shape[1]] = csr_matrix(y)[positions].toarray() != 0
        differ = (theirs != (np.asarray(dynamics.labels) != 0)).any(axis=1)
    else:
        differ = np.asarray(y)[positions] != np.asarray(dynamics.labels)
    if differ.any():
        raise ValueError(
            f"{int(differ.sum())} of {len(positions)} labels are not those that the training "
            "dynamics were recorded with: the classifier was fitted on other labels. Fit it again "
            "after labels are changed or taken back (retrain=True), and let the classifier split "
            "off its validation set (validation_set_size) instead of passing indices_validation, "
            "which shifts the positions of the training set."
        )


def dense_proba(clf: ProbabilisticClassifier, dataset: Any) -> NDArray[np.float64]:  # noqa: ANN401
    """Return a dense probability for every text and class, in multi-label tasks too.

    small-text's multi-label classifiers return a sparse matrix that drops every entry at or below
    ``multi_label_threshold`` (0.5 by default), which is where rare labels live. A threshold of
    zero keeps them all.

    Parameters
    ----------
    clf : ProbabilisticClassifier
        A fitted classifier.
    dataset : small_text.data.Dataset
        The texts to score.

    Returns
    -------
    numpy.ndarray of float64, shape (n, num_classes)
        Probabilities; rows sum to one in single-label tasks only.
    """
    if clf.multi_label:
        proba = clf.predict_proba(dataset, multi_label_threshold=0.0)
    else:
        proba = clf.predict_proba(dataset)
    return np.asarray(proba.toarray() if issparse(proba) else proba, dtype=np.float64)


def class_probabilities(clf: Any, texts: Any, num_classes: int) -> NDArray[np.float64]:  # noqa: ANN401
    """Return a classifier's probabilities, each in the column of its class.

    Parameters
    ----------
    clf : small_text.classifiers.Classifier
        Fitted. That of a scikit-learn model has no column for a class that it was not taught.
    texts : small_text.data.Dataset
        The texts.
    num_classes : int
        Columns wanted.

    Returns
    -------
    numpy.ndarray of float64, shape (m, num_classes)
        Probabilities; zero for a class that the classifier was not taught.

    Raises
    ------
    TypeError
        If the classifier gives no probabilities.
    ValueError
        If it has more classes.
    """
    if not isinstance(clf, ProbabilisticClassifier):
        raise TypeError(
            f"{type(clf).__name__} gives no class probabilities: pass a classifier with "
            "predict_proba, num_classes and multi_label, such as any of small-text's."
        )
    with preserved_global_state(torch=True):
        found = dense_proba(clf, texts)
    return _in_columns(clf, found, num_classes)


def vectors_and_probabilities(
    clf: Any,  # noqa: ANN401
    texts: Any,  # noqa: ANN401
    num_classes: int,
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return a classifier's vectors and probabilities: in one pass, in single-label tasks.

    In multi-label tasks it is two: what comes with the vectors lacks small probabilities.

    Parameters
    ----------
    clf : small_text.classifiers.Classifier
        Fitted, with ``embed``.
    texts : small_text.data.Dataset
        The texts.
    num_classes : int
        Columns wanted.

    Returns
    -------
    vectors : numpy.ndarray of float, shape (m, d)
        What ``embed`` returns.
    probabilities : numpy.ndarray of float64, shape (m, num_classes)
        As `class_probabilities` returns them.

    Raises
    ------
    ValueError
        If the classifier has more classes.
    """
    with preserved_global_state(torch=True):
        if clf.multi_label:
            return np.asarray(clf.embed(texts)), class_probabilities(clf, texts, num_classes)
        vectors, found = clf.embed(texts, return_proba=True)
    return np.asarray(vectors), _in_columns(clf, np.asarray(found, np.float64), num_classes)


def _in_columns(clf: Any, found: NDArray[np.float64], num_classes: int) -> NDArray[np.float64]:  # noqa: ANN401
    """Put each column of probabilities in the place of its class."""
    columns = found.shape[1]
    if columns > num_classes:
        raise ValueError(
            f"{type(clf).__name__} has probabilities for {columns} classes, and the task has "
            f"{num_classes}: pass one that was made for the same classes."
        )
    if columns == num_classes:
        return found
    classes = getattr(getattr(clf, "model", None), "classes_", np.arange(columns))
    aligned = np.zeros((len(found), num_classes))
    aligned[:, np.asarray(classes).astype(np.int64)] = found
    return aligned

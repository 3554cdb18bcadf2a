"""What strategies may ask of a classifier, as typing Protocols.

Strategies never import classifiers: whatever has these methods will do, small-text's own
classifiers included.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse


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

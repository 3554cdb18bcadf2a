from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from small_text import SklearnClassifier, SklearnDataset

from small_text_ext import MLPClassification, MLPModelArguments
from small_text_ext.protocols import (
    EmbeddingClassifier,
    ProbabilisticClassifier,
    class_probabilities,
    dense_proba,
    vectors_and_probabilities,
)

VECTORS = np.random.default_rng(0).normal(size=(60, 5))
SINGLE = (VECTORS[:, 0] > 0).astype(int)
SEVERAL = csr_matrix((VECTORS[:, :3] > 0.3).astype(int))


@pytest.mark.parametrize("kind", ["mlp", "sklearn"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_probabilities_are_dense_and_complete(kind: str, multi_label: bool) -> None:
    y, num_classes = (SEVERAL, 3) if multi_label else (SINGLE, 2)
    dataset = SklearnDataset(VECTORS, y, target_labels=np.arange(num_classes))
    clf = (
        MLPClassification(MLPModelArguments(), num_classes, multi_label, seed=0)
        if kind == "mlp"
        else SklearnClassifier(LogisticRegression(), num_classes, multi_label)
    )
    clf.fit(dataset)
    proba = dense_proba(clf, dataset)
    assert isinstance(proba, np.ndarray)
    assert proba.shape == (60, num_classes)
    # What the host's sparse form drops is there: probabilities of at most one half.
    assert ((proba > 0) & (proba <= 0.5)).any()


def test_protocols_are_met() -> None:
    clf = MLPClassification(MLPModelArguments(), 2, seed=0)
    assert isinstance(clf, ProbabilisticClassifier)
    assert isinstance(clf, EmbeddingClassifier)
    assert not isinstance(SklearnClassifier(LogisticRegression(), 2), EmbeddingClassifier)


@pytest.mark.parametrize("multi_label", [False, True])
def test_vectors_come_with_complete_probabilities(multi_label: bool) -> None:
    y, num_classes = (SEVERAL, 3) if multi_label else (SINGLE, 2)
    dataset = SklearnDataset(VECTORS, y, target_labels=np.arange(num_classes))
    clf = MLPClassification(MLPModelArguments(), num_classes, multi_label, seed=0)
    clf.fit(dataset)
    vectors, proba = vectors_and_probabilities(clf, dataset, num_classes)
    np.testing.assert_array_equal(vectors, clf.embed(dataset))
    np.testing.assert_allclose(proba, class_probabilities(clf, dataset, num_classes), atol=1e-7)
    assert ((proba > 0) & (proba <= 0.5)).any()
    assert vectors_and_probabilities(clf, dataset, 5)[1].shape == (60, 5)
    with pytest.raises(ValueError, match="and the task has 1"):
        vectors_and_probabilities(clf, dataset, 1)

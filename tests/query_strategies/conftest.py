from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from small_text import Classifier, SklearnDataset, prediction_result

from small_text_ext.pool.vectors import unit_rows


class CountingClassifier(Classifier):
    """A real logistic regression that notes the rows it was asked about."""

    def __init__(self, num_classes: int = 2, multi_label: bool = False) -> None:
        self.num_classes = num_classes
        self.multi_label = multi_label
        self.seen: list[NDArray[Any]] = []

    def fit(self, train_set: Any, weights: Any = None) -> CountingClassifier:  # noqa: ANN401
        self.model = LogisticRegression(C=10).fit(train_set.x, train_set.y, weights)
        return self

    def predict(self, data_set: Any, return_proba: bool = False) -> Any:  # noqa: ANN401
        proba = self.predict_proba(data_set)
        return prediction_result(proba, False, self.num_classes, return_proba=return_proba)

    def predict_proba(self, data_set: Any, multi_label_threshold: float = 0.5) -> Any:  # noqa: ANN401
        self.seen.append(np.asarray(data_set.x))
        proba = np.zeros((len(data_set), self.num_classes))
        proba[:, self.model.classes_] = self.model.predict_proba(data_set.x)
        return proba

    def embed(self, data_set: Any, return_proba: bool = False) -> Any:  # noqa: ANN401
        proba = self.predict_proba(data_set)
        return (np.asarray(data_set.x), proba) if return_proba else np.asarray(data_set.x)


@dataclass
class Pool:
    """A clustered pool with a class of three per cent, and a first set of labels."""

    vectors: NDArray[np.float32]
    truth: NDArray[np.int64]
    labeled: NDArray[np.int64]
    clf: CountingClassifier = field(default_factory=CountingClassifier)

    @property
    def dataset(self) -> SklearnDataset:
        return SklearnDataset(self.vectors, self.truth, target_labels=np.arange(2))

    @property
    def unlabeled(self) -> NDArray[np.int64]:
        return np.setdiff1d(np.arange(len(self.vectors)), self.labeled)

    @property
    def y(self) -> NDArray[np.int64]:
        return self.truth[self.labeled]

    def query(self, strategy: Any, n: int = 10, **changes: Any) -> NDArray[np.int64]:  # noqa: ANN401
        arguments = {
            "clf": self.clf,
            "dataset": self.dataset,
            "indices_unlabeled": self.unlabeled,
            "indices_labeled": self.labeled,
            "y": self.y,
            **changes,
        }
        picks: NDArray[np.int64] = strategy.query(**arguments, n=n)
        return picks


@pytest.fixture
def pool() -> Pool:
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(30, 16))
    cluster = generator.integers(30, size=1500)
    vectors = unit_rows(centers[cluster] + 0.5 * generator.normal(size=(1500, 16)))
    truth = (cluster == 7).astype(np.int64)
    positives, negatives = np.flatnonzero(truth == 1)[:5], np.flatnonzero(truth == 0)[:45]
    made = Pool(vectors, truth, np.concatenate([positives, negatives]))
    made.clf.fit(made.dataset[made.labeled])
    return made

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from small_text import (
    LeastConfidence,
    PoolBasedActiveLearner,
    RandomSampling,
    SklearnClassifierFactory,
    SklearnDataset,
    SubsamplingQueryStrategy,
    TextDataset,
)

from benchmarks.measured import (
    MeasuredClassifier,
    MeasuredFactory,
    MeasuredStrategy,
    Stopwatch,
    num_items,
)


class SlowClassifier(LogisticRegression):
    def fit(
        self, x: NDArray[np.float64], y: NDArray[np.int64], sample_weight: None = None
    ) -> object:
        time.sleep(0.05)
        return super().fit(x, y)


def run_one_round(strategy: object) -> tuple[MeasuredStrategy, Stopwatch]:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(60, 3)), np.arange(60) % 2
    watch = Stopwatch()
    measured = MeasuredStrategy(strategy, watch)
    factory = MeasuredFactory(SklearnClassifierFactory(SlowClassifier(), 2), watch)
    dataset = SklearnDataset(x, y, target_labels=np.arange(2))
    learner = PoolBasedActiveLearner(factory, measured, dataset)
    learner.initialize(np.arange(10))
    picks = learner.query(num_samples=5)
    learner.update(y[picks])
    return measured, watch


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (RandomSampling(), 0),
        (LeastConfidence(), 60),
        (SubsamplingQueryStrategy(LeastConfidence(), subsample_size=20), 30),
    ],
)
def test_the_texts_that_a_query_scores_are_counted(strategy: object, expected: int) -> None:
    assert run_one_round(strategy)[0].rows_scored == expected


def test_fits_and_queries_are_timed_apart() -> None:
    seconds = run_one_round(RandomSampling())[1].take()
    assert seconds["fit"] >= 0.1, "two fits that sleep"
    assert seconds["query"] < seconds["fit"]


class Embedder:
    """A classifier that takes its time to score and to embed."""

    def predict_proba(self, data_set: TextDataset) -> NDArray[np.float64]:
        time.sleep(0.02)
        return np.full((len(data_set), 2), 0.5)

    def embed(self, data_set: TextDataset, return_proba: bool = False) -> NDArray[np.float64]:
        time.sleep(0.03)
        return np.zeros((len(data_set), 3))

    def fails(self, data_set: TextDataset) -> None:
        raise RuntimeError


class EmbedsAndScores:
    """What small-text's AnchorSubsampling asks of a classifier: both, of everything."""

    def query(self, clf: MeasuredClassifier, dataset: TextDataset) -> None:
        clf.embed(dataset)
        clf.predict_proba(dataset[np.arange(4)])


def test_texts_that_are_embedded_are_counted_and_timed_too() -> None:
    dataset = TextDataset(["a"] * 7, np.zeros(7, dtype=np.int64), target_labels=np.arange(2))
    watch = Stopwatch()
    classifier = MeasuredClassifier(Embedder(), watch)
    measured = MeasuredStrategy(EmbedsAndScores(), watch)
    classifier.predict_proba(dataset)  # an evaluation is no part of a query
    for _ in range(2):
        measured.query(classifier, dataset)
        assert measured.rows_scored == 7 + 4
        assert measured.seconds_scoring >= 0.05
    assert watch.take()["query"] >= 2 * 0.05


class Counting(TextDataset):
    """A dataset that knows how often its texts were taken out."""

    taken = 0

    @property
    def x(self) -> list[str]:
        self.taken += 1
        texts: list[str] = self._x
        return texts


def test_a_view_is_counted_without_its_texts() -> None:
    dataset = Counting(["a"] * 9, np.zeros(9, dtype=np.int64), target_labels=np.arange(2))
    view = dataset[np.array([5, 1, 3])]
    dataset.taken = 0
    assert num_items(view) == 3
    assert num_items(view[np.array([2, 0])]) == 2
    assert dataset.taken == 0


@pytest.mark.parametrize("selection", [slice(2, 5), [1, 2, 4], np.array([True, False] * 3), 3])
def test_every_view_is_as_long_as_its_items(selection: object) -> None:
    x = np.arange(12, dtype=np.float64).reshape(6, 2)
    dataset = SklearnDataset(x, np.zeros(6, dtype=np.int64), target_labels=np.arange(2))
    assert num_items(dataset) == 6
    assert num_items(dataset[selection]) == len(dataset[selection])


def test_what_is_not_measured_is_passed_on() -> None:
    factory = MeasuredFactory(SklearnClassifierFactory(LogisticRegression(), 2), Stopwatch())
    classifier = factory.new()
    assert classifier.num_classes == 2
    assert not hasattr(classifier, "embed")

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
)

from benchmarks.measured import MeasuredFactory, MeasuredStrategy, Stopwatch


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


def test_what_is_not_measured_is_passed_on() -> None:
    factory = MeasuredFactory(SklearnClassifierFactory(LogisticRegression(), 2), Stopwatch())
    classifier = factory.new()
    assert classifier.num_classes == 2
    assert not hasattr(classifier, "embed")

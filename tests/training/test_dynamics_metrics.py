"""Coordinates against an implementation that does one item and one epoch at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from small_text_ext.training import dynamics_metrics
from small_text_ext.training.dynamics import TrainingDynamics
from small_text_ext.training.dynamics_metrics import (
    forgetting_events,
    map_regions,
    mean_probabilities,
)

TOLERANCE = 1e-6


def softmax(scores: list[float]) -> list[float]:
    exponentials = [math.exp(score - max(scores)) for score in scores]
    return [value / sum(exponentials) for value in exponentials]


def forgetfulness(correct: list[bool]) -> int:
    """Follow the published definition step by step."""
    if not any(correct):
        return 1000
    learnt, forgotten = False, 0
    for is_correct in correct:
        if learnt and not is_correct:
            forgotten += 1
        learnt = is_correct
    return forgotten


def slow_metrics(
    logits: NDArray[np.float64], labels: list[int], interval: bool = False
) -> pd.DataFrame:
    rows = []
    for item, label in enumerate(labels):
        of_item = [list(map(float, epoch[item])) for epoch in logits]
        gold = [softmax(scores)[label] for scores in of_item]
        correct = [max(range(len(s)), key=s.__getitem__) == label for s in of_item]
        mean = sum(gold) / len(gold)
        variance = sum((p - mean) ** 2 for p in gold) / len(gold)
        if interval:
            variance += variance**2 / (len(gold) - 1)
        margins = [s[label] - max(v for c, v in enumerate(s) if c != label) for s in of_item]
        errors = [
            math.sqrt(sum((p - (c == label)) ** 2 for c, p in enumerate(softmax(s))))
            for s in of_item
        ]
        entropies = [-sum(p * math.log(p) for p in softmax(s) if p > 0) for s in of_item]
        rows.append(
            {
                "guid": item,
                "index": item,
                "threshold_closeness": mean * (1 - mean),
                "confidence": mean,
                "variability": math.sqrt(variance),
                "correctness": sum(correct),
                "forgetfulness": forgetfulness(correct),
                "correctness_fraction": sum(correct) / len(correct),
                "never_learnt": not any(correct),
                "aum": sum(margins) / len(margins),
                "el2n": sum(errors) / len(errors),
                "entropy": sum(entropies) / len(entropies),
            }
        )
    return pd.DataFrame(rows)


def random_dynamics(
    num_epochs: int = 6, num_items: int = 300, num_classes: int = 3, seed: int = 0
) -> tuple[NDArray[np.float64], list[int]]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=(num_epochs, num_items, num_classes))
    return logits, rng.integers(num_classes, size=num_items).tolist()


@pytest.mark.parametrize("num_classes", [2, 3, 20])
@pytest.mark.parametrize("num_epochs", [1, 2, 6])
def test_metrics_equal_those_of_one_item_at_a_time(num_classes: int, num_epochs: int) -> None:
    logits, labels = random_dynamics(num_epochs, 200, num_classes)
    given = TrainingDynamics.from_logits(logits, labels).metrics()
    expected = slow_metrics(logits, labels)
    assert list(given.columns) == list(expected.columns)
    for name in expected.columns:
        np.testing.assert_allclose(
            given[name].astype(float), expected[name].astype(float), atol=TOLERANCE, err_msg=name
        )


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = random_dynamics()
    dynamics = TrainingDynamics.from_logits(logits, labels)
    whole = dynamics.metrics()
    monkeypatch.setattr(dynamics_metrics, "_BLOCK_ELEMENTS", 7 * 6 * 3)
    pd.testing.assert_frame_equal(dynamics.metrics(), whole)
    means = mean_probabilities(logits, multi_label=False)
    monkeypatch.undo()
    np.testing.assert_allclose(means, mean_probabilities(logits, multi_label=False))


def test_huge_logits_stay_finite() -> None:
    logits = np.array([[[1e4, -1e4], [-1e4, 1e4]]] * 2)
    metrics = TrainingDynamics.from_logits(logits, [0, 0]).metrics()
    assert metrics["confidence"].tolist() == [1.0, 0.0]
    assert np.isfinite(metrics.drop(columns=["guid"]).astype(float).to_numpy()).all()


def test_variability_is_at_most_that_of_a_coin() -> None:
    logits, labels = random_dynamics()
    metrics = TrainingDynamics.from_logits(logits, labels).metrics()
    bound = np.sqrt(metrics["threshold_closeness"])
    assert (metrics["variability"] <= bound + 1e-12).all()


def test_burn_out_takes_the_first_epochs() -> None:
    logits, labels = random_dynamics()
    dynamics = TrainingDynamics.from_logits(logits, labels)
    first = TrainingDynamics.from_logits(logits[:2], labels)
    pd.testing.assert_frame_equal(dynamics.metrics(burn_out=2), first.metrics())
    pd.testing.assert_frame_equal(dynamics.metrics(burn_out=100), dynamics.metrics())
    for name, rows in dynamics.regions(burn_out=2).items():
        assert rows.tolist() == first.regions()[name].tolist()
    assert (dynamics.mean_probabilities(2) == first.mean_probabilities()).all()
    with pytest.raises(ValueError, match="burn_out is 0"):
        dynamics.metrics(burn_out=0)


def test_confidence_interval_enlarges_the_variance() -> None:
    logits, labels = random_dynamics()
    dynamics = TrainingDynamics.from_logits(logits, labels)
    given = dynamics.metrics(confidence_interval=True)["variability"]
    expected = slow_metrics(logits, labels, interval=True)["variability"]
    np.testing.assert_allclose(given, expected, atol=TOLERANCE)
    with pytest.raises(ValueError, match="two epochs"):
        dynamics.metrics(burn_out=1, confidence_interval=True)


@pytest.mark.parametrize(
    ("trend", "expected"),
    [([1, 0, 1, 0], 2), ([0, 0, 0], 1000), ([0, 1, 1], 0), ([1], 0), ([0], 1000), ([1, 1, 0], 1)],
)
def test_forgetting_is_counted_as_published(trend: list[int], expected: int) -> None:
    correct = np.array(trend, dtype=bool)[:, None]
    assert forgetting_events(correct).tolist() == [expected] == [forgetfulness(list(correct[:, 0]))]


def test_ties_of_logits_go_to_the_first_class() -> None:
    metrics = TrainingDynamics.from_logits([[[1.0, 1.0], [1.0, 1.0]]], [0, 1]).metrics()
    assert metrics["correctness"].tolist() == [1, 0]


def test_multi_label_is_the_documented_generalisation() -> None:
    rng = np.random.default_rng(3)
    logits, labels = rng.normal(size=(4, 50, 3)), rng.integers(0, 2, size=(50, 3))
    metrics = TrainingDynamics.from_logits(logits, labels).metrics()
    for item in range(50):
        gold, correct, margins, entropies, errors = [], 0, [], [], []
        for epoch in range(4):
            p = 1 / (1 + np.exp(-logits[epoch, item]))
            truth = labels[item]
            gold.append(np.mean(np.where(truth == 1, p, 1 - p)))
            correct += bool(((p > 0.5) == (truth == 1)).all())
            margins.append(np.mean(logits[epoch, item] * (2 * truth - 1)))
            entropies.append(np.mean(-p * np.log(p) - (1 - p) * np.log(1 - p)))
            errors.append(np.linalg.norm(p - truth))
        row = metrics.iloc[item]
        expected = {
            "confidence": np.mean(gold),
            "variability": np.std(gold),
            "correctness": correct,
            "aum": np.mean(margins),
            "entropy": np.mean(entropies),
            "el2n": np.mean(errors),
        }
        for name, value in expected.items():
            assert float(row[name]) == pytest.approx(float(value), abs=TOLERANCE), name


def frame(confidence: list[float], variability: list[float]) -> dict[str, Any]:
    return {"confidence": confidence, "variability": variability}


def test_regions_are_rankings_that_overlap() -> None:
    metrics = frame([0.9, 0.2, 0.1, 0.8, 0.5, 0.5], [0.0, 0.3, 0.2, 0.1, 0.1, 0.1])
    regions = {name: rows.tolist() for name, rows in map_regions(metrics, 1 / 3).items()}
    assert regions == {"easy": [0, 3], "ambiguous": [1, 2], "hard": [2, 1]}


def test_exclusive_regions_share_nothing_and_keep_the_best_of_each() -> None:
    rng = np.random.default_rng(0)
    metrics = frame(rng.random(100).tolist(), rng.random(100).tolist())
    regions = map_regions(metrics, 0.2, exclusive=True)
    together = np.concatenate(list(regions.values()))
    assert len(np.unique(together)) == len(together) == 60
    overlapping = map_regions(metrics, 0.2)
    assert regions["ambiguous"][0] == overlapping["ambiguous"][0]
    confidence = np.array(metrics["confidence"])
    assert confidence[regions["easy"]].min() > confidence[regions["hard"]].max()


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1])
def test_regions_refuse_a_fraction_that_is_none(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction is"):
        map_regions(frame([0.1, 0.2], [0.1, 0.2]), fraction)


def test_exclusive_regions_are_at_most_thirds() -> None:
    with pytest.raises(ValueError, match="three regions"):
        map_regions(frame([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]), 0.5, exclusive=True)
    regions = map_regions(frame([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]), 1 / 3, exclusive=True)
    assert [len(rows) for rows in regions.values()] == [1, 1, 1]

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    precision_recall_fscore_support,
)

from benchmarks.metrics import (
    CLASS_METRICS,
    evaluate_predictions,
    expected_calibration_error,
    prior_weights,
    unweighted_metrics,
)

NAMES = ["rest", "radio", "video"]


def _predictions(counts: list[int], seed: int = 0) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    """Return labels and probabilities with errors, ties included."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    rng.shuffle(labels)
    logits = rng.normal(size=(len(labels), len(counts))).round(1)
    logits[np.arange(len(labels)), labels] += 1.0
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, proba


def _slow_calibration_error(
    correct: NDArray[np.bool_], top: NDArray[np.float64], weight: NDArray[np.float64]
) -> float:
    error = 0.0
    for number in range(15):
        inside = (top > number / 15) & (top <= (number + 1) / 15)
        if weight[inside].sum() > 0:
            accuracy = np.average(correct[inside], weights=weight[inside])
            confidence = np.average(top[inside], weights=weight[inside])
            error += weight[inside].sum() / weight.sum() * abs(accuracy - confidence)
    return error


def test_weighting_to_the_pool_equals_repeating_the_items() -> None:
    counts, repeats = [40, 30, 20], np.array([6, 2, 1])
    labels, proba = _predictions(counts)
    metrics, per_class = evaluate_predictions(
        labels, proba, class_names=NAMES, minority=[1, 2], pool_prior=counts * repeats
    )
    repeated = np.repeat(np.arange(len(labels)), repeats[labels])
    truth, scores = labels[repeated], proba[repeated]
    predicted = scores.argmax(axis=1)
    reference = precision_recall_fscore_support(truth, predicted, zero_division=0)
    for c, name in enumerate(NAMES):
        expected = [*(values[c] for values in reference[:3])]
        expected.append(average_precision_score(truth == c, scores[:, c]))
        assert [per_class[name][key] for key in CLASS_METRICS] == pytest.approx(expected)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert metrics["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert metrics["ece"] == pytest.approx(
        _slow_calibration_error(predicted == truth, scores.max(axis=1), np.ones(len(truth)))
    )


def test_equal_mixtures_give_the_unweighted_numbers() -> None:
    labels, proba = _predictions([50, 30, 20])
    _, per_class = evaluate_predictions(
        labels, proba, class_names=NAMES, minority=[1], pool_prior=[0.5, 0.3, 0.2]
    )
    for c, name in enumerate(NAMES):
        expected = average_precision_score(labels == c, proba[:, c])
        assert per_class[name]["average_precision"] == pytest.approx(expected)


def test_the_rarer_the_class_the_lower_its_precision_and_never_its_recall() -> None:
    # 9 of 10 positives found, 1 of 100 negatives taken for one.
    labels = np.repeat([0, 1], [100, 10])
    wanted = np.r_[np.zeros(99), 1, np.ones(9), 0] * 0.8 + 0.1
    proba = np.column_stack([1 - wanted, wanted])
    found = {}
    for prior in (0.5, 0.001):
        metrics, _ = evaluate_predictions(
            labels, proba, class_names=NAMES[:2], minority=[1], pool_prior=[1 - prior, prior]
        )
        found[prior] = metrics["minority_precision"], metrics["minority_recall"]
    assert found[0.5] == pytest.approx((0.9 / 0.91, 0.9))
    assert found[0.001] == pytest.approx((0.0009 / (0.0009 + 0.00999), 0.9))


def test_minority_values_are_plain_means_over_the_minority_classes() -> None:
    labels, proba = _predictions([40, 30, 20])
    metrics, per_class = evaluate_predictions(
        labels, proba, class_names=NAMES, minority=[1, 2], pool_prior=[0.9, 0.08, 0.02]
    )
    for name in CLASS_METRICS:
        values = [per_class["radio"][name], per_class["video"][name]]
        assert metrics[f"minority_{name}"] == pytest.approx(np.mean(np.asarray(values, float)))


@pytest.mark.parametrize("prior", [[0.6, 0.3, 0.1], [0.6, 0.4, 0.0]])
def test_a_class_that_is_not_tested_has_no_value(prior: list[float]) -> None:
    labels, proba = _predictions([40, 30, 0])
    metrics, per_class = evaluate_predictions(
        labels, proba, class_names=NAMES, minority=[1, 2], pool_prior=prior
    )
    assert per_class["video"] == dict.fromkeys(CLASS_METRICS)
    assert metrics["minority_f1"] == per_class["radio"]["f1"]
    f1 = [per_class[name]["f1"] for name in ("rest", "radio")]
    assert metrics["macro_f1"] == pytest.approx(np.mean(np.asarray(f1, float)))


def test_a_class_with_no_mass_in_the_pool_has_no_value() -> None:
    labels, proba = _predictions([40, 30, 20])
    _, per_class = evaluate_predictions(
        labels, proba, class_names=NAMES, minority=[1], pool_prior=[0.9, 0.1, 0.0]
    )
    assert per_class["video"] == dict.fromkeys(CLASS_METRICS)
    assert per_class["radio"]["f1"] is not None


def test_no_minority_class_means_no_minority_value() -> None:
    labels, proba = _predictions([40, 30, 20])
    metrics, _ = evaluate_predictions(
        labels, proba, class_names=NAMES, minority=[], pool_prior=[1, 1, 1]
    )
    assert metrics["minority_f1"] is None and metrics["macro_f1"] is not None


def test_a_class_that_is_never_predicted_scores_zero_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, per_class = evaluate_predictions(
            [0, 0, 1],
            [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]],
            class_names=NAMES[:2],
            minority=[1],
            pool_prior=[0.9, 0.1],
        )
    assert per_class["radio"] == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "average_precision": pytest.approx(1.0),
    }


def test_calibration_error_agrees_with_a_loop_over_bins() -> None:
    labels, proba = _predictions([200, 100, 50], seed=3)
    top, correct = proba.max(axis=1), proba.argmax(axis=1) == labels
    weight = np.random.default_rng(1).random(len(top))
    expected = _slow_calibration_error(correct, top, weight)
    assert expected > 0.01
    assert expected_calibration_error(correct, top, weight) == pytest.approx(expected)


def test_calibration_error_of_known_bins() -> None:
    # Bin of 0.5: accuracy 1, misses by 0.5; bin of 1.0: accuracy 0.5, misses by 0.5; 0.0 is kept.
    error = expected_calibration_error([True, True, False, False], [0.5, 1.0, 1.0, 0.0])
    assert error == pytest.approx(0.25 * 0.5 + 0.5 * 0.5 + 0.25 * 0.0)


def test_prior_weights_take_counts_and_sum_to_the_number_of_items() -> None:
    labels = np.repeat([0, 1], [30, 70])
    weights = prior_weights(labels, [990, 10], 2)
    assert weights.sum() == pytest.approx(100)
    assert weights[labels == 1].sum() == pytest.approx(1.0)
    assert prior_weights(labels, [0.3, 0.7], 2) == pytest.approx(np.ones(100))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_true": []}, "y_true has shape"),
        ({"y_true": [0, 2]}, "y_true holds 0 to 2"),
        ({"y_true": [0, -1]}, "y_true holds -1 to 0"),
        ({"proba": [[0.5, 0.5]]}, r"proba has shape \(1, 2\): pass \(2, 2\)"),
        ({"proba": [[0.5, 0.5], [np.nan, 0.5]]}, "NaN"),
        ({"class_names": ["a", "a"]}, "must differ"),
        ({"minority": [2]}, "minority holds 2 to 2"),
        ({"pool_prior": [1.0]}, "pool_prior has shape"),
        ({"pool_prior": [1.0, -0.1]}, "at least 0"),
        ({"pool_prior": [0.0, 0.0]}, "zero for every class of the test set"),
    ],
)
def test_wrong_arguments_are_named(changes: dict[str, object], message: str) -> None:
    arguments = {
        "y_true": [0, 1],
        "proba": [[0.5, 0.5], [0.2, 0.8]],
        "class_names": ["a", "b"],
        "minority": [1],
        "pool_prior": [0.5, 0.5],
    } | changes
    with pytest.raises(ValueError, match=message):
        evaluate_predictions(**arguments)  # type: ignore[arg-type]


def test_f1_on_the_test_set_as_it_is_is_that_of_scikit_learn() -> None:
    labels, proba = _predictions([40, 30, 20])
    expected = f1_score(labels, proba.argmax(axis=1), average=None)
    found = unweighted_metrics(labels, proba, [1, 2])
    assert found["unweighted_minority_f1"] == pytest.approx(expected[1:].mean())
    assert found["unweighted_majority_f1"] == pytest.approx(expected[0])
    right = float((proba.argmax(axis=1) == labels).mean())
    assert unweighted_metrics(labels, proba, [0, 1, 2]) == {"test_accuracy": right}
    absent = unweighted_metrics(labels[labels != 2], proba[labels != 2], [1, 2])
    assert absent["unweighted_minority_f1"] == pytest.approx(
        f1_score(labels[labels != 2], proba[labels != 2].argmax(axis=1), average=None)[1]
    )

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from small_text_ext.query_strategies.uncertainty import uncertainty_weights


@pytest.mark.parametrize(
    ("measure", "expected"),
    [("margin", [0.6, 1.0, 0.0]), ("least_confidence", [0.4, 0.5, 0.0])],
)
def test_measures_by_hand(measure: Any, expected: list[float]) -> None:  # noqa: ANN401
    probabilities = [[0.6, 0.2, 0.2], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    np.testing.assert_allclose(uncertainty_weights(probabilities, measure), expected)


def test_entropy_is_a_share_of_the_largest() -> None:
    weights = uncertainty_weights(
        [[0.25] * 4, [0.5, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]], "entropy"
    )
    np.testing.assert_allclose(weights, [1.0, 0.5, 0.0], atol=1e-12)


def test_multi_label_weights_are_means_of_binary_ones() -> None:
    weights = uncertainty_weights([[0.5, 1.0], [0.9, 0.1]], "margin", multi_label=True)
    np.testing.assert_allclose(weights, [0.5, 0.2])
    np.testing.assert_allclose(uncertainty_weights([[0.5, 0.0]], "entropy", True), [0.5])


def test_of_one_class_all_is_sure() -> None:
    assert uncertainty_weights([[1.0], [1.0]], "entropy").tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("probabilities", "measure", "message"),
    [
        ([[0.5, 0.5]], "bald", "uncertainty is 'bald'"),
        ([[1.5, 0.5]], "margin", "values outside"),
        ([0.5, 0.5], "margin", r"shape \(2,\)"),
        ([[np.nan, 0.5]], "margin", "values outside"),
    ],
)
def test_bad_input(probabilities: Any, measure: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match=message):
        uncertainty_weights(probabilities, measure)

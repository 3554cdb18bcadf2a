from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from small_text_ext.query_strategies.joint_scores import Weight
from small_text_ext.query_strategies.selection_tasks import SelectionTask, selection_task

VECTORS = np.random.default_rng(0).normal(size=(6, 4))


def task(n: int = 2, **options: Any) -> SelectionTask:  # noqa: ANN401
    given: dict[str, Any] = {"selected": None, "weights": None, "candidates": None, **options}
    return selection_task(VECTORS, n, **given)


def test_all_that_is_not_selected_is_a_candidate() -> None:
    found = task(selected=[1, 4])
    assert found.candidates.tolist() == [0, 2, 3, 5]
    assert found.selected.tolist() == [1, 4]
    np.testing.assert_allclose(np.linalg.norm(found.pool[:], axis=1), 1, rtol=1e-6)


def test_an_array_of_weights_and_a_weight_are_the_same() -> None:
    values = np.arange(6) / 6
    plain, given = task(weights=values).weights, task(weights=Weight(values)).weights
    assert len(plain) == len(given) == 1
    np.testing.assert_array_equal(plain[0].values, given[0].values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 7}, "n is 7, and there are 6 candidates"),
        ({"n": 0}, "n is 0, and there are 6 candidates"),
        ({"selected": [1], "candidates": [1, 2, 3]}, "selected already, such as row 1"),
        ({"selected": [9]}, "selected reaches from 9 to 9"),
        ({"weights": np.ones(5)}, r"weights have the shape \(5,\)"),
        ({"weights": np.full(6, np.nan)}, "6 values that are NaN or infinite"),
    ],
)
def test_what_cannot_be_asked_for(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        task(**options)

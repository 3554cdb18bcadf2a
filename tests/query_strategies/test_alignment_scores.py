from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import rel_entr

from small_text_ext.query_strategies.alignment_scores import contrastive_scores, prototype_scores

_NAN = float("nan")


def test_novelty_and_margin_of_cosines() -> None:
    prototypes = np.array([[1.0, 0.0], [0.0, 1.0], [_NAN, _NAN]])
    vectors = np.array([[0.6, 0.8], [-0.6, -0.8], [1.0, 0.0]])
    np.testing.assert_allclose(prototype_scores(vectors, prototypes), [0.2, 1.6, 0.0])
    margins = prototype_scores(vectors, prototypes, "margin")
    np.testing.assert_allclose(margins, [-0.2, -0.2, -1.0])


def test_of_one_class_all_margins_are_alike() -> None:
    assert prototype_scores(np.eye(3), np.eye(3)[:1], "margin").tolist() == [-2.0] * 3


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_contrastive_score_is_that_of_a_loop(multi_label: bool) -> None:
    generator = np.random.default_rng(0)
    known, present = generator.dirichlet(np.ones(4), 6), generator.dirichlet(np.ones(4), 5)
    known[0] = [1, 0, 0, 0]  # what is certain is no error
    neighbors = generator.integers(0, 6, size=(5, 3))
    expected = []
    for row, ids in enumerate(neighbors):
        divergences = [rel_entr(known[i], present[row]).sum() for i in ids]
        if multi_label:
            against = [rel_entr(1 - known[i], 1 - present[row]).sum() for i in ids]
            divergences = np.add(divergences, against).tolist()
        expected.append(np.mean(divergences))
    scores = contrastive_scores(neighbors, known, present, multi_label)
    np.testing.assert_allclose(scores, expected, atol=1e-12)


def test_what_the_classifier_rules_out_is_a_large_number() -> None:
    scores = contrastive_scores(np.array([[0]]), [[0.5, 0.5]], [[1.0, 0.0]])
    assert scores[0] == pytest.approx(0.5 * np.log(0.5) + 0.5 * np.log(0.5e12))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: prototype_scores(np.eye(2), np.eye(2), "gap"), "measure is 'gap'"),  # type: ignore[arg-type]
        (lambda: prototype_scores(np.eye(2), np.eye(3)), r"prototypes \(3, 3\)"),
        (lambda: prototype_scores(np.eye(2), np.full((1, 2), _NAN)), "hold no class"),
        (
            lambda: contrastive_scores(np.zeros((2, 0), np.int64), np.eye(2), np.eye(2)),
            "at least one neighbour",
        ),
        (
            lambda: contrastive_scores(np.zeros((2, 1), np.int64), np.eye(2), np.eye(3)),
            "the same classes",
        ),
    ],
)
def test_bad_input(call: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match=message):
        call()

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from small_text_ext.query_strategies.prediction_history import (
    Change,
    PredictionHistory,
    change_over_epochs,
    predictions,
)

SIZE = 30
LABELED = np.array([20, 25, 21, 28, 22])


def tables(rounds: int = 5, classes: int = 3, seed: int = 0) -> NDArray[np.float64]:
    """Return what a classifier would say of every text in every round."""
    return np.random.default_rng(seed).dirichlet(np.ones(classes), size=(rounds, SIZE))


def one_by_one(
    seen: list[NDArray[np.float64]], measure: Change, multi_label: bool = False
) -> float:
    """Return the measure of one text from its probabilities, by the definition."""
    if len(seen) < 2:
        return 0.0
    if measure == "variability":
        return float(np.mean([np.var([p[c] for p in seen]) for c in range(len(seen[0]))]))
    if multi_label:
        said = [tuple((p > 0.5).tolist()) for p in seen]
    else:
        said = [(int(np.argmax(p)),) for p in seen]
    return sum(a != b for a, b in itertools.pairwise(said)) / (len(said) - 1)


@pytest.mark.parametrize("measure", ["variability", "flips"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_epochs_by_the_definition(measure: Change, multi_label: bool) -> None:
    proba = np.random.default_rng(1).random((4, SIZE, 3))
    found = change_over_epochs(proba, measure, multi_label)
    expected = [one_by_one(list(proba[:, text]), measure, multi_label) for text in range(SIZE)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert len(np.unique(found)) > 2


@pytest.mark.parametrize("measure", ["variability", "flips"])
def test_one_epoch_tells_nothing(measure: Change) -> None:
    assert change_over_epochs(tables(1), measure, False).tolist() == [0.0] * SIZE


@pytest.mark.parametrize("measure", ["variability", "flips"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_rounds_by_the_definition_where_each_offers_others(
    measure: Change, multi_label: bool
) -> None:
    proba, history = tables(), PredictionHistory(measure)
    seen: dict[int, list[NDArray[np.float64]]] = {}
    for number, of_round in enumerate(proba):
        rows = np.random.default_rng(number).permutation(20)[:13]
        found = history.observe(
            rows, of_round[rows], LABELED[: number + 1], SIZE, multi_label=multi_label
        )
        for row in rows:
            seen.setdefault(int(row), []).append(of_round[row])
        expected = [one_by_one(seen[int(row)], measure, multi_label) for row in rows]
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (found > 0).sum() > 3
    assert len({len(of_text) for of_text in seen.values()}) > 2


@pytest.mark.parametrize("measure", ["variability", "flips"])
def test_texts_that_never_move_score_exactly_zero(measure: Change) -> None:
    history, proba = PredictionHistory(measure), tables(1)[0]
    rows = np.arange(20)
    for number in range(4):
        found = history.observe(rows, proba[rows], LABELED[: number + 1], SIZE, False)
    assert found.tolist() == [0.0] * 20


def rounds(
    history: PredictionHistory, proba: NDArray[np.float64], first: int, labeled: NDArray[Any]
) -> NDArray[np.float64]:
    """Run rounds that label one text each; return the measure in the last."""
    rows = np.arange(20)
    for number, of_round in enumerate(proba, start=first):
        found = history.observe(rows, of_round[rows], labeled[: number + 1], SIZE, False)
    return found


def test_asking_twice_in_a_round_counts_once() -> None:
    proba, once, twice = (
        tables(),
        PredictionHistory("variability"),
        PredictionHistory("variability"),
    )
    for number in range(5):
        expected = rounds(once, proba[number : number + 1], number, LABELED)
        rounds(twice, proba[number : number + 1], number, LABELED)
        found = rounds(twice, proba[number : number + 1], number, LABELED)
        np.testing.assert_array_equal(found, expected)


def test_two_parts_of_the_pool_in_one_round_are_both_kept() -> None:
    """small-text's ClassBalancer asks once per predicted class."""
    proba, whole, halves = tables(), PredictionHistory("flips"), PredictionHistory("flips")
    for number in range(5):
        expected = rounds(whole, proba[number : number + 1], number, LABELED)
        found = np.concatenate(
            [
                halves.observe(rows, proba[number][rows], LABELED[: number + 1], SIZE, False)
                for rows in (np.arange(8), np.arange(8, 20))
            ]
        )
        np.testing.assert_array_equal(found, expected)


def test_a_label_that_is_taken_back_drops_the_rounds_since() -> None:
    proba, history = tables(), PredictionHistory("variability")
    rounds(history, proba[:4], 0, LABELED)
    # Of five labels the fourth is gone: the rounds with one to three labels still count.
    kept = np.delete(LABELED, 3)
    found = history.observe(np.arange(20), proba[4][:20], kept, SIZE, False)
    expected = [one_by_one([*proba[:3, row], proba[4, row]], "variability") for row in range(20)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_learners_with_other_labels_do_not_meet() -> None:
    proba, others = tables(seed=0), tables(seed=1)
    alone = rounds(PredictionHistory("variability"), proba, 0, LABELED)
    shared = PredictionHistory("variability")
    for number in range(5):
        found = rounds(shared, proba[number : number + 1], number, LABELED)
        rounds(shared, others[number : number + 1], number, LABELED[::-1])
        # Positions in another dataset are other texts.
        rows = np.arange(20)
        shared.observe(rows, others[number][rows], LABELED[: number + 1], SIZE + 1, False)
    np.testing.assert_array_equal(found, alone)


def test_a_pickle_goes_on_where_it_was() -> None:
    proba, history = tables(), PredictionHistory("flips")
    rounds(history, proba[:3], 0, LABELED)
    copy = pickle.loads(pickle.dumps(history))
    expected = rounds(history, proba[3:], 3, LABELED)
    np.testing.assert_array_equal(rounds(copy, proba[3:], 3, LABELED), expected)
    assert expected.max() > 0


def test_memory_of_states_is_bounded() -> None:
    history = PredictionHistory("variability")
    for number in range(20):
        rounds(history, tables(1, seed=number), 0, np.array([number]))
    assert len(history._states) == 8


def test_predictions_can_be_compared() -> None:
    proba = np.array([[0.2, 0.7, 0.1], [0.6, 0.1, 0.9]])
    assert predictions(proba, multi_label=False).tolist() == [[1], [2]]
    assert predictions(proba, multi_label=True).tolist() == [[0, 1, 0], [1, 0, 1]]

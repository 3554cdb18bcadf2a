from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import dill
import numpy as np
import pytest
from scipy.sparse import csr_matrix
from small_text import TextDataset

from small_text_ext import TextPairDataset

PAIRS = [(f"question {number}", f"answer {number}") for number in range(6)]
Y = np.array([0, 1, 1, 0, 1, -1])


def pair_set(y: Any = Y) -> TextPairDataset:  # noqa: ANN401
    return TextPairDataset(list(PAIRS), y, target_labels=np.arange(2))


def test_it_is_a_text_dataset_of_pairs() -> None:
    dataset = pair_set()
    assert isinstance(dataset, TextDataset)
    assert [tuple(pair) for pair in dataset.x] == PAIRS
    np.testing.assert_array_equal(dataset.y, Y)
    assert len(dataset) == 6
    assert not dataset.is_multi_label
    np.testing.assert_array_equal(dataset.target_labels, [0, 1])


@pytest.mark.parametrize(
    ("selection", "rows"),
    [
        (slice(1, 5, 2), [1, 3]),
        ([4, 0, 2], [4, 0, 2]),
        (np.array([5, 1]), [5, 1]),
        (3, [3]),
        (np.int64(2), [2]),
        (slice(0, 0), []),
        (np.array([], dtype=np.int64), []),
    ],
    ids=["slice", "list", "array", "int", "numpy-int", "no-slice", "no-array"],
)
def test_views_hold_whole_pairs(selection: Any, rows: list[int]) -> None:  # noqa: ANN401
    view = pair_set()[selection]
    assert [tuple(pair) for pair in view.x] == [PAIRS[row] for row in rows]
    np.testing.assert_array_equal(view.y, Y[rows])
    assert len(view) == len(rows)


def test_views_of_views() -> None:
    view = pair_set()[np.array([5, 3, 1, 0])][[2, 0]][0:1]
    assert [tuple(pair) for pair in view.x] == [PAIRS[1]]
    assert view.y.tolist() == [1]


@pytest.mark.parametrize(
    "select", [lambda d: d, lambda d: d[np.array([2, 4])], lambda d: d[1:5][[1, 3]]]
)
def test_a_clone_is_a_pair_dataset_of_its_own(select: Callable[[Any], Any]) -> None:
    root = pair_set()
    part = select(root)
    clone = part.clone()
    assert type(clone) is TextPairDataset
    assert [tuple(pair) for pair in clone.x] == [tuple(pair) for pair in part.x]
    np.testing.assert_array_equal(clone.y, part.y)
    np.testing.assert_array_equal(clone.target_labels, [0, 1])
    clone.y = np.ones(len(clone), dtype=np.int64)
    clone.x = [("other", "pair")] * len(clone)
    np.testing.assert_array_equal(root.y, Y)
    assert [tuple(pair) for pair in root.x] == PAIRS
    again = clone.clone()[0:1]
    assert [tuple(pair) for pair in again.x] == [("other", "pair")]


def test_inferred_target_labels_stay_inferred_in_a_clone() -> None:
    with pytest.warns(UserWarning, match="target_labels=None"):
        dataset = TextPairDataset(list(PAIRS), Y)
    np.testing.assert_array_equal(dataset.target_labels, [0, 1])
    with pytest.warns(UserWarning, match="target_labels=None"):
        clone = dataset[np.array([0, 3])].clone()
    np.testing.assert_array_equal(clone.target_labels, [0])


def test_multi_label_pairs() -> None:
    y = csr_matrix(np.eye(6, 3, dtype=np.int64))
    dataset = TextPairDataset(list(PAIRS), y, target_labels=np.arange(3))
    assert dataset.is_multi_label
    view = dataset[[0, 2]]
    assert view.is_multi_label
    np.testing.assert_array_equal(view.y.toarray(), y[[0, 2]].toarray())
    assert (view.clone().y != y[[0, 2]]).nnz == 0


def test_from_arrays_makes_the_same_dataset() -> None:
    made = TextPairDataset.from_arrays(list(PAIRS), Y, target_labels=np.arange(2))
    assert type(made) is TextPairDataset
    assert [tuple(pair) for pair in made.x] == PAIRS
    np.testing.assert_array_equal(made.y, Y)


def test_pairs_may_come_as_lists_or_rows_of_an_array() -> None:
    """Files give lists; an array of pairs is what numpy makes of them."""
    givens: list[Any] = [[list(pair) for pair in PAIRS], np.array(PAIRS)]
    for given in givens:
        dataset = TextPairDataset(given, Y, target_labels=np.arange(2))
        assert [tuple(pair) for pair in dataset.x] == PAIRS
        assert all(isinstance(text, str) for pair in dataset.x for text in pair)


@pytest.mark.parametrize(
    "wrong",
    [
        "one text",
        ("one text",),
        ("three", "texts", "here"),
        ("a text and nothing", None),
        (1, 2),
        "ab",
    ],
)
def test_what_is_no_pair_is_refused_by_its_position(wrong: Any) -> None:  # noqa: ANN401
    """A string of two letters is a sequence of two strings, and no pair."""
    pairs = [*PAIRS[:5], wrong]
    with pytest.raises((TypeError, ValueError), match=r"5.*pair"):
        TextPairDataset(pairs, Y, target_labels=np.arange(2))
    dataset = pair_set()
    with pytest.raises((TypeError, ValueError), match=r"5.*pair"):
        dataset.x = pairs


def test_as_many_labels_as_pairs() -> None:
    with pytest.raises(ValueError):
        TextPairDataset(PAIRS[:5], Y, target_labels=np.arange(2))


@pytest.mark.parametrize("library", [pickle, dill], ids=["pickle", "dill"])
def test_it_pickles(library: Any) -> None:  # noqa: ANN401
    dataset = pair_set()
    for original in (dataset, dataset[[3, 1]]):
        twin = library.loads(library.dumps(original))
        assert type(twin) is type(original)
        assert [tuple(pair) for pair in twin.x] == [tuple(pair) for pair in original.x]
        np.testing.assert_array_equal(twin.y, original.y)
        assert type(twin.clone()) is TextPairDataset

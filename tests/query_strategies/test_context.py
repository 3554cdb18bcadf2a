from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from small_text import EmptyPoolException, PoolExhaustedException

from small_text_ext.query_strategies.context import (
    ContextQueryStrategy,
    Indices,
    QueryContext,
    check_at_least_one,
    integer_labels,
    query_context,
    seed_to_show,
)


class LastTexts(ContextQueryStrategy):
    """Keeps what it is handed, and picks from the end."""

    def __init__(self) -> None:
        self.contexts: list[QueryContext] = []

    def pick(self, context: QueryContext) -> Indices:
        self.contexts.append(context)
        return context.unlabeled[-context.n :]


def test_arguments_are_cast_once_and_copied() -> None:
    strategy = LastTexts()
    unlabeled, labeled = np.array([5, 6, 7], dtype=np.int32), np.array([1, 2])
    y, two = np.array([0.0, 1.0]), cast(int, np.int64(2))
    picks = strategy.query("clf", "dataset", unlabeled, labeled, y, n=two)
    assert picks.tolist() == [6, 7]
    (context,) = strategy.contexts
    assert (context.clf, context.dataset, context.n) == ("clf", "dataset", 2)
    assert context.unlabeled.dtype == context.labeled.dtype == np.int64
    assert cast(Any, context.y).dtype == np.int64
    context.unlabeled[0] = context.labeled[0] = 99
    assert (unlabeled[0], labeled[0]) == (5, 1)


def test_ten_texts_are_asked_for_by_default_and_one_for_scores() -> None:
    none = np.empty(0, dtype=int)
    strategy = LastTexts()
    strategy.query(None, None, np.arange(30), none, none)
    assert strategy.contexts[0].n == 10
    assert query_context(None, None, np.arange(3), none, none).n == 1


@pytest.mark.parametrize(
    ("pool", "n", "error", "message"),
    [
        (3, 0, ValueError, "n is 0: pass at least 1"),
        (3, True, TypeError, "n is True: pass a whole number"),
        (3, 1.5, TypeError, "n is 1.5"),
        (0, 1, EmptyPoolException, None),
        (3, 4, PoolExhaustedException, None),
    ],
)
def test_what_cannot_be_picked_is_refused(
    pool: int,
    n: Any,  # noqa: ANN401
    error: type[Exception],
    message: str | None,
) -> None:
    none = np.empty(0, dtype=int)
    strategy = LastTexts()
    with pytest.raises(error, match=message):
        strategy.query(None, None, np.arange(pool), none, none, n=n)
    assert strategy.contexts == []


def test_float_labels_become_integers_and_sparse_ones_stay() -> None:
    labels = integer_labels(np.array([0.0, 1.0, 3.0]))
    assert labels.dtype == np.int64
    assert cast(Any, labels).tolist() == [0, 1, 3]
    sparse = csr_matrix(np.eye(2, dtype=np.int64))
    assert integer_labels(sparse) is sparse


def test_whole_numbers_are_checked_by_name() -> None:
    check_at_least_one(n=1, k=cast(int, np.int32(3)))
    with pytest.raises(ValueError, match="k is 0"):
        check_at_least_one(n=1, k=0)


def test_a_seed_is_shown_as_it_was_resolved() -> None:
    assert seed_to_show(None, 7) is None
    assert seed_to_show(3, 3) == 3
    assert seed_to_show(np.random.default_rng(0), 123) == 123

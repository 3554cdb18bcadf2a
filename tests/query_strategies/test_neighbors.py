from __future__ import annotations

import numpy as np

from small_text_ext.query_strategies.neighbors import positions_of


def test_rows_become_indices_of_the_queried_view() -> None:
    rows = np.array([40, 7, 12, 3])  # the row of each position of a view
    unlabeled = np.array([3, 0, 2])
    found = np.array([12, 99, 7, 40])  # 99 is outside the view, 7 is labelled
    assert positions_of(found, unlabeled, rows).tolist() == [2, 0]


def test_nothing_found_is_nothing() -> None:
    assert positions_of(np.empty(0, dtype=np.int64), np.array([0]), np.array([5])).size == 0

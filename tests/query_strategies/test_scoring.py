from __future__ import annotations

import numpy as np
from small_text import SklearnDataset, TextDataset

from small_text_ext import PoolEmbeddings
from small_text_ext.query_strategies.scoring import Ratings, as_embeddings, root_levels


def test_the_best_come_first_and_equals_in_order() -> None:
    scores = np.array([0.1, 0.5, 0.5, 0.9, 0.5])
    assert Ratings(scores).best(4).tolist() == [3, 1, 2, 4]
    assert Ratings(scores, ties=np.array([9, 0, 1, 0, 1])).best(5).tolist() == [3, 2, 4, 1, 0]


def test_levels_of_views_by_slice_array_and_position() -> None:
    root = SklearnDataset(np.arange(20.0)[:, None], np.zeros(20), target_labels=np.arange(2))
    view = root[2:18][np.array([3, 1, 10])][[2, 0]]
    levels = root_levels(view)
    assert [level.size for level in levels] == [2, 3, 16, 20]
    assert [level.positions.tolist() for level in levels] == [[0, 1], [2, 0], [10, 3], [12, 5]]
    assert [len(level.dataset) for level in levels] == [2, 3, 16, 20]
    for level in levels:
        np.testing.assert_array_equal(level.dataset.x[level.positions], view.x)
    assert root_levels(root[4])[-1].positions.tolist() == [4]


def test_a_root_is_its_own_only_level() -> None:
    root = TextDataset(["a", "b"], np.zeros(2, dtype=int), target_labels=np.arange(2))
    (level,) = root_levels(root)
    assert level.dataset is root
    assert (level.size, level.positions.tolist()) == (2, [0, 1])


def test_embeddings_may_be_given_as_an_array_or_not_at_all() -> None:
    assert as_embeddings(None) is None
    made = as_embeddings(np.eye(3))
    assert isinstance(made, PoolEmbeddings)
    assert as_embeddings(made) is made

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from small_text import SklearnDataset

from small_text_ext import BADGE, RandomSubset
from small_text_ext.query_strategies.badge import gradient_seeds

Rows = NDArray[np.float64]


def random_task(m: int = 80, d: int = 5, num_classes: int = 3, seed: int = 0) -> tuple[Rows, Rows]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(m, d)), generator.dirichlet(np.ones(num_classes), size=m)


def plain_gradients(vectors: Rows, proba: Rows) -> Rows:
    """Return the gradients of the last layer as a loop makes them."""
    made = []
    for vector, row in zip(vectors, proba, strict=True):
        target = np.zeros(len(row))
        target[row.argmax()] = 1
        made.append(np.outer(row - target, vector).ravel())
    return np.array(made)


class Classifier:
    """A classifier whose vectors are the features, and whose probabilities are their softmax."""

    num_classes, multi_label = 3, False

    def embed(self, data_set: Any, return_proba: bool = False) -> Any:  # noqa: ANN401
        x = np.asarray(data_set.x)
        exps = np.exp(x[:, : self.num_classes])
        return (x, exps / exps.sum(axis=1, keepdims=True)) if return_proba else x


def query(strategy: Any, n: int, m: int = 60, clf: Any = None, y: Any = None) -> list[int]:  # noqa: ANN401
    rows, _ = random_task(m)
    dataset = SklearnDataset(rows, np.zeros(m, dtype=int), target_labels=np.arange(3))
    labels = np.array([0, 1]) if y is None else y
    clf = clf or Classifier()
    picks = strategy.query(clf, dataset, np.arange(2, m), np.arange(2), labels, n=n)
    return [int(pick) for pick in picks]


def test_the_first_pick_has_the_largest_gradient() -> None:
    vectors, proba = random_task()
    sizes = np.linalg.norm(plain_gradients(vectors, proba), axis=1)
    for seed in range(3):
        assert gradient_seeds(vectors, proba, 1, seed).tolist() == [int(sizes.argmax())]


def test_draws_are_in_proportion_to_squared_distances_of_the_gradients() -> None:
    vectors, proba = random_task(m=6)
    gradients = plain_gradients(vectors, proba)
    first = int(np.linalg.norm(gradients, axis=1).argmax())
    squares = ((gradients - gradients[first]) ** 2).sum(axis=1)
    seconds = [gradient_seeds(vectors, proba, 2, seed)[1] for seed in range(4_000)]
    shares = np.bincount(seconds, minlength=6) / len(seconds)
    assert shares[first] == 0
    np.testing.assert_allclose(shares, squares / squares.sum(), atol=0.03)


def test_later_draws_look_at_the_nearest_pick() -> None:
    vectors = np.array([[9.0, 0.0], [9.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    proba = np.full((4, 2), 0.5)
    for seed in range(10):
        first, second = gradient_seeds(vectors, proba, 2, seed)
        assert (first, second in (2, 3)) == (0, True)


@pytest.mark.parametrize("n", [1, 5, 12])
def test_duplicates_are_picked_once_each(n: int) -> None:
    vectors, proba = np.ones((12, 3)), np.full((12, 2), 0.5)
    assert len(set(gradient_seeds(vectors, proba, n).tolist())) == n


def test_the_seed_decides_and_survives_pickling() -> None:
    first = query(BADGE(seed=1), 9)
    assert len(set(first)) == 9
    assert min(first) >= 2
    assert query(pickle.loads(pickle.dumps(BADGE(seed=1))), 9) == first
    assert any(query(BADGE(seed=seed), 9) != first for seed in (2, 3))
    assert query(BADGE(seed=1), 58) == list(range(2, 60))


def test_inside_a_subset_it_picks_from_the_subset() -> None:
    strategy = RandomSubset(BADGE(seed=0), 20, seed=0)
    picks = query(strategy, 5)
    assert strategy.last_query is not None
    assert set(picks) <= set(strategy.last_query.subpool.tolist())


def test_wrong_arguments_are_explained() -> None:
    vectors, proba = random_task(m=4)
    with pytest.raises(ValueError, match=r"vectors has shape \(3, 5\), probabilities \(4, 3\)"):
        gradient_seeds(vectors[:3], proba, 2)
    with pytest.raises(ValueError, match="n is 5, but there are 4 rows"):
        gradient_seeds(vectors, proba, 5)
    with pytest.raises(ValueError, match="diverged"):
        gradient_seeds(vectors * np.nan, proba, 2)
    with pytest.raises(TypeError, match="has none: initialise the learner"):
        query(BADGE(), 3, clf=object())
    with pytest.raises(ValueError, match="y is multi-label"):
        query(BADGE(), 3, y=csr_matrix(np.eye(3)[:2]))

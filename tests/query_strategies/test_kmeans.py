from __future__ import annotations

import pickle
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from small_text import RandomSampling, SklearnDataset
from small_text.query_strategies import EmptyPoolException, PoolExhaustedException

from small_text_ext import AnchorAL, FineTunedKMeans
from small_text_ext.query_strategies.kmeans import cluster_representatives


def clusters(num_clusters: int = 4, size: int = 15, seed: int = 0) -> NDArray[np.float64]:
    """Return rows about the corners of a simplex, cluster after cluster, on unequal scales."""
    generator = np.random.default_rng(seed)
    corners = np.repeat(np.eye(num_clusters), size, axis=0)
    noise = 0.05 * generator.normal(size=corners.shape)
    return (corners + noise) * 10.0 ** np.arange(num_clusters)


class Embedding:
    """A classifier whose vectors are the features times a factor."""

    def __init__(self) -> None:
        self.embedded: list[int] = []

    def embed(self, data_set: Any, return_proba: bool = False) -> NDArray[np.float64]:  # noqa: ANN401
        self.embedded.append(len(data_set))
        return np.asarray(data_set.x) * 3.0


def pool(rows: NDArray[np.float64]) -> SklearnDataset:
    return SklearnDataset(rows, np.zeros(len(rows), dtype=int), target_labels=np.arange(2))


def query(strategy: Any, rows: NDArray[np.float64], n: int, clf: Any = None) -> NDArray[np.int64]:  # noqa: ANN401
    labeled = np.arange(2)
    unlabeled = np.arange(2, len(rows))
    y = np.array([0, 1])
    picks = strategy.query(clf or Embedding(), pool(rows), unlabeled, labeled, y, n=n)
    return np.asarray(picks)


def test_each_cluster_gives_the_row_nearest_to_its_mean() -> None:
    rows = clusters()
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    expected = []
    for start in range(0, 60, 15):
        members = scaled[start : start + 15]
        distances = np.linalg.norm(members - members.mean(axis=0), axis=1)
        expected.append(start + int(distances.argmin()))
    assert sorted(cluster_representatives(rows, 4).tolist()) == expected


def test_the_published_rule_favours_rows_far_out() -> None:
    rows = clusters()
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    means = [scaled[start : start + 15].mean(axis=0) for start in range(0, 60, 15)]
    expected = sorted(int((scaled @ mean).argmax()) for mean in means)
    found = cluster_representatives(rows, 4, "product")
    assert sorted(found.tolist()) == expected
    assert set(found.tolist()) != set(cluster_representatives(rows, 4).tolist())


def test_columns_count_alike() -> None:
    rows = clusters()
    stretched = rows * np.array([1.0, 100.0, 0.01, 5.0]) + 7.0
    assert set(cluster_representatives(rows, 4)) == set(cluster_representatives(stretched, 4))


@pytest.mark.parametrize("nearest", ["distance", "product"])
@pytest.mark.parametrize("n", [1, 7, 20])
def test_there_are_as_many_picks_as_asked_for_among_duplicates(
    nearest: Literal["distance", "product"], n: int
) -> None:
    rows = np.repeat([[0.0, 1.0], [1.0, 0.0]], 10, axis=0)
    assert len(set(cluster_representatives(rows, n, nearest).tolist())) == n


def test_two_centres_with_one_nearest_row_share_nothing() -> None:
    from small_text_ext.query_strategies.kmeans import _distinct_best

    closeness = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [9.0, 9.0, 9.0]])
    assert _distinct_best(closeness).tolist() == [0, 1, 2]


def test_the_seed_decides_and_nothing_else() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 4))
    first = query(FineTunedKMeans(seed=1), rows, 9)
    np.random.seed(3)  # noqa: NPY002 - what others do to the global state changes nothing
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    again = pickle.loads(pickle.dumps(FineTunedKMeans(seed=1)))
    assert query(again, rows, 9).tolist() == first.tolist()
    np.testing.assert_equal(np.random.get_state(legacy=False), before)  # noqa: NPY002
    others = [query(FineTunedKMeans(seed=seed), rows, 9).tolist() for seed in (2, 3, 4)]
    assert any(set(other) != set(first.tolist()) for other in others)


def test_the_whole_pool_needs_no_vectors() -> None:
    clf = Embedding()
    assert query(FineTunedKMeans(seed=0), clusters(), 58, clf).tolist() == list(range(2, 60))
    assert clf.embedded == []


def test_inside_anchoral_only_the_subpool_is_embedded() -> None:
    rows, clf = clusters(size=100), Embedding()
    strategy = AnchorAL(
        FineTunedKMeans(seed=0), rows, num_anchors=2, num_neighbors=10, subpool_size=30, seed=0
    )
    picks = query(strategy, rows, 5, clf)
    assert len(set(picks.tolist())) == 5
    assert len(clf.embedded) == 1
    assert clf.embedded[0] <= 30


def test_wrong_arguments_are_explained() -> None:
    rows = clusters()
    with pytest.raises(ValueError, match="nearest is 'cosine': pass 'distance' or 'product'"):
        FineTunedKMeans("cosine")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n is 4, but vectors has 3 rows"):
        cluster_representatives(rows[:3], 4)
    with pytest.raises(ValueError, match="diverged"):
        cluster_representatives(np.full((4, 2), np.nan), 2)
    with pytest.raises(TypeError, match="has none: initialise the learner"):
        query(FineTunedKMeans(), rows, 3, RandomSampling())
    with pytest.raises(PoolExhaustedException):
        query(FineTunedKMeans(), rows, 59)
    with pytest.raises(EmptyPoolException):
        query(FineTunedKMeans(), rows[:2], 1)

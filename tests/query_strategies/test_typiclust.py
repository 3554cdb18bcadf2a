from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from small_text_ext.query_strategies import typiclust as module
from small_text_ext.query_strategies.typiclust import typicality, typiclust


def clusters(sizes: list[int], seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return tight clusters of some sizes at right angles, and the cluster of each row."""
    members = np.repeat(np.arange(len(sizes)), sizes)
    noise = 0.02 * np.random.default_rng(seed).normal(size=(len(members), 6))
    return (np.eye(6)[members] + noise).astype(np.float32), members


def test_typicality_is_the_inverse_mean_distance_to_the_nearest() -> None:
    vectors, _ = clusters([40])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = np.linalg.norm(unit[:, None].astype(float) - unit[None], axis=2)
    expected = 1 / np.sort(distances, axis=1)[:, 1:6].mean(axis=1)
    np.testing.assert_allclose(typicality(unit, 5), expected, rtol=1e-2)


def test_large_clusters_are_measured_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _ = clusters([300])
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    exact = typicality(unit, 10)
    monkeypatch.setattr(module, "_REFERENCES", 100)
    sampled = typicality(unit, 10, seed=1)
    assert np.corrcoef(exact, sampled)[0, 1] > 0.8
    np.testing.assert_array_equal(sampled, typicality(unit, 10, seed=1))


def test_each_cluster_gets_a_pick_the_largest_first() -> None:
    vectors, members = clusters([12, 30, 20])
    assert members[typiclust(vectors, 3)].tolist() == [1, 2, 0]


def test_labelled_clusters_wait() -> None:
    vectors, members = clusters([12, 30, 20])
    labelled = [int(np.flatnonzero(members == 1)[0])]
    assert members[typiclust(vectors, 2, labelled)].tolist() == [2, 0]


def test_the_most_typical_is_picked_unless_weights_say_otherwise() -> None:
    vectors, _ = clusters([50])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    typical = typicality(unit.astype(np.float32), 20)
    assert typiclust(vectors, 1).tolist() == [int(typical.argmax())]
    weights = np.full(50, 0.01)
    weights[7] = 1.0
    assert typiclust(vectors, 1, weights=weights).tolist() == [7]


def test_small_clusters_come_last() -> None:
    vectors, members = clusters([4, 30, 20])
    assert members[typiclust(vectors, 3)].tolist() == [1, 2, 1]
    assert sorted(typiclust(vectors, 54).tolist()) == list(range(54))
    assert members[typiclust(vectors, 3, min_cluster_size=1)].tolist() == [1, 2, 0]


def test_there_are_no_more_clusters_than_allowed() -> None:
    vectors, members = clusters([10, 10, 10])
    picks = typiclust(vectors, 12, max_clusters=3)
    assert np.bincount(members[picks]).tolist() == [4, 4, 4]


def test_many_clusters_are_made_in_batches_and_repeat() -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 4))
    picks = typiclust(vectors, 80, min_cluster_size=1)
    assert len(set(picks)) == 80
    np.testing.assert_array_equal(picks, typiclust(vectors, 80, min_cluster_size=1))
    assert set(picks) != set(typiclust(vectors, 80, min_cluster_size=1, seed=1))


@pytest.mark.filterwarnings("error")
def test_duplicates_are_no_trouble() -> None:
    assert sorted(typiclust(np.repeat(np.eye(2), 4, axis=0), 8)) == list(range(8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 6}, "n is 6, and there are 5 candidates"),
        ({"n": 1, "num_neighbors": 0}, "num_neighbors is 0"),
        ({"n": 1, "max_clusters": 0}, "max_clusters is 0"),
        ({"n": 1, "weights": np.ones(4)}, r"shape \(4,\)"),
    ],
    ids=str,
)
def test_bad_input(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        typiclust(np.eye(5), **arguments)

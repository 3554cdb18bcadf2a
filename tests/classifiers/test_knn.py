"""Neighbours and votes against loops, and the evaluation against scikit-learn's classifier."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.neighbors import KNeighborsClassifier

from small_text_ext.classifiers.knn import concatenated, knn_evaluate
from small_text_ext.pool.neighbors import knn_votes, nearest_neighbors


def points(rows: int, columns: int = 4, seed: int = 0) -> NDArray[np.float32]:
    """Return vectors of different lengths, some of them equal."""
    drawn = np.random.default_rng(seed).integers(-2, 3, size=(rows, columns))
    drawn[:, 0] += 5
    return drawn.astype(np.float32)


def cosine(first: Any, second: Any) -> float:  # noqa: ANN401
    lengths = math.sqrt(sum(v * v for v in first)) * math.sqrt(sum(v * v for v in second))
    return float(sum(a * b for a, b in zip(first, second, strict=True)) / lengths)


def test_neighbors_are_those_of_a_loop() -> None:
    queries, references = points(7, seed=1), points(40)
    found = nearest_neighbors(queries, references, k=6)
    for query, ids, similarities in zip(queries, found.ids, found.similarities, strict=True):
        expected = [cosine(query, reference) for reference in references]
        np.testing.assert_allclose(similarities, sorted(expected, reverse=True)[:6], atol=1e-6)
        np.testing.assert_allclose([expected[i] for i in ids], similarities, atol=1e-6)


def test_euclidean_neighbors_are_those_of_a_loop() -> None:
    queries, references = points(7, seed=1), points(40)
    found = nearest_neighbors(queries, references, k=6, metric="euclidean")
    for query, ids, similarities in zip(queries, found.ids, found.similarities, strict=True):
        distances = [math.dist(query, reference) for reference in references]
        order = sorted(range(40), key=lambda i: (distances[i], i))[:6]
        assert ids.tolist() == order
        np.testing.assert_allclose(-similarities, [distances[i] for i in order], rtol=1e-6)


def test_of_equal_references_the_first_are_found() -> None:
    references = np.array([[0, 1], *[[1, 0]] * 30], dtype=np.float32)
    assert nearest_neighbors([[1.0, 0.0]], references, k=4).ids.tolist() == [[1, 2, 3, 4]]


def test_an_item_is_left_out_of_its_own_neighbors_in_every_block() -> None:
    vectors = points(30)
    whole = nearest_neighbors(vectors, vectors, k=3, leave_self_out=True)
    assert not (whole.ids == np.arange(30)[:, None]).any()
    for rows in (1, 7):
        parts = nearest_neighbors(
            vectors, vectors, k=3, leave_self_out=True, block_bytes=rows * 30 * 4
        )
        np.testing.assert_allclose(parts.similarities, whole.similarities, atol=1e-6)


def test_fewer_references_than_neighbors() -> None:
    assert nearest_neighbors(points(2), points(3), k=5).ids.shape == (2, 3)
    assert nearest_neighbors(np.empty((0, 4)), points(3)).ids.shape == (0, 3)


def test_a_row_of_zeros_is_equally_far_from_all() -> None:
    found = nearest_neighbors(np.zeros((1, 4)), points(3), k=3)
    assert found.similarities.tolist() == [[0, 0, 0]]


def test_soft_votes_are_those_of_a_loop() -> None:
    references, labels = points(20), np.arange(20) % 3
    weights = np.linspace(0.5, 2, 20)
    found = nearest_neighbors(points(5, seed=1), references)
    proba = knn_votes(found, labels, 4, temperature=0.2, smoothing=0.01, weights=weights)
    for row in range(5):
        shares = [0.01 / 4] * 4
        for i, similarity in zip(found.ids[row], found.similarities[row], strict=True):
            shares[labels[i]] += weights[i] * math.exp((similarity - 1) / 0.2)
        np.testing.assert_allclose(proba[row], np.array(shares) / sum(shares), rtol=1e-6)


def test_soft_votes_for_several_labels_are_those_of_a_loop() -> None:
    references = points(20)
    labels = np.random.default_rng(2).integers(0, 2, size=(20, 3))
    weights = np.random.default_rng(3).uniform(0.5, 2, size=(20, 3))
    found = nearest_neighbors(points(5, seed=1), references)
    proba = knn_votes(found, labels, 3, temperature=0.2, smoothing=0.01, weights=weights)
    for row in range(5):
        for label in range(3):
            held, total = 0.005, 0.01
            for i, similarity in zip(found.ids[row], found.similarities[row], strict=True):
                vote = weights[i, label] * math.exp((similarity - 1) / 0.2)
                held, total = held + vote * labels[i, label], total + vote
            assert proba[row, label] == pytest.approx(held / total)


def test_what_is_far_from_everything_is_uncertain() -> None:
    references, labels = np.array([[1.0, 0.0], [0.9, 0.1]]), np.array([1, 1])
    near, far = knn_votes(nearest_neighbors([[1.0, 0.0], [-1.0, 0.1]], references), labels, 3)
    assert near[1] > 0.99
    np.testing.assert_allclose(far, 1 / 3, atol=0.01)


def test_ties_of_hard_votes() -> None:
    found = nearest_neighbors([[1.0, 0.0]], [[0.0, 1.0], [1.0, 0.1], [1.0, 0.5], [0.1, 1.0]], k=4)
    labels = np.array([0, 1, 0, 1])  # nearest first: 1, 0, 1, 0
    nearer = knn_votes(found, labels, 2, votes="hard", smoothing=0)
    assert nearer[0, 1] > 0.5
    np.testing.assert_allclose(nearer, 0.5, atol=1e-3)
    equal = knn_votes(found, labels, 2, votes="hard", smoothing=0, break_ties=False)
    assert equal.tolist() == [[0.5, 0.5]]


def test_a_tie_break_is_less_than_a_vote() -> None:
    references = np.eye(5) + 1
    found = nearest_neighbors([[5.0, 3, 2, 1, 1]], references, k=5)
    labels = np.array([1, 1, 0, 0, 0])
    assert knn_votes(found, labels, 2, votes="hard").argmax() == 0


def test_the_parity_mode_is_scikit_learns_classifier() -> None:
    labels = np.random.default_rng(4).integers(0, 4, 60)
    # Equal distances would leave it open who is a neighbour.
    vectors = points(60) + np.random.default_rng(5).normal(0, 0.01, (60, 4))
    evaluation = knn_evaluate(
        vectors, labels, 4, False, metric="euclidean", votes="hard", break_ties=False
    )
    peer = KNeighborsClassifier(n_neighbors=4).fit(vectors, labels)
    np.testing.assert_array_equal(evaluation.predictions, peer.predict(vectors))
    assert evaluation.accuracy == pytest.approx(peer.score(vectors, labels))
    assert evaluation.micro_f1 == pytest.approx(evaluation.accuracy)


def test_leaving_one_out_is_a_fit_without_it() -> None:
    vectors, labels = points(30, 6) + 0.01 * np.arange(30)[:, None], np.arange(30) % 3
    evaluation = knn_evaluate(vectors, labels, k=3, votes="hard")
    for row in range(30):
        others = np.delete(np.arange(30), row)
        found = nearest_neighbors(vectors[[row]], vectors[others], k=3)
        votes = knn_votes(found, labels[others], 3, votes="hard")
        assert evaluation.predictions[row] == votes.argmax()


def test_with_its_own_vote_everything_is_right() -> None:
    vectors, labels = np.random.default_rng(0).standard_normal((40, 3)), np.arange(40) % 4
    assert knn_evaluate(vectors, labels, k=1, leave_one_out=False).accuracy == 1
    assert knn_evaluate(vectors, labels, k=1).accuracy < 0.6


def test_evaluation_of_several_labels() -> None:
    labels = csr_matrix(np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0], [1, 1]]))
    vectors = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [-1, -1], [-1, -0.9]])
    evaluation = knn_evaluate(vectors, labels, k=1)
    assert evaluation.predictions.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1], [1, 1], [0, 0]]
    assert evaluation.accuracy == pytest.approx(4 / 6)
    assert evaluation.micro_f1 == pytest.approx(2 * 4 / (2 * 4 + 2 + 2))


def test_encoders_beside_each_other() -> None:
    first, second = points(10, 3), points(10, 2, seed=1)
    np.testing.assert_array_equal(concatenated([first, second]), np.hstack([first, second]))
    np.testing.assert_array_equal(concatenated(first.tolist()), first)
    together = knn_evaluate([first, second], np.arange(10) % 2)
    apart = knn_evaluate(np.hstack([first, second]), np.arange(10) % 2)
    np.testing.assert_array_equal(together.predictions, apart.predictions)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nearest_neighbors(points(2), points(2, 3)), "queries have 4 dimensions"),
        (lambda: nearest_neighbors(points(2), np.empty((0, 4))), "references hold no row"),
        (lambda: nearest_neighbors(points(1), points(1), leave_self_out=True), "no row"),
        (lambda: nearest_neighbors(points(1), points(2), leave_self_out=True), "leave_self_out"),
        (lambda: nearest_neighbors([[np.nan]], [[1.0]]), "queries hold NaN"),
        (lambda: nearest_neighbors(points(1), points(2), k=0), "k is 0"),
        (lambda: nearest_neighbors(points(1), points(2), metric="dot"), "metric is 'dot'"),  # type: ignore[arg-type]
        (lambda: knn_evaluate(points(3), [0, 1]), "labels have the shape"),
        (lambda: knn_evaluate(points(3), np.array([0, 1, -1])), "negative"),
        (lambda: knn_evaluate(points(1), np.array([0])), "no row"),
        (lambda: knn_evaluate(points(0), np.array([])), "labels are missing"),
        (lambda: knn_evaluate(points(3), np.zeros(3), metric="euclidean"), "votes='hard'"),
        (lambda: knn_evaluate(points(2), np.array([[1, 0], [-np.inf, 1]])), "not finite"),
        (lambda: concatenated([]), "empty list"),
        (lambda: concatenated([points(3), points(2)]), r"embeddings have \[3, 2\] rows"),
    ],
)
def test_bad_input(call: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "options", [{"votes": "loud"}, {"temperature": 0.0}, {"smoothing": -1.0}], ids=str
)
def test_bad_votes(options: dict[str, Any]) -> None:
    found = nearest_neighbors(points(2), points(3))
    with pytest.raises(ValueError, match=next(iter(options))):
        knn_votes(found, np.arange(3), 3, **options)

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.utils.class_weight import compute_class_weight
from small_text import SklearnDataset

from small_text_ext.classifiers.base import (
    balanced_class_weights,
    checked_labels,
    checked_weights,
    dense_matrix,
    loss_weights,
)
from tests.classifiers.data import dataset, multi, single, vectors


def test_balanced_weights_are_scikit_learns() -> None:
    labels = np.array([0] * 70 + [1] * 25 + [2] * 5)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced_class_weights(labels, 3), expected)


def test_balanced_weights_leave_absent_classes_out_of_account() -> None:
    labels = np.array([0, 0, 0, 2])
    expected = compute_class_weight("balanced", classes=np.array([0, 2]), y=labels)
    weights = balanced_class_weights(labels, 4)
    np.testing.assert_allclose(weights[[0, 2]], expected)
    np.testing.assert_array_equal(weights[[1, 3]], 1)
    np.testing.assert_array_equal(balanced_class_weights(np.array([1, 1]), 2), 1)


def test_balanced_multi_label_weights_are_scikit_learns_label_by_label() -> None:
    labels = np.zeros((20, 4), dtype=np.float32)
    labels[:3, 0] = labels[:15, 1] = labels[:, 2] = 1
    weights = balanced_class_weights(labels, 4)
    for column in (0, 1):
        expected = compute_class_weight("balanced", classes=np.arange(2), y=labels[:, column])
        np.testing.assert_allclose(weights[:, column], expected)
    np.testing.assert_array_equal(weights[:, 2:], 1)


@pytest.mark.parametrize("make", [single, multi])
def test_balanced_weights_keep_the_mean_of_the_items_at_one(make: type) -> None:
    data = make()
    labels = checked_labels(data, 3, data.is_multi_label, "train_set")
    factors = loss_weights(labels, balanced_class_weights(labels, 3))
    assert factors.shape == labels.shape
    assert factors.mean() == pytest.approx(1)


def test_class_and_sample_weights_multiply() -> None:
    labels = np.array([0, 1, 1])
    factors = loss_weights(labels, np.array([2.0, 3.0]), np.array([1.0, 0.5, 2.0]))
    assert factors.tolist() == [2.0, 1.5, 6.0]
    hot = np.array([[1, 0], [0, 0]], dtype=np.float32)
    entries = loss_weights(hot, np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 10.0]))
    assert entries.tolist() == [[3.0, 2.0], [10.0, 20.0]]


def test_sample_weights_are_proportions() -> None:
    weights = checked_weights([1, 2, 3], 3)
    assert weights is not None
    np.testing.assert_allclose(weights, [0.5, 1.0, 1.5])
    assert checked_weights(None, 3) is None


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        ([1, 2], r"shape \(2,\), but train_set has 3 items"),
        ([[1, 2, 3]], r"shape \(1, 3\)"),
        ([1, 0, 1], "not above 0"),
        ([1, -1, 1], "not above 0"),
        ([1, np.nan, 1], "not finite"),
        ([1, np.inf, 1], "not finite"),
    ],
)
def test_bad_sample_weights(weights: list[float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        checked_weights(weights, 3)


def test_float_labels_are_cast() -> None:
    data = dataset(vectors(3), np.array([0.0, 2.0, 1.0]))
    labels = checked_labels(data, 3, False, "train_set")
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 2, 1]
    data = dataset(vectors(2), csr_matrix(np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])))
    labels = checked_labels(data, 3, True, "train_set")
    assert labels.tolist() == [[0, 1, 1], [0, 0, 0]]


def test_explicit_zeros_of_a_sparse_matrix_are_no_labels() -> None:
    y = csr_matrix((np.array([0, 1]), np.array([0, 2]), np.array([0, 1, 2])), shape=(2, 3))
    assert checked_labels(dataset(vectors(2), y), 3, True, "x").tolist() == [[0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ([0, -1, 1], "1 unlabelled items"),
        ([0.0, -np.inf, 1.0], "not whole numbers"),
        ([0.0, 0.5, 1.0], "not whole numbers"),
        ([0.0, np.nan, 1.0], "not whole numbers"),
        ([0, 1, 3], "label 3, but num_classes is 3"),
        ([[0], [1], [2]], r"shape \(3, 1\)"),
    ],
)
def test_bad_labels(labels: list[float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        checked_labels(dataset(vectors(3), np.array(labels)), 3, False, "train_set")


def test_bad_multi_labels() -> None:
    x = vectors(1)
    with pytest.raises(ValueError, match="negative or not finite"):
        checked_labels(dataset(x, csr_matrix([[0.0, -np.inf, 0.0]])), 3, True, "train_set")
    with pytest.raises(ValueError, match="label 3, but num_classes is 3"):
        checked_labels(dataset(x, csr_matrix([[0, 1, 0, 1]])), 3, True, "train_set")


def test_the_kind_of_labels_must_be_the_classifiers() -> None:
    with pytest.raises(ValueError, match="val is multi-label, but multi_label=False"):
        checked_labels(multi(), 3, False, "val")
    with pytest.raises(ValueError, match="val is single-label, but multi_label=True"):
        checked_labels(single(), 3, True, "val")


def test_an_empty_dataset_is_refused() -> None:
    with pytest.raises(ValueError, match="train_set is empty"):
        checked_labels(dataset(vectors(3)[:0], np.array([], dtype=int)), 3, False, "train_set")


def test_explicit_target_labels_must_be_the_classifiers() -> None:
    data = dataset(vectors(4), np.array([0, 1, 0, 1]), num_classes=2)
    for num_classes in (3, 5):
        with pytest.raises(ValueError, match=f"2 target labels, but num_classes is {num_classes}"):
            checked_labels(data[:2], num_classes, False, "train_set")
    wide = dataset(vectors(4), np.array([0, 1, 0, 1]), num_classes=4)
    with pytest.raises(ValueError, match="4 target labels, but num_classes is 2"):
        checked_labels(wide, 2, False, "train_set")


@pytest.mark.filterwarnings("ignore:Passing target_labels=None")
def test_inferred_target_labels_may_lack_classes() -> None:
    data = SklearnDataset(vectors(4), np.array([0, 1, 0, 1]))
    assert checked_labels(data[:3].clone(), 3, False, "train_set").tolist() == [0, 1, 0]


def test_dense_matrices_pass_as_they_are() -> None:
    x = vectors(4)
    assert dense_matrix(x) is x
    assert dense_matrix([[1.0, 2.0]]).shape == (1, 2)


def test_what_is_no_dense_matrix_is_refused_with_the_remedy() -> None:
    with pytest.raises(TypeError, match=r"sparse matrix.*PoolEmbeddings\.encode"):
        dense_matrix(csr_matrix(vectors(3)))
    with pytest.raises(TypeError, match="not numbers"):
        dense_matrix(["a text", "another"])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        dense_matrix(np.ones(3))

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from small_text import SklearnDataset, TextDataset
from small_text.integrations.transformers import TransformersDataset

from small_text_ext import PoolEmbeddings
from small_text_ext.pool.roots import root_rows

TEXTS = [f"text number {i}" for i in range(40)]
VECTORS = np.random.default_rng(0).normal(size=(40, 6))
LABELS = np.zeros(40, dtype=int)
TARGETS = np.arange(2)


def vector_dataset() -> SklearnDataset:
    return SklearnDataset(VECTORS, LABELS, target_labels=TARGETS)


def text_dataset() -> TextDataset:
    return TextDataset(TEXTS, LABELS, target_labels=TARGETS)


def token_dataset() -> TransformersDataset:
    import torch

    return TransformersDataset(
        [(torch.ones(1, 4), torch.ones(1, 4), 0) for _ in TEXTS], target_labels=TARGETS
    )


def sparse_dataset() -> SklearnDataset:
    return SklearnDataset(csr_matrix(np.eye(40)), LABELS, target_labels=TARGETS)


@pytest.mark.parametrize("make", [vector_dataset, text_dataset, token_dataset, sparse_dataset])
def test_every_kind_of_selection_is_followed(make) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    root, pool = make(), PoolEmbeddings.from_array(VECTORS)
    np.testing.assert_array_equal(root_rows(root, pool), np.arange(40))
    np.testing.assert_array_equal(root_rows(root[np.array([5, 2, 30])], pool), [5, 2, 30])
    np.testing.assert_array_equal(root_rows(root[10:20], pool), np.arange(10, 20))
    np.testing.assert_array_equal(root_rows(root[[3, 1]], pool), [3, 1])
    np.testing.assert_array_equal(root_rows(root[7], pool), [7])
    nested = root[10:30][np.array([9, 0, 5])][np.array([2, 1])]
    np.testing.assert_array_equal(root_rows(nested, pool), [15, 10])


def test_a_view_that_reorders_all_items_is_followed_to_the_root() -> None:
    order = np.random.default_rng(1).permutation(40)
    pool = PoolEmbeddings.from_array(VECTORS)
    for root in (vector_dataset(), token_dataset()):
        np.testing.assert_array_equal(root_rows(root[order], pool), order)


def test_embeddings_of_a_view_stop_at_the_view() -> None:
    order = np.random.default_rng(1).permutation(40)
    reordered = [TEXTS[i] for i in order]
    by_text = PoolEmbeddings.from_array(VECTORS[order], reordered)
    view = text_dataset()[order]
    np.testing.assert_array_equal(root_rows(view, by_text), np.arange(40))
    np.testing.assert_array_equal(root_rows(view[[7, 3]], by_text), [7, 3])
    by_vector = PoolEmbeddings.from_array(VECTORS[order])
    np.testing.assert_array_equal(root_rows(vector_dataset()[order][[7, 3]], by_vector), [7, 3])


def test_embeddings_of_a_part_match_the_part() -> None:
    pool = PoolEmbeddings.from_array(VECTORS[:25])
    part = vector_dataset()[:25]
    np.testing.assert_array_equal(root_rows(part[[4, 20]], pool), [4, 20])


def test_no_level_of_the_length_is_an_error() -> None:
    pool = PoolEmbeddings.from_array(VECTORS[:30])
    with pytest.raises(ValueError, match=r"30 rows, .* have \[10, 40\] items"):
        root_rows(vector_dataset()[:10], pool)


def test_other_texts_of_the_same_number_are_an_error() -> None:
    pool = PoolEmbeddings.from_array(VECTORS, TEXTS[::-1])
    with pytest.raises(ValueError, match="encode the texts of the dataset"):
        root_rows(text_dataset(), pool)


def test_other_vectors_of_the_same_shape_are_an_error() -> None:
    pool = PoolEmbeddings.from_array(VECTORS[::-1])
    with pytest.raises(ValueError, match="no level holds the same content"):
        root_rows(vector_dataset(), pool)


def test_texts_are_hashed_once_a_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    root, pool = text_dataset(), PoolEmbeddings.from_array(VECTORS, TEXTS)
    root_rows(root[:3], pool)
    monkeypatch.setattr(pool, "texts_match", lambda _: pytest.fail("it hashed again"))
    np.testing.assert_array_equal(root_rows(root[:5], pool), np.arange(5))


def test_changed_texts_are_hashed_again() -> None:
    root, pool = text_dataset(), PoolEmbeddings.from_array(VECTORS, TEXTS)
    root_rows(root, pool)
    root.x = TEXTS[::-1]
    with pytest.raises(ValueError, match="no level holds the same content"):
        root_rows(root, pool)


def test_a_plain_array_counts_by_length() -> None:
    pool = PoolEmbeddings.from_array(VECTORS)
    np.testing.assert_array_equal(root_rows(np.zeros((40, 3)), pool), np.arange(40))
    np.testing.assert_array_equal(root_rows(csr_matrix((40, 3)), pool), np.arange(40))


def test_other_features_of_the_same_length_do_not_count_as_another_order() -> None:
    scaled = VECTORS * [9.0, 1.0, 0.1, 5.0, 1.0, 2.0]
    root = SklearnDataset(scaled, LABELS, target_labels=TARGETS)
    rows = root_rows(root[[4, 2]], PoolEmbeddings.from_array(VECTORS))
    np.testing.assert_array_equal(rows, [4, 2])


def test_two_embeddings_of_one_dataset_are_compared_once_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = text_dataset()
    pools = [PoolEmbeddings.from_array(VECTORS, TEXTS) for _ in range(2)]
    for pool in pools:
        root_rows(root, pool)
    monkeypatch.setattr(PoolEmbeddings, "texts_match", lambda *_: pytest.fail("it hashed again"))
    for pool in pools:
        np.testing.assert_array_equal(root_rows(root[[7, 3]], pool), [7, 3])

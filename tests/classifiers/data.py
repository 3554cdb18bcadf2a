"""Clustered vectors and labels for classifiers on frozen vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from small_text import SklearnDataset

NUM_CLASSES, NUM_FEATURES = 3, 12


def vectors(num_items: int = 120, seed: int = 0) -> NDArray[np.float32]:
    """Return unit vectors around three centres, row i near centre i mod 3."""
    rng = np.random.default_rng(seed)
    centres = np.eye(NUM_CLASSES, NUM_FEATURES)
    noisy = centres[np.arange(num_items) % NUM_CLASSES] + 0.25 * rng.standard_normal(
        (num_items, NUM_FEATURES)
    )
    unit: NDArray[np.float32] = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    return unit.astype(np.float32)


def single(num_items: int = 120, seed: int = 0) -> SklearnDataset:
    """Return a single-label dataset of three classes."""
    return dataset(vectors(num_items, seed), np.arange(num_items) % NUM_CLASSES)


def multi(num_items: int = 120, seed: int = 0) -> SklearnDataset:
    """Return a multi-label dataset: label 0 on items of two centres, label 1 on one, 2 on one."""
    group = np.arange(num_items) % NUM_CLASSES
    dense = np.stack([group != 1, group == 1, group == 2], axis=1).astype(np.int64)
    return dataset(vectors(num_items, seed), csr_matrix(dense))


def dataset(x: Any, y: Any, num_classes: int = NUM_CLASSES) -> SklearnDataset:  # noqa: ANN401
    """Return a dataset with explicit target labels."""
    return SklearnDataset(x, y, target_labels=np.arange(num_classes))

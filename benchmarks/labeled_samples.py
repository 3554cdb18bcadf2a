"""Few labels for each class: one fit, its accuracy, its seconds and its memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Rows = NDArray[np.int64]

_DRAW = 33


@dataclass(frozen=True)
class SampleSettings:
    """How many labels are drawn.

    Parameters
    ----------
    per_class : int or None, default=None
        Labels of each class, fewer where the pool has not so many; None draws at random.
    max_labels : int or None, default=None
        Labels in all; None is no limit.

    Raises
    ------
    ValueError
        If one is below 1, or neither is given.
    """

    per_class: int | None = None
    max_labels: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("per_class", "max_labels"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}: pass at least 1.")
        if self.per_class is None and self.max_labels is None:
            raise ValueError("per_class and max_labels are both left out: give one, or both.")

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> SampleSettings:
        """Make settings of a method's parameters."""
        return cls(**params)

    @property
    def title(self) -> str:
        """The settings in words.

        Examples
        --------
        >>> SampleSettings(8).title, SampleSettings(max_labels=5000).title
        ('8 a class', '5,000 in all')
        """
        parts = [] if self.per_class is None else [f"{self.per_class} a class"]
        if self.max_labels is not None:
            parts.append(f"{'at most ' if parts else ''}{self.max_labels:,} in all")
        return ", ".join(parts)


def draw_sample(labels: Labels, num_classes: int, settings: SampleSettings, seed: int) -> Rows:
    """Draw texts to label; a smaller sample of the same seed is a part of a larger one.

    Parameters
    ----------
    labels : numpy.ndarray of int64, shape (n,)
        True labels of the pool.
    num_classes : int
        Number of classes.
    settings : SampleSettings
        How many.
    seed : int
        Same seed, same texts.

    Returns
    -------
    numpy.ndarray of int64
        Sorted positions in the pool.

    Examples
    --------
    >>> labels = np.arange(30) % 3
    >>> few, more = (draw_sample(labels, 3, SampleSettings(k), seed=0) for k in (2, 4))
    >>> len(few), bool(np.isin(few, more).all())
    (6, True)
    """
    order = np.random.default_rng([seed, _DRAW]).permutation(len(labels))
    if settings.per_class is not None:
        rank = np.empty(len(labels), dtype=np.int64)
        for label in range(num_classes):
            own = labels[order] == label
            rank[order[own]] = np.arange(own.sum())
        order = order[rank[order] < settings.per_class]
    return np.sort(order[: settings.max_labels])

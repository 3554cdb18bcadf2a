"""Texts, or pairs of them, as datasets of small-text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from small_text import TextDataset
from small_text.data.datasets import TextDatasetView


class TextPoolView(TextDatasetView):
    """A view on a :class:`TextPool`, or on another view of one."""

    def clone(self) -> TextDataset:
        """Return a dataset of its own with the texts of the view.

        The learner makes one in every round. The host's makes an array of them on the way, in which
        each text is as wide as the longest: one article of 25,000 letters among 350 labelled texts
        makes 35 MB.
        """
        return TextDataset(self.x, np.copy(self.y), target_labels=np.copy(self.target_labels))


class TextPool(TextDataset):
    """A dataset of texts whose views are cheap to clone.

    Parameters
    ----------
    x : list of str
        The texts.
    y : numpy.ndarray of int64, shape (n,)
        Labels; -1 where there is none yet.
    target_labels : numpy.ndarray of int64
        All classes.
    """

    def __getitem__(self, item: Any) -> TextPoolView:  # noqa: ANN401 - an index, slice or array
        return TextPoolView(self, item)


def text_dataset(
    items: Sequence[Any], labels: NDArray[np.int64], classes: NDArray[np.int64]
) -> TextDataset:
    """Return a dataset for classifiers on texts.

    Parameters
    ----------
    items : sequence of str, or of (str, str)
        Texts, or pairs of them.
    labels : numpy.ndarray of int64, shape (n,)
        Labels; -1 where there is none yet.
    classes : numpy.ndarray of int64
        All classes.

    Returns
    -------
    small_text.TextDataset
        A :class:`TextPool`, or a ``TextPairDataset``.
    """
    if items and not isinstance(items[0], str):
        from small_text_ext import TextPairDataset

        return TextPairDataset(list(items), labels, target_labels=classes)
    return TextPool(list(items), labels, target_labels=classes)

"""Datasets of what small-text has none for: pairs of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from small_text import TextDataset
from small_text.data.datasets import TextDatasetView

TextPair = tuple[str, str]


class TextPairDatasetView(TextDatasetView):
    """A view on a `TextPairDataset`, or on another view of one."""

    def clone(self) -> TextPairDataset:
        """Return a dataset of its own with the rows of the view."""
        root = self
        while hasattr(root, "dataset"):
            root = root.dataset
        target_labels = None if root.track_target_labels else np.copy(root.target_labels)
        return TextPairDataset(list(self.x), self.y.copy(), target_labels=target_labels)


class TextPairDataset(TextDataset):
    """Pairs of texts with one label (or set of labels) each: entailment, paraphrase, questions.

    It is used as small-text's ``TextDataset`` is; classifiers of this package encode both texts of
    a pair together, with what separates them in the encoder's tokenizer (GPT-2's has nothing that
    does).

    Parameters
    ----------
    x : sequence of (str, str)
        The pairs: premise and hypothesis, say, or question and sentence.
    y : numpy.ndarray of int, shape (n,), or scipy.sparse.csr_matrix, shape (n, num_classes)
        Labels; -1 (an empty row in a multi-label dataset) where there is none yet.
    target_labels : numpy.ndarray of int or None, default=None
        All classes; None infers them from ``y``, where a class that does not occur is missing.

    Raises
    ------
    TypeError
        If an item is no pair of strings.
    ValueError
        If there are not as many labels as pairs.

    Examples
    --------
    >>> import numpy as np
    >>> pairs = [("A cat sleeps.", "An animal rests."), ("A cat sleeps.", "A dog barks.")]
    >>> dataset = TextPairDataset(pairs, np.array([1, 0]), target_labels=np.arange(2))
    >>> dataset[[1]].x
    [('A cat sleeps.', 'A dog barks.')]
    """

    def __init__(
        self,
        x: Sequence[TextPair],
        y: Any,  # noqa: ANN401
        target_labels: ArrayLike | None = None,
    ) -> None:
        pairs = _checked_pairs(x)
        # The host checks that its x holds strings: it sees the first texts, then gets the pairs.
        super().__init__([first for first, _ in pairs], y, target_labels=target_labels)
        self._x = pairs

    @property
    def x(self) -> list[TextPair]:
        """The pairs."""
        return self._x

    @x.setter
    def x(self, x: Sequence[TextPair]) -> None:
        pairs = _checked_pairs(x)
        if len(pairs) != len(self._x):
            raise ValueError(f"x has {len(pairs)} pairs, but the dataset {len(self._x)}.")
        self._x = pairs

    def clone(self) -> TextPairDataset:
        """Return a copy."""
        target_labels = None if self.track_target_labels else np.copy(self.target_labels)
        return TextPairDataset(list(self._x), self.y.copy(), target_labels=target_labels)

    @classmethod
    def from_arrays(
        cls,
        texts: Sequence[TextPair],
        y: Any,  # noqa: ANN401
        target_labels: ArrayLike | None = None,
    ) -> Self:
        """Make a dataset of pairs and labels; the same as calling the class."""
        return cls(texts, y, target_labels=target_labels)

    def __getitem__(self, item: Any) -> TextPairDatasetView:  # noqa: ANN401
        return TextPairDatasetView(self, item)


def _checked_pairs(x: Sequence[TextPair]) -> list[TextPair]:
    pairs = [tuple(pair) if isinstance(pair, tuple | list | np.ndarray) else pair for pair in x]
    for position, pair in enumerate(pairs):
        if not (isinstance(pair, tuple) and len(pair) == 2 and all(map(_is_text, pair))):
            raise TypeError(
                f"Item {position} of x is {pair!r}: pass pairs of strings, (text, text_pair), or "
                "use small-text's TextDataset for single texts."
            )
    return [(str(first), str(second)) for first, second in pairs]


def _is_text(value: object) -> bool:
    return isinstance(value, str)

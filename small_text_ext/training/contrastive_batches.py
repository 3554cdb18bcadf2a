"""Which items a batch of contrastive training holds.

Both classes are batch samplers of a ``torch.utils.data.DataLoader``: iterated, they yield lists of
positions in the training set. The batches follow from seed and epoch alone; `set_epoch`, which
trainers call, makes the next ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from small_text_ext._random import Seed, derived_generator, resolve_seed

Labels = Any
"""Class ids, or a dense or sparse matrix of zeros and ones: an array, a tensor or a csr_matrix."""


class ClassBalancedBatches:
    """Draws some classes for each batch, and some items of each: every anchor has a partner.

    In random batches of 32 from 50 classes, half of the anchors have no item of their own class to
    be pulled to, and those of rare classes next to never do.

    Parameters
    ----------
    labels : array-like of int, shape (n,), or matrix of zeros and ones, shape (n, num_classes)
        Labels of the training set. Items with a negative class id are left out.
    classes_per_batch : int, default=16
        Different classes in a batch; if there are fewer, all of them, so that batches are small
        unless ``samples_per_class`` is raised.
    samples_per_class : int, default=2
        Different items of each class; of a smaller class, all of them.
    power : float, default=0.5
        Classes are drawn in proportion to their size to this power. 1 follows the training set; 0
        draws all classes alike. The closer ``classes_per_batch`` is to the number of classes, the
        less it matters.
    seed : int, numpy.random.Generator or None, default=None
        Same seed and epoch, same batches.

    Attributes
    ----------
    singletons : frozenset of int
        Positions of the items that are alone in their class. Such an item stands twice in each of
        its batches, one after the other. An encoder in training mode gives it two different
        embeddings, as dropout differs, which are each other's positive partner; without dropout
        they are equal, and the pair has no gradient.

    Raises
    ------
    ValueError
        If there are no labels, or an option is out of range.

    Notes
    -----
    Items of a class are gone through in random order before one comes again, so that the batches of
    one epoch differ.

    In a multi-label task an item belongs to the class of its rarest label in the training set, of
    equally rare ones the first, and the items without a label are one more class.
    Another item of the same class shares that label, and so is a positive partner.

    References
    ----------
    T. Gao, X. Yao and D. Chen, "SimCSE", EMNLP 2021, for dropout as a second view. A. Hermans, L.
    Beyer and B. Leibe, "In Defense of the Triplet Loss for Person Re-Identification", 2017, for
    batches of P classes with K items.

    Examples
    --------
    >>> batches = ClassBalancedBatches([0, 0, 0, 1, 1, 2], classes_per_batch=3, seed=0)
    >>> len(batches), [len(batch) for batch in batches], batches.singletons
    (1, [6], frozenset({5}))
    """

    def __init__(
        self,
        labels: Labels,
        classes_per_batch: int = 16,
        samples_per_class: int = 2,
        power: float = 0.5,
        seed: Seed = None,
    ) -> None:
        check_at_least_one(classes_per_batch=classes_per_batch, samples_per_class=samples_per_class)
        if not 0 <= power <= 1:
            raise ValueError(f"power is {power}: pass a number between 0 and 1.")
        self.classes_per_batch, self.samples_per_class = classes_per_batch, samples_per_class
        self.power, self.seed, self.epoch = power, resolve_seed(seed), 0
        self._groups = class_members(labels)
        if not self._groups:
            raise ValueError("labels hold no known class: pass the labels of at least one item.")
        self.singletons = frozenset(int(group[0]) for group in self._groups if len(group) == 1)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches are made.

        Parameters
        ----------
        epoch : int
            From 0.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the batches of an epoch: what the training set would fill, rounded up."""
        items = sum(len(group) for group in self._groups)
        return math.ceil(items / (self._classes_drawn * self.samples_per_class))

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the batches of this epoch."""
        rng = derived_generator(self.seed, self.epoch)
        decks = [_Deck(group, rng) for group in self._groups]
        sizes = np.array([len(group) for group in self._groups], dtype=np.float64)
        shares = sizes**self.power / (sizes**self.power).sum()
        for _ in range(len(self)):
            chosen = rng.choice(len(decks), size=self._classes_drawn, replace=False, p=shares)
            yield [item for group in chosen for item in self._drawn(decks[group])]

    @property
    def _classes_drawn(self) -> int:
        return min(self.classes_per_batch, len(self._groups))

    def _drawn(self, deck: _Deck) -> list[int]:
        drawn = deck.draw(self.samples_per_class)
        return drawn * 2 if deck.size == 1 else drawn


class RandomBatches:
    """Cuts a random order of the training set into batches, as the reference does.

    Parameters
    ----------
    num_items : int
        Items of the training set.
    batch_size : int, default=32
        Items of a batch; the last batch of an epoch has what is left.
    seed : int, numpy.random.Generator or None, default=None
        Same seed and epoch, same batches.

    Raises
    ------
    ValueError
        If a number is below 1.

    Examples
    --------
    >>> [len(batch) for batch in RandomBatches(5, batch_size=2, seed=0)]
    [2, 2, 1]
    """

    def __init__(self, num_items: int, batch_size: int = 32, seed: Seed = None) -> None:
        check_at_least_one(num_items=num_items, batch_size=batch_size)
        self.num_items, self.batch_size = num_items, batch_size
        self.seed, self.epoch = resolve_seed(seed), 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches are made.

        Parameters
        ----------
        epoch : int
            From 0.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the batches of an epoch."""
        return math.ceil(self.num_items / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the batches of this epoch."""
        order = derived_generator(self.seed, self.epoch).permutation(self.num_items).tolist()
        for start in range(0, self.num_items, self.batch_size):
            yield order[start : start + self.batch_size]


class _Deck:
    """Deals the items of a class, and shuffles them anew when they run out."""

    def __init__(self, items: NDArray[np.int64], rng: np.random.Generator) -> None:
        self.size = len(items)
        self._items, self._rng = items, rng
        self._left: list[int] = []

    def draw(self, number: int) -> list[int]:
        """Return that many different items, or all if there are fewer."""
        number = min(number, self.size)
        drawn, self._left = self._left[:number], self._left[number:]
        if len(drawn) < number:
            order = self._rng.permutation(self._items).tolist()
            others = [item for item in order if item not in drawn]
            missing = number - len(drawn)
            # What was just drawn comes again before the next shuffle, but not in this draw.
            self._left = [item for item in order if item not in others[:missing]]
            drawn = drawn + others[:missing]
        return drawn


def _as_array(labels: Labels) -> NDArray[Any]:
    dense = np.asarray(labels.toarray() if hasattr(labels, "toarray") else labels)
    if dense.ndim not in (1, 2) or not len(dense):
        raise ValueError(
            f"labels have the shape {dense.shape}: pass (n,) class ids, or (n, num_classes) zeros "
            "and ones, of at least one item."
        )
    return dense


def class_members(labels: Labels) -> list[NDArray[np.int64]]:
    """Return the positions of the items of each class that occurs, as `ClassBalancedBatches` does.

    Parameters
    ----------
    labels : array-like of int, shape (n,), or matrix of zeros and ones, shape (n, num_classes)
        Labels; a negative class id is none.

    Returns
    -------
    list of numpy.ndarray of int64
        One for each class; of several labels by the rarest, those without any being one more.

    Examples
    --------
    >>> [members.tolist() for members in class_members([4, -1, 2, 4])]
    [[2], [0, 3]]
    """
    dense = _as_array(labels)
    classes = dense if dense.ndim == 1 else _rarest_labels(dense > 0)
    return [np.flatnonzero(classes == one) for one in np.unique(classes[classes >= 0])]


def _rarest_labels(hot: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return each row's rarest label, or one more than the last if it has none."""
    counts = np.where(hot, hot.sum(axis=0), np.iinfo(np.int64).max)
    rarest: NDArray[np.int64] = counts.argmin(axis=1)
    return np.where(hot.any(axis=1), rarest, hot.shape[1])


def check_at_least_one(**numbers: int) -> None:
    """Raise an error that names the argument unless all are integers of at least 1."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | np.integer):
            raise TypeError(f"{name} is {number!r}: pass an integer.")
        if number < 1:
            raise ValueError(f"{name} is {number}: pass an integer of at least 1.")

"""Irreducible losses of a pool: computed once for all scores of a seed that compare with them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.side_classifiers import KeptFactory, SideClassifier, fitted_side_model

if TYPE_CHECKING:
    from benchmarks.batch_selection import SelectionTask

Labels = NDArray[np.int64]
Rows = NDArray[np.int64]

_USED_DRAWS = 34
_KEPT_ALIVE = 8
# A hundredth of the trained model's rate, as in the authors' ablation.
_UPDATE_RATE = 0.01


@dataclass(frozen=True)
class Irreducible:
    """Irreducible losses, and what they cost.

    Parameters
    ----------
    losses : numpy.ndarray of float64, shape (pool,)
        NaN for what is not trained.
    seconds : float
        What they took.
    accuracy : float
        Of the model behind them, on the test set; out of fold, the mean of the folds' models, or
        that of one more model of all labels where it is logistic regression.
    num_vectors : int
        How many frozen vectors the model read.
    model : SideModel or None
        The model itself, where it is to go on learning.
    """

    losses: NDArray[np.float64]
    seconds: float
    accuracy: float
    num_vectors: int
    model: Any = None


_known: dict[str, Irreducible] = {}
"""Irreducible losses of the last few settings: the scores of one seed share them."""


def find_irreducible(
    task: SelectionTask, labels: Labels, rows: Rows, held: Rows, test_rows: Rows
) -> Irreducible:
    """Compute irreducible losses, or take those of another score of the same seed.

    Parameters
    ----------
    task : SelectionTask
        What is trained.
    labels : numpy.ndarray of int64, shape (pool,)
        Labels of the pool, wrong ones among them.
    rows : numpy.ndarray of int64
        What is trained.
    held : numpy.ndarray of int64
        What is set aside; empty: they are computed out of fold.
    test_rows : numpy.ndarray of int64
        The test set's relevant part.

    Returns
    -------
    Irreducible
        The losses, with their cost.

    Raises
    ------
    ValueError
        If nothing that is set aside is left to learn from.
    """
    if task.settings.update_irreducible:
        # Its model goes on learning, at a rate of the trained one's: nobody else's start.
        return _computed(task, labels, rows, held, test_rows)
    changed = ("lr", "options", "passes", "proxy_classifier", "score", "selected_fraction")
    settings = {name: value for name, value in vars(task.settings).items() if name not in changed}
    key = task.key + str(settings)
    if key not in _known:
        found = _computed(task, labels, rows, held, test_rows)
        while len(_known) >= _KEPT_ALIVE:
            _known.pop(next(iter(_known)))
        _known[key] = found
    return _known[key]


def _computed(
    task: SelectionTask, labels: Labels, rows: Rows, held: Rows, test_rows: Rows
) -> Irreducible:
    settings, side = task.settings, _side(task)
    data = side.pool_set(labels)
    kept = None if side.factory is None else KeptFactory(side.factory)
    start = time.perf_counter()
    taught = rows
    if len(held):
        used = used_part(held, labels, settings.hold_out_used, task.seed)
        taught = _apart(data, rows, used)
    source = _source(task, data[taught] if len(held) else None, kept)
    values = np.full(len(labels), np.nan)
    values[rows] = source.losses(data[rows], labels[rows], task.seed).losses
    seconds = time.perf_counter() - start
    test_set = side.test_set[test_rows]
    if kept is None:
        predicted = [source.judge(data[taught], test_set, task.num_classes).argmax(axis=1)]
    else:
        predicted = [clf.predict(test_set) for clf in kept.made]
    truth = task.test_labels[test_rows]
    accuracy = float(np.mean([(each == truth).mean() for each in predicted]))
    num_vectors = len(rows) + len(held) if side.features == "vectors" else 0
    return Irreducible(values, seconds, accuracy, num_vectors, _model(task, kept))


def _source(task: SelectionTask, held_set: Any, factory: KeptFactory | None) -> Any:  # noqa: ANN401
    from small_text_ext.classifiers.reducible_loss import (
        CrossFitIrreducibleLoss,
        HoldOutIrreducibleLoss,
    )

    settings = task.settings
    options: dict[str, Any] = {
        "temperature": settings.irreducible_temperature,
        "smallest": settings.irreducible_smallest,
    }
    if held_set is None:
        return CrossFitIrreducibleLoss(factory, num_folds=settings.num_folds, **options)
    return HoldOutIrreducibleLoss(held_set, factory, absent="high", **options)


def _model(task: SelectionTask, kept: KeptFactory | None) -> Any:  # noqa: ANN401
    if kept is None or not task.settings.update_irreducible:
        return None
    lr = task.factory.new().lr if task.settings.lr is None else task.settings.lr
    return fitted_side_model(kept.made[-1], None if lr is None else lr * _UPDATE_RATE)


def _side(task: SelectionTask) -> SideClassifier:
    """Return the model behind irreducible losses; without a factory it is logistic regression."""
    named = task.settings.irreducible_classifier
    if named is None:
        return SideClassifier(None, task.vectors, task.test_vectors, "vectors")
    return task.beside(named) if task.settings.update_irreducible else task.side(named)


def used_part(held: Rows, labels: Labels, share: float, seed: int) -> Rows:
    """Return the part of a hold-out set that is learnt from, class by class.

    Parameters
    ----------
    held : numpy.ndarray of int64
        Positions in the pool.
    labels : numpy.ndarray of int64, shape (pool,)
        Labels of the pool.
    share : float
        Share of each class, of which one item stays at least.
    seed : int
        Same seed, same order: a smaller part lies in a larger one.

    Returns
    -------
    numpy.ndarray of int64
        Sorted positions.

    Examples
    --------
    >>> labels = np.arange(12) % 2
    >>> part = used_part(np.arange(12), labels, 0.5, seed=0)
    >>> np.bincount(labels[part]).tolist()
    [3, 3]
    """
    if share == 1:
        return held
    order = np.random.default_rng([seed, _USED_DRAWS]).permutation(held)
    classes = np.unique(labels[order])
    groups = [order[labels[order] == label] for label in classes]
    return np.sort(np.concatenate([group[: max(1, round(share * len(group)))] for group in groups]))


def _apart(data: Any, rows: Rows, held: Rows) -> Rows:  # noqa: ANN401
    """Leave out of what is set aside the twins of what is trained: data sets repeat themselves."""
    from small_text_ext.training.irreducible_loss import item_keys

    keys = np.array(item_keys(list(data.x)))
    apart = held[~np.isin(keys[held], keys[rows])]
    if not len(apart):
        raise ValueError(
            f"All {len(held)} texts that are set aside are trained, too: raise hold_out, or take "
            "a data set that does not repeat its texts."
        )
    return apart

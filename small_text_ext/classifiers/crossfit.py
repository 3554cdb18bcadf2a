"""Training dynamics out of fold, and the wrong labels that they give away."""

from __future__ import annotations

import copy
import logging
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from small_text_ext._random import Seed, derived_generator, resolve_seed
from small_text_ext.classifiers.base import (
    TrainedClassifier,
    TrainedClassifierFactory,
    check_positive_integer,
    checked_labels,
    checked_weights,
)
from small_text_ext.classifiers.mlp import MLPClassificationFactory, MLPModelArguments
from small_text_ext.classifiers.wrapped import check_own_factory, is_multi_label
from small_text_ext.training.dynamics import DynamicsRecorder, HeldOutRecorder, TrainingDynamics
from small_text_ext.training.label_noise import NoiseMethod, flip_easy_labels

_logger = logging.getLogger(__name__)

# What tells the draws of one purpose from those of another.
_FOLDS, _FLIPS, _THRESHOLDS = 11, 12, 13
_REPEATS_OF_DEFAULT = 3
_EPOCHS_OF_DEFAULT = 20
SKIPPED_OUT_OF_FOLD = 0.95
"""The share of epochs, the first ones, that rankings of suspected noise leave out.

Of the default head's 20 the last one is left. Out of fold, epochs before it add nothing: they were
up to .003 of average precision worse, on the same folds (see ``benchmarks/README.md``)."""
_SKIPPED_OF_MARGINS = 0.5


def crossfit_dynamics(
    factory: TrainedClassifierFactory,
    train_set: Any,  # noqa: ANN401
    num_folds: int = 5,
    num_repeats: int = 1,
    skip_first: float = 0.0,
    weights: Any | None = None,  # noqa: ANN401
    seed: Seed = None,
    show_progress: bool | None = None,
) -> TrainingDynamics:
    """Record what classifiers thought of each item, epoch by epoch, that were not trained on it.

    In-sample, a model that can learn labels by heart agrees with wrong ones in the end; out of
    fold it never sees them.

    Parameters
    ----------
    factory : TrainedClassifierFactory
        Makes the classifiers, by a factory of this package. They train on all but one fold, without
        a validation set of their own.
    train_set : small_text.data.Dataset
        Labelled items, at least two.
    num_folds : int, default=5
        Parts that the items are dealt to, class by class. More folds train on more items and take
        longer.
    num_repeats : int, default=1
        How often to deal them. Repeats are averaged over as further epochs, which steadies a
        ranking; each costs ``num_folds`` fits. (Numbers of forgetting events then mean nothing.)
    skip_first : float, default=0.0
        The share of each fit's epochs, the first ones, that is left out, at least one epoch staying
        in. What an unlearnt model does not yet know says nothing of a label; in-sample it is the
        other way round, since later epochs know labels by heart.
    weights : array-like of float, shape (n,), or None, default=None
        Sample weights, as for ``fit``.
    seed : int, numpy.random.Generator or None, default=None
        Same seed, same folds.
    show_progress : bool or None, default=None
        A bar over the fits; None shows one on a terminal only.

    Returns
    -------
    TrainingDynamics
        Ids are positions in ``train_set``; ``num_repeats`` times the epochs that every fit
        completed.

    Raises
    ------
    TypeError
        If the factory is not one of this package.
    ValueError
        If there are fewer items than folds, or fewer than two folds, ``skip_first`` is no share, or
        a weight is missing, not finite or not positive.

    Examples
    --------
    >>> from small_text import SklearnDataset
    >>> x = np.array([[1.0, 0.0], [0.9, 0.1]] * 4 + [[0.0, 1.0], [0.1, 0.9]] * 4)
    >>> y = np.repeat([0, 1], 8)
    >>> y[0] = 1
    >>> train_set = SklearnDataset(x, y, target_labels=np.arange(2))
    >>> factory = MLPClassificationFactory(MLPModelArguments(), 2, {"seed": 0})
    >>> dynamics = crossfit_dynamics(factory, train_set, num_folds=4, seed=0)
    >>> int(dynamics.suspected_noise()["guid"][0])
    0
    """
    check_own_factory(factory)
    check_positive_integer("num_repeats", num_repeats)
    check_positive_integer("num_folds", num_folds)
    labels = checked_labels(train_set, factory.num_classes, is_multi_label(factory), "train_set")
    if not 0 <= skip_first < 1:
        raise ValueError(f"skip_first is {skip_first}: pass a share of at least 0 and below 1.")
    if not 2 <= num_folds <= len(labels):
        raise ValueError(
            f"num_folds is {num_folds} for {len(labels)} items: pass 2 to {len(labels)}."
        )
    sample_weights = checked_weights(weights, len(labels))
    rng = derived_generator(resolve_seed(seed), _FOLDS)
    runs = []
    disable = None if show_progress is None else not show_progress
    with tqdm(total=num_folds * num_repeats, desc="folds", unit="fit", disable=disable) as bar:
        for _ in range(num_repeats):
            folds = deal_folds(labels, num_folds, rng)
            held_out = []
            for fold in range(num_folds):
                held_out.append(_fit_one(factory, train_set, sample_weights, folds == fold))
                bar.update()
            logits = _joined(held_out, folds)
            runs.append(logits[int(skip_first * len(logits)) :])
    return TrainingDynamics.from_logits(np.concatenate(runs), labels)


def find_label_noise(
    train_set: Any,  # noqa: ANN401
    factory: TrainedClassifierFactory | None = None,
    *,
    method: NoiseMethod = "confidence",
    num_folds: int | None = 5,
    num_repeats: int | None = None,
    flipped_fraction: float = 0.01,
    seed: Seed = None,
    show_progress: bool | None = None,
) -> pd.DataFrame:
    """Rank labelled items by how likely their label is wrong.

    Parameters
    ----------
    train_set : small_text.data.Dataset
        Labelled items.
    factory : TrainedClassifierFactory or None, default=None
        Makes the classifiers that judge them. None is logistic regression with the usual penalty
        (C = 1) on a ``SklearnDataset`` of dense vectors, 20 epochs: on small data, a linear and
        regularised model cannot learn wrong labels by heart.
    method : {"confidence", "logistic", "aum"}, default="confidence"
        The detector, see `TrainingDynamics.suspected_noise`. The known noise that "logistic" needs
        is made here: labels of the easiest items are flipped in a second run, as in the paper.
        So are the threshold samples of "aum": two runs, in each of which another
        ``1 / (num_classes + 1)`` of the items is given to a class of its own; the items that are
        samples in one are judged in the other.
    num_folds : int or None, default=5
        Record out of fold, over so many folds, and judge by the last twentieth of the epochs, at
        least one ("aum", which is an area, by the later half); None records in-sample, in one fit,
        and judges by all its epochs, which suits large data sets, few epochs, or "aum", as its
        authors use it.
    num_repeats : int or None, default=None
        How often to deal the folds; more make rankings of small sets a little better. None is three
        with the default head, and one with a factory of yours, whose fits may take hours.
    flipped_fraction : float, default=0.01
        For "logistic": the share of items to flip.
    seed : int, numpy.random.Generator or None, default=None
        Same seed, same ranking.
    show_progress : bool or None, default=None
        A bar over the fits; None shows one on a terminal only.

    Returns
    -------
    pandas.DataFrame
        As `TrainingDynamics.suspected_noise` returns it; ids are positions in ``train_set``.

    Raises
    ------
    TypeError
        If the factory is not one of this package, or is missing where items are no vectors.
    ValueError
        If the method is unknown or not made for a multi-label task, or an option is out of range:
        before the first fit.

    References
    ----------
    S. Swayamdipta et al., "Dataset Cartography", EMNLP 2020, section 5. G. Pleiss et al.,
    "Identifying Mislabeled Data using the Area Under the Margin Ranking", NeurIPS 2020.

    Examples
    --------
    >>> from small_text import SklearnDataset
    >>> x = np.array([[1.0, 0.0], [0.9, 0.1]] * 10 + [[0.0, 1.0], [0.1, 0.9]] * 10)
    >>> y = np.repeat([0, 1], 20)
    >>> y[3] = 1
    >>> train_set = SklearnDataset(x, y, target_labels=np.arange(2))
    >>> find_label_noise(train_set, seed=0).query("suspected")["guid"].tolist()
    [3]
    """
    made = default_factory(train_set) if factory is None else check_own_factory(factory)
    # Before the fits, which may take hours.
    if method not in get_args(NoiseMethod):
        raise ValueError(f"method is {method!r}: pass one of {', '.join(get_args(NoiseMethod))}.")
    if method != "confidence" and is_multi_label(made):
        raise ValueError(f"method={method!r} is for single-label tasks: pass 'confidence'.")
    if not 0 < flipped_fraction <= 1 / 3:
        raise ValueError(
            f"flipped_fraction is {flipped_fraction}: pass a share above 0 and at most 1/3."
        )
    if num_folds is None and num_repeats is not None:
        raise ValueError("num_repeats deals folds, and num_folds is None: leave one of them out.")
    number = resolve_seed(seed)
    repeats = _REPEATS_OF_DEFAULT if factory is None else 1
    repeats = repeats if num_repeats is None else num_repeats

    def run(maker: TrainedClassifierFactory, data_set: Any) -> TrainingDynamics:  # noqa: ANN401
        if num_folds is None:
            return fit_dynamics(maker, data_set)
        return crossfit_dynamics(
            maker,
            data_set,
            num_folds,
            repeats,
            _SKIPPED_OF_MARGINS if method == "aum" else SKIPPED_OUT_OF_FOLD,
            seed=number,
            show_progress=show_progress,
        )

    if method == "aum":
        return _threshold_samples(made, train_set, run, number)
    dynamics = run(made, train_set)
    if method != "logistic":
        return dynamics.suspected_noise(method)
    labels, flipped = flip_easy_labels(dynamics, flipped_fraction, seed=number + _FLIPS)
    known = run(made, relabeled(train_set, labels))
    return dynamics.suspected_noise(method, (known, np.isin(np.arange(len(labels)), flipped)))


def fit_dynamics(
    factory: TrainedClassifierFactory,
    train_set: Any,  # noqa: ANN401
    weights: Any | None = None,  # noqa: ANN401
    recorder: DynamicsRecorder | None = None,
) -> TrainingDynamics:
    """Fit one classifier on all items, and return what it made of them.

    Parameters
    ----------
    factory : TrainedClassifierFactory
        Makes the classifier; it trains without a validation set, on everything for all epochs.
    train_set : small_text.data.Dataset
        Labelled items.
    weights : array-like of float, shape (n,), or None, default=None
        Sample weights.
    recorder : DynamicsRecorder or None, default=None
        What records; None observes the training passes.

    Returns
    -------
    TrainingDynamics
        Ids are positions in ``train_set``.

    Raises
    ------
    ValueError
        If the factory's classifiers have a recorder already.
    """
    clf = recording_classifier(factory, recorder or DynamicsRecorder())
    clf.fit(train_set, weights=weights)
    recorded: Any = clf.recorder
    dynamics: TrainingDynamics = recorded.dynamics
    return dynamics


def recording_classifier(factory: TrainedClassifierFactory, recorder: Any) -> TrainedClassifier:  # noqa: ANN401
    """Return a new classifier that is recorded, and trains on everything it is given.

    Parameters
    ----------
    factory : TrainedClassifierFactory
        Makes it.
    recorder : Recorder
        Its recorder.

    Returns
    -------
    TrainedClassifier
        Unfitted.

    Raises
    ------
    ValueError
        If it has a recorder already.
    """
    clf = factory.new()
    if clf.recorder is not None:
        raise ValueError(
            f"The factory's classifiers have a recorder ({type(clf.recorder).__name__}): leave it "
            "out, since this records by itself."
        )
    clf.recorder = recorder
    clf.validation_set_size = 0.0
    return clf


def relabeled(train_set: Any, labels: NDArray[Any], num_classes: int | None = None) -> Any:  # noqa: ANN401
    """Return a copy of a single-label dataset with other labels.

    Parameters
    ----------
    train_set : small_text.data.Dataset
        The items.
    labels : numpy.ndarray of int64
        Their labels.
    num_classes : int or None, default=None
        The number of classes they are of; None keeps those of the dataset.

    Returns
    -------
    small_text.data.Dataset
        The copy.
    """
    copied = train_set.clone()
    if num_classes is not None:
        copied.target_labels = np.arange(num_classes)
    copied.y = labels
    return copied


def deal_folds(labels: NDArray[Any], num_folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal items to folds, class by class; multi-label items by their set of labels.

    Parameters
    ----------
    labels : numpy.ndarray, shape (n,) or (n, num_classes)
        The labels.
    num_folds : int
        How many folds.
    rng : numpy.random.Generator
        Deals.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        The fold of each item; sizes differ by one at most, and so do those of each class.
    """
    groups = labels if labels.ndim == 1 else np.unique(labels, axis=0, return_inverse=True)[1]
    # Those of one group after the other, each in random order: a class of one item lies in one
    # fold, and the classifier of that fold is not taught it.
    order = np.lexsort((rng.permutation(len(groups)), groups.ravel()))
    folds = np.empty(len(order), dtype=np.int64)
    folds[order] = (np.arange(len(order)) + rng.integers(num_folds)) % num_folds
    return folds


def _fit_one(
    factory: TrainedClassifierFactory,
    train_set: Any,  # noqa: ANN401
    weights: NDArray[np.float64] | None,
    held_out: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Return the logits (epochs, items, classes) of the fold that is not trained."""
    recorder = HeldOutRecorder(train_set[np.flatnonzero(held_out)])
    clf = recording_classifier(factory, recorder)
    rows = np.flatnonzero(~held_out)
    clf.fit(train_set[rows], weights=None if weights is None else weights[rows])
    return recorder.logits


def _joined(parts: list[NDArray[np.float32]], folds: NDArray[np.int64]) -> NDArray[np.float32]:
    # Numbers of epochs may differ by a fold's size; dynamics have one for all.
    num_epochs = min(len(part) for part in parts)
    logits = np.empty((num_epochs, len(folds), parts[0].shape[2]), dtype=np.float32)
    for fold, part in enumerate(parts):
        logits[:, folds == fold] = part[:num_epochs]
    return logits


def _threshold_samples(
    factory: TrainedClassifierFactory,
    train_set: Any,  # noqa: ANN401
    run: Any,  # noqa: ANN401
    seed: int,
) -> pd.DataFrame:
    num_classes = factory.num_classes
    labels = checked_labels(train_set, num_classes, False, "train_set")
    wider = copy.copy(factory)
    wider.num_classes = num_classes + 1
    order = derived_generator(seed, _THRESHOLDS).permutation(len(labels))
    number = max(1, len(labels) // (num_classes + 1))
    halves = order[:number], order[number : 2 * number]
    if len(halves[1]) == 0:
        raise ValueError(
            f"There are {len(labels)} items: threshold samples need at least {num_classes + 1}."
        )
    judged, tables = [], []
    for samples in halves:
        is_sample = np.isin(np.arange(len(labels)), samples)
        changed = np.where(is_sample, num_classes, labels)
        dynamics = run(wider, relabeled(train_set, changed, num_classes + 1))
        judged.append(~is_sample)
        table = dynamics.suspected_noise("aum", (dynamics, is_sample)).sort_values("index")
        # The class of the samples is nobody's.
        table["predicted"] = dynamics.mean_probabilities()[:, :num_classes].argmax(axis=1)
        tables.append(table)
    return _ranked(tables, np.stack(judged), labels)


def _ranked(
    tables: list[pd.DataFrame], judged: NDArray[np.bool_], labels: NDArray[Any]
) -> pd.DataFrame:
    """Join two runs: each judges the items that were no samples in it, their mean what both did."""
    scores, suspected = (
        np.stack([table[name].to_numpy() for table in tables]) for name in ("score", "suspected")
    )
    first, second = (table["predicted"].to_numpy() for table in tables)
    table = pd.DataFrame(
        {
            "guid": np.arange(len(labels)),
            "index": np.arange(len(labels)),
            "label": labels,
            "predicted": np.where(judged[0], first, second),
            "score": (scores * judged).sum(axis=0) / judged.sum(axis=0),
            "suspected": (suspected | ~judged).all(axis=0),
        }
    )
    return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def default_factory(train_set: Any, num_classes: int | None = None) -> TrainedClassifierFactory:  # noqa: ANN401
    """Return a factory of logistic regressions (C = 1), for a dataset of vectors.

    Parameters
    ----------
    train_set : small_text.data.Dataset
        What they will be trained on, more or less.
    num_classes : int or None, default=None
        The number of classes; None takes those of the dataset.

    Returns
    -------
    TrainedClassifierFactory
        Of linear heads, 20 epochs.

    Raises
    ------
    TypeError
        If the items are no vectors.
    """
    if len(getattr(getattr(train_set, "x", None), "shape", ())) != 2:
        raise TypeError(
            f"The items of a {type(train_set).__name__} are no vectors: pass a factory, such as "
            "TransformerClassificationFactory, or a SklearnDataset of sentence vectors."
        )
    options: dict[str, Any] = {"weight_decay": 1 / max(1, len(train_set)), "seed": 0}
    options["num_epochs"] = _EPOCHS_OF_DEFAULT
    options["multi_label"] = bool(train_set.is_multi_label)
    classes = len(train_set.target_labels) if num_classes is None else num_classes
    return MLPClassificationFactory(MLPModelArguments(), classes, options)

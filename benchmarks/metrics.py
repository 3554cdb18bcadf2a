"""How good a classifier is for a pool, measured on a test set that is mixed differently.

Rare-class test sets keep every positive they can get: the published ones hold 5 to 55 % positives
while their pools hold 0.1 to 1 %. Precision, F1 and average precision depend on that mixture, so
numbers taken straight from such a test set promise far more than a user of the pool will see. Here
every test item of class c counts ``pool_prior[c] / test_prior[c]`` times: recall stays what it is,
and all else is what a test set drawn from the pool would show on average.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import config_context
from sklearn.metrics import average_precision_score

Metrics = dict[str, float | None]

CALIBRATION_BINS = 15
CLASS_METRICS = ("precision", "recall", "f1", "average_precision")


def evaluate_predictions(
    y_true: ArrayLike,
    proba: ArrayLike,
    *,
    class_names: Sequence[str],
    minority: Sequence[int],
    pool_prior: ArrayLike,
) -> tuple[Metrics, dict[str, Metrics]]:
    """Score one classifier on a test set, at the class mixture of the pool.

    A false alarm costs the more precision the rarer the wanted class is: 90 % recall at 1 % false
    alarms is a precision of 0.99 where every second text is wanted, and of 0.08 where one in a
    thousand is. Where the two mixtures agree all weights are one and the numbers are scikit-learn's
    unweighted ones.

    Parameters
    ----------
    y_true : array-like of int, shape (n,)
        The class of each test item, from 0 to C - 1.
    proba : array-like of float, shape (n, C)
        Class probabilities of each test item. The prediction is the most probable class, the first
        of them on a tie.
    class_names : sequence of str, length C
        Names of the classes: the keys of the second result.
    minority : sequence of int
        The rare classes, over which the ``minority_...`` values are averaged. Where it is empty
        these are None.
    pool_prior : array-like of float, shape (C,)
        Share of each class in the pool; rescaled to sum to one over the classes present in the test
        set, so counts will do.

    Returns
    -------
    metrics : dict of str to float or None
        ``macro_f1`` (mean over the classes that can be measured), ``accuracy``, ``ece`` (see
        `expected_calibration_error`), and ``minority_precision``, ``minority_recall``,
        ``minority_f1``, ``minority_average_precision``: plain means over the minority classes that
        can be measured.
    per_class : dict of str to dict of str to float or None
        ``precision``, ``recall``, ``f1`` and ``average_precision`` of every class. All are None for
        a class that the test set lacks or that has a prior of zero: there is nothing to measure. A
        class that is never predicted has a precision and F1 of zero.

    Raises
    ------
    ValueError
        If shapes disagree, a label or minority class is out of range, a probability is not finite,
        or the prior is negative or zero for every class of the test set.

    Notes
    -----
    Differences from the AnchorAL experiments: those report F1 on the test set as it is, with 5.4 %
    positives for a pool of 0.09 % on Amazon-Agri, and no average precision.

    Examples
    --------
    Half the test set is positive, one text in a hundred of the pool is:

    >>> proba = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.1, 0.9]]
    >>> names = ["rest", "wanted"]
    >>> for prior in ([0.5, 0.5], [0.99, 0.01]):
    ...     _, per_class = evaluate_predictions(
    ...         [0, 0, 1, 1], proba, class_names=names, minority=[1], pool_prior=prior)
    ...     round(per_class["wanted"]["precision"], 3)
    0.667
    0.02
    """
    labels, probabilities = _checked_predictions(y_true, proba, class_names, minority)
    item_weight = prior_weights(labels, pool_prior, len(class_names))
    predicted = probabilities.argmax(axis=1)
    confusion = _weighted_confusion(labels, predicted, item_weight, len(class_names))
    measured = _class_values(confusion)
    measured["average_precision"] = _average_precisions(labels, probabilities, item_weight)
    metrics: Metrics = {
        "macro_f1": _mean(measured["f1"]),
        "accuracy": float(np.trace(confusion) / confusion.sum()),
        "ece": expected_calibration_error(
            predicted == labels, probabilities.max(axis=1), item_weight
        ),
    }
    rare = np.asarray(minority, dtype=np.intp)
    metrics |= {f"minority_{name}": _mean(measured[name][rare]) for name in CLASS_METRICS}
    per_class = {
        class_name: {name: _number(measured[name][c]) for name in CLASS_METRICS}
        for c, class_name in enumerate(class_names)
    }
    return metrics, per_class


def unweighted_metrics(y_true: ArrayLike, proba: ArrayLike, minority: Sequence[int]) -> Metrics:
    """Return accuracy and F1 on the test set as it is, as published experiments have them.

    To be compared with their numbers, not to be relied on: see the module.

    Parameters
    ----------
    y_true : array-like of int, shape (n,)
        The class of each test item.
    proba : array-like of float, shape (n, C)
        Class probabilities of each test item.
    minority : sequence of int
        The wanted classes.

    Returns
    -------
    dict of str to float or None
        ``test_accuracy``; and where some class is not wanted, ``unweighted_minority_f1`` and
        ``unweighted_majority_f1``: means over the wanted classes and over all others.

    Examples
    --------
    >>> unweighted_metrics([0, 0, 1, 1], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]], [0, 1])
    {'test_accuracy': 0.75}
    """
    probabilities = np.asarray(proba, dtype=np.float64)
    num_classes = probabilities.shape[1]
    labels, predicted = np.asarray(y_true, dtype=np.intp), probabilities.argmax(axis=1)
    found: Metrics = {"test_accuracy": float((predicted == labels).mean())}
    wanted = np.isin(np.arange(num_classes), minority)
    if wanted.all():
        return found
    ones = np.ones(len(labels))
    f1 = _class_values(_weighted_confusion(labels, predicted, ones, num_classes))["f1"]
    return {
        **found,
        "unweighted_minority_f1": _mean(f1[wanted]),
        "unweighted_majority_f1": _mean(f1[~wanted]),
    }


def prior_weights(
    y_true: ArrayLike, pool_prior: ArrayLike, num_classes: int
) -> NDArray[np.float64]:
    """Return how often each test item counts, so that the test set has the pool's class mixture.

    Parameters
    ----------
    y_true : array-like of int, shape (n,)
        The class of each test item.
    pool_prior : array-like of float, shape (num_classes,)
        Share (or count) of each class in the pool.
    num_classes : int
        Number of classes.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        Weights that sum to n; all one where the mixtures agree.

    Raises
    ------
    ValueError
        If the prior has another shape, a negative or non-finite entry, or no mass on any class of
        the test set.

    Examples
    --------
    >>> prior_weights([0, 1], [0.9, 0.1], 2)
    array([1.8, 0.2])
    """
    labels, prior = np.asarray(y_true), np.asarray(pool_prior, dtype=np.float64)
    if prior.shape != (num_classes,):
        raise ValueError(
            f"pool_prior has shape {prior.shape}: pass one share for each of {num_classes} classes."
        )
    if not np.isfinite(prior).all() or (prior < 0).any():
        raise ValueError(f"pool_prior is {prior.tolist()}: pass finite shares of at least 0.")
    counts = np.bincount(labels, minlength=num_classes)
    mass = prior[counts > 0].sum()
    if mass == 0:
        raise ValueError(
            f"pool_prior is {prior.tolist()}, zero for every class of the test set: pass the class "
            "shares of the pool that the test set stands for."
        )
    per_class = np.divide(
        prior * (len(labels) / mass), counts, out=np.zeros(num_classes), where=counts > 0
    )
    weights: NDArray[np.float64] = per_class[labels]
    return weights


def expected_calibration_error(
    correct: ArrayLike,
    confidence: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    num_bins: int = CALIBRATION_BINS,
) -> float:
    """Return by how much the confidence in the predicted class misses its accuracy.

    Items are put into equal-width bins ``((i - 1) / num_bins, i / num_bins]`` by the probability of
    their predicted class; the error is the mean over bins of |accuracy - mean confidence|, each bin
    weighted by its share of the items. Few bins hide errors that cancel out; very many measure the
    noise of nearly empty ones.

    Parameters
    ----------
    correct : array-like of bool, shape (n,)
        Whether each prediction is right.
    confidence : array-like of float, shape (n,)
        Probability of each predicted class, in [0, 1].
    sample_weight : array-like of float, shape (n,), default=None
        How often each item counts; None counts each once.
    num_bins : int, default=15
        Number of bins.

    Returns
    -------
    float
        The error, in [0, 1]; 0 is perfectly calibrated.

    References
    ----------
    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.

    Examples
    --------
    Two predictions made with 80 % confidence, of which one is right:

    >>> round(expected_calibration_error([True, False], [0.8, 0.8]), 6)
    0.3
    """
    top = np.asarray(confidence, dtype=np.float64)
    weight = np.ones(len(top)) if sample_weight is None else np.asarray(sample_weight)
    bins = np.clip(np.ceil(top * num_bins).astype(np.intp) - 1, 0, num_bins - 1)
    surplus = np.bincount(bins, weights=weight * (np.asarray(correct) - top), minlength=num_bins)
    return float(np.abs(surplus).sum() / weight.sum())


def _checked_predictions(
    y_true: ArrayLike, proba: ArrayLike, class_names: Sequence[str], minority: Sequence[int]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    labels, probabilities = np.asarray(y_true), np.asarray(proba, dtype=np.float64)
    num_classes = len(class_names)
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"y_true has shape {labels.shape}: pass one label for each test item.")
    if probabilities.shape != (len(labels), num_classes):
        raise ValueError(
            f"proba has shape {probabilities.shape}: pass ({len(labels)}, {num_classes}), one row "
            "for each label in y_true and one column for each name in class_names."
        )
    if len(set(class_names)) != num_classes:
        raise ValueError(f"class_names is {list(class_names)}: the names must differ.")
    for name, values in (("y_true", labels), ("minority", np.asarray(minority, dtype=np.intp))):
        if values.size and (values.min() < 0 or values.max() >= num_classes):
            raise ValueError(
                f"{name} holds {values.min()} to {values.max()}: pass classes from 0 to "
                f"{num_classes - 1}."
            )
    if not np.isfinite(probabilities).all():
        raise ValueError("proba holds NaN or infinity: the classifier diverged on the test set.")
    return labels.astype(np.intp), probabilities


def _weighted_confusion(
    labels: NDArray[np.intp],
    predicted: NDArray[np.intp],
    item_weight: NDArray[np.float64],
    num_classes: int,
) -> NDArray[np.float64]:
    cells: NDArray[np.float64] = np.zeros(num_classes**2)
    cells += np.bincount(
        labels * num_classes + predicted, weights=item_weight, minlength=num_classes**2
    )
    return cells.reshape(num_classes, num_classes)


def _class_values(confusion: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return precision, recall and F1 per class, NaN where a class has no weight."""
    hits, actual, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    present = np.where(actual > 0, 1.0, np.nan)
    return {
        "precision": present * _ratio(hits, predicted),
        "recall": present * _ratio(hits, actual),
        "f1": present * _ratio(2 * hits, actual + predicted),
    }


def _average_precisions(
    labels: NDArray[np.intp], probabilities: NDArray[np.float64], item_weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    values = np.full(probabilities.shape[1], np.nan)
    # The arguments are checked already: scikit-learn's checks would cost as much as its arithmetic.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        for c in np.unique(labels[item_weight > 0]):
            values[c] = average_precision_score(
                labels == c, probabilities[:, c], sample_weight=item_weight
            )
    return values


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.divide(
        numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0
    )
    return ratio


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

"""Core-sets by proxy: the part of a training set that a cheaper model finds worth training on."""

from __future__ import annotations

from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from small_text_ext._random import Seed, derived_generator, resolve_seed
from small_text_ext.classifiers.base import TrainedClassifierFactory, checked_labels
from small_text_ext.classifiers.crossfit import fit_dynamics, recording_classifier
from small_text_ext.classifiers.wrapped import (
    WrappedClassifier,
    WrappedClassifierFactory,
    check_own_factory,
    is_multi_label,
    kept_or_all,
)
from small_text_ext.protocols import dense_proba
from small_text_ext.training.dynamics import DynamicsRecorder

CoreSetMethod = Literal["entropy", "least_confidence", "forgetting"]


def core_set(
    train_set: Any,  # noqa: ANN401
    proxy_factory: TrainedClassifierFactory,
    method: CoreSetMethod = "entropy",
    fraction: float = 0.1,
    *,
    weights: ArrayLike | None = None,
    seed: Seed = None,
) -> NDArray[np.int64]:
    """Choose the part of a training set that a proxy is least sure of, or forgets most often.

    The proxy, a smaller or shorter trained model, is fitted once on everything; what it finds hard
    is hard for the larger model too. So are wrong labels, and a core-set of noisy data may be worse
    than a random one.

    Parameters
    ----------
    train_set : small_text.data.Dataset
        Labelled items. For a proxy on other features, such as vectors of texts, pass the dataset of
        those, and train on the same positions of the texts.
    proxy_factory : TrainedClassifierFactory
        Makes the proxy.
    method : {"entropy", "least_confidence", "forgetting"}, default="entropy"
        The highest entropy of the fitted proxy, the lowest probability of what it predicts, or the
        most forgetting events in its training, where an item that was never learnt has infinitely
        many. In a multi-label task entropies of the labels are summed, and what is predicted is a
        set of labels.
    fraction : float, default=0.1
        The share of the items to choose, rounded, at least one.
    weights : array-like of float, shape (n,), or None, default=None
        Sample weights for the proxy.
    seed : int, numpy.random.Generator or None, default=None
        Chooses among equals, of which forgetting events have many.

    Returns
    -------
    numpy.ndarray of int64
        Positions in ``train_set``, in order.

    Raises
    ------
    TypeError
        If the factory is not one of this package.
    ValueError
        If an option is unknown or out of range, or the proxy refuses the data.

    References
    ----------
    C. Coleman et al., "Selection via Proxy: Efficient Data Selection for Deep Learning", ICLR 2020.

    Examples
    --------
    >>> from small_text import SklearnDataset
    >>> from small_text_ext import MLPClassificationFactory, MLPModelArguments
    >>> x = np.array([[1, 0], [0.9, 0.1], [0.55, 0.45], [0.45, 0.55], [0.1, 0.9], [0, 1]])
    >>> train_set = SklearnDataset(x, np.array([0, 0, 0, 1, 1, 1]), target_labels=np.arange(2))
    >>> proxy = MLPClassificationFactory(MLPModelArguments(), 2, {"seed": 0})
    >>> core_set(train_set, proxy, fraction=1 / 3).tolist()
    [2, 3]
    """
    check_own_factory(proxy_factory)
    _check_options(method, fraction)
    if method == "forgetting":
        scores = _forgetting(proxy_factory, train_set, weights)
    else:
        clf: Any = proxy_factory.new()
        # What it holds out it would be least sure of.
        clf.validation_set_size = 0.0
        clf.fit(train_set, weights=weights)
        scores = _uncertainties(dense_proba(clf, train_set), method, is_multi_label(proxy_factory))
    # Among equals, positions would prefer what happens to come first.
    lot = derived_generator(resolve_seed(seed), len(scores)).permutation(len(scores))
    number = max(1, round(fraction * len(scores)))
    return np.sort(np.lexsort((lot, -scores))[:number])


class CoreSetClassification(WrappedClassifier):
    """Trains a classifier on the core-set that a proxy chooses, and on nothing else.

    The offline counterpart of `ReducibleLossClassification`: the choice is made once, before the
    first step. It saves time where the proxy is much cheaper than the classifier, and keeps what is
    hard, wrong labels among it.

    Parameters
    ----------
    base_factory : TrainedClassifierFactory
        Makes the classifier.
    proxy_factory : TrainedClassifierFactory or None, default=None
        Makes the proxy, which trains on everything, of the same kind of items. None is
        ``base_factory`` itself, which saves no time.
    method : {"entropy", "least_confidence", "forgetting"}, default="entropy"
        How the proxy chooses; see `core_set`.
    fraction : float, default=0.1
        The share of the items to train on. Small sets want more.
    seed : int, numpy.random.Generator or None, default=None
        Chooses among equals.

    Attributes
    ----------
    classifier_ : TrainedClassifier or None
        The one that predicts.
    kept_ : numpy.ndarray of int64 or None
        Positions in the training set that it was trained on, in order.
    fallback_reason_ : str or None
        Why everything was kept, where that was not asked for.

    Raises
    ------
    TypeError
        If a factory is not one of this package.
    ValueError
        If an option is out of range, or the factories are of different classes.

    Notes
    -----
    A core-set that would lose a class the training set has is not trained on: everything is, with a
    logged reason.

    Differences from the authors' code: the fraction is rounded, not cut; equals are chosen among at
    random; a validation set is the final classifier's alone.

    References
    ----------
    C. Coleman et al., "Selection via Proxy: Efficient Data Selection for Deep Learning", ICLR 2020.

    Examples
    --------
    >>> from small_text import SklearnDataset
    >>> from small_text_ext import MLPClassificationFactory, MLPModelArguments
    >>> x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    >>> train_set = SklearnDataset(x, (x[:, 0] > 0).astype(int), target_labels=np.arange(2))
    >>> base = MLPClassificationFactory(MLPModelArguments(hidden_size=32), 2, {"seed": 0})
    >>> proxy = MLPClassificationFactory(MLPModelArguments(), 2, {"num_epochs": 5, "seed": 0})
    >>> clf = CoreSetClassification(base, proxy, fraction=0.5, seed=0).fit(train_set)
    >>> len(clf.kept_), clf.predict(train_set).shape
    (30, (60,))
    """

    def __init__(
        self,
        base_factory: TrainedClassifierFactory,
        proxy_factory: TrainedClassifierFactory | None = None,
        method: CoreSetMethod = "entropy",
        fraction: float = 0.1,
        *,
        seed: Seed = None,
    ) -> None:
        super().__init__(base_factory)
        self.proxy_factory = check_own_factory(proxy_factory or base_factory)
        _check_options(method, fraction)
        given = self.proxy_factory.num_classes, is_multi_label(self.proxy_factory)
        if given != (self.num_classes, self.multi_label):
            raise ValueError(
                f"proxy_factory is of {given[0]} classes and multi_label={given[1]}, base_factory "
                f"of {self.num_classes} and multi_label={self.multi_label}: pass factories of the "
                "same task."
            )
        if method == "forgetting":
            recording_classifier(self.proxy_factory, DynamicsRecorder())  # checks it
        self.method: CoreSetMethod = method
        self.fraction = fraction
        self.seed = resolve_seed(seed)
        self.kept_: NDArray[np.int64] | None = None
        self.fallback_reason_: str | None = None

    def fit(
        self,
        train_set: Any,  # noqa: ANN401
        validation_set: Any | None = None,  # noqa: ANN401
        weights: ArrayLike | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Self:
        """Let a new proxy choose, and train on what it chose.

        Parameters
        ----------
        train_set : small_text.data.Dataset
            Labelled items.
        validation_set : small_text.data.Dataset or None, default=None
            For the final fit.
        weights : array-like of float, shape (n,), or None, default=None
            Positive sample weights in the order of ``train_set``, for both fits.
        **options : Any
            Further arguments of the final fit, where the classifier within takes any.

        Returns
        -------
        Self
            The classifier itself.

        Raises
        ------
        ValueError
            As the ``fit`` of either classifier.
        """
        labels = checked_labels(train_set, self.num_classes, self.multi_label, "train_set")
        chosen = core_set(
            train_set,
            self.proxy_factory,
            self.method,
            self.fraction,
            weights=weights,
            seed=self.seed,
        )
        choice = f"method={self.method!r}, fraction={self.fraction}"
        kept, reason = kept_or_all(chosen, labels, choice, "raise fraction")
        self.classifier_ = self._fitted_on(kept, train_set, validation_set, weights, options)
        self.kept_, self.fallback_reason_ = kept, reason
        return self


class CoreSetClassificationFactory(WrappedClassifierFactory[CoreSetClassification]):
    """Makes a new `CoreSetClassification` for every round of small-text's active learner.

    Parameters
    ----------
    base_factory : TrainedClassifierFactory
        Makes the classifiers within.
    **options : Any
        Further arguments of `CoreSetClassification`. A ``seed`` that is missing, None or a
        generator is drawn once.

    Raises
    ------
    TypeError, ValueError
        If `CoreSetClassification` does not take the arguments.

    Examples
    --------
    >>> from small_text_ext import MLPClassificationFactory, MLPModelArguments
    >>> base = MLPClassificationFactory(MLPModelArguments(), 2, {"seed": 0})
    >>> CoreSetClassificationFactory(base, method="forgetting", fraction=0.5).new().method
    'forgetting'
    """

    classifier = CoreSetClassification


def _forgetting(
    factory: TrainedClassifierFactory,
    train_set: Any,  # noqa: ANN401
    weights: ArrayLike | None,
) -> NDArray[np.float64]:
    metrics = fit_dynamics(factory, train_set, weights).metrics()
    events, never = metrics["forgetfulness"].to_numpy(), metrics["never_learnt"].to_numpy()
    return np.where(never, np.inf, events)


def _uncertainties(
    proba: NDArray[np.float64], method: CoreSetMethod, multi_label: bool
) -> NDArray[np.float64]:
    if method == "entropy":
        values = -xlogy(proba, proba)
        if multi_label:
            values -= xlogy(1 - proba, 1 - proba)
        return np.asarray(values.sum(axis=1))
    if multi_label:
        return np.asarray(1 - np.maximum(proba, 1 - proba).prod(axis=1))
    return np.asarray(1 - proba.max(axis=1))


def _check_options(method: str, fraction: float) -> None:
    if method not in get_args(CoreSetMethod):
        raise ValueError(f"method is {method!r}: pass one of {', '.join(get_args(CoreSetMethod))}.")
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}: pass a share above 0 and at most 1.")

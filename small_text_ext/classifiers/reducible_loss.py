"""RHO-LOSS: classifiers that train on what is learnable, worth learning and not yet learnt."""

from __future__ import annotations

import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.linear_model import LogisticRegression
from small_text import SklearnClassifierFactory, SklearnDataset

from small_text_ext._random import (
    Seed,
    derived_generator,
    preserved_global_state,
    resolve_seed,
)
from small_text_ext.classifiers.base import (
    TrainedClassifierFactory,
    check_positive_integer,
    checked_labels,
    checked_weights,
)
from small_text_ext.classifiers.crossfit import deal_folds, default_factory
from small_text_ext.classifiers.texts import texts_of
from small_text_ext.classifiers.wrapped import WrappedClassifier, WrappedClassifierFactory
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.protocols import class_probabilities
from small_text_ext.training.batch_selection import SelectionScore
from small_text_ext.training.irreducible_loss import (
    IrreducibleLosses,
    Temperature,
    check_temperature,
    irreducible_losses,
    item_keys,
    losses_of,
    resolved_temperature,
)
from small_text_ext.training.online_selection import ScoreSelector, checked_ids

Vectors = PoolEmbeddings | Callable[[list[Any]], ArrayLike]

_logger = logging.getLogger(__name__)

_SPLIT, _FOLDS = 21, 22


class IrreducibleLoss(ABC):
    """Where irreducible losses come from: a model that was not taught the items' own labels.

    Parameters
    ----------
    factory : Any, default=None
        Any classifier factory that small-text takes, for that model. None is logistic regression
        on vectors.
    vectors : PoolEmbeddings, callable or None, default=None
        For logistic regression on a dataset of texts: what turns texts into vectors, a
        `PoolEmbeddings` that knows its encoder, or a function of a list of texts. A dataset of
        vectors needs none.
    temperature : float, "fit" or "sharp", default="sharp"
        Scales the model's probabilities: "fit" as suits its predictions best, "sharp" by half of
        that, which keeps wrong labels out better; see `irreducible_losses`.
    smallest : float, default=1e-3
        Probabilities are raised to it; see `losses_of`.

    Raises
    ------
    ValueError
        If ``temperature`` or ``smallest`` is out of range.
    """

    def __init__(
        self,
        factory: Any = None,  # noqa: ANN401
        vectors: Vectors | None = None,
        *,
        temperature: Temperature = "sharp",
        smallest: float = 1e-3,
    ) -> None:
        check_temperature(temperature)
        if not 0 < smallest < 0.5:
            raise ValueError(f"smallest is {smallest}: pass a probability above 0 and below 0.5.")
        self.factory, self.vectors = factory, vectors
        self.temperature, self.smallest = temperature, smallest
        self._cache: dict[str, NDArray[np.float32]] = {}
        self._cached_from: Any = None

    def trained_rows(
        self,
        train_set: Any,  # noqa: ANN401
        labels: NDArray[Any],
        seed: int,
    ) -> NDArray[np.int64]:
        """Return the positions that are trained: all but those that this source keeps for itself.

        Parameters
        ----------
        train_set : small_text.data.Dataset
            The items.
        labels : numpy.ndarray
            Their labels.
        seed : int
            Of the fit.

        Returns
        -------
        numpy.ndarray of int64
            In order.
        """
        return np.arange(len(labels))

    @abstractmethod
    def losses(
        self,
        train_set: Any,  # noqa: ANN401
        labels: NDArray[Any],
        seed: int,
        num_classes: int | None = None,
    ) -> IrreducibleLosses:
        """Compute the irreducible loss of each item of a training set.

        Parameters
        ----------
        train_set : small_text.data.Dataset
            The items.
        labels : numpy.ndarray, shape (n,) or (n, num_classes)
            Their labels, checked.
        seed : int
            Of the fit.
        num_classes : int or None, default=None
            The number of classes; None takes those of the dataset, which may know only those it
            holds.

        Returns
        -------
        IrreducibleLosses
            Of all items that are trained.
        """

    def _made(
        self, keys: tuple[str, ...], labels: NDArray[Any], probabilities: NDArray[np.float64]
    ) -> IrreducibleLosses:
        return irreducible_losses(keys, labels, probabilities, self.temperature, self.smallest)

    def _with_value(
        self,
        keys: tuple[str, ...],
        labels: NDArray[Any],
        probabilities: NDArray[np.float64],
        taught: NDArray[np.bool_],
        value: float,
    ) -> IrreducibleLosses:
        """Make losses with one value for items of unknown classes, which set no temperature."""
        temperature: Temperature = 1.0
        if taught.any():
            temperature = resolved_temperature(
                self.temperature, probabilities[taught], labels[taught]
            )
        made = irreducible_losses(keys, labels, probabilities, temperature, self.smallest)
        return IrreducibleLosses(made.keys, made.labels, np.where(taught, made.losses, value))

    def _judged(self, data_set: Any) -> Any:  # noqa: ANN401
        """Return the dataset as the model sees it: vectors, where it is logistic regression."""
        if self.factory is not None or _has_vectors(data_set):
            return data_set
        if self.vectors is None:
            raise TypeError(
                "Irreducible losses of texts need a model: pass vectors, which turns texts into "
                "vectors for logistic regression (a PoolEmbeddings, or a function), or a factory."
            )
        items = texts_of(data_set)
        target_labels = data_set.target_labels
        return SklearnDataset(self._vectors_of(items), data_set.y, target_labels=target_labels)

    def _vectors_of(self, items: list[Any]) -> NDArray[np.float32]:
        if not all(isinstance(item, str) for item in items):
            raise TypeError(
                f"vectors encodes texts, and the items are of type {type(items[0]).__name__}: pass "
                "a factory that takes them, or KnownIrreducibleLoss."
            )
        if self._cached_from is not self.vectors:
            self._cache, self._cached_from = {}, self.vectors
        keys = item_keys(items)
        new = {key: item for key, item in zip(keys, items, strict=True) if key not in self._cache}
        if new:
            source: Any = self.vectors
            encode = source.vectors_of if isinstance(source, PoolEmbeddings) else source
            made = np.asarray(encode(list(new.values())), dtype=np.float32)
            self._cache.update(zip(new, made, strict=True))
        return np.stack([self._cache[key] for key in keys])

    def judge(
        self,
        train_set: Any,  # noqa: ANN401
        others: Any,  # noqa: ANN401
        num_classes: int,
        seed: int = 0,
        validate: bool = False,
    ) -> NDArray[np.float64]:
        """Train the model behind the losses on some items, and return its probabilities of others.

        Parameters
        ----------
        train_set, others : small_text.data.Dataset
            Items as the model takes them: vectors, where it is logistic regression.
        num_classes : int
            Columns of the result.
        seed : int, default=0
            For a model that draws from the global generators, which are put back after it.
        validate : bool, default=False
            Choose the epoch by the loss on the others, where the model knows epochs.

        Returns
        -------
        numpy.ndarray of float64, shape (m, num_classes)
            Neither scaled nor clipped. Of items of one class alone nothing is learnt: that class
            is certain.
        """
        if self.factory is not None and not train_set.is_multi_label:
            present = np.unique(np.asarray(train_set.y))
            if len(present) == 1:
                # Many classifiers refuse a single class, and there is nothing to learn.
                certain = np.zeros((len(others), num_classes))
                certain[:, int(present[0])] = 1.0
                return certain
        factory = self.factory or _logistic_regression(train_set, num_classes)
        # The host's classifiers draw from the global generators.
        with preserved_global_state(seed, torch=True):
            clf = factory.new()
            # The second place is that of weights with a scikit-learn model.
            takes = validate and "validation_set" in inspect.signature(clf.fit).parameters
            clf.fit(train_set, **({"validation_set": others} if takes else {}))
            return class_probabilities(clf, others, num_classes)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}, "_cached_from": None}


class CrossFitIrreducibleLoss(IrreducibleLoss):
    """Irreducible losses out of fold: no label is set aside, as an active learner wants it.

    Each fold is judged by a model of the others. Two folds are the paper's variant without a
    hold-out set, of which its own notebooks say that the advantage nearly vanishes: a model of half
    the labels knows little. More folds know more, and cost more fits.

    Parameters
    ----------
    factory, vectors, temperature, smallest : see `IrreducibleLoss`
        As there.
    num_folds : int, default=5
        At least 2; sets of fewer items have a fold for each.
    absent : {"zero", "raise"}, default="zero"
        What to do with an item whose class no other fold has: "zero" takes its irreducible loss for
        nothing, so that it is trained, and logs how many there are; "raise" is an error.

    Raises
    ------
    ValueError
        If an option is out of range.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [0.9, 0.1]] * 5 + [[0.0, 1.0], [0.1, 0.9]] * 5)
    >>> y = np.repeat([0, 1], 10)
    >>> y[0] = 1
    >>> data_set = SklearnDataset(x.astype(np.float32), y, target_labels=np.arange(2))
    >>> losses = CrossFitIrreducibleLoss().losses(data_set, y, seed=0).losses
    >>> int(losses.argmax())
    0
    """

    def __init__(
        self,
        factory: Any = None,  # noqa: ANN401
        vectors: Vectors | None = None,
        *,
        num_folds: int = 5,
        absent: Literal["zero", "raise"] = "zero",
        temperature: Temperature = "sharp",
        smallest: float = 1e-3,
    ) -> None:
        super().__init__(factory, vectors, temperature=temperature, smallest=smallest)
        check_positive_integer("num_folds", num_folds)
        if num_folds < 2:
            raise ValueError("num_folds is 1: pass at least 2.")
        if absent not in ("zero", "raise"):
            raise ValueError(f"absent is {absent!r}: pass 'zero' or 'raise'.")
        self.num_folds = int(num_folds)
        self.absent = absent

    def losses(
        self,
        train_set: Any,  # noqa: ANN401
        labels: NDArray[Any],
        seed: int,
        num_classes: int | None = None,
    ) -> IrreducibleLosses:
        """Compute irreducible losses; see `IrreducibleLoss.losses`.

        Items of equal content lie in one fold, so that none is judged by a model of its twin.

        Raises
        ------
        ValueError
            If there is one item only, or with ``absent="raise"`` a class that lies in one fold.
        """
        if len(labels) < 2:
            raise ValueError(
                "The training set has one item: out of fold there is nothing to judge it by; label "
                "more, or pass a HoldOutIrreducibleLoss."
            )
        judged, classes = self._judged(train_set), _num_classes(train_set, num_classes)
        keys = item_keys(_items(train_set))
        folds = _deal_apart(keys, labels, self.num_folds, derived_generator(seed, _FOLDS))
        probabilities = np.empty((len(labels), classes))
        unseen = np.zeros(len(labels), dtype=bool)
        for fold in np.unique(folds):
            inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            if not len(outside):
                raise ValueError(
                    f"All {len(labels)} items have the same content: out of fold there is nothing "
                    "to judge them by; label others, or pass a HoldOutIrreducibleLoss."
                )
            probabilities[inside] = self.judge(
                judged[outside], judged[inside], classes, seed + int(fold)
            )
            unseen[inside] = ~_is_taught(labels[inside], labels[outside])
        if not unseen.any():
            return self._made(keys, labels, probabilities)
        self._tell_unseen(unseen)
        return self._with_value(keys, labels, probabilities, ~unseen, 0.0)

    def _tell_unseen(self, unseen: NDArray[np.bool_]) -> None:
        row = int(np.argmax(unseen))
        what = f"Item {row} is of a class that no other fold holds ({int(unseen.sum())} such items)"
        if self.absent == "raise":
            raise ValueError(f"{what}: label more of it, or pass absent='zero' to train it always.")
        _logger.warning("%s: their irreducible losses are taken for zero.", what)


class HoldOutIrreducibleLoss(IrreducibleLoss):
    """Irreducible losses by a model of a hold-out set, as in the paper.

    The hold-out set says what is worth learning: of items unlike it, losses are high and are not
    called reducible.

    Parameters
    ----------
    hold_out : small_text.data.Dataset, float
        Labelled items that are not in the training set, all classes among them, which are pickled
        with the classifier; or the share of each training set that is split off, class by class,
        and is not trained.
    factory, vectors, temperature, smallest : see `IrreducibleLoss`
        As there.
    validate : bool, default=True
        With a factory: choose the model's epoch by its loss on the training set, as the paper does.
        (The released vision code chooses it on the test set.)
    absent : {"raise", "high"}, default="raise"
        What to do with an item whose class the hold-out set lacks: "raise" is an error; "high"
        takes it for not worth learning, as the paper does with classes that nobody asks for.

    Raises
    ------
    ValueError
        If the share is not in (0, 1), or ``absent`` is unknown.

    References
    ----------
    S. Mindermann et al., "Prioritized Training on Points that are Learnable, Worth Learning, and
    Not Yet Learnt", ICML 2022.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], dtype=np.float32)
    >>> y = np.array([0, 0, 1, 1])
    >>> held_out = SklearnDataset(x, y, target_labels=np.arange(2))
    >>> train_set = SklearnDataset(x * 0.8, 1 - y, target_labels=np.arange(2))
    >>> source = HoldOutIrreducibleLoss(held_out, temperature=1.0)
    >>> bool((source.losses(train_set, 1 - y, seed=0).losses > np.log(2)).all())
    True
    """

    def __init__(
        self,
        hold_out: Any,  # noqa: ANN401
        factory: Any = None,  # noqa: ANN401
        vectors: Vectors | None = None,
        *,
        validate: bool = True,
        absent: Literal["raise", "high"] = "raise",
        temperature: Temperature = "sharp",
        smallest: float = 1e-3,
    ) -> None:
        super().__init__(factory, vectors, temperature=temperature, smallest=smallest)
        self._is_share = isinstance(hold_out, Real)
        if self._is_share and not 0 < hold_out < 1:
            raise ValueError(f"hold_out is {hold_out}: pass a share above 0 and below 1.")
        if absent not in ("raise", "high"):
            raise ValueError(f"absent is {absent!r}: pass 'raise' or 'high'.")
        self.hold_out, self.validate, self.absent = hold_out, validate, absent

    def trained_rows(
        self,
        train_set: Any,  # noqa: ANN401
        labels: NDArray[Any],
        seed: int,
    ) -> NDArray[np.int64]:
        """Return what is not split off; see `IrreducibleLoss.trained_rows`.

        Items of equal content stay together. At least one item stays on either side. Of a class
        that would not be trained any more, nothing is split off.
        """
        if not self._is_share:
            return super().trained_rows(train_set, labels, seed)
        keys = item_keys(_items(train_set))
        # As many parts as items: each is a place in a shuffled list that is even in the classes.
        places = _deal_apart(keys, labels, len(labels), derived_generator(seed, _SPLIT))
        ranks = np.unique(places, return_inverse=True)[1]
        number = int(ranks.max()) + 1
        taken = min(max(1, round(float(self.hold_out) * number)), number - 1)
        spread = np.linspace(0, number, taken, endpoint=False).astype(np.int64)
        held = np.isin(ranks, spread)
        lonely = ~_is_taught(labels, labels[~held])
        back = held & np.isin(ranks, ranks[lonely])
        # Where all that is held is of such classes, it is held all the same: nothing else is left.
        return np.flatnonzero(~held | back) if (held & ~back).any() else np.flatnonzero(~held)

    def losses(
        self,
        train_set: Any,  # noqa: ANN401
        labels: NDArray[Any],
        seed: int,
        num_classes: int | None = None,
    ) -> IrreducibleLosses:
        """Compute irreducible losses; see `IrreducibleLoss.losses`.

        Raises
        ------
        ValueError
            If the hold-out set shares items with the training set, or lacks a class of it.
        """
        rows = self.trained_rows(train_set, labels, seed)
        classes, keys = _num_classes(train_set, num_classes), item_keys(_items(train_set))
        if self._is_share:
            others = np.setdiff1d(np.arange(len(labels)), rows)
            held, held_labels = train_set[others], labels[others]
        else:
            held = self.hold_out
            held_labels = checked_labels(held, classes, labels.ndim == 2, "hold_out")
            _check_apart(keys, item_keys(_items(held)))
        taught = _is_taught(labels[rows], held_labels)
        if self.absent == "raise":
            _check_taught(labels[rows], taught, rows)
        validate = self.validate and self.factory is not None
        probabilities = self.judge(
            self._judged(held), self._judged(train_set[rows]), classes, seed, validate
        )
        own_keys = tuple(keys[row] for row in rows)
        if taught.all():
            return self._made(own_keys, labels[rows], probabilities)
        _logger.info("%d items are of classes that the hold-out set lacks.", int((~taught).sum()))
        highest = float(-np.log(self.smallest))
        return self._with_value(own_keys, labels[rows], probabilities, taught, highest)


class KnownIrreducibleLoss(IrreducibleLoss):
    """Irreducible losses that are known already: a zero-shot model's, or those of an earlier run.

    Parameters
    ----------
    known : IrreducibleLosses, or mapping of str to array-like of float, shape (num_classes,)
        By item; see `irreducible_losses` and `IrreducibleLosses.load`. Or the probabilities of a
        model that was taught none of the labels, by the key of each item (`item_keys`): of a pool
        whose labels nobody knows yet, say. Losses are then made of the labels of each training set.
    temperature : float, "fit" or "sharp", default=1.0
        Of such probabilities, see `irreducible_losses`; 1 leaves them as they are. Others are
        fitted to the labels of each training set, and need some hundred of them.
    smallest : float, default=1e-3
        Of such probabilities, see `losses_of`.

    Raises
    ------
    TypeError
        If ``known`` is something else.
    ValueError
        If ``temperature`` or ``smallest`` is out of range.

    Examples
    --------
    >>> from small_text import TextDataset
    >>> from small_text_ext.training.irreducible_loss import item_keys
    >>> texts, y = ["good", "bad"], np.array([1, 0])
    >>> known = IrreducibleLosses(item_keys(texts), y, np.array([0.1, 0.7]))
    >>> train_set = TextDataset(["bad", "good"], y[::-1], target_labels=np.arange(2))
    >>> KnownIrreducibleLoss(known).losses(train_set, y[::-1], seed=0).losses.tolist()
    [0.7, 0.1]
    """

    def __init__(
        self,
        known: IrreducibleLosses | Mapping[str, ArrayLike],
        *,
        temperature: Temperature = 1.0,
        smallest: float = 1e-3,
    ) -> None:
        super().__init__(temperature=temperature, smallest=smallest)
        if not isinstance(known, IrreducibleLosses | Mapping):
            raise TypeError(
                f"known is a {type(known).__name__}: pass IrreducibleLosses, which "
                "irreducible_losses(item_keys(texts), labels, probabilities) makes, or a mapping, "
                "dict(zip(item_keys(texts), probabilities))."
            )
        self.known = known

    def losses(
        self,
        train_set: Any,  # noqa: ANN401
        labels: NDArray[Any],
        seed: int,
        num_classes: int | None = None,
    ) -> IrreducibleLosses:
        """Look them up; see `IrreducibleLoss.losses`.

        Raises
        ------
        KeyError
            If an item is not known.
        ValueError
            If it is known by another label, or its probabilities are none.
        """
        keys = item_keys(_items(train_set))
        if isinstance(self.known, Mapping):
            missing = [row for row, key in enumerate(keys) if key not in self.known]
            if missing:
                raise KeyError(
                    f"Item {missing[0]} has no probabilities ({len(missing)} of {len(keys)} items "
                    "have none): they are of other texts; ask the model for these."
                )
            given = np.array([self.known[key] for key in keys], dtype=np.float64)
            losses_of(given, labels)  # checks them
            return self._made(keys, labels, given)
        return IrreducibleLosses(keys, labels, self.known.of(keys, labels))


class ReducibleLossClassification(WrappedClassifier):
    """Trains a classifier on the candidates of the highest reducible loss.

    Of each candidate batch, those items are trained whose present loss is far above their
    irreducible one: what can be learnt, and is not learnt yet. Wrong labels are not, since the
    model of the irreducible losses does not agree with them either.

    It saves steps, not always time: each step scores ten candidates for one that is trained. It
    pays on noisy, redundant or irrelevant data; on clean data, and with a poor model of the
    irreducible losses, it hardly does, and classes that model is bad at may suffer
    (``class_weight_rate``). A small training set is trained whole.

    Parameters
    ----------
    base_factory : TrainedClassifierFactory
        Makes the classifier.
    irreducible_loss : IrreducibleLoss or None, default=None
        Where irreducible losses come from; None is a `CrossFitIrreducibleLoss`, which on texts
        needs its ``vectors``.
    score : str or SelectionScore, default="reducible_loss"
        A name in `SELECTION_SCORES`, or a score of yours.
    selected_fraction : float, default=0.1
        The share of each candidate batch that is trained.
    known_noisy : array-like of int or None, default=None
        Positions in the training set that are known to be wrong, for the log.
    seed : int, numpy.random.Generator or None, default=None
        Deals folds.
    **options : Any
        Further arguments of `ScoreSelector`.

    Attributes
    ----------
    classifier_ : TrainedClassifier or None
        The one that predicts.
    irreducible_losses_ : IrreducibleLosses or None
        Of the last fit; None where the score needs none.
    selection_log_ : pandas.DataFrame or None
        What was selected in the last fit; see `SelectionLog.frame`. Empty where all was trained.

    Raises
    ------
    TypeError, ValueError
        If an option is unknown or out of range.

    Notes
    -----
    Differences from the authors' code: irreducible losses are out of fold by default, since at the
    size of an active learner's labels a hold-out set costs more than it returns; they are scaled
    and clipped; batches are weighted as the base classifier weights them.

    References
    ----------
    S. Mindermann et al., "Prioritized Training on Points that are Learnable, Worth Learning, and
    Not Yet Learnt", ICML 2022.

    Examples
    --------
    >>> from small_text_ext import MLPClassificationFactory, MLPModelArguments
    >>> x = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
    >>> train_set = SklearnDataset(x, (x[:, 0] > 0).astype(int), target_labels=np.arange(2))
    >>> base = MLPClassificationFactory(MLPModelArguments(), 2, {"batch_size": 16, "seed": 0})
    >>> clf = ReducibleLossClassification(base, selected_fraction=0.25, seed=0).fit(train_set)
    >>> clf.selection_log_[["num_candidates", "num_selected"]].iloc[-1].tolist()
    [57, 15]
    """

    def __init__(
        self,
        base_factory: TrainedClassifierFactory,
        irreducible_loss: IrreducibleLoss | None = None,
        *,
        score: str | SelectionScore = "reducible_loss",
        selected_fraction: float = 0.1,
        known_noisy: ArrayLike | None = None,
        seed: Seed = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(base_factory)
        if irreducible_loss is not None and not isinstance(irreducible_loss, IrreducibleLoss):
            raise TypeError(
                f"irreducible_loss is a {type(irreducible_loss).__name__}: pass a "
                "CrossFitIrreducibleLoss, HoldOutIrreducibleLoss or KnownIrreducibleLoss."
            )
        self.irreducible_loss = irreducible_loss or CrossFitIrreducibleLoss()
        if "irreducible" in options:
            raise TypeError(
                "irreducible is computed in each fit: pass irreducible_loss, such as a "
                "KnownIrreducibleLoss, for losses that are known."
            )
        self.known_noisy = None if known_noisy is None else checked_ids(known_noisy)
        self.seed = resolve_seed(seed)
        self.options = {"score": score, "selected_fraction": selected_fraction, **options}
        self._selector()  # checks them
        self.irreducible_losses_: IrreducibleLosses | None = None
        self.selection_log_: pd.DataFrame | None = None

    def fit(
        self,
        train_set: Any,  # noqa: ANN401
        validation_set: Any | None = None,  # noqa: ANN401
        weights: ArrayLike | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Self:
        """Compute irreducible losses, and train on what is selected.

        Parameters
        ----------
        train_set : small_text.data.Dataset
            Labelled items.
        validation_set : small_text.data.Dataset or None, default=None
            As in `TrainedClassifier.fit`.
        weights : array-like of float, shape (n,), or None, default=None
            Positive sample weights in the order of ``train_set``.
        **options : Any
            Further arguments of the fit, where the classifier within takes any.

        Returns
        -------
        Self
            The classifier itself.

        Raises
        ------
        ValueError, TypeError, KeyError
            As the base classifier's ``fit``, and as the source of the irreducible losses.
        """
        labels = checked_labels(train_set, self.num_classes, self.multi_label, "train_set")
        item_weights = checked_weights(weights, len(labels))
        selector = self._selector()
        rows, losses = np.arange(len(labels)), None
        classifier: Any = self.classifier_ or self.base_factory.new()
        selects = True
        if selector.score.needs_irreducible and selector.irreducible_model is None:
            source, seed = self.irreducible_loss, self.seed
            kept = source.trained_rows(train_set, labels, seed)
            split_off = 0.0 if validation_set is not None else classifier.validation_set_size
            num_left = int(len(kept) * (1 - split_off))
            # A set too small to choose from is trained whole: nothing is set aside or judged.
            selects = selector.has_choice(num_left, classifier.batch_size)
            if selects:
                rows = kept
                losses = source.losses(train_set, labels, seed, self.num_classes)
                selector.irreducible = losses.losses
        if self.known_noisy is not None:
            selector.known_noisy = np.flatnonzero(np.isin(rows, self.known_noisy))
        classifier.batch_selector = selector if selects else None
        try:
            of_rows = None if item_weights is None else item_weights[rows]
            classifier.fit(train_set[rows], validation_set, of_rows, **options)
        finally:
            # A selector holds what it was shown, and is made anew for each fit.
            classifier.batch_selector = None
            selector.end()
        self.classifier_, self.irreducible_losses_ = classifier, losses
        self.selection_log_ = selector.log.frame()
        return self

    def _selector(self) -> ScoreSelector:
        if getattr(self.base_factory.new(), "batch_selector", None) is not None:
            raise ValueError(
                "The factory's classifiers have a batch selector: leave it out, since this selects."
            )
        return ScoreSelector(**self.options)


class ReducibleLossClassificationFactory(WrappedClassifierFactory[ReducibleLossClassification]):
    """Makes a new `ReducibleLossClassification` for every round of small-text's active learner.

    Parameters
    ----------
    base_factory : TrainedClassifierFactory
        Makes the classifiers within.
    irreducible_loss : IrreducibleLoss or None, default=None
        Where irreducible losses come from; None is a `CrossFitIrreducibleLoss`.
    **options : Any
        Further arguments of `ReducibleLossClassification`. A ``seed`` that is missing, None or a
        generator is drawn once.

    Raises
    ------
    TypeError, ValueError
        If `ReducibleLossClassification` does not take the arguments.

    Examples
    --------
    >>> from small_text_ext import MLPClassificationFactory, MLPModelArguments
    >>> base = MLPClassificationFactory(MLPModelArguments(), 2, {"seed": 0})
    >>> ReducibleLossClassificationFactory(base, selected_fraction=0.5).new().num_classes
    2
    """

    def __init__(
        self,
        base_factory: TrainedClassifierFactory,
        irreducible_loss: IrreducibleLoss | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(base_factory, irreducible_loss=irreducible_loss, **options)

    classifier = ReducibleLossClassification


def _has_vectors(data_set: Any) -> bool:  # noqa: ANN401
    return len(getattr(getattr(data_set, "x", None), "shape", ())) == 2


def _items(data_set: Any) -> Any:  # noqa: ANN401
    if issparse(getattr(data_set, "x", None)):
        raise TypeError(
            "The vectors of the dataset are a sparse matrix: pass dense ones, data_set.x.toarray()."
        )
    return np.asarray(data_set.x) if _has_vectors(data_set) else texts_of(data_set)


def _is_taught(labels: NDArray[Any], taught: NDArray[Any]) -> NDArray[np.bool_]:
    """Return whether every class of each item occurs in other labels."""
    if labels.ndim == 1:
        return np.isin(labels, taught)
    known = taught.any(axis=0)
    return np.asarray((~labels.astype(bool) | known).all(axis=1))


def _logistic_regression(train_set: Any, num_classes: int) -> Any:  # noqa: ANN401
    """Return a factory of logistic regressions (C = 1), scikit-learn's where it can."""
    if train_set.is_multi_label or len(np.unique(train_set.y)) < 2:
        return default_factory(train_set, num_classes)
    return SklearnClassifierFactory(LogisticRegression(max_iter=1000), num_classes)


def _num_classes(train_set: Any, given: int | None) -> int:  # noqa: ANN401
    return len(train_set.target_labels) if given is None else given


def _deal_apart(
    keys: tuple[str, ...], labels: NDArray[Any], num_folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Deal items to folds, class by class, those of equal content to the same one."""
    place = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    group = np.array([place[key] for key in keys])
    first = np.unique(group, return_index=True)[1]
    dealt = deal_folds(labels[first], min(num_folds, len(first)), rng)
    return np.asarray(dealt[group])


def _check_apart(keys: tuple[str, ...], held_out: tuple[str, ...]) -> None:
    shared = set(held_out)
    both = [row for row, key in enumerate(keys) if key in shared]
    if both:
        raise ValueError(
            f"Item {both[0]} of the training set is in the hold-out set too ({len(both)} such "
            "items): a model that was taught an item calls it learnt; take them out of one."
        )


def _check_taught(labels: NDArray[Any], taught: NDArray[np.bool_], rows: NDArray[np.int64]) -> None:
    if not taught.all():
        row = int(np.argmin(taught))
        raise ValueError(
            f"The hold-out set has no item of the class of item {int(rows[row])}, "
            f"{np.asarray(labels[row]).tolist()} ({int((~taught).sum())} such items): hold out "
            "some of it, pass absent='high' if nobody asks for it, or a CrossFitIrreducibleLoss."
        )

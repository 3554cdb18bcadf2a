"""Classifiers that map their labels first, and are trained on one region of the map."""

from __future__ import annotations

from typing import Any, Literal, Self, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from small_text_ext._random import Seed, derived_generator, resolve_seed
from small_text_ext.classifiers.base import (
    TrainedClassifierFactory,
    check_positive_integer,
    checked_labels,
)
from small_text_ext.classifiers.crossfit import (
    SKIPPED_OUT_OF_FOLD,
    crossfit_dynamics,
    fit_dynamics,
    recording_classifier,
)
from small_text_ext.classifiers.wrapped import (
    WrappedClassifier,
    WrappedClassifierFactory,
    kept_or_all,
)
from small_text_ext.training.dynamics import DynamicsRecorder, TrainingDynamics

Keep = Literal["ambiguous", "hard", "easy", "clean", "random"]

# The paper: of WinoGrande, the most ambiguous 17 % alone teach nothing; with a tenth of them
# replaced by easy items they do, and from 25 % on they need none.
_NEEDS_EASY_BELOW = 0.25
_EASY_MIX = 0.1


class CartographyClassification(WrappedClassifier):
    """Fits a classifier, maps its training set, and fits a new one on the region asked for.

    A strong encoder learns as much from the most ambiguous third as from everything, and often
    generalises better; a weak or under-trained one does not (a tiny BERT on the hard third of SST-2
    falls below chance). Measure on your data with ``keep="random"`` beside it.

    Parameters
    ----------
    base_factory : TrainedClassifierFactory
        Makes the classifiers, both the mapped one and the final one.
    keep : {"ambiguous", "hard", "easy", "clean", "random"}, default="ambiguous"
        The region to train on. "clean" keeps what is not suspected to be wrong, whatever share that
        is: best with ``crossfit``. "random" is the baseline for all others.
    fraction : float, default=0.33
        The share of the items to keep, rounded; "clean" does not look at it.
    easy_mix : float or None, default=None
        The share of what is kept that is taken from the easy region instead, with "ambiguous" or
        "hard"; None is a tenth where ``fraction`` is below a quarter, as the paper needs it there,
        and else nothing.
    observe : {"training", "epoch_end"}, default="training"
        What is recorded; see `DynamicsRecorder`.
    crossfit : int or None, default=None
        Record out of fold, over so many folds, instead of ``observe``; see `crossfit_dynamics`.
    burn_out : int or None, default=None
        Map the first so many epochs only: ``dynamics_`` holds no others. In-sample and with
        "clean", it keeps a model that learns labels by heart from vouching for wrong ones.
    seed : int, numpy.random.Generator or None, default=None
        Deals folds, and draws for "random".

    Attributes
    ----------
    classifier_ : TrainedClassifier or None
        The one that predicts.
    dynamics_ : TrainingDynamics or None
        The map of the training set; its ids are positions in it.
    kept_ : numpy.ndarray of int64 or None
        Positions in the training set that ``classifier_`` was trained on, in order.
    fallback_reason_ : str or None
        Why everything was kept, where that was not asked for.

    Raises
    ------
    TypeError
        If ``base_factory`` is not one of this package.
    ValueError
        If an option is out of range.

    Notes
    -----
    The first fit has no validation set: everything is mapped, over all epochs, as in the paper. A
    region that would lose a class the training set has is not trained on: everything is, with a
    logged reason. Of a few hundred labels that is common, and sensible.

    Fitted again, as small-text's ``reuse_model`` asks for, the final classifier goes on from its
    parameters; the map is made anew.

    Differences from the published code: exactly ``round(fraction * n)`` items are kept (there,
    ``int(fraction * n) + 1``), in the order of the training set and not of the metric; the random
    baseline has the size of the others.

    References
    ----------
    S. Swayamdipta et al., "Dataset Cartography: Mapping and Diagnosing Datasets with Training
    Dynamics", EMNLP 2020.

    Examples
    --------
    >>> from small_text import SklearnDataset
    >>> from small_text_ext import MLPClassificationFactory, MLPModelArguments
    >>> x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    >>> train_set = SklearnDataset(x, (x[:, 0] > 0).astype(int), target_labels=np.arange(2))
    >>> base = MLPClassificationFactory(MLPModelArguments(), 2, {"seed": 0})
    >>> clf = CartographyClassification(base, keep="ambiguous", fraction=0.5).fit(train_set)
    >>> len(clf.kept_), clf.predict(train_set).shape
    (30, (60,))
    """

    def __init__(
        self,
        base_factory: TrainedClassifierFactory,
        keep: Keep = "ambiguous",
        fraction: float = 0.33,
        *,
        easy_mix: float | None = None,
        observe: Literal["training", "epoch_end"] = "training",
        crossfit: int | None = None,
        burn_out: int | None = None,
        seed: Seed = None,
    ) -> None:
        super().__init__(base_factory)
        if keep not in get_args(Keep):
            raise ValueError(f"keep is {keep!r}: pass one of {', '.join(get_args(Keep))}.")
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction is {fraction}: pass a share above 0 and at most 1.")
        if easy_mix is not None and not 0 <= easy_mix < 1:
            raise ValueError(f"easy_mix is {easy_mix}: pass a share of at least 0 and below 1.")
        if crossfit is not None:
            check_positive_integer("crossfit", crossfit)
            if crossfit < 2:
                raise ValueError("crossfit is 1: pass a number of folds of at least 2.")
        if burn_out is not None:
            check_positive_integer("burn_out", burn_out)
        # Checks both: that it can observe so, and that it is the only one to.
        recording_classifier(base_factory, DynamicsRecorder(observe))
        self.keep: Keep = keep
        self.fraction, self.easy_mix = fraction, easy_mix
        self.observe: Literal["training", "epoch_end"] = observe
        self.crossfit, self.burn_out = crossfit, burn_out
        self.seed = resolve_seed(seed)
        self.dynamics_: TrainingDynamics | None = None
        self.kept_: NDArray[np.int64] | None = None
        self.fallback_reason_: str | None = None

    def fit(
        self,
        train_set: Any,  # noqa: ANN401
        validation_set: Any | None = None,  # noqa: ANN401
        weights: ArrayLike | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Self:
        """Map the training set, choose, and train on what was chosen.

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
            As the base classifier's `fit`.
        """
        labels = checked_labels(train_set, self.num_classes, self.multi_label, "train_set")
        dynamics = self._mapped(train_set, weights)
        kept, reason = kept_or_all(
            self._region(dynamics), labels, f"keep={self.keep!r}", "raise fraction (or easy_mix)"
        )
        classifier = self._fitted_on(kept, train_set, validation_set, weights, options)
        self.classifier_, self.dynamics_ = classifier, dynamics
        self.kept_, self.fallback_reason_ = kept, reason
        return self

    def suspected_noise(self) -> pd.DataFrame:
        """Rank the items of the last training set by how likely their label is wrong.

        Returns
        -------
        pandas.DataFrame
            See `TrainingDynamics.suspected_noise`; by confidence.

        Raises
        ------
        ValueError
            If there was no fit.
        """
        self._fitted()
        assert self.dynamics_ is not None
        return self.dynamics_.suspected_noise()

    def _mapped(self, train_set: Any, weights: ArrayLike | None) -> TrainingDynamics:  # noqa: ANN401
        folds = None if self.crossfit is None else min(self.crossfit, len(train_set))
        if folds is not None and folds > 1:
            # As `find_label_noise` does: out of fold, an unlearnt model suspects everything.
            skip = SKIPPED_OUT_OF_FOLD if self.keep == "clean" and self.burn_out is None else 0.0
            dynamics = crossfit_dynamics(
                self.base_factory, train_set, folds, 1, skip, weights=weights, seed=self.seed
            )
        else:
            recorder = DynamicsRecorder(self.observe)
            dynamics = fit_dynamics(self.base_factory, train_set, weights, recorder)
        return dynamics if self.burn_out is None else dynamics.first(self.burn_out)

    def _region(self, dynamics: TrainingDynamics) -> NDArray[np.int64]:
        if self.keep == "clean":
            noise = dynamics.suspected_noise()
            return np.asarray(noise.loc[~noise["suspected"], "index"], dtype=np.int64)
        number = max(1, round(self.fraction * len(dynamics)))
        if self.keep == "random":
            rng = derived_generator(self.seed, len(dynamics))
            return np.asarray(rng.choice(len(dynamics), number, replace=False), dtype=np.int64)
        rankings = dynamics.regions(fraction=1.0)
        num_easy = round(self._mix() * number)
        first = rankings[self.keep][: number - num_easy]
        easy = rankings["easy"]
        return np.concatenate([first, easy[~np.isin(easy, first)][:num_easy]])

    def _mix(self) -> float:
        if self.keep == "easy":
            return 0.0
        if self.easy_mix is not None:
            return self.easy_mix
        return _EASY_MIX if self.fraction < _NEEDS_EASY_BELOW else 0.0


class CartographyClassificationFactory(WrappedClassifierFactory[CartographyClassification]):
    """Makes a new `CartographyClassification` for every round of small-text's active learner.

    Parameters
    ----------
    base_factory : TrainedClassifierFactory
        Makes the classifiers within.
    **options : Any
        Further arguments of `CartographyClassification`. A ``seed`` that is missing, None or a
        generator is drawn once.

    Raises
    ------
    TypeError, ValueError
        If `CartographyClassification` does not take the arguments.

    Examples
    --------
    >>> from small_text_ext import MLPClassificationFactory, MLPModelArguments
    >>> base = MLPClassificationFactory(MLPModelArguments(), 2, {"seed": 0})
    >>> CartographyClassificationFactory(base, keep="clean", crossfit=5).new().keep
    'clean'
    """

    classifier = CartographyClassification


def noise_queue(learner: Any, n: int | None = None) -> NDArray[np.int64]:  # noqa: ANN401
    """Return labelled items of an active learner whose labels should be looked at again.

    Small confidence alone takes in items that are merely ambiguous: those the model keeps changing
    its mind about. A wrong label is one that it never comes to agree with, so items of a
    variability above the median come after all others.

    Parameters
    ----------
    learner : small_text.PoolBasedActiveLearner
        Fitted, with a `CartographyClassification`, or a classifier with a `DynamicsRecorder`. The
        better its map is suited to noise (``crossfit``), the better the queue.
    n : int or None, default=None
        How many items; None is those whose label is not the one that was predicted on average.

    Returns
    -------
    numpy.ndarray of int64
        Indices into the learner's dataset, most suspicious first. Correct one by
        ``learner.update_label_at(index, label)``, with ``retrain=True`` at the last.

    Raises
    ------
    TypeError
        If the classifier has no map.
    ValueError
        If the map is not one of the learner's present labels, or ``n`` is below 1. After labels
        are corrected, the last correction needs ``retrain=True`` before the queue is asked again.
    """
    from small_text_ext.protocols import checked_positions, dynamics_of

    if n is not None:
        check_positive_integer("n", n)
    dynamics: Any = dynamics_of(learner.classifier)
    labeled = np.asarray(learner.indices_labeled)
    positions = checked_positions(dynamics, learner.y, len(labeled))
    table = dynamics.suspected_noise()
    variability = dynamics.metrics()["variability"].to_numpy()
    steady = variability <= np.median(variability)
    rows = table["index"].to_numpy()
    order = np.argsort(~steady[rows], kind="stable")
    number = int(table["suspected"].sum()) if n is None else n
    if n is None:
        order = order[table["suspected"].to_numpy()[order]]
    return np.asarray(labeled[positions[rows[order]]][:number], dtype=np.int64)

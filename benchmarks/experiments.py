"""One-shot experiments: what runs once on the true labels of the pool, in the place of a loop.

A suite names one as the strategy of a method, beside the query strategies: planning, hashes, result
files and ``status`` are the same for both. What each does is in :mod:`benchmarks.loop` and
:mod:`benchmarks.noise`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.batch_selection import SelectionSettings, selection_parameters
from benchmarks.encoders import Precision
from benchmarks.frozen_evaluation import FrozenSettings, encoding_seconds, with_fingerprints
from benchmarks.kinds import field_names
from benchmarks.labeled_samples import SampleSettings
from benchmarks.noise import NoiseSettings
from benchmarks.results import (
    BATCH_SELECTION,
    FROZEN_EVALUATION,
    FULL_DATA,
    LABELED_SAMPLE,
    MAP_SUBSET,
    NOISE_DETECTION,
    SINGLE_FIT,
    ZERO_SHOT,
    MethodRecord,
)
from benchmarks.side_classifiers import reads_texts
from benchmarks.single_fit import SingleFitSettings
from benchmarks.suggestions import SuiteError, unknown_name
from benchmarks.zero_shot import ZeroShotSettings, with_weights
from small_text_ext._extras import require_extra

Params = Mapping[str, Any]

_FORWARD_SHARE = 1 / 3
# Of a forward pass over a test set of a quarter of the pool.
_EVALUATION_SHARE = _FORWARD_SHARE / 4


@dataclass(frozen=True)
class Experiment:
    """What the runner must know of a one-shot experiment.

    Parameters
    ----------
    parameters : callable or None
        Returns the names of its own parameters; None: they are those of the classifier, which it
        changes.
    required : frozenset of str
        Those without a default.
    passes : callable
        From its parameters to how many fits on the whole pool the suite's classifier takes; part of
        the pool counts as part of a fit.
    fits : callable
        From its parameters to the number of classifiers that are trained.
    check : callable
        Raises a TypeError or ValueError where a parameter has a value that is refused.
    is_recorded : bool, default=False
        Whether the classifier must be one whose training dynamics can be recorded.
    fits_vectors : bool, default=False
        Whether it also fits heads on the frozen vectors.
    costless : frozenset of str, default=frozenset()
        Parameters that do not change what a unit costs.
    num_labels : callable or None, default=None
        From its parameters, the size of the pool and the number of classes to how many labels a fit
        is on; None: on the whole pool.
    reads_texts : callable
        From its parameters to whether it reads texts, whatever the classifier does.
    resolve : callable
        From its method to one that says which weights its models have.
    text_seconds : callable or None, default=None
        From its parameters, some texts, the precision of forward passes and the device to what its
        models take for a text; None: it has none of its own.
    """

    parameters: Callable[[], frozenset[str]] | None
    required: frozenset[str]
    passes: Callable[[Params], float]
    fits: Callable[[Params], int]
    check: Callable[[Params], object]
    is_recorded: bool = False
    fits_vectors: bool = False
    costless: frozenset[str] = frozenset()
    num_labels: Callable[[Params, int, int], int] | None = None
    reads_texts: Callable[[Params], bool] = lambda params: False
    resolve: Callable[[MethodRecord], MethodRecord] = lambda method: method
    text_seconds: Callable[[Params, Sequence[Any], Precision, str | None], float] | None = None

    @property
    def changes_classifier(self) -> bool:
        """Whether its parameters are those of the classifier."""
        return self.parameters is None


def is_one_shot(strategy: str) -> bool:
    """Return whether the strategy of a method is a one-shot experiment.

    Examples
    --------
    >>> is_one_shot("MapSubset"), is_one_shot("AnchorAL")
    (True, False)
    """
    return strategy in EXPERIMENTS


def changes_classifier(strategy: str) -> bool:
    """Return whether the parameters of a method are those of the classifier: of a ceiling."""
    return is_one_shot(strategy) and EXPERIMENTS[strategy].changes_classifier


def check_experiment(method: MethodRecord) -> None:
    """Check the names of the parameters of a one-shot experiment.

    Parameters
    ----------
    method : MethodRecord
        A method whose strategy is one. What a ceiling changes of its classifier is checked with
        each classifier.

    Raises
    ------
    SuiteError
        If a parameter is unknown or missing, or a base strategy is given.
    """
    found = EXPERIMENTS[method.strategy]
    if method.base:
        raise SuiteError(
            f"method '{method.id}': {method.strategy} asks for no labels and takes no base: leave "
            "it out."
        )
    if found.parameters is None:
        return
    known = found.parameters()
    for name in method.params:
        if name not in known:
            raise unknown_name(
                f"parameter of {method.strategy} (method '{method.id}')", name, known
            )
    for name in sorted(found.required - set(method.params)):
        raise SuiteError(f"method '{method.id}': {method.strategy} needs the parameter '{name}'.")


def try_experiment(method: MethodRecord) -> None:
    """Check the values of the parameters of a one-shot experiment.

    Raises
    ------
    SuiteError
        If one is refused; the message names the method.
    """
    try:
        EXPERIMENTS[method.strategy].check(method.params)
    except (TypeError, ValueError) as error:
        raise SuiteError(f"method '{method.id}' cannot be built: {error}") from error


def _subset_passes(params: Params) -> float:
    folds = params.get("crossfit")
    mapping = 1.0 if folds is None else folds - 1.0
    # Of "clean" nobody knows beforehand how much it keeps; mostly nearly all.
    return mapping + (1.0 if params["keep"] == "clean" else float(params.get("fraction", 0.33)))


def _subset_fits(params: Params) -> int:
    return 1 + int(params.get("crossfit") or 1)


def _check_subset(params: Params) -> None:
    from small_text_ext.classifiers.cartography import CartographyClassificationFactory
    from small_text_ext.classifiers.mlp import MLPClassificationFactory, MLPModelArguments

    # Which classifier it is does not matter to its parameters.
    base = MLPClassificationFactory(MLPModelArguments(), 2)
    CartographyClassificationFactory(base, **params)


def _check_noise(params: Params) -> None:
    NoiseSettings(**params)
    # Its rival: without it every unit would fail.
    require_extra("cleanlab", "bench")


def _noise_passes(params: Params) -> float:
    # One fit on all labels, one with further flips, and one on all but one fold for each fold.
    settings = NoiseSettings(**params)
    return _noise_maps(settings) + settings.num_folds - 1.0


def _noise_fits(params: Params) -> int:
    settings = NoiseSettings(**params)
    return _noise_maps(settings) + settings.num_folds * (1 + settings.num_repeats)


def _noise_maps(settings: NoiseSettings) -> int:
    return 3 if settings.among == "easy" else 2


def _selection_passes(params: Params) -> float:
    settings = SelectionSettings.from_params(params)
    # A forward pass is a third of a step, and each epoch is followed by one over the test set.
    scoring = _FORWARD_SHARE if settings.is_scored else 0.0
    own = settings.passes * (settings.selected_fraction + scoring + _EVALUATION_SHARE)
    return own + _irreducible_passes(settings)


def _irreducible_passes(settings: SelectionSettings) -> float:
    # A classifier behind irreducible losses counts as if it were the trained one.
    if settings.irreducible_classifier is None or not settings.needs_irreducible:
        return 0.0
    share = settings.hold_out * settings.hold_out_used
    return share if settings.hold_out else settings.num_folds - 1.0


def _selection_fits(params: Params) -> int:
    settings = SelectionSettings.from_params(params)
    if not settings.needs_irreducible:
        return 1
    return 2 + (1 if settings.hold_out else settings.num_folds)


def _sample_size(params: Params, pool: int, num_classes: int) -> int:
    settings = SampleSettings.from_params(params)
    size = pool if settings.per_class is None else settings.per_class * num_classes
    return min(size, pool, settings.max_labels or pool)


EXPERIMENTS: Mapping[str, Experiment] = {
    FULL_DATA: Experiment(
        parameters=None,
        required=frozenset(),
        passes=lambda params: 1.0,
        fits=lambda params: 1,
        check=lambda params: None,
    ),
    MAP_SUBSET: Experiment(
        parameters=lambda: frozenset(
            {"keep", "fraction", "easy_mix", "observe", "crossfit", "burn_out"}
        ),
        required=frozenset({"keep"}),
        passes=_subset_passes,
        fits=_subset_fits,
        check=_check_subset,
        is_recorded=True,
    ),
    NOISE_DETECTION: Experiment(
        parameters=lambda: frozenset({"noise", "num_folds", "num_repeats", "among"}),
        required=frozenset({"noise"}),
        passes=_noise_passes,
        fits=_noise_fits,
        check=_check_noise,
        fits_vectors=True,
        costless=frozenset({"noise"}),
    ),
    BATCH_SELECTION: Experiment(
        parameters=selection_parameters,
        required=frozenset({"score"}),
        passes=_selection_passes,
        fits=_selection_fits,
        check=SelectionSettings.from_params,
        is_recorded=True,
        fits_vectors=True,
        costless=frozenset({"noise", "noise_kind"}),
        reads_texts=reads_texts,
    ),
    LABELED_SAMPLE: Experiment(
        parameters=lambda: frozenset({"per_class", "max_labels"}),
        required=frozenset(),
        passes=lambda params: 1.0,
        fits=lambda params: 1,
        check=SampleSettings.from_params,
        num_labels=_sample_size,
    ),
    ZERO_SHOT: Experiment(
        parameters=lambda: frozenset({"template", "descriptions", "nli_model", "temperature"}),
        required=frozenset(),
        passes=lambda params: 0.0,
        fits=lambda params: 0,
        check=ZeroShotSettings.from_params,
        reads_texts=lambda params: params.get("nli_model") is not None,
        resolve=with_weights,
    ),
    SINGLE_FIT: Experiment(
        parameters=lambda: frozenset(field_names(SingleFitSettings)),
        required=frozenset(),
        passes=lambda params: 1.0,
        fits=lambda params: 1,
        check=SingleFitSettings.from_params,
    ),
    FROZEN_EVALUATION: Experiment(
        parameters=lambda: frozenset(field_names(FrozenSettings) - {"fingerprints"}),
        required=frozenset({"models"}),
        passes=lambda params: 0.0,
        fits=lambda params: 0,
        check=FrozenSettings.from_params,
        reads_texts=lambda params: True,
        resolve=with_fingerprints,
        text_seconds=encoding_seconds,
    ),
}
"""One-shot experiments by the strategy name of their methods."""

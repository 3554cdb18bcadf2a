"""Query strategies by name: presets, checks against the real signature, and construction.

A method is a strategy class of small-text-ext or small-text, a base strategy where it takes one,
and parameters. What the runner knows itself (embeddings, seed) is filled in.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmarks.classifiers import build_factory
from benchmarks.experiments import EXPERIMENTS, check_experiment, is_one_shot, try_experiment
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
from benchmarks.side_classifiers import is_nested_classifier, side_record
from benchmarks.suggestions import SuiteError, unknown_name

HOST_PREFIX = "small_text."
DEFAULT_BASE = "LeastConfidence"

_BASE = "base_query_strategy"
_EMBEDDINGS = "embeddings"
_GIVEN_BY_RUNNER = {"self", _BASE, _EMBEDDINGS, "seed"}
CLASSIFIER_VECTORS = "classifier"
"""What a suite may say of ``embeddings``: those of the present classifier, not the frozen ones."""

Recording = Literal["training", "held-out"]
"""What a strategy needs recorded: the training of the labels, or predictions for the whole pool."""

_MAPPED_STRATEGIES = {"CartographyFilter", "CartographyActiveLearning"}
_WAVERING = "DynamicsUncertainty"
_NESTED = {"strategy", "base", "params"}
_TWO = 2


@dataclass(frozen=True)
class Preset:
    """A method under its name in tables: strategy, base strategy, parameters, one line."""

    strategy: str
    description: str
    base: str | None = None
    params: Mapping[str, Any] | None = None


METHODS: dict[str, Preset] = {
    "random": Preset("RandomSampling", "random texts of the whole pool"),
    "least-confidence": Preset("LeastConfidence", "the whole pool scored every round"),
    "prediction-entropy": Preset("PredictionEntropy", "the whole pool scored every round"),
    "breaking-ties": Preset("BreakingTies", "the whole pool scored every round"),
    "random-subset": Preset("RandomSubset", "a new random subset every round", DEFAULT_BASE),
    "random-subset-matched": Preset(
        "RandomSubset",
        "a random subset, each round of the size that AnchorAL's subpool would have",
        DEFAULT_BASE,
        {"subpool_size": {"method": "anchoral"}},
    ),
    "seals": Preset("SEALS", "neighbours of what is labelled, accumulated", DEFAULT_BASE),
    "anchoral": Preset("AnchorAL", "neighbours of anchors from every class", DEFAULT_BASE),
    "anchor-subsampling": Preset(
        "AnchorSubsampling",
        "small-text's own AnchorAL; draws unseeded, so that runs differ",
        DEFAULT_BASE,
    ),
    "cartography-filter": Preset(
        "CartographyFilter", "without what is predicted to be hard to learn", DEFAULT_BASE
    ),
    "cal": Preset(
        "CartographyActiveLearning",
        "the boundary between what is learnt and what is hard to learn",
        params={_EMBEDDINGS: CLASSIFIER_VECTORS},
    ),
    "dynamics-uncertainty": Preset(
        "DynamicsUncertainty",
        "uncertainty over the course of training, predicted from the labels",
        params={_EMBEDDINGS: CLASSIFIER_VECTORS},
    ),
    "expected-reducible-loss": Preset(
        "ExpectedReducibleLoss",
        "what a head on the frozen vectors knows and the classifier does not: for fine-tuned ones",
    ),
    "committee-disagreement": Preset(
        "ExpectedReducibleLoss",
        "how far cross-fit heads on the frozen vectors are from their mean (BALD)",
        params={"variant": "committee"},
    ),
    "epig": Preset("EPIG", "what a label tells of the labels of a sample of the pool"),
    "k-center": Preset("KCenterGreedy", "far from all labels and picks: the core-set method"),
    "k-center-product": Preset(
        "KCenterGreedy", "distance times margin uncertainty", params={"uncertainty": "margin"}
    ),
    "k-center-objective": Preset(
        "KCenterGreedy",
        "distance and margin uncertainty, joined as Lightly's engine does",
        params={"uncertainty": "margin", "combine": "objective"},
    ),
    "facility-location": Preset("FacilityLocation", "texts that the unlabelled ones are near to"),
    "typiclust": Preset("TypiClust", "the typical text of every cluster without a label"),
    "badge": Preset("BADGE", "large gradients of the last layer that are far from each other"),
    "fine-tuned-kmeans": Preset(
        "FineTunedKMeans", "near the centres of clusters of the classifier's own vectors"
    ),
    "knn-margin": Preset("KNNMargin", "labelled neighbours vote for two classes nearly alike"),
    "knn-entropy": Preset("KNNEntropy", "labelled neighbours vote for many classes"),
    "knn-margin-own": Preset(
        "KNNMargin",
        "the same in the classifier's own vectors, such as aligned ones",
        params={_EMBEDDINGS: CLASSIFIER_VECTORS},
    ),
    "prototype-disagreement": Preset(
        "PrototypeDisagreement", "labelled neighbours against class prototypes"
    ),
    "prototype-gap": Preset("PrototypeGap", "far from the prototypes of all classes"),
    "contrastive": Preset(
        "LabeledContrastiveActiveLearning",
        "predicted otherwise than the labelled neighbours: CAL by Margatina et al.",
        params={_EMBEDDINGS: CLASSIFIER_VECTORS},
    ),
    FULL_DATA: Preset(FULL_DATA, "the ceiling: one fit on all true labels of the pool"),
    "subset": Preset(MAP_SUBSET, "one fit on a region of the pool's data map; needs keep"),
    "noise-detection": Preset(
        NOISE_DETECTION, "flipped labels of the pool, found by every detector; needs noise"
    ),
    "batch-selection": Preset(
        BATCH_SELECTION, "one fit that trains, of each candidate batch, what a score chooses"
    ),
    "zero-shot": Preset(
        ZERO_SHOT, "no label: the class whose description is nearest, or that a model entails"
    ),
    "frozen-evaluation": Preset(
        FROZEN_EVALUATION,
        "no training: encoders as they are, judged by the votes of neighbours; needs models",
    ),
    "single-fit": Preset(
        SINGLE_FIT,
        "one fit, judged on test and development set, and by how its vectors tell a second label",
    ),
    "labeled-sample": Preset(
        LABELED_SAMPLE, "one fit on some labels of each class; needs per_class or max_labels"
    ),
}
"""Methods that a suite may name without spelling them out; plugins add theirs."""

PLUGIN_STRATEGIES: dict[str, Any] = {}
"""Strategy classes that plugins have added, by name."""


@dataclass(frozen=True)
class StrategyContext:
    """What the runner gives to strategies: the pool's vectors, the seed, the wanted labels."""

    embeddings: Any
    seed: int
    minority: Sequence[int]


def strategy_names() -> list[str]:
    """Return every strategy that a suite may name: plugins', ours, then small-text's."""
    ours = _own_strategies()
    host = _host_strategies()
    prefixed = [HOST_PREFIX + name for name in host if name in ours]
    own = [*EXPERIMENTS, *sorted(PLUGIN_STRATEGIES), *sorted(ours)]
    return [*own, *sorted(set(host) - set(ours)), *prefixed]


def strategy_class(name: str) -> Any:  # noqa: ANN401 - small-text's classes carry no usable types
    """Return the class of a strategy; ours comes first where small-text has one of the same name.

    Parameters
    ----------
    name : str
        Such as ``AnchorAL``, ``LeastConfidence`` or ``small_text.SEALS``.

    Raises
    ------
    SuiteError
        If there is none; the message suggests the nearest.
    """
    if name in PLUGIN_STRATEGIES:
        return PLUGIN_STRATEGIES[name]
    ours, host = _own_strategies(), _host_strategies()
    if name in ours:
        return ours[name]
    if name.removeprefix(HOST_PREFIX) in host:
        return host[name.removeprefix(HOST_PREFIX)]
    raise unknown_name("strategy", name, strategy_names())


def _own_strategies() -> dict[str, Any]:
    import small_text_ext

    return _concrete_strategies(small_text_ext, small_text_ext.__all__)


def _host_strategies() -> dict[str, Any]:
    import small_text.query_strategies as host

    return _concrete_strategies(host, host.__all__)


def _concrete_strategies(module: Any, names: Sequence[str]) -> dict[str, Any]:  # noqa: ANN401
    from small_text import QueryStrategy

    found = {name: getattr(module, name) for name in names}
    return {
        name: value
        for name, value in found.items()
        if inspect.isclass(value)
        and issubclass(value, QueryStrategy)
        and not inspect.isabstract(value)
    }


def check_method(method: MethodRecord) -> None:
    """Check strategy, base and parameters against the real signatures.

    Raises
    ------
    SuiteError
        If a name or a parameter is unknown, missing, or set by the runner.
    """
    if is_one_shot(method.strategy):
        check_experiment(method)
        return
    _check_strategy(method.id, method.strategy, method.base, method.params)


def _check_strategy(
    method_id: str, strategy: str, base: str | None, params: Mapping[str, Any]
) -> None:
    parameters = _parameters(strategy_class(strategy))
    known = set(parameters) - _GIVEN_BY_RUNNER
    for name, value in params.items():
        if name == _EMBEDDINGS and value == CLASSIFIER_VECTORS and name in parameters:
            _check_optional_embeddings(method_id, strategy, parameters[name])
            continue
        if name in _GIVEN_BY_RUNNER:
            raise SuiteError(f"method '{method_id}': '{name}' is set by the runner: leave it out.")
        if name not in known:
            raise unknown_name(f"parameter of {strategy} (method '{method_id}')", name, known)
        if _is_nested(value):
            _check_strategy(method_id, value["strategy"], value["base"], value["params"])
    _check_base(method_id, strategy, base, _BASE in parameters)
    for name in known - set(params):
        if parameters[name].default is inspect.Parameter.empty:
            raise SuiteError(f"method '{method_id}': {strategy} needs the parameter '{name}'.")


def _check_optional_embeddings(method_id: str, strategy: str, parameter: inspect.Parameter) -> None:
    if parameter.default is not None:
        raise SuiteError(
            f"method '{method_id}': {strategy} works on the frozen vectors alone: leave "
            f"'{_EMBEDDINGS}' out."
        )


def _check_base(method_id: str, strategy: str, base: str | None, takes_base: bool) -> None:
    if takes_base and base is None:
        raise SuiteError(
            f"method '{method_id}': {strategy} needs a base strategy, such as "
            f'base = "{DEFAULT_BASE}".'
        )
    if not takes_base and base is not None:
        raise SuiteError(f"method '{method_id}': {strategy} takes no base strategy: leave it out.")
    if base is not None and _BASE in _parameters(strategy_class(base)):
        raise SuiteError(f"method '{method_id}': the base strategy {base} needs one itself.")


def _parameters(cls: Any) -> dict[str, inspect.Parameter]:  # noqa: ANN401
    skipped = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = inspect.signature(cls.__init__).parameters
    return {name: value for name, value in found.items() if value.kind not in skipped}


def _is_nested(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, dict) and set(value) == _NESTED


def needed_recording(method: MethodRecord) -> Recording | None:
    """Return what the classifier must record for a method.

    Parameters
    ----------
    method : MethodRecord
        Strategy, base and parameters.

    Returns
    -------
    {"training", "held-out"} or None
        None where neither the strategy, nor its base, nor one in a parameter looks at it.

    Examples
    --------
    >>> needed_recording(MethodRecord(id="cal", strategy="CartographyActiveLearning"))
    'training'
    >>> needed_recording(MethodRecord(id="random", strategy="RandomSampling"))
    """
    nested = [value for value in method.params.values() if _is_nested(value)]
    parts = [(method.strategy, method.params), *((n["strategy"], n["params"]) for n in nested)]
    parts += [(base, {}) for base in (method.base, *(n["base"] for n in nested)) if base]
    needed = {_recording_of(strategy, params) for strategy, params in parts} - {None}
    if len(needed) > 1:
        raise SuiteError(
            f"method '{method.id}' needs recordings of the labels and of the pool at once: a "
            "classifier has one recorder. Take another base strategy."
        )
    return next(iter(needed), None)


def is_recorded(method: MethodRecord) -> bool:
    """Return whether a method runs only with classifiers whose training can be recorded."""
    if is_one_shot(method.strategy):
        return EXPERIMENTS[method.strategy].is_recorded
    return needed_recording(method) is not None


def _recording_of(strategy: str, params: Mapping[str, Any]) -> Recording | None:
    if strategy in _MAPPED_STRATEGIES:
        return "training"
    if strategy != _WAVERING:
        return None
    if str(params.get("measure", "predicted")).startswith("predicted"):
        return "training"
    return "held-out" if params.get("over") == "epochs" else None


def nested_method(method: MethodRecord) -> dict[str, Any]:
    """Return a method as the value of another one's parameter."""
    return {"strategy": method.strategy, "base": method.base, "params": dict(method.params)}


def build_strategy(method: MethodRecord, context: StrategyContext) -> Any:  # noqa: ANN401
    """Build the strategy of a unit.

    A strategy that takes ``embeddings`` or ``seed`` gets the pool's and the query's. One with a
    ``minority_anchor_selector`` and no ``minority_classes`` gets the wanted classes of the data.

    Parameters
    ----------
    method : MethodRecord
        Strategy, base and parameters.
    context : StrategyContext
        What the runner fills in.

    Returns
    -------
    small_text.QueryStrategy
        The strategy.
    """
    return _build(method.strategy, method.base, method.params, context)


def try_method(method: MethodRecord) -> None:
    """Build a strategy once, on a handful of vectors, before anything expensive is done for it.

    Parameters
    ----------
    method : MethodRecord
        Strategy, base and parameters.

    Raises
    ------
    SuiteError
        If a parameter has a value that the class refuses; the message names the method.
    """
    from small_text_ext.pool.embeddings import PoolEmbeddings

    if is_one_shot(method.strategy):
        try_experiment(method)
        return
    vectors = np.random.default_rng(0).normal(size=(8, 4))
    context = StrategyContext(PoolEmbeddings.from_array(vectors), seed=0, minority=(1,))
    try:
        build_strategy(method, context)
    except (TypeError, ValueError) as error:
        raise SuiteError(f"method '{method.id}' cannot be built: {error}") from error


def _build(
    strategy: str, base: str | None, params: Mapping[str, Any], context: StrategyContext
) -> Any:  # noqa: ANN401
    cls = strategy_class(strategy)
    parameters = _parameters(cls)
    kwargs = {name: _built_value(name, value, context) for name, value in params.items()}
    if base is not None:
        kwargs[_BASE] = _build(base, None, {}, context)
    if kwargs.get(_EMBEDDINGS) == CLASSIFIER_VECTORS:
        kwargs[_EMBEDDINGS] = None
    elif _EMBEDDINGS in parameters:
        kwargs[_EMBEDDINGS] = context.embeddings
    if "seed" in parameters:
        kwargs["seed"] = context.seed
    if "minority_anchor_selector" in kwargs:
        kwargs.setdefault("minority_classes", list(context.minority))
    return cls(**kwargs)


def _built_value(name: str, value: Any, context: StrategyContext) -> Any:  # noqa: ANN401
    """Return a parameter's value, with the strategy or the factory that it stands for."""
    if _is_nested(value):
        return _build(value["strategy"], value["base"], value["params"], context)
    if is_nested_classifier(value):
        # What a strategy trains itself tells two things apart: labelled from unlabelled, say.
        return build_factory(side_record(value, name), _TWO, context.seed)
    return value

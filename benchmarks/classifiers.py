"""Classifiers by name: what suites may ask for, and how a factory is built."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.results import ClassifierRecord
from benchmarks.suggestions import SuiteError, unknown_name

SKLEARN_PREFIX = "sklearn:"

SKLEARN_CLASSIFIERS: Mapping[str, str] = {
    "ExtraTreesClassifier": "sklearn.ensemble",
    "GaussianNB": "sklearn.naive_bayes",
    "LogisticRegression": "sklearn.linear_model",
    "RandomForestClassifier": "sklearn.ensemble",
}
"""scikit-learn classifiers with ``predict_proba`` that take the weights small-text passes on."""

_GIVEN_BY_RUNNER = {
    "self",
    "model_args",
    "num_classes",
    "multi_label",
    "device",
    "seed",
    "batch_selector",
    "recorder",
    "random_state",
}


_TRIED_POINTS, _TRIED_DIMENSIONS = 16, 384


@dataclass(frozen=True)
class FactoryRequest:
    """What a factory is built for: the parameters, the task, the seed, the device."""

    params: Mapping[str, Any]
    num_classes: int
    seed: int
    device: str | None


Builder = Callable[[FactoryRequest], Any]


def build_factory(
    classifier: ClassifierRecord, num_classes: int, seed: int, device: str | None = None
) -> Any:  # noqa: ANN401 - small-text's factories carry no usable types
    """Build the small-text classifier factory of a unit.

    Parameters
    ----------
    classifier : ClassifierRecord
        Kind and parameters.
    num_classes : int
        Number of classes.
    seed : int
        The seed of the model: every round starts from the same weights.
    device : str or None, default=None
        Where it is trained, for classifiers that have a choice.

    Returns
    -------
    small_text.AbstractClassifierFactory
        The factory.
    """
    check_classifier(classifier.kind, classifier.params)
    request = FactoryRequest(classifier.params, num_classes, seed, device)
    if classifier.kind.startswith(SKLEARN_PREFIX):
        return _build_sklearn(classifier.kind.removeprefix(SKLEARN_PREFIX), request)
    return CLASSIFIERS[classifier.kind](request)


def _build_mlp(request: FactoryRequest) -> Any:  # noqa: ANN401
    from small_text_ext.classifiers.mlp import MLPClassificationFactory, MLPModelArguments

    fields = _field_names(MLPModelArguments)
    model = {name: value for name, value in request.params.items() if name in fields}
    kwargs = {name: value for name, value in request.params.items() if name not in fields}
    return MLPClassificationFactory(
        MLPModelArguments(**model),
        request.num_classes,
        classification_kwargs={**kwargs, "seed": request.seed, "device": request.device},
    )


def _build_sklearn(name: str, request: FactoryRequest) -> Any:  # noqa: ANN401
    from small_text import SklearnClassifierFactory

    estimator = _sklearn_class(name)(**request.params)
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=request.seed)
    return SklearnClassifierFactory(estimator, request.num_classes)


CLASSIFIERS: Mapping[str, Builder] = {"mlp": _build_mlp}
"""Kinds of classifiers, beside ``sklearn:NAME``."""


def classifier_kinds() -> list[str]:
    """Return every kind that a suite may name."""
    return [*CLASSIFIERS, *(SKLEARN_PREFIX + name for name in SKLEARN_CLASSIFIERS)]


def check_classifier(kind: str, params: Mapping[str, Any]) -> None:
    """Check kind and parameters against the real signature.

    Raises
    ------
    SuiteError
        If the kind or a parameter is unknown; the message suggests the nearest.
    """
    if kind not in classifier_kinds():
        raise unknown_name("classifier", kind, classifier_kinds())
    known = _parameter_names(kind) - _GIVEN_BY_RUNNER
    for name in params:
        if name in _GIVEN_BY_RUNNER:
            raise SuiteError(f"'{name}' of classifier '{kind}' is set by the runner: leave it out.")
        if name not in known:
            raise unknown_name(f"parameter of classifier '{kind}'", name, known)


def try_classifier(classifier: ClassifierRecord) -> None:
    """Build a classifier once, before anything expensive is done for it.

    Parameters
    ----------
    classifier : ClassifierRecord
        Kind and parameters. One of scikit-learn is also fitted on a handful of points, since it
        looks at its parameters no sooner.

    Raises
    ------
    SuiteError
        If a parameter has a value that the class refuses; the message names the classifier.
    """
    from small_text import SklearnDataset

    y = np.arange(_TRIED_POINTS) % 2
    x = np.random.default_rng(0).normal(size=(_TRIED_POINTS, _TRIED_DIMENSIONS))
    try:
        model = build_factory(classifier, 2, seed=0).new()
        if classifier.kind.startswith(SKLEARN_PREFIX):
            with warnings.catch_warnings(action="ignore"):
                model.fit(SklearnDataset(x, y, target_labels=np.arange(2)))
    except (TypeError, ValueError) as error:
        raise SuiteError(f"classifier '{classifier.id}' cannot be built: {error}") from error


def _parameter_names(kind: str) -> set[str]:
    if kind.startswith(SKLEARN_PREFIX):
        return _signature_names(_sklearn_class(kind.removeprefix(SKLEARN_PREFIX)))
    from small_text_ext.classifiers.mlp import MLPClassification, MLPModelArguments

    return _signature_names(MLPClassification) | _field_names(MLPModelArguments)


def _sklearn_class(name: str) -> Any:  # noqa: ANN401
    return getattr(importlib.import_module(SKLEARN_CLASSIFIERS[name]), name)


def _signature_names(cls: Any) -> set[str]:  # noqa: ANN401
    return set(inspect.signature(cls.__init__).parameters)


def _field_names(cls: Any) -> set[str]:  # noqa: ANN401
    return {field.name for field in dataclasses.fields(cls)}

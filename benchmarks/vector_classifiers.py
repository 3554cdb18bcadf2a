"""Classifiers on frozen vectors: a small head, and scikit-learn's."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.kinds import ClassifierKind, FactoryRequest, field_names, signature_names

SKLEARN_PREFIX = "sklearn:"

SKLEARN_CLASSIFIERS: Mapping[str, str] = {
    "ExtraTreesClassifier": "sklearn.ensemble",
    "GaussianNB": "sklearn.naive_bayes",
    "LogisticRegression": "sklearn.linear_model",
    "RandomForestClassifier": "sklearn.ensemble",
}
"""scikit-learn classifiers with ``predict_proba`` that take the weights small-text passes on."""


def _build_mlp(request: FactoryRequest) -> Any:  # noqa: ANN401
    from small_text_ext.classifiers.mlp import MLPClassificationFactory, MLPModelArguments

    fields = field_names(MLPModelArguments)
    model = {name: value for name, value in request.params.items() if name in fields}
    kwargs = {name: value for name, value in request.params.items() if name not in fields}
    return MLPClassificationFactory(
        MLPModelArguments(**model),
        request.num_classes,
        classification_kwargs={
            **kwargs,
            "seed": request.seed,
            "device": request.device,
            "recorder": request.recorder,
        },
    )


def _mlp_parameters() -> set[str]:
    from small_text_ext.classifiers.mlp import MLPClassification, MLPModelArguments

    return signature_names(MLPClassification) | field_names(MLPModelArguments)


def _build_sklearn(name: str, request: FactoryRequest) -> Any:  # noqa: ANN401
    from small_text import SklearnClassifierFactory

    estimator = _sklearn_class(name)(**request.params)
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=request.seed)
    return SklearnClassifierFactory(estimator, request.num_classes)


def _sklearn_parameters(name: str) -> set[str]:
    return signature_names(_sklearn_class(name))


def _sklearn_class(name: str) -> Any:  # noqa: ANN401
    return getattr(importlib.import_module(SKLEARN_CLASSIFIERS[name]), name)


VECTOR_CLASSIFIERS: Mapping[str, ClassifierKind] = {
    "mlp": ClassifierKind(
        "a small head on the frozen vectors, in seconds",
        _build_mlp,
        _mlp_parameters,
        is_recorded=True,
    ),
    **{
        SKLEARN_PREFIX + name: ClassifierKind(
            f"scikit-learn's {name} on the frozen vectors",
            partial(_build_sklearn, name),
            partial(_sklearn_parameters, name),
        )
        for name in SKLEARN_CLASSIFIERS
    },
}
"""Kinds that are fitted on vectors, by name."""

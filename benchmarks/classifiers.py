"""Classifiers by name: what suites may ask for, checked, and how a factory is built."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.encoders import resolve_encoder
from benchmarks.kinds import JUDGE_EPOCHS, ClassifierKind, FactoryRequest
from benchmarks.results import ClassifierRecord, ModelRecord
from benchmarks.suggestions import SuiteError, unknown_name
from benchmarks.text_classifiers import TEXT_CLASSIFIERS
from benchmarks.vector_classifiers import SKLEARN_PREFIX, VECTOR_CLASSIFIERS

CLASSIFIERS: dict[str, ClassifierKind] = {**TEXT_CLASSIFIERS, **VECTOR_CLASSIFIERS}
"""Kinds of classifiers by name; plugins add theirs."""

_MODEL = "model"
_TRIED_POINTS, _TRIED_DIMENSIONS = 16, 384


def classifier_kinds() -> list[str]:
    """Return every kind that a suite may name."""
    return list(CLASSIFIERS)


def classifier_kind(name: str) -> ClassifierKind:
    """Return the registry's entry of a kind.

    Raises
    ------
    SuiteError
        If there is none; the message suggests the nearest.
    """
    if name not in CLASSIFIERS:
        raise unknown_name("classifier", name, CLASSIFIERS)
    return CLASSIFIERS[name]


def build_factory(
    classifier: ClassifierRecord,
    num_classes: int,
    seed: int,
    device: str | None = None,
    recorder: Any = None,  # noqa: ANN401 - a recorder of small_text_ext.training
) -> Any:  # noqa: ANN401 - small-text's factories carry no usable types
    """Build the small-text classifier factory of a unit.

    Parameters
    ----------
    classifier : ClassifierRecord
        Kind, parameters and model.
    num_classes : int
        Number of classes.
    seed : int
        The seed of the model: every round starts from the same weights.
    device : str or None, default=None
        Where it is trained, for classifiers that have a choice.
    recorder : Recorder or None, default=None
        Records every fit; the classifiers of one factory share it, and it holds the last fit.

    Returns
    -------
    small_text.AbstractClassifierFactory
        The factory.

    Raises
    ------
    SuiteError
        If a name is unknown, the weights of the model are not those of the record, or the kind
        cannot be recorded and is asked to be.
    """
    check_classifier(classifier.kind, classifier.params)
    if recorder is not None:
        check_recorded(classifier.id, classifier.kind, "a recorder")
    model = _model_folder(classifier)
    request = FactoryRequest(_own_params(classifier), num_classes, seed, device, model, recorder)
    return classifier_kind(classifier.kind).build(request)


def check_recorded(name: str, kind: str, wanted_by: str) -> None:
    """Check that the training dynamics of a classifier can be recorded.

    Parameters
    ----------
    name, kind : str
        The classifier's name in the suite, and its kind.
    wanted_by : str
        What needs it, for the message.

    Raises
    ------
    SuiteError
        If they cannot.
    """
    if not classifier_kind(kind).is_recorded:
        able = [known for known, found in CLASSIFIERS.items() if found.is_recorded]
        raise SuiteError(
            f"{wanted_by} needs to know what a classifier learns while it is trained, which "
            f"'{name}' ({kind}) does not tell: name others by classifiers = [...], of kind "
            f"{' or '.join(able)}."
        )


def _own_params(classifier: ClassifierRecord) -> dict[str, Any]:
    """Return the parameters of the class behind a classifier."""
    others = (_MODEL, JUDGE_EPOCHS)
    return {name: value for name, value in classifier.params.items() if name not in others}


def _model_name(classifier: ClassifierRecord) -> str | None:
    if classifier.model is not None:
        return classifier.model.id
    default = classifier_kind(classifier.kind).default_model
    return None if default is None else str(classifier.params.get(_MODEL, default))


def _model_folder(classifier: ClassifierRecord) -> str | None:
    """Return the folder of a classifier's model, whose weights are those of its record."""
    name = _model_name(classifier)
    if name is None:
        return None
    found = resolve_encoder(name)
    if classifier.model is not None and found.fingerprint != classifier.model.fingerprint:
        raise SuiteError(
            f"The model '{name}' of classifier '{classifier.id}' has the fingerprint "
            f"{found.fingerprint[:12]} here, but {classifier.model.fingerprint[:12]} when the run "
            "was prepared: the files in its folder have changed. Run again."
        )
    return found.folder


def with_model(classifier: ClassifierRecord) -> ClassifierRecord:
    """Find the model of a classifier, so that its record says which weights it starts from.

    Parameters
    ----------
    classifier : ClassifierRecord
        As the suite has it: the model, where one is named, is among the parameters.

    Returns
    -------
    ClassifierRecord
        The model in its own place, with its fingerprint; unchanged where the kind has none.

    Raises
    ------
    SuiteError
        If the model can be neither found nor fetched.
    """
    name = _model_name(classifier)
    if name is None:
        return classifier
    found = resolve_encoder(name)
    model = ModelRecord(id=found.id, fingerprint=found.fingerprint)
    params = {name: value for name, value in classifier.params.items() if name != _MODEL}
    return classifier.model_copy(update={"params": params, "model": model})


def check_classifier(kind: str, params: Mapping[str, Any]) -> None:
    """Check kind and parameters against the real signature.

    Raises
    ------
    SuiteError
        If the kind or a parameter is unknown; the message suggests the nearest.
    MissingExtraError
        If the kind needs a package that is not installed.
    """
    found = classifier_kind(kind)
    known = found.open_parameters()
    for name in params:
        if found.is_given(name):
            raise SuiteError(f"'{name}' of classifier '{kind}' is set by the runner: leave it out.")
        if name not in known:
            raise unknown_name(f"parameter of classifier '{kind}'", name, known)


def try_classifier(classifier: ClassifierRecord) -> None:
    """Build a classifier once, before anything expensive is done for it.

    Parameters
    ----------
    classifier : ClassifierRecord
        Kind and parameters. No model is looked for or loaded. A classifier of scikit-learn is also
        fitted on a handful of points, since it looks at its parameters no sooner.

    Raises
    ------
    SuiteError
        If a parameter has a value that the class refuses; the message names the classifier.
    """
    check_classifier(classifier.kind, classifier.params)
    request = FactoryRequest(_own_params(classifier), 2, seed=0, model=_model_name(classifier))
    try:
        model = classifier_kind(classifier.kind).build(request).new()
        if classifier.kind.startswith(SKLEARN_PREFIX):
            _fit_on_points(model)
    except (TypeError, ValueError) as error:
        raise SuiteError(f"classifier '{classifier.id}' cannot be built: {error}") from error


def _fit_on_points(model: Any) -> None:  # noqa: ANN401
    from small_text import SklearnDataset

    y = np.arange(_TRIED_POINTS) % 2
    x = np.random.default_rng(0).normal(size=(_TRIED_POINTS, _TRIED_DIMENSIONS))
    with warnings.catch_warnings(action="ignore"):
        model.fit(SklearnDataset(x, y, target_labels=np.arange(2)))

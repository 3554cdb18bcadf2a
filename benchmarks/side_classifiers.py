"""Classifiers beside the one that a unit trains: behind irreducible losses, or a cheap proxy.

A suite names one by ``{classifier = "NAME"}`` as the value of a method's parameter. Results hold it
whole, with the fingerprint of its model, so that it counts in the hash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from benchmarks.classifiers import classifier_kind, with_model
from benchmarks.kinds import Features
from benchmarks.results import ClassifierRecord, MethodRecord, canonical_json

Labels = NDArray[np.int64]

IRREDUCIBLE, PROXY, UPDATED = "irreducible_classifier", "proxy_classifier", "update_irreducible"
"""Parameters of a method: two that hold such a classifier, and one that needs the first of them."""

_NEEDED = {"kind", "params"}
_FIELDS = {*_NEEDED, "model", "plugin"}
# A side model of texts is shown tokens, which it pads and never cuts.
_ANY_LENGTH = 1


@dataclass(frozen=True)
class SideClassifier:
    """A classifier beside the trained one, with the data as it takes them.

    Parameters
    ----------
    factory : Any
        Makes it.
    pool_set : callable
        From labels to the pool as a dataset.
    test_set : small_text.data.Dataset
        The test set.
    features : {"vectors", "texts"}
        What it is fitted on.
    """

    factory: Any
    pool_set: Callable[[Labels], Any]
    test_set: Any
    features: Features


class KeptFactory:
    """A factory that keeps what it makes: a fitted classifier can be asked again.

    Parameters
    ----------
    factory : Any
        Makes them.

    Attributes
    ----------
    made : list
        The classifiers, in the order in which they were made.
    """

    def __init__(self, factory: Any) -> None:  # noqa: ANN401
        self._factory = factory
        self.made: list[Any] = []

    def new(self) -> Any:  # noqa: ANN401
        """Return a new classifier, and keep it."""
        self.made.append(self._factory.new())
        return self.made[-1]


def nested_classifier(classifier: ClassifierRecord) -> dict[str, Any]:
    """Return a classifier as the value of a method's parameter: all but its name.

    Examples
    --------
    >>> nested_classifier(ClassifierRecord(id="head", kind="mlp", params={"lr": 0.1}))
    {'kind': 'mlp', 'params': {'lr': 0.1}}
    """
    return classifier.model_dump(exclude={"id"})


def is_nested_classifier(value: Any) -> bool:  # noqa: ANN401
    """Return whether a parameter's value is a classifier."""
    return isinstance(value, Mapping) and _NEEDED <= set(value) <= _FIELDS


def side_record(value: Any, parameter: str = IRREDUCIBLE) -> ClassifierRecord:  # noqa: ANN401
    """Return the record of a classifier that is a parameter's value.

    Parameters
    ----------
    value : Any
        What :func:`nested_classifier` returned, from a result perhaps.
    parameter : str, default="irreducible_classifier"
        For the message.

    Returns
    -------
    ClassifierRecord
        Its id is the parameter's name.

    Raises
    ------
    TypeError
        If it is something else.
    """
    try:
        return ClassifierRecord(id=parameter, **value)
    except (TypeError, ValidationError) as error:
        raise TypeError(
            f'{parameter} is {value!r}: name a classifier of the suite, {{classifier = "NAME"}}.'
        ) from error


def side_title(value: Any) -> str:  # noqa: ANN401
    """Return a classifier that is a parameter's value in words.

    Examples
    --------
    >>> side_title({"kind": "transformer", "params": {"model": "albert-base-v2"}})
    'transformer albert-base-v2'
    """
    record = side_record(value)
    model = record.params.get("model") if record.model is None else record.model.id
    return record.kind if model is None else f"{record.kind} {model}"


def with_side_models(method: MethodRecord, known: dict[str, dict[str, Any]]) -> MethodRecord:
    """Find the models of the classifiers beside, so that results say which weights they start from.

    Parameters
    ----------
    method : MethodRecord
        Any method.
    known : dict
        What was found for others before; what is found is added, since weights are read for it.

    Returns
    -------
    MethodRecord
        With fingerprints; unchanged where it has no such classifier.

    Raises
    ------
    SuiteError
        If a model can be neither found nor fetched.
    """
    found = {}
    for name, value in _sides(method.params).items():
        key = canonical_json(value)
        if key not in known:
            known[key] = nested_classifier(with_model(side_record(value, name)))
        found[name] = known[key]
    return method.model_copy(update={"params": {**method.params, **found}}) if found else method


def reads_texts(params: Mapping[str, Any]) -> bool:
    """Return whether a classifier beside is fitted on texts."""
    return any(_is_on_texts(value) for value in _sides(params).values())


def without_text_sides(method: MethodRecord) -> MethodRecord:
    """Leave out the classifiers on texts, for a calibration on vectors."""
    gone = {name for name, value in _sides(method.params).items() if _is_on_texts(value)}
    gone |= {UPDATED} if IRREDUCIBLE in gone else set()
    kept = {name: value for name, value in method.params.items() if name not in gone}
    return method.model_copy(update={"params": kept})


def new_side_model(side: SideClassifier, num_classes: int, seed: int) -> Any:  # noqa: ANN401
    """Return a proxy that knows nothing yet, and learns from what is selected.

    Parameters
    ----------
    side : SideClassifier
        The classifier whose architecture and learning rate it has. Of a head, the size of its
        hidden layer alone counts.
    num_classes : int
        Number of classes.
    seed : int
        Of its new parameters.

    Returns
    -------
    HeadSideModel or EncoderSideModel
        For `ScoreSelector`.
    """
    from small_text_ext.classifiers.pretrained import load_pretrained
    from small_text_ext.training.side_models import EncoderSideModel, HeadSideModel

    clf = side.factory.new()
    if side.features == "vectors":
        return HeadSideModel(hidden_size=clf.model_args.hidden_size, seed=seed)
    found = load_pretrained(clf.model_args, num_classes, False, seed)
    return EncoderSideModel(found.model, found.tokenizer, lr=clf.lr)


def fitted_side_model(clf: Any, lr: float | None) -> Any:  # noqa: ANN401
    """Return the model of a fitted classifier, as one that goes on learning from what is selected.

    Parameters
    ----------
    clf : TrainedClassifier
        A fitted head or encoder.
    lr : float or None
        Learning rate of an encoder; that of a head is what `HeadSideModel` takes, and it has none.

    Returns
    -------
    HeadSideModel or EncoderSideModel
        For `ScoreSelector`.
    """
    from small_text_ext.classifiers.pretrained import text_tokenizer
    from small_text_ext.training.side_models import EncoderSideModel, HeadSideModel

    tokenizer = getattr(clf, "tokenizer", None)
    if tokenizer is None:
        return HeadSideModel(clf.model)
    pads = text_tokenizer(tokenizer, clf.model.config, _ANY_LENGTH)
    assert lr is not None
    return EncoderSideModel(clf.model, pads, lr=lr)


def check_vocabulary(clf: Any, other: Any) -> None:  # noqa: ANN401
    """Check that two classifiers on texts read the same tokens.

    Parameters
    ----------
    clf, other : TransformerClassification
        Classifiers, fitted or not.

    Raises
    ------
    ValueError
        If they don't: one would read the other's tokens as other words.
    """
    from transformers import AutoTokenizer

    names = [each.model_args.tokenizer or each.model_args.model for each in (clf, other)]
    first, second = (AutoTokenizer.from_pretrained(name).get_vocab() for name in names)
    if first != second:
        raise ValueError(
            f"{names[0]} and {names[1]} have other vocabularies, and a side model reads the "
            "tokens of the trained one: name a model of the same family."
        )


def _sides(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if is_nested_classifier(value)}


def _is_on_texts(value: Mapping[str, Any]) -> bool:
    return classifier_kind(str(value["kind"])).features == "texts"

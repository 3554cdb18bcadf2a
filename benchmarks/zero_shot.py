"""Without a label: texts go to the class whose description is nearest, or that a model entails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.encoders import resolve_encoder
from benchmarks.results import MethodRecord

Vectors = NDArray[np.float32]
Proba = NDArray[np.float64]

_PLACE = "{}"
_NLI_BATCH = 16
_FINGERPRINT = "nli_fingerprint"


@dataclass(frozen=True)
class ZeroShotSettings:
    """How classes are described, and by what they are recognised.

    Parameters
    ----------
    template : str, default="{}"
        A sentence with ``{}`` in the place of a description.
    descriptions : mapping of str to str, default={}
        Class name to description; of other classes the name stands for itself.
    nli_model : str or None, default=None
        A model of natural language inference, a folder or a name on the hub, that says which
        sentence a text entails. None takes the suite's encoder, and the nearest sentence.
    temperature : float, default=0.05
        Of the softmax over cosines; it changes no prediction.

    Raises
    ------
    ValueError
        If the template has no place for a description, or the temperature is not positive.
    """

    template: str = _PLACE
    descriptions: Mapping[str, str] = field(default_factory=dict)
    nli_model: str | None = None
    temperature: float = 0.05

    def __post_init__(self) -> None:
        """Check the values."""
        if _PLACE not in self.template:
            raise ValueError(f"template is {self.template!r}: put {{}} where a class is named.")
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}: pass a number above 0.")

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> ZeroShotSettings:
        """Make settings of a method's parameters, as a suite or a result has them."""
        return cls(**{name: value for name, value in params.items() if name != _FINGERPRINT})

    def sentences(self, class_names: Sequence[str]) -> list[str]:
        """Return a sentence for each class.

        Examples
        --------
        >>> settings = ZeroShotSettings("About {}.", {"doc": "manuals"})
        >>> settings.sentences(["doc", "games"])
        ['About manuals.', 'About games.']

        Raises
        ------
        ValueError
            If a description is of no class.
        """
        unknown = sorted(set(self.descriptions) - set(class_names))
        if unknown:
            raise ValueError(
                f"descriptions names {unknown[0]!r}, which is none of the classes "
                f"{', '.join(class_names)}."
            )
        described = (self.descriptions.get(name, name) for name in class_names)
        return [self.template.replace(_PLACE, text) for text in described]


def with_weights(method: MethodRecord) -> MethodRecord:
    """Find the model of a method, so that its record says which weights it has.

    Parameters
    ----------
    method : MethodRecord
        As the suite has it.

    Returns
    -------
    MethodRecord
        With the fingerprint of its model; unchanged where it has none.

    Raises
    ------
    SuiteError
        If the model can be neither found nor fetched.
    """
    name = ZeroShotSettings.from_params(method.params).nli_model
    if name is None:
        return method
    found = resolve_encoder(name).fingerprint
    return method.model_copy(update={"params": {**method.params, _FINGERPRINT: found}})


def nearest_description(
    vectors: Vectors, sentences: Sequence[str], encoder: str, settings: ZeroShotSettings
) -> Proba:
    """Return probabilities from the cosines of texts and sentences.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (n, d)
        Unit vectors of the texts, by the encoder.
    sentences : sequence of str, length C
        One for each class.
    encoder : str
        Name of the encoder.
    settings : ZeroShotSettings
        With the temperature.

    Returns
    -------
    numpy.ndarray of float64, shape (n, C)
        Rows sum to one.
    """
    from scipy.special import softmax

    from benchmarks.encoders import resolve_encoder
    from small_text_ext.classifiers.pretrained import quiet
    from small_text_ext.pool.embeddings import PoolEmbeddings

    folder = resolve_encoder(encoder).folder
    with quiet():
        encoded = PoolEmbeddings.encode(list(sentences), folder, show_progress=False)
    classes = np.asarray(encoded, dtype=np.float32)
    return np.asarray(
        softmax((vectors @ classes.T).astype(np.float64) / settings.temperature, axis=1)
    )


def entailed_description(texts: Sequence[str], sentences: Sequence[str], model: str) -> Proba:
    """Return probabilities of a model of natural language inference.

    Parameters
    ----------
    texts : sequence of str, length n
        What is to be classified.
    sentences : sequence of str, length C
        One for each class; no two may be equal.
    model : str
        A folder, or a name on the hub.

    Returns
    -------
    numpy.ndarray of float64, shape (n, C)
        Rows sum to one.
    """
    from transformers import pipeline

    from benchmarks.encoders import model_folder

    classify = pipeline("zero-shot-classification", model=str(model_folder(model)))
    order = {sentence: place for place, sentence in enumerate(sentences)}
    proba = np.zeros((len(texts), len(sentences)))
    found = classify(
        list(texts), list(sentences), hypothesis_template=_PLACE, batch_size=_NLI_BATCH
    )
    for row, answer in enumerate(found):
        for sentence, score in zip(answer["labels"], answer["scores"], strict=True):
            proba[row, order[sentence]] = score
    return proba

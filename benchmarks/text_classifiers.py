"""Classifiers on texts: an encoder that is fine-tuned anew every round."""

from __future__ import annotations

import copy
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from benchmarks.kinds import ClassifierKind, FactoryRequest, field_names, signature_names
from small_text_ext._extras import require_extra

# Tokenizer and configuration are those of the model, whose fingerprint is in the results; progress
# and precision of the host's kind, and its cache, are no part of an experiment.
_TRANSFORMER_GIVEN = frozenset(
    {"amp_args", "cache_dir", "config", "memory_fix", "show_progress", "tokenizer", "verbosity"}
)
_ALIGNMENT_GIVEN = frozenset({"cache_dir", "config", "show_progress", "tokenizer"})
_SETFIT_GIVEN = frozenset(
    {
        "amp_args",
        "model_loading_strategy",
        "output_dir",
        "sentence_transformer_model",
        "setfit_model_args",
        "show_progress_bar",
    }
)
# What a suite says once and the host asks for twice: for training, and for everything else.
_SETFIT_SHARED = frozenset({"max_length"})
# Ours: how many times the contrastive stage reads each text, whatever the number of pairs.
_TEXT_PASSES = "text_passes"


def _encoder_factory(kind: Any, request: FactoryRequest, **given: Any) -> Any:  # noqa: ANN401
    """Make a factory of ours: some parameters are the encoder's, the others the classifier's."""
    from small_text_ext import TransformerArguments

    fields = field_names(TransformerArguments)
    model = {name: value for name, value in request.params.items() if name in fields}
    kwargs = {name: value for name, value in request.params.items() if name not in fields}
    shared = {"seed": request.seed, "device": request.device, "show_progress": False}
    arguments = TransformerArguments(str(request.model), **model)
    return kind(arguments, request.num_classes, {**kwargs, **shared, **given})


def _build_transformer(request: FactoryRequest) -> Any:  # noqa: ANN401
    from small_text_ext import TransformerClassificationFactory

    return _encoder_factory(TransformerClassificationFactory, request, recorder=request.recorder)


def _build_lora(request: FactoryRequest) -> Any:  # noqa: ANN401
    require_extra("peft", "lora")
    from small_text_ext import LoRATransformerClassificationFactory as Factory

    return _encoder_factory(Factory, request, recorder=request.recorder)


def _lora_parameters() -> set[str]:
    require_extra("peft", "lora")
    return _transformer_parameters()


def _transformer_parameters() -> set[str]:
    from small_text_ext import TransformerArguments, TransformerClassification

    return signature_names(TransformerClassification) | field_names(TransformerArguments)


def _build_alignment(request: FactoryRequest) -> Any:  # noqa: ANN401
    from small_text_ext import EmbeddingAlignmentClassificationFactory

    return _encoder_factory(EmbeddingAlignmentClassificationFactory, request)


def _alignment_parameters() -> set[str]:
    from small_text_ext import EmbeddingAlignmentClassification, TransformerArguments

    return signature_names(EmbeddingAlignmentClassification) | field_names(TransformerArguments)


def _host_params(request: FactoryRequest) -> dict[str, Any]:
    """Return parameters as small-text's arguments take them.

    TOML has no tuples, and the host tells a pair (body, head) from one number by its type. To the
    tables that it is given it adds, and these are the specification's.
    """
    return {
        name: tuple(value) if isinstance(value, list) else copy.deepcopy(value)
        for name, value in request.params.items()
    }


def _build_setfit(request: FactoryRequest) -> Any:  # noqa: ANN401
    require_extra("setfit", "setfit")
    from small_text import SetFitClassification, SetFitClassificationFactory, SetFitModelArguments

    params = _host_params(request)
    text_passes: Any = params.pop(_TEXT_PASSES, None)
    own = signature_names(SetFitClassification)
    model = {name: params[name] for name in params if name not in own or name in _SETFIT_SHARED}
    kwargs = {name: params[name] for name in params if name in own}
    arguments = SetFitModelArguments(
        request.model, **model, seed=request.seed, show_progress_bar=False
    )
    return _QuietFactory(
        SetFitClassificationFactory(
            arguments,
            request.num_classes,
            classification_kwargs={**kwargs, "device": request.device},
        ),
        text_passes,
    )


def _build_aligned_setfit(request: FactoryRequest) -> Any:  # noqa: ANN401
    require_extra("setfit", "setfit")
    from small_text import SetFitModelArguments

    from small_text_ext.classifiers.aligned_setfit import AlignedSetFitClassificationFactory

    own = _aligned_setfit_own()
    params = _host_params(request)
    model = {name: value for name, value in params.items() if name not in own}
    kwargs = {name: value for name, value in params.items() if name in own}
    shared = {name: model[name] for name in _SETFIT_SHARED & set(model)}
    arguments = SetFitModelArguments(
        request.model, **model, seed=request.seed, show_progress_bar=False
    )
    factory = AlignedSetFitClassificationFactory(
        arguments, request.num_classes, {**kwargs, **shared, "device": request.device}
    )
    return _QuietFactory(factory, text_passes=None)


def _aligned_setfit_own() -> set[str]:
    return {"num_epochs", "gradient_cache_chunk"}


def _aligned_setfit_parameters() -> set[str]:
    require_extra("setfit", "setfit")
    from small_text import SetFitModelArguments

    return signature_names(SetFitModelArguments) | _aligned_setfit_own()


def _setfit_parameters() -> set[str]:
    require_extra("setfit", "setfit")
    from small_text import SetFitClassification, SetFitModelArguments

    host = signature_names(SetFitClassification) | signature_names(SetFitModelArguments)
    return {*host, _TEXT_PASSES}


class _QuietFactory:
    """A factory of SetFit classifiers whose fits print nothing and leave no folder behind."""

    def __init__(self, factory: Any, text_passes: float | None) -> None:  # noqa: ANN401
        self._factory, self._text_passes = factory, text_passes

    def new(self) -> _QuietClassifier:
        """Return a new classifier."""
        return _QuietClassifier(self._factory.new(), self._text_passes)


class _QuietClassifier:
    """A SetFit classifier with quiet fits; everything else is passed on.

    setfit shows progress bars, prints its losses, and makes a folder for checkpoints in the working
    directory, whatever it is told: the arguments of the host reach none of the three. And its pairs
    grow with the square of the labels: ``text_passes`` bounds its steps, so that it reads as many
    texts as another classifier does in so many epochs.
    """

    def __init__(self, classifier: Any, text_passes: float | None) -> None:  # noqa: ANN401
        self._classifier, self._text_passes = classifier, text_passes

    def fit(self, train_set: Any, *args: Any, **kwargs: Any) -> _QuietClassifier:  # noqa: ANN401
        """Fit the classifier."""
        arguments = self._classifier.setfit_model_args
        if self._text_passes is not None:
            sizes = arguments.train_batch_size
            pairs = sizes[0] if isinstance(sizes, tuple) else sizes
            arguments.max_steps = max(1, round(self._text_passes * len(train_set) / (2 * pairs)))
        with tempfile.TemporaryDirectory() as folder, _silence():
            arguments.output_dir = folder
            self._classifier.fit(train_set, *args, **kwargs)
        return self

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("__") or name == "_classifier":
            raise AttributeError(name)
        return getattr(self._classifier, name)


@contextmanager
def _silence() -> Iterator[None]:
    """Let nothing be printed or logged below an error while the block runs."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with ExitStack() as stack:
            null = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(null))
            stack.enter_context(redirect_stderr(null))
            yield
    finally:
        logging.disable(disabled)


TEXT_CLASSIFIERS: Mapping[str, ClassifierKind] = {
    "transformer": ClassifierKind(
        "a pretrained encoder, fine-tuned on the texts; --model",
        _build_transformer,
        _transformer_parameters,
        features="texts",
        default_model="minilm",
        given=_TRANSFORMER_GIVEN,
        is_recorded=True,
    ),
    "lora": ClassifierKind(
        "low-rank adapters in a pretrained encoder; --model, extra lora",
        _build_lora,
        _lora_parameters,
        features="texts",
        default_model="minilm",
        given=_TRANSFORMER_GIVEN,
        is_recorded=True,
    ),
    "alignment": ClassifierKind(
        "an encoder pulled into class clusters, read by neighbours or another head; --model",
        _build_alignment,
        _alignment_parameters,
        features="texts",
        default_model="minilm",
        given=_ALIGNMENT_GIVEN,
    ),
    "setfit": ClassifierKind(
        "small-text's SetFit, contrastive pairs and a logistic head; --model, extra setfit",
        _build_setfit,
        _setfit_parameters,
        features="texts",
        default_model="minilm",
        given=_SETFIT_GIVEN,
    ),
    "aligned-setfit": ClassifierKind(
        "SetFit with our contrastive stage in the place of its pairs; --model, extra setfit",
        _build_aligned_setfit,
        _aligned_setfit_parameters,
        features="texts",
        default_model="minilm",
        given=_SETFIT_GIVEN,
    ),
}
"""Kinds that are fitted on texts, by name."""

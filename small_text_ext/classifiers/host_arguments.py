"""small-text's own arguments of a transformer classifier, and what they are here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from small_text_ext.classifiers.pretrained import TransformerArguments
from small_text_ext.training.precision import Precision

_PRECISIONS: Mapping[Any, Precision] = {
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
    torch.float32: "float32",
}


@dataclass(frozen=True)
class ModelChoice:
    """What the model arguments of a classifier come to.

    Parameters
    ----------
    args : TransformerArguments
        Which encoder.
    batch_size : int or None, default=None
        Texts a training step, where they say so.
    training_arguments : mapping of str to Any, default={}
        Arguments of the Trainer that they ask for.
    """

    args: TransformerArguments
    batch_size: int | None = None
    training_arguments: Mapping[str, Any] = field(default_factory=dict)


def resolve_model_arguments(model_args: Any, cache_dir: str | None = None) -> ModelChoice:  # noqa: ANN401
    """Read the model arguments of a classifier, whichever of the three kinds they are.

    Parameters
    ----------
    model_args : TransformerArguments, small_text.TransformerModelArguments or str
        Ours, small-text's, or the name of a model alone.
    cache_dir : str or None, default=None
        Where models from the hub are kept; None is Hugging Face's own folder.

    Returns
    -------
    ModelChoice
        Of small-text's arguments ``predict_batch_size`` is left out: batches are packed by tokens.

    Raises
    ------
    TypeError
        If they are something else.
    """
    if isinstance(model_args, str | Path):
        model_args = TransformerArguments(str(model_args))
    if isinstance(model_args, TransformerArguments):
        return ModelChoice(_cached(model_args, {"cache_dir": cache_dir} if cache_dir else {}))
    names = ("model", "tokenizer", "config", "model_kwargs", "tokenizer_kwargs", "config_kwargs")
    if not all(hasattr(model_args, name) for name in (*names, "train_batch_size")):
        raise TypeError(
            f"model_args is {model_args!r}: pass a TransformerArguments, small-text's "
            "TransformerModelArguments, or the name of a model."
        )
    args = TransformerArguments(**{name: getattr(model_args, name) for name in names})
    options = _loading_options(model_args)
    if cache_dir:
        options["cache_dir"] = cache_dir
    compiled = getattr(model_args, "compile_model", False)
    return ModelChoice(
        _cached(args, options),
        int(model_args.train_batch_size),
        {"torch_compile": True} if compiled else {},
    )


def resolve_encoder_arguments(model_args: Any, cache_dir: str | None = None) -> ModelChoice:  # noqa: ANN401
    """Read the model arguments of a classifier that needs no more than an encoder.

    Parameters
    ----------
    model_args : TransformerArguments, small_text's arguments, or str
        As `resolve_model_arguments`, or small-text's ``SetFitModelArguments``.
    cache_dir : str or None, default=None
        Where models from the hub are kept; None is Hugging Face's own folder.

    Returns
    -------
    ModelChoice
        Of ``SetFitModelArguments`` the encoder, the longest text and the batch size of its
        contrastive stage; its epochs are of pairs, and so do not count.

    Raises
    ------
    TypeError
        If they are something else.
    """
    if not hasattr(model_args, "sentence_transformer_model"):
        return resolve_model_arguments(model_args, cache_dir)
    options = _loading_options(model_args)
    if cache_dir:
        options["cache_dir"] = cache_dir
    args = TransformerArguments(
        model_args.sentence_transformer_model, max_length=model_args.max_length
    )
    size = model_args.train_batch_size
    return ModelChoice(_cached(args, options), int(size[0] if isinstance(size, tuple) else size))


def _loading_options(model_args: Any) -> dict[str, Any]:  # noqa: ANN401
    strategy = getattr(model_args.model_loading_strategy, "value", None)
    options = {"always-local": "local_files_only", "always-download": "force_download"}
    return {options[strategy]: True} if strategy in options else {}


def _cached(args: TransformerArguments, options: Mapping[str, Any]) -> TransformerArguments:
    return replace(
        args,
        model_kwargs={**options, **args.model_kwargs},
        tokenizer_kwargs={**options, **args.tokenizer_kwargs},
        config_kwargs={**options, **args.config_kwargs},
    )


def resolve_amp_arguments(amp_args: Any, precision: Precision) -> Precision:  # noqa: ANN401
    """Return the precision that small-text's ``AMPArguments`` ask for; None leaves ours.

    Raises
    ------
    ValueError
        If they ask for a type that nothing here computes in.
    """
    if amp_args is None:
        return precision
    if not amp_args.use_amp:
        return "float32"
    if amp_args.dtype not in _PRECISIONS:
        raise ValueError(
            f"amp_args has the dtype {amp_args.dtype}: pass torch.bfloat16 or torch.float16."
        )
    return _PRECISIONS[amp_args.dtype]

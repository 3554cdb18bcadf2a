"""Vectors of an encoder as it is: which encoder, which pooling and which layers suit a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, stack

from small_text_ext.classifiers.host_arguments import resolve_encoder_arguments
from small_text_ext.classifiers.pretrained import (
    EmbeddingMethod,
    Pooling,
    embedding_size,
    hidden_layers,
    load_encoder,
    own_pooling,
    pooled,
    quiet,
    summary_is_first,
)
from small_text_ext.classifiers.texts import encode_items, texts_of
from small_text_ext.training.inference import MAX_TOKENS, PackedForward, Readout
from small_text_ext.training.precision import Precision, default_device, resolve_precision

_METHODS: Mapping[Pooling, EmbeddingMethod] = {"mean": "avg", "cls": "cls"}


def frozen_embeddings(
    model_args: Any,  # noqa: ANN401 - ours, small-text's, or a name
    texts: Any,  # noqa: ANN401 - a list, or a dataset of small-text
    pooling: Pooling | None = None,
    layer_mean: bool = False,
    *,
    device: str | None = None,
    max_tokens: int | None = None,
    precision: Precision = "auto",
    cache_dir: str | None = None,
) -> NDArray[np.float32]:
    """Embed texts by an encoder that is not trained, to see by `knn_evaluate` whether it suits.

    Encoders, poolings and layers are compared by the same labels before anything is trained;
    `concatenated` vectors of several encoders are one more. For a pool that is kept and searched
    there is `PoolEmbeddings`.

    Parameters
    ----------
    model_args : TransformerArguments, small_text's arguments, or str
        The encoder, as `EmbeddingAlignmentClassification` takes it.
    texts : sequence of str, or of (str, str), or small_text.data.Dataset
        Texts, pairs of texts, or a dataset of them.
    pooling : {"mean", "cls"} or None, default=None
        The mean over a text's tokens, or the token that stands for the text; None is what a
        sentence-transformers model asks for, and "mean" of any other.
    layer_mean : bool, default=False
        Whether the mean over all layers is pooled, not the last one alone.
    device : str or None, default=None
        Where to compute: "cpu", "cuda" or "mps"; None takes the best there is.
    max_tokens : int or None, default=None
        Padded tokens of a batch; see `TransformerClassification`.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        What matrix products are computed in.
    cache_dir : str or None, default=None
        Where models from the hub are kept; None is Hugging Face's own folder.

    Returns
    -------
    numpy.ndarray of float32, shape (n, d)
        Vectors as the encoder gives them, of any length.

    Raises
    ------
    ValueError
        If an option is unknown, or ``pooling`` is None for a sentence-transformers model that does
        something else.
    TypeError
        If there is something else than texts.
    OSError
        If the encoder cannot be loaded.

    Notes
    -----
    Differences from the authors' code, which is flair's: there the token embeddings, below the
    first layer, are one of the layers of a layer mean.
    """
    if pooling not in (None, *_METHODS):
        raise ValueError(f"pooling is {pooling!r}: pass 'mean', 'cls' or None.")
    chosen = default_device(device)
    dtype = resolve_precision(precision, chosen)
    args = resolve_encoder_arguments(model_args, cache_dir).args
    items = _items_of(texts)
    pretrained = load_encoder(args, seed=0)
    model, tokenizer = pretrained.model.to(chosen), pretrained.tokenizer
    if not items:
        return np.empty((0, embedding_size(model)), dtype=np.float32)
    model.config.output_hidden_states = layer_mean
    limit = max_tokens or MAX_TOKENS.get(chosen.type, MAX_TOKENS["cuda"])
    forward = PackedForward(model, tokenizer, chosen, dtype, limit)
    readout = embedding_readout(tokenizer.tokenizer, pooling or own_pooling(args), layer_mean)
    with quiet():
        (vectors,) = forward(encode_items(items, tokenizer), readout)
    return np.asarray(vectors.numpy())


def _items_of(texts: Any) -> list[Any]:  # noqa: ANN401
    if isinstance(texts, str):
        raise TypeError(f"texts is one string, {texts[:40]!r}: pass a list of texts, or a dataset.")
    if hasattr(texts, "x"):
        return texts_of(texts)
    items = list(texts)
    for row, item in enumerate(items):
        if not isinstance(item, str | tuple):
            raise TypeError(
                f"texts hold a {type(item).__name__} (item {row}): pass strings, or tuples of two."
            )
    return items


def embedding_readout(
    tokenizer: Any,  # noqa: ANN401
    pooling: Pooling,
    layer_mean: bool,
) -> Readout:
    """Return what makes one vector of each text of a batch.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        The encoder's.
    pooling : {"mean", "cls"}
        As in `frozen_embeddings`.
    layer_mean : bool
        Likewise; the model is then to return its hidden states.

    Returns
    -------
    callable
        Takes what the encoder returned, and the attention mask.
    """
    first, method = summary_is_first(tokenizer), _METHODS[pooling]

    def read(outputs: Any, mask: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401
        layers = hidden_layers(outputs) if layer_mean else (outputs.last_hidden_state,)
        return (stack([pooled(layer, mask, method, first) for layer in layers]).mean(dim=0),)

    return read

"""From a dataset of small-text to what an encoder is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scipy.sparse import issparse

from small_text_ext.training.tokens import Features, TextTokenizer

Encodable = Sequence[Any]
"""Texts, pairs of texts, or the tensors of a ``TransformersDataset``."""


def texts_of(data_set: Any) -> Encodable:  # noqa: ANN401
    """Return the texts of a dataset, none of them encoded yet.

    Parameters
    ----------
    data_set : small_text.data.Dataset
        A ``TextDataset``, a `TextPairDataset`, a ``TransformersDataset``, or a view on one.

    Returns
    -------
    sequence
        Strings, pairs of strings, or of a ``TransformersDataset`` its (ids, mask, label).

    Raises
    ------
    TypeError
        If it holds something else.
    """
    items = getattr(data_set, "data", None)
    items = data_set.x if items is None else items
    if issparse(items) or (len(items) and not _is_encodable(items[0])):
        kind = type(items[0]).__name__ if isinstance(items, list) else type(items).__name__
        raise TypeError(
            f"The dataset is a {type(data_set).__name__} of {kind}: this classifier reads texts. "
            "Pass small-text's TextDataset or TransformersDataset, or a TextPairDataset; for "
            "vectors there is MLPClassification."
        )
    return items if isinstance(items, list) else list(items)


def _is_encodable(item: Any) -> bool:  # noqa: ANN401
    if isinstance(item, str):
        return True
    if not isinstance(item, tuple):
        return False
    return all(isinstance(part, str) for part in item[:2]) or _is_tokenized(item)


def _is_tokenized(item: Any) -> bool:  # noqa: ANN401
    import torch

    return isinstance(item, tuple) and len(item) == 3 and isinstance(item[1], torch.Tensor)


def encode_items(items: Encodable, tokenizer: TextTokenizer) -> list[Features]:
    """Encode texts; of what is encoded already, take the padding off.

    Parameters
    ----------
    items : sequence
        As `texts_of` returns them, or a part of it.
    tokenizer : TextTokenizer
        Encodes texts; encoded ones keep the length they were encoded with.

    Returns
    -------
    list of Features
        Without padding.
    """
    if items and _is_tokenized(items[0]):
        return [_unpadded(ids, mask, tokenizer) for ids, mask, _ in items]
    return tokenizer.encode(items)


def _unpadded(ids: Any, mask: Any, tokenizer: TextTokenizer) -> Features:  # noqa: ANN401
    kept = ids.reshape(-1)[mask.reshape(-1) > 0].tolist()
    return {"input_ids": kept or [tokenizer.tokenizer.pad_token_id]}

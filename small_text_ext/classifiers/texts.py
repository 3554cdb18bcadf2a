"""From a dataset of small-text to what an encoder is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse

from small_text_ext.training.tokens import Features, TextTokenizer

Encodable = Sequence[Any]
"""Texts, pairs of texts, or the tensors of a ``TransformersDataset``."""


def texts_of(data_set: Any) -> list[Any]:  # noqa: ANN401
    """Return the texts of a dataset, none of them encoded yet.

    Parameters
    ----------
    data_set : small_text.data.Dataset
        A ``TextDataset``, a `TextPairDataset`, a ``TransformersDataset``, or a view on one, or on a
        view on one, to any depth.

    Returns
    -------
    list
        Strings, pairs of strings, or of a ``TransformersDataset`` its (ids, mask, label).

    Raises
    ------
    TypeError
        If it holds something else.
    """
    selections = []
    root = data_set
    while hasattr(root, "dataset") and hasattr(root, "selection"):
        selections.append(root.selection)
        root = root.dataset
    items = getattr(root, "data", None)
    items = root.x if items is None else items
    if issparse(items) or not hasattr(items, "__len__"):
        raise TypeError(_NO_TEXTS.format(type(root).__name__, type(items).__name__))
    # Small-text's views ask the view below for all of its items, once for each item.
    rows = np.arange(len(items))
    for selection in reversed(selections):
        rows = np.atleast_1d(rows[selection])
    chosen = []
    for row in rows.tolist():
        item = items[row]
        if not _is_encodable(item):
            kind = f"{type(item).__name__} (item {row})"
            raise TypeError(_NO_TEXTS.format(type(root).__name__, kind))
        chosen.append(item)
    return chosen


_NO_TEXTS = (
    "The dataset is a {} of {}: this classifier reads texts. Pass small-text's TextDataset or "
    "TransformersDataset, or a TextPairDataset; for vectors there is MLPClassification."
)


def _is_encodable(item: Any) -> bool:  # noqa: ANN401
    if isinstance(item, str):
        return True
    if not isinstance(item, tuple) or len(item) < 2:
        return False
    return all(isinstance(part, str) for part in item[:2]) or _is_tokenized(item)


def _is_tokenized(item: Any) -> bool:  # noqa: ANN401
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

    Raises
    ------
    ValueError
        If an encoded text is longer than the model can take, or ``max_length`` too small.
    """
    if items and _is_tokenized(items[0]):
        return [_unpadded(ids, mask, tokenizer) for ids, mask, _ in items]
    return tokenizer.encode(items)


def _unpadded(ids: Any, mask: Any, tokenizer: TextTokenizer) -> Features:  # noqa: ANN401
    kept = ids.reshape(-1)[mask.reshape(-1) > 0].numpy().astype(np.int32)
    limit = tokenizer.max_positions
    if limit is not None and len(kept) > limit:
        raise ValueError(
            f"A text of the TransformersDataset has {len(kept)} tokens, but the model takes at "
            f"most {limit}: make the dataset with max_length={limit}."
        )
    return tokenizer.complete({"input_ids": kept})

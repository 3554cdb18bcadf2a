"""Texts as tokens: encoded without padding, padded batch by batch to the longest of the batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Features = dict[str, list[int]]
"""One encoded text: ``input_ids``, and what else the tokenizer gives, without padding."""

_IDS = "input_ids"


@dataclass(frozen=True)
class TextTokenizer:
    """Encodes texts or pairs of texts, and pads batches of them.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        The tokenizer of the model, with a pad token.
    max_length : int
        Longer texts are cut to so many tokens; of a pair, the longer text is cut first.
    """

    tokenizer: Any
    max_length: int

    def encode(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> list[Features]:
        """Encode texts without padding.

        Parameters
        ----------
        texts : sequence of str, or of (str, str)
            Texts, or pairs of texts.

        Returns
        -------
        list of dict of str to list of int
            For each text its tokens, at least one: some tokenizers give an empty text none, which
            no model takes.
        """
        if not texts:
            return []
        columns = (
            [list(texts)]
            if isinstance(texts[0], str)
            else [[pair[side] for pair in texts] for side in (0, 1)]
        )
        encoded = self.tokenizer(
            *columns,
            truncation=True,
            max_length=self.max_length,
            padding=False,
            return_attention_mask=False,
            verbose=False,
        )
        names = [name for name in encoded if name in self.tokenizer.model_input_names]
        rows = zip(*(encoded[name] for name in names), strict=True)
        return [self._at_least_one(dict(zip(names, row, strict=True))) for row in rows]

    def _at_least_one(self, features: Features) -> Features:
        if features[_IDS]:
            return features
        return {name: [self.tokenizer.pad_token_id if name == _IDS else 0] for name in features}

    def pad(self, features: Sequence[Features]) -> dict[str, Tensor]:
        """Pad encoded texts to the longest of them.

        Parameters
        ----------
        features : sequence of dict of str to list of int
            At least one encoded text.

        Returns
        -------
        dict of str to torch.Tensor of int64, shape (n, longest)
            What the model is called with, the attention mask included.
        """
        sizes = lengths(features)
        columns = np.arange(sizes.max())
        if self.tokenizer.padding_side == "left":
            mask = columns >= sizes.max() - sizes[:, None]
        else:
            mask = columns < sizes[:, None]
        padding = {_IDS: self.tokenizer.pad_token_id}
        padded = {
            name: _filled(mask, (item[name] for item in features), padding.get(name, 0))
            for name in features[0]
        }
        return {**padded, "attention_mask": torch.from_numpy(mask.astype(np.int64))}


def _filled(mask: NDArray[np.bool_], values: Iterable[list[int]], padding: int) -> Tensor:
    table = np.full(mask.shape, padding, dtype=np.int64)
    table[mask] = np.fromiter(chain.from_iterable(values), np.int64, count=int(mask.sum()))
    return torch.from_numpy(table)


def lengths(features: Sequence[Features]) -> NDArray[np.int64]:
    """Return the number of tokens of each encoded text."""
    return np.fromiter((len(item[_IDS]) for item in features), np.int64, count=len(features))


def grouped_by_length(
    order: NDArray[np.int64],
    sizes: NDArray[np.int64],
    num_batches: int,
    generator: np.random.Generator,
) -> list[NDArray[np.int64]]:
    """Cut shuffled texts into batches of nearly equal size and similar length.

    Groups of eight batches are sorted by length and cut again, and the batches shuffled. The
    lengths that are compared carry noise of up to a quarter, so that in a small training set, too,
    a text meets others in every epoch.

    Parameters
    ----------
    order : numpy.ndarray of int64, shape (n,)
        Rows, shuffled.
    sizes : numpy.ndarray of int64, shape (m,)
        The number of tokens of each row.
    num_batches : int
        How many batches to make.
    generator : numpy.random.Generator
        Where the draws come from.

    Returns
    -------
    list of numpy.ndarray of int64
        The rows of each batch.

    Examples
    --------
    >>> import numpy as np
    >>> sizes = np.array([5, 90, 6, 100])
    >>> batches = grouped_by_length(np.arange(4), sizes, 2, np.random.default_rng(0))
    >>> sorted(sorted(batch.tolist()) for batch in batches)
    [[0, 2], [1, 3]]
    """
    noisy = sizes[order] * generator.uniform(1, 1.25, size=len(order))
    batches = []
    for group in np.array_split(np.arange(num_batches), -(-num_batches // _BATCHES_A_GROUP)):
        first, last = (round(len(order) * edge / num_batches) for edge in (group[0], group[-1] + 1))
        rows = first + np.argsort(noisy[first:last], kind="stable")
        batches += np.array_split(order[rows], len(group))
    return [batches[position] for position in generator.permutation(num_batches)]


_BATCHES_A_GROUP = 8

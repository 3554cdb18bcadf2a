"""Texts as tokens: encoded without padding, padded batch by batch to the longest of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Features = dict[str, NDArray[np.int32]]
"""One encoded text: ``input_ids``, and what else the tokenizer gives, without padding."""

_IDS, _TYPES = "input_ids", "token_type_ids"
# The tokenizer's own records of a text take many times the memory of its tokens.
_TEXTS_A_CALL = 1024
_MULTIPLE = 8


@dataclass(frozen=True)
class TextTokenizer:
    """Encodes texts or pairs of texts, and pads batches of them.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        The tokenizer of the model, with a pad token.
    max_length : int
        Longer texts are cut to so many tokens; of a pair, the longer text is cut first.
    max_positions : int or None, default=None
        What the model can take at most, for texts that come encoded; None has no limit.
    one_end : bool, default=False
        Whether the model reads the text's vector at its end token, of which there must then be no
        second one: what a text holds of it in its middle is left out.
    segments : bool, default=False
        Whether the model tells the texts of a pair apart by their token types, which some of its
        tokenizers give only when they are asked.
    """

    tokenizer: Any
    max_length: int
    max_positions: int | None = None
    one_end: bool = False
    segments: bool = False

    def encode(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> list[Features]:
        """Encode texts without padding.

        Parameters
        ----------
        texts : sequence of str, or of (str, str)
            Texts, or pairs of texts.

        Returns
        -------
        list of Features
            For each text its tokens, at least one: some tokenizers give an empty text none, which
            no model takes.

        Raises
        ------
        ValueError
            If ``max_length`` leaves no room for a token of the text beside the special ones.
        """
        if not texts:
            return []
        self._check_room(pair=not isinstance(texts[0], str))
        features: list[Features] = []
        for start in range(0, len(texts), _TEXTS_A_CALL):
            features += self._encode_part(texts[start : start + _TEXTS_A_CALL])
        return features

    def _check_room(self, pair: bool) -> None:
        special = self.tokenizer.num_special_tokens_to_add(pair=pair)
        if self.max_length <= special:
            raise ValueError(
                f"max_length is {self.max_length}, but the special tokens of a "
                f"{'pair' if pair else 'text'} alone are {special}: pass more."
            )

    def _encode_part(self, texts: Sequence[Any]) -> list[Features]:
        pairs = not isinstance(texts[0], str)
        columns = [[pair[side] for pair in texts] for side in (0, 1)] if pairs else [list(texts)]
        encoded = self.tokenizer(
            *columns,
            truncation=True,
            max_length=self.max_length,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=True if pairs and self.segments else None,
            verbose=False,
        )
        known = {*self.tokenizer.model_input_names, *([_TYPES] if pairs and self.segments else [])}
        names = [name for name in encoded if name in known]
        rows = zip(*(encoded[name] for name in names), strict=True)
        return [
            self.complete({n: np.array(v, np.int32) for n, v in zip(names, row, strict=True)})
            for row in rows
        ]

    def complete(self, features: Features) -> Features:
        """Return an encoded text as the model takes it: of at least one token, with one end.

        Parameters
        ----------
        features : Features
            One encoded text.

        Returns
        -------
        Features
            The same, where there is nothing to mend.
        """
        ids = features[_IDS]
        if len(ids) == 0:
            padding = {_IDS: self.tokenizer.pad_token_id}
            return {name: np.array([padding.get(name, 0)], np.int32) for name in features}
        end = self.tokenizer.eos_token_id
        if not self.one_end or ids[-1] != end or np.count_nonzero(ids == end) == 1:
            return features
        kept = ids != end
        kept[-1] = True
        return {name: values[kept] for name, values in features.items()}

    def padded_length(self, length: int, dtype: torch.dtype | None = None) -> int:
        """Return the length that texts of up to ``length`` tokens are padded to.

        Parameters
        ----------
        length : int
            The longest of a batch.
        dtype : torch.dtype or None, default=None
            In lower precisions it is rounded up to a multiple of eight: their kernels are compiled
            for each shape, and kept, so that memory would grow with the number of lengths.

        Returns
        -------
        int
            At least ``length``, and no more than the model takes.
        """
        if dtype is None:
            return length
        rounded = -(-length // _MULTIPLE) * _MULTIPLE
        return (
            rounded if self.max_positions is None else max(min(rounded, self.max_positions), length)
        )

    def pad(
        self, features: Sequence[Features], dtype: torch.dtype | None = None
    ) -> dict[str, Tensor]:
        """Pad encoded texts to the longest of them.

        Parameters
        ----------
        features : sequence of Features
            At least one encoded text.
        dtype : torch.dtype or None, default=None
            The lower precision that they are for, see `padded_length`.

        Returns
        -------
        dict of str to torch.Tensor of int64, shape (n, longest)
            What the model is called with, the attention mask included.
        """
        sizes = lengths(features)
        longest = self.padded_length(int(sizes.max()), dtype)
        columns = np.arange(longest)
        if self.tokenizer.padding_side == "left":
            mask = columns >= longest - sizes[:, None]
        else:
            mask = columns < sizes[:, None]
        padding = {
            _IDS: self.tokenizer.pad_token_id,
            _TYPES: self.tokenizer.pad_token_type_id,
        }
        padded = {
            name: _filled(mask, [item[name] for item in features], padding.get(name, 0))
            for name in features[0]
        }
        return {**padded, "attention_mask": torch.from_numpy(mask.astype(np.int64))}


def _filled(mask: NDArray[np.bool_], values: list[NDArray[np.int32]], padding: int) -> Tensor:
    table = np.full(mask.shape, padding, dtype=np.int64)
    table[mask] = np.concatenate(values)
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

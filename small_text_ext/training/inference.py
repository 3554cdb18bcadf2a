"""Forward passes over many texts: similar lengths together, as many as fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from small_text_ext.training.memory import free_memory, is_out_of_memory
from small_text_ext.training.precision import autocast
from small_text_ext.training.tokens import Features, TextTokenizer, lengths

MAX_TOKENS = {"cpu": 3072, "cuda": 65_536}
"""Padded tokens of a batch by kind of device; the GPU's is a size that fits, not a measured one."""

Readout = Callable[[Any, Tensor], tuple[Tensor, ...]]
"""Takes what the model returned, and the attention mask; returns tensors with a row per text."""


@dataclass
class PackedForward:
    """Runs a model over encoded texts, in batches of similar length packed to a number of tokens.

    A batch that does not fit into memory is halved and tried again, with a warning; later batches
    keep to the smaller size.

    Parameters
    ----------
    model : callable
        Takes the padded tensors as keyword arguments; on ``device``, in whatever mode it is.
    tokenizer : TextTokenizer
        Pads.
    device : torch.device
        Where the model is.
    dtype : torch.dtype or None
        Lower precision to compute in; None is float32.
    max_tokens : int
        Padded tokens of a batch.
    inference : bool, default=True
        Whether results come from torch's inference mode, which is faster; they can then take no
        part in a backward pass.
    """

    model: Callable[..., Any]
    tokenizer: TextTokenizer
    device: torch.device
    dtype: torch.dtype | None
    max_tokens: int
    inference: bool = True

    def __call__(
        self,
        features: Sequence[Features],
        readout: Readout,
        report: Callable[[int], object] | None = None,
    ) -> tuple[Tensor, ...]:
        """Run the model once over all texts.

        Parameters
        ----------
        features : sequence of Features
            At least one encoded text.
        readout : callable
            What to keep of the model's output.
        report : callable or None, default=None
            Told the number of texts that have just been done.

        Returns
        -------
        tuple of torch.Tensor of float32
            What ``readout`` returned, on the CPU, with a row per text in the given order.
        """
        sizes = lengths(features)
        order = np.argsort(-sizes, kind="stable")
        parts: list[tuple[Tensor, ...]] = []
        done = 0
        mode = torch.inference_mode() if self.inference else torch.no_grad()
        with mode, autocast(self.device, self.dtype):
            while done < len(order):
                longest = self.tokenizer.padded_length(int(sizes[order[done]]), self.dtype)
                rows = order[done : done + max(1, self.max_tokens // longest)]
                batch = self._batch([features[row] for row in rows], readout)
                if batch is None:
                    self._halve(len(rows), longest)
                    continue
                parts.append(batch)
                done += len(rows)
                if report is not None:
                    report(len(rows))
        back = torch.from_numpy(np.argsort(order))
        return tuple(torch.cat(column)[back] for column in zip(*parts, strict=True))

    def _batch(self, features: list[Features], readout: Readout) -> tuple[Tensor, ...] | None:
        """Return a batch's results, or None where memory ran out."""
        try:
            inputs = {
                k: v.to(self.device) for k, v in self.tokenizer.pad(features, self.dtype).items()
            }
            results = readout(self.model(**inputs), inputs["attention_mask"])
            return tuple(result.float().cpu() for result in results)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        return None

    def _halve(self, num_texts: int, longest: int) -> None:
        free_memory()
        if num_texts == 1:
            raise MemoryError(
                f"A single text of {longest} tokens does not fit into the memory of "
                f"{self.device}: pass a smaller max_length."
            )
        self.max_tokens = longest * (num_texts // 2)
        warnings.warn(
            f"{num_texts} texts of up to {longest} tokens do not fit into the memory of "
            f"{self.device}: going on with {self.max_tokens} tokens at a time. Pass "
            f"max_tokens={self.max_tokens} to be spared the trial.",
            RuntimeWarning,
            stacklevel=3,
        )


def read_logits(outputs: Any, mask: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401
    """Keep the logits of a classification model's output."""
    return (outputs.logits,)

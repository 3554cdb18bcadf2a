"""Packing: every text once, in order, and never more tokens than allowed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from small_text_ext.training.inference import PackedForward, read_logits
from small_text_ext.training.memory import is_out_of_memory
from small_text_ext.training.tokens import TextTokenizer
from tests.tiny_models import checkpoint


class Summing:
    """Sums the ids of each text; has memory for so many padded tokens."""

    def __init__(self, memory: int = 10**9) -> None:
        self.memory, self.shapes = memory, list[tuple[int, int]]()

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> Any:  # noqa: ANN401
        if input_ids.numel() > self.memory:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        self.shapes.append((input_ids.shape[0], input_ids.shape[1]))
        return SimpleNamespace(logits=(input_ids * attention_mask).sum(dim=1, keepdim=True))


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer(AutoTokenizer.from_pretrained(checkpoint("bert")), 64)


def run(model: Summing, tokenizer: TextTokenizer, max_tokens: int) -> list[float]:
    """Return what the model gives for forty texts of 3 to 22 tokens."""
    features = tokenizer.encode(["goal " * (1 + 7 * n % 20) for n in range(40)])
    forward = PackedForward(model, tokenizer, torch.device("cpu"), None, max_tokens)
    done: list[int] = []
    (sums,) = forward(features, read_logits, done.append)
    assert sum(done) == 40
    expected = [float(np.sum(item["input_ids"])) for item in features]
    assert sums[:, 0].tolist() == expected
    return expected


def test_batches_keep_to_the_tokens(tokenizer: TextTokenizer) -> None:
    model = Summing()
    run(model, tokenizer, 100)
    assert all(rows * columns <= 100 for rows, columns in model.shapes)
    assert len(model.shapes) < 12


def test_a_text_longer_than_the_tokens_goes_alone(tokenizer: TextTokenizer) -> None:
    model = Summing()
    run(model, tokenizer, 4)
    assert {rows for rows, _ in model.shapes} == {1}


def test_what_does_not_fit_is_halved_and_later_batches_are_small(tokenizer: TextTokenizer) -> None:
    model = Summing(memory=120)
    with pytest.warns(RuntimeWarning, match="max_tokens="):
        run(model, tokenizer, 1000)
    assert all(rows * columns <= 120 for rows, columns in model.shapes)


def test_a_single_text_that_does_not_fit_is_an_error(tokenizer: TextTokenizer) -> None:
    with (
        pytest.warns(RuntimeWarning, match="do not fit"),
        pytest.raises(MemoryError, match="smaller max_length"),
    ):
        run(Summing(memory=10), tokenizer, 1000)


def test_other_errors_are_not_taken_for_want_of_memory() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(KeyboardInterrupt())

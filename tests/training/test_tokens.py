"""Batches: what is padded, and which texts are together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from small_text_ext.training.tokens import TextTokenizer, grouped_by_length, lengths
from tests.tiny_models import checkpoint


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer(AutoTokenizer.from_pretrained(checkpoint("bert")), 16)


def test_batches_hold_every_row_once_and_differ_by_one_at_most() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 100, size=1003)
    order = rng.permutation(1003)
    batches = grouped_by_length(order, sizes, 32, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == list(range(1003))
    assert {len(batch) for batch in batches} <= {31, 32}


def test_batches_are_of_similar_length_and_differ_between_epochs() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(5, 100, size=256)
    generator = np.random.default_rng(1)
    epochs = [grouped_by_length(generator.permutation(256), sizes, 8, generator) for _ in range(2)]
    padded = sum(len(batch) * sizes[batch].max() for batch in epochs[0])
    shuffled = sum(len(part) * sizes[part].max() for part in np.split(rng.permutation(256), 8))
    assert padded < 0.75 * shuffled
    members = [{frozenset(batch.tolist()) for batch in epoch} for epoch in epochs]
    assert not members[0] & members[1]


def test_padding_is_what_the_tokenizer_would_do(tokenizer: TextTokenizer) -> None:
    batch = ["goal coach", "market", "", "goal market coach goal market"]
    features = tokenizer.encode(batch)
    expected = tokenizer.tokenizer(batch, padding=True, return_tensors="pt")
    padded = tokenizer.pad(features)
    assert padded.keys() == expected.keys()
    for name, values in expected.items():
        assert torch.equal(padded[name], values), name
    assert lengths(features).tolist() == expected["attention_mask"].sum(dim=1).tolist()


def test_long_texts_are_cut_and_keep_their_end(tokenizer: TextTokenizer) -> None:
    (features,) = tokenizer.encode(["goal " * 100])
    assert len(features["input_ids"]) == 16
    assert features["input_ids"][-1] == tokenizer.tokenizer.sep_token_id
    assert features["input_ids"].dtype == np.int32
    assert tokenizer.encode([]) == []

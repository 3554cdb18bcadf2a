"""Vectors of encoders that are not trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from small_text_ext import TransformerArguments, frozen_embeddings, knn_evaluate
from small_text_ext.classifiers.knn import concatenated
from tests.classifiers import texts
from tests.classifiers.test_alignment import aligner
from tests.tiny_models import HIDDEN_SIZE, checkpoint, sentence_model

DATA = texts.single(24)
EXACT: dict[str, Any] = {"precision": "float32"}


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("layer_mean", [False, True])
def test_they_are_what_the_classifier_starts_from(pooling: Any, layer_mean: bool) -> None:  # noqa: ANN401
    options: dict[str, Any] = {"pooling": pooling, "layer_mean": layer_mean}
    vectors = frozen_embeddings(checkpoint(), DATA, **options, **EXACT)
    start = aligner(num_epochs=0, **options).fit(DATA).embed(DATA)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.abs(lengths - 1).min() > 0.1
    np.testing.assert_allclose(vectors / lengths, start, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_sentence_model_pools_and_cuts_as_it_was_made_to(pooling: str, tmp_path: Path) -> None:
    folder = sentence_model(tmp_path, pooling)
    long = ["goal " * 30, "profit", *DATA.x[:3]]
    expected = SentenceTransformer(folder, device="cpu").encode(long)
    np.testing.assert_allclose(frozen_embeddings(folder, long, **EXACT), expected, atol=1e-5)
    other: Any = "cls" if pooling == "mean" else "mean"
    assert np.abs(frozen_embeddings(folder, long, other, **EXACT) - expected).max() > 0.1
    longer = TransformerArguments(folder, max_length=40)
    found = frozen_embeddings(longer, long, **EXACT)
    assert np.abs(found[0] - expected[0]).max() > 0.1
    np.testing.assert_allclose(found[1], expected[1], atol=1e-5)


def test_encoders_are_compared_alone_and_together() -> None:
    tables = [frozen_embeddings(checkpoint(name), DATA.x, **EXACT) for name in ("bert", "roberta")]
    assert concatenated(tables).shape == (24, 2 * HIDDEN_SIZE)
    parity: dict[str, Any] = {"metric": "euclidean", "votes": "hard", "break_ties": False}
    alone = knn_evaluate(tables[0], DATA.y, k=1, leave_one_out=False, **parity)
    assert alone.accuracy == 1
    assert knn_evaluate(tables, DATA.y).accuracy < 1


def test_nothing_and_pairs() -> None:
    assert frozen_embeddings(checkpoint(), []).shape == (0, HIDDEN_SIZE)
    words = np.array(["goal", "profit"])
    assert frozen_embeddings(checkpoint(), words).shape == (2, HIDDEN_SIZE)
    pairs = texts.pairs(6)
    from_data, from_list = (
        frozen_embeddings(checkpoint(), items, **EXACT) for items in (pairs, list(pairs.x))
    )
    np.testing.assert_array_equal(from_data, from_list)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="pooling is 'max'"):
        frozen_embeddings(checkpoint(), DATA, pooling="max")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="texts is one string"):
        frozen_embeddings(checkpoint(), "a text")
    with pytest.raises(TypeError, match="texts hold a int"):
        frozen_embeddings(checkpoint(), ["a text", 1])
    with pytest.raises(TypeError, match="texts hold a ndarray"):
        frozen_embeddings(checkpoint(), np.zeros((2, 3)))

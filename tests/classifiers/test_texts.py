"""From datasets, and views of views of them, to texts and tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from small_text import SklearnDataset, TextDataset

from small_text_ext.classifiers.texts import encode_items, texts_of
from small_text_ext.training.tokens import TextTokenizer
from tests.classifiers import texts
from tests.tiny_models import checkpoint


class Counting(TextDataset):
    """Counts how often all of its texts are asked for."""

    reads = 0

    @property
    def x(self) -> list[str]:
        """Return the texts."""
        self.reads += 1
        return list(self._x)


def test_views_of_views_are_read_once_at_the_root() -> None:
    numbers = [str(number) for number in range(100)]
    root = Counting(numbers, np.zeros(100, dtype=int), target_labels=np.arange(2))
    view = root[np.arange(10, 90)][[3, 1, 2, 50]][1:][np.array([2, 0])]
    expected = view.x
    root.reads = 0
    assert texts_of(view) == expected == ["60", "11"]
    assert root.reads == 1
    assert texts_of(root[5]) == ["5"]
    assert texts_of(root[[]]) == []


def test_pairs_and_encoded_texts_come_through_views() -> None:
    pairs = texts.pairs(8)
    assert texts_of(pairs[[5, 2]][[1]]) == [pairs.x[2]]
    tokenizer = texts.classifier().fit(texts.single(12)).tokenizer
    encoded = texts.tokenized(texts.single(6), tokenizer, max_length=12)
    limited = TextTokenizer(tokenizer, 12, max_positions=512)
    (features,) = encode_items(texts_of(encoded[[4, 1]][[1]]), limited)
    (expected,) = limited.encode([texts.single(6).x[1]])
    np.testing.assert_array_equal(features["input_ids"], expected["input_ids"])


def test_a_text_that_is_none_is_named_by_its_position() -> None:
    broken: Any = ["a", float("nan"), "b"]
    dataset = TextDataset(broken, np.zeros(3, dtype=int), target_labels=np.arange(2))
    with pytest.raises(TypeError, match=r"float \(item 1\)"):
        texts_of(dataset)


@pytest.mark.parametrize("x", [np.eye(3), csr_matrix(np.eye(3))], ids=["dense", "sparse"])
def test_vectors_are_refused_with_the_classifier_for_them(x: Any) -> None:  # noqa: ANN401
    dataset = SklearnDataset(x, np.zeros(3, dtype=int), target_labels=np.arange(2))
    with pytest.raises(TypeError, match="MLPClassification"):
        texts_of(dataset)


def test_an_encoded_text_that_is_too_long_is_refused() -> None:
    tokenizer = texts.classifier().fit(texts.single(12)).tokenizer
    encoded = texts.tokenized(texts.single(3), tokenizer, max_length=12)
    with pytest.raises(ValueError, match="max_length=4"):
        encode_items(texts_of(encoded), TextTokenizer(tokenizer, 512, max_positions=4))


def test_a_literal_end_token_does_not_split_the_text_of_t5() -> None:
    """T5 reads the vector of a text at its one end token, and refuses batches that differ."""
    clf = texts.classifier("t5", num_epochs=1).fit(texts.single(12))
    odd = ["goal </s> coach", "market", "</s>", ""]
    batch = TextDataset(odd, np.zeros(4, dtype=int), target_labels=np.arange(3))
    together = clf.predict_proba(batch)
    for position, text in enumerate(odd):
        single = TextDataset([text], np.zeros(1, dtype=int), target_labels=np.arange(3))
        np.testing.assert_allclose(clf.predict_proba(single)[0], together[position], atol=1e-5)


def test_no_room_for_a_text_is_an_error() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint("bert"))
    with pytest.raises(ValueError, match="special tokens of a text alone are 2"):
        TextTokenizer(tokenizer, 2).encode(["a"])
    with pytest.raises(ValueError, match="special tokens of a pair alone are 3"):
        TextTokenizer(tokenizer, 3).encode([("a", "b")])
    assert len(TextTokenizer(tokenizer, 4).encode([("a", "b")])) == 1

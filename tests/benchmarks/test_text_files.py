from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.datasets import LabeledTexts
from benchmarks.text_files import read_texts, store_texts

TEXTS = (
    "a line\nand another",
    "caf\u00e9 \u2028 \ud83d\ude00",
    "half a pair \ud83d",
    "nul \0 ",
    " ",
)
DATA = LabeledTexts("made", TEXTS, np.zeros(5, dtype=np.int64), ("a",), "", "")


@pytest.mark.usefixtures("shared_cache")
def test_texts_come_back_as_they_were() -> None:
    path = store_texts(DATA)
    assert read_texts(path) == TEXTS
    assert not list(path.parent.glob(".*")), "the file it was written to first is gone"


@pytest.mark.usefixtures("shared_cache")
def test_pairs_come_back_as_pairs() -> None:
    pairs = replace(DATA, second_texts=TEXTS[::-1])
    path = store_texts(pairs)
    assert path != store_texts(DATA)
    assert read_texts(path) == pairs.items == tuple(zip(TEXTS, TEXTS[::-1], strict=True))


@pytest.mark.usefixtures("shared_cache")
def test_other_texts_are_another_file_and_the_same_are_written_once() -> None:
    path = store_texts(DATA)
    before = path.stat().st_mtime_ns
    assert store_texts(replace(DATA, labels=np.arange(5), class_names=tuple("abcde"))) == path
    assert path.stat().st_mtime_ns == before
    assert store_texts(replace(DATA, texts=TEXTS[::-1])) != path

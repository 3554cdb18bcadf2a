from __future__ import annotations

import tracemalloc

import numpy as np
from small_text import TextDataset

from benchmarks.text_dataset import TextPool, text_dataset
from small_text_ext import TextPairDataset

TEXTS = ["first", "second \0", "third", "", "fifth"]
LABELS = np.array([0, -1, 1, -1, 0])


def test_a_clone_is_the_host_s() -> None:
    rows = np.array([4, 1, 2])
    clones = [
        make(list(TEXTS), LABELS, target_labels=np.arange(3))[rows].clone()
        for make in (TextDataset, TextPool)
    ]
    host, ours = clones
    assert type(ours) is type(host)
    assert ours.x == ["fifth", "second \0", "third"], "numpy drops what stands at the end"
    assert ours.y.tolist() == host.y.tolist()
    assert ours.target_labels.tolist() == host.target_labels.tolist() == [0, 1, 2]
    assert ours.is_multi_label == host.is_multi_label
    ours.y = np.array([2, 2, 2])
    assert LABELS.tolist() == [0, -1, 1, -1, 0]


def test_views_of_views_and_slices_are_cloned_too() -> None:
    pool = TextPool(list(TEXTS), LABELS, target_labels=np.arange(2))
    assert pool[np.array([4, 1, 2])][[0, 2]].clone().x == ["fifth", "third"]
    assert pool[1:3].clone().x == TEXTS[1:3]


def test_one_long_text_does_not_make_all_of_them_long() -> None:
    pool = TextPool(
        ["short"] * 500 + ["long " * 20_000], np.zeros(501, dtype=np.int64), np.arange(2)
    )
    view = pool[np.arange(501)]
    tracemalloc.start()
    view.clone()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_pairs_make_a_data_set_of_pairs() -> None:
    texts = text_dataset(TEXTS, LABELS, np.arange(3))
    assert type(texts) is TextPool
    assert texts.x == TEXTS
    pairs = text_dataset(list(zip(TEXTS, TEXTS[::-1], strict=True)), LABELS, np.arange(3))
    assert type(pairs) is TextPairDataset
    assert pairs.x[1] == (TEXTS[1], TEXTS[3])
    assert pairs.y.tolist() == LABELS.tolist()
    assert pairs.target_labels.tolist() == [0, 1, 2]

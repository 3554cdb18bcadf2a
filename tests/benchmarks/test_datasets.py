from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.datasets import (
    DATASETS,
    LabeledTexts,
    against_the_rest,
    dataset_spec,
    limit_test_majority,
    limit_texts,
    load_texts,
    resolve_minority,
)
from benchmarks.suggestions import SuiteError


def make_texts(
    labels: list[int], names: tuple[str, ...] = ("art", "business", "tech")
) -> LabeledTexts:
    texts = tuple(f"text {number}" for number in range(len(labels)))
    return LabeledTexts("made", texts, np.array(labels), names, "none", "here")


def test_the_named_classes_are_put_against_the_rest() -> None:
    data = against_the_rest(make_texts([0, 1, 2, 1, 0]), ["tech", "art"])
    assert data.class_names == ("other", "tech", "art")
    assert data.labels.tolist() == [2, 0, 1, 0, 2]
    assert data.counts() == {"other": 2, "tech": 1, "art": 2}


@pytest.mark.parametrize(
    ("minority", "message"),
    [
        (["bussiness"], "Did you mean 'business'"),
        (["art", "art"], "once"),
        (["art", "business", "tech"], "leave at least one out"),
    ],
)
def test_wrong_minorities_are_explained(minority: list[str], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        against_the_rest(make_texts([0, 1, 2]), minority)


def test_a_limit_draws_the_same_texts_every_time_and_keeps_their_order() -> None:
    data = make_texts([0] * 900 + [1] * 100)
    first, second = limit_texts(data, 200), limit_texts(data, 200)
    assert first.texts == second.texts
    numbers = [int(text.split()[1]) for text in first.texts]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == 200
    assert 10 <= first.counts()["business"] <= 35, "about its natural share"
    assert limit_texts(data, None) is data
    assert limit_texts(data, 1000) is data


def test_the_fingerprint_sees_texts_labels_names_and_splits() -> None:
    base = make_texts([0, 1, 2])
    others = [
        make_texts([0, 1, 1]),
        make_texts([0, 1, 2], ("art", "business", "sports")),
        LabeledTexts("made", ("a", "b", "c"), base.labels, base.class_names, "", ""),
        LabeledTexts(
            "made",
            base.texts,
            base.labels,
            base.class_names,
            "",
            "",
            np.array([True, False, False]),
        ),
        LabeledTexts(
            "made", base.texts, base.labels, base.class_names, "", "", None, np.array([0, 0, 1])
        ),
    ]
    assert len({data.fingerprint for data in (base, *others)}) == len(others) + 1
    assert make_texts([0, 1, 2]).fingerprint == base.fingerprint


def test_texts_with_moved_boundaries_have_another_fingerprint() -> None:
    labels, names = np.array([0, 1]), ("a", "b")
    one = LabeledTexts("x", ("ab", "c"), labels, names, "", "")
    two = LabeledTexts("x", ("a", "bc"), labels, names, "", "")
    assert one.texts_fingerprint != two.texts_fingerprint


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 texts, but 1 labels"):
        LabeledTexts("x", ("a", "b"), np.array([0]), ("a",), "", "")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, ("electronics",)),
        ("all", ("electronics", "hamradio", "video")),
        (["video"], ("video",)),
        ("video", ("video",)),
    ],
)
def test_what_minority_stands_for(given: list[str] | str | None, expected: tuple[str, ...]) -> None:
    assert resolve_minority(DATASETS["debian-sections"], given) == expected


def test_all_needs_a_list_of_rare_classes() -> None:
    assert resolve_minority(DATASETS["bbc-news"], None) == ()
    with pytest.raises(SuiteError, match="name them"):
        resolve_minority(DATASETS["bbc-news"], "all")


@pytest.mark.parametrize("name", ["bbc-new", "csv:", "debian"])
def test_an_unknown_name_suggests_the_nearest(name: str) -> None:
    with pytest.raises(SuiteError, match="Did you mean"):
        dataset_spec(name)


def test_options_are_for_the_hub_only() -> None:
    with pytest.raises(SuiteError, match="revision"):
        load_texts("bbc-news", {"revision": "main"})


def test_classes_that_are_kept_are_not_drawn_from() -> None:
    labels = np.repeat([0, 1, 2], [50, 5, 3]).astype(np.int64)
    texts = tuple(map(str, range(58)))
    data = LabeledTexts("made", texts, labels, ("a", "b", "c"), "", "")
    limited = limit_texts(data, 20, keep=("b",))
    assert limited.texts == tuple(sorted(limited.texts, key=int)), "in the original order"
    assert limited.counts()["b"] == 5
    assert len(limited) == 20
    assert limit_texts(data, 5, keep=("b",)).counts() == {"a": 0, "b": 5, "c": 0}
    with pytest.raises(SuiteError, match="b, c alone has 8"):
        limit_texts(data, 7, keep=("b", "c"))


def test_rare_classes_keep_some_texts() -> None:
    data = make_texts([0] * 900 + [1] * 12 + [2] * 3)
    limited = limit_texts(data, 100, min_per_class=8)
    assert len(limited) == 100
    counts = limited.counts()
    assert counts["business"] >= 8
    assert counts["tech"] == 3
    assert set(limit_texts(data, 19, min_per_class=8).counts().values()) == {8, 3}
    with pytest.raises(SuiteError, match="max_texts is 18, but min_per_class of 8 keeps 19"):
        limit_texts(data, 18, min_per_class=8)


def test_the_given_test_set_keeps_all_wanted_texts_and_some_others() -> None:
    data = make_texts([0, 1] * 100)
    is_test = np.arange(200) >= 100
    data = replace(data, is_test=is_test)
    limited = limit_test_majority(data, 10, ["business"])
    assert limited.is_test is not None
    assert np.bincount(limited.labels[limited.is_test]).tolist() == [10, 50]
    assert np.bincount(limited.labels[~limited.is_test]).tolist() == [50, 50]
    assert limited.texts == limit_test_majority(data, 10, ["business"]).texts
    assert limit_test_majority(data, None, ["business"]) is data
    assert limit_test_majority(data, 50, ["business"]) is data
    with pytest.raises(SuiteError, match="max_test_majority is 5, but the test set is drawn"):
        limit_test_majority(make_texts([0, 1]), 5, ["business"])

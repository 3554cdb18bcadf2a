from __future__ import annotations

import numpy as np
import pytest
from small_text import TextDataset

from benchmarks.datasets import LabeledTexts
from benchmarks.perf.contestants import Sides
from benchmarks.perf.finetuned import (
    RoundTiming,
    TextPool,
    TimedClassifier,
    make_text_pool,
    measure_rounds,
    round_table,
    round_targets,
)
from small_text_ext.pool.vectors import unit_rows

POOL_SIZE, HOST_TEXTS = 10_300, 1_000


@pytest.fixture(scope="module")
def pool(sample: LabeledTexts) -> TextPool:
    vectors = unit_rows(np.random.default_rng(0).normal(size=(len(sample), 16)))
    return make_text_pool(sample, vectors.astype(np.float32), POOL_SIZE)


@pytest.fixture(scope="module")
def timings(sides: Sides, pool: TextPool) -> dict[str, RoundTiming]:
    return measure_rounds(sides, pool, HOST_TEXTS, 2, lambda message: None)


def test_a_pool_begins_with_the_texts_as_they_are(pool: TextPool, sample: LabeledTexts) -> None:
    assert sorted(pool.texts.texts[: len(sample)]) == sorted(sample.texts)
    assert len(pool.texts) == len(pool.vectors) == POOL_SIZE
    assert pool.num_labeled == 100
    assert len(pool.labeled()) == 100


def test_made_texts_are_of_real_words_about_as_long_and_seldom_equal(
    pool: TextPool, sample: LabeledTexts
) -> None:
    words = {word for text in sample.texts for word in text.split()}
    made = pool.texts.texts[len(sample) :]
    assert {word for text in made for word in text.split()} <= words
    real_length = np.mean([len(text.split()) for text in sample.texts])
    assert np.mean([len(text.split()) for text in made]) == pytest.approx(real_length, rel=0.1)
    # There are no more than 96 x 96 pairs.
    assert len(set(made)) > 0.6 * len(sample) ** 2


def test_vectors_of_made_texts_are_unit_rows(pool: TextPool) -> None:
    assert pool.vectors.dtype == np.float32
    assert np.linalg.norm(pool.vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_a_small_pool_has_real_texts_only(sample: LabeledTexts) -> None:
    small = make_text_pool(sample, np.ones((len(sample), 2), dtype=np.float32), 50)
    assert set(small.texts.texts) <= set(sample.texts)
    assert small.num_labeled == 5


def test_ours_scores_a_subpool_and_the_host_everything(
    timings: dict[str, RoundTiming], sides: Sides
) -> None:
    assert set(timings) == {*sides.ours, "host"}
    for precision in sides.ours:
        # 10 anchors of each of five classes, 50 neighbours of each, and 100 labelled texts.
        assert 100 + 50 <= timings[precision].num_scored <= 100 + 5 * 10 * 50
        assert timings[precision].embedding == [0.0, 0.0]
    assert timings["host"].num_scored == HOST_TEXTS
    assert min(timings["host"].embedding) > 0


def test_the_passes_are_part_of_the_query(timings: dict[str, RoundTiming]) -> None:
    for timing in timings.values():
        assert len(timing.queries) == 2
        assert min(timing.scoring) > 0
        assert min(timing.rest()) > 0


def _timing(name: str, num_texts: int, query: float, scoring: float) -> RoundTiming:
    return RoundTiming(name, num_texts, 50, [query], [1.0], [scoring])


def test_the_rest_is_what_no_pass_takes() -> None:
    assert _timing("a", 100, 10.0, 6.0).rest() == [3.0]


def test_an_extrapolation_is_linear_and_says_what_it_is() -> None:
    larger = _timing("AnchorSubsampling", 100, 10.0, 6.0).extrapolated(1000)
    assert larger.name == "AnchorSubsampling, EXTRAPOLATED from 100 texts"
    assert (larger.num_texts, larger.num_scored) == (1000, 500)
    assert (larger.queries, larger.embedding, larger.scoring) == ([100.0], [10.0], [60.0])


def test_targets_are_the_rest_and_the_extrapolated_ratio() -> None:
    timings = {
        "float32": _timing("AnchorAL", 1000, 8.5, 7.0),
        "host": _timing("AnchorSubsampling", 100, 17.0, 6.0),
    }
    rest, ratio = round_targets(timings)
    assert (rest.values, rest.at_most, rest.met) == ((0.5,), 1.0, True)
    assert (ratio.values, ratio.met) == ((20.0,), None)
    assert "EXTRAPOLATED" in ratio.measure


def test_the_table_has_the_extrapolation_beside_what_was_measured() -> None:
    timings = {
        "float32": _timing("AnchorAL", 1000, 8.5, 7.0),
        "host": _timing("AnchorSubsampling", 100, 17.0, 6.0),
    }
    names = list(round_table(timings).columns[0].cells)
    assert names == [
        "AnchorAL",
        "AnchorSubsampling",
        "AnchorSubsampling, EXTRAPOLATED from 100 texts",
    ]


def test_a_timed_classifier_answers_as_the_one_it_asks(sides: Sides) -> None:
    classifier = sides.ours["float32"]
    texts = TextDataset(["a match", "the bank", "a vote"], np.zeros(3, int), target_labels=[0, 1])
    timed = TimedClassifier(classifier)
    assert timed.num_classes == classifier.num_classes
    assert np.array_equal(timed.predict_proba(texts), classifier.predict_proba(texts))
    assert np.array_equal(timed.predict(texts), classifier.predict(texts))
    assert timed.num_scored == 3
    assert timed.scoring > 0
    assert timed.embedding == 0
    assert timed.embed(texts).shape == classifier.embed(texts).shape
    assert timed.embedding > 0

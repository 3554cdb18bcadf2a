from __future__ import annotations

import logging
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.classifiers import build_factory
from benchmarks.noise import (
    DETECTORS,
    RECOMMENDED,
    Detection,
    NoiseResult,
    NoiseSettings,
    NoiseTask,
    detect_noise,
    flip_labels,
    flip_some_labels,
    last_probabilities,
    later_epochs,
)
from benchmarks.results import ClassifierRecord
from small_text_ext.classifiers.crossfit import (
    crossfit_dynamics,
    default_factory,
    find_label_noise,
)
from small_text_ext.training.dynamics import TrainingDynamics

pytest.importorskip("cleanlab")

SETTINGS = NoiseSettings(noise=0.1, num_folds=3, num_repeats=2)
MLP = ClassifierRecord(id="mlp", kind="mlp")
LOGISTIC = ClassifierRecord(id="logistic", kind="sklearn:LogisticRegression")


def points(labels: NDArray[np.int64]) -> Any:  # noqa: ANN401 - a small-text dataset
    from small_text import SklearnDataset

    rows = np.random.default_rng(3).normal(size=(len(labels), 8))
    rows[np.arange(len(labels)), np.arange(len(labels)) % 3] += 2.5
    return SklearnDataset(rows.astype(np.float32), labels, target_labels=np.arange(3))


TRUTH = np.arange(240) % 3
NOISY, FLIPPED = flip_labels(TRUTH, 3, SETTINGS.noise, seed=5)


def task(classifier: ClassifierRecord) -> NoiseTask:
    factory = build_factory(classifier, 3, seed=1)
    return NoiseTask(SETTINGS, factory, points(NOISY), points(NOISY), FLIPPED, seed=9)


@pytest.fixture(scope="module")
def found() -> NoiseResult:
    return detect_noise(task(MLP))


def find(found: NoiseResult, name: str) -> Detection:
    return next(each for each in found.detections if each.name == name)


@pytest.mark.parametrize("noise", [0.004, 0.1, 0.4])
def test_flips_are_exact_wrong_and_nested(noise: float) -> None:
    labels, flipped = flip_labels(TRUTH, 3, noise, seed=5)
    assert flipped.sum() == max(1, round(noise * 240))
    assert (labels[flipped] != TRUTH[flipped]).all()
    assert (labels[~flipped] == TRUTH[~flipped]).all()
    more, and_further = flip_labels(TRUTH, 3, noise * 2, seed=5)
    assert (and_further | ~flipped).all()
    assert (more[flipped] == labels[flipped]).all()
    assert (flip_labels(TRUTH, 3, noise, seed=6)[1] != flipped).any()


def test_flips_go_to_every_other_class_alike() -> None:
    labels, flipped = flip_labels(np.zeros(9_000, dtype=np.int64), 4, 0.5, seed=0)
    shares = np.bincount(labels[flipped], minlength=4) / flipped.sum()
    assert shares[0] == 0.0
    assert shares[1:] == pytest.approx(np.full(3, 1 / 3), abs=0.03)


def test_every_detector_finds_what_was_flipped(found: NoiseResult) -> None:
    assert [each.name for each in found.detections] == list(DETECTORS)
    assert found.notes == ()
    metrics = found.metrics(FLIPPED)
    for name in DETECTORS:
        score = metrics[f"noise_ap.{name}"]
        assert score is not None
        assert score > 0.6, name
    suspected = find(found, "head").suspected
    assert suspected is not None
    assert metrics["noise_recall.head"] == pytest.approx((suspected & FLIPPED).sum() / 24)
    assert "noise_recall.head-cleanlab-self-confidence" not in metrics
    assert "noise_precision.head-cleanlab-issues" in metrics


def test_the_paper_s_detector_ranks_as_confidence_does(found: NoiseResult) -> None:
    orders = [np.argsort(-find(found, n).scores) for n in ("in-sample", "in-sample-logistic")]
    assert (orders[0] == orders[1]).all()


def test_the_head_and_its_folds_are_those_of_find_label_noise(found: NoiseResult) -> None:
    for name, repeats in (("head-last", 1), (RECOMMENDED, 2)):
        table = find_label_noise(points(NOISY), num_folds=3, num_repeats=repeats, seed=9)
        scores = table.sort_values("index")["score"].to_numpy()
        assert find(found, name).scores == pytest.approx(scores, abs=1e-6)


def test_cleanlab_judges_the_last_epoch_of_the_same_fits(found: NoiseResult) -> None:
    from cleanlab.rank import get_label_quality_scores

    data_set = points(NOISY)
    dynamics = crossfit_dynamics(default_factory(data_set), data_set, 3, seed=9)
    probabilities = last_probabilities(dynamics)
    own = probabilities[np.arange(240), NOISY]
    assert find(found, "head-cleanlab-self-confidence").scores == pytest.approx(-own)
    margin = get_label_quality_scores(NOISY, probabilities, method="normalized_margin")
    assert find(found, "head-cleanlab-normalized-margin").scores == pytest.approx(-margin)
    issues = find(found, "head-cleanlab-issues")
    assert issues.suspected is not None
    assert issues.scores[issues.suspected].min() > issues.scores[~issues.suspected].max()


def test_repeats_are_averaged_after_their_last_epochs() -> None:
    logits = np.random.default_rng(0).normal(size=(6, 5, 2))
    dynamics = TrainingDynamics.from_logits(logits, np.zeros(5, dtype=int))
    halves = [
        last_probabilities(TrainingDynamics.from_logits(part, np.zeros(5, dtype=int)))
        for part in (logits[:3], logits[3:])
    ]
    assert last_probabilities(dynamics, 2) == pytest.approx(np.mean(halves, axis=0))


def test_the_default_ranks_as_cleanlab_s_self_confidence_does(found: NoiseResult) -> None:
    ours = find(found, RECOMMENDED).scores
    theirs = find(found, "head-repeated-cleanlab-self-confidence").scores
    assert ours - 1 == pytest.approx(theirs, abs=1e-6)


def test_of_every_repeat_the_later_half_is_kept() -> None:
    logits = np.arange(10.0)[:, None, None] * np.ones((10, 3, 2))
    dynamics = TrainingDynamics.from_logits(logits, np.zeros(3, dtype=int))
    assert later_epochs(dynamics, 2).logits[:, 0, 0].tolist() == [2, 3, 4, 7, 8, 9]
    assert later_epochs(dynamics).logits[:, 0, 0].tolist() == [5, 6, 7, 8, 9]
    assert later_epochs(dynamics, 2, 0.95).logits[:, 0, 0].tolist() == [4, 9]


def test_fits_are_shared_and_every_row_counts_those_it_needs(found: NoiseResult) -> None:
    seconds = found.seconds()
    head, repeated = seconds["noise.head"], seconds["noise.head-repeated"]
    assert repeated == pytest.approx(2 * head)
    assert seconds["noise.head-cleanlab-issues"] == head
    own = seconds["noise.in-sample-logistic"] + seconds["noise.crossfit"]
    assert seconds["noise.in-sample"] < seconds["noise.in-sample-logistic"]
    assert seconds["fit"] == pytest.approx(own + repeated)
    assert min(seconds.values()) >= 0


def test_each_fit_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from small_text_ext.classifiers.mlp import MLPClassification

    fits: list[int] = []
    original = MLPClassification.fit

    def spy(self: Any, train_set: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        fits.append(len(train_set))
        return original(self, train_set, *args, **kwargs)

    monkeypatch.setattr(MLPClassification, "fit", spy)
    detect_noise(task(MLP))
    assert sorted(fits) == [160] * (3 + 2 * 3) + [240] * 2


def test_what_a_classifier_cannot_tell_is_left_out_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger="benchmarks.noise"):
        result = detect_noise(task(LOGISTIC))
    assert {each.name.split("-")[0] for each in result.detections} == {"head"}
    assert len(result.detections) == 12
    (note,) = result.notes
    assert "in-sample and crossfit detectors are left out" in note
    assert note in caplog.text


def test_without_cleanlab_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from small_text_ext._extras import MissingExtraError

    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    with pytest.raises(MissingExtraError, match="bench"):
        detect_noise(task(MLP))


def test_a_detector_that_calls_nothing_wrong_has_no_precision() -> None:
    nothing = Detection("head", np.arange(4.0), np.zeros(4, dtype=bool), 1.0, 0.0)
    metrics = NoiseResult((nothing,), 1.0).metrics(np.array([False, False, True, True]))
    assert metrics == {
        "noise_ap.head": 1.0,
        "noise_precision.head": None,
        "noise_recall.head": 0.0,
        "noise_f1.head": 0.0,
    }


@pytest.mark.parametrize(
    "options", [{"noise": 0.0}, {"noise": 0.1, "num_folds": 1}, {"noise": 0.1, "num_repeats": 0}]
)
def test_settings_out_of_range_name_the_argument(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=list(options)[-1]):
        NoiseSettings(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": 0.01, "among": "hard"}, "among is 'hard'"),
        ({"noise": 0.5, "among": "easy"}, "noise is 0.5, and the easiest texts are a third"),
    ],
)
def test_which_labels_are_flipped_is_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NoiseSettings(**options)


def test_labels_of_easy_texts_are_flipped_after_a_fit_on_the_true_ones() -> None:
    from small_text_ext.classifiers.crossfit import fit_dynamics

    true = task(MLP)
    kinds: tuple[Literal["easy", "all"], ...] = ("easy", "all")
    easy, everywhere = (
        flip_some_labels(
            NoiseSettings(noise=0.1, among=among), true.factory, true.train_set, 3, seed=4
        )
        for among in kinds
    )
    wrong = np.flatnonzero(easy[1])
    labels = np.asarray(true.train_set.y)
    assert (easy[0] != labels)[wrong].all()
    assert (easy[0] == labels)[~easy[1]].all()
    easiest = fit_dynamics(true.factory, true.train_set).regions(fraction=1 / 3)["easy"]
    assert np.isin(wrong, easiest).all()
    assert len(wrong) == round(0.1 * len(labels))
    assert not np.isin(np.flatnonzero(everywhere[1]), easiest).all()

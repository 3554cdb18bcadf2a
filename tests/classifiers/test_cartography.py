"""What is kept of a training set by its map, and the queue of labels to look at again."""

from __future__ import annotations

import logging
from typing import Any

import dill
import numpy as np
import pytest
from scipy.sparse import csr_matrix
from small_text import LeastConfidence, PoolBasedActiveLearner, RandomSampling, SklearnDataset

from small_text_ext import MLPClassification, MLPClassificationFactory, MLPModelArguments
from small_text_ext.classifiers.cartography import (
    CartographyClassification,
    CartographyClassificationFactory,
    noise_queue,
)
from small_text_ext.classifiers.crossfit import fit_dynamics
from small_text_ext.training.dynamics import DynamicsRecorder
from small_text_ext.training.seams import BatchSelector
from tests.classifiers.test_crossfit import factory, planted

MORE = "raise fraction"


def fitted(keep: Any = "ambiguous", fraction: float = 0.5, **options: Any) -> Any:  # noqa: ANN401
    train_set, _ = planted()
    return CartographyClassification(factory(), keep, fraction, seed=0, **options).fit(train_set)


@pytest.mark.parametrize("keep", ["ambiguous", "hard", "easy"])
def test_keeps_the_region_that_was_asked_for(keep: str) -> None:
    clf = fitted(keep)
    metrics = clf.dynamics_.metrics()
    assert len(clf.kept_) == round(0.5 * 240)
    assert (np.diff(clf.kept_) > 0).all()
    column = "variability" if keep == "ambiguous" else "confidence"
    values, kept = metrics[column].to_numpy(), np.isin(np.arange(240), clf.kept_)
    if keep == "hard":
        assert values[kept].max() <= values[~kept].min()
    else:
        assert values[kept].min() >= values[~kept].max()


def test_the_map_is_that_of_a_fit_on_everything() -> None:
    train_set, _ = planted()
    clf = fitted()
    expected = fit_dynamics(factory(), train_set)
    np.testing.assert_array_equal(clf.dynamics_.logits, expected.logits)


def test_predicts_as_a_classifier_fitted_on_what_was_kept() -> None:
    train_set, _ = planted()
    clf = fitted("easy", 0.6)
    alone = factory().new().fit(train_set[clf.kept_])
    np.testing.assert_array_equal(clf.predict_proba(train_set), alone.predict_proba(train_set))
    np.testing.assert_array_equal(clf.predict(train_set), alone.predict(train_set))
    vectors, proba = clf.embed(train_set, return_proba=True)
    np.testing.assert_array_equal(vectors, alone.embed(train_set))
    np.testing.assert_array_equal(proba, alone.predict_proba(train_set))


def test_clean_drops_what_is_suspected() -> None:
    _, wrong = planted()
    clf = fitted("clean", crossfit=4)
    dropped = np.setdiff1d(np.arange(240), clf.kept_)
    table = clf.suspected_noise()
    assert sorted(dropped) == sorted(table.loc[table["suspected"], "index"])
    assert wrong[dropped].mean() > 0.6
    assert wrong[clf.kept_].mean() < 0.03


def test_clean_is_better_than_dirty_under_much_noise() -> None:
    dirty, _ = planted(150, noise=0.35)
    test_set, _ = planted(600, noise=0.0, seed=5)
    base = factory(hidden=64, num_epochs=60)
    plain = base.new().fit(dirty)
    clean = CartographyClassification(base, "clean", crossfit=5, seed=0).fit(dirty)
    right = [(clf.predict(test_set) == test_set.y).mean() for clf in (clean, plain)]
    assert right[0] > right[1]


@pytest.mark.parametrize(
    ("fraction", "easy_mix", "expected"),
    [(0.2, None, 5), (0.25, None, 0), (0.5, 0.25, 30), (0.2, 0.0, 0)],
)
def test_easy_items_are_mixed_in_where_the_paper_needs_them(
    fraction: float, easy_mix: float | None, expected: int
) -> None:
    clf = fitted("hard", fraction, easy_mix=easy_mix)
    number = round(fraction * 240)
    regions = clf.dynamics_.regions(fraction=1.0)
    assert clf.fallback_reason_ is None
    assert len(clf.kept_) == number
    easy = np.isin(regions["easy"][:expected], clf.kept_)
    assert easy.all()
    assert set(regions["hard"][: number - expected]) <= set(clf.kept_.tolist())


def test_random_has_the_size_of_the_others_and_follows_its_seed() -> None:
    first, again = fitted("random").kept_, fitted("random").kept_
    assert first.tolist() == again.tolist()
    assert len(first) == 120
    train_set, _ = planted()
    other = CartographyClassification(factory(), "random", 0.5, seed=9).fit(train_set)
    assert other.kept_ is not None
    assert other.kept_.tolist() != first.tolist()


def test_everything_is_kept_where_a_class_would_be_lost(caplog: pytest.LogCaptureFixture) -> None:
    train_set, _ = planted(60)
    labels = np.arange(60) % 2
    labels[20] = 2
    train_set.y = labels
    clf = CartographyClassification(factory(), "easy", 0.5, seed=0)
    with caplog.at_level(logging.INFO, logger="small_text_ext"):
        clf.fit(train_set)
    assert clf.kept_ is not None
    assert clf.kept_.tolist() == list(range(60))
    assert clf.fallback_reason_ is not None
    assert "lose class 2" in clf.fallback_reason_
    assert "Training on all 60 items" in caplog.text
    assert MORE in caplog.text


def test_a_class_that_was_never_there_is_not_missed() -> None:
    train_set, _ = planted(60, noise=0.0)
    train_set.y = np.where(train_set.y == 2, 0, train_set.y)
    clf = CartographyClassification(factory(), "ambiguous", 0.5, seed=0).fit(train_set)
    assert clf.fallback_reason_ is None


def test_multi_label_keeps_its_labels() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, size=(80, 3))
    x = (truth + rng.normal(scale=0.3, size=(80, 3))).astype(np.float32)
    train_set = SklearnDataset(x, csr_matrix(truth), target_labels=np.arange(3))
    clf = CartographyClassification(factory(multi_label=True), "ambiguous", 0.4, seed=0)
    clf.fit(train_set)
    assert clf.kept_ is not None
    assert len(clf.kept_) == 32
    assert clf.predict(train_set).shape == (80, 3)


def test_sample_weights_go_with_what_is_kept() -> None:
    train_set, _ = planted()
    weights = np.linspace(1, 4, 240)
    clf = CartographyClassification(factory(), "ambiguous", 0.5, seed=0)
    clf.fit(train_set, weights=weights)
    assert clf.kept_ is not None
    alone = factory().new().fit(train_set[clf.kept_], weights=weights[clf.kept_])
    np.testing.assert_array_equal(clf.predict_proba(train_set), alone.predict_proba(train_set))


def test_the_validation_set_is_the_final_fits() -> None:
    train_set, _ = planted()
    validation_set, _ = planted(60, seed=7)
    clf = CartographyClassification(factory(), "ambiguous", 0.5, seed=0)
    clf.fit(train_set, validation_set)
    history: Any = clf.classifier_.history_  # type: ignore[union-attr]
    assert len(history.validation_losses) > 0
    assert clf.dynamics_ is not None
    assert len(clf.dynamics_) == 240


def test_a_base_that_splits_off_a_validation_set_is_mapped_whole() -> None:
    train_set, _ = planted()
    clf = CartographyClassification(factory(validation_set_size=0.2), "hard", 0.5, seed=0)
    clf.fit(train_set)
    assert clf.dynamics_ is not None
    assert clf.dynamics_.ids.tolist() == list(range(240))


def test_fitted_again_the_final_classifier_goes_on() -> None:
    train_set, _ = planted()
    clf = fitted()
    before = clf.classifier_
    clf.fit(train_set)
    assert clf.classifier_ is before


def test_burn_out_maps_the_first_epochs() -> None:
    clf = fitted("hard", 0.5, burn_out=1)
    expected = np.sort(clf.dynamics_.regions(0.5, burn_out=1)["hard"])
    assert clf.kept_.tolist() == expected.tolist()


def test_travels_with_its_map() -> None:
    train_set, _ = planted()
    clf = fitted(crossfit=3)
    restored = dill.loads(dill.dumps(clf))
    np.testing.assert_array_equal(restored.predict_proba(train_set), clf.predict_proba(train_set))
    assert restored.suspected_noise().equals(clf.suspected_noise())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": "best"}, "keep is 'best'"),
        ({"fraction": 0.0}, "fraction is 0.0"),
        ({"easy_mix": 1.0}, "easy_mix is 1.0"),
        ({"crossfit": 1}, "crossfit is 1"),
        ({"crossfit": 0}, "crossfit is 0"),
        ({"burn_out": 0}, "burn_out is 0"),
        ({"observe": "never"}, "observe is 'never'"),
    ],
)
def test_options_out_of_range_are_named_when_the_factory_is_made(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        CartographyClassificationFactory(factory(), **options)


def test_weights_are_those_of_the_map_too() -> None:
    train_set, _ = planted()
    weights = np.where(train_set.y == 0, 30.0, 1.0)
    for crossfit in (None, 3):
        plain, weighted = (
            CartographyClassification(factory(), "ambiguous", 0.5, crossfit=crossfit, seed=0).fit(
                train_set, weights=given
            )
            for given in (None, weights)
        )
        assert plain.dynamics_ is not None
        assert weighted.dynamics_ is not None
        of_zero = [clf.dynamics_.mean_probabilities()[:, 0].mean() for clf in (weighted, plain)]  # type: ignore[union-attr]
        assert of_zero[0] > of_zero[1] + 0.05


def test_burn_out_keeps_what_is_known_by_heart_from_hiding_noise() -> None:
    train_set, wrong = planted(200, noise=0.15)
    base = factory(hidden=256, num_epochs=300, lr=2.0, weight_decay=0.0)
    late = CartographyClassification(base, "clean", seed=0).fit(train_set)
    early = CartographyClassification(base, "clean", burn_out=5, seed=0).fit(train_set)
    assert early.dynamics_ is not None
    assert early.dynamics_.num_epochs == 5
    dropped = [np.setdiff1d(np.arange(200), np.asarray(clf.kept_)) for clf in (early, late)]
    assert wrong[dropped[0]].sum() > 2 * max(wrong[dropped[1]].sum(), 5)


def test_a_recorder_in_the_base_is_refused_when_the_factory_is_made() -> None:
    with pytest.raises(ValueError, match="have a recorder"):
        CartographyClassificationFactory(factory(recorder=DynamicsRecorder()))


def test_options_of_the_final_fit_are_handed_on() -> None:
    from small_text_ext import TransformerClassificationFactory
    from tests.classifiers import texts
    from tests.tiny_models import checkpoint

    options = {"num_epochs": 1, "batch_size": 8, "seed": 0, "show_progress": False}
    base: Any = TransformerClassificationFactory(checkpoint("bert", 3), 3, options)
    clf = CartographyClassification(base, "random", 0.9, seed=0)
    clf.fit(texts.single(24), early_stopping="none")
    with pytest.raises(TypeError, match="stop_early"):
        clf.fit(texts.single(24), stop_early=True)


def test_the_queue_is_that_of_the_present_labels() -> None:
    made = CartographyClassificationFactory(factory(), crossfit=5, fraction=0.5, seed=0)
    pool, _ = planted(300)
    learner = PoolBasedActiveLearner(made, RandomSampling(), pool)
    learner.initialize(np.arange(100, 200), indices_validation=np.arange(20))
    with pytest.raises(ValueError, match="indices_validation"):
        noise_queue(learner)
    learner, _ = learner_with(made)
    learner.remove_label_at(int(learner.indices_labeled[0]))
    with pytest.raises(ValueError, match="retrain=True"):
        noise_queue(learner)


def test_unfitted_is_said() -> None:
    clf = CartographyClassification(factory())
    for call in (clf.suspected_noise, lambda: clf.predict(planted()[0])):
        with pytest.raises(ValueError, match="is not fitted: call fit first"):
            call()


def learner_with(classifiers: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Return a learner of 120 labels, and the eight of them that are wrong."""
    pool, _ = planted(300, noise=0.0)
    learner = PoolBasedActiveLearner(classifiers, RandomSampling(), pool)
    labeled = np.random.default_rng(1).permutation(300)[:120]
    labels = pool.y[labeled].copy()
    mistakes = labeled[:8]
    labels[np.isin(labeled, mistakes)] = (labels[np.isin(labeled, mistakes)] + 1) % 3
    learner.dataset.y[labeled] = labels
    learner.initialize(labeled)
    return learner, mistakes


def test_the_queue_finds_wrong_labels_of_a_learner() -> None:
    made = CartographyClassificationFactory(factory(), crossfit=5, fraction=0.5, seed=0)
    learner, mistakes = learner_with(made)
    queue = noise_queue(learner)
    assert set(mistakes.tolist()) <= set(queue.tolist())
    assert np.isin(queue[: len(mistakes)], mistakes).mean() > 0.8
    assert noise_queue(learner, n=3).tolist() == queue[:3].tolist()
    everything = noise_queue(learner, n=120)
    assert sorted(everything.tolist()) == sorted(learner.indices_labeled.tolist())
    for index in queue[:8]:
        learner.update_label_at(index, planted(300, noise=0.0)[0].y[index])
    learner.update_label_at(int(queue[0]), int(learner.y[0]), retrain=True)
    assert len(noise_queue(learner)) < len(queue)


def test_the_queue_works_with_a_recorder_alone() -> None:
    made = MLPClassificationFactory(
        MLPModelArguments(), 3, {"recorder": DynamicsRecorder(), "num_epochs": 5, "seed": 0}
    )
    learner, mistakes = learner_with(made)
    assert np.isin(noise_queue(learner, n=8), mistakes).mean() > 0.6


def test_the_queue_needs_a_map() -> None:
    learner, _ = learner_with(factory())
    with pytest.raises(TypeError, match="DynamicsRecorder"):
        noise_queue(learner)
    with pytest.raises(ValueError, match="n is 0"):
        noise_queue(learner, n=0)


def test_rounds_of_a_learner() -> None:
    pool, _ = planted(300)
    made = CartographyClassificationFactory(factory(), keep="ambiguous", seed=0)
    learner = PoolBasedActiveLearner(made, LeastConfidence(), pool)
    learner.initialize(np.arange(40))
    for _ in range(3):
        learner.update(pool.y[learner.query(num_samples=10)])
    assert len(learner.classifier.dynamics_) == 70
    assert learner.classifier.dynamics_.labels.tolist() == learner.y.tolist()


def test_selectors_of_the_base_stay() -> None:
    from small_text_ext.training.seams import UniformSelector

    selector: BatchSelector = UniformSelector(64)
    base = factory(batch_selector=selector)
    train_set, _ = planted()
    clf = CartographyClassification(base, "hard", 0.5, observe="epoch_end", seed=0).fit(train_set)
    assert isinstance(clf.classifier_, MLPClassification)
    assert clf.classifier_.batch_selector is selector

"""Sources of irreducible losses, and classifiers that train by them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from small_text import (
    LeastConfidence,
    PoolBasedActiveLearner,
    SklearnClassifierFactory,
    SklearnDataset,
)

from small_text_ext import (
    MLPClassification,
    MLPClassificationFactory,
    MLPModelArguments,
    TextPairDataset,
    TransformerClassificationFactory,
)
from small_text_ext.classifiers.crossfit import deal_folds
from small_text_ext.classifiers.reducible_loss import (
    CrossFitIrreducibleLoss,
    HoldOutIrreducibleLoss,
    KnownIrreducibleLoss,
    ReducibleLossClassification,
    ReducibleLossClassificationFactory,
)
from small_text_ext.training.irreducible_loss import IrreducibleLosses, item_keys
from small_text_ext.training.seams import UniformSelector
from tests.classifiers import texts
from tests.classifiers.test_crossfit import dataset, planted
from tests.tiny_models import checkpoint


def base(**options: Any) -> MLPClassificationFactory:  # noqa: ANN401
    given = {"num_epochs": 5, "batch_size": 8, "seed": 0, **options}
    return MLPClassificationFactory(MLPModelArguments(), 3, given)


class OddWords:
    """Turns topical texts into vectors: how often each letter occurs."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, items: list[str]) -> np.ndarray[Any, Any]:
        self.calls.append(len(items))
        return np.array([[item.count(c) / 10 for c in "abcdefghijklmnopqrst"] for item in items])


def test_wrong_labels_are_irreducible_out_of_fold() -> None:
    train_set, wrong = planted(noise=0.1)
    losses = CrossFitIrreducibleLoss().losses(train_set, train_set.y, seed=0).losses
    assert losses[wrong].min() > np.median(losses[~wrong])
    assert losses[wrong].mean() > 4 * losses[~wrong].mean()


def test_out_of_fold_is_what_a_model_of_the_other_folds_says() -> None:
    train_set, _ = planted(60)
    source = CrossFitIrreducibleLoss(base(), num_folds=3, temperature=1.0)
    given = source.losses(train_set, train_set.y, seed=4).losses
    from small_text_ext._random import derived_generator

    folds = deal_folds(train_set.y, 3, derived_generator(4, 22))
    for fold in range(3):
        inside = np.flatnonzero(folds == fold)
        clf = base().new().fit(train_set[np.flatnonzero(folds != fold)])
        proba = clf.predict_proba(train_set[inside])[np.arange(len(inside)), train_set.y[inside]]
        np.testing.assert_allclose(given[inside], -np.log(np.maximum(proba, 1e-3)), atol=1e-6)


def test_the_hosts_classifiers_can_judge_too() -> None:
    train_set, wrong = planted(noise=0.1)
    factory = SklearnClassifierFactory(LogisticRegression(max_iter=200), 3)
    losses = CrossFitIrreducibleLoss(factory).losses(train_set, train_set.y, seed=0).losses
    assert losses[wrong].mean() > 3 * losses[~wrong].mean()


def test_a_fold_of_one_class_is_judged_without_a_fit() -> None:
    train_set, _ = planted(40, noise=0.0)
    labels = np.zeros(40, dtype=np.int64)
    labels[7] = 1
    train_set.y = labels
    factory = SklearnClassifierFactory(LogisticRegression(max_iter=200), 3)
    losses = CrossFitIrreducibleLoss(factory).losses(train_set, labels, seed=0).losses
    assert losses[7] == 0
    assert np.isfinite(losses).all()
    alone = train_set[np.flatnonzero(labels == 0)]
    certain = CrossFitIrreducibleLoss(factory).judge(alone, train_set, 3)
    assert certain.tolist() == [[1.0, 0.0, 0.0]] * 40


def test_sparse_vectors_are_refused() -> None:
    x = csr_matrix(np.eye(6, dtype=np.float32))
    train_set = SklearnDataset(x, np.arange(6) % 2, target_labels=np.arange(2))
    with pytest.raises(TypeError, match="sparse matrix: pass dense ones"):
        CrossFitIrreducibleLoss().losses(train_set, train_set.y, seed=0)


def test_a_class_that_lies_in_one_fold_is_trained_or_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    train_set, _ = planted(60, noise=0.0)
    labels = np.where(train_set.y == 2, 0, train_set.y)
    labels[7] = 2
    train_set.y = labels
    with caplog.at_level(logging.WARNING, logger="small_text_ext"):
        losses = CrossFitIrreducibleLoss().losses(train_set, labels, seed=0).losses
    assert losses[7] == 0
    assert "Item 7 is of a class that no other fold holds (1 such items)" in caplog.text
    with pytest.raises(ValueError, match="Item 7 is of a class that no other fold holds"):
        CrossFitIrreducibleLoss(absent="raise").losses(train_set, labels, seed=0)
    with pytest.raises(ValueError, match="one item"):
        CrossFitIrreducibleLoss().losses(train_set[[0]], labels[:1], seed=0)


def test_texts_are_judged_on_their_vectors_once() -> None:
    train_set, encode = texts.single(60), OddWords()
    source = CrossFitIrreducibleLoss(vectors=encode)
    first = source.losses(train_set, train_set.y, seed=0)
    distinct = len(set(train_set.x))
    assert encode.calls == [distinct]
    source.losses(train_set, train_set.y, seed=0)
    grown = texts.single(70)
    source.losses(grown, grown.y, seed=0)
    assert sum(encode.calls) == len({*train_set.x, *grown.x})
    assert first.keys == item_keys(train_set.x)
    with pytest.raises(TypeError, match="pass vectors"):
        CrossFitIrreducibleLoss().losses(train_set, train_set.y, seed=0)


def test_a_hold_out_set_judges_the_training_set() -> None:
    train_set, wrong = planted(120, noise=0.15)
    held, _ = planted(120, noise=0.0, seed=8)
    source = HoldOutIrreducibleLoss(held)
    losses = source.losses(train_set, train_set.y, seed=0).losses
    assert losses[wrong].min() > losses[~wrong].mean()
    assert source.trained_rows(train_set, train_set.y, 0).tolist() == list(range(120))


def test_a_share_that_is_split_off_is_not_trained() -> None:
    train_set, _ = planted(100)
    source = HoldOutIrreducibleLoss(0.25)
    rows = source.trained_rows(train_set, train_set.y, 3)
    assert len(rows) == 75
    left = np.setdiff1d(np.arange(100), rows)
    assert set(train_set.y[left].tolist()) == {0, 1, 2}
    losses = source.losses(train_set, train_set.y, 3)
    assert losses.keys == item_keys(np.asarray(train_set.x)[rows])
    clf = ReducibleLossClassification(base(), source, selected_fraction=0.5, seed=3)
    clf.fit(train_set)
    assert clf.irreducible_losses_ is not None
    assert len(clf.irreducible_losses_) == 75
    assert clf.selection_log_ is not None
    assert clf.selection_log_["num_candidates"].sum() == 5 * 75


def test_of_a_single_item_nothing_is_split_off() -> None:
    train_set, _ = planted(101, noise=0.0)
    labels = train_set.y % 2
    labels[100] = 2
    train_set.y = labels
    source = HoldOutIrreducibleLoss(0.25)
    for seed in range(12):
        rows = source.trained_rows(train_set, labels, seed)
        assert 100 in rows
        assert len(rows) in (76, 77)
        with pytest.raises(ValueError, match=r"no item of the class of item 100, 2 \(1 such"):
            source.losses(train_set, labels, seed)


def test_a_hold_out_model_chooses_its_epoch_on_the_training_set() -> None:
    train_set, _ = planted(60)
    held, _ = planted(60, seed=8)
    seen: list[Any] = []

    class Watched(MLPClassification):
        def fit(self, train_set: Any, validation_set: Any = None, weights: Any = None) -> Any:  # noqa: ANN401
            seen.append(validation_set)
            return super().fit(train_set, validation_set, weights)

    factory = base()
    factory.new = lambda: Watched(MLPModelArguments(), 3, num_epochs=2, seed=0)  # type: ignore[method-assign]
    HoldOutIrreducibleLoss(held, factory).losses(train_set, train_set.y, seed=0)
    HoldOutIrreducibleLoss(held, factory, validate=False).losses(train_set, train_set.y, seed=0)
    assert seen[0] is not None
    assert len(seen[0]) == 60
    assert seen[1] is None


def test_a_hold_out_set_that_overlaps_or_lacks_a_class_is_refused() -> None:
    train_set, _ = planted(60)
    with pytest.raises(ValueError, match=r"Item 3 .* is in the hold-out set too \(2 such"):
        HoldOutIrreducibleLoss(train_set[[3, 9]]).losses(train_set, train_set.y, seed=0)
    held, _ = planted(60, noise=0.0, seed=8)
    few = held[np.flatnonzero(held.y != 1)]
    with pytest.raises(ValueError, match="no item of the class of item"):
        HoldOutIrreducibleLoss(few).losses(train_set, train_set.y, seed=0)


@pytest.mark.parametrize("temperature", ["sharp", "fit", 1.0])
def test_classes_nobody_holds_out_may_count_as_not_worth_learning(temperature: Any) -> None:  # noqa: ANN401
    train_set, _ = planted(60)
    held, _ = planted(60, noise=0.0, seed=8)
    few = held[np.flatnonzero(held.y != 1)]
    source = HoldOutIrreducibleLoss(few, absent="high", temperature=temperature, smallest=0.01)
    losses = source.losses(train_set, train_set.y, seed=0).losses
    unknown = train_set.y == 1
    np.testing.assert_allclose(losses[unknown], -np.log(0.01))
    # What is known is judged as if the others were not there, its temperature among that.
    rows = np.flatnonzero(~unknown)
    alone = source.losses(train_set[rows], train_set.y[rows], seed=0).losses
    np.testing.assert_allclose(losses[rows], alone, atol=1e-5)


def test_options_of_a_source_are_checked() -> None:
    with pytest.raises(ValueError, match="absent is 'zero': pass 'raise' or 'high'"):
        HoldOutIrreducibleLoss(0.5, absent="zero")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pass 'fit', 'sharp', or a number above 0"):
        CrossFitIrreducibleLoss(temperature="cold")  # type: ignore[arg-type]


def test_a_factory_takes_the_source_at_its_place() -> None:
    source = CrossFitIrreducibleLoss(num_folds=3)
    factory = ReducibleLossClassificationFactory(base(), source, selected_fraction=0.5, seed=0)
    assert factory.new().irreducible_loss is source


def test_known_losses_are_looked_up(tmp_path: Path) -> None:
    train_set, _ = planted(60)
    computed = CrossFitIrreducibleLoss().losses(train_set, train_set.y, seed=0)
    computed.save(tmp_path / "il.npz")
    source = KnownIrreducibleLoss(IrreducibleLosses.load(tmp_path / "il.npz"))
    rows = np.array([5, 2, 40])
    given = source.losses(train_set[rows], train_set.y[rows], seed=0)
    np.testing.assert_allclose(given.losses, computed.losses[rows])
    other, _ = planted(20, seed=5)
    with pytest.raises(KeyError, match="no irreducible loss"):
        source.losses(other, other.y, seed=0)
    with pytest.raises(TypeError, match=r"known is a list.*or a mapping"):
        KnownIrreducibleLoss([0.1])  # type: ignore[arg-type]


def test_probabilities_of_a_pool_serve_labels_that_come_later() -> None:
    pool, wrong = planted(300, noise=0.1)
    model = LogisticRegression(max_iter=500).fit(pool.x[~wrong], pool.y[~wrong])
    probabilities = dict(zip(item_keys(pool.x), model.predict_proba(pool.x), strict=True))
    source = KnownIrreducibleLoss(probabilities)
    rows = np.flatnonzero(wrong | (np.arange(300) % 3 == 0))
    losses = source.losses(pool[rows], pool.y[rows], seed=0).losses
    expected = [
        -np.log(max(probabilities[key][y], 1e-3))
        for key, y in zip(item_keys(pool.x[rows]), pool.y[rows], strict=True)
    ]
    np.testing.assert_allclose(losses, expected, atol=1e-5)
    assert losses[wrong[rows]].min() > np.median(losses[~wrong[rows]])
    fitted = KnownIrreducibleLoss(probabilities, temperature="fit")
    assert not np.allclose(fitted.losses(pool[rows], pool.y[rows], seed=0).losses, expected)
    other, _ = planted(20, seed=5)
    with pytest.raises(KeyError, match=r"Item 0 has no probabilities \(20 of 20"):
        source.losses(other, other.y, seed=0)
    bad = KnownIrreducibleLoss({key: [0.5, 1.5, 0.0] for key in probabilities})
    with pytest.raises(ValueError, match="The probabilities of item 0 are"):
        bad.losses(pool, pool.y, seed=0)
    clf = ReducibleLossClassification(base(), source, selected_fraction=0.25, seed=0).fit(pool)
    assert clf.irreducible_losses_ is not None
    assert len(clf.irreducible_losses_) == 300


def noisy_classifier(**options: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
    train_set, wrong = planted(400, noise=0.3)
    clf = ReducibleLossClassification(
        base(num_epochs=10, lr=0.5),
        selected_fraction=0.25,
        known_noisy=np.flatnonzero(wrong),
        seed=0,
        **options,
    )
    return clf.fit(train_set), train_set, wrong


def test_selects_fewer_wrong_labels_than_by_loss_and_predicts_better() -> None:
    test_set, _ = planted(600, noise=0.0, seed=9)
    shares, right = {}, {}
    # Three labels in ten are wrong: a temperature that expects so many calls them reducible.
    source = CrossFitIrreducibleLoss(temperature=0.2)
    for score in ("uniform", "loss", "reducible_loss"):
        clf, _, _ = noisy_classifier(score=score, irreducible_loss=source)
        shares[score] = clf.selection_log_["noisy"].mean()
        right[score] = (clf.predict(test_set) == test_set.y).mean()
    assert shares["uniform"] == pytest.approx(0.3, abs=0.05)
    assert shares["loss"] > 0.45
    assert shares["reducible_loss"] < 0.8 * shares["uniform"]
    assert right["reducible_loss"] > max(right["uniform"], right["loss"])


def test_predicts_by_the_classifier_within_and_keeps_no_selector() -> None:
    clf, train_set, _ = noisy_classifier()
    assert clf.classifier_.batch_selector is None
    np.testing.assert_array_equal(
        clf.predict_proba(train_set), clf.classifier_.predict_proba(train_set)
    )
    restored = dill.loads(dill.dumps(clf))
    np.testing.assert_array_equal(restored.predict(train_set), clf.predict(train_set))
    assert restored.selection_log_.equals(clf.selection_log_)


def test_same_seed_same_classifier() -> None:
    first, again = noisy_classifier()[0], noisy_classifier()[0]
    test_set, _ = planted(50, seed=9)
    np.testing.assert_array_equal(first.predict_proba(test_set), again.predict_proba(test_set))


def test_small_sets_are_trained_whole() -> None:
    train_set, _ = planted(60)
    clf = ReducibleLossClassification(base(), selected_fraction=0.1, seed=0).fit(train_set)
    assert clf.selection_log_ is not None
    assert len(clf.selection_log_) == 0
    plain = base().new().fit(train_set)
    np.testing.assert_array_equal(clf.predict_proba(train_set), plain.predict_proba(train_set))


def test_multi_label() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, size=(200, 3))
    x = (truth + rng.normal(scale=0.3, size=(200, 3))).astype(np.float32)
    train_set = SklearnDataset(x, csr_matrix(truth), target_labels=np.arange(3))
    clf = ReducibleLossClassification(base(multi_label=True), selected_fraction=0.25, seed=0)
    clf.fit(train_set)
    assert clf.selection_log_ is not None
    assert len(clf.selection_log_) > 0
    assert (clf.predict(train_set).toarray() == truth).mean() > 0.85


def test_a_fine_tuned_encoder_with_losses_from_vectors() -> None:
    train_set = texts.single(96)
    options = {"num_epochs": 2, "batch_size": 8, "seed": 0, "show_progress": False}
    factory = TransformerClassificationFactory(checkpoint("bert", 3), 3, options)
    clf = ReducibleLossClassification(
        factory, CrossFitIrreducibleLoss(vectors=OddWords()), selected_fraction=0.5, seed=0
    ).fit(train_set)
    assert clf.selection_log_ is not None
    assert (clf.selection_log_["num_candidates"] >= 12).all()
    assert clf.predict(train_set).shape == (96,)


def test_rounds_of_a_learner_compute_losses_for_what_is_labelled() -> None:
    pool, _ = planted(300)
    made = ReducibleLossClassificationFactory(base(), selected_fraction=0.5, seed=0)
    learner = PoolBasedActiveLearner(made, LeastConfidence(), pool)
    learner.initialize(np.arange(40))
    for _ in range(2):
        learner.update(pool.y[learner.query(num_samples=20)])
    assert len(learner.classifier.irreducible_losses_) == 80
    assert len(learner.classifier.selection_log_) > 0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: CrossFitIrreducibleLoss(num_folds=1), ValueError, "num_folds is 1"),
        (lambda: CrossFitIrreducibleLoss(absent="skip"), ValueError, "absent is 'skip'"),  # type: ignore[arg-type]
        (lambda: CrossFitIrreducibleLoss(temperature=0.0), ValueError, "temperature is 0"),
        (lambda: CrossFitIrreducibleLoss(smallest=0.7), ValueError, r"smallest is 0\.7"),
        (lambda: HoldOutIrreducibleLoss(1.5), ValueError, r"hold_out is 1\.5"),
        (lambda: ReducibleLossClassification(base(), [0.1]), TypeError, "irreducible_loss is a"),  # type: ignore[arg-type]
        (
            lambda: ReducibleLossClassificationFactory(base(), selected_fraction=2.0),
            ValueError,
            "selected_fraction is 2",
        ),
        (
            lambda: ReducibleLossClassificationFactory(base(), score="rho"),
            ValueError,
            "score is 'rho'",
        ),
        (
            lambda: ReducibleLossClassification(base(batch_selector=UniformSelector(64))),
            ValueError,
            "have a batch selector",
        ),
    ],
)
def test_options_out_of_range_are_named(make: Any, error: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(error, match=message):
        make()


def test_the_default_suits_vectors_alone() -> None:
    train_set = dataset(
        np.eye(4, 2, dtype=np.float32) + np.arange(4)[:, None], np.array([0, 1, 0, 1])
    )
    losses = CrossFitIrreducibleLoss().losses(train_set, train_set.y, seed=0)
    assert np.isfinite(losses.losses).all()


def test_columns_are_those_of_their_classes_where_a_fold_lacks_one() -> None:
    train_set, _ = planted(60, noise=0.0)
    kept = np.concatenate([np.flatnonzero(train_set.y != 1), np.flatnonzero(train_set.y == 1)[:1]])
    few = train_set[kept]
    factory = SklearnClassifierFactory(LogisticRegression(), 3)
    losses = CrossFitIrreducibleLoss(factory, temperature=1.0).losses(few, few.y, seed=0).losses
    assert np.median(losses[few.y == 2]) < 0.5


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.75, 0.9])
def test_as_much_is_held_out_as_asked_for(share: float) -> None:
    train_set, _ = planted(120)
    rows = HoldOutIrreducibleLoss(np.float32(share)).trained_rows(train_set, train_set.y, 3)
    assert abs(len(rows) - (1 - share) * 120) <= 1
    counts = np.bincount(train_set.y, minlength=3)
    kept = np.bincount(train_set.y[rows], minlength=3)
    np.testing.assert_allclose(kept, (1 - share) * counts, atol=2)


def test_twins_are_on_one_side_and_in_one_fold() -> None:
    first, _ = planted(60)
    x = np.concatenate([first.x, first.x])
    twice = dataset(np.asarray(x, dtype=np.float32), np.concatenate([first.y, first.y]))
    rows = HoldOutIrreducibleLoss(0.5).trained_rows(twice, twice.y, 0)
    assert len(rows) == 60
    assert set(rows % 60) == set(rows[rows < 60])
    losses = CrossFitIrreducibleLoss().losses(twice, twice.y, seed=0).losses
    np.testing.assert_array_equal(losses[:60], losses[60:])


def test_unknown_classes_leave_the_temperature_of_the_others_alone() -> None:
    train_set, _ = planted(120, noise=0.0)
    lonely = SklearnDataset(
        np.concatenate([train_set.x, np.eye(3, train_set.x.shape[1]) * 9]).astype(np.float32),
        np.concatenate([train_set.y, [3, 4, 5]]),
        target_labels=np.arange(6),
    )
    source = CrossFitIrreducibleLoss(temperature="fit")
    losses = source.losses(lonely, lonely.y, seed=0).losses
    assert (losses[120:] == 0).all()
    alone = source.losses(train_set, train_set.y, seed=0).losses
    assert losses[:120].mean() < 2 * alone.mean() + 0.05


def test_a_set_too_small_to_choose_from_is_trained_whole() -> None:
    train_set, _ = planted(120)
    source = HoldOutIrreducibleLoss(0.25)
    clf = ReducibleLossClassification(base(batch_size=64), source, seed=0).fit(train_set)
    assert clf.irreducible_losses_ is None
    plain = base(batch_size=64).new().fit(train_set)
    np.testing.assert_array_equal(clf.predict_proba(train_set), plain.predict_proba(train_set))
    ReducibleLossClassification(base(), seed=0).fit(train_set[[0]])


@pytest.mark.parametrize(("hold_out", "validation"), [(0.25, 0.0), (0.1, 0.2)])
def test_what_is_left_after_both_splits_decides_whether_there_is_a_choice(
    hold_out: float, validation: float
) -> None:
    # 120 items are two candidate batches of 60; what the splits leave of them is less.
    train_set, _ = planted(120)
    factory = base(batch_size=6, validation_set_size=validation)
    clf = ReducibleLossClassification(factory, HoldOutIrreducibleLoss(hold_out), seed=0)
    clf.fit(train_set)
    assert clf.irreducible_losses_ is None
    plain = factory.new().fit(train_set)
    np.testing.assert_array_equal(clf.predict_proba(train_set), plain.predict_proba(train_set))


def test_sources_leave_the_global_generators_alone_and_repeat() -> None:
    train_set, _ = planted(60)
    factory = SklearnClassifierFactory(RandomForestClassifier(n_estimators=5), 3)
    source = CrossFitIrreducibleLoss(factory)
    before = np.random.get_state()[1].copy()  # type: ignore[index] # noqa: NPY002
    losses = [source.losses(train_set, train_set.y, seed=4).losses for _ in range(2)]
    assert (before == np.random.get_state()[1]).all()  # type: ignore[index] # noqa: NPY002
    np.testing.assert_array_equal(losses[0], losses[1])


def test_a_scikit_learn_model_judges_a_hold_out_set_too() -> None:
    train_set, _ = planted(60)
    held, _ = planted(60, noise=0.0, seed=8)
    factory = SklearnClassifierFactory(LogisticRegression(), 3)
    losses = HoldOutIrreducibleLoss(held, factory).losses(train_set, train_set.y, seed=0)
    assert len(losses) == 60


def test_what_the_classifier_knows_of_classes_holds_for_the_source() -> None:
    train_set, _ = planted(120)
    some = train_set[np.flatnonzero(train_set.y != 2)]
    with pytest.warns(UserWarning, match="target_labels=None"):
        inferred = SklearnDataset(np.asarray(some.x), some.y)
    clf = ReducibleLossClassification(base(), selected_fraction=0.5, seed=0).fit(inferred)
    assert clf.irreducible_losses_ is not None
    assert clf.irreducible_losses_.probabilities is not None
    assert clf.irreducible_losses_.probabilities.shape == (len(some), 3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: ReducibleLossClassification(base(), irreducible=np.zeros(4)),
            TypeError,
            "pass irreducible_loss",
        ),
        (
            lambda: ReducibleLossClassification(base(), known_noisy=np.array([True, False])),
            ValueError,
            "known_noisy is a mask",
        ),
        (
            lambda: ReducibleLossClassification(base(), known_noisy=[-1]),
            ValueError,
            "known_noisy holds -1",
        ),
    ],
)
def test_what_would_be_misread_is_refused(
    make: Any,  # noqa: ANN401
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_vectors_of_what_is_no_text_are_refused() -> None:
    pairs = TextPairDataset([("a", "b"), ("c", "d")], np.array([0, 1]), target_labels=np.arange(2))
    with pytest.raises(TypeError, match="vectors encodes texts, and the items are of type tuple"):
        CrossFitIrreducibleLoss(vectors=OddWords()).losses(pairs, pairs.y, seed=0)

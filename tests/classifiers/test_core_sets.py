"""What a proxy chooses, against the scores computed from its predictions, and who is trained."""

from __future__ import annotations

import itertools
import logging
import pickle
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from small_text import LeastConfidence, SklearnDataset

from small_text_ext import DynamicsRecorder, MLPClassification
from small_text_ext.classifiers.core_sets import (
    CoreSetClassification,
    CoreSetClassificationFactory,
    core_set,
)
from small_text_ext.classifiers.crossfit import fit_dynamics
from tests.classifiers.test_crossfit import factory, planted


def multi_label_set() -> SklearnDataset:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, size=(80, 3))
    x = (truth + rng.normal(scale=0.5, size=(80, 3))).astype(np.float32)
    return SklearnDataset(x, csr_matrix(truth), target_labels=np.arange(3))


@pytest.mark.parametrize("method", ["entropy", "least_confidence"])
def test_the_least_certain_are_chosen(method: Any) -> None:  # noqa: ANN401
    train_set, _ = planted()
    proba = factory().new().fit(train_set).predict_proba(train_set)
    if method == "entropy":
        scores = [-sum(p * np.log(p) for p in row) for row in proba]
    else:
        scores = [1 - max(row) for row in proba]
    expected = sorted(sorted(range(240), key=lambda row: -scores[row])[:60])
    assert core_set(train_set, factory(), method, 0.25, seed=0).tolist() == expected


@pytest.mark.parametrize("method", ["entropy", "least_confidence"])
def test_multi_label_uncertainty_is_that_of_the_whole_set_of_labels(method: Any) -> None:  # noqa: ANN401
    train_set, base = multi_label_set(), factory(multi_label=True)
    proba = base.new().fit(train_set).predict_proba(train_set, multi_label_threshold=0.0).toarray()
    if method == "entropy":
        scores = [-sum(q * np.log(q) for p in row for q in (p, 1 - p)) for row in proba]
    else:
        scores = [1 - np.prod([max(p, 1 - p) for p in row]) for row in proba]
    expected = sorted(sorted(range(80), key=lambda row: -scores[row])[:20])
    assert core_set(train_set, base, method, 0.25, seed=0).tolist() == expected


def test_what_is_forgotten_most_is_chosen_and_what_is_never_learnt_first() -> None:
    train_set, _ = planted(noise=0.2)
    proxy = factory(batch_size=8, lr=20.0, num_epochs=8)  # so restless that it forgets
    dynamics = fit_dynamics(proxy, train_set)
    correct = dynamics.logits.argmax(axis=2) == train_set.y
    events = []
    for item in range(240):
        times = [bool(value) for value in correct[:, item]]
        count = sum(a and not b for a, b in itertools.pairwise(times))
        events.append(float("inf") if not any(times) else float(count))
    values = np.array(events)
    assert np.isinf(values).any()
    assert {1.0, 2.0} <= set(events)
    for fraction in (0.05, 0.4):
        kept = core_set(train_set, proxy, "forgetting", fraction, seed=0)
        is_kept = np.isin(np.arange(240), kept)
        assert len(kept) == round(fraction * 240)
        assert values[is_kept].min() >= values[~is_kept].max()
    first, again, other = (
        core_set(train_set, proxy, "forgetting", 0.4, seed=seed).tolist() for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other, "equals are drawn by lot"


def test_at_least_one_is_chosen_and_at_most_all() -> None:
    train_set, _ = planted(30)
    assert len(core_set(train_set, factory(), fraction=0.001)) == 1
    assert core_set(train_set, factory(), fraction=1.0).tolist() == list(range(30))


def test_weights_are_the_proxys_and_the_classifiers() -> None:
    train_set, _ = planted()
    weights = np.where(train_set.y == 1, 30.0, 1.0)
    chosen = core_set(train_set, factory(), fraction=0.5, weights=weights, seed=0)
    assert chosen.tolist() != core_set(train_set, factory(), fraction=0.5, seed=0).tolist()
    clf = CoreSetClassification(factory(), fraction=0.5, seed=0).fit(train_set, weights=weights)
    assert clf.kept_ is not None
    assert clf.kept_.tolist() == chosen.tolist()
    alone = factory().new().fit(train_set[chosen], weights=weights[chosen])
    np.testing.assert_array_equal(clf.predict_proba(train_set), alone.predict_proba(train_set))


def test_the_proxy_chooses_and_the_classifier_is_trained_on_its_choice() -> None:
    train_set, _ = planted()
    proxy, base = factory(num_epochs=1), factory(hidden=16)
    clf = CoreSetClassification(base, proxy, "least_confidence", 0.5, seed=0).fit(train_set)
    assert clf.kept_ is not None
    chosen = core_set(train_set, proxy, "least_confidence", 0.5, seed=0)
    assert clf.kept_.tolist() == chosen.tolist()
    assert clf.fallback_reason_ is None
    alone = base.new().fit(train_set[chosen])
    np.testing.assert_array_equal(clf.predict_proba(train_set), alone.predict_proba(train_set))
    own = CoreSetClassification(base, None, fraction=0.5, seed=0).fit(train_set)
    assert own.kept_ is not None
    assert own.kept_.tolist() == core_set(train_set, base, fraction=0.5, seed=0).tolist()


def test_a_validation_set_is_the_final_classifiers() -> None:
    train_set, _ = planted()
    validation, _ = planted(60, seed=3)
    clf = CoreSetClassification(factory(), fraction=0.5, seed=0).fit(train_set, validation)
    assert isinstance(clf.classifier_, MLPClassification)
    assert clf.classifier_.history_ is not None
    assert clf.classifier_.history_.validation_losses
    assert clf.kept_ is not None
    assert clf.kept_.tolist() == core_set(train_set, factory(), fraction=0.5, seed=0).tolist()


@pytest.mark.parametrize("method", ["entropy", "forgetting"])
def test_everything_is_kept_where_a_class_would_be_lost(
    method: Any,  # noqa: ANN401
    caplog: pytest.LogCaptureFixture,
) -> None:
    train_set, _ = planted(60, noise=0.0)
    clf = CoreSetClassification(factory(), None, method, 1 / 60, seed=0)
    with caplog.at_level(logging.INFO, logger="small_text_ext"):
        clf.fit(train_set)
    assert clf.kept_ is not None
    assert clf.kept_.tolist() == list(range(60))
    assert clf.fallback_reason_ is not None
    assert f"method='{method}'" in clf.fallback_reason_
    assert "lose class" in clf.fallback_reason_
    assert "Training on all 60 items" in caplog.text
    assert "raise fraction" in caplog.text


def test_multi_label_classifiers_train_and_travel() -> None:
    train_set = multi_label_set()
    clf = CoreSetClassification(factory(multi_label=True), None, "forgetting", 0.5, seed=0)
    clf.fit(train_set)
    assert clf.fallback_reason_ is None
    twin = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(
        twin.predict(train_set).toarray(), clf.predict(train_set).toarray()
    )
    assert (clf.predict(train_set).toarray() == train_set.y.toarray()).mean() > 0.7


def test_what_makes_no_core_set_is_named() -> None:
    train_set, _ = planted(20)
    for options, message in (
        ({"method": "margin"}, "method is 'margin': pass one of entropy, least_confidence"),
        ({"fraction": 0.0}, "fraction is 0.0: pass a share"),
        ({"fraction": 1.5}, "fraction is 1.5"),
    ):
        given: dict[str, Any] = options
        with pytest.raises(ValueError, match=message):
            core_set(train_set, factory(), **given)
        with pytest.raises(ValueError, match=message):
            CoreSetClassificationFactory(factory(), **given)
    for call in (lambda other: core_set(train_set, other), CoreSetClassification):
        with pytest.raises(TypeError, match="no classifier factory of this package"):
            call(LeastConfidence())
    with pytest.raises(ValueError, match="multi_label=True, base_factory of 3 and multi_label=Fal"):
        CoreSetClassification(factory(), factory(multi_label=True))
    recorded = factory(recorder=DynamicsRecorder())
    with pytest.raises(ValueError, match="have a recorder"):
        CoreSetClassification(factory(), recorded, "forgetting")
    CoreSetClassification(factory(), recorded, "entropy")

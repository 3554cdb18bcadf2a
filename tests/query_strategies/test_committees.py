from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from small_text import SklearnClassifier, SklearnClassifierFactory, SklearnDataset, TextDataset

from small_text_ext import MLPClassificationFactory, MLPModelArguments, PoolEmbeddings
from small_text_ext.protocols import class_probabilities
from small_text_ext.query_strategies.committees import (
    FactorySource,
    HeadSource,
    bootstrap_positions,
    crossfit_positions,
    dense_labels,
    fit_head,
    number_of_classes,
)
from small_text_ext.query_strategies.context import QueryContext
from small_text_ext.query_strategies.dynamics_models import Scale
from tests.contract.states import random_states


def context_of(
    vectors: NDArray[Any],
    y: Any,  # noqa: ANN401
    labeled: NDArray[np.int64],
    hidden: bool = True,
) -> QueryContext:
    """Return a query on vectors; the dataset itself knows no labels, or all."""
    known = np.full(len(vectors), -1) if hidden and not isinstance(y, csr_matrix) else y
    dataset = SklearnDataset(vectors, known, target_labels=np.arange(3))
    unlabeled = np.setdiff1d(np.arange(len(vectors)), labeled)
    return QueryContext(None, dataset, unlabeled, labeled, y[labeled], 5)


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    """Return three clusters of unit vectors, one after the other."""
    generator = np.random.default_rng(0)
    rows = np.eye(3, 6)[np.arange(90) // 30] + 0.2 * generator.normal(size=(90, 6))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


TRUTH = np.arange(90) // 30
LABELED = np.array([75, 3, 40, 8, 33, 62, 1, 88])


def test_a_head_is_scikit_learns_regression(vectors: NDArray[np.float32]) -> None:
    source = HeadSource(
        context_of(vectors, TRUTH, LABELED), 3, PoolEmbeddings.from_array(vectors), 2.0
    )
    items = np.arange(90)
    found = source.predict([source.fit(np.arange(8), seed=0)], items)[0]
    scale = Scale.of(vectors[LABELED])
    theirs = LogisticRegression(C=2.0, max_iter=1000).fit(scale(vectors[LABELED]), TRUTH[LABELED])
    np.testing.assert_allclose(found, theirs.predict_proba(scale(vectors)), atol=1e-4)
    assert (found.argmax(axis=1) == TRUTH).mean() > 0.95


def test_a_class_that_is_not_taught_has_no_probability() -> None:
    x = np.array([[-1.0], [1.0], [1.1]])
    found = fit_head(x, np.array([0, 2, 2]), 4, C=1.0)(x)
    assert (found[:, [1, 3]] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert fit_head(x, np.array([2, 2, 2]), 3, C=1.0)(x).tolist() == [[0, 0, 1]] * 3
    labels = np.array([[True, False], [False, False], [False, False]])
    several = fit_head(x, labels, 2, C=1.0)(x)
    assert (several[:, 1] == 0).all()
    assert several[0, 0] > 0.5 > several[1, 0]


def test_a_hold_out_set_is_taught_to_every_head(vectors: NDArray[np.float32]) -> None:
    """The labels at hand are of two classes; the third is known from the hold-out set alone."""
    labeled = np.array([3, 8, 33, 40])
    pool = PoolEmbeddings.from_array(vectors)
    hold_out = SklearnDataset(vectors[60:70], TRUTH[60:70], target_labels=np.arange(3))
    context = context_of(vectors, TRUTH, labeled)
    assert number_of_classes(context) == 2
    assert number_of_classes(context, hold_out) == 3
    source = HeadSource(context, 3, pool, 10.0, hold_out)
    models = [source.fit(part, 0) for part in (np.arange(4), np.array([0, 2]))]
    found = source.predict(models, np.arange(70, 90))
    assert (found.argmax(axis=2) == 2).all()
    alone = HeadSource(context, 3, pool, 10.0)
    assert (alone.predict([alone.fit(np.arange(4), 0)], np.arange(70, 90))[..., 2] == 0).all()


def test_a_hold_out_set_of_another_kind_is_refused(vectors: NDArray[np.float32]) -> None:
    pool, context = PoolEmbeddings.from_array(vectors), context_of(vectors, TRUTH, LABELED)
    sparse = SklearnDataset(vectors[:2], csr_matrix(np.eye(3)[:2]), target_labels=np.arange(3))
    with pytest.raises(ValueError, match="different tasks"):
        HeadSource(context, 3, pool, 1.0, sparse)
    unknown = SklearnDataset(vectors[:2], np.array([0, -1]), target_labels=np.arange(3))
    with pytest.raises(ValueError, match="1 texts without a label"):
        HeadSource(context, 3, pool, 1.0, unknown)
    longer = SklearnDataset(np.ones((2, 7)), np.array([0, 1]), target_labels=np.arange(3))
    with pytest.raises(ValueError, match="hold_out has dimension 7"):
        HeadSource(context, 3, pool, 1.0, longer)
    texts = TextDataset(["a", "b"], np.array([0, 1]), target_labels=np.arange(3))
    with pytest.raises(ValueError, match="do not know their encoder"):
        HeadSource(context, 3, pool, 1.0, texts)


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_factory_is_taught_the_labels_of_the_query(
    vectors: NDArray[np.float32], multi_label: bool
) -> None:
    y = csr_matrix(np.eye(3, dtype=np.int64)[TRUTH]) if multi_label else TRUTH
    context = context_of(vectors, y, LABELED)
    if multi_label:  # the dataset says otherwise
        context.dataset.y = csr_matrix(np.zeros((90, 3), dtype=np.int64))
    before = context.dataset.y.copy()
    options = {"seed": 0, "multi_label": multi_label}
    source = FactorySource(context, 3, MLPClassificationFactory(MLPModelArguments(), 3, options))
    states = random_states()
    found = source.predict([source.fit(np.arange(8), 0)], np.arange(90))[0]
    assert random_states() == states
    assert (found.argmax(axis=1) == TRUTH).mean() > 0.95
    np.testing.assert_array_equal(dense_labels(context.dataset.y, 3), dense_labels(before, 3))


def test_probabilities_are_in_the_columns_of_their_classes(vectors: NDArray[np.float32]) -> None:
    """scikit-learn's have no column for a class that was not taught, whichever it is."""
    labeled = np.array([3, 8, 75, 62])
    context = context_of(vectors, TRUTH, labeled)
    source = FactorySource(context, 3, SklearnClassifierFactory(LogisticRegression(C=10), 3))
    found = source.predict([source.fit(np.arange(4), 0)], np.arange(60, 90))[0]
    assert found.shape == (30, 3)
    assert (found[:, 1] == 0).all()
    assert (found[:, 2] > 0.5).all()
    clf = SklearnClassifier(LogisticRegression(), 3)
    clf.fit(SklearnDataset(vectors, TRUTH, target_labels=np.arange(3)))
    with pytest.raises(ValueError, match="3 classes, and the task has 2"):
        class_probabilities(clf, context.dataset, 2)


def test_items_of_the_root_are_predicted_from_within_a_view(vectors: NDArray[np.float32]) -> None:
    root = SklearnDataset(vectors, np.full(90, -1), target_labels=np.arange(3))
    rows = np.concatenate([np.arange(5), LABELED])
    view = QueryContext(None, root[rows], np.arange(5), np.arange(5, 13), TRUTH[LABELED], 2)
    whole = context_of(vectors, TRUTH, LABELED)
    targets = np.array([89, 30, 0])
    pool = PoolEmbeddings.from_array(vectors)
    factory = SklearnClassifierFactory(LogisticRegression(C=10), 3)
    makers: list[Callable[[QueryContext], Any]] = [
        lambda context: HeadSource(context, 3, pool, 10.0),
        lambda context: FactorySource(context, 3, factory),
    ]
    for make in makers:
        inside, outside = make(view), make(whole)
        found = inside.predict_at_root([inside.fit(np.arange(8), 0)], targets)
        same = outside.predict([outside.fit(np.arange(8), 0)], targets)
        np.testing.assert_allclose(found, same, atol=1e-6)
        with pytest.raises(ValueError, match="targets hold the position 90"):
            inside.predict_at_root([inside.fit(np.arange(8), 0)], np.array([90]))


def test_a_member_is_taught_what_lies_outside_of_its_fold() -> None:
    labels = np.array([0] * 7 + [1] * 5)
    parts = crossfit_positions(labels, 4, np.random.default_rng(0))
    left_out = [np.setdiff1d(np.arange(12), part) for part in parts]
    assert sorted(np.concatenate(left_out).tolist()) == list(range(12))
    assert {len(part) for part in left_out} == {3}
    for label, sizes in ((0, {1, 2}), (1, {1, 2})):
        assert {int((labels[fold] == label).sum()) for fold in left_out} <= sizes
    assert [len(part) for part in crossfit_positions(labels[:2], 5, np.random.default_rng(0))] == [
        1,
        1,
    ]
    again = crossfit_positions(labels, 4, np.random.default_rng(0))
    assert [part.tolist() for part in again] == [part.tolist() for part in parts]


def test_a_bootstrap_loses_no_class_unless_labels_are_sets() -> None:
    labels = np.array([0] * 20 + [1])
    draws = bootstrap_positions(labels, 30, np.random.default_rng(0))
    assert all((labels[draw] == 1).sum() == 1 and len(draw) == 21 for draw in draws)
    assert len({tuple(np.sort(draw)) for draw in draws}) == 30
    sets = np.eye(6, dtype=bool)
    draws = bootstrap_positions(sets, 30, np.random.default_rng(0))
    assert len({tuple(np.sort(draw)) for draw in draws}) > 5

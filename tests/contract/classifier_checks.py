"""What small-text and this house promise of a classifier and its factory, one function each."""

from __future__ import annotations

import copy
import inspect
import pickle
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from small_text import (
    AbstractClassifierFactory,
    Classifier,
    EmbeddingMixin,
    LeastConfidence,
    PoolBasedActiveLearner,
    RandomSampling,
)

from tests.contract.cases import ClassifierCase, FactoryCase
from tests.contract.scenarios import NUM_CLASSES, RARE_CLASS, clustered_labels, clustered_vectors
from tests.contract.states import random_states

Check = Callable[[ClassifierCase], None]
CHECKS: list[Check] = []
NUM_TRAIN = 240
TEST_ROWS = np.arange(NUM_TRAIN, 600)


def contract(check: Check) -> Check:
    """Add a check to those that run on every public classifier."""
    CHECKS.append(check)
    return check


def data(case: ClassifierCase, rows: Any = slice(0, NUM_TRAIN)) -> Any:  # noqa: ANN401
    """Return a labelled dataset of some rows."""
    vectors = np.array(clustered_vectors()[rows])
    return case.dataset(vectors, clustered_labels(multi_label=case.multi_label)[rows])


def fitted(case: ClassifierCase, seed: int = 3) -> Any:  # noqa: ANN401
    """Return a classifier trained on 240 rows."""
    return case.build(seed).fit(data(case))


def dense(result: Any) -> NDArray[Any]:  # noqa: ANN401
    """Return predictions or probabilities as a dense array."""
    return np.asarray(result.toarray() if isinstance(result, csr_matrix) else result)


def all_proba(clf: Any, dataset: Any) -> NDArray[np.float64]:  # noqa: ANN401
    """Return every probability, small ones of multi-label tasks too."""
    return dense(clf.predict_proba(dataset, multi_label_threshold=0.0))


@contract
def check_signatures_are_the_hosts(case: ClassifierCase) -> None:
    clf = case.build(3)
    for name in ("fit", "predict", "predict_proba"):
        given = inspect.signature(getattr(clf, name)).parameters
        for parameter in inspect.signature(getattr(Classifier, name)).parameters.values():
            if parameter.name != "self" and parameter.kind != parameter.VAR_KEYWORD:
                assert parameter.name in given, f"{name} lacks {parameter.name}"
                assert given[parameter.name].default == parameter.default
    assert "validation_set" in inspect.signature(clf.fit).parameters
    assert isinstance(clf, EmbeddingMixin)


@contract
def check_fit_returns_itself(case: ClassifierCase) -> None:
    clf = case.build(3)
    assert clf.fit(data(case)) is clf
    assert clf.num_classes == NUM_CLASSES
    assert clf.multi_label is case.multi_label


@contract
def check_learns(case: ClassifierCase) -> None:
    test = data(case, TEST_ROWS)
    predictions = dense(fitted(case).predict(test))
    truth = dense(test.y)
    assert (predictions == truth).mean() > 0.9
    rare = predictions[:, RARE_CLASS] if case.multi_label else predictions == RARE_CLASS
    assert rare.sum() > 0, "the rare class is never predicted"


@contract
def check_predictions(case: ClassifierCase) -> None:
    clf, test = fitted(case), data(case, TEST_ROWS)
    predictions = clf.predict(test)
    if case.multi_label:
        assert isinstance(predictions, csr_matrix)
        assert predictions.shape == (len(TEST_ROWS), NUM_CLASSES)
        assert set(np.unique(predictions.data)) == {1}
    else:
        assert predictions.shape == (len(TEST_ROWS),)
        assert set(np.unique(predictions)) <= set(range(NUM_CLASSES))
    assert np.issubdtype(predictions.dtype, np.integer)


@contract
def check_probabilities(case: ClassifierCase) -> None:
    clf, test = fitted(case), data(case, TEST_ROWS)
    proba = clf.predict_proba(test)
    assert proba.shape == (len(TEST_ROWS), NUM_CLASSES)
    assert np.issubdtype(proba.dtype, np.floating)
    assert isinstance(proba, csr_matrix) == case.multi_label
    values = all_proba(clf, test)
    assert values.min() >= 0
    assert values.max() <= 1
    if not case.multi_label:
        np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-6)


@contract
def check_predictions_and_probabilities_agree(case: ClassifierCase) -> None:
    clf, test = fitted(case), data(case, TEST_ROWS)
    predictions, proba = clf.predict(test, return_proba=True)
    np.testing.assert_array_equal(dense(predictions), dense(clf.predict(test)))
    np.testing.assert_array_equal(dense(proba), dense(clf.predict_proba(test)))
    if not case.multi_label:
        np.testing.assert_array_equal(predictions, proba.argmax(axis=1))


@contract
def check_multi_label_threshold(case: ClassifierCase) -> None:
    if not case.multi_label:
        return
    clf, test = fitted(case), data(case, TEST_ROWS)
    values = all_proba(clf, test)
    assert (values > 0).all(), "a threshold of 0 drops probabilities"
    for threshold in (0.1, 0.5, 0.9):
        above = values > threshold
        proba = dense(clf.predict_proba(test, multi_label_threshold=threshold))
        np.testing.assert_array_equal(proba, np.where(above, values, 0))
        predictions = clf.predict(test, multi_label_threshold=threshold)
        np.testing.assert_array_equal(dense(predictions), above)


@contract
def check_embeddings(case: ClassifierCase) -> None:
    clf, test = fitted(case), data(case, TEST_ROWS)
    vectors = clf.embed(test)
    assert vectors.ndim == 2
    assert len(vectors) == len(TEST_ROWS)
    assert np.issubdtype(vectors.dtype, np.floating)
    assert np.isfinite(vectors).all()
    again, proba = clf.embed(test, return_proba=True)
    np.testing.assert_array_equal(again, vectors)
    np.testing.assert_allclose(dense(proba), dense(clf.predict_proba(test)), atol=1e-6)


@contract
def check_rows_do_not_depend_on_each_other(case: ClassifierCase) -> None:
    clf = fitted(case)
    rows = np.random.default_rng(2).permutation(TEST_ROWS)
    whole = all_proba(clf, data(case, TEST_ROWS))
    np.testing.assert_allclose(
        all_proba(clf, data(case, rows[:7])), whole[rows[:7] - NUM_TRAIN], atol=case.rounding
    )


@contract
def check_views(case: ClassifierCase) -> None:
    """The host hands over views; a view is trained and predicted as its rows alone are."""
    whole = data(case, slice(0, 600))
    part = data(case)
    on_view, on_rows = case.build(3).fit(whole[:NUM_TRAIN]), case.build(3).fit(part)
    np.testing.assert_allclose(
        all_proba(on_view, whole[TEST_ROWS]), all_proba(on_rows, data(case, TEST_ROWS)), atol=1e-6
    )


@contract
def check_empty_dataset(case: ClassifierCase) -> None:
    clf, empty = fitted(case), data(case, slice(0, 0))
    for result in (clf.predict_proba(empty), *clf.predict(empty, return_proba=True)[1:]):
        assert result.shape == (0, NUM_CLASSES)
    assert clf.predict(empty).shape[0] == 0
    assert clf.embed(empty).shape == (0, clf.embed(data(case, [0])).shape[1])


@contract
def check_nothing_to_train_on(case: ClassifierCase) -> None:
    with pytest.raises(ValueError):
        case.build(3).fit(data(case, slice(0, 0)))


@contract
def check_before_the_fit(case: ClassifierCase) -> None:
    clf = case.build(3)
    for call in (clf.predict, clf.predict_proba, clf.embed):
        with pytest.raises(Exception, match="fit") as error:
            call(data(case))
        assert not isinstance(error.value, AttributeError | AssertionError)


@contract
def check_float_labels(case: ClassifierCase) -> None:
    """The host's labels are floats once one text was ignored."""
    floats = data(case)
    floats.y = floats.y.astype(np.float64)
    clf = case.build(3).fit(floats)
    test = data(case, TEST_ROWS)
    np.testing.assert_array_equal(all_proba(clf, test), all_proba(fitted(case), test))
    assert np.issubdtype(clf.predict(test).dtype, np.integer)


@contract
def check_missing_class(case: ClassifierCase) -> None:
    """Early rounds know no text of the rare class, or texts of one class alone."""
    y = clustered_labels()
    for keep in (y != RARE_CLASS, y == 1):
        clf = case.build(3).fit(data(case, np.flatnonzero(keep)[:80]))
        values = all_proba(clf, data(case, TEST_ROWS))
        assert values.shape == (len(TEST_ROWS), NUM_CLASSES)
        assert np.isfinite(values).all()
        missing = RARE_CLASS if keep.sum() > 400 else 0
        assert values[:, missing].mean() < values[:, 1].mean()


@contract
def check_unlabeled_rows_are_refused(case: ClassifierCase) -> None:
    if case.multi_label:
        return  # a row without labels is a label of its own there
    dataset = data(case)
    y = dataset.y.copy()
    y[4] = -1
    dataset.y = y
    with pytest.raises(ValueError, match=r"(?i)label"):
        case.build(3).fit(dataset)


@contract
def check_weights(case: ClassifierCase) -> None:
    """Heavier rows count more, each in its own place."""
    train, test = data(case), data(case, TEST_ROWS)
    even = all_proba(case.build(3).fit(train, weights=np.ones(NUM_TRAIN)), test)
    np.testing.assert_allclose(even, all_proba(fitted(case), test), atol=1e-5)
    is_one = dense(train.y)[:, 1] > 0 if case.multi_label else train.y == 1
    weights = np.where(is_one, 20.0, 1.0)
    heavy = all_proba(case.build(3).fit(train, weights=weights), test)
    assert heavy[:, 1].mean() > even[:, 1].mean() + 0.005


@contract
def check_bad_weights(case: ClassifierCase) -> None:
    zero, nan = np.ones(NUM_TRAIN), np.ones(NUM_TRAIN)
    zero[3], nan[3] = 0, np.nan
    for weights in (zero, nan, -np.ones(NUM_TRAIN), np.ones(NUM_TRAIN - 1)):
        with pytest.raises(ValueError, match="weight"):
            case.build(3).fit(data(case), weights=weights)


@contract
def check_other_kind_of_labels(case: ClassifierCase) -> None:
    labels = clustered_labels(multi_label=not case.multi_label)
    with pytest.raises(ValueError, match="label"):
        case.build(3).fit(case.dataset(np.array(clustered_vectors()), labels))


@contract
def check_validation_set(case: ClassifierCase) -> None:
    clf = case.build(3).fit(data(case), validation_set=data(case, slice(NUM_TRAIN, 300)))
    truth = dense(data(case, slice(300, 600)).y)
    assert (dense(clf.predict(data(case, slice(300, 600)))) == truth).mean() > 0.9


@contract
def check_same_seed_same_model(case: ClassifierCase) -> None:
    test = data(case, TEST_ROWS)
    first = all_proba(fitted(case), test)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    random.seed(99)
    np.testing.assert_array_equal(all_proba(fitted(case), test), first)
    assert not np.array_equal(all_proba(fitted(case, seed=4), test), first)


@contract
def check_fit_again(case: ClassifierCase) -> None:
    """The host's ``reuse_model`` fits the same object again, with more rows."""
    if not case.warm:
        return
    clf, test = fitted(case), data(case, TEST_ROWS)
    before = all_proba(clf, test)
    clf.fit(data(case, slice(0, 300)))
    assert not np.array_equal(all_proba(clf, test), before)
    assert (dense(clf.predict(test)) == dense(test.y)).mean() > 0.9


@contract
def check_global_random_state_is_left_alone(case: ClassifierCase) -> None:
    before = random_states()
    clf = fitted(case)
    clf.predict(data(case), return_proba=True)
    clf.embed(data(case))
    assert random_states() == before


@contract
def check_inputs_are_unchanged(case: ClassifierCase) -> None:
    train, weights = data(case), np.linspace(1, 2, NUM_TRAIN)
    expected = copy.deepcopy(train)
    clf = case.build(3).fit(train, weights=weights)
    clf.predict(train)
    np.testing.assert_array_equal(dense(train.y), dense(expected.y))
    np.testing.assert_array_equal(np.asarray(train.x), np.asarray(expected.x))
    np.testing.assert_array_equal(train.target_labels, expected.target_labels)
    np.testing.assert_array_equal(weights, np.linspace(1, 2, NUM_TRAIN))


@contract
def check_pickle(case: ClassifierCase) -> None:
    clf, test = fitted(case), data(case, TEST_ROWS)
    copies = [pickle.loads(pickle.dumps(clf)), dill.loads(dill.dumps(clf)), copy.deepcopy(clf)]
    clf.fit(data(case, slice(0, 300)))
    expected = all_proba(clf, test)
    for twin in copies:
        np.testing.assert_array_equal(all_proba(twin, test), all_proba(fitted(case), test))
        twin.fit(data(case, slice(0, 300)))
        np.testing.assert_array_equal(all_proba(twin, test), expected)


@contract
def check_pickle_before_the_fit(case: ClassifierCase) -> None:
    twin = pickle.loads(pickle.dumps(case.build(3)))
    test = data(case, TEST_ROWS)
    np.testing.assert_array_equal(
        all_proba(twin.fit(data(case)), test), all_proba(fitted(case), test)
    )


@contract
def check_pickle_holds_the_model_alone(case: ClassifierCase) -> None:
    """What was trained on stays where it is: a saved learner must not grow with the pool."""
    few, many = case.build(3), case.build(3)
    few.fit(data(case, slice(0, 60)))
    many.fit(data(case, slice(0, 600)))
    vectors, kept = clustered_vectors()[:540].nbytes, 540 * case.kept_bytes
    assert len(dill.dumps(many)) - len(dill.dumps(few)) < kept + vectors / 2


@contract
def check_bad_seeds(case: ClassifierCase) -> None:
    with pytest.raises(ValueError, match="seed"):
        case.build(-1)
    with pytest.raises(TypeError, match="seed"):
        case.build("seven")  # type: ignore[arg-type]


def replay(case: ClassifierCase) -> list[list[float]]:
    """Return what a fresh process must repeat, to the last bit."""
    proba: list[list[float]] = all_proba(fitted(case), data(case, TEST_ROWS)).tolist()
    return proba


FactoryCheck = Callable[[FactoryCase, ClassifierCase], None]
FACTORY_CHECKS: list[FactoryCheck] = []


def factory_contract(check: FactoryCheck) -> FactoryCheck:
    """Add a check to those that run on every public factory."""
    FACTORY_CHECKS.append(check)
    return check


@factory_contract
def check_new_makes_new_ones(factory: FactoryCase, case: ClassifierCase) -> None:
    maker = factory.build()
    assert isinstance(maker, AbstractClassifierFactory)
    first, second = maker.new(), maker.new()
    assert first is not second
    assert type(first).__name__ == factory.makes
    first.fit(data(case))
    with pytest.raises(Exception, match="fit"):
        second.predict(data(case))


@factory_contract
def check_new_ones_are_equal(factory: FactoryCase, case: ClassifierCase) -> None:
    """One factory serves every round: what a round trains must not depend on earlier ones."""
    maker, test = factory.build(), data(case, TEST_ROWS)
    first, second = (all_proba(maker.new().fit(data(case)), test) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@factory_contract
def check_factory_arguments_are_the_hosts(factory: FactoryCase, case: ClassifierCase) -> None:
    parameters = list(inspect.signature(type(factory.build())).parameters)
    if factory.wraps:
        assert parameters[0] == "base_factory"
        return
    assert parameters[-2:] == ["num_classes", "classification_kwargs"]
    assert inspect.signature(type(factory.build())).parameters["classification_kwargs"].default in (
        None,
        (),
    ), "a mutable default is shared by all factories"


@factory_contract
def check_factory_pickles(factory: FactoryCase, case: ClassifierCase) -> None:
    maker, test = factory.build(), data(case, TEST_ROWS)
    expected = all_proba(maker.new().fit(data(case)), test)
    for twin in (pickle.loads(pickle.dumps(maker)), dill.loads(dill.dumps(maker))):
        np.testing.assert_array_equal(all_proba(twin.new().fit(data(case)), test), expected)


@factory_contract
def check_in_a_learner(factory: FactoryCase, case: ClassifierCase) -> None:
    """Rounds with the host's learner, saved and loaded in between."""
    multi_label = case.multi_label
    y = clustered_labels(multi_label=multi_label)

    def start() -> PoolBasedActiveLearner:
        strategy = RandomSampling() if multi_label else LeastConfidence()
        learner = PoolBasedActiveLearner(factory.build(), strategy, data(case, slice(0, 600)))
        learner.initialize(np.arange(36))
        return learner

    def rounds(learner: PoolBasedActiveLearner, number: int) -> list[list[int]]:
        picks = []
        for _ in range(number):
            np.random.seed(len(learner.indices_labeled))  # noqa: NPY002 - the host draws from it
            queried = learner.query(num_samples=10)
            learner.update(y[queried])
            picks.append(queried.tolist())
        return picks

    through, learner = rounds(start(), 3), start()
    assert rounds(learner, 1) == through[:1]
    with tempfile.TemporaryDirectory() as folder:
        learner.save(Path(folder))
        loaded = PoolBasedActiveLearner.load(Path(folder))
    assert rounds(loaded, 2) == through[1:]
    assert loaded.classifier.predict(data(case, TEST_ROWS)).shape[0] == len(TEST_ROWS)

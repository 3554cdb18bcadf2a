from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit, log_softmax, softmax
from sklearn.linear_model import LogisticRegression, Ridge
from small_text import SklearnClassifier, SklearnDataset

from small_text_ext import MLPClassification, MLPModelArguments, PoolEmbeddings
from small_text_ext.protocols import DynamicsMap, dynamics_of
from small_text_ext.query_strategies import dynamics_models
from small_text_ext.query_strategies.context import QueryContext
from small_text_ext.query_strategies.dynamics_models import (
    LabeledMap,
    Representations,
    Scale,
    fit_coordinate,
    fit_distributions,
    fit_hard,
)
from small_text_ext.training.dynamics import DynamicsRecorder, HeldOutRecorder, TrainingDynamics

VECTORS = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
SINGLE = (VECTORS[:, 0] > 0).astype(np.int64)
SEVERAL = csr_matrix((VECTORS[:, :3] > 0.3).astype(np.int64))
LABELED = np.random.default_rng(1).permutation(40)[:24]


def dataset(multi_label: bool = False) -> SklearnDataset:
    y = SEVERAL if multi_label else SINGLE
    return SklearnDataset(VECTORS, y, target_labels=np.arange(3 if multi_label else 2))


def fitted(multi_label: bool = False, **options: Any) -> MLPClassification:  # noqa: ANN401
    options = {"recorder": DynamicsRecorder(), "seed": 0, **options}
    clf = MLPClassification(MLPModelArguments(), 3 if multi_label else 2, multi_label, **options)
    return clf.fit(dataset(multi_label)[LABELED])


def context(clf: Any, multi_label: bool = False, **changes: Any) -> QueryContext:  # noqa: ANN401
    arguments = {
        "clf": clf,
        "dataset": dataset(multi_label),
        "unlabeled": np.setdiff1d(np.arange(40), LABELED),
        "labeled": LABELED,
        "y": (SEVERAL if multi_label else SINGLE)[LABELED],
        "n": 5,
        **changes,
    }
    return QueryContext(**arguments)


class Mapped:
    """Has a map of its own, as a cartography classifier has."""

    def __init__(self, dynamics: TrainingDynamics | None) -> None:
        self.dynamics_ = dynamics
        self.recorder = None


def test_the_map_of_a_recorder_or_of_a_classifier() -> None:
    clf = fitted()
    found = dynamics_of(clf)
    assert isinstance(found, TrainingDynamics)
    assert isinstance(found, DynamicsMap)
    assert found.ids.tolist() == list(range(24))
    assert dynamics_of(Mapped(found)) is found


@pytest.mark.parametrize(
    "clf",
    [
        None,
        Mapped(None),
        MLPClassification(MLPModelArguments(), 2),
        MLPClassification(MLPModelArguments(), 2, recorder=HeldOutRecorder(dataset())),
        SklearnClassifier(LogisticRegression(), 2),
    ],
    ids=["none", "unfitted map", "no recorder", "held-out recorder", "host"],
)
def test_no_map_is_an_error_that_names_a_remedy(clf: Any) -> None:  # noqa: ANN401
    with pytest.raises(TypeError, match=r"DynamicsRecorder\(\)|initialise the learner"):
        dynamics_of(clf)


def test_no_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="fit first"):
        dynamics_of(MLPClassification(MLPModelArguments(), 2, recorder=DynamicsRecorder()))


@pytest.mark.parametrize("multi_label", [False, True])
def test_ids_are_positions_in_the_labelled_items(multi_label: bool) -> None:
    labeled = LabeledMap.of(context(fitted(multi_label), multi_label))
    np.testing.assert_array_equal(labeled.items, LABELED)
    floats = (SEVERAL if multi_label else SINGLE)[LABELED].astype(np.float64)
    np.testing.assert_array_equal(
        LabeledMap.of(context(fitted(multi_label), multi_label, y=floats)).items, LABELED
    )


def test_items_that_were_split_off_for_validation_are_not_on_the_map() -> None:
    clf = fitted(validation_set_size=0.25)
    labeled = LabeledMap.of(context(clf))
    assert len(labeled.items) == 18 < 24
    np.testing.assert_array_equal(labeled.items, LABELED[dynamics_of(clf).ids])
    np.testing.assert_array_equal(SINGLE[labeled.items], dynamics_of(clf).labels)


def test_a_label_that_was_taken_back_without_a_fit_is_an_error() -> None:
    fewer: dict[str, Any] = {"labeled": LABELED[:-1], "y": SINGLE[LABELED[:-1]]}
    with pytest.raises(ValueError, match=r"ids up to 23, but 23 items are labelled.*retrain=True"):
        LabeledMap.of(context(fitted(), **fewer))


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_training_set_without_indices_of_validation_is_an_error(multi_label: bool) -> None:
    """Ids of a training set that leaves items out are shifted, and in range."""
    clf = fitted(multi_label)
    clf.fit(dataset(multi_label)[LABELED[6:]])
    with pytest.raises(ValueError, match=r"labels are not those.*indices_validation"):
        LabeledMap.of(context(clf, multi_label))


def test_a_map_of_another_task_is_an_error() -> None:
    with pytest.raises(ValueError, match="different tasks"):
        LabeledMap.of(context(fitted(), y=SEVERAL[LABELED]))


def test_ids_that_are_no_positions_are_an_error() -> None:
    dynamics = TrainingDynamics.from_logits(np.zeros((1, 2, 2)), [0, 1], ids=["a", "b"])
    with pytest.raises(ValueError, match="positions in the training set"):
        LabeledMap.of(context(Mapped(dynamics)))


def test_vectors_are_the_given_ones_or_the_classifiers() -> None:
    clf = fitted()
    frozen = PoolEmbeddings.from_array(VECTORS)
    items = np.array([5, 3])
    np.testing.assert_array_equal(Representations(context(clf), frozen).of(items), frozen[items])
    np.testing.assert_array_equal(Representations(context(clf), None).of(items), VECTORS[items])
    view = context(clf, dataset=dataset()[10:])
    np.testing.assert_array_equal(Representations(view, frozen).of(items), frozen[items + 10])


def test_no_vectors_at_all_are_an_error() -> None:
    clf = SklearnClassifier(LogisticRegression(), 2)
    with pytest.raises(TypeError, match=r"SklearnClassifier has no embed.*pass embeddings"):
        Representations(context(clf), None)


def test_a_prediction_in_blocks_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    items, vectors = np.arange(40)[::-1], Representations(context(fitted()), None)
    scale = Scale.of(VECTORS)
    weights = np.arange(5.0)
    sizes = []

    def predictor(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        sizes.append(len(rows))
        return rows @ weights

    monkeypatch.setattr(dynamics_models, "_BLOCK", 16)
    found = vectors.predict(predictor, scale, items)
    np.testing.assert_allclose(found, scale(VECTORS[items]) @ weights)
    assert sizes == [16, 16, 8]


def test_the_scale_takes_out_place_and_size() -> None:
    once, other = Scale.of(VECTORS), Scale.of(7 + 3 * VECTORS)
    np.testing.assert_allclose(once(VECTORS), other(7 + 3 * VECTORS), atol=1e-5)
    assert (once(VECTORS) ** 2).sum(axis=1).mean() == pytest.approx(1)
    assert Scale.of(VECTORS[:1])(VECTORS[:1]).tolist() == [[0.0] * 5]


def test_the_coordinate_is_a_ridge_regression_and_its_skill_that_of_leave_one_out() -> None:
    vectors = Scale.of(VECTORS)(VECTORS)
    noise = 0.1 * np.random.default_rng(2).normal(size=40)
    target = 0.5 + 0.3 * vectors[:, 1] + noise
    predictor, skill = fit_coordinate(vectors, target)
    errors = {}
    for penalty in np.logspace(-3, 3, 13):
        left_out = []
        for item in range(40):
            others = np.arange(40) != item
            model = Ridge(penalty).fit(vectors[others], target[others])
            left_out.append(float(target[item] - model.predict(vectors[[item]])[0]))
        errors[penalty] = np.mean(np.square(left_out))
    best = min(errors, key=lambda penalty: errors[penalty])
    expected = Ridge(best).fit(vectors, target).predict(vectors)
    assert predictor is not None
    np.testing.assert_allclose(predictor(vectors), expected, atol=1e-8)
    by_the_mean = np.mean([(target[i] - np.delete(target, i).mean()) ** 2 for i in range(40)])
    assert skill == pytest.approx(1 - errors[best] / by_the_mean)
    assert 0.3 < skill < 1


def test_noise_has_no_skill() -> None:
    generator = np.random.default_rng(3)
    skills = [
        fit_coordinate(generator.normal(size=(30, 60)), generator.random(30))[1] for _ in "abcdef"
    ]
    assert np.median(skills) < 0.1


def test_hard_is_balanced() -> None:
    """With 3 hard of 40 an unbalanced boundary would lie beyond the hard ones."""
    line = np.linspace(-1, 1, 40)[:, None]
    hard = np.arange(40) >= 37
    probability = fit_hard(line, hard, C=1.0)(line)
    assert (probability[hard] > 0.5).all()
    unbalanced = LogisticRegression().fit(line, hard).predict_proba(line)[:, 1]
    assert (unbalanced < 0.5).all()


def minimised(
    vectors: NDArray[np.float64], targets: NDArray[np.float64], C: float
) -> NDArray[np.float64]:
    """Minimise C times the sum of KL divergences plus half the squared norm of the weights."""
    num_classes, width = targets.shape[1], vectors.shape[1]

    def logits(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        weights = parameters.reshape(num_classes, width + 1)
        return np.asarray(vectors @ weights[:, :-1].T + weights[:, -1])

    def loss(parameters: NDArray[np.float64]) -> float:
        weights = parameters.reshape(num_classes, width + 1)[:, :-1]
        divergence = (targets * (np.log(targets) - log_softmax(logits(parameters), axis=1))).sum()
        return float(C * divergence + 0.5 * (weights**2).sum())

    start = np.zeros(num_classes * (width + 1))
    best = minimize(loss, start, method="BFGS", options={"gtol": 1e-7}).x
    return np.asarray(softmax(logits(best), axis=1))


def test_soft_labels_minimise_the_divergence() -> None:
    generator = np.random.default_rng(4)
    vectors, targets = generator.normal(size=(12, 2)), generator.dirichlet(np.ones(3), size=12)
    found = fit_distributions(vectors, targets, multi_label=False, C=2.0)(vectors)
    np.testing.assert_allclose(found, minimised(vectors, targets, 2.0), atol=2e-3)


def test_soft_multi_labels_have_a_model_each() -> None:
    generator = np.random.default_rng(5)
    vectors, targets = generator.normal(size=(12, 2)), generator.uniform(0.02, 0.98, size=(12, 3))
    found = fit_distributions(vectors, targets, multi_label=True, C=2.0)(vectors)
    for column, target in enumerate(targets.T):

        def loss(parameters: NDArray[np.float64], target: NDArray[np.float64] = target) -> float:
            p = expit(vectors @ parameters[:2] + parameters[2])
            cross_entropy = -(target * np.log(p) + (1 - target) * np.log(1 - p)).sum()
            return float(2.0 * cross_entropy + 0.5 * (parameters[:2] ** 2).sum())

        best = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-7}).x
        expected = expit(vectors @ best[:2] + best[2])
        np.testing.assert_allclose(found[:, column], expected, atol=2e-3)


def test_noise_is_seldom_taken_for_skill() -> None:
    """The best of thirteen penalties beats the mean on every second noise."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 100))
    taken = [fit_coordinate(vectors, rng.random(50))[0] is not None for _ in range(60)]
    assert np.mean(taken) < 0.15

from __future__ import annotations

import copy
import pickle
import random
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from small_text import (
    BALD,
    LeastConfidence,
    PoolBasedActiveLearner,
    RandomSampling,
    SklearnClassifierFactory,
    SklearnDataset,
    prediction_result,
)
from small_text.integrations.pytorch.query_strategies import BADGE

from small_text_ext.classifiers.mlp import (
    Head,
    MLPClassification,
    MLPClassificationFactory,
    MLPModelArguments,
)
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.protocols import EmbeddingClassifier, ProbabilisticClassifier, dense_proba
from small_text_ext.training.seams import UniformSelector
from tests.classifiers.data import NUM_CLASSES, NUM_FEATURES, dataset, multi, single, vectors
from tests.training.doubles import ListRecorder, MemberSelector


def mlp(
    hidden_size: int | None = None,
    dropout: float = 0.0,
    num_classes: int = NUM_CLASSES,
    **options: Any,  # noqa: ANN401
) -> MLPClassification:
    args = MLPModelArguments(hidden_size=hidden_size, dropout=dropout)
    return MLPClassification(args, num_classes, **{"seed": 1, **options})


def parameters(clf: MLPClassification) -> torch.Tensor:
    assert clf.model is not None
    return torch.cat([p.detach().flatten() for p in clf.model.parameters()])


def rare(num_items: int, num_rare: int, seed: int = 0) -> SklearnDataset:
    """Return a two-class dataset in 64 dimensions whose second class is rare and overlaps."""
    rng = np.random.default_rng(seed)
    y = (np.arange(num_items) < num_rare).astype(int)
    x = rng.standard_normal((num_items, 64))
    x[:, 0] += 3.0 * y
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return dataset(x.astype(np.float32), y, 2)


# Learning


@pytest.mark.parametrize("hidden_size", [None, 16])
def test_single_label(hidden_size: int | None) -> None:
    clf = mlp(hidden_size).fit(single())
    test = single(60, seed=1)
    predictions, proba = clf.predict(test, return_proba=True)
    assert (predictions == test.y).mean() > 0.95
    assert proba.dtype == np.float64
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_array_equal(clf.predict_proba(test), proba)


@pytest.mark.parametrize("hidden_size", [None, 16])
def test_multi_label(hidden_size: int | None) -> None:
    clf = mlp(hidden_size, multi_label=True).fit(multi())
    test = multi(60, seed=1)
    assert (clf.predict(test).toarray() == test.y.toarray()).mean() > 0.95
    proba = dense_proba(clf, test)
    assert proba.shape == (60, NUM_CLASSES)
    assert (proba > 0).all()


def test_two_class_multi_label() -> None:
    y = csr_matrix(np.stack([np.arange(120) % 3 != 1, np.arange(120) % 3 != 2], axis=1).astype(int))
    clf = mlp(num_classes=2, multi_label=True).fit(dataset(vectors(), y, 2))
    assert (clf.predict(dataset(vectors(seed=1), y, 2)) != y).nnz < 12


def test_multi_label_results_are_the_hosts() -> None:
    clf = mlp(multi_label=True, num_epochs=3).fit(multi())
    test = multi(30, seed=1)
    dense = dense_proba(clf, test)
    for threshold in (0.0, 0.3, 0.5, 1.0):
        expected = prediction_result(dense, True, NUM_CLASSES, True, threshold)
        given = clf.predict(test, return_proba=True, multi_label_threshold=threshold)
        for ours, theirs in zip(given, expected, strict=True):
            assert isinstance(ours, csr_matrix)
            assert ours.dtype == theirs.dtype
            assert ours.nnz == theirs.nnz
            np.testing.assert_array_equal(ours.toarray(), theirs.toarray())


def test_a_rare_class_is_ranked_as_well_as_by_logistic_regression() -> None:
    train, test = rare(300, 15), rare(2000, 60, seed=1)
    scores = mlp(num_classes=2).fit(train).predict_proba(test)[:, 1]
    reference = LogisticRegression(C=10, max_iter=1000).fit(train.x, train.y)
    expected = average_precision_score(test.y, reference.predict_proba(test.x)[:, 1])
    assert expected > 0.2  # against a prevalence of 0.03
    assert average_precision_score(test.y, scores) > expected - 0.02


def test_one_class_alone_can_be_trained_on() -> None:
    train = dataset(vectors(9), np.full(9, 1))
    for clf in (mlp(), mlp(16), mlp(class_weight="balanced"), mlp(validation_set_size=0.3)):
        proba = clf.fit(train).predict_proba(single(30))
        assert proba.shape == (30, NUM_CLASSES)
        assert (proba.argmax(axis=1) == 1).all()
    nothing = dataset(vectors(9), csr_matrix((9, NUM_CLASSES), dtype=int))
    assert mlp(multi_label=True).fit(nothing).predict(multi(30)).nnz == 0


def test_one_item_can_be_trained_on() -> None:
    clf = mlp(validation_set_size=0.5).fit(dataset(vectors(1), np.array([2])))
    assert clf.predict(dataset(vectors(1), np.array([-1]))).tolist() == [2]


def test_an_untrained_head_predicts_the_class_frequencies() -> None:
    train = dataset(vectors(100), np.repeat([0, 1, 2], [80, 15, 5]))
    even = mlp(num_epochs=1, lr=1e-9).fit(train).predict_proba(train)
    np.testing.assert_allclose(even, np.tile(np.array([81, 16, 6]) / 103, (100, 1)), atol=1e-5)
    balanced = mlp(num_epochs=1, lr=1e-9, class_weight="balanced").fit(train).predict_proba(train)
    np.testing.assert_allclose(balanced, np.full((100, 3), 1 / 3), atol=1e-5)


def test_the_scale_of_the_vectors_does_not_matter_to_a_linear_head() -> None:
    large = dataset(vectors() * 30, single().y)
    expected = mlp(weight_decay=0).fit(single()).predict(single(60, seed=1))
    given = mlp(weight_decay=0).fit(large).predict(dataset(vectors(60, 1) * 30, single(60).y))
    assert (given == expected).mean() > 0.95


def test_class_weights_raise_the_rare_class() -> None:
    train, test = rare(300, 15), rare(300, 15, seed=1)
    plain = mlp(num_classes=2).fit(train).predict_proba(test)[:, 1].mean()
    balanced = mlp(num_classes=2, class_weight="balanced").fit(train).predict_proba(test)[:, 1]
    assert balanced.mean() > 1.5 * plain


def test_class_weights_are_sample_weights_of_the_same_size() -> None:
    train = rare(200, 10)
    weights = np.where(train.y == 1, 200 / 20, 200 / 380)
    balanced = mlp(num_classes=2, class_weight="balanced").fit(train)
    weighted = mlp(num_classes=2).fit(train, weights=weights)
    torch.testing.assert_close(parameters(balanced), parameters(weighted), atol=1e-4, rtol=1e-4)


def test_sample_weights_belong_to_their_items() -> None:
    x = np.repeat(vectors(3)[:1], 40, axis=0)  # one vector, two labels: weights decide
    train = dataset(x, np.arange(40) % 2, 2)
    for label in (0, 1):
        weights = np.where(train.y == label, 9.0, 1.0)
        proba = mlp(num_classes=2, num_epochs=200).fit(train, weights=weights).predict_proba(train)
        assert proba[0, label] == pytest.approx(0.9, abs=0.03)
        again = mlp(num_classes=2, num_epochs=200).fit(train, weights=7 * weights)
        np.testing.assert_allclose(again.predict_proba(train), proba, atol=1e-4)


def test_sample_weights_stay_with_their_items_when_some_are_held_out() -> None:
    train = single(90)
    flipped = train.y.copy()
    wrong = np.arange(0, 90, 5)
    flipped[wrong] = (flipped[wrong] + 1) % 3
    weights = np.ones(90)
    weights[wrong] = 1e-6
    clf = mlp(validation_set_size=0.2).fit(dataset(train.x, flipped), weights=weights)
    plain = mlp(validation_set_size=0.2).fit(dataset(train.x, flipped))
    test = single(300, seed=1)
    assert clf.history_ is not None
    loss = -np.log(clf.predict_proba(test)[np.arange(300), test.y]).mean()
    plain_loss = -np.log(plain.predict_proba(test)[np.arange(300), test.y]).mean()
    assert loss < 0.7 * plain_loss


# Validation sets


def test_a_given_validation_set_decides_the_best_epoch() -> None:
    train = single(60)
    flipped = train.y.copy()
    flipped[:24] = (flipped[:24] + 1) % 3
    clf = mlp(32, num_epochs=60, lr=3.0, early_stopping_patience=None)
    clf.fit(dataset(train.x, flipped), validation_set=single(90, seed=1))
    assert clf.history_ is not None
    losses = clf.history_.validation_losses
    assert len(losses) == 60
    assert clf.history_.best_epoch == int(np.argmin(losses)) < 59
    proba = clf.predict_proba(single(90, seed=1))
    loss = -np.log(proba[np.arange(90), single(90).y]).mean()
    assert loss == pytest.approx(min(losses), rel=1e-4)


def test_early_stopping_stops() -> None:
    clf = mlp(num_epochs=200, lr=20.0, validation_set_size=0.2, early_stopping_patience=2)
    clf.fit(dataset(vectors(60), np.random.default_rng(0).integers(3, size=60)))
    assert clf.history_ is not None
    assert len(clf.history_.train_losses) == clf.history_.best_epoch + 3 < 200


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_split_holds_every_class_and_no_item_twice(multi_label: bool) -> None:
    recorder = ListRecorder("training")
    labels = np.repeat([0, 1, 2], [70, 29, 1])
    y = csr_matrix(np.eye(3, dtype=int)[labels]) if multi_label else labels
    clf = mlp(multi_label=multi_label, validation_set_size=0.2, num_epochs=1, recorder=recorder)
    clf.fit(dataset(vectors(100), y))
    trained = recorder.plans[0].ids.numpy()
    assert len(set(trained)) == 80
    assert abs(np.sum(labels[trained] == 0) - 56) <= 1
    assert 99 in trained  # the only item of its class is not held out
    assert sorted(recorder.ids_of(0)) == sorted(trained)


# Embeddings


def test_a_linear_head_embeds_as_the_vectors_themselves() -> None:
    clf = mlp().fit(single())
    np.testing.assert_array_equal(clf.embed(single(20)), vectors(20))


@pytest.mark.parametrize("multi_label", [False, True])
def test_embeddings_and_probabilities_come_from_one_pass(multi_label: bool) -> None:
    make = multi if multi_label else single
    clf = mlp(16, multi_label=multi_label).fit(make())
    passes: list[int] = []
    assert clf.model is not None
    clf.model.hidden.register_forward_hook(lambda *call: passes.append(len(call[1][0])))
    embeddings, proba = clf.embed(make(20), return_proba=True, multi_label_threshold=0.0)
    assert passes == [20]
    assert embeddings.shape == (20, 16)
    assert embeddings.dtype == np.float32
    logits = clf.model.output(torch.from_numpy(embeddings)).detach().double()
    expected = logits.sigmoid() if multi_label else logits.softmax(1)
    dense = proba.toarray() if multi_label else proba
    np.testing.assert_allclose(dense, expected.numpy(), atol=1e-6)


def test_what_strategies_ask_for_is_there() -> None:
    clf = mlp()
    assert isinstance(clf, ProbabilisticClassifier)
    assert isinstance(clf, EmbeddingClassifier)


# Seams


def test_the_recorder_sees_the_logits_of_the_rows_of_the_training_set() -> None:
    recorder = ListRecorder("epoch_end")
    clf = mlp(16, dropout=0.5, recorder=recorder, num_epochs=4).fit(single(50))
    logits = recorder.logits_of(3).numpy()
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(clf.predict_proba(single(50)), proba, atol=1e-6)


def test_the_selector_decides_what_is_trained() -> None:
    members = list(range(0, 120, 2))
    selector = MemberSelector(members, 120)
    chosen = mlp(batch_selector=selector, num_epochs=20).fit(single())
    half = dataset(vectors()[::2], single().y[::2])
    alone = mlp(num_epochs=20, batch_size=60).fit(half)
    whole = mlp(num_epochs=20, batch_size=120).fit(single())
    torch.testing.assert_close(
        parameters(chosen)[:30], parameters(alone)[:30], atol=0.05, rtol=0.05
    )
    assert (parameters(chosen) - parameters(whole)).abs().max() > 0.2


def test_uniform_selection_learns_too() -> None:
    clf = mlp(batch_selector=UniformSelector(40), batch_size=10, num_epochs=40).fit(single())
    assert clf.history_ is not None
    assert clf.history_.num_steps == 40 * 3
    assert (clf.predict(single(60, seed=1)) == single(60).y).mean() > 0.95


# Repetition and state


def test_same_seed_same_parameters_whatever_the_global_state() -> None:
    first = mlp(16, dropout=0.5).fit(single())
    random.seed(9)
    np.random.seed(9)  # noqa: NPY002
    torch.manual_seed(9)
    states = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())  # type: ignore[index]  # noqa: NPY002
    second = mlp(16, dropout=0.5).fit(single())
    second.predict(single())
    assert torch.equal(parameters(first), parameters(second))
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[index]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])
    assert not torch.equal(
        parameters(first), parameters(mlp(16, dropout=0.5, seed=2).fit(single()))
    )


def test_a_second_fit_starts_from_the_first() -> None:
    clf = mlp(num_epochs=40).fit(single())
    before = parameters(clf)
    clf.lr = 1e-9
    clf.fit(single(30, seed=3))
    torch.testing.assert_close(parameters(clf), before)
    fresh = mlp(num_epochs=40, lr=1e-9).fit(single(30, seed=3))
    assert not torch.allclose(parameters(fresh), before, atol=0.1)


def test_a_fit_that_fails_leaves_the_classifier_as_it_was() -> None:
    clf = mlp().fit(single())
    before = parameters(clf).clone()
    clf.lr = 1e38
    with pytest.raises(FloatingPointError):
        clf.fit(single())
    assert torch.equal(parameters(clf), before)


@pytest.mark.parametrize("pickler", [pickle, dill])
def test_pickles_with_its_parameters_alone(pickler: Any) -> None:  # noqa: ANN401
    clf = mlp(16, seed=None).fit(single())
    blob = pickler.dumps(clf)
    assert len(blob) < 20_000  # 275 parameters; the training vectors alone would be 5,760 more
    twin = pickler.loads(blob)
    np.testing.assert_array_equal(twin.predict_proba(single()), clf.predict_proba(single()))
    assert torch.equal(parameters(twin.fit(single(30))), parameters(clf.fit(single(30))))
    assert pickler.loads(pickler.dumps(mlp())).model is None


def test_deep_copies_are_independent() -> None:
    clf = mlp().fit(single())
    before = parameters(clf).clone()
    copy.deepcopy(clf).fit(single(30))
    assert torch.equal(parameters(clf), before)


# Input


def test_pool_embeddings_are_taken_as_they_are(tmp_path: Path) -> None:
    pool = PoolEmbeddings.from_array(vectors())
    whole, plain = dataset(pool, single().y), single()
    on_pool, on_array = mlp().fit(whole), mlp().fit(plain)
    torch.testing.assert_close(parameters(on_pool), parameters(on_array), atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(
        on_pool.predict_proba(whole[5:20]), on_array.predict_proba(plain[5:20]), atol=1e-6
    )
    view = whole[np.arange(60)]
    torch.testing.assert_close(
        parameters(mlp().fit(view)), parameters(mlp().fit(plain[:60])), atol=1e-5, rtol=1e-5
    )


def test_rows_are_scored_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    clf = mlp(16).fit(single())
    expected = clf.embed(single(50), return_proba=True)
    monkeypatch.setattr("small_text_ext.classifiers.mlp._INFERENCE_ROWS", 7)
    for ours, theirs in zip(clf.embed(single(50), return_proba=True), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("multi_label", [False, True])
def test_an_empty_dataset_gives_the_hosts_empty_results(multi_label: bool) -> None:
    make = multi if multi_label else single
    clf = mlp(16, multi_label=multi_label).fit(make())
    empty = make()[np.array([], dtype=int)]
    predictions, proba = clf.predict(empty, return_proba=True)
    assert predictions.shape[0] == clf.predict(empty).shape[0] == 0
    assert predictions.dtype == np.int64
    assert proba.shape == clf.predict_proba(empty).shape == (0, NUM_CLASSES)
    assert clf.embed(empty).shape == (0, 16)


@pytest.mark.filterwarnings("error")
def test_read_only_vectors_are_taken_without_a_warning() -> None:
    x = vectors()
    x.flags.writeable = False
    frozen = dataset(x, single().y)
    assert torch.equal(parameters(mlp().fit(frozen)), parameters(mlp().fit(single())))
    mlp().fit(frozen).predict(frozen)


def test_float64_and_integer_vectors_are_cast() -> None:
    as_float64 = dataset(vectors().astype(np.float64), single().y)
    assert torch.equal(parameters(mlp().fit(as_float64)), parameters(mlp().fit(single())))
    counts = dataset(np.eye(3, dtype=int), np.arange(3))
    assert mlp().fit(counts).predict(counts).tolist() == [0, 1, 2]


def broken(value: float) -> NDArray[np.float32]:
    x = vectors()
    x[3, 4] = value
    return x


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused(value: float) -> None:
    bad = dataset(broken(value), single().y)
    with pytest.raises(ValueError, match="NaN or infinite"):
        mlp().fit(bad)
    with pytest.raises(ValueError, match="NaN or infinite"):
        mlp().fit(single()).predict(bad)


def test_sparse_features_are_refused_with_the_remedy() -> None:
    sparse = dataset(csr_matrix(vectors()), single().y)
    for call in (mlp().fit, mlp().fit(single()).predict):
        with pytest.raises(TypeError, match=r"PoolEmbeddings\.encode"):
            call(sparse)


def test_another_dimension_is_refused() -> None:
    clf = mlp().fit(single())
    narrow = dataset(vectors()[:, :5], single().y)
    for call in (clf.predict, clf.embed, clf.fit):
        with pytest.raises(ValueError, match=f"dimension 5, but .* dimension {NUM_FEATURES}"):
            call(narrow)
    with pytest.raises(ValueError, match="dimension 5"):
        mlp().fit(single(), validation_set=narrow)


def test_predicting_before_a_fit_says_so() -> None:
    for call in (mlp().predict, mlp().predict_proba, mlp().embed):
        with pytest.raises(ValueError, match="call fit first"):
            call(single())


def test_a_threshold_is_a_probability() -> None:
    with pytest.raises(ValueError, match=r"multi_label_threshold is 1\.5"):
        mlp(multi_label=True).fit(multi()).predict_proba(multi(), multi_label_threshold=1.5)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"num_classes": 1}, ValueError, "num_classes is 1"),
        ({"num_classes": 2.0}, TypeError, "num_classes is 2.0"),
        ({"num_epochs": 0}, ValueError, "num_epochs is 0"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
        ({"lr": 0.0}, ValueError, "lr is 0.0"),
        ({"lr": float("nan")}, ValueError, "lr is nan"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay is -1.0"),
        ({"class_weight": "equal"}, ValueError, "class_weight is 'equal'"),
        ({"validation_set_size": 1.0}, ValueError, "validation_set_size is 1.0"),
        ({"early_stopping_patience": 0}, ValueError, "early_stopping_patience is 0"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"hidden_size": 0}, ValueError, "hidden_size is 0"),
        ({"dropout": 1.0}, ValueError, "dropout is 1.0"),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        mlp(**options)


def test_model_arguments_are_not_mistaken() -> None:
    with pytest.raises(TypeError, match="pass an MLPModelArguments"):
        MLPClassification("roberta-base", 2)  # type: ignore[arg-type]


def test_the_head_has_the_layers_it_was_asked_for() -> None:
    linear = Head(5, 2, MLPModelArguments())
    assert [tuple(p.shape) for p in linear.parameters()] == [(2, 5), (2,)]
    hidden = Head(5, 2, MLPModelArguments(hidden_size=3))
    assert [tuple(p.shape) for p in hidden.parameters()] == [(3, 5), (3,), (2, 3), (2,)]


# The factory, and the host's learner


def test_a_factory_makes_equal_classifiers() -> None:
    for seed in (None, 3, np.random.default_rng(3)):
        factory = MLPClassificationFactory(MLPModelArguments(16), NUM_CLASSES, {"seed": seed})
        twin = pickle.loads(pickle.dumps(factory))
        fitted = [maker.new().fit(single()) for maker in (factory, factory, twin)]
        for clf in fitted[1:]:
            assert torch.equal(parameters(clf), parameters(fitted[0]))


def test_a_factory_refuses_bad_arguments_at_once() -> None:
    with pytest.raises(TypeError, match="no_such_argument"):
        MLPClassificationFactory(MLPModelArguments(), 2, {"no_such_argument": 1})
    options: dict[str, Any] = {"seed": None}
    MLPClassificationFactory(MLPModelArguments(), 2, options)
    assert options == {"seed": None}


def learner_and_truth(
    multi_label: bool,
    factory: Any,  # noqa: ANN401
    strategy: Any,  # noqa: ANN401
    **options: Any,  # noqa: ANN401
) -> tuple[PoolBasedActiveLearner, Any]:
    full = (multi if multi_label else single)(240)
    learner = PoolBasedActiveLearner(factory, strategy, full, **options)
    learner.initialize(np.arange(12))
    return learner, full.y


def rounds(learner: PoolBasedActiveLearner, truth: Any, count: int) -> list[list[int]]:  # noqa: ANN401
    picks = []
    for _ in range(count):
        queried = learner.query(num_samples=6)
        learner.update(truth[queried])
        picks.append(sorted(queried.tolist()))
    return picks


def mlp_factory(**options: Any) -> MLPClassificationFactory:  # noqa: ANN401
    return MLPClassificationFactory(MLPModelArguments(16), NUM_CLASSES, {"seed": 4, **options})


def sklearn_factory() -> SklearnClassifierFactory:
    return SklearnClassifierFactory(LogisticRegression(), NUM_CLASSES)


@pytest.mark.parametrize("factory", [mlp_factory, sklearn_factory])
@pytest.mark.parametrize("reuse_model", [False, True])
def test_a_learner_runs_and_goes_on_after_save_and_load(
    tmp_path: Path,
    factory: Any,  # noqa: ANN401
    reuse_model: bool,
) -> None:
    learner, truth = learner_and_truth(False, factory(), LeastConfidence(), reuse_model=reuse_model)
    rounds(learner, truth, 2)
    learner.save(tmp_path / "learner", create_folder=True)
    twin = PoolBasedActiveLearner.load(tmp_path / "learner")
    assert rounds(twin, truth, 3) == rounds(learner, truth, 3)
    test = single(60, seed=1)
    assert (learner.classifier.predict(test) == test.y).mean() > 0.9


def test_a_multi_label_learner_goes_on_after_save_and_load(tmp_path: Path) -> None:
    learner, truth = learner_and_truth(True, mlp_factory(multi_label=True), RandomSampling())
    learner.save(tmp_path / "learner", create_folder=True)
    twin = PoolBasedActiveLearner.load(tmp_path / "learner")
    for each in (learner, twin):
        np.random.seed(0)  # noqa: NPY002  the host's strategy draws from the global state
        rounds(each, truth, 2)
    assert torch.equal(parameters(learner.classifier), parameters(twin.classifier))
    test = multi(60, seed=1)
    assert (learner.classifier.predict(test) != test.y).sum() < 0.1 * 60 * NUM_CLASSES


@pytest.mark.parametrize("hidden_size", [None, 16])
def test_badge_queries_embeddings_and_probabilities(hidden_size: int | None) -> None:
    factory = MLPClassificationFactory(MLPModelArguments(hidden_size), NUM_CLASSES, {"seed": 4})
    learner, truth = learner_and_truth(False, factory, BADGE(NUM_CLASSES))
    picks = rounds(learner, truth, 2)
    assert len({index for queried in picks for index in queried} - set(range(12))) == 12


def test_a_learner_goes_on_after_an_ignored_text() -> None:
    learner, truth = learner_and_truth(False, mlp_factory(), LeastConfidence())
    queried = learner.query(num_samples=6)
    labels = truth[queried].astype(float)
    labels[2] = -np.inf
    learner.update(labels)
    assert learner.y.dtype.kind == "f"
    assert len(rounds(learner, truth, 2)) == 2


def test_a_learner_hands_over_its_validation_set() -> None:
    learner, truth = learner_and_truth(False, mlp_factory(), LeastConfidence())
    queried = learner.query(num_samples=6)
    learner.update(truth[queried], indices_validation=np.arange(5))
    assert learner.classifier.history_.validation_losses


def test_a_constant_rate_keeps_on_learning_where_a_falling_one_comes_to_rest() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 8)).astype(np.float32)
    data_set = SklearnDataset(x, (x[:, 0] > 0).astype(int), target_labels=np.arange(2))

    def losses(schedule: Any) -> list[float]:  # noqa: ANN401
        clf = MLPClassification(
            MLPModelArguments(), 2, num_epochs=20, lr=0.1, lr_scheduler_type=schedule, seed=0
        ).fit(data_set)
        assert clf.history_ is not None
        return clf.history_.train_losses

    falling, constant = losses("linear"), losses("constant")
    assert falling[0] == constant[0]
    assert constant[-2] - constant[-1] > 3 * (falling[-2] - falling[-1])
    with pytest.raises(ValueError, match="lr_scheduler_type is 'cosine'"):
        MLPClassification(MLPModelArguments(), 2, lr_scheduler_type="cosine")  # type: ignore[arg-type]


# Samples with dropout


def test_dropout_samples_vary_about_the_prediction_and_repeat_themselves() -> None:
    clf = mlp(16, dropout=0.4).fit(single())
    samples = clf.predict_proba(single(), dropout_sampling=30)
    exact = clf.predict_proba(single())
    assert samples.shape == (len(exact), 30, NUM_CLASSES)
    np.testing.assert_allclose(samples.sum(axis=2), 1, atol=1e-6)
    assert (samples.std(axis=1).max(axis=1) > 1e-4).mean() > 0.9
    assert np.abs(samples.mean(axis=1) - exact).mean() < 0.1
    np.testing.assert_array_equal(clf.predict_proba(single(), dropout_sampling=30), samples)
    np.testing.assert_array_equal(clf.predict_proba(single()), exact)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.75])
def test_masks_of_bits_are_dropout(share: float) -> None:
    head = Head(6, 3, MLPModelArguments(hidden_size=37, dropout=share))
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            parameter.fill_(1.0 if name in ("hidden.0.bias", "output.weight") else 0.0)
    # Every hidden unit is 1, and all are summed: logits are multiples of what one kept unit is.
    torch.manual_seed(0)
    sums = head.sampled_logits(torch.zeros(50, 6), 40)
    assert sums.shape == (40, 50, 3)
    assert not sums.requires_grad
    kept = sums[..., 0] * (1 - share)
    torch.testing.assert_close(kept, kept.round(), rtol=0, atol=1e-2)
    spread = (share * (1 - share) * 37) ** 0.5
    assert abs(float(kept.mean()) - (1 - share) * 37) <= 5 * spread / 2000**0.5
    assert float(kept.std()) == pytest.approx(spread, rel=0.1, abs=1e-6)


def test_a_head_without_dropout_gives_one_sample_again_and_again() -> None:
    clf = mlp(16).fit(single())
    samples = clf.predict_proba(single(), dropout_sampling=3)
    for number in range(3):
        np.testing.assert_allclose(samples[:, number], clf.predict_proba(single()), atol=1e-6)


def test_dropout_samples_of_several_labels_are_dense() -> None:
    clf = mlp(16, dropout=0.4, multi_label=True).fit(multi())
    samples = clf.predict_proba(multi(), dropout_sampling=2)
    assert isinstance(samples, np.ndarray)
    assert np.abs(samples.sum(axis=2) - 1).max() > 0.05


@pytest.mark.parametrize("wrong", [0, -1, 1.5])
def test_a_wrong_number_of_samples_is_refused(wrong: Any) -> None:  # noqa: ANN401
    with pytest.raises((TypeError, ValueError), match="dropout_sampling"):
        mlp(16).fit(single()).predict_proba(single(), dropout_sampling=wrong)


def test_small_text_s_bald_can_ask_for_samples() -> None:
    clf, data = mlp(16, dropout=0.4).fit(single()), single()
    scores = BALD(dropout_samples=5).score(clf, data, np.arange(4), np.arange(4, 8), data.y[4:8])
    assert scores.shape == (len(data),)
    assert (scores > 0).any()

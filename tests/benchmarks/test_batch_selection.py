from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_text import SklearnDataset

from benchmarks import irreducible
from benchmarks.batch_selection import (
    SelectionResult,
    SelectionSettings,
    SelectionTask,
    irrelevant_classes,
    run_selection,
    selection_parameters,
    structured_flips,
)
from benchmarks.classifiers import build_factory
from benchmarks.noise import flip_labels
from benchmarks.results import ClassifierRecord
from benchmarks.side_classifiers import SideClassifier, side_record

NUM_CLASSES = 4
OPTIONS: dict[str, Any] = {"num_epochs": 4, "batch_size": 8, "lr_scheduler_type": "constant"}


def points(num: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(num) % NUM_CLASSES)
    rows = generator.normal(size=(num, 8))
    rows[np.arange(num), labels] += 3.0
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


TRAIN, LABELS = points(480, seed=0)
TEST, TEST_LABELS = points(200, seed=1)


def dataset(x: NDArray[np.float32], labels: NDArray[np.int64]) -> Any:  # noqa: ANN401
    return SklearnDataset(x, labels, target_labels=np.arange(NUM_CLASSES))


def task(*, seed: int = 3, **params: Any) -> SelectionTask:  # noqa: ANN401
    record = ClassifierRecord(id="mlp", kind="mlp", params=OPTIONS)
    test_set = dataset(TEST, TEST_LABELS)
    return SelectionTask(
        SelectionSettings.from_params({"selected_fraction": 0.25, **params}),
        build_factory(record, NUM_CLASSES, seed=1),
        pool_set=partial(dataset, TRAIN),
        vectors=partial(dataset, TRAIN),
        test_set=test_set,
        test_vectors=test_set,
        labels=LABELS,
        test_labels=TEST_LABELS,
        num_classes=NUM_CLASSES,
        seed=seed,
        key=f"seed {seed}",
    )


def mean_of(found: SelectionResult, measure: str) -> float:
    values = [each.metrics[measure] for each in found.evaluations]
    return float(np.mean([value for value in values if value is not None]))


@pytest.mark.parametrize(
    "score", ["uniform", "loss", "irreducible_loss", "reducible_loss", "gradient_norm_sampling"]
)
def test_a_fit_is_judged_after_every_pass_over_the_candidates(score: str) -> None:
    found = run_selection(task(score=score))
    assert [each.step for each in found.evaluations] == [15, 30, 45, 60]
    for each in found.evaluations:
        assert set(each.metrics) >= {"accuracy", "macro_f1", "selected_correct", "selected_noisy"}
        assert 0 < each.seconds["select"] < each.seconds["fit"]
        assert each.metrics["selected_correct"] is not None, "asked for where the score did not"
        assert each.metrics["selected_noisy"] == each.metrics["selected_irrelevant"] == 0.0
    assert (found.evaluations[0].seconds["irreducible"] > 0) == ("reducible" in score)
    assert ("irreducible_accuracy" in found.evaluations[-1].metrics) == ("reducible" in score)
    assert len(found.rows) == len(LABELS)


def test_the_accuracy_is_that_of_the_classifier_that_selects_the_same() -> None:
    from small_text_ext.training.online_selection import ScoreSelector

    found = run_selection(task(score="loss"))
    clf = task().factory.new()
    clf.batch_selector = ScoreSelector("loss", selected_fraction=0.25)
    clf.fit(dataset(TRAIN, LABELS))
    accuracy = float((clf.predict(dataset(TEST, TEST_LABELS)) == TEST_LABELS).mean())
    assert found.evaluations[-1].metrics["accuracy"] == pytest.approx(accuracy)


def test_reducible_loss_leaves_wrong_labels_alone_where_the_loss_seeks_them() -> None:
    # On so easy points the model is soon surer of itself than one that knows of a fifth of errors:
    # at the temperature that suits those, its surprise at wrong labels looks reducible.
    settings: dict[str, Any] = {"noise": 0.2, "irreducible_temperature": 0.2, "lr": 0.1}
    wrong = {
        score: mean_of(run_selection(task(score=score, **settings)), "selected_noisy")
        for score in ("uniform", "loss", "reducible_loss")
    }
    assert wrong["uniform"] == pytest.approx(0.2, abs=0.07)
    assert wrong["loss"] > 0.5
    assert wrong["reducible_loss"] < 0.1


def test_irrelevant_classes_are_neither_tested_nor_held_out() -> None:
    gone = irrelevant_classes(NUM_CLASSES, 0.5, seed=3)
    shares = {}
    for score in ("uniform", "reducible_loss"):
        found = run_selection(task(score=score, irrelevant=0.5, hold_out=0.25))
        shares[score] = mean_of(found, "selected_irrelevant")
        held = np.setdiff1d(np.arange(len(LABELS)), found.rows)
        assert len(held) == round(0.25 * (~np.isin(LABELS, gone)).sum())
        assert not np.isin(LABELS[held], gone).any()
    share_in_pool = 0.5 / (0.5 + 0.5 * 0.75)
    assert shares["uniform"] == pytest.approx(share_in_pool, abs=0.05)
    assert shares["reducible_loss"] < 0.2


def test_more_passes_are_more_steps_and_a_rate_of_its_own_changes_the_curve() -> None:
    plain, longer, slower = (
        run_selection(task(score="uniform", **params))
        for params in (dict[str, Any](), {"passes": 2.0}, {"lr": 0.001})
    )
    assert [found.evaluations[-1].step for found in (plain, longer, slower)] == [60, 120, 60]
    assert slower.evaluations[0].metrics != plain.evaluations[0].metrics


def test_two_runs_are_equal_and_share_their_irreducible_losses() -> None:
    irreducible._known.clear()
    first = run_selection(task(score="reducible_loss", noise=0.2))
    assert len(irreducible._known) == 1
    again = run_selection(task(score="reducible_loss", noise=0.2))
    assert [each.metrics for each in first.evaluations] == [
        each.metrics for each in again.evaluations
    ]
    seconds = [found.evaluations[0].seconds["irreducible"] for found in (first, again)]
    assert seconds[0] == seconds[1], "what was computed once is counted in every unit"
    run_selection(task(score="reducible_loss", noise=0.2, num_folds=2))
    run_selection(task(seed=4, score="reducible_loss", noise=0.2))
    assert len(irreducible._known) == 3


def test_a_pool_too_small_to_choose_from_is_refused() -> None:
    small = replace(task(score="loss", selected_fraction=0.01))
    with pytest.raises(ValueError, match="There is nothing to choose: 480 texts"):
        run_selection(small)


def test_structured_flips_go_to_the_next_class_and_hit_the_same_items() -> None:
    labels, flipped = structured_flips(LABELS, NUM_CLASSES, 0.3, seed=5)
    assert (labels[flipped] == (LABELS[flipped] + 1) % NUM_CLASSES).all()
    assert (flipped == flip_labels(LABELS, NUM_CLASSES, 0.3, seed=5)[1]).all()


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"noise": 1.0}, ValueError, "noise is 1.0"),
        ({"noise_kind": "odd"}, ValueError, "noise_kind is 'odd'"),
        ({"num_folds": 1}, ValueError, "num_folds is 1"),
        ({"passes": 0}, ValueError, "passes is 0"),
        ({"lr": -1.0}, ValueError, "lr is -1.0"),
        ({"score": "losses"}, ValueError, "score is 'losses'"),
        ({"score": "core-set-entropy", "temperature": 1.0}, TypeError, "takes no temperature"),
        ({"selected_fraction": 0.0}, ValueError, "selected_fraction is 0.0"),
    ],
)
def test_settings_are_checked(params: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SelectionSettings.from_params(params)


def test_a_suite_may_set_what_is_no_model_and_no_array() -> None:
    names = selection_parameters()
    assert {"score", "noise", "class_weight_rate", "training_mode", "temperature"} <= names
    assert not names & {"self", "options", "irreducible", "scorer", "known_noisy"}


def test_the_pass_over_the_test_set_is_not_on_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    from small_text_ext.training import head_trainer

    original, clock = head_trainer._logits, time.perf_counter
    added = 0.0

    def slow(module: Any, inputs: Any, training: bool = False) -> Any:  # noqa: ANN401
        nonlocal added
        added += 1000 * (len(inputs) == len(TEST))
        return original(module, inputs, training)

    monkeypatch.setattr(head_trainer, "_logits", slow)
    monkeypatch.setattr(time, "perf_counter", lambda: clock() + added)
    for each in run_selection(task(score="loss")).evaluations:
        assert each.seconds["evaluate"] >= 1000
        assert each.seconds["fit"] < 1000


def test_vectors_are_on_the_bill_of_what_needs_them() -> None:
    found = {
        score: run_selection(replace(task(score=score), vector_seconds=1.0)).evaluations[0]
        for score in ("uniform", "reducible_loss", "core-set-entropy")
    }
    billed = {score: each.seconds["irreducible"] for score, each in found.items()}
    assert billed["uniform"] == 0
    assert min(billed["reducible_loss"], billed["core-set-entropy"]) > len(LABELS)


@pytest.mark.parametrize("method", ["entropy", "least-confidence", "forgetting"])
def test_a_core_set_is_chosen_once_and_trained_whole(method: str) -> None:
    found = run_selection(task(score=f"core-set-{method}", noise=0.2))
    assert len(found.rows) == 120
    assert [each.step for each in found.evaluations] == [15, 30, 45, 60]
    assert found.evaluations[0].seconds["irreducible"] > 0
    shares = [each.metrics["selected_noisy"] for each in found.evaluations]
    assert shares[0] is not None
    assert shares == [shares[0]] * 4


HEAD: dict[str, Any] = {"kind": "mlp", "params": {"num_epochs": 6, "hidden_size": 8}}


def with_side(**params: Any) -> SelectionTask:  # noqa: ANN401
    def beside(value: Any) -> SideClassifier:  # noqa: ANN401
        factory = build_factory(side_record(value), NUM_CLASSES, seed=1)
        return SideClassifier(
            factory, partial(dataset, TRAIN), dataset(TEST, TEST_LABELS), "vectors"
        )

    return replace(task(**params), side_classifier=beside)


def test_an_updated_irreducible_model_is_asked_anew_in_every_step() -> None:
    settings: dict[str, Any] = {"hold_out": 0.5, "irreducible_classifier": HEAD, "noise": 0.2}
    frozen = run_selection(with_side(**settings))
    updated = run_selection(with_side(**settings, update_irreducible=True))
    for found in (frozen, updated):
        assert found.evaluations[0].metrics["irreducible_accuracy"] == pytest.approx(0.9, abs=0.1)
        assert len(found.rows) == 240
    assert [each.metrics["negative"] for each in frozen.evaluations] != [
        each.metrics["negative"] for each in updated.evaluations
    ], "what it learns from what is selected changes the scores"


def test_a_proxy_scores_in_the_place_of_the_trained_model() -> None:
    own = run_selection(with_side(score="loss", noise=0.2))
    proxied = run_selection(with_side(score="loss", noise=0.2, proxy_classifier=HEAD))
    assert mean_of(proxied, "selected_noisy") > 0.25, "wrong labels surprise it, too"
    assert [each.metrics for each in own.evaluations] != [
        each.metrics for each in proxied.evaluations
    ]


def test_a_core_set_is_chosen_by_the_proxy_that_is_named() -> None:
    own, named = (
        run_selection(with_side(score="core-set-entropy", **params))
        for params in ({}, {"proxy_classifier": HEAD})
    )
    assert len(named.rows) == len(own.rows) == 120
    assert set(named.rows.tolist()) != set(own.rows.tolist())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hold_out_used": 0.5}, "hold_out_used is a share of what is set aside"),
        ({"hold_out": 0.5, "hold_out_used": 0.0}, "hold_out_used is 0.0"),
        ({"irreducible_smallest": 0.5}, "irreducible_smallest is 0.5"),
        ({"update_irreducible": True}, "pass hold_out and irreducible_classifier"),
        ({"score": "uniform", "proxy_classifier": HEAD}, "which uniform has no use for"),
        ({"score": "bald", "proxy_classifier": HEAD}, "which bald has no use for"),
    ],
)
def test_settings_of_classifiers_beside_are_checked(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SelectionSettings.from_params(params)


def test_a_name_in_the_place_of_a_classifier_is_refused() -> None:
    with pytest.raises(TypeError, match="irreducible_classifier is 'mlp'"):
        SelectionSettings.from_params({"irreducible_classifier": "mlp"})

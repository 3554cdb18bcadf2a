from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import irreducible
from benchmarks.batch_selection import SelectionTask
from benchmarks.classifiers import build_factory
from benchmarks.irreducible import Irreducible, find_irreducible, used_part
from benchmarks.side_classifiers import SideClassifier, side_record
from tests.benchmarks.test_batch_selection import (
    LABELS,
    NUM_CLASSES,
    TEST,
    TEST_LABELS,
    TRAIN,
    dataset,
    task,
)

HEAD: dict[str, Any] = {"kind": "mlp", "params": {"num_epochs": 6, "validation_set_size": 0.0}}
ROWS, HELD = np.arange(0, 480, 2), np.arange(1, 480, 2)
NOTHING = np.arange(0)
TEST_ROWS = np.arange(len(TEST))


def beside(value: Any) -> SideClassifier:  # noqa: ANN401
    factory = build_factory(side_record(value), NUM_CLASSES, seed=1)
    return SideClassifier(
        factory, partial(dataset, TRAIN), dataset(TEST, TEST_LABELS), features="vectors"
    )


def of(held: NDArray[np.int64], **params: Any) -> tuple[SelectionTask, Irreducible]:  # noqa: ANN401
    irreducible._known.clear()
    asked = task(irreducible_temperature=1.0, **params)
    asked = replace(asked, side_classifier=beside)
    rows = ROWS if len(held) else np.arange(480)
    return asked, find_irreducible(asked, LABELS, rows, held, TEST_ROWS)


def test_losses_are_those_of_the_named_classifier_taught_what_is_set_aside() -> None:
    _, found = of(HELD, hold_out=0.5, irreducible_classifier=HEAD, irreducible_smallest=1e-9)
    clf = build_factory(side_record(HEAD), NUM_CLASSES, seed=1).new()
    train_set = dataset(TRAIN, LABELS)
    # The published choice of an epoch: by the loss on what is trained.
    clf.fit(train_set[HELD], validation_set=train_set[ROWS])
    expected = -np.log(clf.predict_proba(train_set[ROWS])[np.arange(len(ROWS)), LABELS[ROWS]])
    np.testing.assert_allclose(found.losses[ROWS], expected, rtol=1e-4)
    assert np.isnan(found.losses[HELD]).all()
    right = clf.predict(dataset(TEST, TEST_LABELS)) == TEST_LABELS
    assert found.accuracy == pytest.approx(right.mean())
    assert found.num_vectors == 480
    assert found.model is None


def test_two_halves_judge_each_other() -> None:
    _, found = of(NOTHING, num_folds=2, irreducible_classifier=HEAD)
    assert np.isfinite(found.losses).all()
    assert found.accuracy > 0.8
    assert float(np.median(found.losses)) < np.log(NUM_CLASSES)


def test_the_smallest_probability_bounds_the_losses() -> None:
    settings: dict[str, Any] = {"hold_out": 0.5, "irreducible_classifier": HEAD}
    labels = np.where(np.arange(480) % 7 == 0, (LABELS + 1) % NUM_CLASSES, LABELS)
    highest = {}
    for smallest in (0.2, 1e-9):
        asked, _ = of(HELD, irreducible_smallest=smallest, **settings)
        irreducible._known.clear()
        found = find_irreducible(asked, labels, ROWS, HELD, TEST_ROWS)
        highest[smallest] = float(np.nanmax(found.losses))
    assert highest[0.2] == pytest.approx(-np.log(0.2), rel=1e-4)
    assert highest[1e-9] > highest[0.2]


def test_a_part_of_the_hold_out_set_is_even_in_the_classes_and_lies_in_a_larger_one() -> None:
    parts = {share: used_part(HELD, LABELS, share, seed=3) for share in (1.0, 0.75, 0.25)}
    assert parts[1.0] is HELD
    for share, part in parts.items():
        expected = np.round(share * np.bincount(LABELS[HELD]))
        assert np.bincount(LABELS[part]).tolist() == expected.tolist()
    assert np.isin(parts[0.25], parts[0.75]).all()
    assert used_part(HELD, LABELS, 1e-6, seed=3).size == NUM_CLASSES, "one of each class at least"


def test_a_smaller_part_of_the_hold_out_set_knows_less() -> None:
    sizes = {}
    for share in (1.0, 0.03):
        _, found = of(HELD, hold_out=0.5, hold_out_used=share, irreducible_classifier=HEAD)
        sizes[share] = float(np.nanmean(found.losses))
    assert sizes[0.03] > sizes[1.0]


def test_twins_of_what_is_trained_are_not_learnt_from() -> None:
    asked, _ = of(HELD, hold_out=0.5)
    twins = TRAIN.copy()
    twins[HELD[:10]] = twins[ROWS[:10]]
    asked = replace(asked, vectors=partial(dataset, twins), key="twins")
    found = find_irreducible(asked, LABELS, ROWS, HELD, TEST_ROWS)
    assert np.isfinite(found.losses[ROWS]).all()
    twins[HELD] = twins[ROWS]
    asked = replace(asked, vectors=partial(dataset, twins), key="all twins")
    with pytest.raises(ValueError, match="All 240 texts that are set aside are trained, too"):
        find_irreducible(asked, LABELS, ROWS, HELD, TEST_ROWS)


def test_the_model_is_kept_where_it_goes_on_learning_and_must_read_the_same() -> None:
    settings: dict[str, Any] = {
        "hold_out": 0.5,
        "irreducible_classifier": HEAD,
        "update_irreducible": True,
    }
    asked, found = of(HELD, **settings)
    assert found.model is not None
    again = find_irreducible(asked, LABELS, ROWS, HELD, TEST_ROWS)
    assert again.model is not found.model, "the next fit starts from what the last one did, too"
    np.testing.assert_array_equal(again.losses, found.losses)
    irreducible._known.clear()
    with pytest.raises(ValueError, match="reads texts, and the one beside it reads vectors"):
        find_irreducible(replace(asked, features="texts"), LABELS, ROWS, HELD, TEST_ROWS)


def test_a_named_classifier_needs_someone_to_make_it() -> None:
    asked = task(hold_out=0.5, irreducible_classifier=HEAD)
    irreducible._known.clear()
    with pytest.raises(ValueError, match="pass side_classifier, which makes it"):
        find_irreducible(asked, LABELS, ROWS, HELD, TEST_ROWS)

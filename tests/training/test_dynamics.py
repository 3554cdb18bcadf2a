"""What is recorded of a fit, and what it is checked for."""

from __future__ import annotations

import copy
import gzip
import pickle
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from small_text import SklearnDataset

from small_text_ext import MLPClassification, MLPClassificationFactory, MLPModelArguments
from small_text_ext.training import dynamics as dynamics_module
from small_text_ext.training.dynamics import DynamicsRecorder, HeldOutRecorder, TrainingDynamics
from small_text_ext.training.dynamics_files import read_metrics
from small_text_ext.training.dynamics_metrics import map_regions
from small_text_ext.training.seams import FitPlan, UniformSelector
from tests.classifiers import texts
from tests.sources import ROOT
from tests.training.doubles import ListRecorder

WINOGRANDE = ROOT.parent / "shared/data/winogrande_roberta_0_6_data_map_coordinates.jsonl.gz"


def vectors(num_items: int = 60, seed: int = 0) -> SklearnDataset:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_items, 5)).astype(np.float32)
    return SklearnDataset(x, (x[:, 0] > 0).astype(int), target_labels=np.arange(2))


def fitted(recorder: Any, **options: Any) -> MLPClassification:  # noqa: ANN401
    options = {"num_epochs": 4, "batch_size": 16, "seed": 1, **options}
    clf = MLPClassification(MLPModelArguments(), 2, recorder=recorder, **options)
    return clf.fit(vectors())


class Both:
    """Hands everything to two recorders."""

    def __init__(self, *recorders: Any) -> None:  # noqa: ANN401
        self.recorders, self.observe = recorders, recorders[0].observe

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        # What neither has, such as the optional parts of the seam, this has not either.
        methods = [getattr(recorder, name) for recorder in self.recorders]

        def call(*args: Any) -> None:  # noqa: ANN401
            for method in methods:
                method(*args)

        return call


@pytest.mark.parametrize("observe", ["training", "epoch_end"])
def test_records_what_the_seam_is_told(observe: Any) -> None:  # noqa: ANN401
    seen, recorder = ListRecorder(observe), DynamicsRecorder(observe)
    fitted(Both(recorder, seen))
    dynamics = recorder.dynamics
    assert dynamics.ids.tolist() == list(range(60))
    assert dynamics.labels.tolist() == vectors().y.tolist()
    for epoch in range(4):
        expected = seen.logits_of(epoch).numpy()
        np.testing.assert_array_equal(dynamics.logits[epoch], expected)


def test_the_two_observations_differ_and_the_last_is_the_models() -> None:
    during, after = DynamicsRecorder("training"), DynamicsRecorder("epoch_end")
    fitted(during)
    clf = fitted(after)
    assert not np.allclose(during.dynamics.logits, after.dynamics.logits)
    last = after.dynamics.logits[-1].astype(float)
    proba = np.exp(last) / np.exp(last).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(proba, clf.predict_proba(vectors()), atol=1e-6)


def test_records_a_fine_tuned_encoder() -> None:
    recorder, seen = DynamicsRecorder("training"), ListRecorder("training")
    clf = texts.classifier(num_epochs=2, batch_size=8, recorder=Both(recorder, seen))
    clf.fit(texts.single(24))
    assert recorder.dynamics.logits.shape == (2, 24, 3)
    np.testing.assert_array_equal(recorder.dynamics.logits[1], seen.logits_of(1).numpy())


@pytest.mark.parametrize("kind", ["head", "encoder"])
def test_held_out_items_are_observed_and_not_trained(kind: str) -> None:
    if kind == "head":
        train_set, held_out = vectors(), vectors(20, seed=9)
        clf: Any = MLPClassification(MLPModelArguments(), 2, num_epochs=3, seed=1)
    else:
        train_set, held_out = texts.single(24), texts.single(9, seed=9)
        clf = texts.classifier(num_epochs=3, batch_size=8)
    plain = copy.deepcopy(clf).fit(train_set)
    clf.recorder = HeldOutRecorder(held_out)
    clf.fit(train_set)
    logits = clf.recorder.logits.astype(float)
    assert logits.shape == (3, len(held_out), clf.num_classes)
    proba = np.exp(logits[-1]) / np.exp(logits[-1]).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(proba, clf.predict_proba(held_out), atol=1e-5)
    np.testing.assert_allclose(plain.predict_proba(held_out), clf.predict_proba(held_out))
    assert not np.allclose(logits[0], logits[-1])


def test_a_recorder_of_held_out_items_needs_some() -> None:
    class Empty(ListRecorder):
        def __init__(self) -> None:
            super().__init__("held_out")

    with pytest.raises(TypeError, match="attribute held_out"):
        fitted(Empty())


def test_items_split_off_for_validation_are_not_mapped() -> None:
    recorder = DynamicsRecorder()
    fitted(recorder, validation_set_size=0.25)
    ids = recorder.dynamics.ids
    assert 40 <= len(ids) < 60
    assert recorder.dynamics.labels.tolist() == vectors().y[ids].tolist()


def test_an_early_stop_leaves_the_epochs_that_were_completed() -> None:
    recorder = DynamicsRecorder("epoch_end")
    clf = fitted(recorder, num_epochs=50, validation_set_size=0.25, early_stopping_patience=1, lr=8)
    assert clf.history_ is not None
    assert recorder.dynamics.num_epochs == len(clf.history_.train_losses) < 50


def test_a_selector_is_named_where_it_leaves_items_out_and_the_fit_is_not_lost() -> None:
    recorder = DynamicsRecorder("training")
    clf = fitted(recorder, batch_selector=UniformSelector(32))
    assert len(clf.predict(vectors())) == 60
    with pytest.raises(ValueError, match=r"Item \d+ was not trained in epoch 0 .*epoch_end"):
        _ = recorder.dynamics
    complete = DynamicsRecorder("epoch_end")
    fitted(complete, batch_selector=UniformSelector(32))
    assert len(complete.dynamics) == 60


def test_nothing_recorded_yet_is_an_error() -> None:
    with pytest.raises(ValueError, match="call the classifier's fit"):
        _ = DynamicsRecorder().dynamics
    with pytest.raises(ValueError, match="observe is 'sometimes'"):
        DynamicsRecorder("sometimes")  # type: ignore[arg-type]


def test_a_fit_without_a_whole_epoch_has_no_map() -> None:
    recorder = DynamicsRecorder()
    recorder.begin(FitPlan(torch.arange(3), 2, 5, 1, False, 0))
    recorder.record(torch.arange(2), torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64), 0)
    recorder.end(0)
    with pytest.raises(ValueError, match="No epoch was completed"):
        _ = recorder.dynamics


def test_a_second_fit_replaces_the_map() -> None:
    recorder = DynamicsRecorder()
    clf = fitted(recorder)
    first = recorder.dynamics
    clf.fit(vectors(30, seed=2))
    assert len(recorder.dynamics) == 30
    assert len(first) == 60


def test_large_recordings_go_into_a_file() -> None:
    small, large = DynamicsRecorder(), DynamicsRecorder(max_memory=100)
    fitted(small), fitted(large)
    assert isinstance(large.dynamics.logits, np.memmap)
    assert not isinstance(small.dynamics.logits, np.memmap)
    pd.testing.assert_frame_equal(large.dynamics.metrics(), small.dynamics.metrics())
    copied = pickle.loads(pickle.dumps(large.dynamics))
    assert not isinstance(copied.logits, np.memmap)
    pd.testing.assert_frame_equal(copied.metrics(), small.dynamics.metrics())


def test_a_folder_keeps_the_recording(tmp_path: Path) -> None:
    recorder = DynamicsRecorder(folder=tmp_path / "map")
    fitted(recorder)
    opened = TrainingDynamics.open(tmp_path / "map")
    assert isinstance(opened.logits, np.memmap)
    pd.testing.assert_frame_equal(opened.metrics(), recorder.dynamics.metrics())
    (tmp_path / "map/labels.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"labels\.npy"):
        TrainingDynamics.open(tmp_path / "map")


@pytest.mark.parametrize("recorder", [DynamicsRecorder(), HeldOutRecorder(vectors(7, seed=3))])
def test_recorders_travel_with_their_classifier(recorder: Any) -> None:  # noqa: ANN401
    clf = fitted(recorder)
    restored = dill.loads(dill.dumps(clf))
    if isinstance(recorder, DynamicsRecorder):
        expected = recorder.dynamics.metrics()
        pd.testing.assert_frame_equal(restored.recorder.dynamics.metrics(), expected)
    else:
        np.testing.assert_array_equal(restored.recorder.logits, recorder.logits)


@pytest.mark.parametrize(
    ("logits", "labels", "ids", "message"),
    [
        (np.zeros((2, 3)), [0, 0, 0], None, r"shape \(2, 3\)"),
        (np.zeros((0, 3, 2)), [0, 0, 0], None, "at least one"),
        (np.zeros((1, 3, 1)), [0, 0, 0], None, "at least 2"),
        (np.zeros((1, 3, 2)), [0, 0], None, r"labels have the shape \(2,\)"),
        (np.zeros((1, 3, 2)), [0, 2, 0], ["a", "b", "c"], "label of item 'b' is 2"),
        (np.zeros((1, 3, 2)), [0, -1, 0], None, "label of item 1 is -1"),
        (np.zeros((1, 2, 2)), [[0, 1], [2, 0]], None, "label of item 1 is 2: pass 0 or 1"),
        (np.zeros((1, 3, 2)), [0, 0, 0], [1, 2, 1], "id 1 occurs 2 times"),
        (np.zeros((1, 3, 2)), [0, 0, 0], [1, 2], r"ids have the shape \(2,\)"),
        ([[[0, 1], [0, np.nan]]], [0, 0], ["x", "y"], "item 'y' in epoch 0 are .*nan"),
    ],
)
def test_what_cannot_be_a_map_is_refused(
    logits: Any,  # noqa: ANN401
    labels: Any,  # noqa: ANN401
    ids: Any,  # noqa: ANN401
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingDynamics.from_logits(logits, labels, ids)


def test_one_epoch_is_a_map_without_variability() -> None:
    metrics = TrainingDynamics.from_logits([[[2.0, 0.0], [0.0, 1.0]]], [0, 0]).metrics()
    assert metrics["variability"].tolist() == [0.0, 0.0]
    assert metrics["forgetfulness"].tolist() == [0, 1000]


def test_some_items_can_be_taken() -> None:
    recorder = DynamicsRecorder()
    fitted(recorder)
    rows = [5, 2]
    expected = recorder.dynamics.metrics().iloc[rows].drop(columns="index").reset_index(drop=True)
    given = recorder.dynamics.take(rows).metrics().drop(columns="index")
    pd.testing.assert_frame_equal(given, expected)


def test_temporary_files_are_the_exception() -> None:
    assert dynamics_module._LARGEST_IN_MEMORY > 4 * 10 * 67_349 * 58


@pytest.mark.skipif(
    not WINOGRANDE.is_file(),
    reason="the released WinoGrande coordinates are not beside the project",
)
def test_regions_of_the_released_winogrande_map() -> None:
    """Counts of the published file: 40,398 items, thirds of 13,409."""
    metrics = read_metrics(WINOGRANDE)
    assert len(metrics) == 40_398
    counts = metrics["correctness"].value_counts().to_dict()
    assert counts == {6: 24_900, 5: 12_215, 4: 2_208, 3: 698, 2: 266, 1: 84, 0: 27}
    regions = {k: set(v.tolist()) for k, v in map_regions(metrics, 13_409 / 40_398).items()}
    assert {len(rows) for rows in regions.values()} == {13_409}
    assert len(regions["ambiguous"] & regions["hard"]) == 9_536
    assert not regions["ambiguous"] & regions["easy"]
    assert len(set().union(*regions.values())) == 30_691
    with gzip.open(WINOGRANDE, "rt", encoding="utf-8") as file:
        assert '"guid":17715' in file.readline()


def test_a_fit_that_fails_leaves_the_last_map() -> None:
    for recorder in (DynamicsRecorder(), HeldOutRecorder(vectors(9, seed=3))):
        clf: Any = fitted(recorder)
        before = np.array(_logits_of(clf.recorder))
        clf.lr = 1e30
        with pytest.raises(FloatingPointError):
            clf.fit(vectors())
        np.testing.assert_array_equal(_logits_of(clf.recorder), before)
        assert pickle.loads(pickle.dumps(clf)) is not None


def _logits_of(recorder: Any) -> Any:  # noqa: ANN401
    return recorder.logits if isinstance(recorder, HeldOutRecorder) else recorder.dynamics.logits


def test_each_classifier_of_a_factory_has_a_recorder_of_its_own() -> None:
    made = MLPClassificationFactory(
        MLPModelArguments(), 2, {"recorder": DynamicsRecorder(), "seed": 0, "num_epochs": 3}
    )
    first: Any = made.new().fit(vectors())
    before = first.recorder.dynamics.metrics()
    second: Any = made.new().fit(vectors(30, seed=5))
    assert first.recorder is not second.recorder
    pd.testing.assert_frame_equal(first.recorder.dynamics.metrics(), before)
    assert len(second.recorder.dynamics) == 30


def test_a_map_that_cannot_be_made_does_not_keep_a_learner_from_being_saved() -> None:
    clf = fitted(DynamicsRecorder("training"), batch_selector=UniformSelector(32))
    restored = pickle.loads(pickle.dumps(clf))
    with pytest.raises(ValueError, match="was not trained in epoch"):
        _ = restored.recorder.dynamics


def test_what_lies_in_a_folder_is_pickled_as_its_path(tmp_path: Path) -> None:
    recorder = DynamicsRecorder(folder=tmp_path / "map")
    clf = MLPClassification(MLPModelArguments(), 2, num_epochs=50, recorder=recorder, seed=0)
    clf.fit(vectors(2000))
    small = pickle.dumps(clf)
    assert len(small) < recorder.dynamics.logits.nbytes / 4
    restored = pickle.loads(small)
    pd.testing.assert_frame_equal(restored.recorder.dynamics.metrics(), recorder.dynamics.metrics())


def test_lower_precisions_are_recorded() -> None:
    recorder = DynamicsRecorder()
    recorder.begin(FitPlan(torch.arange(3), 2, 1, 3, False, 0))
    logits = torch.tensor([[1.0, 0.5], [0.0, 2.0], [3.0, 1.0]], dtype=torch.bfloat16)
    recorder.record(torch.arange(3), logits, torch.zeros(3, dtype=torch.int64), 0)
    recorder.end(1)
    np.testing.assert_array_equal(recorder.dynamics.logits[0], logits.float().numpy())


def test_batches_are_put_in_place_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = DynamicsRecorder(), DynamicsRecorder()
    fitted(whole)
    monkeypatch.setattr(dynamics_module, "_BUFFERED", 40)
    fitted(parts)
    np.testing.assert_array_equal(parts.dynamics.logits, whole.dynamics.logits)


def test_ids_and_labels_of_other_kinds() -> None:
    logits = np.zeros((1, 2, 2))
    for ids in ([1, "a"], [2**63 + 1, -1]):
        with pytest.raises(ValueError, match="several types, or too large"):
            TrainingDynamics.from_logits(logits, [0, 1], ids)
    sparse = TrainingDynamics.from_logits(logits, csr_matrix([[0, 1], [1, 1]]))
    assert sparse.labels.tolist() == [[0.0, 1.0], [1.0, 1.0]]
    with pytest.raises(ValueError, match="at least one item"):
        sparse.take([])
    with pytest.raises(ValueError, match=r"burn_out is 2\.0"):
        sparse.metrics(burn_out=2.0)  # type: ignore[arg-type]


def test_ties_of_a_region_go_to_the_earlier_item() -> None:
    same = {"confidence": np.full(64, 0.5), "variability": np.full(64, 0.1)}
    for rows in map_regions(same, 0.25).values():
        assert rows.tolist() == list(range(16))
    pair = {"confidence": [0.1, 0.2], "variability": [0.1, 0.2]}
    with pytest.raises(ValueError, match="There are 2 items"):
        map_regions(pair, 0.3, exclusive=True)

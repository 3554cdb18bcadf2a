from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.results import UnitResult, write_result
from benchmarks.suggestions import SuiteError
from benchmarks.tracking import FOLDER, TRACKERS, Tracker, curve_points, open_tracker
from small_text_ext._extras import MissingExtraError
from tests.benchmarks.synthetic import make_failure, make_result


def track(name: str, folder: Path) -> UnitResult:
    """Track one unit that passed, twice, and one that failed."""
    result = make_result("anchoral", 0, (0.25, 0.5))
    failure = write_result(make_failure("random", 1), folder)
    tracker = open_tracker(name, folder)
    for path in (write_result(result, folder), failure):
        assert tracker.log(path) is None
    return result


def test_tensorboard_has_the_curves_and_the_specification(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    track("tensorboard", tmp_path)
    result = track("tensorboard", tmp_path)
    place = tmp_path / FOLDER / "tensorboard" / result.spec.relative_path.with_suffix("")
    events: Any = EventAccumulator(str(place))
    events.Reload()
    points = [(event.step, event.value) for event in events.Scalars("minority_f1")]
    assert points == [(100, 0.125), (125, 0.25)]
    assert [event.value for event in events.Scalars("seconds_query")] == [0.0, 0.5]
    (text,) = events.Tensors("spec/text_summary")
    assert "AnchorAL" in text.tensor_proto.string_val[0].decode()
    assert not (place.parents[1] / "random").exists(), "a failed unit has no curve"


def test_mlflow_has_the_curves_and_the_specification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    result = track("mlflow", tmp_path)
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / FOLDER / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("demo")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params["method.strategy"] == "AnchorAL"
    assert run.data.tags["spec_hash"] == result.spec_hash
    history = client.get_metric_history(run.info.run_id, "minority_f1")
    assert [(point.step, point.value) for point in history] == [(100, 0.125), (125, 0.25)]


def test_wandb_keeps_a_run_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    track("wandb", tmp_path)
    runs = list((tmp_path / FOLDER / "wandb").glob("offline-run-*"))
    assert len(runs) == 1
    assert list(runs[0].glob("*.wandb"))


def test_a_tracker_that_fails_says_so_and_the_run_goes_on(tmp_path: Path) -> None:
    def unreachable(result: UnitResult) -> None:
        raise ConnectionError("no answer")

    path = write_result(make_result("anchoral", 0), tmp_path)
    said = Tracker(unreachable).log(path)
    assert said is not None
    assert said.endswith("seed-0.json was not tracked: ConnectionError: no answer")


def test_nothing_is_tracked_unless_asked_for(tmp_path: Path) -> None:
    assert open_tracker(None, tmp_path).log(tmp_path / "no such file") is None
    assert not (tmp_path / FOLDER).exists()


def test_the_axis_is_labels_or_steps_and_what_was_not_measured_is_left_out() -> None:
    record = make_result("anchoral", 0, (0.25, 0.5)).rounds[1]
    metrics = {"accuracy": 0.5, "ece": None}
    record = record.model_copy(update={"metrics": metrics, "seconds": {"fit": 2.0}})
    assert curve_points(record) == (125, {"accuracy": 0.5, "seconds_fit": 2.0})
    assert curve_points(record.model_copy(update={"step": 7}))[0] == 7


def test_an_unknown_tracker_and_missing_packages_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SuiteError, match="Did you mean 'tensorboard'"):
        open_tracker("tensorbord", tmp_path)
    for name in TRACKERS:
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingExtraError, match=rf"small-text-ext\[{name}\]"):
            TRACKERS[name](tmp_path)
    assert sorted(TRACKERS) == ["mlflow", "tensorboard", "wandb"]

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import worker
from benchmarks.loop import UnitData
from benchmarks.results import UnitSpec, read_result
from benchmarks.runner import encode_pending, make_tasks, prepare_run
from benchmarks.selection import Selection, select_suite
from benchmarks.worker import DataSource, Task, execute, limited_threads
from tests.tiny_models import tiny_model


@pytest.fixture
def tasks(suite_file: Path, tmp_path: Path) -> list[Task]:
    suite = select_suite(Selection(str(suite_file), methods=["random", "least-confidence"]))
    run = prepare_run(suite, tmp_path)
    return make_tasks(run.pending, encode_pending(run, show_progress=False), tmp_path, threads=1)


def test_a_unit_leaves_a_file_and_an_outcome_without_data(tasks: list[Task]) -> None:
    task = tasks[0]
    outcome = execute(task)
    assert (outcome.spec, outcome.status) == (task.unit.spec, "passed")
    assert "AP 0." in outcome.message
    result = read_result(task.results / task.unit.spec.relative_path)
    assert (result.status, result.spec_hash) == ("passed", task.unit.hash)
    large = replace(task.source, labels=np.zeros(1_000_000, dtype=np.int64))
    assert len(pickle.dumps(execute(replace(task, source=large)))) < 10_000


def test_an_error_is_the_result_of_a_unit(tasks: list[Task]) -> None:
    broken = replace(tasks[0], source=replace(tasks[0].source, labels=np.zeros(3, dtype=np.int64)))
    worker._last_data.clear()
    outcome = execute(broken)
    result = read_result(broken.results / broken.unit.spec.relative_path)
    assert (outcome.status, result.status) == ("failed", "failed")
    assert result.error is not None
    assert outcome.message == f"{result.error.type}: {result.error.message}"
    assert "Traceback" in result.error.traceback


def test_units_of_one_seed_share_their_data(
    tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def spy(spec: UnitSpec, source: DataSource) -> UnitData:
        loaded.append(spec.seed.number)
        return original(spec, source)

    original = worker.load_unit_data
    monkeypatch.setattr(worker, "load_unit_data", spy)
    worker._last_data.clear()
    assert {execute(task).status for task in tasks} == {"passed"}
    assert [task.unit.spec.seed.number for task in tasks] == [0, 0, 1, 1]
    assert loaded == [0, 1]


def test_threads_are_limited_and_given_back() -> None:
    before = torch.get_num_threads()
    with limited_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_texts_stay_on_disk_and_go_to_classifiers_on_texts(
    suite_file: Path, tmp_path: Path
) -> None:
    model = tiny_model(tmp_path / "model")
    quick = ["classifiers.transformer.num_epochs=1", "classifiers.transformer.max_length=8"]
    selection = Selection(
        str(suite_file),
        seeds=1,
        methods=["random"],
        classifiers=["logistic", "transformer"],
        overrides=[*quick, "rounds=1"],
        model=str(model),
    )
    run = prepare_run(select_suite(selection), tmp_path)
    sources = encode_pending(run, show_progress=False)
    assert len(pickle.dumps(sources["titles"])) < 10_000
    tasks = make_tasks(run.pending, sources, tmp_path, threads=1)
    worker._last_data.clear()
    assert [execute(task).status for task in tasks] == ["passed", "passed"]
    (data,) = worker._last_data.values()
    assert data.pool_texts is not None
    assert len(data.pool_texts) == len(data.pool_labels)

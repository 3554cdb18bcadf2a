from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.executors import check_backend, run_tasks, threads_per_worker
from benchmarks.suggestions import SuiteError
from benchmarks.worker import Task
from small_text_ext._extras import MissingExtraError
from tests.benchmarks.mortal_units import (
    assert_only_the_culprit_failed,
    seed_tasks,
    with_two_killers,
)


@pytest.fixture
def tasks(suite_file: Path, tmp_path: Path) -> list[Task]:
    return seed_tasks(suite_file, tmp_path, seeds=3)


def test_units_outlive_the_death_of_a_worker_and_the_culprit_has_failed(
    tasks: list[Task], tmp_path: Path
) -> None:
    mortal = with_two_killers(tasks, tmp_path / "died-once")
    assert_only_the_culprit_failed(mortal, list(run_tasks(mortal, jobs=2)))


def test_jobs_and_backend_are_checked(tasks: list[Task]) -> None:
    with pytest.raises(SuiteError, match="--jobs is 0"):
        list(run_tasks(tasks, jobs=0))
    with pytest.raises(SuiteError, match="Did you mean 'loky'"):
        list(run_tasks(tasks, jobs=2, backend="lokki"))
    with pytest.raises(SuiteError, match="loky runs on this machine alone: add --backend dask"):
        check_backend("loky", 2, "tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    ("backend", "module", "extra"), [("dask", "distributed", "dask"), ("ray", "ray", "ray")]
)
def test_a_backend_that_is_not_installed_names_its_extra(
    backend: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"small-text-ext\[{extra}\]"):
        check_backend(backend, 1)


def test_workers_share_the_cores() -> None:
    cores = os.cpu_count() or 1
    assert threads_per_worker(1) == cores
    assert threads_per_worker(10 * cores) == 1

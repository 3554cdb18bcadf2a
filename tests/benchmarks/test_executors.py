from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.executors import run_tasks, threads_per_worker
from benchmarks.results import iterate_results, read_result
from benchmarks.runner import encode_pending, make_tasks, prepare_run
from benchmarks.selection import Selection, select_suite
from benchmarks.suggestions import SuiteError
from benchmarks.worker import Task


@dataclass
class MortalLabels:
    """Labels that kill the process that reads them, once (which leaves a trace) or every time.

    The second kind waits for the trace of the first: a pool that dies before the first has been
    read would leave its one death to the time when it runs alone.
    """

    labels: NDArray[np.int64]
    trace: Path
    only_once: bool

    def __len__(self) -> int:
        if not self.only_once:
            self._wait()
            self._die()
        if not self.trace.exists():
            self.trace.touch()
            self._die()
        return len(self.labels)

    def _wait(self) -> None:
        deadline = time.monotonic() + 120
        while not self.trace.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def __getitem__(self, rows: Any) -> Any:  # noqa: ANN401 - as numpy's
        return self.labels[rows]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.int64]:  # noqa: ANN401
        return self.labels

    def _die(self) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")


@pytest.fixture
def tasks(suite_file: Path, tmp_path: Path) -> list[Task]:
    suite = select_suite(Selection(str(suite_file), seeds=3, methods=["random"]))
    run = prepare_run(suite, tmp_path)
    sources = encode_pending(run, show_progress=False)
    return make_tasks(run.pending, sources, tmp_path, threads=1)


def with_labels(task: Task, trace: Path, *, only_once: bool) -> Task:
    mortal: Any = MortalLabels(task.source.labels, trace, only_once)
    return replace(task, source=replace(task.source, labels=mortal))


def test_units_outlive_the_death_of_a_worker_and_the_culprit_has_failed(
    tasks: list[Task], tmp_path: Path
) -> None:
    trace = tmp_path / "died-once"
    once = with_labels(tasks[0], trace, only_once=True)
    always = with_labels(tasks[1], trace, only_once=False)
    outcomes = {
        outcome.spec.seed.number: outcome.status
        for outcome in run_tasks([once, always, tasks[2]], jobs=2)
    }
    assert outcomes == {0: "passed", 1: "failed", 2: "passed"}
    assert len(list(iterate_results(tmp_path))) == 3
    error = read_result(tmp_path / always.unit.spec.relative_path).error
    assert error is not None
    assert error.type == "WorkerDiedError"
    assert "twice" in error.message


def test_jobs_and_backend_are_checked(tasks: list[Task]) -> None:
    with pytest.raises(SuiteError, match="--jobs is 0"):
        list(run_tasks(tasks, jobs=0))
    with pytest.raises(SuiteError, match="Did you mean 'loky'"):
        list(run_tasks(tasks, jobs=2, backend="lokki"))


def test_workers_share_the_cores() -> None:
    cores = os.cpu_count() or 1
    assert threads_per_worker(1) == cores
    assert threads_per_worker(10 * cores) == 1

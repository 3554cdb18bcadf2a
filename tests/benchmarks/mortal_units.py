"""Units that kill the worker that runs them."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import iterate_results, read_result
from benchmarks.runner import encode_pending, make_tasks, prepare_run
from benchmarks.selection import Selection, select_suite
from benchmarks.worker import Outcome, Task


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
        deadline = time.monotonic() + 600
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


def seed_tasks(suite_file: Path, folder: Path, seeds: int) -> list[Task]:
    """Return one task for each seed of random sampling."""
    suite = select_suite(Selection(str(suite_file), seeds=seeds, methods=["random"]))
    run = prepare_run(suite, folder)
    sources = encode_pending(run, show_progress=False)
    return make_tasks(run.pending, sources, folder, threads=1)


def with_labels(task: Task, trace: Path, *, only_once: bool) -> Task:
    """Return a task whose worker dies, the first time or every time."""
    mortal: Any = MortalLabels(task.source.labels, trace, only_once)
    return replace(task, source=replace(task.source, labels=mortal))


def with_two_killers(tasks: list[Task], trace: Path) -> list[Task]:
    """Return the tasks, the first of which kills its worker once and the second every time."""
    once = with_labels(tasks[0], trace, only_once=True)
    return [once, with_labels(tasks[1], trace, only_once=False), *tasks[2:]]


def assert_only_the_culprit_failed(tasks: list[Task], outcomes: list[Outcome]) -> None:
    """Check outcomes and result files of :func:`with_two_killers`."""
    found = {outcome.spec.seed.number: outcome.status for outcome in outcomes}
    assert len(outcomes) == len(tasks)
    expected = {number: "failed" if number == 1 else "passed" for number in range(len(tasks))}
    assert found == expected, [outcome.message for outcome in outcomes]
    folder = tasks[0].results
    assert len(list(iterate_results(folder))) == len(tasks)
    error = read_result(folder / tasks[1].unit.spec.relative_path).error
    assert error is not None
    assert error.type == "WorkerDiedError"
    assert "died twice" in error.message

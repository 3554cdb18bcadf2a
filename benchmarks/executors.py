"""Where units run: in this process, or in several through joblib.

A backend is a function from tasks to outcomes, in the order in which they finish. Results are
written by the worker that made them, so whatever ends a run, what has finished stays.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.results import write_result
from benchmarks.suggestions import SuiteError, unknown_name
from benchmarks.worker import Outcome, Task, execute, failed_result

Executor = Callable[[Sequence[Task], int], Iterator[Outcome]]


class WorkerDiedError(RuntimeError):
    """A worker ended in the middle of a unit: killed, out of memory, or crashed."""


def threads_per_worker(jobs: int) -> int:
    """Return how many threads each of ``jobs`` workers may use, so that they share the cores."""
    return max(1, (os.cpu_count() or 1) // jobs)


def run_tasks(tasks: Sequence[Task], jobs: int, backend: str = "loky") -> Iterator[Outcome]:
    """Run tasks and yield their outcomes as they finish.

    Parameters
    ----------
    tasks : sequence of Task
        What to run.
    jobs : int
        Number of units at a time; 1 runs in this process.
    backend : str, default="loky"
        A name in :data:`BACKENDS`.

    Yields
    ------
    Outcome
        One for each task.

    Raises
    ------
    SuiteError
        If ``jobs`` is below 1 or the backend is unknown.
    """
    if jobs < 1:
        raise SuiteError(f"--jobs is {jobs}: at least 1.")
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    if jobs == 1:
        yield from map(execute, tasks)
    elif tasks:
        yield from BACKENDS[backend](tasks, jobs)


def _run_in_processes(tasks: Sequence[Task], jobs: int) -> Iterator[Outcome]:
    """Run tasks in processes; units that were running when one died are run again, one by one.

    joblib cannot tell whose worker died, and gives up all units in flight. Alone, each of them
    shows whether it was the one: a unit that ends its worker a second time has failed.
    """
    remaining = list(range(len(tasks)))
    while remaining:
        with tempfile.TemporaryDirectory() as folder:
            yield from _until_death(tasks, remaining, jobs, Path(folder))
            suspects = [number for number in remaining if _marker(Path(folder), number).exists()]
        # A worker that died before its unit began leaves no mark: the next in line must be it.
        for number in suspects or remaining[:1]:
            remaining.remove(number)
            yield _run_alone(tasks[number])


def _until_death(
    tasks: Sequence[Task], remaining: list[int], jobs: int, markers: Path
) -> Iterator[Outcome]:
    """Yield outcomes, and take them off ``remaining``, until all are done or a worker dies."""
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    queue = [delayed(_execute_marked)(tasks[n], n, _marker(markers, n)) for n in remaining]
    threads = threads_per_worker(jobs)
    with parallel_config(backend="loky", inner_max_num_threads=threads):
        parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
        try:
            for number, outcome in parallel(queue):
                remaining.remove(number)
                yield outcome
        except TerminatedWorkerError:
            return


def _execute_marked(task: Task, number: int, marker: Path) -> tuple[int, Outcome]:
    marker.touch()
    outcome = execute(task)
    marker.unlink()
    return number, outcome


def _marker(folder: Path, number: int) -> Path:
    return folder / str(number)


def _run_alone(task: Task) -> Outcome:
    from joblib.externals.loky import ProcessPoolExecutor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    with ProcessPoolExecutor(max_workers=1) as executor:
        try:
            outcome: Outcome = executor.submit(execute, task).result()
        except TerminatedWorkerError as death:
            error = WorkerDiedError(f"the worker died twice, the second time alone: {death}")
            error.__cause__ = death
            write_result(failed_result(task, error), task.results)
            return Outcome(task.unit.spec, "failed", 0.0, f"{type(error).__name__}: {error}")
    return outcome


BACKENDS: Mapping[str, Executor] = {"loky": _run_in_processes}
"""Backends by name; a cluster's is one more joblib backend with the same signature."""

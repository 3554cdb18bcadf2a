"""Where units run: in this process, in several through joblib, or on a cluster.

A backend turns tasks into outcomes, in the order in which they finish. Results are
written by the worker that made them, so whatever ends a run, what has finished stays.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import clusters
from benchmarks.suggestions import SuiteError, unknown_name
from benchmarks.worker import Outcome, Task, execute, lost_unit


@dataclass(frozen=True)
class Backend:
    """A place where units run.

    Parameters
    ----------
    run : callable
        From tasks, the number of jobs and the address to outcomes.
    check : callable
        Takes the address; raises an error that says what to do if units cannot run there.
    """

    run: Callable[[Sequence[Task], int, str | None], Iterator[Outcome]]
    check: Callable[[str | None], None]


def threads_per_worker(jobs: int) -> int:
    """Return how many threads each of ``jobs`` workers may use, so that they share the cores."""
    return max(1, (os.cpu_count() or 1) // jobs)


def check_backend(backend: str, jobs: int, address: str | None = None) -> None:
    """Check that units can be run as they are asked to be, before anything else is done.

    Parameters
    ----------
    backend, jobs, address
        As :func:`run_tasks` takes them.

    Raises
    ------
    SuiteError
        If ``jobs`` is below 1, the backend is unknown, or an address is given to one without.
    MissingExtraError
        If the backend is not installed.
    ClusterError
        If no cluster answers at the address.
    """
    if jobs < 1:
        raise SuiteError(f"--jobs is {jobs}: at least 1.")
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    BACKENDS[backend].check(address)


def run_tasks(
    tasks: Sequence[Task], jobs: int, backend: str = "loky", address: str | None = None
) -> Iterator[Outcome]:
    """Run tasks and yield their outcomes as they finish.

    A unit whose worker dies is run again; one that kills its worker twice has failed (with
    ``loky``, twice while it runs alone).

    Parameters
    ----------
    tasks : sequence of Task
        What to run.
    jobs : int
        Number of units at a time; 1 runs in this process with ``loky``. On a cluster that is
        running already, all its workers are used, however few the jobs.
    backend : str, default="loky"
        A name in :data:`BACKENDS`.
    address : str or None, default=None
        Of a running cluster; None starts one on this machine.

    Yields
    ------
    Outcome
        One for each task.

    Raises
    ------
    SuiteError, MissingExtraError, ClusterError
        See :func:`check_backend`.
    """
    check_backend(backend, jobs, address)
    if tasks:
        yield from BACKENDS[backend].run(tasks, jobs, address)


def _run_here(tasks: Sequence[Task], jobs: int, address: str | None) -> Iterator[Outcome]:
    return map(execute, tasks) if jobs == 1 else _run_in_processes(tasks, jobs)


def _run_in_processes(tasks: Sequence[Task], jobs: int) -> Iterator[Outcome]:
    """Run tasks in processes; units that were running when one died are run again, one by one.

    joblib cannot tell whose worker died, and gives up all units in flight. Alone, each of them
    shows whether it was the one: a unit that ends two workers by itself has failed. One such end
    is not enough, for the first death may have been another unit's, or nobody's.
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
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        return _in_new_process(task)
    except TerminatedWorkerError:  # once may be somebody else's doing
        try:
            return _in_new_process(task)
        except TerminatedWorkerError as death:
            return lost_unit(task, death)


def _in_new_process(task: Task) -> Outcome:
    from joblib.externals.loky import ProcessPoolExecutor

    with ProcessPoolExecutor(max_workers=1) as executor:
        outcome: Outcome = executor.submit(execute, task).result()
    return outcome


BACKENDS: Mapping[str, Backend] = {
    "loky": Backend(_run_here, partial(clusters.local_only, "loky")),
    "dask": Backend(clusters.run_with_dask, clusters.check_dask),
    "ray": Backend(clusters.run_with_ray, clusters.check_ray),
}
"""Backends by name."""

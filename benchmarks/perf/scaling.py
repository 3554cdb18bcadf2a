"""``perf scaling``: units per hour with one worker and with several, one thread in each."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from benchmarks.executors import check_backend, run_tasks
from benchmarks.perf.shared import (
    REPEATS_HEADING,
    Target,
    console,
    make_table,
    ratios,
    spread,
    target_table,
    write_measurement,
)
from benchmarks.runner import encode_pending, make_tasks, prepare_run
from benchmarks.selection import Selection, select_suite
from benchmarks.suggestions import SuiteError
from benchmarks.worker import Task

_ASKED = 1.7
_SECONDS_PER_HOUR = 3600
_THREADS = 1

MakeTasks = Callable[[Path], Sequence[Task]]
Say = Callable[[str], object]


@dataclass
class Throughput:
    """What so many workers get done.

    Parameters
    ----------
    jobs : int
        Number of workers.
    units : int
        Units of a repeat.
    seconds : list of float
        Of each repeat, workers being there already.
    """

    jobs: int
    units: int
    seconds: list[float] = field(default_factory=list)

    @property
    def per_hour(self) -> tuple[float, ...]:
        """Units per hour of each repeat."""
        return tuple(self.units * _SECONDS_PER_HOUR / seconds for seconds in self.seconds)


def scaling(
    suite: Annotated[str, typer.Argument(help="A name that `list` shows, or a file.")] = "smoke",
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=2, help="Workers beside one.")] = 2,
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of seeds.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Keep this method.")] = None,
    backend: Annotated[str, typer.Option(help="loky, dask or ray.")] = "loky",
    repeats: Annotated[int, typer.Option(min=1, help="Pairs, whose order alternates.")] = 3,
    out: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Run a suite with one worker and with several, and compare units per hour."""
    check_backend(backend, jobs)
    selected = select_suite(Selection(suite, seeds=seeds, methods=method or ()))
    with tempfile.TemporaryDirectory() as folder, console.status("preparing") as status:
        run = prepare_run(selected, Path(folder))
        sources = encode_pending(run, show_progress=False)

        def tasks(place: Path) -> Sequence[Task]:
            return make_tasks(run.pending, sources, place, _THREADS, None, selected.plugins)

        found = measure_scaling(tasks, jobs, backend, repeats, status.update)
    console.print(throughput_table(found))
    target = scaling_target(*found)
    console.print(target_table([target]))
    settings = {"suite": suite, "units": found[0].units, "backend": backend, "repeats": repeats}
    content = {"settings": settings, "timings": [asdict(each) for each in found]}
    write_measurement(out, {**content, "targets": [target.as_json()]})


def measure_scaling(
    make: MakeTasks, jobs: int, backend: str, repeats: int, say: Say
) -> tuple[Throughput, Throughput]:
    """Time the units with one worker and with several, in turn within each repeat.

    Parameters
    ----------
    make : callable
        From a results folder to the tasks.
    jobs : int
        Number of workers beside one.
    backend : str
        Where units run.
    repeats : int
        How often.
    say : callable
        Told what is being timed.

    Returns
    -------
    tuple of two Throughput
        Of one worker and of several. One unit for each worker is run before anything is timed:
        workers of ``loky`` stay from then on, those of clusters start anew and their start counts.

    Raises
    ------
    SuiteError
        If a unit fails.
    """
    found = Throughput(1, len(make(Path()))), Throughput(jobs, len(make(Path())))
    for each in found:
        say(f"{each.jobs} at a time: first units")
        _seconds(lambda folder: make(folder)[:jobs], each.jobs, backend)
    for repeat in range(repeats):
        for each in found if repeat % 2 else found[::-1]:
            say(f"{each.jobs} at a time: repeat {repeat + 1} of {repeats}")
            each.seconds.append(_seconds(make, each.jobs, backend))
    return found


def _seconds(make: MakeTasks, jobs: int, backend: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        tasks = make(Path(folder))
        start = time.perf_counter()
        for outcome in run_tasks(tasks, jobs, backend):
            if outcome.status == "failed":
                raise SuiteError(
                    f"{outcome.spec.name} failed, so nothing is timed: {outcome.message}"
                )
        return time.perf_counter() - start


def scaling_target(one: Throughput, several: Throughput) -> Target:
    """Return units per hour of several workers over those of one, repeat by repeat."""
    return Target(
        f"units per hour with {several.jobs} workers over one, one thread in each",
        ratios(several.per_hour, one.per_hour),
        at_least=_ASKED,
    )


def throughput_table(found: Sequence[Throughput]) -> Table:
    """Return the table that the command prints."""
    rows = [
        (str(each.jobs), str(each.units), spread(each.seconds, 1), spread(each.per_hour, 0))
        for each in found
    ]
    heading = f"units per hour, {REPEATS_HEADING}"
    return make_table("Throughput", ("workers", "units", "seconds", heading), rows)

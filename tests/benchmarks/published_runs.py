"""Published experiments in small: on stand-ins of their data and models, for two rounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import UnitResult, read_result
from benchmarks.runner import Run, encode_pending, make_tasks, prepare_run
from benchmarks.selection import Selection, select_suite
from benchmarks.worker import execute


def prepare_small(
    name: str, folder: Path, overrides: Sequence[str] = (), methods: Sequence[str] = ()
) -> Run:
    """Read a suite with some values changed, load its data, and build all that it names.

    Parameters
    ----------
    name : str
        Id of a published experiment.
    folder : pathlib.Path
        For results.
    overrides : sequence of str, default=()
        As ``--set`` takes them.
    methods : sequence of str, default=()
        Those to keep; all where none is named.

    Returns
    -------
    Run
        With one seed.
    """
    selection = Selection(name, seeds=1, overrides=tuple(overrides), methods=tuple(methods))
    return prepare_run(select_suite(selection), folder)


def run_all(run: Run, folder: Path) -> list[UnitResult]:
    """Run all units of a prepared suite in this process, and read their results."""
    sources = encode_pending(run, "cpu", show_progress=False)
    tasks = make_tasks(run.pending, sources, folder, threads=1, device="cpu")
    outcomes = [execute(task) for task in tasks]
    failed = [f"{each.spec.name}: {each.message}" for each in outcomes if each.status == "failed"]
    assert not failed, "; ".join(failed)
    return [read_result(folder / task.unit.spec.relative_path) for task in tasks]

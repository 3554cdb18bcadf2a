"""Published experiments in small: on stand-ins of their data and models, for two rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.parsing import parse_suite, read_suite
from benchmarks.results import UnitResult, read_result
from benchmarks.runner import Run, encode_pending, make_tasks, prepare_run
from benchmarks.selection import Selection, select_suite
from benchmarks.specs import Suite
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


def small_suite(name: str, change: Callable[[dict[str, Any]], None] = lambda raw: None) -> Suite:
    """Return a published suite of one seed, two rounds, one epoch, and batches of two.

    Parameters
    ----------
    name : str
        Id of a published experiment.
    change : callable
        What else is changed of the raw suite.

    Returns
    -------
    Suite
        Its units take a second each.
    """
    raw = read_suite(name)
    loop = {"rounds": 2, "query_size": 4, "initial_size": 16, "initial_minority": 1}
    raw |= {"seeds": 1, **loop}
    for dataset in raw["datasets"]:
        for key in loop:
            dataset.pop(key, None)
    for classifier in raw["classifiers"].values():
        if classifier["kind"].startswith("sklearn:"):
            continue
        classifier |= {"num_epochs": 1, "batch_size": 2}
        if "validations_per_epoch" in classifier:
            classifier["validations_per_epoch"] = 1
        if classifier["kind"] == "transformer":
            classifier["max_length"] = 24
    change(raw)
    return parse_suite(raw)


def run_suite(suite: Suite, folder: Path, methods: Sequence[str] = ()) -> list[UnitResult]:
    """Run the units of some methods of a suite, or of all, in this process."""
    kept = {name: entry for name, entry in suite.methods.items() if not methods or name in methods}
    return run_all(prepare_run(suite.model_copy(update={"methods": kept}), folder), folder)

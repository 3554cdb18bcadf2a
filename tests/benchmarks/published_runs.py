"""Published suites on stand-ins of their data sets, with tiny models and few steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.parsing import parse_suite, read_suite
from benchmarks.results import UnitResult, read_result
from benchmarks.runner import encode_pending, make_tasks, prepare_run
from benchmarks.specs import Suite
from benchmarks.worker import execute

Change = Callable[[dict[str, Any]], None]


def small_suite(name: str, change: Change = lambda raw: None) -> Suite:
    """Return a published suite whose units take a second each.

    Parameters
    ----------
    name : str
        Its id.
    change : callable
        What else is changed of the raw suite.

    Returns
    -------
    Suite
        One seed, two rounds, one epoch, batches of two.
    """
    raw = read_suite(f"published/{name}")
    loop = {"rounds": 2, "query_size": 4, "initial_size": 16, "initial_minority": 1}
    raw |= {"seeds": 1, **loop}
    for dataset in raw["datasets"]:
        for key in loop:
            dataset.pop(key, None)
    for classifier in raw["classifiers"].values():
        classifier |= {"num_epochs": 1, "batch_size": 2}
        if "validations_per_epoch" in classifier:
            classifier["validations_per_epoch"] = 1
        if classifier["kind"] == "transformer":
            classifier["max_length"] = 24
    change(raw)
    return parse_suite(raw)


def run_suite(suite: Suite, folder: Path, methods: Sequence[str] = ()) -> list[UnitResult]:
    """Run the units of some methods, or all, and return their results.

    Parameters
    ----------
    suite : Suite
        What :func:`small_suite` returned.
    folder : pathlib.Path
        The results folder.
    methods : sequence of str, default=()
        Names of methods; empty: all.

    Returns
    -------
    list of UnitResult
        All of them passed.
    """
    run = prepare_run(suite, folder)
    wanted = [item for item in run.pending if not methods or item.unit.spec.method.id in methods]
    assert wanted
    sources = encode_pending(run, show_progress=False)
    results = []
    for task in make_tasks(wanted, sources, folder, threads=1, device="cpu"):
        outcome = execute(task)
        assert outcome.status == "passed", f"{task.unit.spec.name}: {outcome.message}"
        results.append(read_result(folder / task.unit.spec.relative_path))
    return results

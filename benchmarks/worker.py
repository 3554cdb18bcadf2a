"""What a worker does: one unit, from vectors on disk to a result file."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.environment import describe_environment
from benchmarks.loop import UnitData, prepare_data, run_unit, summarize
from benchmarks.noise import RECOMMENDED
from benchmarks.out_of_distribution import OtherTestSet
from benchmarks.plugins import load_plugins
from benchmarks.results import ErrorRecord, UnitResult, UnitSpec, canonical_json, write_result
from benchmarks.text_files import read_texts
from benchmarks.units import Unit


class WorkerDiedError(RuntimeError):
    """A worker ended in the middle of a unit: killed, out of memory, or crashed."""


@dataclass(frozen=True)
class DataSource:
    """The data of a unit, as it travels to a worker: vectors and texts stay on disk.

    Parameters
    ----------
    embeddings : Path
        Folder of the vectors of the complete data set.
    labels : numpy.ndarray of int64, shape (n,)
        Its labels.
    is_test : numpy.ndarray of bool, shape (n,), or None
        Its own split.
    groups : numpy.ndarray of int64, shape (n,), or None
        Its groups.
    texts : Path or None
        File of its texts, see :func:`benchmarks.text_files.store_texts`; None where no classifier
        is fitted on them.
    others : mapping of str to DataSource
        Test sets of other distributions, by id.
    second_labels : numpy.ndarray of int64, shape (n,), or None
        Something else that is known of each text, such as its publisher.
    """

    embeddings: Path
    labels: NDArray[np.int64]
    is_test: NDArray[np.bool_] | None = None
    groups: NDArray[np.int64] | None = None
    texts: Path | None = None
    others: Mapping[str, DataSource] = field(default_factory=dict)
    second_labels: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Task:
    """A unit with all that is needed to run it in another process.

    Parameters
    ----------
    unit : Unit
        What to run.
    source : DataSource
        Its data.
    results : Path
        Where the result goes.
    threads : int
        Threads that it may use.
    device : str or None
        Where classifiers are trained.
    plugins : tuple of str
        What the worker loads first, see :mod:`benchmarks.plugins`.
    """

    unit: Unit
    source: DataSource
    results: Path
    threads: int
    device: str | None = None
    plugins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What the display shows of a finished unit; it travels back, so it holds no data."""

    spec: UnitSpec
    status: Literal["passed", "failed"]
    seconds: float
    message: str


def execute(task: Task) -> Outcome:
    """Run a unit and write its result, whatever happens in it.

    Parameters
    ----------
    task : Task
        The unit.

    Returns
    -------
    Outcome
        Passed, or failed with the error that now stands in the file, too.
    """
    start = time.perf_counter()
    try:
        load_plugins(task.plugins)
        with limited_threads(task.threads):
            result = _passed(task)
    except Exception as error:  # the run goes on: the file tells what happened
        result = failed_result(task, error)
    write_result(result, task.results)
    return Outcome(task.unit.spec, result.status, time.perf_counter() - start, _message(result))


def failed_result(task: Task, error: BaseException) -> UnitResult:
    """Return the record of a unit that failed."""
    record = ErrorRecord(
        type=type(error).__name__,
        message=str(error),
        traceback="".join(traceback.format_exception(error)),
    )
    return UnitResult(
        status="failed",
        spec=task.unit.spec,
        spec_hash=task.unit.hash,
        environment=describe_environment(task.threads, task.device),
        error=record,
    )


def lost_unit(task: Task, death: BaseException) -> Outcome:
    """Write the result of a unit that has killed its worker twice.

    Parameters
    ----------
    task : Task
        The unit.
    death : BaseException
        What is known of its last end.

    Returns
    -------
    Outcome
        Failed.
    """
    error = WorkerDiedError(f"the worker died twice in this unit, the last time: {death}")
    error.__cause__ = death
    write_result(failed_result(task, error), task.results)
    return Outcome(task.unit.spec, "failed", 0.0, f"{type(error).__name__}: {error}")


def _passed(task: Task) -> UnitResult:
    data = _unit_data(task)
    records = run_unit(task.unit.spec, data, task.device)
    return UnitResult(
        status="passed",
        spec=task.unit.spec,
        spec_hash=task.unit.hash,
        environment=describe_environment(task.threads, task.device),
        pool_counts=data.counts(data.pool_labels),
        test_counts=data.counts(data.test_labels),
        rounds=records,
        summary=summarize(records),
    )


_last_data: dict[str, UnitData] = {}
"""The data of the last unit: the next one in line mostly has the same."""


def _unit_data(task: Task) -> UnitData:
    spec = task.unit.spec
    key = canonical_json(
        [
            str(task.source.embeddings),
            str(task.source.texts),
            spec.dataset.model_dump(mode="json"),
            spec.protocol.model_dump(mode="json"),
            spec.seed.data,
        ]
    )
    if key not in _last_data:
        _last_data.clear()
        _last_data[key] = load_unit_data(spec, task.source)
    return _last_data[key]


def load_unit_data(spec: UnitSpec, source: DataSource) -> UnitData:
    """Open the data of a unit and split it.

    Parameters
    ----------
    spec : UnitSpec
        The unit.
    source : DataSource
        Where its data lie.

    Returns
    -------
    UnitData
        The same for every method and classifier of the seed.
    """
    from small_text_ext.pool.embeddings import PoolEmbeddings

    vectors = PoolEmbeddings.open(source.embeddings)
    texts = None if source.texts is None else read_texts(source.texts)
    others = [_other_test(name, other) for name, other in source.others.items()]
    data = prepare_data(
        spec, vectors, source.labels, source.is_test, source.groups, texts, source.second_labels
    )
    return replace(data, others=tuple(others))


def _other_test(name: str, source: DataSource) -> OtherTestSet:
    from small_text_ext.pool.embeddings import PoolEmbeddings

    vectors = np.asarray(PoolEmbeddings.open(source.embeddings), dtype=np.float32)
    texts = None if source.texts is None else list(read_texts(source.texts))
    return OtherTestSet(name, vectors, source.labels, texts)


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Let numpy, scikit-learn and torch use so many threads while the block runs."""
    import torch
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    before = torch.get_num_threads()
    with threadpool_limits(threads):
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _message(result: UnitResult) -> str:
    if result.error is not None:
        return f"{result.error.type}: {result.error.message}"
    last = result.rounds[-1].metrics
    shown = {
        "AP": "minority_average_precision",
        "F1": "minority_f1",
        "found": "found",
        "AP of flipped labels": f"noise_ap.{RECOMMENDED}",
    }
    values = [(label, last.get(name)) for label, name in shown.items()]
    return ", ".join(f"{label} {value:.3f}" for label, value in values if value is not None)

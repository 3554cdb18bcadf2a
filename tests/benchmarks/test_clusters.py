from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.clusters import MAX_DEATHS, ClusterError, DaskCluster, run_attempt, run_on_cluster
from benchmarks.executors import check_backend, run_tasks
from benchmarks.results import iterate_results, read_result
from benchmarks.worker import Outcome, Task, WorkerDiedError
from tests.benchmarks.mortal_units import (
    assert_only_the_culprit_failed,
    seed_tasks,
    with_two_killers,
)


@pytest.fixture
def tasks(suite_file: Path, tmp_path: Path) -> list[Task]:
    return seed_tasks(suite_file, tmp_path, seeds=4)


def assert_nothing_is_left(folder: Path) -> None:
    assert not list(folder.glob(".running-*"))


@contextmanager
def dask_scheduler(threads: int) -> Iterator[str]:
    """Run a Dask cluster of two worker processes, as somebody else would have started it."""
    distributed = pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=threads, memory_limit=0, dashboard_address=None
        ) as cluster,
    ):
        yield cluster.scheduler_address


def test_dask_runs_the_units_of_a_killed_worker_again(tasks: list[Task], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    mortal = with_two_killers(tasks, tmp_path / "died-once")
    outcomes = list(run_tasks(mortal, jobs=2, backend="dask"))
    assert_only_the_culprit_failed(mortal, outcomes)
    assert_nothing_is_left(tmp_path)


@pytest.mark.slow
def test_a_dask_cluster_that_is_running_is_used_by_its_address(
    tasks: list[Task], tmp_path: Path
) -> None:
    with dask_scheduler(threads=1) as address:
        check_backend("dask", 1, address)
        mortal = with_two_killers(tasks, tmp_path / "died-once")
        outcomes = list(run_tasks(mortal, jobs=1, backend="dask", address=address))
        assert_only_the_culprit_failed(mortal, outcomes)
        cluster = DaskCluster(1, address)
        assert cluster.slots() == 2
        cluster.close()


def test_dask_workers_with_several_threads_are_refused() -> None:
    with (
        dask_scheduler(threads=2) as address,
        pytest.raises(ClusterError, match=r"2 threads, .* start workers with --nthreads 1"),
    ):
        check_backend("dask", 1, address)


def test_an_address_without_a_scheduler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("benchmarks.clusters.CONNECT_SECONDS", 1)
    with pytest.raises(ClusterError, match=r"127\.0\.0\.1:9: no Dask scheduler answers"):
        check_backend("dask", 1, "tcp://127.0.0.1:9")


def test_ray_runs_the_units_of_a_killed_worker_again(tasks: list[Task], tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray's wheel has 80 MB: pip install ray to run this")
    mortal = with_two_killers(tasks, tmp_path / "died-once")
    outcomes = list(run_tasks(mortal, jobs=2, backend="ray"))
    assert_only_the_culprit_failed(mortal, outcomes)
    assert_nothing_is_left(tmp_path)


def test_a_unit_with_two_marks_is_not_begun_a_third_time(tasks: list[Task], tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    for death in range(MAX_DEATHS):
        (marks / f"0.{death}").touch()
    assert run_attempt(tasks[0], marks, 0).status == "failed"
    assert read_result(tmp_path / tasks[0].unit.spec.relative_path).error is not None
    assert run_attempt(tasks[1], marks, 1).status == "passed"
    assert sorted(path.name for path in marks.iterdir()) == ["0.0", "0.1"]


class Careless:
    """A cluster that runs calls here, and gives units up before they begin."""

    def __init__(self, given_up: dict[int, int]) -> None:
        self.given_up = given_up

    def slots(self) -> int:
        return 2

    def submit(self, call: Callable[..., Outcome], *arguments: Any) -> Any:  # noqa: ANN401
        return (call, arguments[1], arguments[2]), arguments[0]

    def wait_for_one(self, futures: Sequence[Any]) -> Any:  # noqa: ANN401
        return futures[-1]

    def result(self, future: Any) -> Outcome:  # noqa: ANN401
        (call, marks, number), task = future
        if self.given_up.get(number, 0):
            self.given_up[number] -= 1
            raise WorkerDiedError("the node is gone")
        outcome: Outcome = call(task, marks, number)
        return outcome


class HashableTask(Task):
    """A task that can be a part of a key."""

    def __hash__(self) -> int:
        return hash(self.unit.hash)


def test_a_unit_that_is_given_up_is_handed_in_once_more(tasks: list[Task], tmp_path: Path) -> None:
    hashable = [HashableTask(**vars(task)) for task in tasks]
    outcomes = list(run_on_cluster(Careless({0: 1, 2: 2}), hashable))
    assert {o.spec.seed.number: o.status for o in outcomes} == {
        0: "passed",
        1: "passed",
        2: "failed",
        3: "passed",
    }
    assert len(list(iterate_results(tmp_path))) == 4

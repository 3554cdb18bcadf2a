from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.clusters import (
    MAX_DEATHS,
    ClusterError,
    DaskCluster,
    RayCluster,
    run_attempt,
    run_on_cluster,
)
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


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.1)
    raise TimeoutError("a minute has passed")


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


def test_a_lost_scheduler_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    command = ["-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
    with subprocess.Popen(
        [sys.executable, *command, "--scheduler-file", str(file)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as scheduler:  # fmt: skip
        wait_until(file.exists)
        address = json.loads(file.read_text(encoding="utf-8"))["address"]
        cluster = DaskCluster(1, address)
        # There is no worker: the call waits.
        future = cluster.submit(run_attempt, None, tmp_path, 0)
        scheduler.kill()
        with pytest.raises(ClusterError, match=f"scheduler at {address} was lost.*run again"):
            cluster.wait_for_one([future])
        cluster.close()


class MadeUpRay:
    """What `RayCluster` asks of Ray before the first unit; of a node with 4 cores and no GPU."""

    def __init__(self, gpus: float = 0.0) -> None:
        self.resources, self.is_open = {"CPU": 8.0, "GPU": gpus}, False

    def init(self, **options: object) -> None:
        self.is_open = True

    def shutdown(self) -> None:
        self.is_open = False

    def nodes(self) -> list[dict[str, Any]]:
        dead = {"Alive": False, "Resources": {"CPU": 64.0}}
        return [{"Alive": True, "Resources": {"CPU": 4.0}}, dead, {"Alive": True, "Resources": {}}]

    def cluster_resources(self) -> dict[str, float]:
        return self.resources


@pytest.mark.parametrize(
    ("threads", "device", "message"),
    [
        (5, None, "--threads 5: the largest node of this Ray cluster has 4 cores"),
        (1, "cuda", "no node of this Ray cluster has a GPU"),
        (1, "cuda:1", "--device cuda:1: .* pass --device cuda"),
    ],
)
def test_units_that_ray_has_no_room_for_are_refused(
    threads: int, device: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = MadeUpRay()
    monkeypatch.setattr("benchmarks.clusters.require_extra", lambda *names: ray)
    with pytest.raises(ClusterError, match=message):
        RayCluster(2, "auto", threads, device)
    assert not ray.is_open


def test_ray_shares_its_gpus_among_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.clusters.require_extra", lambda *names: MadeUpRay(gpus=2.0))
    shares = [RayCluster(jobs, "auto", 2, "cuda")._options["num_gpus"] for jobs in (1, 2, 8)]
    assert shares == [1.0, 1.0, 0.25]


def test_a_lost_head_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = {
        name: type(name, (Exception,), {})
        for name in ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError")
    }

    class RaySystemError(Exception):
        """Ray's own."""

    class RayTaskError(Exception):
        """What a unit raised."""

        cause = ConnectionError("the unit's own")

    class Lost(MadeUpRay):
        exceptions = SimpleNamespace(
            RaySystemError=RaySystemError, RayTaskError=RayTaskError, **failures
        )

        def wait(self, futures: object, num_returns: int) -> None:
            raise ConnectionError("the channel is shut down")

        def get(self, future: object) -> None:
            raise RaySystemError("the head is gone")

    monkeypatch.setattr("benchmarks.clusters.require_extra", lambda *names: Lost())
    cluster = RayCluster(1, "ray://node7:10001")
    with pytest.raises(ClusterError, match=r"ray://node7:10001 was lost .*channel.*run again"):
        cluster.wait_for_one(["future"])
    with pytest.raises(ClusterError, match=r"was lost \(the head is gone\)"):
        cluster.result("future")

    class OfTheUnit(RayTaskError, ConnectionError):
        """What Ray makes of a unit's own ConnectionError."""

    def get(self: Lost, future: object) -> None:
        raise OfTheUnit

    monkeypatch.setattr(Lost, "get", get)
    with pytest.raises(ConnectionError, match="the unit's own"):
        cluster.result("future")


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

"""Clusters: units run by Dask or Ray, on this machine or on many, and outlive their workers.

joblib has backends for both, but gives up a whole run when one worker dies, and cannot tell whose
it was. Here units go to the library itself, a few at a time, and two rules tell deaths from bad
luck. A unit leaves a mark when it begins and takes it away when it ends, in a folder that all
workers see: one that finds two marks of its own has killed two workers, and is a failed unit
instead of a third try. And a unit that the library gives up (before it could begin, say) is handed
in once more.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from benchmarks.suggestions import SuiteError
from benchmarks.worker import Outcome, Task, WorkerDiedError, execute, lost_unit
from small_text_ext._extras import require_extra

MAX_DEATHS = 2
"""Workers that a unit may kill before it has failed."""

CONNECT_SECONDS = 30
_OBJECT_STORE_BYTES = 256 * 2**20
# Units seed the generators of their process: two at once in one process would mix their draws.
_one_at_a_time = threading.Lock()


class ClusterError(RuntimeError):
    """A cluster that cannot be reached or used, or was lost; the message says what to do."""


class Cluster(Protocol):
    """What runs units somewhere else."""

    def slots(self) -> int:
        """Return how many units to hand in at a time."""

    def submit(self, call: Callable[..., Outcome], *arguments: Any) -> Any:  # noqa: ANN401
        """Start a call somewhere, and return its future, which can be a key of a dictionary."""

    def wait_for_one(self, futures: Sequence[Any]) -> Any:  # noqa: ANN401
        """Wait until one of them has ended, and return it."""

    def result(self, future: Any) -> Outcome:  # noqa: ANN401
        """Return what an ended call returned, or raise WorkerDiedError if it was given up."""


def run_on_cluster(cluster: Cluster, tasks: Sequence[Task]) -> Iterator[Outcome]:
    """Run tasks on a cluster.

    Parameters
    ----------
    cluster : Cluster
        The cluster. Its workers see the files of this machine under the same paths.
    tasks : sequence of Task
        What to run.

    Yields
    ------
    Outcome
        One for each task, as they end; of a unit that killed its worker twice a failed one, whose
        result file says so.
    """
    waiting, running, deaths = deque(range(len(tasks))), dict[Any, int](), Counter[int]()
    with _marks_folder(tasks) as marks:
        while waiting or running:
            while waiting and len(running) < cluster.slots():
                number = waiting.popleft()
                running[cluster.submit(run_attempt, tasks[number], marks, number)] = number
            future = cluster.wait_for_one(list(running))
            number = running.pop(future)
            try:
                outcome = cluster.result(future)
            except WorkerDiedError as death:
                deaths[number] += 1
                if deaths[number] < MAX_DEATHS:
                    waiting.appendleft(number)
                    continue
                outcome = lost_unit(tasks[number], death)
            yield outcome


@contextmanager
def _marks_folder(tasks: Sequence[Task]) -> Iterator[Path]:
    """Make a folder beside the results, which all workers can write to."""
    if not tasks:
        yield Path()
        return
    tasks[0].results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=tasks[0].results, prefix=".running-", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def run_attempt(task: Task, marks: Path, number: int) -> Outcome:
    """Run a unit in a worker, unless it has killed two workers before.

    Parameters
    ----------
    task : Task
        The unit.
    marks : Path
        Folder of the marks of units that have begun and not ended.
    number : int
        Number of the unit, by which its marks are named.

    Returns
    -------
    Outcome
        That of the unit, or of its failure.
    """
    with _one_at_a_time:
        before = sorted(marks.glob(f"{number}.*"))
        if len(before) >= MAX_DEATHS:
            return lost_unit(task, WorkerDiedError(f"{len(before)} workers died in this unit"))
        mark = marks / f"{number}.{len(before)}"
        mark.touch()
        try:
            return execute(task)
        finally:
            for path in (*before, mark):
                path.unlink(missing_ok=True)


class DaskCluster:
    """Workers of Dask: of a scheduler that is running, or processes started here.

    Parameters
    ----------
    jobs : int
        Workers to start; with an address, units to hand in at a time where there are fewer
        workers, which makes an adaptive cluster grow.
    address : str or None
        Such as ``tcp://node7:8786``; None starts a cluster on this machine.

    Raises
    ------
    ClusterError
        If the scheduler cannot be reached, or a worker has several threads.
    """

    def __init__(self, jobs: int, address: str | None) -> None:
        self._library = require_extra("distributed", "dask")
        self.jobs, self.address = jobs, address
        self._local: Any = None
        if address is None:
            self._local = self._started()
        self._client = self._connected()
        self._check_threads()

    def _started(self) -> Any:  # noqa: ANN401
        config = require_extra("dask.config", "dask")
        # A worker that needs longer than that to come back would be given up for good.
        config.set({"distributed.deploy.lost-worker-timeout": "1h"})
        return self._library.LocalCluster(
            n_workers=self.jobs,
            threads_per_worker=1,
            # Without it Dask would kill a worker that takes more than its share of memory.
            memory_limit=0,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )

    def _connected(self) -> Any:  # noqa: ANN401
        try:
            return self._library.Client(
                self._local or self.address, timeout=CONNECT_SECONDS, set_as_default=False
            )
        except (OSError, ValueError, TimeoutError) as error:
            raise ClusterError(
                f"--address {self.address}: no Dask scheduler answers there ({error}). Start one "
                "with `dask scheduler`, and pass the address that it prints."
            ) from error

    def _check_threads(self) -> None:
        several = {name: n for name, n in self._client.nthreads().items() if n > 1}
        if several:
            name, number = next(iter(several.items()))
            self.close()
            raise ClusterError(
                f"The Dask worker {name} has {number} threads, but units that share a process "
                "would share its random generators: start workers with --nthreads 1, and several "
                "of them with --nworkers. Threads of one unit are set by --threads."
            )

    def slots(self) -> int:
        """Return the number of workers, or of jobs where that is larger."""
        return max(self.jobs, len(self._client.nthreads()))

    def submit(self, call: Callable[..., Outcome], *arguments: Any) -> Any:  # noqa: ANN401
        """Hand a call in; the same one twice is run twice."""
        return self._client.submit(call, *arguments, pure=False)

    def wait_for_one(self, futures: Sequence[Any]) -> Any:  # noqa: ANN401
        """Wait until one of them has ended, and return it."""
        try:
            with self._client.as_current():
                done, _ = self._library.wait(futures, return_when="FIRST_COMPLETED")
        except self._library.client.CancelledError as lost:
            raise self._lost() from lost
        return next(iter(done))

    def result(self, future: Any) -> Outcome:  # noqa: ANN401
        """Return what a call returned; the scheduler has tried it again on other workers."""
        try:
            outcome: Outcome = future.result()
        except self._library.KilledWorker as death:
            raise WorkerDiedError(str(death)) from death
        except self._library.client.CancelledError as lost:
            raise self._lost() from lost
        return outcome

    def _lost(self) -> ClusterError:
        return ClusterError(
            f"The Dask scheduler at {self.address or 'this machine'} was lost: what has finished "
            "is kept. Start it anew and run again."
        )

    def close(self) -> None:
        """Let go of the cluster; what is running there is cancelled."""
        self._client.close()
        if self._local is not None:
            self._local.close()


class RayCluster:
    """Workers of Ray: of a cluster that is running, or processes started here.

    A head that is lost is a ClusterError where Ray says so, through ``ray://``. Otherwise Ray
    itself ends this process after a minute, with a message of its own and status 1. What has
    finished is kept in either case.

    Parameters
    ----------
    jobs : int
        Units at a time on this machine; with an address at least so many are handed in.
    address : str or None
        Such as ``ray://node7:10001`` or ``auto``; None starts Ray on this machine.
    threads : int, default=1
        Cores that a unit takes up on a running cluster.
    device : str or None, default=None
        Where units are trained; ``cuda`` reserves a GPU for each, or a part of one where there are
        more jobs than GPUs.

    Raises
    ------
    ClusterError
        If the cluster cannot be reached, or never has room for a unit.
    """

    def __init__(
        self, jobs: int, address: str | None, threads: int = 1, device: str | None = None
    ) -> None:
        # Ray asks its makers' server for nothing unless the user wants it to.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ray = require_extra("ray", "ray")
        self.jobs, self.address = jobs, address
        self._cores = 1 if address is None else threads
        options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if address is None:
            options |= {"num_cpus": jobs, "include_dashboard": False, "address": "local"}
            options["object_store_memory"] = _OBJECT_STORE_BYTES
        else:
            options["address"] = address
        try:
            self._ray.init(**options)
        except (OSError, ValueError, RuntimeError, ConnectionError) as error:
            raise ClusterError(
                f"--address {address}: no Ray cluster answers there ({error}). Start one with `ray "
                "start --head`, and pass its address."
            ) from error
        try:
            self._check_room()
            gpus = self._gpus(device)
        except ClusterError:
            self.close()
            raise
        self._options = {"num_cpus": self._cores, "num_gpus": gpus, "max_retries": 0}

    def _check_room(self) -> None:
        """Refuse units that no node could ever take: Ray would wait for a larger one forever."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        largest = int(max((node.get("CPU", 0) for node in nodes), default=0))
        if self._cores > largest:
            raise ClusterError(
                f"--threads {self._cores}: the largest node of this Ray cluster has {largest} "
                "cores; pass no more than that."
            )

    def _gpus(self, device: str | None) -> float:
        if device is None or not device.startswith("cuda"):
            return 0.0
        if device != "cuda":
            raise ClusterError(
                f"--device {device}: Ray gives each unit a GPU of its own, which the unit sees as "
                "the first one: pass --device cuda."
            )
        found = float(self._ray.cluster_resources().get("GPU", 0.0))
        if not found:
            raise ClusterError(
                "--device cuda: no node of this Ray cluster has a GPU: leave --device out, or "
                "start nodes with --num-gpus."
            )
        return min(1.0, found / self.jobs)

    def slots(self) -> int:
        """Return how many units the cluster's cores take, or of jobs where that is larger."""
        if self.address is None:
            return self.jobs
        cores = int(self._ray.cluster_resources().get("CPU", 0))
        return max(self.jobs, cores // self._cores)

    def submit(self, call: Callable[..., Outcome], *arguments: Any) -> Any:  # noqa: ANN401
        """Hand a call in; a death is told at once, so that it can be counted."""
        with self._naming_a_lost_head():
            return self._ray.remote(**self._options)(call).remote(*arguments)

    def wait_for_one(self, futures: Sequence[Any]) -> Any:  # noqa: ANN401
        """Wait until one of them has ended, and return it."""
        with self._naming_a_lost_head():
            done, _ = self._ray.wait(list(futures), num_returns=1)
        return done[0]

    def result(self, future: Any) -> Outcome:  # noqa: ANN401
        """Return what a call returned."""
        failures = self._ray.exceptions
        deaths = (failures.WorkerCrashedError, failures.NodeDiedError, failures.OutOfMemoryError)
        try:
            with self._naming_a_lost_head():
                outcome: Outcome = self._ray.get(future)
        except deaths as death:
            raise WorkerDiedError(str(death)) from death
        except failures.RayTaskError as error:
            raise error.cause from error
        return outcome

    @contextmanager
    def _naming_a_lost_head(self) -> Iterator[None]:
        try:
            yield
        except self._ray.exceptions.RayTaskError:
            # It is also an error of the class that the unit raised, a ConnectionError perhaps.
            raise
        except (ConnectionError, self._ray.exceptions.RaySystemError) as lost:
            raise ClusterError(
                f"The head of the Ray cluster at {self.address or 'this machine'} was lost "
                f"({lost}): what has finished is kept. Start it anew and run again."
            ) from lost

    def close(self) -> None:
        """Let go of the cluster; what is running there is cancelled."""
        self._ray.shutdown()


def run_with_dask(tasks: Sequence[Task], jobs: int, address: str | None) -> Iterator[Outcome]:
    """Run tasks on a Dask cluster, see :func:`benchmarks.executors.run_tasks`."""
    cluster = DaskCluster(jobs, address)
    try:
        yield from run_on_cluster(cluster, tasks)
    finally:
        cluster.close()


def run_with_ray(tasks: Sequence[Task], jobs: int, address: str | None) -> Iterator[Outcome]:
    """Run tasks on a Ray cluster, see :func:`benchmarks.executors.run_tasks`."""
    first = tasks[0]
    cluster = RayCluster(jobs, address, first.threads, first.device)
    try:
        yield from run_on_cluster(cluster, tasks)
    finally:
        cluster.close()


def check_dask(address: str | None) -> None:
    """Check that Dask is installed and that its scheduler answers.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    ClusterError
        If no scheduler is at the address.
    """
    require_extra("distributed", "dask")
    if address is not None:
        DaskCluster(1, address).close()


def check_ray(address: str | None) -> None:
    """Check that Ray is installed and that its cluster answers.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    ClusterError
        If no cluster is at the address.
    """
    require_extra("ray", "ray")
    if address is not None:
        RayCluster(1, address).close()


def local_only(backend: str, address: str | None) -> None:
    """Check that a backend of this machine has got no address.

    Raises
    ------
    SuiteError
        If it has.
    """
    if address is not None:
        raise SuiteError(
            f"--address {address}: the backend {backend} runs on this machine alone: add "
            "--backend dask or --backend ray, or leave --address out."
        )

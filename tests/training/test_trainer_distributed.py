"""Two processes train as one does: gloo on the CPU, the same global batch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sources import ROOT
from tests.training import distributed_worker

# 26 and 31 texts leave 21 and 25 to train on: batches of odd sizes, and one of a single text.
CASES: list[dict[str, Any]] = [
    {"num_texts": 26, "selected": False, "observe": "training", "fits": 1},
    {"num_texts": 31, "selected": False, "observe": "epoch_end", "fits": 2},
    {"num_texts": 7, "selected": False, "observe": "training", "fits": 1},
    {"num_texts": 31, "selected": True, "observe": "training", "fits": 1},
    # One candidate: the second process has none to score.
    {"num_texts": 2, "selected": True, "observe": "training", "fits": 1},
    {"num_texts": 31, "selected": True, "observe": "training", "fits": 1, "stale": True},
]
IDS = ["odd", "epoch-end-and-again", "few", "selected", "selected-of-one", "selected-stale"]
NUM_PROCESSES = 2
pytestmark = pytest.mark.slow


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _start(rank: int, port: int, path: Path) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(NUM_PROCESSES),
        "LOCAL_WORLD_SIZE": str(NUM_PROCESSES),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.distributed_worker", str(path), json.dumps(CASES)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def of_processes(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    """Return the results of each process, case by case."""
    folder, port = tmp_path_factory.mktemp("distributed"), _free_port()
    paths = [folder / f"{rank}.json" for rank in range(NUM_PROCESSES)]
    processes = [_start(rank, port, path) for rank, path in enumerate(paths)]
    try:
        outputs = [process.communicate(timeout=240)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


@pytest.fixture(scope="module")
def alone() -> list[dict[str, Any]]:
    """Return the results of this process."""
    return [distributed_worker.fit(**case) for case in CASES]


def assert_close(given: Any, expected: Any) -> None:  # noqa: ANN401
    np.testing.assert_allclose(np.array(given), np.array(expected), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("number", range(len(CASES)), ids=IDS)
def test_two_processes_give_the_parameters_of_one(
    number: int, of_processes: list[list[dict[str, Any]]], alone: list[dict[str, Any]]
) -> None:
    first, second = (results[number] for results in of_processes)
    assert first["parameters"] == second["parameters"], "the processes have drifted apart"
    for name, value in alone[number]["parameters"].items():
        assert_close(first["parameters"][name], value)
    assert first["steps"] == second["steps"] == alone[number]["steps"]


@pytest.mark.parametrize("number", range(len(CASES)), ids=IDS)
def test_each_process_records_each_id_once_an_epoch(
    number: int, of_processes: list[list[dict[str, Any]]], alone: list[dict[str, Any]]
) -> None:
    for results in of_processes:
        for epoch in range(2):
            assert sorted(results[number]["ids"][epoch]) == sorted(alone[number]["ids"][epoch])
            assert_close(results[number]["logits"][epoch], alone[number]["logits"][epoch])
    if not CASES[number]["selected"]:
        ids = of_processes[0][number]["ids"][0]
        assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("case", ["selected", "selected-stale"])
def test_a_selector_chooses_from_the_global_candidate_batch(
    case: str, of_processes: list[list[dict[str, Any]]], alone: list[dict[str, Any]]
) -> None:
    number = IDS.index(case)
    expected = alone[number]
    assert {len(shown) for shown in expected["shown"]} == {8, 9}  # 25 in batches of up to 12
    for results in of_processes:
        assert results[number]["shown"] == expected["shown"]
        for given, scores in zip(results[number]["scores"], expected["scores"], strict=True):
            assert_close(given, scores)


@pytest.mark.parametrize("number", range(len(CASES)), ids=IDS)
def test_each_process_measures_the_whole_fit(
    number: int, of_processes: list[list[dict[str, Any]]], alone: list[dict[str, Any]]
) -> None:
    """Validation, too: a process that stopped alone would leave the other one waiting."""
    for results in of_processes:
        for given, expected in zip(
            results[number]["history"], alone[number]["history"], strict=True
        ):
            assert_close(given, expected)
        assert_close(results[number]["proba"], alone[number]["proba"])

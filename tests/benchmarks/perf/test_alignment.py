from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.perf.alignment import (
    ChunkTimings,
    LossTimings,
    alignment_targets,
    looped_loss,
    measure_chunks,
    measure_loss,
)
from tests.benchmarks.test_cli import invoke, plain
from tests.tiny_models import checkpoint


def silent(message: str) -> None:
    """Say nothing."""


def test_the_double_loop_is_the_loss_of_all_ordered_pairs() -> None:
    vectors = torch.tensor([[1.0, 0.0], [0.0, 3.0], [0.0, 1.0]])
    assert float(looped_loss(vectors, torch.tensor([0, 0, 1]))) == 4.0


def test_loss_and_chunks_agree_with_the_plain_way() -> None:
    losses, chunks = measure_loss(12, 2, silent), measure_chunks(2, silent)
    assert losses.difference < 1e-10
    assert chunks.difference < 1e-6
    assert len(losses.fused) == len(losses.looped) == len(chunks.whole) == len(chunks.chunked) == 2
    assert min(*losses.fused, *losses.looped, *chunks.whole, *chunks.chunked) > 0


def test_targets_are_ratios_of_repeats() -> None:
    losses = LossTimings([0.01, 0.02], [2.0, 2.0], 1e-14)
    megabytes = {"none": [100.0, 200.0], "ring": [105.0, 240.0], "datapoint": [250.0, 500.0]}
    found = alignment_targets(losses, ChunkTimings([1.0], [1.0], 1e-3), megabytes)
    assert [each.met for each in found] == [True, True, False, False, None]
    assert found[1].values == (200.0, 100.0)
    assert found[3].values == (1.05, 1.2)
    assert found[4].values == (2.5, 2.5)


def test_without_figures_of_memory_nothing_is_claimed() -> None:
    nothing: dict[str, list[float]] = {"none": [], "ring": [], "datapoint": []}
    found = alignment_targets(LossTimings([1.0], [1.0]), ChunkTimings([1.0], [1.0]), nothing)
    assert found[3].met is None
    assert found[3].measured.startswith("not measured: the system")


@pytest.mark.slow
def test_the_command_writes_what_it_prints(titles_source: str, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    arguments = ["--dataset", titles_source, "--texts", "64", "--classes", "3", "--batch", "8"]
    arguments += ["--model", checkpoint(), "--repeats", "1", "--out", str(out)]
    result = invoke("perf", "alignment", *arguments)
    assert result.exit_code == 0, result.output
    assert "one matrix product" in plain(result)
    found = json.loads(out.read_text())
    assert found["targets"][0]["met"] is True
    assert set(found["megabytes"]) == {"none", "ring", "datapoint"}
    assert all(value > 0 for values in found["megabytes"].values() for value in values)

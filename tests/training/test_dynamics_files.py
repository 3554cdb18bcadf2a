"""The public formats: there and back, and every way of being cut off."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from small_text_ext._files import write_whole
from small_text_ext.training import dynamics_files
from small_text_ext.training.dynamics import TrainingDynamics
from small_text_ext.training.dynamics_files import (
    read_metrics,
    read_regions,
    write_metrics,
    write_regions,
)


def dynamics(num_epochs: int = 3, multi_label: bool = False) -> TrainingDynamics:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, size=(5, 2)) if multi_label else [0, 1, 1, 0, 1]
    return TrainingDynamics.from_logits(
        rng.normal(size=(num_epochs, 5, 2)), labels, [11, 7, 3, 5, 2]
    )


@pytest.mark.parametrize("multi_label", [False, True])
def test_epochs_are_read_as_they_were_written(tmp_path: Path, multi_label: bool) -> None:
    written = dynamics(multi_label=multi_label)
    written.write_jsonl(tmp_path)
    read = TrainingDynamics.read_jsonl(tmp_path)
    np.testing.assert_array_equal(read.logits, written.logits)
    assert read.ids.tolist() == written.ids.tolist()
    assert read.labels.tolist() == written.labels.tolist()
    pd.testing.assert_frame_equal(read.metrics(), written.metrics())


def test_lines_are_the_published_ones(tmp_path: Path) -> None:
    dynamics().write_jsonl(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"dynamics_epoch_{epoch}.jsonl" for epoch in range(3)
    ]
    record = json.loads((tmp_path / "dynamics_epoch_1.jsonl").read_text().splitlines()[0])
    assert list(record) == ["guid", "logits_epoch_1", "gold"]
    assert record["guid"] == 11
    assert record["gold"] == 0


def test_other_orders_columns_and_folders_are_read(tmp_path: Path) -> None:
    """As the published code leaves them: batches shuffled, a device in each line, a subfolder."""
    dynamics().write_jsonl(tmp_path / "training_dynamics")
    path = tmp_path / "training_dynamics/dynamics_epoch_2.jsonl"
    lines = [{**json.loads(line), "device": "cuda:0"} for line in path.read_text().splitlines()]
    path.write_text("\n".join(json.dumps(line) for line in reversed(lines)) + "\n\n")
    read = TrainingDynamics.read_jsonl(tmp_path)
    np.testing.assert_array_equal(read.logits, dynamics().logits)


def replace(old: str, new: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [line.replace(old, new) for line in lines]


@pytest.mark.parametrize(
    ("epoch", "edit", "message"),
    [
        (1, lambda lines: lines[:-1], r"epoch_1\.jsonl: item 2 of epoch 0 is missing \(1 of 5"),
        (1, lambda lines: [*lines[:2], lines[2][:20]], r"epoch_1\.jsonl, line 3: .*cut off"),
        (2, lambda lines: [*lines, lines[0]], r"epoch_2\.jsonl, line 6: item 11 occurs a second"),
        (0, lambda lines: [*lines, lines[0]], r"epoch_0\.jsonl, line 6: item 11 occurs a second"),
        (1, replace('"guid": 7', '"guid": 8'), "line 2: item 8 is not in epoch 0"),
        (1, replace('"gold": 0', '"gold": 1'), "line 1: item 11 is of class 1, in epoch 0 of 0"),
        (1, replace("logits_epoch_1", "logits_epoch_0"), "item 11 has no 'logits_epoch_1'"),
        (1, replace("[", "[0.5, "), "item 11 has 3 logits, others have 2"),
        (1, lambda lines: ["[1, 2]", *lines], "line 1: .* is no JSON object"),
        (
            1,
            lambda lines: [lines[0].replace("[", '["a", '), *lines[1:]],
            "item 11 has logits_epoch",
        ),
        (1, replace("guid", "id"), "item None has no 'guid'"),
        (1, replace('"guid": 7', '"guid": [7]'), r"line 2: guid is \[7\]"),
        (1, replace('"guid": 7', '"guid": null'), "line 2: guid is None"),
        (0, replace('"gold": 1', '"gold": 5'), "line 2: item 7 has 2 logits and gold = 5"),
        (1, replace('"gold": 1', '"gold": [0, 1]'), r"line 2: item 7 is of class \[0, 1\]"),
        (1, lambda lines: [lines[0].replace("[", "[NaN, "), *lines[1:]], "item 11 has logits_epo"),
        (2, lambda lines: [], r"epoch_2\.jsonl holds no items"),
        (0, lambda lines: lines[:1], "line 2: item 7 is not in epoch 0"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(
    tmp_path: Path, epoch: int, edit: Callable[[list[str]], list[str]], message: str
) -> None:
    dynamics().write_jsonl(tmp_path)
    path = tmp_path / f"dynamics_epoch_{epoch}.jsonl"
    path.write_text("\n".join(edit(path.read_text().splitlines())) + "\n")
    with pytest.raises(ValueError, match=message):
        TrainingDynamics.read_jsonl(tmp_path)


def test_missing_epochs_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"dynamics_epoch_0\.jsonl"):
        TrainingDynamics.read_jsonl(tmp_path)
    dynamics().write_jsonl(tmp_path)
    (tmp_path / "dynamics_epoch_1.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"no dynamics_epoch_1\.jsonl"):
        TrainingDynamics.read_jsonl(tmp_path)


def test_an_earlier_longer_run_is_not_mixed_in(tmp_path: Path) -> None:
    dynamics(3).write_jsonl(tmp_path)
    with pytest.raises(FileExistsError, match=r"dynamics_epoch_2\.jsonl"):
        dynamics(2).write_jsonl(tmp_path)
    dynamics(3).write_jsonl(tmp_path)  # the same length replaces


def test_metrics_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "td_metrics.jsonl"
    metrics = dynamics().metrics()
    write_metrics(path, metrics[metrics.columns[::-1]])
    first = json.loads(path.read_text().splitlines()[0])
    assert list(first)[:7] == [
        "guid",
        "index",
        "threshold_closeness",
        "confidence",
        "variability",
        "correctness",
        "forgetfulness",
    ]
    read = read_metrics(path)
    pd.testing.assert_frame_equal(read[list(metrics.columns)], metrics)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"guid": 1, "confidence": 0.5}',
            r"line 1: item 1 lacks \['correctness', 'variability'\]",
        ),
        ('{"guid": 1, "conf', "line 1: .*cut off"),
        ("", "holds no items"),
    ],
)
def test_metrics_that_are_none_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "td_metrics.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_metrics(path)


def test_a_repeated_item_in_metrics_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "td_metrics.jsonl"
    write_metrics(path, dynamics().metrics())
    path.write_text(path.read_text() * 2)
    with pytest.raises(ValueError, match="line 6: item 11 occurs a second time"):
        read_metrics(path)


def test_regions_are_read_as_they_were_written(tmp_path: Path) -> None:
    written, path = dynamics(), tmp_path / "three_regions.json"
    regions = written.regions(fraction=0.4)
    write_regions(path, regions, written.ids)
    assert read_regions(path) == {k: written.ids[v].tolist() for k, v in regions.items()}
    path.write_text('{"hard": [], "easy": []}')
    with pytest.raises(ValueError, match="lacks one of the lists"):
        read_regions(path)
    path.write_text('{"hard": [')
    with pytest.raises(ValueError, match="no whole JSON"):
        read_regions(path)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "td_metrics.jsonl.gz"
    content = "\n".join(json.dumps({"guid": number}) for number in range(5000)).encode()
    path.write_bytes(gzip.compress(content)[:-400])
    with pytest.raises(ValueError, match=r"gz, line \d+: "):
        read_metrics(path)
    dynamics().write_jsonl(tmp_path)
    epoch = tmp_path / "dynamics_epoch_1.jsonl"
    epoch.write_bytes(epoch.read_bytes()[:40] + "é".encode()[:1])
    with pytest.raises(ValueError, match=r"epoch_1\.jsonl, line 1: cannot be read .*cut off"):
        TrainingDynamics.read_jsonl(tmp_path)


def test_an_interrupted_write_leaves_no_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dynamics().write_jsonl(tmp_path)
    whole, written = write_whole, list[Path]()

    def interrupted(path: Path, write: Any) -> None:  # noqa: ANN401
        if len(written) == 1:
            raise KeyboardInterrupt
        written.append(path)
        whole(path, write)

    monkeypatch.setattr(dynamics_files, "write_whole", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dynamics().write_jsonl(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no dynamics_epoch_0\.jsonl"):
        TrainingDynamics.read_jsonl(tmp_path)
    monkeypatch.undo()
    dynamics().write_jsonl(tmp_path)
    assert len(TrainingDynamics.read_jsonl(tmp_path)) == 5


def test_what_is_no_number_is_not_written(tmp_path: Path) -> None:
    metrics = dynamics().metrics()
    metrics.loc[2, "confidence"] = float("nan")
    with pytest.raises(ValueError, match="Item 3 holds what is no number"):
        write_metrics(tmp_path / "td_metrics.jsonl", metrics)
    assert list(tmp_path.iterdir()) == []

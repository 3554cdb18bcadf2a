from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.datasets import LabeledTexts
from benchmarks.perf import adapters as module
from benchmarks.perf.adapters import AdapterTimings, adapter_target, measure_adapters
from tests.benchmarks.test_cli import invoke, plain
from tests.tiny_models import checkpoint

pytest.importorskip("peft", reason="needs the extra 'lora'")


def test_adapters_train_less_and_are_saved_small(sample: LabeledTexts) -> None:
    whole, adapted = measure_adapters(checkpoint(), sample, "float32", 2, lambda message: None)
    assert [len(each.fitting) for each in (whole, adapted)] == [2, 2]
    assert min(*whole.predicting, *adapted.predicting) > 0
    assert adapted.num_trained < whole.num_trained / 2
    assert adapted.megabytes < whole.megabytes / 2


@pytest.mark.parametrize(("seconds", "met"), [([1.04, 1.0], True), ([1.2, 1.1], False)])
def test_the_target_is_the_ratio_of_pairs(seconds: list[float], met: bool) -> None:
    target = adapter_target(
        AdapterTimings("plain", "float32", predicting=[1.0, 1.0]),
        AdapterTimings("adapted", "float32", predicting=seconds),
    )
    assert target.values == tuple(seconds)
    assert target.met is met


def test_the_command_writes_what_it_prints(
    titles_source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "precisions", lambda: ("float32",))
    out = tmp_path / "figures.json"
    arguments = ["--dataset", titles_source, "--texts", "64", "--model", checkpoint()]
    result = invoke("perf", "lora", *arguments, "--repeats", "1", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert "with adapters" in plain(result)
    found = json.loads(out.read_text())
    assert [each["name"] for each in found["timings"]] == ["the plain model", "with adapters"]
    assert found["targets"][0]["values"]

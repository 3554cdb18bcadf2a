from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.runner import prepare_run
from benchmarks.specs import Suite
from small_text_ext.plotting import plot_map_difference
from small_text_ext.training.dynamics_files import read_metrics
from tests.benchmarks.published_runs import run_suite, small_suite
from tests.benchmarks.stand_ins import LocalHub
from tests.benchmarks.test_cli import invoke, plain

SUITES = (
    "carto-winogrande",
    "carto-snli",
    "carto-mnli",
    "carto-qnli",
    "carto-easy-mix",
    "carto-noise",
    "carto-sst2",
    "carto-model-difference",
    "carto-cal",
)
OTHERS = {
    "carto-winogrande": {"wsc"},
    "carto-snli": {"diagnostics"},
    "carto-mnli": {"diagnostics", "mismatched"},
    "carto-qnli": {"adversarial-squad"},
    "carto-easy-mix": {"wsc"},
}


def suite_of(name: str, folder: Path) -> Suite:
    file = folder / "adversarial.csv"
    file.write_text(
        "text,text2,label\nwho scored?,the striker scored,entailment\n"
        "who scored?,the market fell,not_entailment\n",
        encoding="utf-8",
    )

    def change(raw: dict[str, Any]) -> None:
        for dataset in raw["datasets"]:
            for other in dataset.get("out_of_distribution", ()):
                if other["name"].startswith("csv:"):
                    other["name"] = f"csv:{file}"
        # As many steps as a small query has labels.
        if "dal" in raw["methods"]:
            raw["methods"]["dal"]["num_iterations"] = 2

    return small_suite(name, change)


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_is_resolved_with_its_numbers(
    name: str, local_hub: LocalHub, tmp_path: Path
) -> None:
    suite = suite_of(name, tmp_path)
    assert suite.published is not None
    assert (suite.published.id, suite.published.line) == (name, "cartography")
    assert suite.published.differences
    for number in suite.published.numbers:
        assert number.method is None or number.method in suite.methods
        assert number.classifier is None or number.classifier in suite.classifiers
    run = prepare_run(suite, tmp_path)
    assert {unit.spec.method.id for unit in run.units} == set(suite.methods)
    found = {other.id for data in run.datasets for other in data.record.out_of_distribution}
    assert found == OTHERS.get(name, set())


def test_a_third_of_winogrande_is_judged_by_wsc_too(local_hub: LocalHub, tmp_path: Path) -> None:
    (result,) = run_suite(suite_of("carto-winogrande", tmp_path), tmp_path, ["ambiguous-33"])
    (record,) = result.rounds
    assert record.num_labeled == 40
    assert record.metrics["accuracy.wsc"] is not None
    assert "final_accuracy.wsc" in result.summary
    published = suite_of("carto-winogrande", tmp_path).published
    assert published is not None
    assert {number.metric for number in published.numbers} <= set(result.summary)


@pytest.mark.slow
@pytest.mark.parametrize("name", SUITES)
def test_every_unit_runs(name: str, local_hub: LocalHub, tmp_path: Path) -> None:
    suite = suite_of(name, tmp_path)
    expected = {f"accuracy.{other}" for other in OTHERS.get(name, set())}
    for result in run_suite(suite, tmp_path):
        last = result.rounds[-1].metrics
        assert expected <= set(last)
        assert any(key.startswith(("accuracy", "noise_f1")) for key in last)


def test_the_maps_of_two_models_are_two_commands(local_hub: LocalHub, tmp_path: Path) -> None:
    """As the header of `carto-model-difference` has them; SST-2's test labels are hidden."""
    for model in ("bert-tiny", "roberta-large"):
        made = invoke(
            "map", "--suite", "carto-model-difference", "--dataset", "sst2", "--classifier", model,
            "--observe", "epoch_end", "--set", "num_epochs=2", "--out", tmp_path / model,
        )  # fmt: skip
        assert made.exit_code == 0, made.output
    weak, strong = (
        read_metrics(tmp_path / model / "td_metrics.jsonl")
        for model in ("bert-tiny", "roberta-large")
    )
    num_trained = len(local_hub.open_hub("stanfordnlp/sst2")["train"])
    assert len(weak) == len(strong) == num_trained
    described = json.loads((tmp_path / "bert-tiny" / "map.json").read_text(encoding="utf-8"))["map"]
    assert described["classifier"]["params"]["lr"] == 2e-5
    plot_map_difference(weak, strong)


def test_a_map_of_a_suite_names_what_the_suite_lacks(tmp_path: Path) -> None:
    arguments = ("map", "--suite", "carto-sst2", "--out", tmp_path / "map")
    lacking = invoke(*arguments, "--dataset", "sst3", "--classifier", "roberta")
    assert lacking.exit_code == 2
    assert "sst2" in plain(lacking)
    assert not (tmp_path / "map").exists()

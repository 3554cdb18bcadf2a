"""Published experiments of embedding alignment: each entry, on stand-ins of data and models."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.cache import CACHE_VARIABLE
from benchmarks.parsing import parse_suite, read_suite
from benchmarks.results import UnitResult, read_result
from benchmarks.runner import encode_pending, make_tasks, prepare_run
from benchmarks.specs import Suite
from benchmarks.worker import execute
from tests.benchmarks.stand_ins import LocalHub, class_text

FROZEN = ("cea-frozen-cls", "cea-frozen-mean", "cea-frozen-layermean", "cea-political-frozen")
TRAINED = (
    "cea-finetune",
    "cea-variants-electra",
    "cea-variants-bert",
    "cea-all-pairs",
    "cea-political-finetune",
    "cea-political-variants",
)
NUM_NUMBERS = {
    "cea-frozen-cls": 36,
    "cea-frozen-mean": 30,
    "cea-frozen-layermean": 24,
    "cea-finetune": 19,
    "cea-variants-electra": 10,
    "cea-variants-bert": 10,
    "cea-all-pairs": 5,
    "cea-political-frozen": 24,
    "cea-political-finetune": 6,
    "cea-political-variants": 8,
}
PUBLISHERS = ("a", "b", "c", "d", "e", "f")


def write_csv(name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture(autouse=True)
def place(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A working directory with the user's files, an own cache, and a hub of stand-ins."""
    hub = tmp_path_factory.getbasetemp() / "published-alignment"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CACHE_VARIABLE, str(hub / "cache"))
    LocalHub(hub).install(monkeypatch)
    functions = [(class_text(n % 5, n), f"function {n % 5}") for n in range(150)]
    write_csv("communicative-functions.csv", ("text", "label"), functions)
    articles = [
        (
            class_text(n % 3, n),
            ("left", "right", "centre")[n % 3],
            PUBLISHERS[n % 6] if n < 120 else f"other {n % 4}",
            "train" if n < 120 else "test",
        )
        for n in range(160)
    ]
    write_csv("political-bias.csv", ("text", "bias", "publisher", "split"), articles)


def suite_of(name: str) -> Suite:
    return parse_suite(read_suite(f"published/{name}"))


def small(name: str, dataset: str, classifiers: Sequence[str] | None = None) -> Suite:
    """Return an entry with one data set and seed, one epoch, short texts and few classifiers."""
    raw = read_suite(f"published/{name}")
    tables = raw["classifiers"]
    kept = {key: tables[key] for key in (tables if classifiers is None else classifiers)}
    for table in kept.values():
        if table["kind"] in ("alignment", "transformer"):
            table.update(num_epochs=1, max_length=32)
    methods = {
        key: {k: v for k, v in table.items() if k not in ("datasets", "max_length")}
        for key, table in raw["methods"].items()
        if set(table.get("classifiers", kept)) & set(kept)
        and dataset in table.get("datasets", [dataset])
    }
    for table in kept.values():
        if "methods" in table:
            table["methods"] = [each for each in table["methods"] if each in methods]
    datasets = [table for table in raw["datasets"] if table["id"] == dataset]
    changed = {"seeds": 1, "datasets": datasets, "classifiers": kept, "methods": methods}
    return parse_suite({**raw, **changed})


def results_of(suite: Suite, folder: Path) -> list[UnitResult]:
    run = prepare_run(suite, folder)
    assert not run.skipped
    sources = encode_pending(run, "cpu", show_progress=False)
    found = []
    for task in make_tasks(run.pending, sources, folder, threads=1, device="cpu"):
        outcome = execute(task)
        assert outcome.status == "passed", f"{task.unit.spec.name}: {outcome.message}"
        found.append(read_result(folder / task.unit.spec.relative_path))
    assert found
    return found


def check_published(suite: Suite, results: Sequence[UnitResult]) -> None:
    """Check that a result has each published number's measure, as far as its unit was run."""
    assert suite.published is not None
    measured = {
        (r.spec.dataset.id, r.spec.classifier.id, r.spec.method.id): r.summary for r in results
    }
    by_method = {(dataset, method): found for (dataset, _, method), found in measured.items()}
    compared = 0
    for number in suite.published.numbers:
        if number.classifier is None:
            found = by_method.get((number.dataset or "", number.method or ""))
        else:
            key = (number.dataset or "", number.classifier, number.method or "")
            found = measured.get(key)
        if found is not None:
            assert found[number.metric] is not None
            compared += 1
    assert compared


@pytest.mark.parametrize("name", NUM_NUMBERS)
def test_an_entry_says_what_it_repeats(name: str) -> None:
    suite = suite_of(name)
    published = suite.published
    assert published is not None
    assert (published.id, published.line) == (name, "alignment")
    assert len(published.numbers) == NUM_NUMBERS[name]
    assert published.differences
    datasets = {entry.id for entry in suite.datasets}
    for number in published.numbers:
        assert number.dataset in datasets
        assert number.method in suite.methods
        assert number.classifier is None or number.classifier in suite.classifiers
        assert 0 < number.value < 1
        records = suite.method_records(number.dataset or "", number.classifier)
        assert number.method in {record.id for record in records}
    places = [(n.dataset, n.classifier, n.method, n.metric) for n in published.numbers]
    assert len(set(places)) == len(places)


def test_numbers_are_those_of_the_tables() -> None:
    cells = {
        (n.dataset, n.classifier, n.method, n.metric): n.value
        for name in NUM_NUMBERS
        for n in suite_of(name).published.numbers  # type: ignore[union-attr]
        if name not in ("cea-frozen-mean", "cea-frozen-cls", "cea-variants-bert")
    }
    parity, plain = "final_parity_accuracy", "final_test_accuracy"
    # The cell of RoBERTa and SST-2 is empty, and what stands behind it is of SST-5.
    assert ("sst-2", None, "roberta-base", parity) not in cells
    assert cells["sst-5", None, "roberta-base", parity] == 0.5916
    assert ("sst-2", "roberta-base", "whole", plain) not in cells
    assert cells["trec-50", "mixed-memory", "held-out", plain] == 0.845
    assert cells["trec-50", "datapoint-all", "held-out", plain] == 0.882
    assert (
        cells["political-bias", None, "bigbird-large-4096", "final_parity_test_accuracy"] == 0.6767
    )
    assert cells["political-bias", "longformer-base-4096", "held-out", plain] == 0.72


@pytest.mark.parametrize("name", NUM_NUMBERS)
def test_an_entry_resolves_and_builds(name: str, tmp_path: Path) -> None:
    run = prepare_run(suite_of(name), tmp_path / "results")
    assert not run.skipped
    assert run.units
    assert {unit.spec.dataset.id for unit in run.units} == {d.id for d in suite_of(name).datasets}
    assert all(len(dataset.record.class_names) > 1 for dataset in run.datasets)


def test_the_variants_differ_in_pairs_and_memory_alone() -> None:
    for name in ("cea-variants-electra", "cea-variants-bert", "cea-all-pairs"):
        entries = suite_of(name).classifiers
        aligned = {key: entry.params for key, entry in entries.items() if entry.kind == "alignment"}
        assert len({(p["pairs"], p["memory"]) for p in aligned.values()}) == len(aligned)
        for params in aligned.values():
            assert (params["lr"], params["batch_size"], params["pooling"]) == (5e-5, 32, "cls")
            assert params["num_epochs"] == (15 if params is aligned.get("batch-all") else 10)


def test_one_variant_runs(tmp_path: Path) -> None:
    suite = small("cea-variants-electra", "trec-6", ["datapoint-memory"])
    results = results_of(suite, tmp_path / "results")
    check_published(suite, results)
    assert results[0].rounds[0].num_labeled == 180
    assert results[0].spec.classifier.model is not None


def test_frozen_encoders_run(tmp_path: Path) -> None:
    suite = small("cea-frozen-cls", "communicative-functions")
    results = results_of(suite, tmp_path / "results")
    assert {result.spec.method.id for result in results} >= {"minilm-l12", "concatenated"}
    check_published(suite, results)


@pytest.mark.slow
@pytest.mark.parametrize("name", FROZEN[1:])
def test_every_frozen_entry_runs(name: str, tmp_path: Path) -> None:
    dataset = "political-bias" if "political" in name else "sst-5"
    suite = small(name, dataset)
    check_published(suite, results_of(suite, tmp_path / "results"))


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_every_trained_entry_runs(name: str, tmp_path: Path) -> None:
    dataset = "political-bias" if "political" in name else "trec-50"
    suite = small(name, dataset)
    results = results_of(suite, tmp_path / "results")
    assert {result.spec.classifier.id for result in results} == set(suite.classifiers)
    check_published(suite, results)


@pytest.mark.slow
def test_multi_label_emotions_become_classes(tmp_path: Path) -> None:
    results = results_of(small("cea-frozen-cls", "go-emotions"), tmp_path / "results")
    names = results[0].spec.dataset.class_names
    assert len(names) == 28
    assert "others" not in names

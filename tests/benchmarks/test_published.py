"""The published experiments: all have a suite, and those of AnchorAL and Lightly run in small.

The other lines' entries are run in test modules of their own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.parsing import parse_suite, published_names, read_suite
from benchmarks.planning import make_plan
from benchmarks.published import (
    NUM_EXPERIMENTS,
    PublishedExperiment,
    published_experiments,
    summary,
)
from benchmarks.selection import Selection, select_suite
from benchmarks.specs import Suite
from tests.benchmarks.published_runs import prepare_small, run_all
from tests.benchmarks.stand_ins import LocalHub

IDS = {
    "anchoral": (
        "anchoral-amazon-agri",
        "anchoral-amazon-multi",
        "anchoral-agnews-bus",
        "anchoral-wikitoxic",
        "anchoral-models-agri",
        "anchoral-models-agnews",
        "anchoral-ablation-anchors",
        "anchoral-ablation-neighbors",
    ),
    "rho-loss": (
        "rho-sst2",
        "rho-cola",
        "rho-noise",
        "rho-irrelevant",
        "rho-no-holdout",
        "rho-small-il",
        "rho-holdout-size",
        "rho-update-il",
        "rho-proxy",
        "rho-compute-matched",
        "rho-vision",
    ),
    "cartography": (
        "carto-winogrande",
        "carto-snli",
        "carto-mnli",
        "carto-qnli",
        "carto-easy-mix",
        "carto-noise",
        "carto-sst2",
        "carto-model-difference",
        "carto-cal",
    ),
    "alignment": (
        "cea-frozen-cls",
        "cea-frozen-mean",
        "cea-frozen-layermean",
        "cea-finetune",
        "cea-variants-electra",
        "cea-variants-bert",
        "cea-all-pairs",
        "cea-political-frozen",
        "cea-political-finetune",
        "cea-political-variants",
    ),
    "diversity": ("lightly-sst2", "lightly-label-saving", "lightly-zero-shot"),
}
FINISHED = ("anchoral", "rho-loss", "cartography", "alignment", "diversity")
"""Lines whose experiments all have a suite."""
HERE = ("anchoral", "diversity")
"""Lines whose suites are built and run by this module."""

SMALL_LOOP = ("rounds=2", "query_size=3", "initial_size=16", "initial_minority=2")
TINY = ("num_epochs=1", "max_length=12", "batch_size=8")


def small(name: str) -> list[str]:
    """Return the values that make a suite small enough for stand-ins."""
    raw = read_suite(name)
    found = list(SMALL_LOOP)
    # A classifier that no method asks has no epochs.
    trained = {each: table for each, table in raw["classifiers"].items() if "model" in table}
    found += [f"classifiers.{each}.{value}" for each in trained for value in TINY]
    for each, entry in trained.items():
        found += [f"classifiers.{each}.min_steps=2"] if "min_steps" in entry else []
    for each, entry in raw["methods"].items():
        if isinstance(entry.get("subpool_size"), int):
            found.append(f"methods.{each}.subpool_size=40")
        if "num_neighbors" in entry:
            found.append(f"methods.{each}.num_neighbors={min(entry['num_neighbors'], 20) // 4}")
    for position, entry in enumerate(raw["datasets"]):
        found += [f"datasets.{position}.prevalence=0.1"] if "prevalence" in entry else []
        found += [f"datasets.{position}.max_test_majority=9"] * ("max_test_majority" in entry)
    return found


def check_curve(name: str, run_folder: Path, methods: tuple[str, ...] = ()) -> None:
    """Run a suite in small, and look at every curve."""
    results = run_all(prepare_small(name, run_folder, small(name), methods), run_folder)
    assert results
    for result in results:
        assert result.spec.suite == name
        one_shot = result.spec.method.strategy == "ZeroShot"
        labels = [record.num_labeled for record in result.rounds]
        assert labels == ([0] if one_shot else [16, 19, 22])
        picks = [pick for record in result.rounds for pick in record.picks]
        assert len(set(picks)) == len(picks) == labels[-1]


def test_every_experiment_of_a_finished_line_has_a_suite_and_no_other_has() -> None:
    listed = [name for names in IDS.values() for name in names]
    assert len(set(listed)) == len(listed) == NUM_EXPERIMENTS == 41
    assert set(published_names()) <= set(listed)
    missing = [name for line in FINISHED for name in IDS[line] if name not in published_names()]
    assert missing == []


@pytest.mark.parametrize("name", published_names())
def test_a_suite_says_what_it_repeats(name: str) -> None:
    suite = parse_suite(read_suite(name))
    assert suite.published is not None
    assert suite.published.id == suite.name == name
    assert name in IDS[suite.published.line]
    assert suite.description
    if suite.published.status != "recovered":
        assert suite.published.reason
    check_numbers(suite)


def check_numbers(suite: Suite) -> None:
    """Look whether each published number has its place in the suite."""
    assert suite.published is not None
    known = {
        "dataset": {entry.id for entry in suite.datasets},
        "classifier": set(suite.classifiers),
        "method": set(suite.methods),
    }
    if suite.published.status == "out of scope":
        return
    for number in suite.published.numbers:
        for kind, names in known.items():
            named = getattr(number, kind)
            assert named is None or named in names, (kind, named)
    assert suite.published.status != "recovered" or suite.published.numbers


def test_the_list_counts_and_sorts() -> None:
    experiments = published_experiments()
    assert [each.id for each in experiments] == [
        each.id for each in sorted(experiments, key=lambda each: (each.line, each.id))
    ]
    (agri,) = (each for each in experiments if each.id == "anchoral-amazon-agri")
    assert agri.row == (
        "anchoral-amazon-agri",
        "anchoral",
        "pietrolesci/amazoncat-13k",
        "google-bert/bert-base-uncased",
        "partly recovered",
        "6",
    )
    outside = PublishedExperiment("rho-vision", "rho-loss", "out of scope", (), (), 4, "images")
    assert summary([agri, outside]) == (
        "2 of 41 published experiments have a suite: 1 to run, 1 out of scope."
    )


def test_the_protocol_of_anchoral() -> None:
    suite = select_suite(Selection("anchoral-amazon-agri"))
    assert suite.initial_size + suite.rounds * suite.query_size == 5_000
    assert suite.num_seeds("bert-base") == 8
    assert suite.time_limit == 6 * 3600
    assert len(suite.methods) == 10
    filters = [entry.strategy for entry in suite.methods.values()]
    assert {name: filters.count(name) for name in set(filters)} == {
        "RandomSampling": 1,
        "AnchorAL": 3,
        "SEALS": 3,
        "RandomSubset": 3,
    }
    multi = select_suite(Selection("published/anchoral-amazon-multi"))
    assert [entry.id for entry in multi.datasets] == ["amazon-multi"]
    assert list(multi.methods) == list(suite.methods)
    assert multi.classifiers == suite.classifiers
    models = select_suite(Selection("anchoral-models-agri"))
    assert len(models.classifiers) == 5
    assert len(models.methods) == 3


def test_what_is_out_of_scope_says_why() -> None:
    suite = Suite.model_validate(
        {
            "name": "pictures",
            "published": {
                "id": "rho-vision",
                "line": "rho-loss",
                "source": "made",
                "status": "out of scope",
                "reason": "it is about images.",
            },
        }
    )
    assert suite.out_of_scope == "it is about images."
    assert suite.datasets == ()


@pytest.mark.parametrize(
    "name", [name for line in HERE for name in IDS[line] if name in published_names()]
)
def test_each_resolves_and_builds_on_stand_ins(
    name: str, local_hub: LocalHub, tmp_path: Path
) -> None:
    run = prepare_small(name, tmp_path, small(name))
    assert run.skipped == []
    suite = run.suite
    assert len(run.units) == len(suite.datasets) * len(suite.classifiers) * len(suite.methods)
    if name.startswith("anchoral"):
        assert {unit.spec.encoder.id.split(",")[0] for unit in run.units} == {"all-mpnet-base-v2"}


def test_classes_and_test_sets_are_the_protocol_s(local_hub: LocalHub, tmp_path: Path) -> None:
    run = prepare_small("anchoral-amazon-multi", tmp_path, small("anchoral-amazon-multi"))
    (dataset,) = run.datasets
    assert dataset.data.counts().keys() == {
        "other",
        "agriculture",
        "archaeology",
        "audio",
        "philosophy",
    }
    assert dataset.data.is_test is not None
    test = dataset.data.rows(dataset.data.is_test.nonzero()[0])
    # One list of categories of each but "other", which has three; audio wins over agriculture.
    assert test.counts() == {
        "other": 9,
        "agriculture": 10,
        "archaeology": 10,
        "audio": 20,
        "philosophy": 10,
    }


def test_one_method_of_anchoral_runs(local_hub: LocalHub, tmp_path: Path) -> None:
    check_curve("anchoral-amazon-multi", tmp_path, ("anchoral-badge",))


def test_one_method_of_lightly_runs(local_hub: LocalHub, tmp_path: Path) -> None:
    check_curve("lightly-sst2", tmp_path, ("k-center-product",))


def test_a_plan_encodes_nothing_where_vectors_are_published(
    local_hub: LocalHub, tmp_path: Path
) -> None:
    run = prepare_small("anchoral-wikitoxic", tmp_path, small("anchoral-wikitoxic"), ("random",))
    plan = make_plan(run)
    assert plan.texts == 0
    assert plan.hours > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for line in HERE for name in IDS[line] if name in published_names()]
)
def test_each_runs_two_rounds_with_tiny_models(
    name: str, local_hub: LocalHub, tmp_path: Path
) -> None:
    check_curve(name, tmp_path)

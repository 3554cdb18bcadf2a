from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.selection import Selection, select_suite
from benchmarks.suggestions import SuiteError


def test_options_change_the_suite(suite_file: Path) -> None:
    suite = select_suite(
        Selection(
            str(suite_file),
            seeds=7,
            methods=["random"],
            encoder="some/model",
            overrides=["rounds=1"],
            minority=["tech"],
            prevalence=0.1,
        )
    )
    assert (suite.seeds, suite.rounds, suite.encoder.name) == (7, 1, "some/model")
    assert list(suite.methods) == ["random"]
    assert suite.datasets[0].wanted == ("tech",)
    assert suite.datasets[0].prevalence == 0.1


def test_a_data_set_is_kept_by_id_or_by_name() -> None:
    electronics = Selection("anchoral-cpu", datasets=["debian-sections:electronics"])
    assert [entry.id for entry in select_suite(electronics).datasets] == [
        "debian-sections:electronics"
    ]
    assert len(select_suite(Selection("anchoral-cpu", datasets=["debian-sections"])).datasets) == 3


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("movie-snippets", ()),
        ("csv:some.csv", ()),
        ("debian-sections:all", ("electronics", "hamradio", "video")),
        ("bbc-news:tech+sports", ("tech", "sports")),
        ("bbc-news:tech@0.03", ("tech",)),
    ],
)
def test_a_data_set_that_the_suite_lacks_is_added(name: str, wanted: tuple[str, ...]) -> None:
    entries = select_suite(Selection("demo", datasets=[name])).datasets
    assert [entry.wanted for entry in entries] == [wanted]


def test_an_id_that_reports_show_can_be_asked_for() -> None:
    (entry,) = select_suite(Selection("demo", datasets=["bbc-news:tech@0.03"])).datasets
    assert (entry.id, entry.prevalence) == ("bbc-news:tech@0.03", 0.03)
    (odd,) = select_suite(Selection("demo", datasets=["bbc-news:me@home"])).datasets
    assert (odd.wanted, odd.prevalence) == (("me@home",), None)


@pytest.mark.parametrize(
    "change",
    [{"minority": ["tech"]}, {"prevalence": 0.01}, {"overrides": ["datasets.0.prevalence=0.05"]}],
)
def test_another_class_or_prevalence_is_filtered_as_before(change: dict[str, Any]) -> None:
    suite = select_suite(Selection("demo", datasets=["bbc-news"], **change))
    (entry,) = suite.datasets
    records = {record.id: record.params for record in suite.method_records(entry.id)}
    assert entry.id != "bbc-news:business@0.02"
    for name in ("random-subset", "seals", "anchoral"):
        assert records[name]["subpool_size"] == 300
    assert records["anchor-subsampling"] == {"subsample_size": 300}


def test_data_sets_of_one_folder_are_refused_after_selection_too() -> None:
    with pytest.raises(SuiteError, match="one result folder"):
        select_suite(Selection("demo", datasets=["csv:/a/b.csv", "csv:/a-b.csv"]))


def test_a_method_that_others_refer_to_may_be_left_out() -> None:
    suite = select_suite(Selection("anchoral-cpu", methods=["random-subset-matched"]))
    assert list(suite.methods) == ["random-subset-matched"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"datasets": ["bbc-nws"]}, "Did you mean 'bbc-news'"),
        ({"methods": ["anchral"]}, "Did you mean 'anchoral'"),
        ({"classifiers": ["mpl"]}, "Did you mean 'mlp'"),
        ({"prevalence": 3.0}, "prevalence"),
        ({"prevalence": 0.1, "datasets": ["movie-snippets"]}, "--minority"),
        (
            {"methods": ["anchor-subsampling"], "datasets": ["debian-sections"]},
            "Nothing is left",
        ),
    ],
)
def test_wrong_options_are_explained(options: dict[str, list[str]], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        select_suite(Selection("demo", **options))  # type: ignore[arg-type]


def test_a_classifier_that_the_suite_lacks_can_be_asked_for() -> None:
    suite = select_suite(Selection("demo", classifiers=("sklearn:LogisticRegression",)))
    assert [record.kind for record in suite.classifier_records()] == ["sklearn:LogisticRegression"]
    with pytest.raises(SuiteError, match="Did you mean 'sklearn:LogisticRegression'"):
        select_suite(Selection("demo", classifiers=("sklearn:LogisticRegresion",)))


def test_a_kind_that_the_suite_lacks_runs_with_its_defaults_and_another_model() -> None:
    selection = Selection("demo", classifiers=("mlp", "transformer", "setfit"), model="some/model")
    records = {record.id: record for record in select_suite(selection).classifier_records()}
    assert list(records) == ["mlp", "transformer", "setfit"]
    assert "model" not in records["mlp"].params
    assert records["transformer"].params == records["setfit"].params == {"model": "some/model"}


def test_a_model_goes_to_the_classifiers_of_the_suite_too() -> None:
    overrides = ["classifiers.tuned.kind=transformer", "classifiers.tuned.num_epochs=2"]
    suite = select_suite(Selection("demo", overrides=overrides, model="some/model"))
    assert suite.classifiers["tuned"].params == {"num_epochs": 2, "model": "some/model"}


def test_a_model_for_no_classifier_is_refused() -> None:
    with pytest.raises(SuiteError, match=r"none of the classifiers \(mlp\).*--classifier trans"):
        select_suite(Selection("demo", model="some/model"))


def test_what_a_ceiling_changes_of_the_suite_s_classifiers_fits_no_other() -> None:
    suite = select_suite(Selection("anchoral-cpu", classifiers=("mlp", "setfit")))
    dataset = suite.datasets[0].id
    methods = {
        name: {record.id for record in suite.method_records(dataset, name)}
        for name in suite.classifiers
    }
    assert "full-data" in methods["mlp"]
    assert "full-data" not in methods["setfit"]
    assert {"random", "anchoral"} <= methods["setfit"]
    plain = select_suite(Selection("smoke", classifiers=("setfit",)))
    ceilings = plain.method_records(plain.datasets[0].id, "setfit")
    assert "full-data" in {record.id for record in ceilings}


def test_what_needs_a_recording_runs_with_added_classifiers_that_have_one() -> None:
    overrides = ["methods.third.preset=subset", "methods.third.keep=hard"]
    kinds = ["mlp", "setfit", "transformer"]
    suite = select_suite(Selection("demo", classifiers=kinds, overrides=overrides))
    assert suite.methods["third"].classifiers == ("mlp", "transformer")
    names = {
        kind: {record.id for record in suite.method_records(suite.datasets[0].id, kind)}
        for kind in kinds
    }
    assert "third" in names["mlp"] & names["transformer"]
    assert "third" not in names["setfit"]

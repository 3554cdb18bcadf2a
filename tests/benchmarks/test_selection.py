from __future__ import annotations

from pathlib import Path

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
    ],
)
def test_a_data_set_that_the_suite_lacks_is_added(name: str, wanted: tuple[str, ...]) -> None:
    entries = select_suite(Selection("demo", datasets=[name])).datasets
    assert [entry.wanted for entry in entries] == [wanted]


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
    with pytest.raises(SuiteError, match="classifier of this suite"):
        select_suite(Selection("demo", classifiers=("sklearn:LogisticRegresion",)))

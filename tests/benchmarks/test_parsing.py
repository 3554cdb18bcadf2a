from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.parsing import (
    apply_overrides,
    dataset_entry,
    parse_suite,
    published_names,
    read_suite,
    suite_names,
)
from benchmarks.suggestions import SuiteError


def make_raw(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - raw TOML
    content: dict[str, Any] = {
        "name": "made",
        "datasets": [{"name": "bbc-news", "minority": ["business"], "prevalence": 0.02}],
        "classifiers": {"logistic": {"kind": "sklearn:LogisticRegression", "C": 2.0}},
        "methods": {"random": {}, "anchoral": {"num_anchors": 7}},
    }
    return {**content, **changes}


def test_every_suite_that_comes_along_is_valid() -> None:
    names = suite_names()
    assert {"demo", "smoke", "anchoral-cpu", "anchoral-cpu-finetuned"} <= set(names)
    for name in names:
        suite = parse_suite(read_suite(name))
        assert suite.name == name
        assert suite.description


def test_presets_parameters_and_ids_are_filled_in() -> None:
    suite = parse_suite(make_raw())
    assert [entry.id for entry in suite.datasets] == ["bbc-news:business@0.02"]
    random, anchoral = suite.method_records("bbc-news:business@0.02")
    assert (random.strategy, random.base, random.params) == ("RandomSampling", None, {})
    assert (anchoral.strategy, anchoral.base) == ("AnchorAL", "LeastConfidence")
    assert anchoral.params == {"num_anchors": 7}
    assert suite.classifier_records()[0].params == {"C": 2.0}


def test_a_method_can_be_spelled_out_or_made_from_a_preset() -> None:
    methods = {
        "mine": {"strategy": "SEALS", "base": "BreakingTies", "num_neighbors": 5},
        "theirs": {"strategy": "small_text.SEALS", "base": "BreakingTies", "k": 5},
        "wide": {"preset": "anchoral", "num_neighbors": 200, "ablation": True},
    }
    mine, theirs, wide = parse_suite(make_raw(methods=methods)).method_records("any")
    assert (mine.strategy, mine.base, mine.params) == (
        "SEALS",
        "BreakingTies",
        {"num_neighbors": 5},
    )
    assert theirs.strategy == "small_text.SEALS"
    assert (wide.strategy, wide.ablation) == ("AnchorAL", True)


def test_a_reference_carries_the_other_method_s_parameters() -> None:
    methods = {"anchoral": {"num_anchors": 7}, "random-subset-matched": {}}
    matched = parse_suite(make_raw(methods=methods)).method_records("any")[1]
    assert matched.params["subpool_size"] == {
        "strategy": "AnchorAL",
        "base": "LeastConfidence",
        "params": {"num_anchors": 7},
    }


def test_parameters_can_differ_on_one_data_set() -> None:
    data = "bbc-news:business@0.02"
    methods = {"anchoral": {"num_anchors": 7, "on": {data: {"subpool_size": 300}}}}
    suite = parse_suite(make_raw(methods=methods))
    assert suite.method_records(data)[0].params == {"num_anchors": 7, "subpool_size": 300}
    assert suite.method_records("another")[0].params == {"num_anchors": 7}


@pytest.mark.parametrize("change", [{"prevalence": 0.05}, {"minority": ["tech"]}])
def test_parameters_on_a_name_hold_for_every_variant(change: dict[str, Any]) -> None:
    raw = make_raw(methods={"anchoral": {"on": {"bbc-news": {"subpool_size": 300}}}, "random": {}})
    raw["methods"]["random"]["datasets"] = ["bbc-news"]
    raw["datasets"][0] |= change
    suite = parse_suite(raw)
    anchoral, random = suite.method_records(suite.datasets[0].id)
    assert anchoral.params == {"subpool_size": 300}
    assert random.id == "random"


def test_what_stands_under_an_id_wins() -> None:
    data = "bbc-news:business@0.02"
    on = {data: {"subpool_size": 7}, "bbc-news": {"subpool_size": 300, "num_anchors": 2}}
    suite = parse_suite(make_raw(methods={"anchoral": {"on": on}}))
    assert suite.method_records(data)[0].params == {"subpool_size": 7, "num_anchors": 2}


def test_a_reference_has_the_parameters_of_its_data_set() -> None:
    methods = {
        "anchoral": {"num_anchors": 7, "on": {"bbc-news": {"subpool_size": 300}}},
        "random-subset-matched": {},
    }
    suite = parse_suite(make_raw(methods=methods))
    here, there = (
        suite.method_records(name)[1].params["subpool_size"]["params"]
        for name in ("bbc-news:business@0.02", "another")
    )
    assert here == {"num_anchors": 7, "subpool_size": 300}
    assert there == {"num_anchors": 7}


def test_a_reference_may_stand_for_one_data_set() -> None:
    on = {"bbc-news": {"subpool_size": {"method": "anchoral"}}}
    methods = {"anchoral": {"num_anchors": 7}, "random-subset": {"on": on}}
    subset = parse_suite(make_raw(methods=methods)).method_records("bbc-news:business@0.02")[1]
    assert subset.params["subpool_size"]["strategy"] == "AnchorAL"


CHAIN: dict[str, Any] = {"anchoral": {}, "random-subset-matched": {}}
TO_MATCHED = {"subpool_size": {"method": "random-subset-matched"}}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "key": ({"round": 5}, "Did you mean 'rounds'"),
    "encoder key": ({"encoder": {"nam": "minilm"}}, "Did you mean 'name'"),
    "data set key": (
        {"datasets": [{"name": "bbc-news", "minorty": ["business"]}]},
        "Did you mean 'minority'",
    ),
    "data set": ({"datasets": [{"name": "bbc-new"}]}, "Did you mean 'bbc-news'"),
    "two of one id": ({"datasets": [{"name": "bbc-news"}] * 2}, "Two data sets of suite 'made'"),
    "two of one folder": (
        {"datasets": [{"name": "csv:/a/b.csv"}, {"name": "csv:/a-b.csv"}]},
        "'csv:/a/b.csv' and 'csv:/a-b.csv'. Give one of them another id",
    ),
    "methods of one folder": (
        {"methods": {"a/b": {"preset": "random"}, "A-b": {"preset": "random"}}},
        "'a/b' and 'A-b'. Give one of them another name",
    ),
    "classifiers of one folder": (
        {"classifiers": {"a b": {"kind": "mlp"}, "a-b": {"kind": "mlp"}}},
        "Two classifiers",
    ),
    "prevalence of nothing": (
        {"datasets": [{"name": "bbc-news", "prevalence": 0.1}]},
        "data set 'bbc-news': prevalence is 0.1, but no class is wanted: name one with minority",
    ),
    "text as prevalence": (
        {"datasets": [{"name": "bbc-news", "minority": ["tech"], "prevalence": "few"}]},
        "datasets.0.prevalence: Input should be a valid number",
    ),
    "classifier": ({"classifiers": {"x": {"kind": "mlpp"}}}, "Did you mean 'mlp'"),
    "estimator": (
        {"classifiers": {"x": {"kind": "sklearn:LogisticRegresion"}}},
        "Did you mean 'sklearn:LogisticRegression'",
    ),
    "classifier parameter": (
        {"classifiers": {"mlp": {"hiden_size": 3}}},
        "Did you mean 'hidden_size'",
    ),
    "runner's parameter": ({"classifiers": {"mlp": {"seed": 3}}}, "set by the runner"),
    "preset": ({"methods": {"anchral": {}}}, "Did you mean 'anchoral'"),
    "strategy": ({"methods": {"x": {"strategy": "AnchorLA"}}}, "Did you mean 'AnchorAL'"),
    "parameter": ({"methods": {"anchoral": {"num_anchor": 3}}}, "Did you mean 'num_anchors'"),
    "parameter on": (
        {"methods": {"anchoral": {"on": {"bbc-news:business@0.02": {"subpol_size": 3}}}}},
        "Did you mean 'subpool_size'",
    ),
    "on what": (
        {"methods": {"anchoral": {"on": {"bbc-news:busines@0.02": {}}}}},
        "Did you mean 'bbc-news:business@0.02'",
    ),
    "seed of method": ({"methods": {"anchoral": {"seed": 3}}}, "set by the runner"),
    "no base": ({"methods": {"x": {"strategy": "AnchorAL"}}}, "needs a base strategy"),
    "a base too many": (
        {"methods": {"random": {"base": "LeastConfidence"}}},
        "takes no base strategy",
    ),
    "base that needs one": (
        {"methods": {"x": {"strategy": "AnchorAL", "base": "SEALS"}}},
        "needs one itself",
    ),
    "reference": (
        {"methods": {"random-subset-matched": {}, "anchoral2": {"preset": "anchoral"}}},
        "method that 'random-subset-matched' refers to 'anchoral'",
    ),
    "reference on a data set": (
        {"methods": {"random-subset": {"on": {"bbc-news": {"subpool_size": {"method": "x"}}}}}},
        "method that 'random-subset' refers to 'x'",
    ),
    "reference to a reference": (
        {"methods": {**CHAIN, "seals": {"preset": "random-subset", **TO_MATCHED}}},
        "method 'seals' refers to 'random-subset-matched', which refers to another one",
    ),
    "method's data set": (
        {"methods": {"random": {"datasets": ["bbc-news:busines@0.02"]}}},
        "Did you mean 'bbc-news:business@0.02'",
    ),
    "classifier's data set": (
        {"classifiers": {"mlp": {"datasets": ["bbc-nws"]}}},
        "data set of classifier 'mlp' 'bbc-nws'. Did you mean 'bbc-news'",
    ),
    "classifier's method": (
        {"classifiers": {"mlp": {"methods": ["anchral"]}}},
        "method of classifier 'mlp' 'anchral'. Did you mean 'anchoral'",
    ),
    "model of a ceiling": (
        {
            "classifiers": {"transformer": {}},
            "methods": {"full-data": {"model": "minilm"}},
        },
        "method 'full-data' names a model, but a ceiling has its classifier's",
    ),
    "judge of a recorded fit": (
        {"classifiers": {"mlp": {"judge_epochs": True}}, "methods": {"cal": {}}},
        "method 'cal' records the fits of 'mlp' itself: set judge_epochs",
    ),
    "judge of what is not recorded": (
        {"classifiers": {"sklearn:GaussianNB": {"judge_epochs": True}}},
        "'judge_epochs'",
    ),
    "number": ({"rounds": -1}, "rounds: Input should be greater than or equal to 0"),
    "share": ({"datasets": [{"name": "bbc-news", "prevalence": 2.0}]}, "prevalence"),
    "no methods": ({"methods": {}}, "methods"),
    "ceiling": ({"methods": {"full-data": {"C_": 1}}}, "Did you mean 'C'"),
    "base of the ceiling": (
        {"methods": {"full-data": {"base": "LeastConfidence"}}},
        "takes no base",
    ),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_suite_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError, match=re.escape(message)):
        parse_suite(make_raw(**changes))


def test_overrides_reach_into_lists_and_tables_and_leave_the_original() -> None:
    raw = make_raw()
    changed = apply_overrides(
        raw,
        ["rounds=5", "datasets.0.max_texts=50", "methods.anchoral.index=hnsw", "encoder.name=x/y"],
    )
    assert changed["rounds"] == 5
    assert changed["datasets"][0]["max_texts"] == 50
    assert changed["methods"]["anchoral"] == {"num_anchors": 7, "index": "hnsw"}
    assert changed["encoder"] == {"name": "x/y"}
    assert raw == make_raw()


def test_a_key_with_a_dot_is_quoted() -> None:
    key = 'methods.anchoral.on."bbc-news:business@0.02".subpool_size'
    changed = apply_overrides(make_raw(), [f"{key}=50"])
    on = changed["methods"]["anchoral"]["on"]
    assert on == {"bbc-news:business@0.02": {"subpool_size": 50}}


@pytest.mark.parametrize("override", ["rounds", "=5", "rounds.x=5", "datasets.7.max_texts=5"])
def test_an_override_that_leads_nowhere_is_refused(override: str) -> None:
    with pytest.raises(SuiteError, match="--set"):
        apply_overrides(make_raw(rounds=3), [override])


def test_an_unknown_suite_and_a_broken_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="Did you mean 'demo'"):
        read_suite("dmo")
    path = tmp_path / "broken.toml"
    path.write_text("rounds = ")
    with pytest.raises(SuiteError, match=r"broken\.toml is no TOML"):
        read_suite(str(path))


BASE = """
description = "the base"
rounds = 7
seeds = 4

[[datasets]]
name = "bbc-news"
[[datasets]]
name = "movie-snippets"

[classifiers.mlp]
lr = 0.1
num_epochs = 3

[methods.random]
[methods.anchoral]
num_anchors = 7

[published]
id = "base"
line = "anchoral"
source = "a paper"
status = "recovered"
"""


def write_suites(folder: Path, **contents: str) -> None:
    for name, content in {"base": BASE, **contents}.items():
        (folder / f"{name}.toml").write_text(content, encoding="utf-8")


def test_a_suite_extends_another_key_by_key(tmp_path: Path) -> None:
    write_suites(
        tmp_path,
        middle='extends = "base.toml"\nrounds = 9\n[classifiers.mlp]\nlr = 0.2\n',
        last='extends = "middle.toml"\n[methods.anchoral]\nnum_neighbors = 3\n[methods.seals]\n',
    )
    raw = read_suite(str(tmp_path / "last.toml"))
    assert raw == {
        "name": "last",
        "rounds": 9,
        "seeds": 4,
        "datasets": [{"name": "bbc-news"}, {"name": "movie-snippets"}],
        "classifiers": {"mlp": {"lr": 0.2, "num_epochs": 3}},
        "methods": {
            "random": {},
            "anchoral": {"num_anchors": 7, "num_neighbors": 3},
            "seals": {},
        },
    }
    assert parse_suite(raw).protocol.rounds == 9


def test_lists_are_taken_whole_and_tables_where_they_are_replaced(tmp_path: Path) -> None:
    own = 'extends = "base.toml"\nreplaces = ["methods"]\n[[datasets]]\nname = "debian-sections"\n'
    write_suites(tmp_path, own=own + "[methods.seals]\n")
    raw = read_suite(str(tmp_path / "own.toml"))
    assert raw["datasets"] == [{"name": "debian-sections"}]
    assert raw["methods"] == {"seals": {}}
    assert raw["classifiers"] == {"mlp": {"lr": 0.1, "num_epochs": 3}}
    write_suites(tmp_path, own=own)
    with pytest.raises(SuiteError, match="suite 'own': replaces names 'methods', which"):
        read_suite(str(tmp_path / "own.toml"))


def test_a_suite_of_the_project_can_be_extended_by_name(tmp_path: Path) -> None:
    write_suites(tmp_path, mine='extends = "demo"\nseeds = 1\n')
    mine, demo = read_suite(str(tmp_path / "mine.toml")), read_suite("demo")
    assert mine["name"] == "mine"
    assert mine["methods"] == demo["methods"]
    assert "description" not in mine


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"last": 'extends = "last.toml"'}, "in a circle: last -> last"),
        (
            {"last": 'extends = "other.toml"', "other": 'extends = "last.toml"'},
            "in a circle: last -> other -> last. Cut it",
        ),
        ({"last": 'extends = "anchoral-cpux"'}, "Unknown suite 'anchoral-cpux'. Did you mean 'anc"),
        ({"last": 'extends = "nothing.toml"'}, "Unknown suite 'nothing.toml'"),
    ],
)
def test_circles_and_unknown_suites_are_named(
    tmp_path: Path, contents: dict[str, str], message: str
) -> None:
    write_suites(tmp_path, **contents)
    with pytest.raises(SuiteError, match=message):
        read_suite(str(tmp_path / "last.toml"))


def test_published_suites_are_read_by_their_id_and_listed_apart() -> None:
    assert read_suite("anchoral-wikitoxic") == read_suite("published/anchoral-wikitoxic")
    assert "anchoral-wikitoxic" in published_names()
    assert not set(published_names()) & set(suite_names())


def test_a_grid_of_seeds_counts_them() -> None:
    assert parse_suite(make_raw(seed_grid=[2, 3, 1])).num_seeds("logistic") == 6
    assert parse_suite(make_raw(seed_grid=[2, 3, 1], seeds=4)).num_seeds("logistic") == 4
    with pytest.raises(SuiteError, match=r"seeds is 7, but seed_grid \[2, 3, 1\] has 6 comb"):
        parse_suite(make_raw(seed_grid=[2, 3, 1], seeds=7))
    with pytest.raises(SuiteError, match="seed_grid"):
        parse_suite(make_raw(seed_grid=[2, 0, 1]))


OUTSIDE: dict[str, Any] = {
    "name": "outside",
    "published": {
        "id": "rho-vision",
        "line": "rho-loss",
        "source": "a paper",
        "status": "out of scope",
        "reason": "it is about images.",
    },
}


def test_only_what_is_out_of_scope_may_be_empty() -> None:
    assert parse_suite(OUTSIDE).out_of_scope == "it is about images."
    with pytest.raises(SuiteError, match="'outside' is out of scope, but has methods: leave"):
        parse_suite({**OUTSIDE, "methods": {"random": {}}})
    with pytest.raises(SuiteError, match="suite 'made' has no datasets and no methods: it needs"):
        parse_suite(make_raw(datasets=[], methods={}))
    found = {**OUTSIDE["published"], "status": "recovered"}
    with pytest.raises(SuiteError, match="'outside' has no datasets and no classifiers and no me"):
        parse_suite({**OUTSIDE, "published": found})


def test_ids_tell_variants_apart() -> None:
    assert dataset_entry({"name": "debian-sections"}).id == "debian-sections:electronics"
    assert dataset_entry({"name": "debian-sections", "minority": "all"}).id == "debian-sections:all"
    assert dataset_entry({"name": "bbc-news"}).id == "bbc-news"
    assert dataset_entry({"name": "bbc-news", "id": "news"}).id == "news"


def test_a_method_may_run_with_some_classifiers_only() -> None:
    methods = {"random": {}, "anchoral": {"classifiers": ["heavy"]}}
    classifiers = {"mlp": {}, "heavy": {"kind": "mlp", "hidden_size": 64}}
    suite = parse_suite(make_raw(methods=methods, classifiers=classifiers))
    assert [record.id for record in suite.method_records("any", "mlp")] == ["random"]
    assert [record.id for record in suite.method_records("any", "heavy")] == ["random", "anchoral"]
    methods["anchoral"]["classifiers"] = ["hevy"]
    with pytest.raises(SuiteError, match="heavy"):
        parse_suite(make_raw(methods=methods, classifiers=classifiers))


def test_a_classifier_may_be_used_with_some_methods_only() -> None:
    classifiers = {"mlp": {}, "heavy": {"kind": "mlp", "methods": ["random"], "hidden_size": 64}}
    suite = parse_suite(make_raw(classifiers=classifiers))
    assert [record.id for record in suite.method_records("any", "mlp")] == ["random", "anchoral"]
    assert [record.id for record in suite.method_records("any", "heavy")] == ["random"]
    assert suite.classifiers["heavy"].params == {"hidden_size": 64}


def test_a_ceiling_is_checked_with_the_classifiers_that_it_runs_with() -> None:
    methods = {"random": {}, "full-data": {"C": 1.0, "classifiers": ["logistic"]}}
    classifiers = {"logistic": {"kind": "sklearn:LogisticRegression"}, "mlp": {}}
    parse_suite(make_raw(methods=methods, classifiers=classifiers))
    del methods["full-data"]["classifiers"]
    with pytest.raises(SuiteError, match="parameter of classifier 'mlp' 'C'"):
        parse_suite(make_raw(methods=methods, classifiers=classifiers))


def test_the_finetuned_suite_compares_scoring_everything_with_scoring_a_subpool() -> None:
    suite = parse_suite(read_suite("anchoral-cpu-finetuned"))
    assert (suite.rounds, suite.seeds, suite.query_size) == (10, 3, 25)
    assert {record.kind for record in suite.classifier_records()} == {"transformer"}
    assert {entry.name for entry in suite.datasets} == {"bbc-news", "debian-sections"}
    for entry in suite.datasets:
        records = {record.id: record for record in suite.method_records(entry.id)}
        assert {"least-confidence", "anchor-subsampling", "anchoral", "seals"} <= set(records)
        assert records["anchoral"].params["subpool_size"] <= 1_000

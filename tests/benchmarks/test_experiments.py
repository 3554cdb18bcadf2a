from __future__ import annotations

from typing import Any

import pytest

from benchmarks.experiments import (
    EXPERIMENTS,
    changes_classifier,
    check_experiment,
    is_one_shot,
    try_experiment,
)
from benchmarks.parsing import parse_suite
from benchmarks.results import FULL_DATA, MAP_SUBSET, NOISE_DETECTION, MethodRecord
from benchmarks.suggestions import SuiteError


def method(strategy: str, base: str | None = None, **params: Any) -> MethodRecord:  # noqa: ANN401
    return MethodRecord(id="mine", strategy=strategy, base=base, params=params)


def suite_of(methods: dict[str, Any], **classifiers: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "name": "x",
        "datasets": [{"name": "bbc-news"}],
        "classifiers": classifiers or {"mlp": {}},
        "methods": methods,
    }


def test_strategies_of_one_shot_experiments_are_told_from_query_strategies() -> None:
    assert all(map(is_one_shot, (FULL_DATA, MAP_SUBSET, NOISE_DETECTION)))
    assert not is_one_shot("RandomSampling")
    assert [name for name in EXPERIMENTS if changes_classifier(name)] == [FULL_DATA]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (method(MAP_SUBSET), "MapSubset needs the parameter 'keep'"),
        (method(MAP_SUBSET, keep="hard", fracton=0.5), "Did you mean 'fraction'"),
        (method(MAP_SUBSET, keep="hard", num_epochs=3), "parameter of MapSubset"),
        (method(NOISE_DETECTION), "needs the parameter 'noise'"),
        (method(NOISE_DETECTION, base="LeastConfidence", noise=0.1), "takes no base"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_are_checked(record: MethodRecord, message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        check_experiment(record)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (method(MAP_SUBSET, keep="middle"), "method 'mine' cannot be built: keep is 'middle'"),
        (method(MAP_SUBSET, keep="hard", fraction=1.5), "fraction is 1.5"),
        (method(MAP_SUBSET, keep="hard", crossfit=1), "crossfit is 1"),
        (method(NOISE_DETECTION, noise=1.0), "noise is 1.0"),
        (method(NOISE_DETECTION, noise=0.1, num_folds=1), "num_folds is 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_are_tried_before_anything_runs(record: MethodRecord, message: str) -> None:
    check_experiment(record)
    with pytest.raises(SuiteError, match=message):
        try_experiment(record)


def test_what_is_right_passes() -> None:
    good = [
        method(FULL_DATA, num_epochs=3),
        method(MAP_SUBSET, keep="ambiguous", fraction=0.25, easy_mix=0.1, observe="epoch_end"),
        method(MAP_SUBSET, keep="clean", crossfit=3, burn_out=2),
        method(NOISE_DETECTION, noise=0.2, num_folds=3, num_repeats=2),
    ]
    for record in good:
        check_experiment(record)
        try_experiment(record)


@pytest.mark.parametrize(
    ("strategy", "params", "passes", "fits"),
    [
        (FULL_DATA, {"num_epochs": 3}, 1.0, 1),
        (MAP_SUBSET, {"keep": "hard", "fraction": 0.5}, 1.5, 2),
        (MAP_SUBSET, {"keep": "random"}, 1.33, 2),
        (MAP_SUBSET, {"keep": "clean", "crossfit": 5}, 5.0, 6),
        (NOISE_DETECTION, {"noise": 0.1}, 6.0, 22),
    ],
)
def test_fits_are_counted(strategy: str, params: dict[str, Any], passes: float, fits: int) -> None:
    assert EXPERIMENTS[strategy].passes(params) == pytest.approx(passes)
    assert EXPERIMENTS[strategy].fits(params) == fits


def test_a_suite_names_them_by_preset() -> None:
    methods = {
        "third": {"preset": "subset", "keep": "ambiguous"},
        "noisy": {"preset": "noise-detection", "noise": 0.1},
    }
    suite = parse_suite(suite_of(methods, mlp={}))
    records = suite.method_records("bbc-news")
    assert [(r.strategy, r.params) for r in records] == [
        (MAP_SUBSET, {"keep": "ambiguous"}),
        (NOISE_DETECTION, {"noise": 0.1}),
    ]


@pytest.mark.parametrize(
    "table", [{"preset": "subset", "keep": "hard"}, {"preset": "cal"}], ids=lambda t: t["preset"]
)
def test_what_cannot_be_recorded_is_refused_with_a_remedy(table: dict[str, Any]) -> None:
    logistic = {"kind": "sklearn:LogisticRegression"}
    with pytest.raises(SuiteError, match=r"method 'mine'.*'logistic'.*mlp"):
        parse_suite(suite_of({"mine": table}, mlp={}, logistic=logistic))
    fitting = {**table, "classifiers": ["mlp"]}
    assert parse_suite(suite_of({"mine": fitting}, mlp={}, logistic=logistic))
    noise = {"preset": "noise-detection", "noise": 0.1}
    assert parse_suite(suite_of({"noise": noise}, logistic=logistic))

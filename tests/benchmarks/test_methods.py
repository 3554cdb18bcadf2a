from __future__ import annotations

import numpy as np
import pytest

import small_text_ext
from benchmarks.experiments import is_one_shot
from benchmarks.methods import (
    METHODS,
    StrategyContext,
    build_strategy,
    check_method,
    needed_recording,
    strategy_class,
    strategy_names,
    try_method,
)
from benchmarks.results import FULL_DATA, MethodRecord
from benchmarks.suggestions import SuiteError
from small_text_ext import SEALS, AnchorAL, PoolEmbeddings, RandomSubset


@pytest.fixture
def context() -> StrategyContext:
    vectors = np.random.default_rng(0).normal(size=(30, 4))
    return StrategyContext(PoolEmbeddings.from_array(vectors), seed=11, minority=(1,))


def test_every_public_strategy_of_the_package_can_be_named() -> None:
    import inspect

    from small_text import QueryStrategy

    public = [getattr(small_text_ext, name) for name in small_text_ext.__all__]
    ours = [
        cls.__name__ for cls in public if inspect.isclass(cls) and issubclass(cls, QueryStrategy)
    ]
    assert len(ours) >= 3
    assert set(ours) <= set(strategy_names())
    assert {preset.strategy for preset in METHODS.values()} <= set(strategy_names())


def test_ours_comes_first_and_the_host_s_has_its_prefix() -> None:
    assert strategy_class("SEALS") is SEALS
    assert strategy_class("small_text.SEALS") is not SEALS
    assert strategy_class("RandomSampling").__module__.startswith("small_text.")


def test_the_runner_fills_in_vectors_and_seed(context: StrategyContext) -> None:
    record = MethodRecord(
        id="x", strategy="AnchorAL", base="BreakingTies", params={"num_anchors": 3}
    )
    strategy = build_strategy(record, context)
    assert isinstance(strategy, AnchorAL)
    assert str(strategy.base_query_strategy) == "BreakingTies()"
    assert strategy.num_anchors == 3


def test_a_reference_becomes_a_strategy(context: StrategyContext) -> None:
    other = {"strategy": "AnchorAL", "base": "LeastConfidence", "params": {}}
    record = MethodRecord(
        id="x", strategy="RandomSubset", base="LeastConfidence", params={"subpool_size": other}
    )
    assert isinstance(build_strategy(record, context), RandomSubset)


def test_minority_anchors_are_those_of_the_wanted_classes(context: StrategyContext) -> None:
    params = {"minority_anchor_selector": "random"}
    record = MethodRecord(id="x", strategy="AnchorAL", base="LeastConfidence", params=params)
    assert build_strategy(record, context).minority_classes == (1,)


def test_every_preset_that_asks_for_labels_builds(context: StrategyContext) -> None:
    from benchmarks.parsing import parse_suite

    names = [name for name, preset in METHODS.items() if not is_one_shot(preset.strategy)]
    assert len(names) >= 12
    suite = parse_suite(
        {
            "name": "x",
            "datasets": [{"name": "bbc-news"}],
            "classifiers": {"mlp": {}},
            "methods": {name: {} for name in names},
        }
    )
    built = [build_strategy(record, context) for record in suite.method_records("bbc-news")]
    assert len({str(strategy) for strategy in built}) >= len(names) - 1


@pytest.mark.parametrize(
    "params", [{"anchor_selector": "kmeens"}, {"num_anchors": 0}, {"subpool_size": "many"}], ids=str
)
def test_a_value_that_the_class_refuses_is_named_before_the_run(params: dict[str, object]) -> None:
    good = MethodRecord(id="mine", strategy="AnchorAL", base="LeastConfidence")
    try_method(good)
    try_method(MethodRecord(id="ceiling", strategy=FULL_DATA))
    with pytest.raises(SuiteError, match=f"method 'mine' cannot be built.*{next(iter(params))}"):
        try_method(good.model_copy(update={"params": params}))


WAVERING = "DynamicsUncertainty"


@pytest.mark.parametrize(
    ("strategy", "base", "params", "needed"),
    [
        ("RandomSampling", None, {}, None),
        ("AnchorAL", "LeastConfidence", {}, None),
        ("AnchorAL", "CartographyActiveLearning", {}, "training"),
        ("CartographyFilter", "LeastConfidence", {}, "training"),
        (WAVERING, None, {}, "training"),
        (WAVERING, None, {"measure": "predicted_margin"}, "training"),
        (WAVERING, None, {"measure": "flips"}, None),
        (WAVERING, None, {"measure": "flips", "over": "epochs"}, "held-out"),
    ],
    ids=str,
)
def test_what_a_classifier_must_record_follows_from_the_strategies(
    strategy: str, base: str | None, params: dict[str, object], needed: str | None
) -> None:
    record = MethodRecord(id="x", strategy=strategy, base=base, params=params)
    check_method(record)
    assert needed_recording(record) == needed


def test_one_classifier_has_one_recorder() -> None:
    params = {"measure": "flips", "over": "epochs"}
    inner = {"strategy": WAVERING, "base": None, "params": params}
    record = MethodRecord(
        id="x", strategy="CartographyFilter", base="LeastConfidence", params={"drop": inner}
    )
    with pytest.raises(SuiteError, match="a classifier has one recorder"):
        needed_recording(record)


def test_a_strategy_may_look_at_the_vectors_of_the_classifier(context: StrategyContext) -> None:
    frozen = MethodRecord(id="x", strategy="CartographyActiveLearning")
    own = frozen.model_copy(update={"params": {"embeddings": "classifier"}})
    check_method(own)
    assert build_strategy(frozen, context).embeddings is not None
    assert build_strategy(own, context).embeddings is None
    for strategy, value in (("AnchorAL", "classifier"), ("CartographyActiveLearning", "other")):
        wrong = MethodRecord(
            id="x",
            strategy=strategy,
            base="LeastConfidence" if strategy == "AnchorAL" else None,
            params={"embeddings": value},
        )
        with pytest.raises(SuiteError, match=r"leave .*out"):
            check_method(wrong)


def test_a_strategy_may_be_given_a_classifier_of_its_own(context: StrategyContext) -> None:
    from small_text_ext import MLPClassification

    method = MethodRecord(
        id="dal",
        strategy="DiscriminativeActiveLearning",
        params={
            "classifier_factory": {"kind": "mlp", "params": {"num_epochs": 3}},
            "num_iterations": 2,
        },
    )
    check_method(method)
    clf = build_strategy(method, context).classifier_factory.new()
    assert isinstance(clf, MLPClassification)
    assert (clf.num_classes, clf.num_epochs, clf.seed) == (2, 3, context.seed)

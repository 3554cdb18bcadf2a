"""Every public strategy, index and classifier, in every configuration, against every check."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.contract import classifier_checks, discovery, index_checks, strategy_checks
from tests.contract.builders import (
    CLASSIFIER_BUILDERS,
    FACTORY_BUILDERS,
    INDEX_BUILDERS,
    STRATEGY_BUILDERS,
)
from tests.contract.cases import ClassifierCase, FactoryCase, IndexCase, StrategyCase
from tests.contract.collection import CLASSIFIER_CASES, INDEX_CASES, STRATEGY_CASES, products
from tests.contract.replay import of_a_fresh_process

FACTORY_CASES = {
    f"{class_name}-{name}": pair
    for class_name, configurations in FACTORY_BUILDERS.items()
    for name, pair in configurations.items()
}


@pytest.mark.parametrize(
    ("discovered", "builders", "at_least"),
    [
        (discovery.STRATEGIES, STRATEGY_BUILDERS, 3),
        (discovery.INDEXES, INDEX_BUILDERS, 2),
        (discovery.CLASSIFIERS, CLASSIFIER_BUILDERS, 1),
        (discovery.FACTORIES, FACTORY_BUILDERS, 1),
    ],
    ids=["strategies", "indexes", "classifiers", "factories"],
)
def test_every_public_class_is_checked(
    discovered: dict[str, type], builders: dict[str, dict[str, object]], at_least: int
) -> None:
    assert len(discovered) >= at_least
    assert set(discovered) == set(builders), (
        "tests/contract/builders.py and the public names differ"
    )
    assert all(builders.values()), "a class has no configuration"


def test_there_are_checks() -> None:
    assert len(strategy_checks.CHECKS) >= 30
    assert len(index_checks.CHECKS) >= 20
    assert len(classifier_checks.CHECKS) >= 20
    assert len(classifier_checks.FACTORY_CHECKS) >= 4


@pytest.mark.parametrize(("case", "check"), products(STRATEGY_CASES, strategy_checks.CHECKS))
def test_strategy(case: StrategyCase, check: Callable[[StrategyCase], None]) -> None:
    check(case)


@pytest.mark.parametrize(("case", "check"), products(INDEX_CASES, index_checks.CHECKS))
def test_index(case: IndexCase, check: Callable[[IndexCase], None]) -> None:
    check(case)


@pytest.mark.parametrize(("case", "check"), products(CLASSIFIER_CASES, classifier_checks.CHECKS))
def test_classifier(case: ClassifierCase, check: Callable[[ClassifierCase], None]) -> None:
    check(case)


@pytest.mark.parametrize(
    "check",
    classifier_checks.FACTORY_CHECKS,
    ids=lambda check: check.__name__.removeprefix("check_"),
)
@pytest.mark.parametrize("name", FACTORY_CASES)
def test_factory(name: str, check: Callable[[FactoryCase, ClassifierCase], None]) -> None:
    check(*FACTORY_CASES[name])


@pytest.mark.xdist_group("fresh-process")
@pytest.mark.parametrize("name", STRATEGY_CASES)
def test_strategy_in_a_fresh_process(name: str) -> None:
    here = strategy_checks.replay(STRATEGY_CASES[name])
    assert of_a_fresh_process()[f"strategy {name}"] == here


@pytest.mark.xdist_group("fresh-process")
@pytest.mark.parametrize("name", INDEX_CASES)
def test_index_in_a_fresh_process(name: str) -> None:
    here = index_checks.replay(INDEX_CASES[name])
    assert of_a_fresh_process()[f"index {name}"] == here


@pytest.mark.xdist_group("fresh-process")
@pytest.mark.parametrize("name", CLASSIFIER_CASES)
def test_classifier_in_a_fresh_process(name: str) -> None:
    here = json.loads(json.dumps(classifier_checks.replay(CLASSIFIER_CASES[name])))
    assert of_a_fresh_process()[f"classifier {name}"] == here

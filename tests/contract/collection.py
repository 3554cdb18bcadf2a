"""Cases by their test ids, from the builders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

import pytest
from _pytest.mark import ParameterSet

from tests.contract.builders import CLASSIFIER_BUILDERS, INDEX_BUILDERS, STRATEGY_BUILDERS
from tests.contract.cases import ClassifierCase, IndexCase, StrategyCase
from tests.contract.scenarios import Context


class _Case(Protocol):
    @property
    def slow(self) -> bool: ...


AnyCase = TypeVar("AnyCase", bound=_Case)


def _named(builders: Mapping[str, Mapping[str, AnyCase]]) -> dict[str, AnyCase]:
    return {
        f"{class_name}-{name}": case
        for class_name, configurations in builders.items()
        for name, case in configurations.items()
    }


def _with_multi_label(cases: dict[str, StrategyCase]) -> dict[str, StrategyCase]:
    """Add, for each case that takes multi-label labels, a second one on a multi-label pool."""
    context = Context(multi_label=True)
    multi_label = {
        f"{name}-csr": replace(case, context=context)
        for name, case in cases.items()
        if case.multi_label
    }
    return {**cases, **multi_label}


STRATEGY_CASES: dict[str, StrategyCase] = _with_multi_label(_named(STRATEGY_BUILDERS))
INDEX_CASES: dict[str, IndexCase] = _named(INDEX_BUILDERS)
CLASSIFIER_CASES: dict[str, ClassifierCase] = _named(CLASSIFIER_BUILDERS)


def products(
    cases: Mapping[str, AnyCase], checks: Iterable[Callable[[AnyCase], None]]
) -> list[ParameterSet]:
    """Return every case with every check, as pytest parameters with readable ids."""
    return [
        pytest.param(
            case,
            check,
            id=f"{name}-{check.__name__.removeprefix('check_')}",
            marks=[pytest.mark.slow] if case.slow else [],
        )
        for name, case in cases.items()
        for check in checks
    ]

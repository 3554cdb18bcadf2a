"""Every subpool strategy over the base strategies of small-text that people use."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from small_text import (
    BreakingTies,
    EmbeddingKMeans,
    LeastConfidence,
    PredictionEntropy,
    QueryStrategy,
    RandomSampling,
)
from small_text.integrations.pytorch.query_strategies import BADGE

from tests.contract.builders import anchoral, random_subset, seals
from tests.contract.cases import StrategyCase
from tests.contract.scenarios import NUM_CLASSES, situation
from tests.contract.strategy_checks import assert_valid, check_texts_scored

BASES: dict[str, Callable[[], QueryStrategy]] = {
    "LeastConfidence": LeastConfidence,
    "PredictionEntropy": PredictionEntropy,
    "BreakingTies": BreakingTies,
    "EmbeddingKMeans": EmbeddingKMeans,
    "RandomSampling": RandomSampling,
    # It draws from the operating system, so it is here and not among the repeatable cases.
    "BADGE": lambda: BADGE(NUM_CLASSES),
}


@pytest.mark.parametrize("wrap", [anchoral, seals, random_subset])
@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_base_stays_inside_the_subpool(
    base: Callable[[], QueryStrategy], wrap: Callable[..., Callable[..., QueryStrategy]]
) -> None:
    case = StrategyCase(wrap(base))
    strategy = case.strategy()
    root = situation(case.context)
    picks = root.query(strategy)
    assert_valid(picks, root.indices_unlabeled, 10)
    assert len(strategy.last_query.subpool) < len(root.indices_unlabeled) / 2
    assert np.isin(picks, strategy.last_query.subpool).all()
    check_texts_scored(case)

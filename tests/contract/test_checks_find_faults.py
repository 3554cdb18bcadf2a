"""A check that cannot fail is worth nothing: each fault here is found by the check meant for it.

``Honest`` keeps the whole contract; every other strategy breaks it in one way.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_text import AnchorSubsampling, LeastConfidence, QueryStrategy

from small_text_ext._random import Seed, derived_generator, resolve_seed
from tests.contract import strategy_checks as checks
from tests.contract.cases import StrategyCase
from tests.contract.scenarios import Context, Indices, Situation

# What a check raises: an assertion of its own, what pytest.raises raises, or the fault's error.
FOUND = (Exception, pytest.fail.Exception)


class Honest(QueryStrategy):
    """Picks by fixed random numbers of the root's rows."""

    def __init__(self, seed: Seed) -> None:
        self.seed = resolve_seed(seed)

    def query(
        self,
        clf: Any,  # noqa: ANN401
        dataset: Any,  # noqa: ANN401
        indices_unlabeled: Indices,
        indices_labeled: Indices,
        y: Any,  # noqa: ANN401
        n: int = 10,
    ) -> Indices:
        self._validate_query_input(indices_unlabeled, n)
        return self.pick(Situation(clf, dataset, indices_unlabeled, indices_labeled, y), n)

    def pick(self, asked: Situation, n: int) -> Indices:
        scores = self.scores(asked.dataset, len(asked.indices_labeled))
        order = np.argsort(scores[asked.indices_unlabeled], kind="stable")
        return np.array(asked.indices_unlabeled, dtype=np.int64)[order[:n]]

    def scores(self, dataset: Any, num_labeled: int) -> NDArray[np.float64]:  # noqa: ANN401
        selections = []
        while hasattr(dataset, "selection"):
            selections.append(dataset.selection)
            dataset = dataset.dataset
        # A row's number must not depend on how many rows there are.
        scores = derived_generator(self.seed, num_labeled).random(10_000)[: len(dataset)]
        for selection in reversed(selections):
            scores = scores[selection]
        return scores

    def __str__(self) -> str:
        return f"{type(self).__name__}(seed={self.seed})"


class Repeats(Honest):
    def pick(self, asked: Situation, n: int) -> Indices:
        picks = super().pick(asked, n)
        picks[-1] = picks[0]
        return picks


class PicksLabeled(Honest):
    def pick(self, asked: Situation, n: int) -> Indices:
        picks = super().pick(asked, n)
        picks[0] = asked.indices_labeled[0]
        return picks


class ReturnsTooMany(Honest):
    def pick(self, asked: Situation, n: int) -> Indices:
        return super().pick(asked, n + 1)


class SkipsValidation(Honest):
    @staticmethod
    def _validate_query_input(indices_unlabeled: Indices, n: int) -> None:
        """Accept anything."""


class FillsGaps(Honest):
    def pick(self, asked: Situation, n: int) -> Indices:
        everything = np.setdiff1d(np.arange(len(asked.dataset)), asked.indices_labeled)
        return super().pick(replace(asked, indices_unlabeled=everything), n)


class TakesPositionsForRows(Honest):
    def scores(self, dataset: Any, num_labeled: int) -> NDArray[np.float64]:  # noqa: ANN401
        return derived_generator(self.seed, num_labeled).random(len(dataset))


class NeedsIntegers(Honest):
    def pick(self, asked: Situation, n: int) -> Indices:
        np.bincount(np.asarray(asked.y))
        return super().pick(asked, n)


class CountsItsCalls(Honest):
    calls = 0

    def scores(self, dataset: Any, num_labeled: int) -> NDArray[np.float64]:  # noqa: ANN401
        self.calls += 1
        return np.roll(super().scores(dataset, num_labeled), self.calls)


class NeverForgets(Honest):
    """Keeps what was labelled once out for good, as an index does that never restores."""

    def __init__(self, seed: Seed) -> None:
        super().__init__(seed)
        self.gone: set[int] = set()

    def pick(self, asked: Situation, n: int) -> Indices:
        left = np.array([index for index in asked.indices_unlabeled if int(index) not in self.gone])
        self.gone |= {int(index) for index in asked.indices_labeled}
        return super().pick(replace(asked, indices_unlabeled=left), n)


class DrawsGlobally(Honest):
    def scores(self, dataset: Any, num_labeled: int) -> NDArray[np.float64]:  # noqa: ANN401
        shift = np.random.randint(1000)  # noqa: NPY002 - the fault that is to be found
        return np.roll(super().scores(dataset, num_labeled), shift)


class ReadsHiddenLabels(Honest):
    def scores(self, dataset: Any, num_labeled: int) -> NDArray[np.float64]:  # noqa: ANN401
        return np.asarray(super().scores(dataset, num_labeled) - dataset.y)


class WritesIntoInputs(Honest):
    def pick(self, asked: Situation, n: int) -> Indices:
        asked.indices_unlabeled.sort()
        return super().pick(asked, n)


class ForgetsItsSeed(Honest):
    def __getstate__(self) -> dict[str, Any]:
        return {"seed": 0}


class DiffersFromItsLikes(Honest):
    created = itertools.count()

    def __init__(self, seed: Seed) -> None:
        super().__init__(seed)
        self.seed += next(self.created)


class HasNoName(Honest):
    def __str__(self) -> str:
        return object.__repr__(self)


class HandsOutWhatItKeeps(Honest):
    def __init__(self, seed: Seed) -> None:
        super().__init__(seed)
        self.kept: Indices | None = None

    def pick(self, asked: Situation, n: int) -> Indices:
        if self.kept is None:
            self.kept = super().pick(asked, n)
        return self.kept


class HidesItsArguments(Honest):
    def query(self, *args: Any, **kwargs: Any) -> Indices:  # noqa: ANN401
        return super().query(*args, **kwargs)


def case(strategy: type[Honest]) -> StrategyCase:
    """Return a case without the promises that only methods with a classifier make."""

    def build(context: Context) -> QueryStrategy:
        return strategy(context.seed)

    return StrategyCase(build, needs_classifier=False)


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_an_honest_strategy_passes(check: Callable[[StrategyCase], None]) -> None:
    check(case(Honest))


@pytest.mark.parametrize(
    ("strategy", "check"),
    [
        (Repeats, checks.check_n_distinct_unlabeled),
        (PicksLabeled, checks.check_n_distinct_unlabeled),
        (ReturnsTooMany, checks.check_n_distinct_unlabeled),
        (ReturnsTooMany, checks.check_more_than_the_neighbors),
        (SkipsValidation, checks.check_more_than_the_pool_is_exhausted),
        (SkipsValidation, checks.check_empty_pool),
        (FillsGaps, checks.check_ignored_rows_and_gaps),
        (FillsGaps, checks.check_takes_the_whole_pool),
        (FillsGaps, checks.check_an_ignored_sample_is_never_picked),
        (FillsGaps, checks.check_ignored_in_an_update),
        (TakesPositionsForRows, checks.check_view_gives_the_picks_of_its_rows),
        (TakesPositionsForRows, checks.check_view_of_a_view_gives_the_picks_of_its_rows),
        (TakesPositionsForRows, checks.check_inside_subsampling),
        (TakesPositionsForRows, checks.check_inside_class_balancer),
        (NeedsIntegers, checks.check_float_labels),
        (NeedsIntegers, checks.check_ignored_in_an_update),
        (CountsItsCalls, checks.check_two_learners_share_a_strategy),
        (CountsItsCalls, checks.check_two_datasets_share_a_strategy),
        (CountsItsCalls, checks.check_asking_twice_changes_nothing),
        (NeverForgets, checks.check_removed_labels_can_be_picked_again),
        (NeverForgets, checks.check_picks_after_removed_labels_are_those_of_a_new_strategy),
        (DrawsGlobally, checks.check_global_random_state_is_left_alone),
        (DrawsGlobally, checks.check_same_seed_same_picks),
        (ReadsHiddenLabels, checks.check_hidden_labels_are_not_read),
        (WritesIntoInputs, checks.check_inputs_are_unchanged),
        (ForgetsItsSeed, checks.check_pickle_in_mid_run),
        (ForgetsItsSeed, checks.check_save_and_load_in_mid_run),
        (ForgetsItsSeed, checks.check_str),
        (DiffersFromItsLikes, checks.check_same_seed_same_picks),
        (DiffersFromItsLikes, checks.check_kinds_of_seeds),
        (HasNoName, checks.check_str),
        (HandsOutWhatItKeeps, checks.check_result_is_the_callers),
        (HidesItsArguments, checks.check_signature_is_the_hosts),
    ],
    ids=lambda value: value.__name__,
)
def test_a_fault_is_found(strategy: type[Honest], check: Callable[[StrategyCase], None]) -> None:
    with pytest.raises(FOUND):
        check(case(strategy))


@pytest.mark.parametrize(
    "check",
    [
        checks.check_more_than_the_neighbors,
        checks.check_float_labels,
        checks.check_two_datasets_share_a_strategy,
        checks.check_same_seed_same_picks,
    ],
    ids=lambda check: check.__name__,
)
def test_the_hosts_own_anchor_subsampling_does_not_pass(
    check: Callable[[StrategyCase], None],
) -> None:
    """What this package is for: the host's version breaks the same promises on the same pool."""
    host = StrategyCase(
        lambda _: AnchorSubsampling(LeastConfidence(), num_anchors=3, k=8, subsample_size=60)
    )
    with pytest.raises(FOUND):
        check(host)

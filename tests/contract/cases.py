"""A case is one public class in one configuration: what every check is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from small_text import AbstractClassifierFactory, Classifier, QueryStrategy, VectorIndex

from small_text_ext._random import Seed
from tests.contract.scenarios import Context


@dataclass(frozen=True)
class StrategyCase:
    """One configuration of a strategy, and what it promises beyond the contract.

    Parameters
    ----------
    build : callable
        Makes a new strategy from a context.
    needs_classifier : bool, default=True
        Whether a query without a classifier (a cold start) is an error.
    multi_label : bool, default=False
        Whether it takes multi-label labels too; then every check runs on both.
    history_free : bool, default=True
        Whether picks follow from the arguments of ``query`` alone. SEALS grows its candidates from
        round to round, by definition.
    exact : bool, default=True
        Whether neighbours are exact, so that rows outside a view cannot change picks inside it.
    random : bool, default=True
        Whether another seed can give other picks.
    sees_the_pool : bool, default=False
        Whether the classifier is asked about texts outside of the subpool: what the subpool is
        chosen by.
    slow : bool, default=False
        Whether it runs in ``make test-full`` only.
    """

    build: Callable[[Context], QueryStrategy]
    needs_classifier: bool = True
    multi_label: bool = False
    history_free: bool = True
    exact: bool = True
    random: bool = True
    sees_the_pool: bool = False
    slow: bool = False
    context: Context = Context()  # noqa: RUF009

    def strategy(self, seed: Seed = 7) -> QueryStrategy:
        """Return a new strategy, as a user would make it."""
        return self.build(replace(self.context, seed=seed))


@dataclass(frozen=True)
class IndexCase:
    """One configuration of an index.

    Parameters
    ----------
    build : callable
        Makes a new, empty index.
    recall : float, default=1.0
        The share of true neighbours it must find on clustered vectors.
    slow : bool, default=False
        Whether it runs in ``make test-full`` only.
    """

    build: Callable[[], VectorIndex]
    recall: float = 1.0
    slow: bool = False


@dataclass(frozen=True)
class ClassifierCase:
    """One configuration of a classifier.

    Parameters
    ----------
    build : callable
        Makes a new classifier from a seed.
    dataset : callable
        Makes a dataset of the kind it takes, from vectors and labels.
    multi_label : bool, default=False
        Whether it is a multi-label classifier.
    warm : bool, default=True
        Whether another fit goes on from the weights of the one before.
    slow : bool, default=False
        Whether it runs in ``make test-full`` only.
    rounding : float, default=1e-5
        How far probabilities may differ by the other texts of a batch.
    kept_bytes : int, default=0
        What the classifier keeps of each training item, on purpose.
    """

    build: Callable[[Seed], Classifier]
    dataset: Callable[[Any, Any], Any]
    multi_label: bool = False
    warm: bool = True
    slow: bool = False
    rounding: float = 1e-5
    kept_bytes: int = 0


@dataclass(frozen=True)
class FactoryCase:
    """One configuration of a factory."""

    build: Callable[[], AbstractClassifierFactory]
    makes: str
    wraps: bool = False

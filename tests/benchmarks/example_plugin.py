"""A plugin: one strategy, one classifier, one data set."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier
from small_text import QueryStrategy, SklearnClassifierFactory

from benchmarks.datasets import LabeledTexts, encode_labels
from benchmarks.kinds import ClassifierKind, FactoryRequest
from benchmarks.plugins import Registry


class FirstRows(QueryStrategy):  # type: ignore[misc, unused-ignore]
    """Asks for the first texts without a label."""

    def query(
        self,
        clf: Any,  # noqa: ANN401
        dataset: Any,  # noqa: ANN401
        indices_unlabeled: Any,  # noqa: ANN401
        indices_labeled: Any,  # noqa: ANN401
        y: Any,  # noqa: ANN401
        n: int = 10,
    ) -> Any:  # noqa: ANN401
        """Return them."""
        self._validate_query_input(indices_unlabeled, n)
        return np.sort(indices_unlabeled)[:n]

    def __str__(self) -> str:
        return "FirstRows()"


def build_tree(request: FactoryRequest) -> Any:  # noqa: ANN401
    """Build a decision tree."""
    estimator = DecisionTreeClassifier(**request.params, random_state=request.seed)
    return SklearnClassifierFactory(estimator, request.num_classes)


def load_colours() -> LabeledTexts:
    """Return sixty sentences about two colours."""
    texts = [f"number {n} is {('red', 'blue')[n % 2]}" for n in range(60)]
    labels, names = encode_labels([("red", "blue")[n % 2] for n in range(60)])
    return LabeledTexts("colours", tuple(texts), labels, names, "none", "a test")


def register(registry: Registry) -> None:
    """Add one of each."""
    registry.add_strategy("first-rows", FirstRows, "the first texts")
    registry.add_classifier("tree", ClassifierKind("a tree", build_tree, lambda: {"max_depth"}))
    registry.add_dataset("colours", load_colours, "sentences about colours")


def register_taken(registry: Registry) -> None:
    """Add a name that is free and one that is not."""
    registry.add_strategy("second-rows", FirstRows)
    registry.add_strategy("random", FirstRows)
